//! A read buffer that borrows its memory from the thread.

use alloc::boxed::Box;
use alloc::{vec, vec::Vec};
use core::fmt;
use core::mem;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io::{self, Read};

use super::copy::{PAGE, offset_to_mid_page};
use super::pool::BufferPool;
#[cfg(feature = "deflate")]
use super::shared_pool::Inflated;
#[cfg(feature = "deflate")]
use crate::message::Kind;
use crate::redacted::Redacted;

/// How much one read into an empty buffer may bring, at least; up to a page more.
pub(crate) const SMALL_READ: usize = 64 << 10;
pub(crate) const LARGE_READ: usize = 256 << 10;

/// A large buffer is not kept for unread bytes that are a smaller part of it than this.
const PART_WORTH_A_BUFFER: usize = 16;

/// Bytes that were read from a transport and not consumed yet.
///
/// The memory belongs to the thread: a buffer takes it for a read of up to 256 KiB and gives it back when it is
/// [released](Self::release) or dropped. So an event loop needs no buffer of its own; it creates one for each connection that
/// is ready, which costs nothing, and an idle connection holds no memory. Reads begin where in a page the kernel copies
/// fastest.
///
/// ```
/// use std::io::{self, Read};
/// use sansocket::{Config, Connection, Input, ReadBuffer, Role};
///
/// // Reads what `stream` has for `connection`, of which this takes no part: another protocol stands before it.
/// fn skip_preamble(stream: &mut impl Read) -> io::Result<ReadBuffer> {
///     let mut buffer = ReadBuffer::new();
///     while buffer.unread().len() < 4 {
///         if buffer.read_from(stream)? == 0 {
///             return Err(io::ErrorKind::UnexpectedEof.into());
///         }
///     }
///     buffer.consume(4);
///     Ok(buffer)
/// }
///
/// let mut buffer = skip_preamble(&mut &b"abcdef"[..])?;
/// assert_eq!(buffer.unread(), b"ef");
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Default)]
pub struct ReadBuffer {
    /// Empty, a small rest that is unread, or more than [`SMALL_READ`] bytes.
    bytes: Box<[u8]>,
    unread: Range<usize>,
    /// The bytes that were consumed last.
    lent: Range<usize>,
    /// There while a large buffer is kept for a small rest.
    hold: Option<Hold>,
    /// Whether the latest read left some of the memory unused that was offered to it.
    has_drained: bool,
    /// How much the latest read brought here.
    latest: u32,
    /// A message that was compressed, lent in place of the bytes that were consumed last.
    #[cfg(feature = "deflate")]
    inflated: Option<Box<(Kind, Inflated)>>,
}

impl ReadBuffer {
    /// An empty buffer, without memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads once from `stream`, to behind the unread bytes; returns how many bytes came, 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// Those of `stream`, [`WouldBlock`](io::ErrorKind::WouldBlock) included; a read that was interrupted is repeated.
    /// [`OutOfMemory`](io::ErrorKind::OutOfMemory) if the buffer is full of unread bytes.
    pub fn read_from(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        let target = self.unfilled();
        if target.is_empty() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let (capacity, len) = (target.len(), read_once(stream, target)?);
        self.has_drained = len < capacity;
        self.filled(len);
        Ok(len)
    }

    /// Whether the latest read left capacity unused. The stream had no more bytes then, so that a loop that is notified of
    /// changes only (an edge-triggered one) need not read again before the next notification.
    #[must_use]
    pub const fn has_drained(&self) -> bool {
        self.has_drained
    }

    #[inline]
    pub(crate) const fn set_drained(&mut self, has_drained: bool) {
        self.has_drained = has_drained;
    }

    /// Whether no byte is unread.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }

    /// The bytes that were read and not consumed.
    #[inline]
    #[must_use]
    pub fn unread(&mut self) -> &mut [u8] {
        &mut self.bytes[self.unread.clone()]
    }

    /// Removes the first `len` unread bytes, or all if there are fewer.
    #[inline]
    pub fn consume(&mut self, len: usize) {
        self.take(len);
    }

    /// [`consume`](Self::consume) for bytes that can be lent until the next read.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) {
        self.forget_inflated();
        let len = len.min(self.unread.len());
        self.lent = self.unread.start..self.unread.start + len;
        self.unread.start += len;
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

    /// Removes all unread bytes and returns them.
    pub(crate) fn take_all(&mut self) -> &mut [u8] {
        self.take(usize::MAX);
        &mut self.bytes[self.lent.clone()]
    }

    /// Lends a message that was compressed from where it was inflated to.
    #[cfg(feature = "deflate")]
    pub(crate) fn lend_inflated(&mut self, inflated: Option<Box<(Kind, Inflated)>>) {
        self.inflated = inflated;
    }

