//! The closing handshake (RFC 6455 §5.5.1, §7.1): who says what, who ends the transport, what is reported.

mod support;

use core::time::Duration;

use sansocket::{
    CloseCode, Config, Connection, Deadline, Error, Fin, Initiator, Input, ProtocolError, Role, SendError,
    SliceSink, State, TransportAction, Unread,
};
use support::wire::{self, CLOSE, FIN, PING, TEXT};
use support::{NOW, ROLES, Row, Seen, Session, accept, connection, failing_keys, reject};

const NORMAL: CloseCode = CloseCode::NORMAL;
const SECOND: Duration = Duration::from_secs(1);

/// The end that waits for the other to end the transport, and the one that does so (§7.1.1).
fn after_both(role: Role) -> TransportAction {
    match role {
        Role::Server => TransportAction::ShutdownWrite,
        Role::Client => TransportAction::Keep,
    }
}

fn close(session: &mut Session) {
    session.connection.close(NOW, NORMAL, "done", &mut session.out).unwrap();
}

/// Takes the peer's Close frame while the output has no room for the answer.
fn receive_close_without_room(session: &mut Session) {
    let mut bytes = wire::close(session.role(), 1000, "theirs");
    let mut input = Input::new(&mut bytes);
    session.connection.receive(NOW, &mut input, &mut SliceSink::new(&mut [])).unwrap().expect("the close");
}

fn what(session: &Session) -> (State, TransportAction, Option<bool>) {
    let connection = &session.connection;
    (connection.state(), connection.transport_action(), connection.summary().map(|summary| summary.clean))
}

#[test]
fn the_table_of_the_closing_handshake() {
    // conf: CL-08 CL-09 CL-11 CL-15
    use State::{Closed, Closing, Open};
    use TransportAction::{Drop, Keep, ShutdownWrite};
    for role in ROLES {
        // sent no, received no
        let mut session = Session::new(role);
        assert_eq!(what(&session), (Open, Keep, None));
        session.connection.handle_eof().unwrap_err();
        assert_eq!(what(&session), (Closed, Drop, Some(false)));

        // sent no, received yes: the answer waits for room
        let mut session = Session::new(role);
        receive_close_without_room(&mut session);
        assert!(session.connection.wants_write());
        assert_eq!(what(&session), (Closing, Keep, None));
        assert!(session.connection.transmit(&mut session.out));
        assert_eq!(what(&session), (Closing, after_both(role), Some(true)));
        assert_eq!(session.sent(), [(FIN | CLOSE, wire::close_body(1000, ""))]);

        // the same, and the stream ends before the answer left
        let mut session = Session::new(role);
        receive_close_without_room(&mut session);
        session.connection.handle_eof().unwrap();
        assert_eq!(what(&session), (Closed, Keep, Some(false)), "the peer may still read");
        assert!(session.connection.transmit(&mut session.out));
        assert_eq!(what(&session), (Closed, Drop, Some(true)));

        // sent yes, received no
        let mut session = Session::new(role);
        close(&mut session);
        assert_eq!(what(&session), (Closing, Keep, None));
        session.connection.handle_eof().unwrap_err();
        assert_eq!(what(&session), (Closed, Drop, Some(false)));

        // sent yes, received yes
        let mut session = Session::new(role);
        close(&mut session);
        session.feed(&wire::close(role, 1000, "")).unwrap();
        assert_eq!(what(&session), (Closing, after_both(role), Some(true)));
        session.connection.handle_eof().unwrap();
        assert_eq!(what(&session), (Closed, Drop, Some(true)));

        // failed
        let mut session = Session::new(role);
        session.feed(&[0x70]).unwrap_err();
        assert_eq!(what(&session), (Closing, ShutdownWrite, Some(false)));

        // over
        let mut session = Session::new(role);
        close(&mut session);
        let late = session.connection.poll_timeout().unwrap();
        let overdue = session.connection.handle_timeout(late, Unread::Nothing, &mut session.out);
        assert_eq!(overdue, Err(Error::Timeout(Deadline::Close)));
        assert_eq!(what(&session), (Closed, Drop, Some(false)));
        assert_eq!(session.connection.poll_timeout(), None);
    }
}

