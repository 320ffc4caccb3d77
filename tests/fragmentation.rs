//! Messages in fragments, received and sent (RFC 6455 §5.4, §6).

mod support;

use sansocket::{CloseCode, Config, Error, Fin, Kind, Limit, Message, Prepared, ProtocolError, SendError};
use support::wire::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT};
use support::{NOW, ROLES, Row, Seen, Session, accept, connection, reject};

const PROTOCOL_ERROR: CloseCode = CloseCode::PROTOCOL_ERROR;

/// All ways to cut `bytes` into parts, then with an empty part at each place.
fn all_partitions(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut all = Vec::new();
    for cuts in 0..1 << (bytes.len() - 1) {
        let mut parts = Vec::new();
        let mut start = 0;
        for end in 1..=bytes.len() {
            if end == bytes.len() || cuts >> (end - 1) & 1 == 1 {
                parts.push(&bytes[start..end]);
                start = end;
            }
        }
        for at in 0..=parts.len() {
            let mut with_empty = parts.clone();
            with_empty.insert(at, &[]);
            all.push(with_empty);
        }
        all.push(parts);
    }
    all
}

#[test]
fn every_fragmentation_gives_the_same_message() {
    // conf: FG-01 FG-05 U8-01
    let text = "aß€𝄞"; // characters of 1 to 4 bytes, cut everywhere
    for role in ROLES {
        for parts in all_partitions(text.as_bytes()) {
            for step in [usize::MAX, 1] {
                let mut session = Session::new(role);
                session.feed_cut(&wire::fragments(role, TEXT, &parts), step).unwrap();
                session.feed_cut(&wire::fragments(role, BINARY, &parts), step).unwrap();
                let seen = [Seen::text(text), Seen::binary(text.as_bytes())];
                assert_eq!(session.seen, seen, "{parts:02x?} in steps of {step}");
            }
        }
    }
}

#[test]
fn a_continuation_needs_a_message() {
    // conf: FG-02
    let error = ProtocolError::UnexpectedContinuation;
    for role in ROLES {
        for first in [CONTINUATION, FIN | CONTINUATION] {
            for payload in [&b""[..], b"abc"] {
                let frame = wire::frame(role, first, payload);
                assert_eq!(reject(role, &frame, error, PROTOCOL_ERROR), 1);
                // Right after a message in one frame, and after the final fragment of another.
                for before in [wire::text(role, "a"), wire::fragments(role, TEXT, &[b"", b"a"])] {
                    let bytes = [before, frame.clone()].concat();
                    Row::new(role, &bytes).delivers(&[Seen::text("a")]).reject(error, PROTOCOL_ERROR);
                }
                // A control frame begins no message.
                let bytes = [wire::ping(role, b"a"), frame].concat();
                Row::new(role, &bytes).delivers(&[Seen::ping(b"a")]).reject(error, PROTOCOL_ERROR);
            }
        }
        accept(role, &wire::fragments(role, TEXT, &[b"abc", b""]), &[Seen::text("abc")]);
    }
}

#[test]
fn a_new_message_waits_for_the_end_of_the_one_in_progress() {
    // conf: FG-03
    for role in ROLES {
        for outer in [TEXT, BINARY] {
            for inner in [TEXT, BINARY, FIN | TEXT, FIN | BINARY] {
                let start = wire::frame(role, outer, b"a");
                let bytes = [start.clone(), wire::frame(role, inner, b"b")].concat();
                let taken = reject(role, &bytes, ProtocolError::UnfinishedMessage, PROTOCOL_ERROR);
                assert_eq!(taken, start.len() + 1);
                let later =
                    [start, wire::frame(role, CONTINUATION, b""), wire::frame(role, inner, b"")].concat();
                reject(role, &later, ProtocolError::UnfinishedMessage, PROTOCOL_ERROR);
            }
        }
    }
}

#[test]
fn control_frames_between_fragments_are_handled_at_once() {
    // conf: FG-04
    for role in ROLES {
        let between = [
            wire::frame(role, TEXT, "gr\u{fc}".as_bytes().split_last().unwrap().1), // cut inside ü
            wire::ping(role, b"1"),
            wire::frame(role, CONTINUATION, b"\xBC"),
            wire::pong(role, b"2"),
            wire::ping(role, b"3"),
            wire::frame(role, FIN | CONTINUATION, "ße".as_bytes()),
        ];
        let seen = [Seen::ping(b"1"), Seen::pong(b"2"), Seen::ping(b"3"), Seen::text("grüße")];
        accept(role, &between.concat(), &seen);

        let mut session = Session::new(role);
        session.feed(&between[..2].concat()).unwrap();
        assert_eq!(session.seen, [Seen::ping(b"1")], "before the message ends");
        assert_eq!(session.sent(), [(FIN | PONG, b"1".to_vec())]);
    }
}

