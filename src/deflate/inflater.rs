//! From compressed payloads to messages (RFC 7692 §7.2.2).
//!
//! ```text
//!  scratch   ├── at most 32 KiB, given out already ──┼── new output ──┼── room ──┤
//!                 blocks may refer back to it        given          filled
//! ```

use core::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::compressor::TAIL;
use super::history::History;
use super::pool::{Lease, Scratch};
use super::settings::Deflate;

/// RFC 7692 §7.2.1: "An endpoint MUST NOT use an LZ77 sliding window longer than 32,768 bytes".
const WINDOW: usize = 32 << 10;
/// A last block that is empty: an inflater between two blocks takes it as the end of everything, and no other does.
const LAST: [u8; 5] = [1, 0, 0, 0xFF, 0xFF];

/// The compressed data of a message is no DEFLATE, or ends in the middle of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct InvalidData;

/// A compressed message while it is received.
pub(crate) struct Inflating {
    zlib: Lease<Inflate>,
    scratch: Lease<Scratch>,
    given: usize,
    filled: usize,
    /// The length of the message so far.
    total: u64,
    /// Whether a byte of compressed data has come.
    begun: bool,
    /// Whether the last block ended that said to be the last one.
    ended: bool,
    /// Whether what came last is no DEFLATE.
    failed: bool,
}

impl fmt::Debug for Inflating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflating").field("total", &self.total).finish_non_exhaustive()
    }
}

impl Inflating {
    /// Begins a message that may refer back to `history`.
    pub(crate) fn new(settings: &Deflate, history: &History) -> Result<Self, InvalidData> {
        let mut inflating = Self {
            zlib: settings.inflater(),
            scratch: settings.scratch(),
            given: 0,
            filled: 0,
            total: 0,
            begun: false,
            ended: false,
            failed: false,
        };
        inflating.remember(history)?;
        Ok(inflating)
    }

    /// How long the message is so far.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// The output that was not given out yet.
    pub(crate) fn output(&self) -> &[u8] {
        self.scratch.get(self.given..self.filled).unwrap_or_default()
    }

    /// Whether there is more to come out than there is room: give out [`output`](Self::output) and say so.
    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.scratch.len()
    }

    /// The output was given out.
    pub(crate) fn give_out(&mut self) {
        self.given = self.filled;
        if self.is_full() {
            let kept = self.filled.min(WINDOW);
            self.scratch.copy_within(self.filled - kept.., 0);
            (self.given, self.filled) = (kept, kept);
        }
    }

    /// Inflates compressed data as far as there is room; returns how much of it was taken.
    ///
    /// Once that was all and it is not full, there is nothing more to come out. What came out before data that is no
    /// DEFLATE comes first: only then ask [`check`](Self::check), so that cuts of the data make no difference.
    pub(crate) fn inflate(&mut self, data: &[u8], history: &History) -> usize {
        let mut taken = 0;
        self.begun |= !data.is_empty();
        while !self.is_full() && !self.failed {
            let rest = data.get(taken..).unwrap_or_default();
            if self.ended {
                if rest.is_empty() {
                    break;
                }
                self.failed = self.go_on_after_last_block(history).is_err();
            }
            let (read, written) = self.step(rest);
            taken += read;
            let has_room = !self.is_full();
            if has_room && taken == data.len() && !self.ended {
                break;
            }
            self.failed |= (read, written) == (0, 0) && has_room && !self.ended;
        }
        taken
    }

    /// Whether everything so far was DEFLATE.
    pub(crate) const fn check(&self) -> Result<(), InvalidData> {
        if self.failed { Err(InvalidData) } else { Ok(()) }
    }

    /// Ends the message, all of whose data was taken, and all of what came out given out or waiting.
    ///
    /// RFC 7692 §7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message."
    pub(crate) fn finish(&mut self) -> Result<(), InvalidData> {
        self.check()?;
        // An empty payload is an empty message, and nothing is missing behind a last block that ends the data.
        if !self.begun || self.ended {
            return Ok(());
        }
        let mut end = [0; TAIL.len() + LAST.len()];
        end[..TAIL.len()].copy_from_slice(&TAIL);
        end[TAIL.len()..].copy_from_slice(&LAST);
        let (filled, total) = (self.filled, self.total);
        // The block that the tail ends may itself say to be the last one.
        let ends = !self.is_full() && matches!(self.step(&end), (4 | 9, 0));
        self.failed |= !ends || !self.ended;
        // What an unfinished block made of the tail is nobody's message.
        (self.filled, self.total) = (filled, total);
        self.check()
    }

    /// Keeps of this message what the next one may refer back to.
    pub(crate) fn keep(&self, history: &mut History, window: usize) {
        history.append(self.latest(window), window);
    }

    /// The whole message, if none of it was given out before.
    pub(crate) fn into_whole(self) -> Inflated {
        Inflated { scratch: self.scratch, len: self.filled }
    }

    /// The last bytes of this message, at most `most` of them, and at most 32 KiB.
    fn latest(&self, most: usize) -> &[u8] {
        let len = usize::try_from(self.total).unwrap_or(usize::MAX).min(most).min(WINDOW);
        self.scratch.get(self.filled.saturating_sub(len)..self.filled).unwrap_or_default()
    }

    /// One call of zlib's: how many bytes it took and gave.
    fn step(&mut self, data: &[u8]) -> (usize, usize) {
        let (read, written) = (self.zlib.total_in(), self.zlib.total_out());
        let room = self.scratch.get_mut(self.filled..).unwrap_or_default();
        let status = self.zlib.decompress(data, room, InflateFlush::SyncFlush);
        let (read, written) = (self.zlib.total_in() - read, self.zlib.total_out() - written);
        self.filled += written as usize;
        self.total += written;
        self.ended = status == Ok(Status::StreamEnd);
        self.failed |= status.is_err();
        (read as usize, written as usize)
    }

    /// RFC 7692 §7.2.1: "An endpoint MAY use both DEFLATE blocks with the "BFINAL" bit set to 0 and DEFLATE blocks with
    /// the "BFINAL" bit set to 1." For an inflater the second is the end, so that it begins anew where it was.
    fn go_on_after_last_block(&mut self, history: &History) -> Result<(), InvalidData> {
        self.zlib.reset(false);
        self.ended = false;
        if self.total < WINDOW as u64 {
            self.remember(history)?;
        }
        let len = self.latest(WINDOW).len();
        let latest = self.scratch.get(self.filled - len..self.filled).unwrap_or_default();
        if !latest.is_empty() {
            self.zlib.set_dictionary(latest).map_err(|_| InvalidData)?;
        }
        Ok(())
    }

    fn remember(&mut self, history: &History) -> Result<(), InvalidData> {
        for part in history.parts().into_iter().filter(|part| !part.is_empty()) {
            self.zlib.set_dictionary(part).map_err(|_| InvalidData)?;
        }
        Ok(())
    }
}

/// A whole message in memory of the pool, which gets it back when this is dropped.
#[derive(Debug)]
pub(crate) struct Inflated {
    scratch: Lease<Scratch>,
    len: usize,
}

impl Inflated {
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.scratch.get(..self.len).unwrap_or_default()
    }
}
