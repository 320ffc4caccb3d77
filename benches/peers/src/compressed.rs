//! Compressed messages: built before anything is measured, and inflated again to check them.

use std::io;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush};

use crate::wire::{self, Script, put_masked};

/// What stands at the end of everything that is flushed, and in no message (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];
/// How far back a message can refer.
const WINDOW: usize = 32 << 10;

/// How both ends compress.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Each message stands for itself.
    Shared,
    /// Messages refer back to earlier ones, in both directions.
    Dedicated,
}

impl Class {
    pub const ALL: [Self; 2] = [Self::Shared, Self::Dedicated];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Dedicated => "dedicated",
        }
    }

    /// The option of all servers that turns it on.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Shared => "--deflate=shared",
            Self::Dedicated => "--deflate=dedicated",
        }
    }

    /// How far back messages may refer, as the exponent of two: the defaults of the library's classes.
    const fn window_bits(self) -> u8 {
        match self {
            Self::Shared => 15,
            Self::Dedicated => 12,
        }
    }

    /// The opening handshake of a client that wants it, and nothing else.
    pub fn request(self) -> Vec<u8> {
        let offer = match self {
            Self::Shared => "server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
            Self::Dedicated => "server_max_window_bits=12; client_max_window_bits=12",
        };
        let head = wire::REQUEST.strip_suffix(b"\r\n").unwrap_or_default();
        let header = format!("Sec-WebSocket-Extensions: permessage-deflate; {offer}\r\n\r\n");
        [head, header.as_bytes()].concat()
    }

    /// Whether a response agrees to what [`request`](Self::request) offers, with the windows of that offer.
    pub fn is_agreed(self, response: &[u8]) -> bool {
        let response = String::from_utf8_lossy(response).to_ascii_lowercase();
        let answer = response.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions:"));
        let Some(answer) = answer else { return false };
        let mut parts = answer.split(';').map(str::trim);
        let is_deflate = parts.next() == Some("permessage-deflate");
        let params: Vec<&str> = parts.collect();
        let has = |param: &str| params.contains(&param);
        let bits = |name: &str| {
            let value = params.iter().find_map(|param| param.strip_prefix(name)?.strip_prefix('='));
            value.map_or(Some(15), |value| value.parse::<u8>().ok())
        };
        let takes_over = !has("server_no_context_takeover") && !has("client_no_context_takeover");
        is_deflate
            && takes_over == (self == Self::Dedicated)
            && bits("server_max_window_bits") == Some(self.window_bits())
            && bits("client_max_window_bits") >= Some(self.window_bits())
    }
}

/// Orders and prices, `size` bytes of them; messages with other numbers have other ones.
fn json(number: usize, size: usize) -> Vec<u8> {
    let mut text = String::from("[");
    let mut state = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    while text.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, price, amount) = (state >> 40, (state >> 20) % 10_000_000, (state >> 8) % 1000);
        let (side, user) = (if state >> 63 == 0 { "buy" } else { "sell" }, state >> 52);
        text += &format!(
            r#"{{"id":{id},"user":"user-{user}","symbol":"BTC-USD","side":"{side}","price":{price}.25,"size":{amount}}},"#
        );
    }
    text.truncate(size);
    text.into_bytes()
}

/// What a client says, one window after the other. All clients of a server say the same.
pub struct Talk {
    class: Class,
    deflate: Deflate,
    /// The messages so far, as far as the next one may refer back to them.
    known: Vec<u8>,
}

impl Talk {
    pub fn new(class: Class) -> Self {
        let config =
            DeflateConfig { window_bits: -i32::from(class.window_bits()), ..DeflateConfig::default() };
        Self { class, deflate: Deflate::new_with_config(config), known: Vec::new() }
    }

