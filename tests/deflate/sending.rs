//! Compressed messages on the way out.

use sansocket::deflate::Deflate;
use sansocket::{Config, Connection, Fin, Kind, Message, Prepared, Role, SendError, Sink, SliceSink};

use super::inflate::Oracle;
use super::support::NOW;
use super::support::ROLES;
use super::{dedicated, end, json, noise, shared};

const RSV1: u8 = 0x40;

/// A frame as it was sent: its first byte and its payload without the mask.
type Sent = (u8, Vec<u8>);

/// Reads frames, reserved bits and all.
fn frames(role: Role, bytes: &[u8]) -> Vec<Sent> {
    let mut rest = bytes;
    let mut frames = Vec::new();
    while let [first, second, behind @ ..] = rest {
        assert_eq!(second & 0x80 != 0, role == Role::Client);
        let long = [0, 2, 8][usize::from((second & 0x7F).saturating_sub(125))];
        let (length, behind) = behind.split_at(long);
        let len = match long {
            0 => usize::from(second & 0x7F),
            _ => length.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
        };
        let (key, behind) = behind.split_at(if role == Role::Client { 4 } else { 0 });
        let (payload, behind) = behind.split_at(len);
        let unmask = |(i, byte): (usize, &u8)| byte ^ key.get(i % 4).unwrap_or(&0);
        frames.push((*first, payload.iter().enumerate().map(unmask).collect()));
        rest = behind;
    }
    frames
}

