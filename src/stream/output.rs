//! Encoded bytes that have not been written yet.

use alloc::vec::Vec;

use crate::Sink;

/// What a queue starts with, in bytes: growing from nothing costs a batch of small answers more than encoding them.
const FIRST: usize = 2048;

/// The queue between the encoders and the stream. It holds memory only while something waits.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    #[inline]
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Where to append.
    #[inline]
    pub(crate) fn sink(&mut self) -> &mut Vec<u8> {
        // A queue that never runs empty must not keep what has left. Each byte moves once on average at the most.
        if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        &mut self.bytes
    }

    /// Where to append what is certain to come.
    #[inline]
    pub(crate) fn sink_for_more(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(FIRST);
        }
        self.sink()
    }

    /// Where replies go that nobody asked this side for: as far as less than `limit` waits, or nothing.
    pub(crate) fn replies(&mut self, limit: usize) -> Replies<'_> {
        let waiting = self.waiting().len();
        let room = if waiting == 0 { usize::MAX } else { limit.saturating_sub(waiting) };
        Replies { bytes: self.sink(), room }
    }

    pub(crate) fn wrote(&mut self, len: usize) {
        self.written += len;
        if self.written >= self.bytes.len() {
            // An idle connection holds no buffer, and what grew for a large message is given back.
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The output with bounded room, so that pings of a peer that reads no pongs cannot fill it.
#[derive(Debug)]
pub(crate) struct Replies<'a> {
    bytes: &'a mut Vec<u8>,
    room: usize,
}

impl Sink for Replies<'_> {
    #[inline]
    fn room(&self) -> usize {
        self.room
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.room = self.room.saturating_sub(bytes.len());
        Sink::push(self.bytes, bytes);
    }

    #[inline]
    fn last_mut(&mut self, len: usize) -> &mut [u8] {
        self.bytes.last_mut(len)
    }

    #[inline]
    fn reserve(&mut self, additional: usize) {
        Sink::reserve(self.bytes, additional);
    }
}
