//! What happens when the connection fails (RFC 6455 §7.1.7, §10.7).

mod support;

use sansocket::{
    CloseCode, Config, Connection, Error, Fin, Initiator, Input, Limit, ProtocolError, Role, SendError,
    SliceSink, State, TransportAction,
};
use support::wire::{self, CLOSE, FIN, PONG, TEXT};
use support::{NOW, ROLES, Row, Seen, Session, connection, failing_keys, reject};

/// One violation of each kind, with its error and code.
fn violations(role: Role) -> Vec<(Vec<u8>, Error, CloseCode)> {
    let protocol = |bytes, error: ProtocolError| (bytes, Error::from(error), CloseCode::PROTOCOL_ERROR);
    let wrong_mask = match role {
        Role::Server => ProtocolError::MaskMissing,
        Role::Client => ProtocolError::MaskUnexpected,
    };
    let other = if role == Role::Server { Role::Client } else { Role::Server };
    vec![
        protocol(wire::text(other, "x"), wrong_mask),
        protocol(vec![0xC1], ProtocolError::ReservedBits(4)),
        protocol(vec![0x83], ProtocolError::ReservedOpcode(3)),
        protocol(wire::header(role, FIN | TEXT, wire::Length::Medium(5)), ProtocolError::LengthNotMinimal),
        protocol(
            wire::header(role, FIN | TEXT, wire::Length::Long(u64::MAX)),
            ProtocolError::LengthOutOfRange,
        ),
        protocol(vec![0x80], ProtocolError::UnexpectedContinuation),
        protocol([wire::frame(role, TEXT, b""), vec![0x81]].concat(), ProtocolError::UnfinishedMessage),
        protocol(wire::header(role, FIN | CLOSE, wire::Length::Medium(500)), ProtocolError::ControlTooLong),
        protocol(wire::frame(role, CLOSE, b""), ProtocolError::ControlFragmented),
        protocol(wire::frame(role, FIN | CLOSE, b"\x03"), ProtocolError::CloseBodyTooShort),
        protocol(wire::close(role, 1006, ""), ProtocolError::InvalidCloseCode(CloseCode::ABNORMAL)),
    ]
}

#[test]
fn the_library_itself_says_why() {
    // conf: FL-01 FL-04
    for role in ROLES {
        let mut reasons = Vec::new();
        for (bytes, error, code) in violations(role) {
            reject(role, &bytes, error, code); // the Close frame's reason is the text of the error
            reasons.push(error.to_string());
        }
        reasons.sort();
        reasons.dedup();
        assert_eq!(reasons.len(), 11, "each rule has a text of its own: {reasons:?}");
    }
    assert_eq!(
        Error::from(ProtocolError::ReservedBits(5)).to_string(),
        "reserved bits 101 without an extension"
    );
    assert_eq!(Error::from(ProtocolError::ReservedOpcode(11)).to_string(), "reserved opcode 11");
    let code = ProtocolError::InvalidCloseCode(CloseCode::new(999));
    assert_eq!(Error::from(code).to_string(), "close code 999 not allowed on the wire");
    assert_eq!(Error::TooBig { limit: 7 }.to_string(), "message exceeds the limit of 7 bytes");
    assert_eq!(Error::Policy(Limit::Fragments).to_string(), "message in too many fragments");
}

#[test]
fn nothing_is_processed_after_a_failure() {
    // conf: FL-02 FL-07
    for role in ROLES {
        for (bytes, error, _) in violations(role) {
            let mut session = Session::new(role);
            let late = [wire::text(role, "late"), wire::ping(role, b"late"), wire::close(role, 1000, "late")];
            let mut input = [bytes, late.concat()].concat();
            let len = input.len();
            let mut input = Input::new(&mut input);
            for _ in 0..3 {
                assert_eq!(session.connection.receive(NOW, &mut input, &mut session.out), Err(error));
            }
            assert!(input.rest().len() <= len);
            assert_eq!(session.sent().len(), 1, "one Close, no pong, no answer to theirs");
            support::row::stays_failed(&mut session, error);
        }
    }
}

#[test]
fn what_was_complete_before_is_delivered_and_nothing_of_the_bad_message() {
    // conf: FL-03
    for role in ROLES {
        for (bytes, error, code) in violations(role) {
            let good = [
                wire::text(role, "one"),
                wire::ping(role, b"two"),
                wire::fragments(role, 2, &[b"th", b"ree"]),
            ];
            Row::new(role, &[good.concat(), bytes].concat())
                .delivers(&[Seen::text("one"), Seen::ping(b"two"), Seen::binary(b"three")])
                .reject(error, code);
        }
    }
}