/// Sends one message and returns its only frame.
fn send<'m>(connection: &mut Connection, message: impl Into<Message<'m>>) -> Sent {
    let mut out = Vec::new();
    connection.send(message, &mut out).unwrap();
    let mut frames = frames(connection.role(), &out);
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

// conf: PD-16, PD-17, PD-18, EX-04
#[test]
fn whatever_is_sent_inflates_within_its_window() {
    for role in ROLES {
        for bits in 9..=15 {
            for deflate in [shared(), dedicated()] {
                for level in [0, 1, 3, 9] {
                    let deflate = deflate.clone().window_bits(bits).level(level);
                    let takeover = deflate != shared().window_bits(bits).level(level);
                    let mut connection = end(role, Config::new(), deflate);
                    let mut oracle = Oracle::default();
                    for round in 0..6 {
                        let message = json(round % 3, [40, 1000, 20_000][round as usize % 3]);
                        let (first, payload) = send(&mut connection, &message);
                        if first & RSV1 == 0 {
                            assert!((level == 0 || message.len() == 40) && payload == message.as_bytes());
                            continue;
                        }
                        assert_eq!(first, 0x81 | RSV1);
                        assert!(payload.len() < message.len() && !payload.ends_with(&[0, 0, 0xFF, 0xFF]));
                        assert_eq!(oracle.message(&payload).unwrap(), message.as_bytes());
                        assert!(oracle.farthest <= 1 << bits, "{} at {bits}", oracle.farthest);
                        if !takeover {
                            oracle = Oracle::default();
                        }
                    }
                }
            }
        }
    }
}

// conf: PD-19, PD-10, PD-11
#[test]
fn without_takeover_equal_messages_give_equal_bytes() {
    let message = json(5, 700);
    for role in ROLES {
        let mut connection = end(role, Config::new(), shared());
        let first = send(&mut connection, &message);
        send(&mut connection, json(6, 5000));
        assert_eq!(first, send(&mut connection, &message));
        // The other way round, a window that is kept makes the second one small.
        let mut connection = end(role, Config::new(), dedicated());
        let first = send(&mut connection, &message);
        let again = send(&mut connection, &message);
        assert!(again.1.len() < 20 && first.1.len() > 100, "{} {}", first.1.len(), again.1.len());
    }
}

#[test]
fn what_does_not_shrink_leaves_as_it_is() {
    for role in ROLES {
        for deflate in [shared(), dedicated()] {
            let mut connection = end(role, Config::new(), deflate);
            let mut oracle = Oracle::default();
            for len in [0, 1, 5, 100, 5000, 200_000] {
                let message = noise(len as u32, len);
                assert_eq!(send(&mut connection, &message), (0x82, message));
                // The window of the sender is right all the same.
                let text = json(9, 600);
                let (first, payload) = send(&mut connection, &text);
                assert_eq!(first, 0x81 | RSV1);
                assert_eq!(oracle.message(&payload).unwrap(), text.as_bytes());
            }
        }
    }
}

// conf: PD-30
#[test]
fn short_messages_and_those_it_is_turned_off_for_leave_as_they_are() {
    for role in ROLES {
        for deflate in [Deflate::shared(), Deflate::dedicated()] {
            let mut connection = end(role, Config::new(), deflate.threshold(100));
            let mut oracle = Oracle::default();
            let (short, long) = ("a".repeat(99), "a".repeat(100));
            assert_eq!(send(&mut connection, &short), (0x81, short.clone().into_bytes()));
            let (first, payload) = send(&mut connection, &long);
            assert_eq!((first, oracle.message(&payload).unwrap()), (0x81 | RSV1, long.clone().into_bytes()));
            connection.set_compression(false);
            assert_eq!(send(&mut connection, &long).0, 0x81);
            connection.set_compression(true);
            assert_eq!(send(&mut connection, &long).0, 0x81 | RSV1);
            let mut out = Vec::new();
            connection.send_prepared(&Prepared::uncompressed(&long), &mut out).unwrap();
            assert_eq!(frames(role, &out), [(0x81, long.clone().into_bytes())]);
            // Where nothing was agreed on, nothing can be turned on.
            let mut plain = super::support::connection(role, Config::new().deflate(shared()));
            plain.set_compression(true);
            assert_eq!(send(&mut plain, &long).0, 0x81);
        }
    }
}

// conf: PD-16, PD-14
#[test]
fn messages_stream_out_compressed_in_fragments() {
    for role in ROLES {
        for deflate in [shared(), dedicated()] {
            let mut connection = end(role, Config::new(), deflate.threshold(1000));
            let mut oracle = Oracle::default();
            for round in 0..4 {
                let parts = [json(round, 50), String::new(), json(round, 3000), String::new()];
                let mut out = Vec::new();
                for (at, part) in parts.iter().enumerate() {
                    let fin = if at == parts.len() - 1 { Fin::Final } else { Fin::More };
                    connection.send_fragment(part, fin, &mut out).unwrap();
                    if fin == Fin::More {
                        connection.ping(b"between", &mut out).unwrap();
                        assert_eq!(connection.fragmenting(), Some(Kind::Text));
                    }
                }
                let frames = frames(role, &out);
                let data: Vec<_> = frames.iter().filter(|(first, _)| first & 0xF != 9).collect();
                let firsts: Vec<_> = data.iter().map(|(first, _)| *first).collect();
                assert_eq!(firsts, [RSV1 | 1, 0, 0, 0x80]);
                // Every fragment brings all of its part; the end is cut off from the last one only.
                assert!(data[0].1.ends_with(&[0, 0, 0xFF, 0xFF]) && data[2].1.ends_with(&[0, 0, 0xFF, 0xFF]));
                assert_eq!(data[3].1, [0]);
                let payload: Vec<u8> = data.iter().flat_map(|(_, payload)| payload.clone()).collect();
                assert_eq!(oracle.message(&payload).unwrap(), parts.concat().as_bytes());
                if round % 2 == 0 {
                    // One that ends at once is judged like any other message.
                    let mut out = Vec::new();
                    connection.send_fragment("short", Fin::Final, &mut out).unwrap();
                    assert_eq!(super::sending::frames(role, &out), [(0x81, b"short".to_vec())]);
                }
            }
        }
    }
}

/// A message that finds no room was not sent, and the peer can still follow.
#[test]
fn a_full_output_takes_nothing_and_harms_nothing() {
    for role in ROLES {
        for deflate in [shared(), dedicated()] {
            let mut connection = end(role, Config::new(), deflate);
            let mut oracle = Oracle::default();
            for round in 0..6 {
                let message = json(round, 2000);
                let mut memory = [0; 4096];
                let mut room = 50;
                let sent = loop {
                    let mut sink = SliceSink::new(&mut memory[..room]);
                    match connection.send(&message, &mut sink) {
                        Ok(()) => break sink.filled().to_vec(),
                        Err(SendError::Full { needed }) => {
                            assert!(needed > room && sink.filled().is_empty());
                            room = needed;
                        }
                        Err(error) => panic!("{error}"),
                    }
                };
                let frames = frames(role, &sent);
                assert_eq!(oracle.message(&frames[0].1).unwrap(), message.as_bytes());
                // In the middle of a message too.
                let mut out = Vec::new();
                connection.send_fragment(&message, Fin::More, &mut out).unwrap();
                let mut tiny = SliceSink::new(&mut memory[..9]);
                let full = connection.send_fragment(json(99, 500), Fin::Final, &mut tiny);
                assert!(matches!(full, Err(SendError::Full { .. })) && tiny.filled().is_empty());
                connection.send_fragment(&message, Fin::Final, &mut out).unwrap();
                let payload: Vec<u8> =
                    super::sending::frames(role, &out).into_iter().flat_map(|(_, payload)| payload).collect();
                assert_eq!(oracle.message(&payload).unwrap(), message.repeat(2).as_bytes());
            }
        }
    }
}

#[test]
fn a_fragment_that_finds_no_room_at_the_start_begins_nothing() {
    let mut connection = end(Role::Server, Config::new(), shared());
    let mut memory = [0; 8];
    let mut sink = SliceSink::new(&mut memory);
    assert!(connection.send_fragment(json(1, 900), Fin::More, &mut sink).is_err());
    assert_eq!(connection.fragmenting(), None);
    assert_eq!(send(&mut connection, json(1, 900)).0, 0x81 | RSV1);
}

// conf: PD-09
#[test]
fn with_a_window_of_256_bytes_nothing_is_compressed() {
    let (extension, server) =
        super::negotiation::answer("permessage-deflate; server_max_window_bits=8", &dedicated());
    assert_eq!(extension, "permessage-deflate; server_max_window_bits=8");
    let mut connection =
        super::support::connection(Role::Server, Config::new().deflate(dedicated())).with_deflate(server);
    connection.set_compression(true);
    let message = json(3, 2000);
    assert_eq!(send(&mut connection, &message), (0x81, message.clone().into_bytes()));
    let mut out = Vec::new();
    connection.send_prepared(&Prepared::new(&message), &mut out).unwrap();
    connection.send_fragment(&message, Fin::More, &mut out).unwrap();
    assert!(frames(Role::Server, &out).iter().all(|(first, _)| first & RSV1 == 0));
}

#[test]
fn prepared_messages_are_compressed_once_for_all_without_takeover() {
    let message = json(4, 3000);
    let prepared = Prepared::new(&message);
    let mut places = Vec::new();
    for round in 0..3 {
        for role in ROLES {
            let mut connection = end(role, Config::new(), shared());
            let mut sink = Recorder::default();
            connection.send_prepared(&prepared.clone(), &mut sink).unwrap();
            let frames = frames(role, &sink.bytes);
            assert_eq!(frames[0].0, 0x81 | RSV1);
            assert_eq!(Oracle::default().message(&frames[0].1).unwrap(), message.as_bytes(), "{round}");
            if role == Role::Server {
                places.push(sink.place);
            }
        }
    }
    assert!(places.windows(2).all(|pair| pair[0] == pair[1]), "the same bytes in memory: {places:?}");
    // A smaller window has a form of its own.
    let mut connection = end(Role::Server, Config::new(), shared().window_bits(9));
    let mut out = Vec::new();
    connection.send_prepared(&prepared, &mut out).unwrap();
    let mut oracle = Oracle::default();
    assert_eq!(oracle.message(&frames(Role::Server, &out)[0].1).unwrap(), message.as_bytes());
    assert!(oracle.farthest <= 512);
    // With takeover each connection refers to what it has sent before.
    let mut connection = end(Role::Server, Config::new(), dedicated());
    let (mut first, mut second) = (Vec::new(), Vec::new());
    connection.send_prepared(&prepared, &mut first).unwrap();
    connection.send_prepared(&prepared, &mut second).unwrap();
    assert!(second.len() * 4 < first.len(), "{} {}", second.len(), first.len());
    // What does not shrink leaves as it is.
    let noise = Prepared::new(noise(1, 500));
    let mut connection = end(Role::Server, Config::new(), shared());
    let mut out = Vec::new();
    connection.send_prepared(&noise, &mut out).unwrap();
    assert_eq!(out, noise.frame()[..]);
}

/// Notes where the last bytes came from.
#[derive(Default)]
struct Recorder {
    bytes: Vec<u8>,
    place: usize,
}

impl Sink for Recorder {
    fn room(&self) -> usize {
        usize::MAX
    }

    fn push(&mut self, bytes: &[u8]) {
        self.place = bytes.as_ptr() as usize;
        self.bytes.extend_from_slice(bytes);
    }

    fn last_mut(&mut self, len: usize) -> &mut [u8] {
        let start = self.bytes.len() - len;
        &mut self.bytes[start..]
    }
}

#[test]
fn nothing_is_compressed_behind_a_close() {
    let mut connection = end(Role::Server, Config::new(), dedicated());
    let mut out = Vec::new();
    connection.send(json(1, 500), &mut out).unwrap();
    connection.close_without_code(NOW, &mut out).unwrap();
    assert_eq!(connection.send(json(1, 500), &mut out), Err(SendError::Closed));
    assert_eq!(connection.send_fragment(json(1, 500), Fin::More, &mut out), Err(SendError::Closed));
}
