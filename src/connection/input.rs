//! The caller's bytes, taken piece by piece.

use crate::redacted::Redacted;
use core::fmt;
use core::mem;

/// Received bytes on their way into a [`Connection`](super::Connection).
///
/// Events borrow from these bytes and not from the connection, so that an application can send while it holds a
/// payload. Payloads are unmasked where they lie.
pub struct Input<'a> {
    bytes: &'a mut [u8],
    consumed: usize,
    /// How many bytes were read straight into the message in progress; then there are no others.
    #[cfg(feature = "std")]
    direct: usize,
}

impl<'a> Input<'a> {
    /// Takes what was read from the transport, in any cut.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            bytes,
            consumed: 0,
            #[cfg(feature = "std")]
            direct: 0,
        }
    }

    /// `len` bytes that were read to [`payload_target`](super::Connection::payload_target).
    #[cfg(feature = "std")]
    pub(crate) const fn direct(len: usize) -> Self {
        Self { bytes: &mut [], consumed: 0, direct: len }
    }

    #[cfg(feature = "std")]
    pub(super) fn take_direct(&mut self) -> Option<usize> {
        let len = mem::take(&mut self.direct);
        self.consumed += len;
        (len > 0).then_some(len)
    }

    /// How many bytes the connection has taken; only those behind them are to be given again, if any.
    #[inline]
    #[must_use]
    pub const fn consumed(&self) -> usize {
        self.consumed
    }

    /// The bytes that the connection has not taken yet, untouched; of no use after `receive` has failed.
    #[must_use]
    pub const fn rest(&self) -> &[u8] {
        self.bytes
    }

    /// Whether every byte was taken.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        #[cfg(feature = "std")]
        if self.direct > 0 {
            return false;
        }
        self.bytes.is_empty()
    }

    #[inline]
    pub(super) const fn rest_mut(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// Splits off the first `len` bytes for as long as the whole input lives.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> &'a mut [u8] {
        let len = len.min(self.bytes.len());
        let (taken, rest) = mem::take(&mut self.bytes).split_at_mut(len);
        self.bytes = rest;
        self.consumed += len;
        taken
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("rest", &Redacted::of(self.rest()))
            .field("consumed", &self.consumed)
            .finish()
    }
}