    /// The next window: `depth` masked text messages, each of which comes back compressed.
    ///
    /// With context takeover windows have to be sent in their order. One that follows its like, and is at least as long as
    /// references reach, may be sent again and again: what it and its reply refer back to is there each time.
    pub fn script(&mut self, size: usize, depth: usize) -> Script {
        let (known, mut sent, mut messages) = (self.known.clone(), Vec::new(), Vec::new());
        for number in 0..depth {
            let message = json(number, size);
            let payload = self.compress(&message);
            put_masked(&mut sent, 0xC1, &payload, number);
            if self.class == Class::Dedicated {
                self.known.extend(&message);
                self.known.drain(..self.known.len().saturating_sub(WINDOW));
            }
            messages.push(message);
        }
        let plain = Plain { class: self.class, known, messages };
        Script { sent, reply: Vec::new(), messages: depth, plain: Some(plain) }
    }

    fn compress(&mut self, message: &[u8]) -> Vec<u8> {
        if self.class == Class::Shared {
            self.deflate.reset();
        }
        let mut payload = vec![0; message.len() + 100];
        let before = self.deflate.total_out();
        self.deflate.compress(message, &mut payload, DeflateFlush::SyncFlush).expect("a stream in order");
        payload.truncate((self.deflate.total_out() - before) as usize - TAIL.len());
        payload
    }
}

/// What the replies to a window have to inflate to.
pub struct Plain {
    class: Class,
    /// What was said before the window, as far as a reply may refer back to it. So that a reply can be checked without
    /// those before it.
    known: Vec<u8>,
    messages: Vec<Vec<u8>>,
}

impl Plain {
    /// Whether these are the replies that were expected.
    pub fn check(&self, replies: &Replies) -> io::Result<()> {
        let mut inflate = Inflate::new(false, 15);
        let (mut from, mut inflated) = (0, Vec::new());
        let mut is_right = replies.ends.len() == self.messages.len();
        if !self.known.is_empty() {
            is_right &= inflate.set_dictionary(&self.known).is_ok();
        }
        for (message, end) in self.messages.iter().zip(&replies.ends) {
            if self.class == Class::Shared {
                inflate.reset(false);
            }
            // With room for a byte too many.
            inflated.resize(message.len() + 1, 0);
            let before = inflate.total_out();
            let status =
                inflate.decompress(&replies.payloads[from..*end], &mut inflated, InflateFlush::SyncFlush);
            let len = (inflate.total_out() - before) as usize;
            is_right &= status.is_ok() && inflated[..len] == message[..];
            from = *end;
        }
        if is_right { Ok(()) } else { Err(io::Error::other("answered something else than it was asked")) }
    }
}

/// The compressed messages that come to a client.
#[derive(Default)]
pub struct Replies {
    /// Of all of them so far.
    pub bytes: u64,
    /// How many of this window have come in full.
    pub messages: usize,
    /// The beginning of a header, and how much of a payload is still to come.
    header: Vec<u8>,
    left: u64,
    /// The window's payloads, each with the tail that it was sent without, and where each of them ends.
    payloads: Vec<u8>,
    ends: Vec<usize>,
}

impl Replies {
    pub fn begin(&mut self) {
        self.messages = 0;
        self.payloads.clear();
        self.ends.clear();
    }

    /// Takes what was received; the payloads are kept only if they are to be checked.
    pub fn take(&mut self, mut received: &[u8], messages: usize, keep: bool) -> io::Result<()> {
        self.bytes += received.len() as u64;
        while let Some(next) = received.first() {
            if self.messages == messages {
                return Err(io::Error::other("answered more than it was asked"));
            }
            if self.left == 0 {
                self.header.push(*next);
                received = &received[1..];
                let Some(len) = payload_len(&self.header) else { continue };
                self.left = len;
                self.check_header()?;
            }
            let (payload, rest) = received.split_at((self.left as usize).min(received.len()));
            (received, self.left) = (rest, self.left - payload.len() as u64);
            if keep {
                self.payloads.extend(payload);
            }
            if self.left == 0 {
                self.end_frame(keep);
            }
        }
        Ok(())
    }

    /// RSV1 is set on the first frame of a compressed message, and on no other.
    fn check_header(&self) -> io::Result<()> {
        match self.header[0] & 0x7F {
            0x00 | 0x41 => Ok(()),
            0x01 => Err(io::Error::other("answered without compression")),
            _ => Err(io::Error::other("answered something else than it was asked")),
        }
    }