    #[inline]
    fn forget_inflated(&mut self) {
        #[cfg(feature = "deflate")]
        if self.inflated.is_some() {
            self.inflated = None;
        }
    }

    /// Where to read to, for transports that are not [`Read`]; say with [`advance`](Self::advance) how many bytes came.
    /// Its content has no meaning. It is empty only if the buffer is full of unread bytes.
    #[must_use]
    pub fn unfilled(&mut self) -> &mut [u8] {
        self.room(LARGE_READ)
    }

    /// [`unfilled`](Self::unfilled) with at least `size` bytes if there is no memory yet.
    #[inline]
    pub(crate) fn room(&mut self, size: usize) -> &mut [u8] {
        self.forget_inflated();
        if self.bytes.is_empty() {
            self.bytes = take_memory(size);
        } else if self.bytes.len() <= SMALL_READ {
            self.grow(size);
        }
        self.lent = 0..0;
        let start = if self.unread.is_empty() {
            let start = offset_to_mid_page(self.bytes.as_ptr());
            self.unread = start..start;
            start
        } else if self.is_worth_moving() {
            self.move_unread()
        } else {
            self.unread.end
        };
        self.bytes.get_mut(start..).unwrap_or_default()
    }

    /// Whether to move the unread bytes, so that the next read goes to the middle of a page: not for each of many reads
    /// that bring little, because all the moves would cost the square of what the reads bring.
    fn is_worth_moving(&self) -> bool {
        self.unread.end == self.bytes.len() || self.unread.len() <= (self.latest as usize).max(PAGE / 2)
    }

    /// Moves a small rest into memory of full size.
    #[cold]
    fn grow(&mut self, size: usize) {
        let rest = mem::replace(&mut self.bytes, take_memory(size));
        let unread = &rest[self.unread.clone()];
        self.bytes[..unread.len()].copy_from_slice(unread);
        self.unread = 0..unread.len();
        // It is moved once more, to where the next read is fast.
        self.latest = self.latest.max(unread.len() as u32);
    }

    /// Moves the unread bytes so that the next read begins in the middle of a page, and returns where.
    #[inline(never)]
    fn move_unread(&mut self) -> usize {
        let len = self.unread.len();
        let mut start = offset_to_mid_page(self.bytes.as_ptr().wrapping_add(len));
        if start + len >= self.bytes.len() {
            start = 0;
        }
        self.bytes.copy_within(self.unread.clone(), start);
        self.unread = start..start + len;
        start + len
    }

    /// Whether more could be read behind the unread bytes.
    #[cfg(any(feature = "tokio", test))]
    pub(crate) const fn has_room(&self) -> bool {
        self.bytes.len() <= SMALL_READ || self.unread.end - self.unread.start + PAGE < self.bytes.len()
    }

    /// Adds the first `len` bytes of [`unfilled`](Self::unfilled), which were just read, to the unread ones; all of them if
    /// there are fewer.
    pub fn advance(&mut self, len: usize) {
        self.filled(len.min(self.bytes.len()));
    }

    #[inline]
    pub(crate) fn filled(&mut self, len: usize) {
        self.latest = u32::try_from(len).unwrap_or(u32::MAX);
        self.unread.end = (self.unread.end + len).min(self.bytes.len());
    }

    /// Starts with bytes that someone else has read.
    pub(crate) fn preload(&mut self, bytes: &[u8]) {
        if bytes.len() <= SMALL_READ {
            self.room(SMALL_READ)[..bytes.len()].copy_from_slice(bytes);
        } else {
            self.bytes = bytes.into();
        }
        self.filled(bytes.len());
    }

    /// Gives the memory back to the thread, before the connection waits. Unread bytes are kept: they are moved to
    /// memory of their own size if many connections of the process have such a rest.
    pub fn release(&mut self) {
        self.forget_inflated();
        if !self.unread.is_empty() {
            return self.release_around_rest();
        }
        if self.bytes.is_empty() {
            return;
        }
        let bytes = mem::take(&mut self.bytes);
        (self.unread, self.lent, self.hold) = (0..0, 0..0, None);
        give_memory_back(bytes);
    }

    fn release_around_rest(&mut self) {
        let left = self.unread.len();
        let is_small = self.bytes.len() > SMALL_READ && left <= self.bytes.len() / PART_WORTH_A_BUFFER;
        if is_small && self.hold.is_none() {
            self.hold = Hold::new();
            if self.hold.is_some() {
                return;
            }
            let rest = self.bytes[self.unread.clone()].into();
            let bytes = mem::replace(&mut self.bytes, rest);
            (self.unread, self.lent) = (0..left, 0..0);
            give_memory_back(bytes);
        }
    }

