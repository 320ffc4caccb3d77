//! From compressed payloads to messages (RFC 7692 §7.2.2).
//!
//! ```text
//!  history          ├── earlier messages ──┤
//!  recent                                  ├── earlier calls ──┤
//!  scratch, for the time of a call                             ├── given out ──┼── new output ──┼── room ──┤
//!                                                                            given          filled
//! ```

use alloc::vec::Vec;
use core::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::compressor::TAIL;
use super::history::History;
use super::pool::Scratch;
use super::settings::Deflate;
use crate::memory::{Inflated, Lease};

/// RFC 7692 §7.2.1: "An endpoint MUST NOT use an LZ77 sliding window longer than 32,768 bytes".
const WINDOW: usize = 32 << 10;
/// A final block that is empty: an inflater between two blocks takes it as the end of everything, and no other does.
const LAST: [u8; 5] = [1, 0, 0, 0xFF, 0xFF];
/// How much compressed data of an unfinished message is kept as it came, in bytes: an inflater is twelve times as large.
const HELD: usize = 4 << 10;
/// How many final blocks may stand inside of a message, and for how many bytes there may be one more. Behind each of
/// them an inflater may have to be given 32 KiB again, which costs as much as some hundred bytes of text.
const FINAL_BLOCKS: u64 = 16;
const BYTES_PER_FINAL_BLOCK: u64 = 64;

/// Why compressed data is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum InflateError {
    /// It is no DEFLATE, or ends in the middle of a block.
    InvalidData,
    /// It has more final blocks than its length allows.
    FinalBlocks,
}

/// A compressed message while it is received.
///
/// Between two pieces of it only `held`, or the inflater with what it made of the latest pieces, takes memory.
#[derive(Default)]
pub(crate) struct Inflating {
    /// Compressed bytes that were received before an inflater was needed.
    held: Vec<u8>,
    zlib: Option<Lease<Inflate>>,
    /// There for the time of a call.
    scratch: Option<Lease<Scratch>>,
    /// The latest output before that in the scratch memory.
    recent: History,
    given: usize,
    filled: usize,
    /// The length of the message so far.
    total: u64,
    /// The length of the compressed data so far.
    taken: u64,
    /// How many final blocks the data went on behind.
    final_blocks: u64,
    /// Whether the latest block ended and was a final one.
    ended: bool,
    /// The fault in the latest compressed data, if there is one.
    error: Option<InflateError>,
}

impl fmt::Debug for Inflating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflating").field("total", &self.total).finish_non_exhaustive()
    }
}

impl Inflating {
    /// Keeps `data` for later, unless it is time to inflate it.
    pub(crate) fn hold(&mut self, data: &[u8]) -> bool {
        let holds = self.zlib.is_none() && self.held.len() + data.len() <= HELD;
        if holds {
            self.held.extend_from_slice(data);
        }
        holds
    }