    fn end_frame(&mut self, keep: bool) {
        if self.header[0] & 0x80 != 0 {
            self.messages += 1;
            if keep {
                self.payloads.extend(TAIL);
                self.ends.push(self.payloads.len());
            }
        }
        self.header.clear();
    }
}

/// The length that a server's frame header tells, `None` while the end of the header is missing.
fn payload_len(header: &[u8]) -> Option<u64> {
    let of = |bytes: Option<&[u8]>| Some(bytes?.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)));
    match header.get(1)? {
        126 => of(header.get(2..4)),
        127 => of(header.get(2..10)),
        len => Some(u64::from(*len)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server answers that has the client's compressor, in frames of at most so many bytes.
    fn replies(talk: &mut Talk, messages: &[Vec<u8>], most: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for message in messages {
            let payload = talk.compress(message);
            let mut chunks = payload.chunks(most).peekable();
            let mut first = 0x41;
            while let Some(chunk) = chunks.next() {
                let fin = if chunks.peek().is_none() { 0x80 } else { 0 };
                out.extend([first | fin, 126]);
                out.extend((chunk.len() as u16).to_be_bytes());
                out.extend(chunk);
                first = 0;
            }
        }
        out
    }

    #[test]
    fn windows_are_checked_alone_and_in_any_pieces() {
        for class in Class::ALL {
            for (size, depth) in [(1000, 5), (20_000, 4)] {
                let (mut talk, mut server) = (Talk::new(class), Talk::new(class));
                let (first, later) = (talk.script(size, depth), talk.script(size, depth));
                assert!(class == Class::Shared || later.sent.len() < first.sent.len());
                let mut seen = Replies::default();
                for (round, script) in [&first, &later, &later, &later].into_iter().enumerate() {
                    let plain = script.plain.as_ref().unwrap();
                    let bytes = replies(&mut server, &plain.messages, 300);
                    seen.begin();
                    for piece in bytes.chunks(round + 1) {
                        seen.take(piece, depth, round != 1).unwrap();
                    }
                    assert_eq!(seen.messages, depth);
                    assert_eq!(
                        plain.check(&seen).is_ok(),
                        round != 1,
                        "{} {size}, round {round}",
                        class.name()
                    );
                    assert!(seen.take(&[0xC1], depth, false).is_err());
                    seen.header.clear();
                }
            }
        }
    }

    #[test]
    fn wrong_replies_are_found() {
        let mut talk = Talk::new(Class::Shared);
        let script = talk.script(500, 1);
        let plain = script.plain.as_ref().unwrap();
        let check = |bytes: &[u8]| {
            let mut seen = Replies::default();
            seen.take(bytes, 1, true).and_then(|()| plain.check(&seen)).map_err(|error| error.to_string())
        };
        let right = replies(&mut talk, &plain.messages, 1000);
        let else_ = Err("answered something else than it was asked".to_string());
        assert_eq!(check(&right), Ok(()));
        assert_eq!(check(&replies(&mut talk, &[json(1, 500)], 1000)), else_);
        assert_eq!(check(&replies(&mut talk, &[json(0, 499)], 1000)), else_);
        assert_eq!(check(&[0x88, 0]), else_);
        assert_eq!(check(&[0x81, 0]), Err("answered without compression".to_string()));
    }

    #[test]
    fn only_the_offered_agreement_counts() {
        let is_agreed = |class: Class, answer: &str| {
            class
                .is_agreed(format!("HTTP/1.1 101 x\r\nSec-WebSocket-Extensions: {answer}\r\n\r\n").as_bytes())
        };
        let flags = "permessage-deflate; client_no_context_takeover; server_no_context_takeover";
        assert!(is_agreed(Class::Shared, flags));
        assert!(!is_agreed(Class::Shared, &format!("{flags}; client_max_window_bits=12")));
        assert!(!is_agreed(Class::Shared, "permessage-deflate"));
        assert!(is_agreed(Class::Dedicated, "permessage-deflate; server_max_window_bits=12"));
        assert!(!is_agreed(Class::Dedicated, "permessage-deflate"));
        assert!(!is_agreed(Class::Dedicated, &format!("{flags}; server_max_window_bits=12")));
        assert!(!Class::Shared.is_agreed(b"HTTP/1.1 101 x\r\n\r\n"));
    }
}
