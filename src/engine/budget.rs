//! The cooperative budget: how much input a connection takes in a row before other tasks get their turn.
//!
//! A runtime counts reads, but one read may bring tens of thousands of messages, and a stream of the application's own
//! may not count at all.

use core::time::Duration;

use super::link::Link;
use super::{Error, Stream};
use crate::{Connection, Located};

/// How many messages or frames are taken in a row: half a millisecond where each costs 1 µs.
const FULL: i32 = 512;
/// How many bytes read cost as much as a message, as a shift: 2 MiB use up the budget.
const READ: u32 = 12;
/// The same for bytes that are decoded the slow way, which may be many tiny fragments.
const DECODED: u32 = 10;
/// The same for bytes that came out of compressed data.
const INFLATED: u32 = 12;
/// How much compressed data one step looks at. A thousand times as much may come out of it: 8 MiB, some milliseconds.
const COMPRESSED_STEP: usize = 8 << 10;

/// What is left of it since the receiver last waited or yielded.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Negative once it is used up.
    left: i32,
}

/// The call ends with `WouldBlock` because the budget is used up, and its adapter lets other tasks run.
const YIELDS: i32 = i32::MIN;

impl Budget {
    pub(super) const fn new() -> Self {
        Self { left: FULL }
    }

    /// Pays for a message or frame; `false` if nothing is left. It costs a small message two instructions.
    #[inline(always)]
    pub(super) const fn pay(&mut self) -> bool {
        self.left = self.left.wrapping_sub(1);
        self.left >= 0
    }

    /// Nearly everything is too small to be counted.
    #[inline(always)]
    fn pay_for(&mut self, bytes: usize, shift: u32) {
        let price = bytes >> shift;
        if price > 0 {
            self.pay_much(price);
        }
    }

    #[inline(never)]
    fn pay_much(&mut self, price: usize) {
        let price = i32::try_from(price).unwrap_or(i32::MAX);
        self.left = self.left.saturating_sub(price).max(0);
    }

    /// Pays for bytes that were read.
    #[inline(always)]
    pub(super) fn pay_for_read(&mut self, bytes: usize) {
        self.pay_for(bytes, READ);
    }

    /// Pays for bytes of messages that waited for the connection, which may be compressed on their way.
    #[cfg(feature = "rand")]
    pub(super) fn pay_for_handed(&mut self, bytes: usize) {
        self.pay_for(bytes, DECODED);
    }

    /// The receiver has waited, so that others had their turn.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) const fn refill(&mut self) {
        self.left = FULL;
    }

    /// Whether the call that has just ended with `WouldBlock` did so to let others run.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) const fn take_yield(&mut self) -> bool {
        let yields = self.left == YIELDS;
        if yields {
            self.left = FULL;
        }
        yields
    }
}

impl<S: Stream> Link<S> {
    /// Pays for one step of a loop over input. If the budget is used up, writes what is queued and fails with
    /// `WouldBlock`: to yield is to sleep, as short as it may be. Where calls wait, nobody else waits for the thread.
    #[inline]
    pub(crate) fn pay(&mut self, until: Option<Duration>) -> Result<(), Error> {
        if S::WAITS || self.budget.pay() { Ok(()) } else { Err(self.begin_yield(until)) }
    }

    #[cold]
    fn begin_yield(&mut self, until: Option<Duration>) -> Error {
        // A stream that fails tells the next call too.
        let _ = self.flush(until);
        self.budget.left = YIELDS;
        Error::WouldBlock
    }

    /// Pays for what was `located` by one step, before which the message in progress had `inflated` to so many bytes.
    pub(super) fn pay_for_step(&mut self, located: &Located, inflated: u64) {
        self.budget.pay_for(located.consumed, DECODED);
        let more = self.connection.inflated().saturating_sub(inflated);
        let found = match &located.found {
            Some(found) if self.connection.may_inflate() => found.owned_len(),
            _ => 0,
        };
        self.budget.pay_for(usize::try_from(more).unwrap_or(usize::MAX).saturating_add(found), INFLATED);
    }
}

/// How much of `len` bytes of input one step looks at.
#[inline]
pub(super) fn step_len<S: Stream>(connection: &Connection, len: usize) -> usize {
    if S::WAITS || !connection.may_inflate() { len } else { len.min(COMPRESSED_STEP) }
}