#[test]
fn an_empty_close_is_1005_and_answered_by_an_empty_one() {
    // conf: CL-01 CL-12
    for role in ROLES {
        accept(role, &wire::frame(role, FIN | CLOSE, b""), &[Seen::close(CloseCode::NO_STATUS_RECEIVED, "")]);
        let mut session = Session::new(role);
        session.feed(&wire::frame(role, FIN | CLOSE, b"")).unwrap();
        assert_eq!(session.sent(), [(FIN | CLOSE, Vec::new())]);
        let summary = session.connection.summary().unwrap();
        assert_eq!((summary.code, &*summary.reason), (CloseCode::NO_STATUS_RECEIVED, ""));
        assert!(summary.clean);

        let mut session = Session::new(role);
        session.connection.close_without_code(NOW, &mut session.out).unwrap();
        assert_eq!(session.sent(), [(FIN | CLOSE, Vec::new())]);
    }
}

#[test]
fn a_body_of_one_byte_is_refused() {
    // conf: CL-02
    for role in ROLES {
        for byte in [0x03, 0x00, 0xE8] {
            let bytes = wire::frame(role, FIN | CLOSE, &[byte]);
            reject(role, &bytes, ProtocolError::CloseBodyTooShort, CloseCode::PROTOCOL_ERROR);
        }
        accept(role, &wire::close(role, 1000, ""), &[Seen::close(NORMAL, "")]);
    }
}

#[test]
fn a_close_is_answered_once_with_its_code() {
    // conf: CL-04 CL-06 CL-13
    for role in ROLES {
        let mut session = Session::new(role);
        let again = wire::close(role, 4000, "again");
        session.feed(&[wire::close(role, 3999, "grüße"), again.clone()].concat()).unwrap();
        session.feed(&again).unwrap();
        assert_eq!(session.seen, [Seen::close(CloseCode::new(3999), "grüße")], "the first one counts");
        assert_eq!(session.sent(), [(FIN | CLOSE, 3999_u16.to_be_bytes().to_vec())], "no reason is echoed");
        let summary = session.connection.summary().unwrap();
        assert_eq!((summary.code.get(), &*summary.reason), (3999, "grüße"));
        assert_eq!((summary.initiator, summary.error), (Initiator::Remote, None));
        assert_eq!(summary.to_string(), "3999 \"grüße\", clean, begun by the peer");

        // Our own Close was sent: theirs needs no answer.
        let mut session = Session::new(role);
        close(&mut session);
        session.out.clear();
        session.feed(&wire::close(role, 1000, "")).unwrap();
        assert_eq!(session.out, b"");
        assert_eq!(session.connection.summary().unwrap().initiator, Initiator::Local);
    }
}

#[test]
fn nothing_is_written_after_our_close() {
    // conf: CL-06
    for role in ROLES {
        let mut session = Session::new(role);
        close(&mut session);
        session.feed(&wire::ping(role, b"?")).unwrap();
        for _ in 0..2 {
            let refused = session.connection.close(NOW, NORMAL, "again", &mut session.out);
            assert_eq!(refused, Err(SendError::Closed));
            session.connection.handle_timeout(SECOND, Unread::Nothing, &mut session.out).unwrap();
        }
        // A violation after our Close fails the connection, without a second Close.
        assert_eq!(session.feed(&[0x70]), Err(ProtocolError::ReservedBits(7).into()));
        assert_eq!(session.sent(), [(FIN | CLOSE, wire::close_body(1000, "done"))]);
        let summary = session.connection.summary().unwrap();
        assert_eq!((summary.clean, summary.initiator), (false, Initiator::Local));
        assert_eq!(session.connection.transport_action(), TransportAction::ShutdownWrite);
    }
}

#[test]
fn data_still_comes_between_our_close_and_theirs() {
    // conf: CL-07
    for role in ROLES {
        for step in [usize::MAX, 1] {
            let mut session = Session::new(role);
            session.feed(&wire::frame(role, TEXT, b"be")).unwrap();
            close(&mut session);
            let rest =
                [wire::frame(role, FIN, b"gun"), wire::binary(role, b"x"), wire::close(role, 1001, "")];
            session.feed_cut(&rest.concat(), step).unwrap();
            let close = Seen::close(CloseCode::GOING_AWAY, "");
            assert_eq!(session.seen, [Seen::text("begun"), Seen::binary(b"x"), close]);
        }
    }
}