#[test]
fn control_frames_do_not_hide_a_wrong_order() {
    // conf: FG-03 FG-04
    for role in ROLES {
        let bytes = [wire::frame(role, TEXT, b"a"), wire::ping(role, b"p"), wire::text(role, "b")].concat();
        Row::new(role, &bytes)
            .delivers(&[Seen::ping(b"p")])
            .reject(ProtocolError::UnfinishedMessage, PROTOCOL_ERROR);
    }
}

#[test]
fn fragments_keep_their_order_and_the_kind_of_the_first() {
    // conf: FG-05
    for role in ROLES {
        let parts: Vec<Vec<u8>> = (0..200_u8).map(|i| vec![i; usize::from(i % 5)]).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let mut session = Session::new(role);
        session.feed(&wire::fragments(role, BINARY, &parts)).unwrap();
        session.feed(&wire::fragments(role, TEXT, &[b"1", b"2", b"3"])).unwrap();
        assert_eq!(session.seen, [Seen::Binary(parts.concat()), Seen::text("123")]);
    }
}

#[test]
fn what_is_sent_in_fragments_has_one_opcode_and_one_fin() {
    // conf: FG-06 CT-09
    for role in ROLES {
        let mut session = Session::new(role);
        let Session { connection, out, .. } = &mut session;
        connection.send_fragment("one", Fin::More, out).unwrap();
        assert_eq!(connection.fragmenting(), Some(Kind::Text));
        connection.ping(b"p", out).unwrap();
        connection.send_fragment("", Fin::More, out).unwrap();
        connection.pong(b"q", out).unwrap();
        connection.send_fragment("three", Fin::Final, out).unwrap();
        assert_eq!(connection.fragmenting(), None);
        connection.send_fragment(&[1, 2], Fin::Final, out).unwrap();
        connection.send_fragment(&[3], Fin::More, out).unwrap();
        connection.send_fragment(&[4], Fin::Final, out).unwrap();
        let expected = [
            (TEXT, b"one".to_vec()),
            (FIN | PING, b"p".to_vec()),
            (CONTINUATION, Vec::new()),
            (FIN | PONG, b"q".to_vec()),
            (FIN | CONTINUATION, b"three".to_vec()),
            (FIN | BINARY, vec![1, 2]),
            (BINARY, vec![3]),
            (FIN | CONTINUATION, vec![4]),
        ];
        assert_eq!(session.sent(), expected);
    }
}

#[test]
fn no_other_data_frame_fits_between_fragments() {
    // conf: FG-06
    for role in ROLES {
        let mut session = Session::new(role);
        let Session { connection, out, .. } = &mut session;
        connection.send_fragment("one", Fin::More, out).unwrap();
        let before = out.clone();
        let in_progress = Err(SendError::MessageInProgress);
        assert_eq!(connection.send("x", out), in_progress);
        assert_eq!(connection.send(&[1], out), in_progress);
        assert_eq!(connection.send_prepared(&Prepared::new("x"), out), in_progress);
        assert_eq!(connection.envelope(&Message::from("x")).map(|_| ()), in_progress);
        assert_eq!(connection.send_fragment(&[1], Fin::Final, out), Err(SendError::KindChanged));
        assert_eq!(*out, before, "nothing was written");
        assert_eq!(connection.fragmenting(), Some(Kind::Text));
        connection.send_fragment("two", Fin::Final, out).unwrap();
        connection.send("x", out).unwrap();
        let firsts: Vec<u8> = session.sent().into_iter().map(|frame| frame.0).collect();
        assert_eq!(firsts, [TEXT, FIN | CONTINUATION, FIN | TEXT]);
    }
}

#[test]
fn sending_needs_an_open_connection() {
    // conf: FG-08 CL-06
    type End = fn(&mut Session);
    let ends: [(&str, End); 5] = [
        ("our close", |s| s.connection.close(NOW, CloseCode::NORMAL, "", &mut s.out).unwrap()),
        ("our close without a code", |s| s.connection.close_without_code(NOW, &mut s.out).unwrap()),
        ("their close", |s| s.feed(&wire::close(s.role(), 1000, "")).unwrap()),
        ("a failure", |s| _ = s.feed(&[0x70]).unwrap_err()),
        ("the end of the stream", |s| _ = s.connection.handle_eof().unwrap_err()),
    ];
    for role in ROLES {
        for (name, end) in ends {
            let mut session = Session::new(role);
            session.connection.send_fragment("begun", Fin::More, &mut session.out).unwrap();
            end(&mut session);
            let before = session.out.clone();
            let Session { connection, out, .. } = &mut session;
            assert_eq!(connection.fragmenting(), None, "the message is cut off by {name}");
            let closed = Err(SendError::Closed);
            assert_eq!(connection.send_fragment("x", Fin::Final, out), closed, "{name}");
            assert_eq!(connection.send("x", out), closed, "{name}");
            assert_eq!(connection.send_prepared(&Prepared::new("x"), out), closed, "{name}");
            assert_eq!(connection.envelope(&Message::from("x")).map(|_| ()), closed, "{name}");
            assert_eq!(connection.ping(b"x", out), closed, "{name}");
            assert_eq!(connection.pong(b"x", out), closed, "{name}");
            assert_eq!(connection.close(NOW, CloseCode::NORMAL, "", out), closed, "{name}");
            assert_eq!(connection.close_without_code(NOW, out), closed, "{name}");
            assert_eq!(*out, before, "{name}");
        }
        let mut out = Vec::new();
        assert_eq!(connection(role, Config::default()).send("x", &mut out), Ok(()), "while it is open");
    }
}

