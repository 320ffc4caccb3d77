//! Read buffers, lent by the thread to whichever connection reads.

use alloc::boxed::Box;
use alloc::{vec, vec::Vec};
use core::fmt;
use core::mem;
use core::ops::Range;
use std::thread_local;

use super::spares::Spares;
use crate::copy::{PAGE, to_middle_of_page};
#[cfg(feature = "deflate")]
use crate::deflate::Inflated;
use crate::redacted::Redacted;
#[cfg(feature = "deflate")]
use crate::{Found, Kind};

/// How much one read may bring to a buffer that is empty, at the least; up to a page more.
pub(crate) const SMALL: usize = 64 << 10;
pub(crate) const LARGE: usize = 256 << 10;

thread_local! {
    static SPARE: Spares<Box<[u8]>> = const { Spares::new() };
}

/// What was read and not taken yet. It holds memory only while there is some, or while a message is lent from it.
#[derive(Default)]
pub(crate) struct ReadBuffer {
    /// Empty, or more than [`SMALL`] bytes.
    bytes: Box<[u8]>,
    unread: Range<usize>,
    lent: Range<usize>,
    /// How much the latest read brought here.
    latest: usize,
    /// A message that was compressed, lent in place of the bytes that were taken last.
    #[cfg(feature = "deflate")]
    inflated: Option<Box<(Kind, Inflated)>>,
}

impl ReadBuffer {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }

    #[inline]
    pub(crate) fn unread(&mut self) -> &mut [u8] {
        &mut self.bytes[self.unread.clone()]
    }

    /// Takes `len` bytes off the front; they can be lent until the next read.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) {
        self.forget_inflated();
        let taken = len.min(self.unread.len());
        self.lent = self.unread.start..self.unread.start + taken;
        self.unread.start += taken;
    }

    /// The bytes that were taken last.
    #[inline]
    pub(crate) fn lent(&self) -> &[u8] {
        #[cfg(feature = "deflate")]
        if let Some(inflated) = &self.inflated {
            return inflated.1.as_slice();
        }
        &self.bytes[self.lent.clone()]
    }

    /// Lends a message that was compressed, if that was found, from where it was inflated to.
    #[cfg(feature = "deflate")]
    pub(crate) fn hold(&mut self, found: &mut Found) {
        self.inflated = found.take_inflated();
    }

    #[cfg(feature = "deflate")]
    #[inline]
    fn forget_inflated(&mut self) {
        if self.inflated.is_some() {
            self.inflated = None;
        }
    }

    #[cfg(not(feature = "deflate"))]
    #[inline]
    fn forget_inflated(&mut self) {}

    /// Where to read to, `size` bytes at the least if there is no buffer yet; all unread bytes are kept. It is not empty
    /// while the buffer [has room](Self::has_room).
    #[inline]
    pub(crate) fn room(&mut self, size: usize) -> &mut [u8] {
        self.forget_inflated();
        if self.bytes.is_empty() {
            let spare = SPARE.try_with(Spares::take).ok().flatten();
            self.bytes =
                spare.filter(|spare| spare.len() >= size + PAGE).unwrap_or_else(|| zeros(size + PAGE));
        }
        self.lent = 0..0;
        let place = if self.unread.is_empty() {
            let place = to_middle_of_page(self.bytes.as_ptr());
            self.unread = place..place;
            place
        } else {
            self.move_unread()
        };
        self.bytes.get_mut(place..).unwrap_or_default()
    }

    /// Moves what is unread to before the place for the next read, and returns that.
    #[inline(never)]
    fn move_unread(&mut self) -> usize {
        let len = self.unread.len();
        let mut start = to_middle_of_page(self.bytes.as_ptr().wrapping_add(len));
        if start + len >= self.bytes.len() {
            // There is no room for that.
            start = 0;
        }
        self.bytes.copy_within(self.unread.clone(), start);
        self.unread = start..start + len;
        start + len
    }

    /// Whether more could be read behind what is unread.
    #[cfg(any(feature = "tokio", test))]
    pub(crate) const fn has_room(&self) -> bool {
        self.unread.end - self.unread.start + PAGE < self.bytes.len()
    }

    /// Whether the latest read brought at least `len` bytes.
    pub(crate) fn brings_much(&self, len: usize) -> bool {
        self.latest >= len
    }

    /// `len` bytes were read into [`room`](Self::room).
    pub(crate) fn filled(&mut self, len: usize) {
        self.latest = len;
        self.unread.end = (self.unread.end + len).min(self.bytes.len());
    }

    /// Starts with bytes that someone else has read.
    pub(crate) fn preload(&mut self, bytes: &[u8]) {
        if bytes.len() <= SMALL {
            let room = self.room(SMALL);
            room[..bytes.len()].copy_from_slice(bytes);
        } else {
            self.bytes = bytes.into();
        }
        self.filled(bytes.len());
    }

    /// Gives the memory back to the thread unless something unread is left in it.
    pub(crate) fn release(&mut self) {
        self.forget_inflated();
        if !self.unread.is_empty() || self.bytes.is_empty() {
            return;
        }
        let bytes = mem::take(&mut self.bytes);
        (self.unread, self.lent) = (0..0, 0..0);
        if (SMALL + PAGE..=LARGE + PAGE).contains(&bytes.len()) {
            // At the end of a thread there is nobody left to keep it for.
            let _ = SPARE.try_with(|spare| spare.give(bytes));
        }
    }

    /// What was read and not taken, for whoever takes the stream over.
    pub(crate) fn into_unread(mut self) -> Vec<u8> {
        let unread = self.unread().to_vec();
        self.unread = 0..0;
        self.release();
        unread
    }
}

