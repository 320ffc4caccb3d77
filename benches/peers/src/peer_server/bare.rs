//! An echo of WebSocket messages as one would write it down plainly, without a check of anything: what is unmasked in place
//! and moved together leaves in one write. Not for use; it shows what messages cost besides bytes, whoever handles them.

use std::ops::Range;

use tokio::net::TcpStream;

use crate::{Error, Options, opening, raw, runtime};

/// What is kept free before a read, for a header whose end the read before did not bring.
const MOST_HEADER: usize = 14;

pub fn run(options: &Options) -> Result<(), Error> {
    raw::share_buffer("placed");
    runtime::serve(options, echo)
}

async fn echo(mut stream: TcpStream) -> Result<(), Error> {
    opening::accept(&mut stream, None).await?;
    let mut frames = Frames::default();
    raw::echo(stream, MOST_HEADER, move |buffer, end| frames.answer(buffer, end)).await
}

/// How far the frames of a connection have come.
#[derive(Default)]
struct Frames {
    header: Vec<u8>,
    key: [u8; 4],
    /// How much of a payload is still to come.
    left: usize,
}

impl Frames {
    /// Turns frames of a client, read to `buffer[MOST_HEADER..end]`, into those of a server, and tells where they are.
    fn answer(&mut self, buffer: &mut [u8], end: usize) -> Range<usize> {
        let mut from = MOST_HEADER - self.header.len();
        buffer[from..MOST_HEADER].copy_from_slice(&self.header);
        self.header.clear();
        let start = from;
        let mut to = start;
        loop {
            let len = self.left.min(end - from);
            unmask_to(buffer, from..from + len, to, self.key);
            (from, to) = (from + len, to + len);
            self.left -= len;
            self.key.rotate_left(len % 4);
            let Some((len, header_len)) = header(&buffer[from..end]).filter(|_| self.left == 0) else {
                self.header.extend_from_slice(&buffer[from..end]);
                return start..to;
            };
            self.left = len;
            self.key.copy_from_slice(&buffer[from + header_len - 4..from + header_len]);
            buffer.copy_within(from..from + header_len - 4, to);
            buffer[to + 1] &= 0x7f;
            (from, to) = (from + header_len, to + header_len - 4);
        }
    }
}

/// The length of the payload and that of the header, if it is there to its end.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let (len, len_bytes) = match *bytes.get(1)? & 0x7f {
        126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize, 2),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize, 8),
        len => (len as usize, 0),
    };
    (bytes.len() >= len_bytes + 6).then_some((len, len_bytes + 6))
}

/// Unmasks what is at `from`, and moves it to `to`, which does not lie behind: in pieces, which stay in the nearest cache.
fn unmask_to(buffer: &mut [u8], from: Range<usize>, mut to: usize, key: [u8; 4]) {
    const PIECE: usize = 1984;
    let key = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    for at in from.clone().step_by(PIECE) {
        let len = PIECE.min(from.end - at);
        if len <= 64 {
            unmask_few(buffer, at, to, len, key);
        } else {
            unmask(&mut buffer[at..at + len], key);
            buffer.copy_within(at..at + len, to);
        }
        to += len;
    }
}

fn unmask(bytes: &mut [u8], key: u64) {
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    rest.iter_mut().zip(key.to_ne_bytes()).for_each(|(byte, key)| *byte ^= key);
}

fn unmask_few(buffer: &mut [u8], from: usize, to: usize, len: usize, key: u64) {
    let mut done = 0;
    while done + 8 <= len {
        let word = u64::from_ne_bytes(buffer[from + done..][..8].try_into().unwrap_or_default()) ^ key;
        buffer[to + done..][..8].copy_from_slice(&word.to_ne_bytes());
        done += 8;
    }
    for (at, key) in (done..len).zip(key.to_ne_bytes()) {
        buffer[to + at] = buffer[from + at] ^ key;
    }
}
