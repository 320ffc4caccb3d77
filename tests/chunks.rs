//! `Delivery::Chunks`: data as it arrives, in every respect the same messages (RFC 6455 §5.4, §6.2).

mod support;

use proptest::prelude::*;
use sansocket::{
    Chunk, CloseCode, Config, Delivery, Error, Event, Fin, Input, Kind, Limit, ProtocolError, Role,
    SendError, Sink,
};
use support::wire::{self, BINARY, CLOSE, FIN, Length, PING, PONG, RSV1, TEXT};
use support::{NOW, ROLES, Row, Seen, Session, connection};

fn chunks() -> Config {
    Config::new().delivery(Delivery::Chunks)
}

/// The chunks that each of the reads brings: kind, payload, first, last.
fn read(role: Role, reads: &[&[u8]]) -> Vec<(Kind, Vec<u8>, bool, bool)> {
    let mut connection = connection(role, chunks());
    let mut seen = Vec::new();
    for bytes in reads {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        while let Some(event) = connection.receive(NOW, &mut input, &mut Vec::new()).unwrap() {
            if let Event::Chunk(Chunk { kind, payload, first, last, .. }) = event {
                seen.push((kind, payload.to_vec(), first, last));
            }
        }
    }
    seen
}

#[test]
fn payload_comes_before_its_frame_is_complete() {
    // conf: FG-07
    for role in ROLES {
        let frame = wire::text(role, "hello, grüße");
        let header = frame.len() - 14;
        let reads = [&frame[..header + 3], &frame[header + 3..header + 10], b"", &frame[header + 10..]];
        let expected = [
            (Kind::Text, b"hel".to_vec(), true, false),
            (Kind::Text, "lo, grü".as_bytes()[..7].to_vec(), false, false),
            (Kind::Text, "lo, grüße".as_bytes()[7..].to_vec(), false, true),
        ];
        assert_eq!(read(role, &reads), expected, "a chunk may end inside a character");
    }
}

#[test]
fn fragments_are_chunks_of_one_message() {
    // conf: FG-07 FG-05
    for role in ROLES {
        let bytes =
            [wire::fragments(role, BINARY, &[b"", b"ab", b"", b"c", b""]), wire::binary(role, b"")].concat();
        let expected = [
            (Kind::Binary, b"ab".to_vec(), true, false),
            (Kind::Binary, b"c".to_vec(), false, false),
            (Kind::Binary, b"".to_vec(), false, true),
            (Kind::Binary, b"".to_vec(), true, true),
        ];
        assert_eq!(read(role, &[&bytes]), expected);
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        assert_eq!(read(role, &[head, tail]).last(), expected.last());
    }
}

#[test]
fn text_in_one_chunk_is_validated_like_any_other() {
    // conf: U8-01 FG-07
    for role in ROLES {
        let mut session = Session::with(role, chunks());
        let error = session.feed(&wire::frame(role, FIN | TEXT, b"ab\xFF")).unwrap_err();
        assert!(matches!(error, Error::InvalidUtf8(invalid) if invalid.valid_up_to == 2));
        assert_eq!((session.seen.len(), session.unfinished.clone()), (0, None));
        support::row::stays_failed(&mut session, error);
    }
}

#[test]
fn chunks_before_a_violation_are_given_and_none_of_the_wrong_ones() {
    // conf: FL-03 U8-05
    for role in ROLES {
        let mut session = Session::with(role, chunks());
        session.feed(&wire::frame(role, TEXT, b"good ")).unwrap();
        session.feed(&wire::frame(role, 0, b"b\xFFd")).unwrap_err();
        assert_eq!(session.unfinished, Some((Kind::Text, b"good ".to_vec())));

        let mut session = Session::with(role, chunks());
        session.feed(&wire::frame(role, TEXT, b"good\xC3")).unwrap();
        session.feed(&wire::frame(role, FIN, b"")).unwrap_err();
        assert_eq!(session.seen, [], "a message that ends inside a character has no last chunk");
    }
}

#[test]
fn a_message_has_no_limit_and_a_frame_has_its_own() {
    // conf: LM-01 LM-03
    for role in ROLES {
        let config = chunks().max_message_size(4);
        let mut session = Session::with(role, config.clone());
        session.feed(&wire::text(role, "longer than four")).unwrap();
        session.feed(&wire::fragments(role, TEXT, &[b"longer ", b"than four"])).unwrap();
        assert_eq!(session.seen.len(), 2);

        let mut session = Session::with(role, chunks().max_frame_size(4));
        session.feed(&wire::fragments(role, TEXT, &[b"four", b"five"])).unwrap();
        let over = session.feed(&wire::header(role, FIN | TEXT, Length::Short(5)));
        assert_eq!(over, Err(Error::TooBig { limit: 4 }));
        let mut session = Session::with(role, chunks().max_fragments(1));
        let over = session.feed(&wire::fragments(role, TEXT, &[b"a", b"b"]));
        assert_eq!(over, Err(Error::Policy(Limit::Fragments)));
    }
}

