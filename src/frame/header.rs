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
        Ok(Extent::parse(second, bytes)?.map(|extent| (Self::of(first, opcode, extent), extent.start)))
    }

    /// The header of the frame with this first byte.
    #[inline]
    pub(super) const fn of(first: u8, opcode: Opcode, extent: Extent) -> Self {
        let Extent { len, mask, .. } = extent;
        Self { fin: first & 0x80 != 0, rsv: first >> 4 & 0x7, opcode, mask, len }
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
        self.encode_to(|header| {
            let mut bytes = [0; Self::MAX_LEN];
            bytes[..header.len()].copy_from_slice(header);
            EncodedHeader { bytes, len: header.len() as u8 }
        })
    }

    /// Gives the encoded header to `put`: that of a small frame in a size that the compiler knows, which makes an echo of 20
    /// bytes a third cheaper than a slice of any length.
    #[inline(always)]
    pub(crate) fn encode_to<R>(&self, put: impl FnOnce(&[u8]) -> R) -> R {
        let first = u8::from(self.fin) << 7 | (self.rsv & 0x7) << 4 | self.opcode.bits();
        // RFC 6455 §5.2: "the minimal number of bytes MUST be used to encode the length".
        match (self.len, self.mask) {
            (0..=125, None) => put(&[first, self.len as u8]),
            (0..=125, Some([a, b, c, d])) => put(&[first, 0x80 | self.len as u8, a, b, c, d]),
            (126..=0xFFFF, None) => {
                let [high, low] = (self.len as u16).to_be_bytes();
                put(&[first, 126, high, low])
            }
            (126..=0xFFFF, Some([a, b, c, d])) => {
                let [high, low] = (self.len as u16).to_be_bytes();
                put(&[first, 0x80 | 126, high, low, a, b, c, d])
            }
            (_, mask) => {
                let mut bytes = [0; Self::MAX_LEN];
                bytes[..2].copy_from_slice(&[first, u8::from(mask.is_some()) << 7 | 127]);
                bytes[2..10].copy_from_slice(&(self.len & (u64::MAX >> 1)).to_be_bytes());
                bytes[10..].copy_from_slice(&mask.unwrap_or_default());
                put(&bytes[..self.encoded_len()])
            }
        }
    }
}

/// The part of a header behind its first byte: the length of the payload, its mask, and where it begins.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) len: u64,
    pub(super) mask: Option<[u8; 4]>,
    pub(super) start: usize,
}

impl Extent {
    /// Reads it out of a frame, whose second byte is `second`; `None` while the header is incomplete.
    #[inline]
    pub(super) fn parse(second: u8, frame: &[u8]) -> Result<Option<Self>, ProtocolError> {
        let (len, start) = match second & 0x7F {
            126 => match frame.get(2..4) {
                Some(&[a, b]) => (u64::from(u16::from_be_bytes([a, b])), 4),
                _ => return Ok(None),
            },
            127 => match frame.get(2..10).map(<[u8; 8]>::try_from) {
                Some(Ok(long)) => (u64::from_be_bytes(long), 10),
                _ => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        check_length(len, start)?;
        if second & 0x80 == 0 {
            return Ok(Some(Self { len, mask: None, start }));
        }
        match frame.get(start..start + 4).map(<[u8; 4]>::try_from) {
            Some(Ok(key)) => Ok(Some(Self { len, mask: Some(key), start: start + 4 })),
            _ => Ok(None),
        }
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
    bytes: [u8; FrameHeader::MAX_LEN],
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
