//! Payloads and the bytes that bring them, as a peer's connection writes them.

use core::time::Duration;

use sansocket::{Config, Connection, MaskKeys, Message, Role};

pub(crate) const NOW: Duration = Duration::ZERO;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Payload {
    Binary,
    Ascii,
    /// Two characters in three take two to four bytes.
    MultiByte,
}

impl Payload {
    /// A message of exactly `len` bytes.
    pub(crate) fn message(self, len: usize) -> Message<'static> {
        match self {
            Self::Binary => Message::from((0..len).map(|i| (i * 31 % 251) as u8).collect::<Vec<_>>()),
            Self::Ascii => text("The quick brown fox jumps over the lazy dog. ", len),
            Self::MultiByte => text("aé漢bñ😀", len),
        }
    }
}

fn text(pattern: &str, len: usize) -> Message<'static> {
    let mut text = String::with_capacity(len);
    for character in pattern.chars().cycle() {
        if text.len() + character.len_utf8() > len {
            break;
        }
        text.push(character);
    }
    text.extend(core::iter::repeat_n('.', len - text.len()));
    Message::from(text)
}

/// `count` frames of `message` one behind the other, as the receiving end `to` is sent them; a fresh key each.
pub(crate) fn frames(message: &Message<'_>, count: usize, to: Role) -> Vec<u8> {
    let mut peer = match to {
        Role::Server => Connection::client(Config::default(), fixed_keys(), NOW),
        Role::Client => Connection::server(Config::default(), NOW),
    };
    let mut wire = Vec::new();
    for _ in 0..count {
        peer.send(message, &mut wire).expect("the connection is open");
    }
    wire
}

/// Keys that differ and are never zero.
fn fixed_keys() -> MaskKeys {
    let mut state = 0x9E37_79B9_u32;
    MaskKeys::from_fn(move || {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453) | 0x0101_0101;
        Ok(state.to_be_bytes())
    })
}
