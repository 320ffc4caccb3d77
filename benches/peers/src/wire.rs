//! What the clients send and what they must get: built before anything is measured.

use crate::compressed::Plain;

/// What a message holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Binary,
    /// Text, ASCII alone.
    Ascii,
    /// Text in which two characters of three have more than one byte.
    MultiByte,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Binary, Self::Ascii, Self::MultiByte];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Ascii => "ascii",
            Self::MultiByte => "multi-byte",
        }
    }

    const fn opcode(self) -> u8 {
        match self {
            Self::Binary => 2,
            Self::Ascii | Self::MultiByte => 1,
        }
    }

    /// `size` bytes of payload; messages with other numbers have other bytes.
    fn payload(self, size: usize, number: usize) -> Vec<u8> {
        match self {
            Self::Binary => (0..size).map(|at| (at * 31 + number * 7 + at / 256) as u8).collect(),
            Self::Ascii => (0..size).map(|at| b' ' + ((at * 7 + number) % 95) as u8).collect(),
            Self::MultiByte => {
                let mut text = String::with_capacity(size);
                for char in ['a', 'é', '漢'].into_iter().cycle().skip(number % 3) {
                    if text.len() + char.len_utf8() > size {
                        break;
                    }
                    text.push(char);
                }
                let mut payload = text.into_bytes();
                payload.resize(size, b'.');
                payload
            }
        }
    }
}

/// One window of messages as a client sends it, and the bytes that answer it.
pub struct Script {
    pub sent: Vec<u8>,
    /// Empty if it is compressed: each server does that in its own way.
    pub reply: Vec<u8>,
    pub messages: usize,
    /// What compressed replies have to inflate to.
    pub plain: Option<Plain>,
}

impl Script {
    /// `depth` masked messages, each of which comes back; a `raw` server sends the same bytes back.
    pub fn echo(raw: bool, kind: Kind, size: usize, depth: usize) -> Self {
        let (mut sent, mut reply) = (Vec::new(), Vec::new());
        for number in 0..depth {
            let payload = kind.payload(size, number);
            put_masked(&mut sent, 0x80 | kind.opcode(), &payload, number);
            put_header(&mut reply, 0x80 | kind.opcode(), size, None);
            reply.extend(payload);
        }
        if raw {
            reply.clone_from(&sent);
        }
        Self { sent, reply, messages: depth, plain: None }
    }

    /// `depth` binary messages that everybody gets. A raw server is sent what a WebSocket server would send on, so that
    /// both deliver the same bytes.
    pub fn fan_out(raw: bool, size: usize, depth: usize) -> Self {
        let mut script = Self::echo(false, Kind::Binary, size, depth);
        if raw {
            script.sent.clone_from(&script.reply);
        }
        script
    }
}

/// A client's frame, which begins with the byte `first`; frames with other numbers have other keys.
pub fn put_masked(out: &mut Vec<u8>, first: u8, payload: &[u8], number: usize) {
    let key = (number as u32).wrapping_mul(0x9E37_79B9).wrapping_add(0x1234_5678).to_be_bytes();
    put_header(out, first, payload.len(), Some(key));
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

fn put_header(out: &mut Vec<u8>, first: u8, len: usize, key: Option<[u8; 4]>) {
    let masked = if key.is_some() { 0x80 } else { 0 };
    out.push(first);
    match len {
        0..=125 => out.push(masked | len as u8),
        126..=0xFFFF => {
            out.push(masked | 126);
            out.extend((len as u16).to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(key.into_iter().flatten());
}

/// The opening handshake of a client, with the nonce of RFC 6455, section 1.3.
pub const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Whether these are the first bytes of a response that accepts [`REQUEST`], `None` while its end is missing.
pub fn is_accepted(response: &[u8]) -> Option<bool> {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&response[..end]);
    Some(
        end == response.len()
            && head.starts_with("HTTP/1.1 101 ")
            && head.lines().any(|line| {
                line.split_once(':').is_some_and(|(name, value)| {
                    name.eq_ignore_ascii_case("sec-websocket-accept")
                        && value.trim() == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
                })
            }),
    )
}

/// A Close frame of a client with the code 1000.
pub const CLOSE: [u8; 8] = [0x88, 0x82, 1, 2, 3, 4, 3 ^ 1, 0xE8 ^ 2];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_what_their_kind_says() {
        for size in [0, 1, 20, 1 << 10, 64 << 10] {
            for number in 0..4 {
                let of = |kind: Kind| kind.payload(size, number);
                assert_eq!(
                    [Kind::Binary, Kind::Ascii, Kind::MultiByte].map(|kind| of(kind).len()),
                    [size; 3]
                );
                assert!(of(Kind::Ascii).is_ascii());
                let text = String::from_utf8(of(Kind::MultiByte)).unwrap();
                let long = text.chars().filter(|char| char.len_utf8() > 1).count();
                assert!(size < 20 || long * 3 + 9 > text.chars().count() * 2);
            }
        }
    }

    #[test]
    fn frames_have_the_lengths_of_the_rfc() {
        for (size, header) in [(125, 2), (126, 4), (0xFFFF, 4), (0x1_0000, 10)] {
            let script = Script::echo(false, Kind::Binary, size, 2);
            assert_eq!(
                (script.sent.len(), script.reply.len()),
                (2 * (size + header + 4), 2 * (size + header))
            );
        }
    }

    #[test]
    fn only_the_right_response_is_accepted() {
        let right =
            b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(is_accepted(right), Some(true));
        assert_eq!(is_accepted(&right[..right.len() - 1]), None);
        assert_eq!(is_accepted(&[&right[..], b"?"].concat()), Some(false));
        assert_eq!(is_accepted(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), Some(false));
    }
}
