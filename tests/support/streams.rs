//! Streams of bytes as peers send them: valid, damaged, and noise.

#![allow(dead_code, unreachable_pub, reason = "each user needs its own part")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sansocket::{Config, Delivery, Role};

use super::oracle::{Rules, frame};

/// Bytes that show in hexadecimal when a test fails.
#[derive(Clone)]
pub struct Stream(pub Vec<u8>);

impl core::fmt::Debug for Stream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} bytes ", self.0.len())?;
        self.0.iter().take(300).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A configuration together with what the oracle has to know of it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub role: Role,
    pub config: Config,
    pub rules: Rules,
}

pub fn role() -> impl Strategy<Value = Role> {
    select(vec![Role::Server, Role::Client])
}

/// Limits from nothing to far away, both ways of delivery, both roles.
pub fn settings() -> impl Strategy<Value = Settings> {
    let small = || prop_oneof![6 => Just(u32::MAX as usize), 1 => select(vec![0usize, 1, 5, 125, 126, 300])];
    let count = || prop_oneof![6 => Just(1000u32), 1 => 0u32..5];
    (role(), any::<bool>(), small(), small(), count(), count()).prop_map(
        |(role, chunks, message, frame, fragments, empty)| Settings {
            role,
            config: Config::new()
                .max_message_size(message)
                .max_frame_size(frame)
                .max_fragments(fragments)
                .max_empty_fragments(empty)
                .delivery(if chunks { Delivery::Chunks } else { Delivery::Messages }),
            rules: Rules {
                server: role == Role::Server,
                max_message: (!chunks).then_some(message as u64),
                max_frame: frame as u64,
                max_fragments: u64::from(fragments),
                max_empty_fragments: u64::from(empty),
            },
        },
    )
}

/// Sizes of pieces, which repeat: byte by byte, small, large, empty ones in between.
pub fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        2 => Just(vec![1]),
        4 => vec(1usize..16, 1..6),
        2 => vec(1usize..400, 1..4),
        1 => vec(select(vec![0usize, 1, 2, 14]), 1..5).prop_filter("some bytes", |cuts| cuts.iter().sum::<usize>() > 0),
    ]
}

/// Any stream for an endpoint in `role`.
pub fn stream(role: Role) -> BoxedStrategy<Stream> {
    prop_oneof![4 => valid(role), 4 => damaged(role), 1 => noise(role)].boxed()
}

/// Messages in fragments, control frames anywhere, perhaps a Close and bytes behind it.
pub fn valid(role: Role) -> BoxedStrategy<Stream> {
    let end = prop_oneof![
        3 => Just(Vec::new()),
        2 => (close_body(), vec(any::<u8>(), 0..20)).prop_map(|(body, behind)| vec![Part::Close(body, behind)]),
    ];
    (vec(part(), 0..8), end, any::<u32>())
        .prop_map(move |(parts, end, keys)| {
            let mut writer = Writer { bytes: Vec::new(), masked: role == Role::Server, key: keys };
            parts.into_iter().chain(end).for_each(|part| writer.part(part));
            Stream(writer.bytes)
        })
        .boxed()
}

/// A valid stream with some of its bytes changed, doubled, lost or cut off.
pub fn damaged(role: Role) -> BoxedStrategy<Stream> {
    let wound = (any::<Index>(), 0u8..5, any::<u8>());
    (valid(role), vec(wound, 1..4))
        .prop_map(|(Stream(mut bytes), wounds)| {
            for (at, how, value) in wounds {
                if bytes.is_empty() {
                    break;
                }
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] ^= 1 << (value % 8),
                    1 => bytes[at] = value,
                    2 => bytes.insert(at, value),
                    3 => _ = bytes.remove(at),
                    _ => bytes.truncate(at),
                }
            }
            Stream(bytes)
        })
        .boxed()
}

/// Frames of any first byte, length form and payload, and plain random bytes.
pub fn noise(role: Role) -> BoxedStrategy<Stream> {
    let key = prop_oneof![9 => Just(role == Role::Server), 1 => any::<bool>()];
    let extended = prop_oneof![6 => Just(None), 1 => select(vec![Some(2), Some(8)])];
    let odd =
        (any::<u8>(), key, vec(any::<u8>(), 0..130), extended).prop_map(|(first, key, payload, extended)| {
            frame(first, key.then_some([9, 8, 7, 6]), &payload, extended)
        });
    let glued = (valid(role), odd).prop_map(|(front, odd)| [front.0, odd].concat());
    prop_oneof![vec(any::<u8>(), 0..60), glued].prop_map(Stream).boxed()
}

