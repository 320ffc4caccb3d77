//! The header of a frame (RFC 6455 §5.2).

use core::fmt;

use super::opcode::Opcode;
use crate::error::ProtocolError;
use crate::redacted::Redacted;

/// What stands before the payload of a frame.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub struct FrameHeader {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// The three reserved bits, RSV1 as 4, RSV2 as 2, RSV3 as 1; 0 unless an extension uses them.
    pub rsv: u8,
    /// What the frame is for.
    pub opcode: Opcode,
    /// The masking key, which frames of clients have and frames of servers have not.
    pub mask: Option<[u8; 4]>,
    /// The length of the payload in bytes, at most 2^63 − 1.
    pub len: u64,
}

impl FrameHeader {
    /// The longest header: two bytes, a 64-bit length and a masking key.
    pub const MAX_LEN: usize = 14;

    /// A final frame without reserved bits and without a mask; change the fields for others.
    #[must_use]
    pub const fn new(opcode: Opcode, len: u64) -> Self {
        Self { fin: true, rsv: 0, opcode, mask: None, len }
    }

    /// Reads the header at the start of `bytes` together with its length; `None` while it is incomplete.
    ///
    /// Whether a mask or reserved bits are allowed depends on the connection and is not judged here.
    ///
    /// # Errors
    ///
    /// A reserved opcode, a length that is not in its shortest form or has more than 63 bits, a control frame in
    /// fragments or over 125 bytes; a length as soon as it is there as a whole, the others by the first two bytes.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let opcode = opcode_of(first)?;
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        check_control(first, second, opcode)?;
        Self::parse_rest(first, second, opcode, bytes)
    }

    /// [`parse`](Self::parse) once the first two bytes have been judged.
    #[inline]
    pub(super) fn parse_rest(
        first: u8,
        second: u8,
        opcode: Opcode,
        bytes: &[u8],
    ) -> Result<Option<(Self, usize)>, ProtocolError> {
        let (len, at) = match second & 0x7F {
            126 => match bytes.get(2..4) {
                Some(&[a, b]) => (u64::from(u16::from_be_bytes([a, b])), 4),
                _ => return Ok(None),
            },
            127 => match bytes.get(2..10).map(<[u8; 8]>::try_from) {
                Some(Ok(long)) => (u64::from_be_bytes(long), 10),
                _ => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        check_length(len, at)?;
        let header = Self { fin: first & 0x80 != 0, rsv: first >> 4 & 0x7, opcode, mask: None, len };
        if second & 0x80 == 0 {
            return Ok(Some((header, at)));
        }
        match bytes.get(at..at + 4).map(<[u8; 4]>::try_from) {
            Some(Ok(key)) => Ok(Some((Self { mask: Some(key), ..header }, at + 4))),
            _ => Ok(None),
        }
    }

    /// How many bytes [`encode`](Self::encode) makes, 2 to 14.
    #[inline]
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        let length = match self.len {
            0..=125 => 2,
            126..=0xFFFF => 4,
            _ => 10,
        };
        if self.mask.is_some() { length + 4 } else { length }
    }

    /// The header as it stands on the wire, its length in the shortest form; of `len` only the lower 63 bits count,
    /// and of `rsv` the lower three.
    #[inline]
    #[must_use]
    pub fn encode(&self) -> EncodedHeader {
        let first = u8::from(self.fin) << 7 | (self.rsv & 0x7) << 4 | self.opcode.bits();
        let masked = u8::from(self.mask.is_some()) << 7;
        let start = |second| u128::from(u16::from_be_bytes([first, masked | second])) << 112;
        // Gathered in one number, first byte on top, and stored at once: reading back together what was stored in
        // parts would stall.
        // RFC 6455 §5.2: "the minimal number of bytes MUST be used to encode the length".
        let (mut number, mut len) = match self.len {
            0..=125 => (start(self.len as u8), 2),
            126..=0xFFFF => (start(126) | u128::from(self.len) << 96, 4),
            _ => (start(127) | u128::from(self.len & (u64::MAX >> 1)) << 48, 10),
        };
        if let Some(key) = self.mask {
            number |= u128::from(u32::from_be_bytes(key)) << (96 - 8 * len);
            len += 4;
        }
        EncodedHeader { bytes: number.to_be_bytes(), len }
    }
}

/// RFC 6455 §5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."
#[inline]
pub(super) const fn opcode_of(first: u8) -> Result<Opcode, ProtocolError> {
    match Opcode::from_bits(first & 0x0F) {
        Some(opcode) => Ok(opcode),
        None => Err(ProtocolError::ReservedOpcode(first & 0x0F)),
    }
}

/// RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
#[inline]
pub(super) const fn check_control(first: u8, second: u8, opcode: Opcode) -> Result<(), ProtocolError> {
    if opcode.is_control() {
        if first & 0x80 == 0 {
            return Err(ProtocolError::ControlFragmented);
        }
        if second & 0x7F > 125 {
            return Err(ProtocolError::ControlTooLong);
        }
    }
    Ok(())
}

#[inline]
const fn check_length(len: u64, header: usize) -> Result<(), ProtocolError> {
    match header {
        4 if len < 126 => Err(ProtocolError::LengthNotMinimal),
        10 if len < 0x1_0000 => Err(ProtocolError::LengthNotMinimal),
        // RFC 6455 §5.2: "the most significant bit MUST be 0".
        10 if len >> 63 != 0 => Err(ProtocolError::LengthOutOfRange),
        _ => Ok(()),
    }
}

/// The bytes of a [`FrameHeader`], at most [`FrameHeader::MAX_LEN`]; it dereferences to them.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct EncodedHeader {
    /// Zeros behind the header.
    bytes: [u8; 16],
    len: u8,
}

impl core::ops::Deref for EncodedHeader {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for EncodedHeader {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for FrameHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameHeader")
            .field("fin", &self.fin)
            .field("rsv", &self.rsv)
            .field("opcode", &self.opcode)
            .field("mask", &self.mask.as_ref().map(Redacted::of))
            .field("len", &self.len)
            .finish()
    }
}

impl fmt::Debug for EncodedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EncodedHeader").field(&Redacted::of(self)).finish()
    }
}