#[test]
fn a_close_cuts_off_what_is_being_sent() {
    // conf: CL-05 FG-08
    for role in ROLES {
        let mut session = Session::new(role);
        session.connection.send_fragment("begun", Fin::More, &mut session.out).unwrap();
        session.feed(&wire::close(role, 1001, "away")).unwrap();
        let close = (FIN | CLOSE, 1001_u16.to_be_bytes().to_vec());
        assert_eq!(session.sent(), [(TEXT, b"begun".to_vec()), close]);
    }
}

#[test]
fn a_message_begins_after_the_final_fragment() {
    // conf: FG-11
    for role in ROLES {
        let bytes = [
            wire::fragments(role, TEXT, &[b"a", b"b"]),
            wire::text(role, "c"),
            wire::fragments(role, BINARY, &[b"", b"d", b""]),
            wire::fragments(role, TEXT, &[b"", b""]),
            wire::binary(role, b"e"),
        ];
        let seen =
            [Seen::text("ab"), Seen::text("c"), Seen::binary(b"d"), Seen::text(""), Seen::binary(b"e")];
        accept(role, &bytes.concat(), &seen);
    }
}

#[test]
fn a_message_has_a_bounded_number_of_fragments() {
    // conf: FG-12 CC-09
    for role in ROLES {
        let config = Config::new().max_fragments(3);
        let row =
            |parts: &[&[u8]]| Row::new(role, &wire::fragments(role, TEXT, parts)).config(config.clone());
        row(&[b"a", b"b", b"c"]).delivers(&[Seen::text("abc")]).accept();
        let error = Error::Policy(Limit::Fragments);
        row(&[b"a", b"b", b"c", b"d"]).reject(error, CloseCode::POLICY_VIOLATION);
        // The count starts anew with each message.
        let twice = wire::fragments(role, TEXT, &[b"a", b"b", b"c"]).repeat(2);
        let seen = [Seen::text("abc"), Seen::text("abc")];
        Row::new(role, &twice).config(config.clone()).delivers(&seen).accept();
        // A message in one frame is not fragmented: no limit keeps it out, however it arrives.
        let unfragmented = Row::new(role, &wire::text(role, "abc")).config(Config::new().max_fragments(0));
        unfragmented.delivers(&[Seen::text("abc")]).accept();
    }
}

#[test]
fn a_message_has_a_bounded_number_of_empty_fragments() {
    // conf: FG-12 CC-09
    for role in ROLES {
        let config = Config::new().max_empty_fragments(2);
        let row =
            |parts: &[&[u8]]| Row::new(role, &wire::fragments(role, BINARY, parts)).config(config.clone());
        row(&[b"", b"a", b"b", b"", b"c"]).delivers(&[Seen::binary(b"abc")]).accept();
        let error = Error::Policy(Limit::EmptyFragments);
        row(&[b"", b"a", b"", b"b", b""]).reject(error, CloseCode::POLICY_VIOLATION);
        let none = Config::new().max_empty_fragments(0);
        let empty = wire::binary(role, b"");
        Row::new(role, &empty).config(none).delivers(&[Seen::binary(b"")]).accept();
    }
}

#[test]
fn the_default_caps_hold() {
    // conf: FG-12
    for role in ROLES {
        let mut session = Session::new(role);
        session.feed(&wire::frame(role, TEXT, b"")).unwrap();
        session.feed(&wire::frame(role, CONTINUATION, b"").repeat(255)).unwrap();
        let error = Error::Policy(Limit::EmptyFragments);
        assert_eq!(session.feed(&wire::frame(role, CONTINUATION, b"")), Err(error), "the 257th");

        let mut session = Session::new(role);
        session.feed(&wire::frame(role, BINARY, b"x")).unwrap();
        session.feed(&wire::frame(role, CONTINUATION, b"x").repeat((128 << 10) - 1)).unwrap();
        let error = Error::Policy(Limit::Fragments);
        assert_eq!(session.feed(&wire::frame(role, FIN, b"x")), Err(error), "the 131,073rd");
    }
}
