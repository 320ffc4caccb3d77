//! Ping, pong and what holds for every control frame (RFC 6455 §5.5).

mod support;

use core::time::Duration;

use sansocket::{
    CloseCode, Config, Deadline, Error, Event, Fin, Input, ProtocolError, SendError, SliceSink, State, Unread,
};
use support::wire::{self, BINARY, CLOSE, CONTINUATION, FIN, Length, PING, PONG, TEXT};
use support::{NOW, ROLES, Seen, Session, accept, connection, reject};

const PROTOCOL_ERROR: CloseCode = CloseCode::PROTOCOL_ERROR;

#[test]
fn a_control_payload_has_at_most_125_bytes() {
    // conf: CT-01 FR-11
    for role in ROLES {
        for opcode in [CLOSE, PING, PONG] {
            let mut payload = wire::close_body(1000, "");
            payload.resize(126, b'x');
            for length in [Length::Medium(126), Length::Long(126), Length::Long(u64::MAX), Length::Medium(2)]
            {
                let bytes = wire::frame_with_length(role, FIN | opcode, length, &payload);
                assert_eq!(reject(role, &bytes, ProtocolError::ControlTooLong, PROTOCOL_ERROR), 2);
            }
        }
        let bytes = [wire::ping(role, &[7; 125]), wire::pong(role, &[8; 125])].concat();
        accept(role, &bytes, &[Seen::ping(&[7; 125]), Seen::pong(&[8; 125])]);
        let reason = "x".repeat(123);
        accept(role, &wire::close(role, 1000, &reason), &[Seen::close(CloseCode::NORMAL, &reason)]);
    }
}

#[test]
fn a_control_frame_is_not_fragmented() {
    // conf: CT-02 FR-11
    for role in ROLES {
        for opcode in [CLOSE, PING, PONG] {
            for payload in [&b""[..], b"\x03\xe8"] {
                let bytes = wire::frame(role, opcode, payload);
                assert_eq!(reject(role, &bytes, ProtocolError::ControlFragmented, PROTOCOL_ERROR), 2);
                let inside = [wire::frame(role, TEXT, b"a"), bytes].concat();
                reject(role, &inside, ProtocolError::ControlFragmented, PROTOCOL_ERROR);
            }
        }
        accept(role, &wire::frame(role, FIN | PING, b""), &[Seen::ping(b"")]);
    }
}

#[test]
fn an_application_cannot_send_a_longer_one() {
    // conf: CT-03
    for role in ROLES {
        let mut session = Session::new(role);
        let Session { connection, out, .. } = &mut session;
        assert_eq!(connection.ping(&[0; 126], out), Err(SendError::ControlTooLong { len: 126 }));
        assert_eq!(connection.pong(&[0; 126], out), Err(SendError::ControlTooLong { len: 126 }));
        let reason = format!("{}ü", "x".repeat(122)); // 124 bytes, the last character would be cut
        let refused = connection.close(NOW, CloseCode::NORMAL, &reason, out);
        assert_eq!(refused, Err(SendError::ControlTooLong { len: 124 }));
        assert_eq!((out.len(), connection.state()), (0, State::Open));
        connection.ping(&[1; 125], out).unwrap();
        connection.pong(&[2; 125], out).unwrap();
        let reason = format!("{}ü", "x".repeat(121));
        connection.close(NOW, CloseCode::NORMAL, &reason, out).unwrap();
        let sent = session.sent();
        assert_eq!(sent[..2], [(FIN | PING, vec![1; 125]), (FIN | PONG, vec![2; 125])]);
        assert_eq!(sent[2], (FIN | CLOSE, wire::close_body(1000, &reason)));
    }
}

#[test]
fn every_ping_is_answered_with_its_own_payload() {
    // conf: CT-04 CT-05
    for role in ROLES {
        let payloads =
            [vec![], vec![0], vec![0xFF; 125], b"\x00\xC3\x28\xFE binary".to_vec(), vec![b'x'; 124]];
        for step in [usize::MAX, 1, 2] {
            let mut session = Session::new(role);
            for payload in &payloads {
                session.feed_cut(&wire::ping(role, payload), step).unwrap();
            }
            let pongs: Vec<_> = payloads.iter().map(|payload| (FIN | PONG, payload.clone())).collect();
            assert_eq!(session.sent(), pongs, "in steps of {step}");
        }
    }
}