    /// The unread bytes, for whoever takes the stream over.
    pub(crate) fn into_unread(mut self) -> Vec<u8> {
        self.take_all().to_vec()
    }
}

/// One read that was not interrupted. A stream may claim to have read more than fits.
pub(crate) fn read_once(stream: &mut impl Read, target: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(target) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return Ok(read?.min(target.len())),
        }
    }
}

/// How many large buffers the process keeps for small rests. Moving the rest of each read would cost batches of small
/// owned messages 3 to 6 %, but a peer that leaves a byte unread must not cost a buffer.
const MAX_HELD: usize = 16;
static HELD: AtomicUsize = AtomicUsize::new(0);

/// The right to keep one of them.
#[derive(Debug)]
struct Hold;

impl Hold {
    fn new() -> Option<Self> {
        let hold = Self;
        (HELD.fetch_add(1, Ordering::Relaxed) < MAX_HELD).then_some(hold)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Memory for a read of at least `size` bytes.
#[inline]
fn take_memory(size: usize) -> Box<[u8]> {
    let kept = BufferPool::with(|pool| pool.read_buffers.pop()).flatten();
    kept.filter(|kept| kept.len() >= size + PAGE).unwrap_or_else(|| zeros(size + PAGE))
}

#[inline]
fn give_memory_back(bytes: Box<[u8]>) {
    if (SMALL_READ + PAGE..=LARGE_READ + PAGE).contains(&bytes.len()) {
        BufferPool::with(|pool| pool.read_buffers.push(bytes));
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
            let room = buffer.room(SMALL_READ);
            assert_eq!(room.as_ptr().addr() % PAGE, PAGE / 2);
            assert!(room.len() >= SMALL_READ);
            for (byte, i) in room.iter_mut().zip(0..10_000) {
                *byte = i as u8;
            }
            buffer.advance(10_000);
            let read = buffer.unread().len();
            buffer.consume(read - left);
            let expected = (10_000 - left..10_000).map(|i| i as u8);
            let room = buffer.room(SMALL_READ);
            assert_eq!(room.as_ptr().addr() % PAGE, PAGE / 2);
            assert!(room.len() + left >= SMALL_READ);
            assert!(expected.eq(buffer.unread().iter().copied()), "{left} left");
            buffer.consume(left);
        }
    }

    #[test]
    fn a_small_rest_holds_no_large_buffer_if_many_do() {
        let held: Vec<_> = core::iter::from_fn(Hold::new).collect();
        assert!(held.len() <= MAX_HELD);
        for left in [1, 16, 4000, SMALL_READ / PART_WORTH_A_BUFFER] {
            let mut buffer = ReadBuffer::default();
            let bytes: Vec<u8> = (0..SMALL_READ).map(|i| i as u8).collect();
            buffer.preload(&bytes);
            buffer.consume(SMALL_READ - left);
            buffer.release();
            assert_eq!(buffer.bytes.len(), left);
            assert_eq!(buffer.unread(), &bytes[SMALL_READ - left..]);
            // Nothing is lost when more comes.
            assert!(buffer.has_room());
            let room = buffer.room(SMALL_READ);
            assert!(room.len() >= SMALL_READ - left);
            room[0] = 77;
            buffer.advance(1);
            assert_eq!(buffer.unread(), [&bytes[SMALL_READ - left..], &[77]].concat());
            buffer.consume(left + 1);
            buffer.release();
            assert!(buffer.bytes.is_empty());
        }
    }

    #[test]
    fn many_small_reads_move_no_more_than_they_bring() {
        for step in [1, 100, 3000] {
            let (mut buffer, mut moved, mut all) = (ReadBuffer::default(), 0, 0);
            // Others have used up most of the buffer.
            buffer.room(LARGE_READ);
            buffer.advance(200_000);
            buffer.consume(199_999);
            while all < 64_000 {
                let (before, len) = (buffer.unread.start, buffer.unread.len());
                let room = buffer.room(LARGE_READ);
                let read = step.min(room.len());
                room[..read].fill(7);
                buffer.advance(read);
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
        for (len, made_elsewhere) in [(SMALL_READ, false), (SMALL_READ + 1, true), (SMALL_READ + 5000, true)]
        {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut buffer = ReadBuffer::default();
            buffer.preload(&bytes);
            assert_eq!(buffer.bytes.len() == len, made_elsewhere);
            while buffer.unread().len() > 1 {
                let step = if buffer.unread().len() > len - 5000 { 1 } else { 997 };
                buffer.consume(step);
                let left = buffer.unread().len();
                if buffer.has_room() {
                    assert!(!buffer.room(SMALL_READ).is_empty(), "{left} of {len}");
                }
                assert_eq!(buffer.unread(), &bytes[len - left..]);
            }
            assert!(buffer.has_room());
        }
    }
}