#[derive(Clone, Debug)]
enum Part {
    Message { text: bool, payload: Vec<u8>, cuts: Vec<Index>, between: Vec<(Index, u8, Vec<u8>)> },
    Control(u8, Vec<u8>),
    Close(Vec<u8>, Vec<u8>),
}

fn part() -> impl Strategy<Value = Part> {
    let control = || (select(vec![9u8, 10]), control_payload());
    let between =
        vec((any::<Index>(), control()).prop_map(|(at, (opcode, payload))| (at, opcode, payload)), 0..3);
    let payload = prop_oneof![3 => text().prop_map(|text| (true, text)), 2 => binary().prop_map(|bytes| (false, bytes))];
    prop_oneof![
        3 => (payload, vec(any::<Index>(), 0..6), between).prop_map(|((text, payload), cuts, between)| Part::Message {
            text, payload, cuts, between
        }),
        1 => control().prop_map(|(opcode, payload)| Part::Control(opcode, payload)),
    ]
}

fn control_payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..10), vec(any::<u8>(), 124..=125)]
}

fn binary() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..20),
        2 => vec(any::<u8>(), 120..300),
        1 => select(vec![65535usize, 65536, 65537, 140_000]).prop_map(|len| (0..len).map(|i| (i / 7) as u8).collect()),
    ]
}

/// Characters of one to four bytes, at the edges of each row of RFC 3629's table.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let characters = "a\u{0}\u{7f}\u{80}ß\u{7ff}\u{800}€\u{d7ff}\u{e000}\u{feff}\u{ffff}\u{10000}𝄞\u{10ffff}";
    let character = select(characters.chars().collect::<Vec<_>>());
    let long = character.clone();
    prop_oneof![5 => vec(character, 0..12), 1 => vec(long, 40..90)]
        .prop_map(|characters| characters.into_iter().collect::<String>().into_bytes())
}

fn close_body() -> impl Strategy<Value = Vec<u8>> {
    let code =
        select(vec![1000u16, 1001, 1003, 1007, 1014, 3000, 4999, 999, 1004, 1005, 1006, 1015, 2999, 5000]);
    let reason = text().prop_filter("room in the frame", |reason| reason.len() <= 123);
    prop_oneof![
        1 => Just(Vec::new()),
        1 => Just(vec![3]),
        6 => (code, reason).prop_map(|(code, reason)| [&code.to_be_bytes()[..], &reason].concat()),
        1 => Just(b"\x03\xe8\xc3".to_vec()),
    ]
}

struct Writer {
    bytes: Vec<u8>,
    masked: bool,
    key: u32,
}

impl Writer {
    fn part(&mut self, part: Part) {
        match part {
            Part::Control(opcode, payload) => self.frame(true, opcode, &payload),
            Part::Close(body, behind) => {
                self.frame(true, 8, &body);
                self.bytes.extend_from_slice(&behind);
            }
            Part::Message { text, payload, cuts, between } => {
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
                cuts.sort_unstable();
                cuts.push(payload.len());
                let mut start = 0;
                for (i, &end) in cuts.iter().enumerate() {
                    let opcode = if i > 0 { 0 } else { 2 - u8::from(text) };
                    self.frame(i + 1 == cuts.len(), opcode, &payload[start..end]);
                    start = end;
                    for (at, opcode, payload) in &between {
                        if at.index(cuts.len()) == i {
                            self.frame(true, *opcode, payload);
                        }
                    }
                }
            }
        }
    }

    fn frame(&mut self, fin: bool, opcode: u8, payload: &[u8]) {
        self.key = self.key.wrapping_mul(0x9E37_79B9).wrapping_add(0x7F4A_7C15);
        let key = self.masked.then(|| self.key.to_be_bytes());
        self.bytes.extend(frame(u8::from(fin) << 7 | opcode, key, payload, None));
    }
}
