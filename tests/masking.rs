//! Masking: who masks, with which key, and what the receiver sees (RFC 6455 §5.1, §5.3, §10.3).

mod support;

use std::collections::HashSet;

use sansocket::frame::{Decoder, apply_mask};
use sansocket::{
    CloseCode, Config, Connection, Fin, MaskKeys, Message, Prepared, ProtocolError, Role, SendError, Unread,
};
use support::wire::{self, BINARY, CLOSE, FIN, Length, PING, PONG, TEXT};
use support::{NOW, Row, Seen, Session, accept, connection, failing_keys, reject};

/// Sends one frame of every kind, also those that the library sends by itself.
fn send_everything(role: Role) -> Vec<u8> {
    let mut session = Session::new(role);
    let Session { connection, out, .. } = &mut session;
    connection.send("text", out).unwrap();
    connection.send(&[1, 2, 3], out).unwrap();
    connection.send("", out).unwrap();
    connection.send_prepared(&Prepared::new("prepared"), out).unwrap();
    connection.send_fragment("one", Fin::More, out).unwrap();
    connection.ping(b"ping", out).unwrap();
    connection.send_fragment("two", Fin::Final, out).unwrap();
    connection.pong(b"pong", out).unwrap();
    let message = Message::from("enveloped");
    let envelope = connection.envelope(&message).unwrap();
    out.extend_from_slice(envelope.header());
    let start = out.len();
    out.extend_from_slice(message.as_bytes());
    envelope.mask(0, &mut out[start..]);
    let due = connection.poll_timeout().unwrap();
    connection.handle_timeout(due, Unread::Nothing, out).unwrap();
    session.feed(&wire::ping(role, b"asked")).unwrap();
    session.feed(&wire::close(role, 1000, "")).unwrap();
    session.out
}

#[test]
fn a_client_masks_every_frame_and_a_server_none() {
    // conf: MK-01 MK-03
    for role in support::ROLES {
        let bytes = send_everything(role);
        let frames = wire::plain(role, &bytes); // panics on a mask that is missing or one too many
        let firsts: Vec<_> = frames.iter().map(|frame| frame.0).collect();
        let (text, binary, ping, pong) = (FIN | TEXT, FIN | BINARY, FIN | PING, FIN | PONG);
        let expected =
            [text, binary, text, text, TEXT, ping, FIN, pong, text, ping, pong, FIN | CLOSE].to_vec();
        assert_eq!(firsts, expected);
        assert_eq!(frames[3].1, b"prepared");
        assert_eq!(frames[8].1, b"enveloped");
    }
}

#[test]
fn a_failing_client_masks_its_close() {
    // conf: MK-01
    let mut session = Session::new(Role::Client);
    session.feed(&[FIN | TEXT, 0x80]).unwrap_err();
    assert_eq!(wire::parse(Role::Client, &session.out).len(), 1);
}

#[test]
fn a_server_refuses_frames_without_a_mask() {
    // conf: MK-02
    let to = Role::Server;
    for first in [FIN | TEXT, FIN | BINARY, TEXT, FIN | CLOSE, FIN | PING, FIN | PONG] {
        for payload in [&b""[..], b"\x03\xe8", &[b'x'; 125]] {
            let bytes = wire::frame_with_key(first, None, Length::shortest(payload.len()), payload);
            assert_eq!(reject(to, &bytes, ProtocolError::MaskMissing, CloseCode::PROTOCOL_ERROR), 2);
        }
    }
    let fragment = [wire::frame(to, TEXT, b"a"), wire::frame(Role::Client, FIN, b"b")].concat();
    reject(to, &fragment, ProtocolError::MaskMissing, CloseCode::PROTOCOL_ERROR);
    accept(to, &wire::frame(to, FIN | TEXT, b""), &[Seen::text("")]);
}

#[test]
fn a_client_refuses_masked_frames() {
    // conf: MK-04
    let to = Role::Client;
    for first in [FIN | TEXT, FIN | BINARY, TEXT, FIN | CLOSE, FIN | PING, FIN | PONG] {
        for key in [[1, 2, 3, 4], [0; 4]] {
            let bytes = wire::frame_with_key(first, Some(key), Length::Short(2), b"\x03\xe8");
            assert_eq!(reject(to, &bytes, ProtocolError::MaskUnexpected, CloseCode::PROTOCOL_ERROR), 2);
        }
    }
    let fragment = [wire::frame(to, TEXT, b"a"), wire::frame(Role::Server, FIN, b"b")].concat();
    reject(to, &fragment, ProtocolError::MaskUnexpected, CloseCode::PROTOCOL_ERROR);
    accept(to, &wire::frame(to, FIN | TEXT, b""), &[Seen::text("")]);
}

