//! What a frame is for (RFC 6455 §5.2, §11.8).

use crate::message::Kind;

/// The four bits that tell what a frame is for.
///
/// Exhaustive on purpose: those that the RFC reserves are refused, and a new one would change every decoder.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The start of the closing handshake, or its answer.
    Close = 0x8,
    /// A ping, to be answered by a pong.
    Ping = 0x9,
    /// The answer to a ping, or a heartbeat in one direction.
    Pong = 0xA,
}

impl Opcode {
    /// The opcode of these four bits, `None` for the reserved ones (3 to 7, 11 to 15) and for larger numbers.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// The four bits on the wire.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Whether this is Close, Ping or Pong, which may stand between the fragments of a message (§5.5).
    #[inline]
    #[must_use]
    pub const fn is_control(self) -> bool {
        // RFC 6455 §5.5: "Control frames are identified by opcodes where the most significant bit of the opcode is 1."
        self.bits() & 0x8 != 0
    }
}

impl From<Kind> for Opcode {
    #[inline]
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Binary => Self::Binary,
        }
    }
}
