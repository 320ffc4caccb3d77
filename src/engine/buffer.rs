//! Read buffers, lent by the thread to whichever connection reads.

use alloc::boxed::Box;
use alloc::{vec, vec::Vec};
use core::fmt;
use core::mem;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};
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

/// A buffer in which less than this part of it is unread is not kept for that.
const PART_WORTH_A_BUFFER: usize = 16;

thread_local! {
    static SPARE: Spares<Box<[u8]>> = const { Spares::new() };
}

/// What was read and not taken yet. It holds memory only while there is some, or while a message is lent from it.
#[derive(Default)]
pub(crate) struct ReadBuffer {
    /// Empty, a small rest that is unread, or more than [`SMALL`] bytes.
    bytes: Box<[u8]>,
    unread: Range<usize>,
    lent: Range<usize>,
    /// There while a large buffer is kept for a small rest.
    hold: Option<Hold>,
    /// How much the latest read brought here.
    latest: u32,
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
            self.bytes = large(size);
        } else if self.bytes.len() <= SMALL {
            self.grow(size);
        }
        self.lent = 0..0;
        let place = if self.unread.is_empty() {
            let place = to_middle_of_page(self.bytes.as_ptr());
            self.unread = place..place;
            place
        } else if self.is_worth_moving() {
            self.move_unread()
        } else {
            self.unread.end
        };
        self.bytes.get_mut(place..).unwrap_or_default()
    }

    /// Whether to move what is unread, so that the next read goes to the middle of a page: not for each of many reads
    /// that bring little, as all the moves would cost the square of what they bring.
    fn is_worth_moving(&self) -> bool {
        self.unread.end == self.bytes.len() || self.unread.len() <= (self.latest as usize).max(PAGE / 2)
    }

    /// Goes on behind a small rest.
    #[cold]
    fn grow(&mut self, size: usize) {
        let rest = mem::replace(&mut self.bytes, large(size));
        let unread = &rest[self.unread.clone()];
        self.bytes[..unread.len()].copy_from_slice(unread);
        self.unread = 0..unread.len();
        // It is moved once, to where the next read is fast.
        self.latest = self.latest.max(unread.len() as u32);
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
        self.bytes.len() <= SMALL || self.unread.end - self.unread.start + PAGE < self.bytes.len()
    }

    /// Whether the latest read brought at least `len` bytes.
    pub(crate) fn brings_much(&self, len: usize) -> bool {
        self.latest as usize >= len
    }

    /// `len` bytes were read into [`room`](Self::room).
    pub(crate) fn filled(&mut self, len: usize) {
        self.latest = u32::try_from(len).unwrap_or(u32::MAX);
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

    /// Gives the memory back to the thread unless something unread is left in it: nobody knows when the application
    /// receives next. A small rest gets memory of its own where many buffers are kept for such rests already.
    pub(crate) fn release(&mut self) {
        self.forget_inflated();
        if !self.unread.is_empty() {
            return self.release_around_rest();
        }
        if self.bytes.is_empty() {
            return;
        }
        let bytes = mem::take(&mut self.bytes);
        (self.unread, self.lent, self.hold) = (0..0, 0..0, None);
        give_back(bytes);
    }

    fn release_around_rest(&mut self) {
        let left = self.unread.len();
        let is_small = self.bytes.len() > SMALL && left <= self.bytes.len() / PART_WORTH_A_BUFFER;
        if is_small && self.hold.is_none() {
            self.hold = Hold::new();
            if self.hold.is_some() {
                return;
            }
            let rest = self.bytes[self.unread.clone()].into();
            let bytes = mem::replace(&mut self.bytes, rest);
            (self.unread, self.lent) = (0..left, 0..0);
            give_back(bytes);
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

/// How many large buffers the process keeps for small rests. Moving the rest of each read would cost batches of small
/// owned messages 3 to 6 %, but a peer that leaves a byte unread must not cost a buffer.
const MOST_HELD: usize = 16;
static HELD: AtomicUsize = AtomicUsize::new(0);

/// The right to keep one of them.
#[derive(Debug)]
struct Hold;

impl Hold {
    fn new() -> Option<Self> {
        let hold = Self;
        (HELD.fetch_add(1, Ordering::Relaxed) < MOST_HELD).then_some(hold)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A buffer for a read of at least `size` bytes.
#[inline]
fn large(size: usize) -> Box<[u8]> {
    let spare = SPARE.try_with(Spares::take).ok().flatten();
    spare.filter(|spare| spare.len() >= size + PAGE).unwrap_or_else(|| zeros(size + PAGE))
}

#[inline]
fn give_back(bytes: Box<[u8]>) {
    if (SMALL + PAGE..=LARGE + PAGE).contains(&bytes.len()) {
        // At the end of a thread there is nobody left to keep it for.
        let _ = SPARE.try_with(|spare| spare.give(bytes));
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

    #[test]
    fn a_small_rest_holds_no_large_buffer_if_many_do() {
        let held: Vec<_> = core::iter::from_fn(Hold::new).collect();
        assert!(held.len() <= MOST_HELD);
        for left in [1, 16, 4000, SMALL / PART_WORTH_A_BUFFER] {
            let mut buffer = ReadBuffer::default();
            let bytes: Vec<u8> = (0..SMALL).map(|i| i as u8).collect();
            buffer.preload(&bytes);
            buffer.take(SMALL - left);
            buffer.release();
            assert_eq!(buffer.bytes.len(), left);
            assert_eq!(buffer.unread(), &bytes[SMALL - left..]);
            // Nothing is lost when more comes.
            assert!(buffer.has_room());
            let room = buffer.room(SMALL);
            assert!(room.len() >= SMALL - left);
            room[0] = 77;
            buffer.filled(1);
            assert_eq!(buffer.unread(), [&bytes[SMALL - left..], &[77]].concat());
            buffer.take(left + 1);
            buffer.release();
            assert!(buffer.bytes.is_empty());
        }
    }

    #[test]
    fn many_small_reads_move_no_more_than_they_bring() {
        for step in [1, 100, 3000] {
            let (mut buffer, mut moved, mut all) = (ReadBuffer::default(), 0, 0);
            // Others have used up most of the buffer.
            buffer.room(LARGE);
            buffer.filled(200_000);
            buffer.take(199_999);
            while all < 64_000 {
                let (before, len) = (buffer.unread.start, buffer.unread.len());
                let room = buffer.room(LARGE);
                let read = step.min(room.len());
                room[..read].fill(7);
                buffer.filled(read);
                all += read;
                moved += if buffer.unread.start == before { 0 } else { len };
            }
            assert_eq!(buffer.unread().len(), all + 1);
            // At first up to half a page for each read, which costs less than the call.
            assert!(moved <= 2 * all + 2048 * (2048 / step + 2), "{moved} for {all} by {step}");
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