    /// The data that was kept; it comes before all other.
    pub(crate) fn take_held(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.held)
    }

    /// Borrows what inflating takes; a message that begins may refer back to `history`.
    pub(crate) fn resume(&mut self, settings: &Deflate, history: &History) -> Result<(), InflateError> {
        self.scratch.get_or_insert_with(|| settings.scratch());
        if self.zlib.is_none() {
            let zlib = self.zlib.insert(settings.inflater());
            remember(zlib, history.parts())?;
        }
        Ok(())
    }

    /// Gives back what an unfinished message can do without until more of it comes, output included.
    pub(crate) fn pause(&mut self) {
        self.set_aside();
        self.scratch = None;
    }

    /// How long the message is so far.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// The output that was not given out yet.
    pub(crate) fn output(&self) -> &[u8] {
        self.scratch().get(self.given..).unwrap_or_default()
    }

    /// Whether there is more to come out than there is room: give out [`output`](Self::output) and say so.
    pub(crate) fn is_full(&self) -> bool {
        self.scratch.as_ref().is_none_or(|scratch| self.filled == scratch.len())
    }

    /// The output was given out.
    pub(crate) fn give_out(&mut self) {
        self.given = self.filled;
        if self.is_full() {
            self.set_aside();
        }
    }

    /// Inflates compressed data as far as there is room; returns how much of it was taken.
    ///
    /// Once that was all and it is not full, there is nothing more to come out. What came out before data that is
    /// refused comes first: only then ask [`check`](Self::check), so that cuts of the data make no difference.
    pub(crate) fn inflate(&mut self, data: &[u8], history: &History) -> usize {
        let mut taken = 0;
        while !self.is_full() && self.error.is_none() {
            let rest = data.get(taken..).unwrap_or_default();
            if self.ended && rest.is_empty() {
                break;
            }
            let (read, written) =
                if self.ended { self.go_on_after_final_block(rest, history) } else { self.step(rest) };
            taken += read;
            self.taken += read as u64;
            let has_room = !self.is_full();
            if has_room && taken == data.len() && !self.ended {
                break;
            }
            if (read, written) == (0, 0) && has_room && !self.ended {
                self.fail();
            }
        }
        taken
    }

    /// Whether everything so far was DEFLATE within the limits.
    pub(crate) const fn check(&self) -> Result<(), InflateError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Ends the message, all of whose data was taken, and all of what came out given out or waiting.
    ///
    /// RFC 7692 §7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message."
    pub(crate) fn finish(&mut self) -> Result<(), InflateError> {
        self.check()?;
        // An empty payload is an empty message, and nothing is missing behind a final block that ends the data.
        if self.taken == 0 || self.ended {
            return Ok(());
        }
        let mut end = [0; TAIL.len() + LAST.len()];
        end[..TAIL.len()].copy_from_slice(&TAIL);
        end[TAIL.len()..].copy_from_slice(&LAST);
        let (filled, total) = (self.filled, self.total);
        // The block that the tail ends may itself be a final one.
        let ends = !self.is_full() && matches!(self.step(&end), (4 | 9, 0));
        if !ends || !self.ended {
            self.fail();
        }
        // What an unfinished block made of the tail is nobody's message.
        (self.filled, self.total) = (filled, total);
        self.check()
    }

    /// Keeps of this message what the next one may refer back to.
    pub(crate) fn keep(&self, history: &mut History, window: usize) {
        for part in self.recent.parts() {
            history.append(part, window);
        }
        history.append(self.scratch(), window);
    }

    /// The whole message, if none of it was given out before.
    pub(crate) fn into_whole(self) -> Option<Inflated> {
        Some(Inflated { scratch: self.scratch?, len: self.filled })
    }

    /// The bytes in the scratch memory.
    fn scratch(&self) -> &[u8] {
        self.scratch.as_deref().and_then(|scratch| scratch.get(..self.filled)).unwrap_or_default()
    }

    /// Empties the scratch memory.
    fn set_aside(&mut self) {
        if let Some(scratch) = &self.scratch {
            self.recent.append(scratch.get(..self.filled).unwrap_or_default(), WINDOW);
        }
        (self.given, self.filled) = (0, 0);
    }

    fn fail(&mut self) {
        self.error.get_or_insert(InflateError::InvalidData);
    }

    /// One call of zlib's: how many bytes it took and gave.
    fn step(&mut self, data: &[u8]) -> (usize, usize) {
        let (Some(zlib), Some(scratch)) = (&mut self.zlib, &mut self.scratch) else { return (0, 0) };
        let (read, written) = (zlib.total_in(), zlib.total_out());
        let room = scratch.get_mut(self.filled..).unwrap_or_default();
        let status = zlib.decompress(data, room, InflateFlush::SyncFlush);
        let (read, written) = (zlib.total_in() - read, zlib.total_out() - written);
        self.filled += written as usize;
        self.total += written;
        self.ended = status == Ok(Status::StreamEnd);
        if status.is_err() {
            self.fail();
        }
        (read as usize, written as usize)
    }

    /// RFC 7692 §7.2.1: "An endpoint MAY use both DEFLATE blocks with the "BFINAL" bit set to 0 and DEFLATE blocks with
    /// the "BFINAL" bit set to 1." For an inflater the second is the end, so that it begins anew where it was.
    fn go_on_after_final_block(&mut self, data: &[u8], history: &History) -> (usize, usize) {
        self.final_blocks += 1;
        if self.final_blocks > FINAL_BLOCKS + self.taken / BYTES_PER_FINAL_BLOCK {
            self.error = Some(InflateError::FinalBlocks);
            return (0, 0);
        }
        let (filled, total) = (self.filled, self.total);
        self.reset();
        // Whatever gets from one final block to the next without the window needs none: `03 00` over and over would
        // cost sixty times as much as text with it.
        let done = self.step(data);
        if self.ended {
            return done;
        }
        (self.filled, self.total, self.error) = (filled, total, None);
        self.reset();
        if let Err(error) = self.remember_all(history) {
            self.error = Some(error);
            return (0, 0);
        }
        self.step(data)
    }

    fn reset(&mut self) {
        if let Some(zlib) = &mut self.zlib {
            zlib.reset(false);
        }
    }

    /// Gives the inflater the latest 32 KiB of output.
    fn remember_all(&mut self, history: &History) -> Result<(), InflateError> {
        let (Some(zlib), Some(scratch)) = (&mut self.zlib, &self.scratch) else { return Ok(()) };
        let latest = scratch.get(self.filled.saturating_sub(WINDOW)..self.filled).unwrap_or_default();
        let recent = self.recent.latest(WINDOW - latest.len());
        let recent_len = recent[0].len() + recent[1].len();
        remember(zlib, history.latest(WINDOW - latest.len() - recent_len))?;
        remember(zlib, recent)?;
        remember(zlib, [latest])
    }
}

fn remember<'a>(zlib: &mut Inflate, parts: impl IntoIterator<Item = &'a [u8]>) -> Result<(), InflateError> {
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        zlib.set_dictionary(part).map_err(|_| InflateError::InvalidData)?;
    }
    Ok(())
}