#[test]
fn everything_after_their_close_is_ignored() {
    // conf: CL-07 CL-10
    for role in ROLES {
        for junk in [wire::text(role, "x"), wire::ping(role, b""), vec![0xFF; 300], vec![0x70], vec![0; 5]] {
            let bytes = [wire::close(role, 1000, ""), junk.clone()].concat();
            for step in [usize::MAX, 1] {
                let mut session = Session::new(role);
                session.feed_cut(&bytes, step).unwrap();
                session.feed(&junk).unwrap();
                assert_eq!(session.seen, [Seen::close(NORMAL, "")]);
                assert_eq!(session.sent().len(), 1);
                assert!(session.connection.summary().unwrap().clean);
                session.connection.handle_eof().unwrap();
                session.feed(&junk).unwrap();
                assert!(session.connection.summary().unwrap().clean);
            }
        }
    }
}

#[test]
fn the_server_ends_the_transport_and_the_client_waits_with_a_deadline() {
    // conf: CL-08 CL-09 CL-10
    for role in ROLES {
        for ours_first in [true, false] {
            let mut session = Session::with(role, Config::new().close_timeout(3 * SECOND));
            if ours_first {
                close(&mut session);
            }
            let mut bytes = wire::close(role, 1000, "");
            let mut input = Input::new(&mut bytes);
            session.connection.receive(SECOND, &mut input, &mut session.out).unwrap();
            assert_eq!(session.connection.transport_action(), after_both(role));
            // From the first Close: the answer of a peer, which may come as late as it likes, begins no other wait.
            let due = if ours_first { 3 * SECOND } else { 4 * SECOND };
            assert_eq!(session.connection.poll_timeout(), Some(due));
            let early = due - Duration::from_nanos(1);
            session.connection.handle_timeout(early, Unread::Nothing, &mut session.out).unwrap();
            assert_eq!(session.connection.transport_action(), after_both(role), "it is not due yet");
            session.connection.handle_timeout(due, Unread::Nothing, &mut session.out).unwrap();
            assert_eq!(session.connection.transport_action(), TransportAction::Drop);
            assert_eq!(session.connection.state(), State::Closed);
            let summary = session.connection.summary().unwrap();
            assert_eq!((summary.clean, summary.error), (true, None), "a peer that lingers spoils nothing");
            assert_eq!(session.connection.poll_timeout(), None);
        }
    }
}

#[test]
fn clean_means_close_frames_in_both_directions() {
    // conf: CL-11
    // A client whose source of keys fails cannot answer: nothing was sent.
    let mut session = Session::of(Connection::client(Config::default(), failing_keys(0), NOW));
    let bytes = wire::close(Role::Client, 1000, "bye");
    assert_eq!(session.feed(&bytes), Err(Error::MaskKey));
    assert_eq!(session.out, b"");
    let summary = session.connection.summary().unwrap();
    assert!(!summary.clean);
    assert_eq!((summary.code, &*summary.reason), (NORMAL, "bye"), "their frame was received all the same");
    assert_eq!(session.connection.transport_action(), TransportAction::Drop);

    // A transport that takes nothing keeps the answer from leaving.
    for role in ROLES {
        let mut session = Session::with(role, Config::new().write_timeout(SECOND));
        receive_close_without_room(&mut session);
        session.connection.handle_written(NOW, 0, 1);
        let mut none = SliceSink::new(&mut []);
        let error = Error::Timeout(Deadline::Write);
        assert_eq!(session.connection.handle_timeout(SECOND, Unread::Nothing, &mut none), Err(error));
        let summary = session.connection.summary().unwrap();
        assert_eq!((summary.clean, summary.error), (false, Some(error)));
        assert!(!session.connection.wants_write());
    }
}