#[test]
fn the_mask_is_the_byte_loop_of_the_rfc_at_any_offset() {
    // conf: MK-05
    let key = [0x37, 0xFA, 0x21, 0x3D];
    for len in (0..=70).chain([255, 256, 257, 321, 1023]) {
        for start in 0..8 {
            for offset in [0, 1, 2, 3, 4, 7, usize::MAX] {
                let plain: Vec<u8> = (0..start + len).map(|i| (i * 31) as u8).collect();
                let mut masked = plain.clone();
                apply_mask(key, offset, &mut masked[start..]);
                let mut expected = plain;
                for (i, byte) in expected[start..].iter_mut().enumerate() {
                    *byte ^= key[(offset % 4 + i) % 4];
                }
                assert_eq!(masked, expected, "len {len} start {start} offset {offset}");
            }
        }
    }
}

#[test]
fn the_mask_counts_from_the_start_of_the_frame_however_it_is_cut() {
    // conf: MK-05 MK-08
    for len in [0, 1, 3, 4, 5, 63, 70, 300, 1000] {
        let payload: Vec<u8> = (0..len).map(|i| (i * 13) as u8).collect();
        for step in [1, 2, 3, 5, 7, 64, 4096] {
            let mut session = Session::new(Role::Server);
            session.feed_cut(&wire::binary(Role::Server, &payload), step).unwrap();
            assert_eq!(session.seen, [Seen::Binary(payload.clone())], "{len} in steps of {step}");
        }
    }
}

#[test]
fn an_envelope_masks_in_parts() {
    // conf: MK-05
    let payload: Vec<u8> = (0..1000).map(|i| i as u8).collect();
    for step in [1, 3, 64, 333] {
        let mut client = connection(Role::Client, Config::default());
        let envelope = client.envelope(&Message::from(&payload)).unwrap();
        let mut bytes = envelope.header().to_vec();
        for (i, part) in payload.chunks(step).enumerate() {
            let mut part = part.to_vec();
            envelope.mask(i * step, &mut part);
            bytes.extend(part);
        }
        assert_eq!(wire::plain(Role::Client, &bytes), [(FIN | BINARY, payload.clone())]);
    }
}

#[test]
fn each_frame_asks_the_source_for_a_key_of_its_own() {
    // conf: MK-06
    let keys: Vec<_> =
        wire::parse(Role::Client, &send_everything(Role::Client)).iter().map(|f| f.key.unwrap()).collect();
    assert_eq!(keys.len(), keys.iter().collect::<HashSet<_>>().len(), "{keys:?}");
    let prepared = Prepared::new("to all");
    let mut client = connection(Role::Client, Config::default());
    let mut out = Vec::new();
    client.send_prepared(&prepared, &mut out).unwrap();
    client.send_prepared(&prepared, &mut out).unwrap();
    let frames = wire::parse(Role::Client, &out);
    assert_ne!(frames[0].key, frames[1].key);
    assert_eq!(frames[0].payload, frames[1].payload);
}

#[cfg(feature = "rand")]
#[test]
fn the_thread_generator_shows_no_repetition() {
    // conf: MK-06
    let mut client = Connection::client(Config::default(), MaskKeys::thread(), NOW);
    let mut out = Vec::new();
    for _ in 0..100_000 {
        client.send("", &mut out).unwrap();
    }
    let keys: Vec<u32> = out.chunks(6).map(|f| u32::from_be_bytes([f[2], f[3], f[4], f[5]])).collect();
    assert_eq!(keys.len(), 100_000);
    // Of random 32-bit numbers 1.2 pairs are expected to be equal, and every bit to be set half of the time.
    let distinct = keys.iter().collect::<HashSet<_>>().len();
    assert!(distinct > 100_000 - 20, "{distinct}");
    let pairs: HashSet<_> = keys.windows(2).collect();
    assert_eq!(pairs.len(), keys.len() - 1, "no run comes twice");
    for bit in 0..32 {
        let set = keys.iter().filter(|key| *key >> bit & 1 == 1).count();
        assert!((48_500..51_500).contains(&set), "bit {bit}: {set}");
    }
    // Neither a counter nor a linear congruential generator: differences and products do not repeat either.
    let steps: HashSet<_> = keys.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert!(steps.len() > 100_000 - 20, "{}", steps.len());
}