#[test]
fn a_ping_after_a_close_is_not_answered() {
    // conf: CT-04 CL-06 CL-07
    for role in ROLES {
        let mut session = Session::new(role);
        session.feed(&wire::close(role, 1000, "")).unwrap();
        session.out.clear();
        session.feed(&wire::ping(role, b"late")).unwrap();
        assert_eq!(session.out, b"", "theirs was received");
        assert_eq!(session.seen, [Seen::close(CloseCode::NORMAL, "")]);

        let mut session = Session::new(role);
        session.connection.close(NOW, CloseCode::NORMAL, "", &mut session.out).unwrap();
        session.out.clear();
        session.feed(&wire::ping(role, b"late")).unwrap();
        assert_eq!(session.out, b"", "ours was sent");
        assert_eq!(session.seen, [Seen::ping(b"late")], "it is shown all the same");
    }
}

#[test]
fn a_pong_leaves_before_what_is_sent_later() {
    // conf: CT-06
    for role in ROLES {
        let mut session = Session::new(role);
        session.connection.send_fragment("one", Fin::More, &mut session.out).unwrap();
        session.feed(&wire::ping(role, b"p")).unwrap();
        session.connection.send_fragment("two", Fin::Final, &mut session.out).unwrap();
        session.feed(&wire::ping(role, b"q")).unwrap();
        session.connection.send(&[1], &mut session.out).unwrap();
        let firsts: Vec<_> = session.sent().into_iter().map(|frame| frame.0).collect();
        assert_eq!(firsts, [TEXT, FIN | PONG, FIN | CONTINUATION, FIN | PONG, FIN | BINARY]);
    }
}

#[test]
fn a_pong_that_found_no_room_leaves_before_what_is_sent_later() {
    // conf: CT-06 CT-07
    for role in ROLES {
        let mut connection = connection(role, Config::default());
        let mut bytes = wire::ping(role, b"p");
        let mut none = SliceSink::new(&mut []);
        let mut input = Input::new(&mut bytes);
        assert!(matches!(connection.receive(NOW, &mut input, &mut none), Ok(Some(Event::Ping(_)))));
        assert!(connection.wants_write());
        assert!(matches!(connection.send("x", &mut none), Err(SendError::Full { .. })));
        let mut out = Vec::new();
        connection.send("x", &mut out).unwrap();
        assert!(!connection.wants_write());
        assert_eq!(wire::plain(role, &out), [(FIN | PONG, b"p".to_vec()), (FIN | TEXT, b"x".to_vec())]);
    }
}

/// Two ends that both have no room for a pong would otherwise stop reading each other for good.
#[test]
fn input_goes_on_while_a_pong_finds_no_room_and_the_latest_ping_is_answered() {
    // conf: CT-06 CT-07 LM-06
    for role in ROLES {
        let mut connection = connection(role, Config::default());
        let mut flood: Vec<u8> = (0..1000_u32).flat_map(|i| wire::ping(role, &i.to_be_bytes())).collect();
        flood.extend(wire::text(role, "behind them"));
        let mut input = Input::new(&mut flood);
        let mut none = SliceSink::new(&mut []);
        for i in 0..1000_u32 {
            let ping = connection.receive(NOW, &mut input, &mut none).unwrap();
            assert_eq!(ping, Some(Event::Ping((&i.to_be_bytes()[..]).into())));
        }
        let message = connection.receive(NOW, &mut input, &mut none).unwrap();
        assert_eq!(message, Some(Event::Message("behind them".into())));
        assert_eq!(connection.receive(NOW, &mut input, &mut none), Ok(None));
        assert!(input.is_empty() && connection.wants_write());
        let mut out = Vec::new();
        assert!(connection.transmit(&mut out));
        assert_eq!(wire::plain(role, &out), [(FIN | PONG, 999_u32.to_be_bytes().to_vec())]);
    }
}