#[cold]
fn zeros(size: usize) -> Box<[u8]> {
    vec![0; size].into_boxed_slice()
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        self.unread = 0..0;
        self.release();
    }
}

impl fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBuffer")
            .field("unread", &Redacted::len(self.unread.len()))
            .field("lent", &Redacted::len(self.lent.len()))
            .field("capacity", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_begin_in_the_middle_of_a_page_behind_whatever_is_left() {
        let mut buffer = ReadBuffer::default();
        for left in [0, 1, 13, 2047, 2048, 2049, 4096, 9000] {
            let room = buffer.room(SMALL);
            assert_eq!(room.as_ptr().addr() % PAGE, PAGE / 2);
            assert!(room.len() >= SMALL);
            for (byte, i) in room.iter_mut().zip(0..10_000) {
                *byte = i as u8;
            }
            buffer.filled(10_000);
            let read = buffer.unread().len();
            buffer.take(read - left);
            let expected = (10_000 - left..10_000).map(|i| i as u8);
            let room = buffer.room(SMALL);
            assert_eq!(room.as_ptr().addr() % PAGE, PAGE / 2);
            assert!(room.len() + left >= SMALL);
            assert!(expected.eq(buffer.unread().iter().copied()), "{left} left");
            buffer.take(left);
        }
    }

    /// An empty place would be taken for the end of the stream.
    #[test]
    fn there_is_room_while_it_says_so() {
        for (len, made_elsewhere) in [(SMALL, false), (SMALL + 1, true), (SMALL + 5000, true)] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut buffer = ReadBuffer::default();
            buffer.preload(&bytes);
            assert_eq!(buffer.bytes.len() == len, made_elsewhere);
            while buffer.unread().len() > 1 {
                let step = if buffer.unread().len() > len - 5000 { 1 } else { 997 };
                buffer.take(step);
                let left = buffer.unread().len();
                if buffer.has_room() {
                    assert!(!buffer.room(SMALL).is_empty(), "{left} of {len}");
                }
                assert_eq!(buffer.unread(), &bytes[len - left..]);
            }
            assert!(buffer.has_room());
        }
    }
}
