//! What both ends agreed on.

/// The agreed parameters of one connection, seen from one end (RFC 7692 §5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Agreed {
    pub(crate) send_window_bits: u8,
    pub(crate) receive_window_bits: u8,
    pub(crate) send_takeover: bool,
    pub(crate) receive_takeover: bool,
}

impl Agreed {
    /// The largest window with which this end may compress, as the exponent of two: 8 to 15.
    ///
    /// With 8, which no compressor of zlib's family knows, everything is sent uncompressed, as it may be (RFC 7692 §6).
    #[must_use]
    pub const fn send_window_bits(&self) -> u8 {
        self.send_window_bits
    }

    /// The largest window with which the peer may compress, as the exponent of two: 8 to 15.
    #[must_use]
    pub const fn receive_window_bits(&self) -> u8 {
        self.receive_window_bits
    }

    /// Whether a message that is sent may refer back to earlier ones.
    #[must_use]
    pub const fn send_takeover(&self) -> bool {
        self.send_takeover
    }

    /// Whether a message that is received may refer back to earlier ones.
    #[must_use]
    pub const fn receive_takeover(&self) -> bool {
        self.receive_takeover
    }
}
