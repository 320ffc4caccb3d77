//! Encoded bytes that have not been written yet.

use alloc::vec::Vec;

/// The queue between the encoders and the stream. It holds memory only while something waits.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Where to append.
    pub(super) fn sink(&mut self) -> &mut Vec<u8> {
        // A queue that never runs empty must not keep what has left. Each byte moves once on average at the most.
        if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        &mut self.bytes
    }

    pub(super) fn wrote(&mut self, len: usize) {
        self.written += len;
        if self.written >= self.bytes.len() {
            // An idle connection holds no buffer, and what grew for a large message is given back.
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
