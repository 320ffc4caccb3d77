//! The read buffer of a connection, with a compressed message that is lent in place of the bytes it came in.

#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

#[cfg(feature = "deflate")]
use crate::deflate::Inflated;
use crate::memory;
#[cfg(feature = "deflate")]
use crate::{Found, Kind};

pub(crate) use crate::memory::{LARGE_READ as LARGE, SMALL_READ as SMALL};

#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    buffer: memory::ReadBuffer,
    #[cfg(feature = "deflate")]
    inflated: Option<Box<(Kind, Inflated)>>,
}

impl ReadBuffer {
    /// Takes `len` bytes off the front; they can be lent until the next read.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) {
        self.forget_inflated();
        self.buffer.consume(len);
    }

    /// The bytes that were taken last.
    #[inline]
    pub(crate) fn lent(&self) -> &[u8] {
        #[cfg(feature = "deflate")]
        if let Some(inflated) = &self.inflated {
            return inflated.1.as_slice();
        }
        self.buffer.consumed()
    }

    /// Lends a message that was compressed, if that was found, from where it was inflated to.
    #[cfg(feature = "deflate")]
    pub(crate) fn hold(&mut self, found: &mut Found) {
        self.inflated = found.take_inflated();
    }

    #[inline]
    fn forget_inflated(&mut self) {
        #[cfg(feature = "deflate")]
        if self.inflated.is_some() {
            self.inflated = None;
        }
    }

    /// Where to read to, at least `size` bytes if there is no memory yet.
    #[inline]
    pub(crate) fn room(&mut self, size: usize) -> &mut [u8] {
        self.forget_inflated();
        self.buffer.unfilled_for(size)
    }

    /// `len` bytes were read into [`room`](Self::room).
    #[inline]
    pub(crate) fn filled(&mut self, len: usize) {
        self.buffer.advance(len);
    }

    /// Gives the memory back to the thread unless something is unread: nobody knows when the application receives next.
    pub(crate) fn release(&mut self) {
        self.forget_inflated();
        self.buffer.release();
    }

    /// What was read and not taken, for whoever takes the stream over.
    pub(crate) fn into_unread(self) -> Vec<u8> {
        self.buffer.into_unread()
    }
}

impl Deref for ReadBuffer {
    type Target = memory::ReadBuffer;

    #[inline]
    fn deref(&self) -> &memory::ReadBuffer {
        &self.buffer
    }
}

impl DerefMut for ReadBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut memory::ReadBuffer {
        &mut self.buffer
    }
}