/// That the child of a `fork` needs it cannot be shown here: it takes unsafe code.
#[cfg(feature = "rand")]
#[test]
fn the_thread_generator_can_be_seeded_anew() {
    let mut client = Connection::client(Config::default(), MaskKeys::thread(), NOW);
    let mut keys = HashSet::new();
    for _ in 0..1000 {
        MaskKeys::reseed_thread().unwrap();
        let mut out = Vec::new();
        client.send("", &mut out).unwrap();
        keys.insert(out);
    }
    assert!(keys.len() > 990, "{}", keys.len());
}

#[test]
fn what_was_sent_is_a_copy() {
    // conf: MK-07
    for role in support::ROLES {
        let mut session = Session::new(role);
        let mut payload = b"as it was".to_vec();
        session.connection.send(&payload, &mut session.out).unwrap();
        payload.fill(b'#');
        assert_eq!(session.sent(), [(FIN | BINARY, b"as it was".to_vec())]);
    }
}

#[test]
fn payloads_arrive_without_the_mask() {
    // conf: MK-08
    let to = Role::Server;
    for key in [[0; 4], [0xFF; 4], [1, 2, 3, 4], [0, 0, 0, 1]] {
        let masked = |first, payload: &[u8]| {
            wire::frame_with_key(first, Some(key), Length::shortest(payload.len()), payload)
        };
        let bytes = [
            masked(FIN | TEXT, "grüße".as_bytes()),
            masked(BINARY, b"ab"),
            masked(FIN | PING, b"ping"),
            masked(FIN, &[9; 200]),
            masked(FIN | CLOSE, &wire::close_body(1000, "bye")),
        ];
        let mut whole = b"ab".to_vec();
        whole.extend([9; 200]);
        let seen = [
            Seen::text("grüße"),
            Seen::ping(b"ping"),
            Seen::Binary(whole),
            Seen::close(CloseCode::NORMAL, "bye"),
        ];
        Row::new(to, &bytes.concat()).delivers(&seen).accept();
    }
    let mut bytes = wire::frame_with_key(FIN | BINARY, Some([0; 4]), Length::Short(2), b"ab");
    let piece = Decoder::new(to).decode(&mut bytes).unwrap().unwrap();
    assert_eq!(piece.header.mask, Some([0; 4]), "a key of zeros is a key");
}

#[test]
fn a_source_that_fails_fails_the_send_and_writes_nothing() {
    // conf: MK-09
    let client = || Connection::client(Config::default(), failing_keys(1), NOW);
    let refused = Err(SendError::MaskKey);
    let mut out = Vec::new();
    let mut connection = client();
    connection.send("the only one", &mut out).unwrap();
    let before = out.clone();
    assert_eq!(connection.send("x", &mut out), refused);
    assert_eq!(connection.send_fragment("x", Fin::More, &mut out), refused);
    assert_eq!(connection.fragmenting(), None);
    assert_eq!(connection.send_prepared(&Prepared::new("x"), &mut out), refused);
    assert_eq!(connection.envelope(&Message::from("x")).map(|_| ()), refused);
    assert_eq!(connection.ping(b"x", &mut out), refused);
    assert_eq!(connection.pong(b"x", &mut out), refused);
    assert_eq!(connection.close(NOW, CloseCode::NORMAL, "x", &mut out), refused);
    assert_eq!(connection.close_without_code(NOW, &mut out), refused);
    assert_eq!(out, before);
    assert_eq!(connection.state(), sansocket::State::Open, "the source may recover");
}

#[test]
fn a_source_that_recovers_is_used_again() {
    // conf: MK-09
    let mut calls = 0;
    let keys = MaskKeys::from_fn(move || {
        calls += 1;
        if calls == 1 { Err(sansocket::MaskKeyError) } else { Ok([1, 2, 3, calls]) }
    });
    let mut session = Session::of(Connection::client(Config::default(), keys, NOW));
    assert_eq!(session.connection.send("x", &mut session.out), Err(SendError::MaskKey));
    session.connection.send("x", &mut session.out).unwrap();
    assert_eq!(session.sent(), [(FIN | TEXT, b"x".to_vec())]);
}