#[test]
fn a_stalled_transport_is_given_up_also_after_the_end_of_the_stream() {
    // conf: CL-09
    for role in ROLES {
        let mut session = Session::with(role, Config::new().write_timeout(2 * SECOND));
        session.feed(&wire::close(role, 1000, "")).unwrap();
        session.connection.handle_written(NOW, 0, session.out.len());
        session.connection.handle_eof().unwrap();
        assert_eq!(session.connection.transport_action(), TransportAction::Keep, "the peer may still read");
        assert_eq!(
            session.connection.poll_timeout(),
            Some(2 * SECOND),
            "the answer still waits to be written"
        );
        let result = session.connection.handle_timeout(2 * SECOND, Unread::Nothing, &mut session.out);
        assert_eq!(result, Err(Error::Timeout(Deadline::Write)));
        assert_eq!(session.connection.transport_action(), TransportAction::Drop);
        assert_eq!(session.connection.poll_timeout(), None);
        assert!(!session.connection.summary().unwrap().clean);

        let mut session = Session::with(role, Config::new().write_timeout(2 * SECOND));
        session.feed(&wire::close(role, 1000, "")).unwrap();
        session.connection.handle_written(NOW, 0, session.out.len());
        session.connection.handle_eof().unwrap();
        session.connection.handle_written(SECOND, session.out.len(), 0);
        assert_eq!(session.connection.poll_timeout(), None, "it has left");
        session.connection.handle_timeout(9 * SECOND, Unread::Nothing, &mut session.out).unwrap();
        assert!(session.connection.summary().unwrap().clean);
    }
}

#[test]
fn the_reported_code_and_reason_are_the_peers() {
    // conf: CL-12 CL-13
    for role in ROLES {
        let mut session = Session::new(role);
        assert!(session.connection.summary().is_none());
        close(&mut session);
        session.feed(&wire::close(role, 4711, "mine")).unwrap();
        let summary = session.connection.summary().unwrap();
        assert_eq!((summary.code.get(), &*summary.reason), (4711, "mine"), "not the 1000 that we sent");

        let mut session = Session::new(role);
        close(&mut session);
        assert_eq!(session.connection.handle_eof(), Err(Error::UnexpectedEof));
        let summary = session.connection.summary().unwrap();
        assert_eq!((summary.code, &*summary.reason), (CloseCode::ABNORMAL, ""));
    }
}

#[test]
fn both_may_close_at_the_same_time() {
    // conf: CL-14
    let (mut client, mut server) = (Session::new(Role::Client), Session::new(Role::Server));
    client.connection.close(NOW, CloseCode::new(3001), "client", &mut client.out).unwrap();
    server.connection.close(NOW, CloseCode::new(3002), "server", &mut server.out).unwrap();
    let (to_server, to_client) = (core::mem::take(&mut client.out), core::mem::take(&mut server.out));
    client.feed(&to_client).unwrap();
    server.feed(&to_server).unwrap();
    for (session, code, reason) in [(&mut client, 3002, "server"), (&mut server, 3001, "client")] {
        assert_eq!(session.out, b"", "no further Close");
        let summary = session.connection.summary().unwrap();
        assert_eq!((summary.code.get(), &*summary.reason, summary.clean), (code, reason, true));
        assert_eq!((summary.initiator, summary.error), (Initiator::Local, None));
        assert_eq!(session.connection.transport_action(), after_both(session.role()));
        session.connection.handle_eof().unwrap();
        assert_eq!(session.connection.state(), State::Closed);
    }
}

