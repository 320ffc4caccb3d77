//! Where encoded bytes go.

use alloc::vec::Vec;
use core::fmt;

use bytes::BytesMut;

use crate::memory::append;
use crate::redacted::Redacted;

/// Takes the bytes that are to be written to the transport, in the order they must leave.
///
/// `Vec<u8>` and [`BytesMut`] grow as needed; a [`SliceSink`] over a fixed slice refuses what does not fit. Every
/// encoder of this crate asks for [`room`](Sink::room) before the first byte, so that a full sink never holds half
/// a frame.
pub trait Sink {
    /// How many bytes can still be appended.
    fn room(&self) -> usize;

    /// Appends `bytes`. Called only with at most [`room`](Sink::room) bytes; a sink drops what exceeds it.
    fn push(&mut self, bytes: &[u8]);

    /// The last `len` bytes that were pushed, so that a client's payload can be masked where it lies; fewer if
    /// the sink holds fewer.
    fn last_mut(&mut self, len: usize) -> &mut [u8];

    /// Prepares for `additional` bytes so that the pushes which follow need not grow the storage one by one.
    fn reserve(&mut self, additional: usize) {
        let _ = additional;
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn room(&self) -> usize {
        isize::MAX as usize - self.len()
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        append(self, bytes);
    }

    #[inline]
    fn last_mut(&mut self, len: usize) -> &mut [u8] {
        let start = self.len().saturating_sub(len);
        &mut self[start..]
    }

    #[inline]
    fn reserve(&mut self, additional: usize) {
        Self::reserve(self, additional);
    }
}

impl Sink for BytesMut {
    #[inline]
    fn room(&self) -> usize {
        isize::MAX as usize - self.len()
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        append(self, bytes);
    }

    #[inline]
    fn last_mut(&mut self, len: usize) -> &mut [u8] {
        let start = self.len().saturating_sub(len);
        &mut self[start..]
    }

    #[inline]
    fn reserve(&mut self, additional: usize) {
        Self::reserve(self, additional);
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    #[inline]
    fn room(&self) -> usize {
        (**self).room()
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        (**self).push(bytes);
    }

    #[inline]
    fn last_mut(&mut self, len: usize) -> &mut [u8] {
        (**self).last_mut(len)
    }

    #[inline]
    fn reserve(&mut self, additional: usize) {
        (**self).reserve(additional);
    }
}

/// A [`Sink`] over memory that does not grow, for targets without an allocator to spare.
///
/// A connection needs 131 bytes of it at the least, which is the longest control frame that a client sends (127 for
/// a server): a reply that never finds its room waits for ever.
///
/// ```
/// use sansocket::{Sink, SliceSink};
///
/// let mut memory = [0; 4];
/// let mut sink = SliceSink::new(&mut memory);
/// sink.push(b"abc");
/// assert_eq!(sink.room(), 1);
/// assert_eq!(sink.filled(), b"abc");
/// sink.consume(2); // as many bytes as the transport took
/// assert_eq!((sink.filled(), sink.room()), (&b"c"[..], 3));
/// ```
pub struct SliceSink<'a> {
    memory: &'a mut [u8],
    len: usize,
}

impl<'a> SliceSink<'a> {
    /// Starts empty; `memory` is overwritten from its first byte.
    pub const fn new(memory: &'a mut [u8]) -> Self {
        Self { memory, len: 0 }
    }

    /// What was pushed so far.
    pub fn filled(&self) -> &[u8] {
        &self.memory[..self.len]
    }

    /// Forgets what was pushed, after it has been written out.
    pub const fn clear(&mut self) {
        self.len = 0;
    }

    /// Forgets the first `bytes` bytes, after a write that took only them; what is left moves to the start.
    ///
    /// More than [`filled`](Self::filled) holds is the same as all of it.
    pub fn consume(&mut self, bytes: usize) {
        let gone = bytes.min(self.len);
        self.memory.copy_within(gone..self.len, 0);
        self.len -= gone;
    }
}

impl Sink for SliceSink<'_> {
    fn room(&self) -> usize {
        self.memory.len() - self.len
    }

    fn push(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.room());
        self.memory[self.len..self.len + len].copy_from_slice(&bytes[..len]);
        self.len += len;
    }

    fn last_mut(&mut self, len: usize) -> &mut [u8] {
        &mut self.memory[self.len.saturating_sub(len)..self.len]
    }
}

/// A [`Sink`] had too little room; nothing was written to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Full {
    /// The bytes that would have been written.
    pub needed: usize,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the output has no room for {} bytes: write out what it holds, then try again", self.needed)
    }
}

impl core::error::Error for Full {}

impl fmt::Debug for SliceSink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SliceSink")
            .field("filled", &Redacted::of(self.filled()))
            .field("room", &self.room())
            .finish()
    }
}
