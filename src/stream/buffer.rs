//! Read buffers, lent by the thread to whichever connection reads.

use alloc::boxed::Box;
use alloc::{vec, vec::Vec};
use core::mem;
use core::ops::Range;
use std::thread_local;

use super::spares::Spares;
#[cfg(feature = "deflate")]
use crate::deflate::Inflated;
#[cfg(feature = "deflate")]
use crate::{Found, Kind};

/// How much one read may bring at the least, and at the most.
pub(crate) const SMALL: usize = 64 << 10;
pub(crate) const LARGE: usize = 256 << 10;

thread_local! {
    static SPARE: Spares<Box<[u8]>> = const { Spares::new() };
}

/// What was read and not taken yet. It holds memory only while there is some, or while a message is lent from it.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    /// Empty, or [`SMALL`] bytes at the least.
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

    /// Where to read to, in a buffer of `size` bytes if there is none; all unread bytes are kept.
    pub(crate) fn room(&mut self, size: usize) -> &mut [u8] {
        self.forget_inflated();
        if self.bytes.is_empty() {
            self.bytes = SPARE
                .try_with(Spares::take)
                .ok()
                .flatten()
                .filter(|spare| spare.len() >= size)
                .unwrap_or_else(|| vec![0; size].into_boxed_slice());
        }
        self.lent = 0..0;
        let start = mem::take(&mut self.unread.start);
        if start < self.unread.end {
            self.bytes.copy_within(start..self.unread.end, 0);
        }
        self.unread.end -= start;
        &mut self.bytes[self.unread.end..]
    }

    /// Whether more could be read behind what is unread.
    #[cfg(feature = "tokio")]
    pub(crate) const fn has_room(&self) -> bool {
        self.unread.end - self.unread.start < self.bytes.len()
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
        if (SMALL..=LARGE).contains(&bytes.len()) {
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

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        self.unread = 0..0;
        self.release();
    }
}