/// A few of the things that can happen, in an order that `random` chooses.
fn happen(session: &mut Session, now: &mut Duration, random: u64) {
    let role = session.role();
    let mut none = SliceSink::new(&mut []);
    match random % 13 {
        0 => _ = session.feed(&wire::text(role, "x")),
        1 => _ = session.feed(&wire::ping(role, b"p")),
        2 => _ = session.feed(&wire::frame(role, TEXT, b"x")),
        3 => _ = session.feed(&wire::frame(role, FIN, b"x")),
        4 if random >> 8 & 3 == 0 => _ = session.feed(&wire::close(role, 1000, "")),
        5 if random >> 8 & 7 == 0 => _ = session.feed(&[0x70]),
        6 => _ = session.connection.send("x", &mut session.out),
        7 => _ = session.connection.send_fragment("x", Fin::More, &mut session.out),
        8 if random >> 8 & 3 == 0 => _ = session.connection.close(*now, NORMAL, "", &mut session.out),
        9 if random >> 8 & 7 == 0 => _ = session.connection.handle_eof(),
        10 => {
            *now += 4 * SECOND;
            _ = session.connection.handle_timeout(*now, Unread::Nothing, &mut session.out);
        }
        11 => _ = session.connection.handle_timeout(*now, Unread::Possible, &mut none),
        12 => {
            let mut bytes =
                if random >> 8 & 3 == 0 { wire::close(role, 1001, "") } else { wire::ping(role, b"q") };
            _ = session.connection.receive(*now, &mut Input::new(&mut bytes), &mut none);
        }
        _ => {}
    }
}

#[test]
fn the_state_only_moves_forward_whatever_happens() {
    // conf: CL-15 CL-06 FL-05 FL-07
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for run in 0..3000 {
        let mut session = Session::new(ROLES[run % 2]);
        let mut now = NOW;
        let mut state = State::Open;
        let mut ended = None;
        for _ in 0..40 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            happen(&mut session, &mut now, random >> 11);
            let next = session.connection.state();
            assert!(next >= state, "{state:?} to {next:?}");
            state = next;
            if next == State::Open {
                assert_eq!(session.connection.transport_action(), TransportAction::Keep);
                assert!(session.connection.summary().is_none());
            }
            let error = session.feed(b"").err();
            assert!(ended.is_none() || error == ended, "{ended:?} became {error:?}");
            ended = error;
            let sent = session.sent(); // panics on half a frame
            let close = sent.iter().position(|frame| frame.0 == FIN | CLOSE);
            assert!(close.is_none_or(|at| at + 1 == sent.len()), "a Close is the last frame: {sent:?}");
        }
        if session.connection.summary().is_some_and(|summary| summary.clean) {
            assert_eq!(session.sent().last().map(|frame| frame.0), Some(FIN | CLOSE));
        }
    }
}

#[test]
fn a_client_does_not_close_on_its_own() {
    // conf: CL-19
    let mut session = Session::with(Role::Client, Config::new().pong_timeout(None));
    let everything =
        [wire::text(Role::Client, "x"), wire::ping(Role::Client, b""), wire::pong(Role::Client, b"")];
    session.feed(&everything.concat()).unwrap();
    for hour in 1..50 {
        let now = Duration::from_secs(3600 * hour);
        session.connection.handle_timeout(now, Unread::Nothing, &mut session.out).unwrap();
        let mut pong = wire::pong(Role::Client, b"");
        session.connection.receive(now, &mut Input::new(&mut pong), &mut session.out).unwrap();
    }
    assert_eq!(session.connection.state(), State::Open);
    let frames = session.sent();
    assert!(frames.iter().all(|frame| frame.0 != FIN | CLOSE));
    assert!(frames.iter().any(|frame| frame.0 == FIN | PING), "it asks, but it does not leave");
}

#[test]
fn a_close_inside_a_message_is_an_ordinary_close() {
    // conf: CL-21
    for role in ROLES {
        let bytes = [wire::frame(role, TEXT, b"be"), wire::close(role, 1001, "away")].concat();
        accept(role, &bytes, &[Seen::close(CloseCode::GOING_AWAY, "away")]);
        let cut_character = [wire::frame(role, TEXT, b"\xC3"), wire::close(role, 1001, "")].concat();
        accept(role, &cut_character, &[Seen::close(CloseCode::GOING_AWAY, "")]);
        // Inside a frame it is payload.
        let inside = wire::binary(role, &wire::close(role, 1001, ""));
        Row::new(role, &inside).delivers(&[Seen::binary(&wire::close(role, 1001, ""))]).accept();
    }
    let mut out = Vec::new();
    connection(Role::Server, Config::default()).close(NOW, NORMAL, "", &mut out).unwrap();
    assert_eq!(out, [FIN | CLOSE, 2, 0x03, 0xE8]);
}