#[test]
fn a_message_of_any_length_passes_through() {
    // conf: FG-07 FR-05 LM-08
    let mut session = Session::with(Role::Client, chunks());
    let header = wire::header(Role::Client, FIN | BINARY, Length::Long((1 << 63) - 1));
    session.feed(&header).unwrap();
    for _ in 0..100 {
        session.feed(&[7; 100_000]).unwrap();
        let (_, bytes) = session.unfinished.as_mut().expect("it goes on");
        assert_eq!(bytes.len(), 100_000, "each read is passed on at once");
        bytes.clear();
    }
}

#[test]
fn control_frames_come_between_chunks() {
    // conf: FG-04 CL-21
    for role in ROLES {
        let bytes = [
            wire::frame(role, TEXT, b"a"),
            wire::ping(role, b"p"),
            wire::frame(role, FIN, b"b"),
            wire::frame(role, BINARY, b"c"),
            wire::close(role, 1000, ""),
        ];
        let seen = [Seen::ping(b"p"), Seen::text("ab"), Seen::close(CloseCode::NORMAL, "")];
        Row::new(role, &bytes.concat()).delivers(&seen).accept();
        let mut cut = Session::with(role, chunks());
        cut.feed(&wire::frame(role, TEXT, b"a")).unwrap();
        let error = ProtocolError::UnfinishedMessage;
        assert_eq!(cut.feed(&wire::text(role, "b")), Err(error.into()));
    }
}

/// A frame that is often valid, sometimes wrong in one respect.
fn any_frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let payload = prop_oneof![
        Just(Vec::new()),
        "[a-zäß€𝄞]{0,6}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..6),
        Just("𝄞".as_bytes()[..2].to_vec()),
        Just("𝄞".as_bytes()[2..].to_vec()),
    ];
    let first = prop_oneof![
        4 => Just(FIN | TEXT),
        2 => Just(FIN | BINARY),
        3 => Just(TEXT),
        2 => Just(BINARY),
        5 => Just(0),
        5 => Just(FIN),
        2 => Just(FIN | PING),
        1 => Just(FIN | PONG),
        1 => Just(RSV1 | FIN | TEXT),
    ];
    prop_oneof![
        20 => (first, payload),
        1 => Just((FIN | CLOSE, wire::close_body(1000, "bye"))),
        1 => Just((FIN | CLOSE, vec![3])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn both_deliveries_agree(frames in proptest::collection::vec(any_frame(), 0..12), server: bool, step in 1_usize..40) {
        // conf: FG-07
        let role = if server { Role::Server } else { Role::Client };
        let bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| wire::frame(role, *first, payload)).collect();
        let mut whole = Session::new(role);
        let mut chunked = Session::with(role, chunks());
        let outcome = whole.feed(&bytes);
        let in_chunks = chunked.feed_cut(&bytes, step).map_err(|(_, error)| error);
        prop_assert_eq!(outcome, in_chunks);
        prop_assert_eq!(&whole.seen, &chunked.seen);
        prop_assert_eq!(whole.sent(), chunked.sent());
        prop_assert_eq!(whole.connection.state(), chunked.connection.state());
        prop_assert!(whole.out.room() > 0);
    }
}

#[test]
fn a_relay_sends_on_what_it_receives() {
    // conf: FG-10 U8-07
    for role in ROLES {
        for step in 1..=12 {
            let mut relay = Session::with(role, chunks());
            let mut onward = Session::new(role);
            let text = wire::frame(role, TEXT, "grüße, ".as_bytes());
            let rest = wire::frame(role, FIN, "日本 𝄞".as_bytes());
            for piece in [text, rest].concat().chunks_mut(step) {
                let mut input = Input::new(piece);
                while let Some(event) = relay.connection.receive(NOW, &mut input, &mut relay.out).unwrap() {
                    let Event::Chunk(chunk) = event else { panic!("{event:?}") };
                    onward.connection.send_chunk(&chunk, &mut onward.out).unwrap();
                }
            }
            let sent: Vec<u8> = onward.sent().into_iter().flat_map(|(_, payload)| payload).collect();
            assert_eq!(std::str::from_utf8(&sent), Ok("grüße, 日本 𝄞"));
            assert_eq!(onward.connection.fragmenting(), None);
        }
    }
}

#[test]
fn a_relay_is_held_to_utf8() {
    // conf: U8-07
    let mut relay = Session::with(Role::Client, chunks());
    let mut onward = Session::new(Role::Client);
    let mut bytes = wire::frame(Role::Client, TEXT, "ü".as_bytes());
    let end = bytes.len() - 1;
    let mut input = Input::new(&mut bytes[..end]);
    let event = relay.connection.receive(NOW, &mut input, &mut relay.out).unwrap();
    let Some(Event::Chunk(half)) = event else { panic!("{event:?}") };
    onward.connection.send_chunk(&half, &mut onward.out).unwrap();
    let before = onward.out.clone();
    // Neither another beginning nor text of its own may follow half a character.
    assert_eq!(onward.connection.send_chunk(&half, &mut onward.out), Err(SendError::InvalidUtf8));
    assert_eq!(
        onward.connection.send_fragment("x", Fin::Final, &mut onward.out),
        Err(SendError::InvalidUtf8)
    );
    assert_eq!(onward.out, before);
}
