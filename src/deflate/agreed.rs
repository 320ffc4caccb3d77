//! What both ends agreed on.

use core::num::NonZeroU8;

/// The agreed parameters of one connection, seen from one end (RFC 7692 §5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Agreed {
    pub(crate) sending: Direction,
    pub(crate) receiving: Direction,
}

/// One direction, in a byte: every connection has room for two of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Direction(NonZeroU8);

impl Direction {
    const TAKEOVER: u8 = 0x10;

    /// `window_bits` from 8 to 15.
    pub(crate) const fn new(window_bits: u8, takeover: bool) -> Self {
        let bits = window_bits & 0xF | if takeover { Self::TAKEOVER } else { 0 };
        Self(NonZeroU8::MIN.saturating_add(bits))
    }

    const fn byte(self) -> u8 {
        self.0.get() - 1
    }

    const fn window_bits(self) -> u8 {
        self.byte() & 0xF
    }

    const fn takeover(self) -> bool {
        self.byte() & Self::TAKEOVER != 0
    }
}

impl Agreed {
    /// The largest window with which this end may compress, as the exponent of two: 8 to 15.
    ///
    /// With 8, which no compressor of zlib's family knows, everything is sent uncompressed, as it may be (RFC 7692 §6).
    #[must_use]
    pub const fn send_window_bits(&self) -> u8 {
        self.sending.window_bits()
    }

    /// The largest window with which the peer may compress, as the exponent of two: 8 to 15.
    #[must_use]
    pub const fn receive_window_bits(&self) -> u8 {
        self.receiving.window_bits()
    }

    /// Whether a message that is sent may refer back to earlier ones.
    #[must_use]
    pub const fn send_takeover(&self) -> bool {
        self.sending.takeover()
    }

    /// Whether a message that is received may refer back to earlier ones.
    #[must_use]
    pub const fn receive_takeover(&self) -> bool {
        self.receiving.takeover()
    }
}