#[test]
fn an_application_that_answers_late_finds_the_door_closed() {
    // conf: FL-02 FL-07 FG-08
    for role in ROLES {
        let mut session = Session::new(role);
        session.connection.send_fragment("be", Fin::More, &mut session.out).unwrap();
        session.feed(&[0x70]).unwrap_err();
        let refused = session.connection.send_fragment("gun", Fin::Final, &mut session.out);
        assert_eq!(refused, Err(SendError::Closed));
        assert_eq!(session.connection.fragmenting(), None);
        let firsts: Vec<_> = session.sent().into_iter().map(|frame| frame.0).collect();
        assert_eq!(firsts, [TEXT, FIN | CLOSE]);
    }
}

#[test]
fn what_is_due_can_still_leave_after_a_failure() {
    // conf: FL-01 FG-09
    for role in ROLES {
        for (bytes, error, code) in violations(role) {
            let mut connection = connection(role, Config::default());
            let mut none = SliceSink::new(&mut []);
            let mut input = bytes;
            let mut input = Input::new(&mut input);
            assert_eq!(connection.receive(NOW, &mut input, &mut none), Err(error));
            assert!(connection.wants_write());
            assert!(!connection.transmit(&mut none));
            assert_eq!(
                connection.receive(NOW, &mut input, &mut none),
                Err(error),
                "the error is not held back"
            );
            assert_eq!(connection.state(), State::Closing);
            let mut out = Vec::new();
            assert!(connection.transmit(&mut out));
            assert!(!connection.wants_write());
            let sent = wire::plain(role, &out);
            assert_eq!(
                (sent.len(), sent[0].0, &sent[0].1[..2]),
                (1, FIN | CLOSE, &code.get().to_be_bytes()[..])
            );
            assert!(connection.transmit(&mut out), "nothing is left");
            assert_eq!(wire::plain(role, &out).len(), 1);
        }
    }
}

#[test]
fn a_pong_that_waits_leaves_before_the_close_of_a_failure() {
    // conf: FL-01 FL-03
    for role in ROLES {
        let mut connection = connection(role, Config::default());
        let mut bytes = [wire::ping(role, b"p"), vec![0x70]].concat();
        let mut input = Input::new(&mut bytes);
        connection.receive(NOW, &mut input, &mut SliceSink::new(&mut [])).unwrap().expect("the ping");
        let mut out = Vec::new();
        connection.receive(NOW, &mut input, &mut out).unwrap_err();
        let firsts: Vec<_> = wire::plain(role, &out).into_iter().map(|frame| frame.0).collect();
        assert_eq!(firsts, [FIN | PONG, FIN | CLOSE]);
    }
}

#[test]
fn a_client_without_keys_fails_in_silence() {
    // conf: FL-01 FL-07 MK-09
    let client = |good| Session::of(Connection::client(Config::default(), failing_keys(good), NOW));
    // It cannot answer a ping.
    let mut session = client(0);
    assert_eq!(session.feed(&wire::ping(Role::Client, b"p")), Err(Error::MaskKey));
    assert_eq!(session.feed(b""), Err(Error::MaskKey));
    assert_eq!((session.out.len(), session.connection.wants_write()), (0, false));
    assert_eq!(session.connection.state(), State::Closed);
    assert_eq!(session.connection.transport_action(), TransportAction::Drop);
    let summary = session.connection.summary().unwrap();
    assert_eq!((summary.initiator, summary.error), (Initiator::Library, Some(Error::MaskKey)));

    // It cannot say why it fails; the cause stays the first one.
    let mut session = client(0);
    let error = Error::from(ProtocolError::ReservedBits(7));
    assert_eq!(session.feed(&[0x70]), Err(error));
    assert_eq!(session.feed(&[0x70]), Err(error));
    assert_eq!((session.out.len(), session.connection.transport_action()), (0, TransportAction::Drop));

    // A message that was being sent ends with it.
    let mut session = client(1);
    session.connection.send_fragment("be", Fin::More, &mut session.out).unwrap();
    session.feed(&wire::ping(Role::Client, b"p")).unwrap_err();
    assert_eq!(session.connection.fragmenting(), None);
}

#[test]
fn no_bytes_make_it_panic_or_hang() {
    // conf: FL-05 FL-07
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for run in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..1 + run % 30 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes.push(match random >> 60 {
                0..4 => [0x81, 0x01, 0x82, 0x00, 0x80, 0x88, 0x89, 0x8A][random as usize % 8],
                4..8 => ((random >> 8) as u8 % 8) | ((random >> 16) as u8 & 0x80),
                8 => 126 | ((random >> 8) as u8 & 0x81),
                _ => (random >> 24) as u8,
            });
        }
        let mut session = Session::with(ROLES[run % 2], Config::new().max_message_size(100));
        let outcome = session.feed_cut(&bytes, 1 + run % 5).map_err(|(_, error)| error);
        let sent = session.sent();
        assert_eq!(outcome.is_err(), session.feed(b"").is_err());
        if outcome.is_err() {
            assert_eq!(sent.last().map(|frame| frame.0), Some(FIN | CLOSE), "{bytes:02x?}");
        }
        _ = session.connection.handle_eof();
        assert_eq!(session.connection.transport_action(), TransportAction::Drop);
    }
}
