//! The payload of a binary message, gathered in memory of its own.

use alloc::vec::Vec;
use core::fmt;
use core::mem;

use bytes::Bytes;

use super::incoming::room_for;
#[cfg(feature = "std")]
use super::receive::DIRECT_READ;
use crate::error::Error;
use crate::memory::{Charge, PAGE, append, offset_to_mid_page, overwrite, share, take_charged};
use crate::redacted::Redacted;

/// ```text
///  0       start            filled           filled + offered
///  +-------+----------------+----------------+---------+
///  | spare | has arrived    | to be read to  | spare   |
///  +-------+----------------+----------------+---------+
/// ```
#[derive(Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    /// Where the payload begins: where in a page a read to it is fast, if much of it is to be read there.
    start: usize,
    filled: usize,
    /// How many bytes were given out to be read to.
    offered: usize,
    charge: Charge,
    /// The length of the latest piece that was copied here.
    latest: usize,
}

/// The smallest place that is offered for a direct read, in bytes, unless the payload ends before.
const LEAST_PLACE: usize = 16 << 10;
/// A place of this size is large enough for a read.
const LARGE_PLACE: usize = 64 << 10;

impl Gathered {
    /// Takes the next bytes; `following` more of the frame are still to come.
    pub(super) fn push(&mut self, payload: &[u8], following: u64) -> Result<(), Error> {
        self.offered = 0;
        self.latest = payload.len();
        if self.bytes.capacity() == 0 {
            self.begin(payload.len(), following)?;
        }
        // A place for a direct read that was not used, or not wholly, is filled first.
        let place = self.bytes.get_mut(self.filled..).unwrap_or_default();
        let (fits, rest) = payload.split_at(payload.len().min(place.len()));
        overwrite(place, fits);
        self.filled += fits.len();
        if rest.is_empty() {
            return Ok(());
        }
        if self.bytes.capacity() - self.bytes.len() < rest.len() {
            self.reserve(room_for(self.held(), rest.len(), following))?;
        }
        append(&mut self.bytes, rest);
        self.filled = self.bytes.len();
        Ok(())
    }

    /// The memory to begin with, if it is that of an earlier message or if it matters where in a page the payload begins:
    /// where much has come and much is to be read. Memory that has to grow may come to lie elsewhere.
    fn begin(&mut self, len: usize, following: u64) -> Result<(), Error> {
        let is_placed = len >= 4 * PAGE && following >= LARGE_PLACE as u64;
        let spare = if is_placed { PAGE } else { 0 };
        if let Some(recycled) = take_charged(following.saturating_add((len + spare) as u64)) {
            (self.bytes, self.charge) = recycled;
        }
        if is_placed {
            self.reserve((room_for(0, len, following) + spare).saturating_sub(self.bytes.len()))?;
            self.start = offset_to_mid_page(self.bytes.as_ptr());
            self.filled = self.start;
            self.bytes.resize(self.bytes.len().max(self.start), 0);
        }
        Ok(())
    }

    /// How many bytes have arrived.
    const fn held(&self) -> usize {
        self.filled - self.start
    }

    fn reserve(&mut self, room: usize) -> Result<(), Error> {
        let limit = self.held();
        self.bytes.try_reserve(room).map_err(|_| Error::TooBig { limit })
    }

    /// How many bytes a message that is compressed has come to, and for how many there is memory.
    #[cfg(feature = "deflate")]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.bytes.len(), self.bytes.capacity())
    }

    #[cfg(feature = "deflate")]
    pub(super) fn try_reserve_exact(
        &mut self,
        room: usize,
    ) -> Result<(), alloc::collections::TryReserveError> {
        self.bytes.try_reserve_exact(room)
    }

    pub(super) fn into_bytes(self) -> Bytes {
        share(self.bytes, self.start..self.filled)
    }

    /// Where the next bytes belong, at most `following` of them.
    ///
    /// The place grows with what has arrived: at most as much again, and [`LEAST_PLACE`] to begin with. What is there
    /// already costs nothing.
    pub(super) fn read_target(&mut self, following: u64) -> Option<&mut [u8]> {
        let left = usize::try_from(following).unwrap_or(usize::MAX);
        let room = self.bytes.len() - self.filled;
        let place = self.held().max(LEAST_PLACE);
        if room < place.min(LARGE_PLACE).min(left) {
            let end = self.filled.checked_add(place.min(left))?;
            if room == 0 {
                // It doubles by itself, and is to be enough for a message like this that begins elsewhere in a page.
                // Where there is no memory for it, the ordinary way judges.
                let spare = if self.start > 0 { PAGE - self.start } else { 0 };
                self.bytes.try_reserve_exact(end.saturating_add(spare) - self.bytes.len()).ok()?;
            }
            // A place that is not used up is no reason for more memory.
            let end = end.min(self.bytes.capacity());
            self.bytes.resize(end.max(self.bytes.len()), 0);
        }
        let end = self.bytes.len().min(self.filled.saturating_add(left));
        self.offered = end - self.filled;
        self.bytes.get_mut(self.filled..end)
    }

    /// Whether the latest piece that was copied here was large.
    #[cfg(feature = "std")]
    pub(super) const fn comes_in_large_pieces(&self) -> bool {
        self.latest >= DIRECT_READ
    }

    /// The first `len` bytes of what [`read_target`](Self::read_target) gave; `None` if that is none or more than it
    /// gave.
    pub(super) fn fill_target(&mut self, len: usize) -> Option<&mut [u8]> {
        if !(1..=mem::take(&mut self.offered)).contains(&len) {
            return None;
        }
        let before = self.filled;
        self.filled += len;
        self.bytes.get_mut(before..self.filled)
    }
}

impl fmt::Debug for Gathered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathered")
            .field("filled", &Redacted::of(self.bytes.get(self.start..self.filled).unwrap_or_default()))
            .field("offered", &self.offered)
            .field("capacity", &self.bytes.capacity())
            .finish_non_exhaustive()
    }
}