#[test]
fn each_ping_is_answered_where_there_is_room() {
    // conf: CT-06
    for role in ROLES {
        let mut connection = connection(role, Config::default());
        let mut flood: Vec<u8> = (0..1000_u32).flat_map(|i| wire::ping(role, &i.to_be_bytes())).collect();
        let mut input = Input::new(&mut flood);
        let mut answers = Vec::new();
        for _ in 0..1000 {
            // Room for one frame at a time.
            let mut memory = [0; 10];
            let mut out = SliceSink::new(&mut memory);
            connection.receive(NOW, &mut input, &mut out).unwrap();
            answers.extend_from_slice(out.filled());
        }
        let expected: Vec<_> = (0..1000_u32).map(|i| (FIN | PONG, i.to_be_bytes().to_vec())).collect();
        assert_eq!(wire::plain(role, &answers), expected);
    }
}

#[test]
fn unsolicited_pongs_are_shown_and_not_answered() {
    // conf: CT-08
    for role in ROLES {
        let bytes = [wire::pong(role, b""), wire::pong(role, b"heartbeat"), wire::text(role, "x")].concat();
        accept(role, &bytes, &[Seen::pong(b""), Seen::pong(b"heartbeat"), Seen::text("x")]);
    }
}

#[test]
fn pings_and_pongs_of_the_application_need_an_open_connection() {
    // conf: CT-09
    for role in ROLES {
        let mut session = Session::new(role);
        let Session { connection, out, .. } = &mut session;
        connection.send_fragment("one", Fin::More, out).unwrap();
        connection.ping(b"between", out).unwrap();
        connection.close_without_code(NOW, out).unwrap();
        let before = out.clone();
        assert_eq!(connection.ping(b"x", out), Err(SendError::Closed));
        assert_eq!(connection.pong(b"x", out), Err(SendError::Closed));
        assert_eq!(*out, before);
        let expected =
            [(TEXT, b"one".to_vec()), (FIN | PING, b"between".to_vec()), (FIN | CLOSE, Vec::new())];
        assert_eq!(session.sent(), expected);
    }
}

#[test]
fn a_missing_pong_ends_the_connection() {
    // conf: CT-10
    let second = Duration::from_secs(1);
    for role in ROLES {
        let config = Config::new().ping_interval(5 * second).pong_timeout(3 * second);
        let mut session = Session::with(role, config);
        assert_eq!(session.connection.poll_timeout(), Some(5 * second));
        session.connection.handle_timeout(4 * second, Unread::Nothing, &mut session.out).unwrap();
        assert_eq!(session.sent(), [], "early calls are harmless");
        session.connection.handle_timeout(5 * second, Unread::Nothing, &mut session.out).unwrap();
        let ping = session.take_sent().remove(0);
        assert_eq!(ping.0, FIN | PING);

        // The pong came in time: the interval starts anew.
        let mut pong = wire::pong(role, &ping.1);
        let mut input = Input::new(&mut pong);
        session.connection.receive(7 * second, &mut input, &mut session.out).unwrap();
        assert_eq!(session.connection.rtt(), Some(2 * second));
        assert_eq!(session.connection.poll_timeout(), Some(12 * second));
        session.connection.handle_timeout(12 * second, Unread::Nothing, &mut session.out).unwrap();
        assert_eq!(session.take_sent().len(), 1);

        // This one did not.
        assert_eq!(session.connection.poll_timeout(), Some(15 * second));
        let error = Error::Timeout(Deadline::Pong);
        let result = session.connection.handle_timeout(15 * second, Unread::Nothing, &mut session.out);
        assert_eq!(result, Err(error));
        let close = session.sent().remove(0);
        assert_eq!((close.0, &close.1[..2]), (FIN | CLOSE, &1011_u16.to_be_bytes()[..]));
        support::row::stays_failed(&mut session, error);
    }
}
