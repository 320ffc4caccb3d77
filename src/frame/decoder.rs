//! Bytes to frames, for any cut of the bytes.

use core::fmt;
use core::ops::Range;

use super::header::{Extent, FrameHeader, check_control, opcode_of};
use super::mask::apply_mask;
use super::opcode::Opcode;
use crate::error::ProtocolError;
use crate::message::Kind;
use crate::role::Role;

/// Finds frames in bytes that come in any cut, judges them and unmasks their payloads in place.
///
/// It keeps at most an incomplete header between two calls, never payload, and judges each byte as soon as it is
/// there: mask, reserved bits, opcode, the order of fragments and the form of control frames within the first two
/// bytes of a frame. After an error it takes nothing more: each later call returns the same error.
///
/// ```
/// use sansocket::Role;
/// use sansocket::frame::{Decoder, Opcode};
///
/// let mut input = *b"\x81\x82\x01\x02\x03\x04\x69\x6b"; // masked "hi"
/// let mut decoder = Decoder::new(Role::Server);
/// let piece = decoder.decode(&mut input)?.expect("the whole frame is there");
/// assert_eq!(piece.header.opcode, Opcode::Text);
/// assert_eq!(&input[piece.payload], b"hi");
/// # Ok::<(), sansocket::ProtocolError>(())
/// ```
#[derive(Clone)]
pub struct Decoder {
    /// The header of the frame whose payload is being received.
    header: FrameHeader,
    /// Payload bytes of that frame which are still to come; 0 between frames.
    remaining: u64,
    /// An incomplete header.
    partial: [u8; FrameHeader::MAX_LEN],
    /// Its length, or [`FAILED`].
    partial_len: u8,
    failure: Option<ProtocolError>,
    role: Role,
    /// Reserved bits that a negotiated extension defines, as in [`FrameHeader::rsv`].
    rsv_allowed: u8,
    /// Those of them that may be set on the first frame of a message only.
    rsv_on_messages: u8,
    /// Whether a message has begun and its final fragment has not.
    in_message: bool,
}

/// No length of an incomplete header, so that the fast paths, which begin between frames, need not ask for a failure.
const FAILED: u8 = u8::MAX;

/// The first byte of a text message in one frame: FIN, no reserved bits.
const WHOLE_TEXT: u8 = 0x80 | Opcode::Text.bits();
const WHOLE_BINARY: u8 = 0x80 | Opcode::Binary.bits();

/// The part of one frame that lies in the input of one call.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Piece {
    /// The header of the frame, the same for all of its pieces.
    pub header: FrameHeader,
    /// Where the payload of this piece lies in the input, unmasked; its end is how many bytes were consumed.
    pub payload: Range<usize>,
    /// Whether this is the first piece of its frame.
    pub first: bool,
    /// Whether the frame ends with this piece.
    pub last: bool,
}

impl Decoder {
    /// Starts between two frames; `role` is the receiving side's.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self {
            header: FrameHeader::new(Opcode::Continuation, 0),
            remaining: 0,
            partial: [0; FrameHeader::MAX_LEN],
            partial_len: 0,
            failure: None,
            role,
            rsv_allowed: 0,
            rsv_on_messages: 0,
            in_message: false,
        }
    }

    /// Allows reserved bits, in the form of [`FrameHeader::rsv`]; what they mean is then the caller's to judge.
    #[must_use]
    pub const fn allow_rsv(mut self, bits: u8) -> Self {
        self.rsv_allowed = bits;
        self
    }

    /// Allows reserved bits on the first frame of each message, and nowhere else: what an extension that works on whole
    /// messages defines (RFC 7692 §6.1).
    #[must_use]
    pub const fn allow_rsv_on_messages(mut self, bits: u8) -> Self {
        self.rsv_on_messages = bits;
        self
    }

    /// Finds the next piece of a frame in `input`, which starts where the piece before it ended.
    ///
    /// `None` when nothing but (a part of) a header was there; then all of `input` was taken. Otherwise the bytes
    /// up to `piece.payload.end` were taken. Bytes behind them are left as they are.
    ///
    /// # Errors
    ///
    /// The rule that the peer broke (RFC 6455 §5.1 to §5.5). Nothing of the offending frame is given out, and each
    /// later call returns the same error and leaves its input as it is.
    #[inline]
    pub fn decode(&mut self, input: &mut [u8]) -> Result<Option<Piece>, ProtocolError> {
        if self.is_between_frames() && input.len() >= 2 {
            match self.parse_header(input) {
                Ok(Some((header, start))) => return Ok(Some(self.begin(header, start, input))),
                Ok(None) => {}
                Err(error) => return Err(self.fail(error)),
            }
        }
        self.decode_cut(input)
    }

    /// Finds a data message at the start of `input` that is there whole, in one frame of fewer than 64 KiB: what nearly
    /// every frame of nearly every peer is. Its payload, of at most `limit` bytes, is unmasked.
    ///
    /// For everything else, right or wrong, it is `None` and nothing has happened: [`decode`](Self::decode) judges.
    #[inline]
    pub(crate) fn decode_whole(&self, input: &mut [u8], limit: usize) -> Option<(Kind, Range<usize>)> {
        let (kind, Extent { len, mask, start }) = self.small_message(input)?;
        let len = len as usize;
        if len > limit || start + len > input.len() {
            return None;
        }
        if let Some(key) = mask {
            apply_mask(key, 0, input.get_mut(start..start + len)?);
        }
        Some((kind, start..start + len))
    }

    /// Whether [`decode_whole`](Self::decode_whole) lacks nothing but the end of the frame.
    #[cfg(feature = "tokio")]
    pub(crate) fn lacks_the_end(&self, input: &[u8], limit: usize) -> bool {
        // The masking key may be cut too, and does not matter.
        let mut head = [0; FrameHeader::MAX_LEN];
        let known = input.len().min(head.len());
        head[..known].copy_from_slice(&input[..known]);
        let lacks =
            |(_, Extent { len, start, .. })| len <= limit as u64 && start as u64 + len > input.len() as u64;
        self.small_message(&head).is_some_and(lacks)
    }

    /// The kind and the extent of the message that begins at the start of `input`, in one frame of fewer than 64 KiB.
    #[inline(always)]
    fn small_message(&self, input: &[u8]) -> Option<(Kind, Extent)> {
        if !self.is_between_frames() || self.in_message {
            return None;
        }
        let [first, second, ..] = *input else { return None };
        let is_masked = second & 0x80 != 0;
        // FIN, no reserved bits.
        let is_whole = matches!(first, WHOLE_TEXT | WHOLE_BINARY);
        if !is_whole || is_masked != (self.role == Role::Server) || second & 0x7F == 127 {
            return None;
        }
        let kind = if first == WHOLE_TEXT { Kind::Text } else { Kind::Binary };
        Some((kind, Extent::parse(second, input).ok()??))
    }

    /// Payload bytes that are still to come of the frame in progress, 0 between frames.
    #[inline]
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Whether every frame that began has also ended, and no rule was broken.
    #[must_use]
    pub const fn is_between_frames(&self) -> bool {
        self.remaining == 0 && self.partial_len == 0
    }

    /// Whether a message has begun and its final fragment has not.
    #[must_use]
    pub const fn is_in_message(&self) -> bool {
        self.in_message
    }

    /// The header that `bytes` begin with, and its length; `None` while it is incomplete. Each byte is judged as soon as
    /// it is there.
    #[inline]
    fn parse_header(&self, bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
        let [first, ref rest @ ..] = *bytes else { return Ok(None) };
        let opcode = self.check_first(first)?;
        let [second, ..] = *rest else { return Ok(None) };
        self.check_second(first, second, opcode)?;
        let extent = Extent::parse(second, bytes)?;
        Ok(extent.map(|extent| (FrameHeader::of(first, opcode, extent), extent.start)))
    }

    /// Takes no more input. A rule is broken by a header only, so that no payload is due.
    #[cold]
    fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.partial_len = FAILED;
        self.failure = Some(error);
        error
    }

    /// Checks the rules for the first byte of a frame.
    #[inline]
    fn check_first(&self, first: u8) -> Result<Opcode, ProtocolError> {
        let opcode = opcode_of(first)?;
        // RFC 6455 §5.2: "If a nonzero value is received and none of the negotiated extensions defines the meaning
        // of such a nonzero value, the receiving endpoint MUST _Fail the WebSocket Connection_."
        let rsv = first >> 4 & 0x7;
        if rsv & !self.rsv_allowed != 0 {
            self.check_rsv_on_message(rsv, opcode)?;
        }
        match opcode {
            Opcode::Continuation if !self.in_message => Err(ProtocolError::UnexpectedContinuation),
            Opcode::Text | Opcode::Binary if self.in_message => Err(ProtocolError::UnfinishedMessage),
            _ => Ok(opcode),
        }
    }

    /// RFC 7692 §6.1: "An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments
    /// of a data message. An endpoint receiving such a frame MUST _Fail the WebSocket Connection_."
    #[cold]
    const fn check_rsv_on_message(&self, rsv: u8, opcode: Opcode) -> Result<(), ProtocolError> {
        let begins_message = matches!(opcode, Opcode::Text | Opcode::Binary);
        if begins_message && rsv & !(self.rsv_allowed | self.rsv_on_messages) == 0 {
            Ok(())
        } else {
            Err(ProtocolError::ReservedBits(rsv))
        }
    }

    /// Takes the last `payload` bytes of `piece` back, as if they had not come yet; masks them as they came.
    #[cfg(feature = "deflate")]
    pub(crate) fn take_back(&mut self, piece: &Piece, payload: &mut [u8]) {
        let len = payload.len() as u64;
        self.header = piece.header;
        if let Some(key) = self.header.mask {
            let offset = (self.header.len - self.remaining - len) % 4;
            apply_mask(key, offset as usize, payload);
        }
        self.remaining += len;
    }

    /// Checks the rules for the second byte of a frame.
    #[inline]
    const fn check_second(&self, first: u8, second: u8, opcode: Opcode) -> Result<(), ProtocolError> {
        match (self.role, second & 0x80 != 0) {
            // RFC 6455 §5.1: "The server MUST close the connection upon receiving a frame that is not masked."
            (Role::Server, false) => Err(ProtocolError::MaskMissing),
            // RFC 6455 §5.1: "A client MUST close a connection if it detects a masked frame."
            (Role::Client, true) => Err(ProtocolError::MaskUnexpected),
            _ => check_control(first, second, opcode),
        }
    }

    /// The piece of a frame whose payload begins at `start`.
    #[inline]
    fn begin(&mut self, header: FrameHeader, start: usize, input: &mut [u8]) -> Piece {
        if !header.opcode.is_control() {
            self.in_message = !header.fin;
        }
        let available = input.len() - start;
        let len = usize::try_from(header.len).map_or(available, |len| len.min(available));
        let payload = start..start + len;
        if let Some(key) = header.mask {
            apply_mask(key, 0, &mut input[payload.clone()]);
        }
        let remaining = header.len - len as u64;
        if remaining != 0 {
            self.header = header;
            self.remaining = remaining;
        }
        Piece { header, payload, first: true, last: remaining == 0 }
    }

    /// Goes on with a frame, or a header, that began in an earlier input.
    fn decode_cut(&mut self, input: &mut [u8]) -> Result<Option<Piece>, ProtocolError> {
        if self.remaining != 0 {
            return Ok((!input.is_empty()).then(|| self.proceed(input)));
        }
        if let Some(error) = self.failure {
            return Err(error);
        }
        match self.complete_header(input) {
            Ok(Some((header, start))) => Ok(Some(self.begin(header, start, input))),
            Ok(None) => Ok(None),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Takes the bytes of a header one by one; returns it, once complete, with where its payload begins.
    fn complete_header(&mut self, input: &[u8]) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
        let mut taken = 0;
        while let Some(&byte) = input.get(taken) {
            self.partial[usize::from(self.partial_len)] = byte;
            self.partial_len += 1;
            taken += 1;
            if let Some((header, _)) = self.parse_header(&self.partial[..usize::from(self.partial_len)])? {
                self.partial_len = 0;
                return Ok(Some((header, taken)));
            }
        }
        Ok(None)
    }

    fn proceed(&mut self, input: &mut [u8]) -> Piece {
        let len = usize::try_from(self.remaining).map_or(input.len(), |left| left.min(input.len()));
        if let Some(key) = self.header.mask {
            let offset = (self.header.len - self.remaining) % 4;
            apply_mask(key, offset as usize, &mut input[..len]);
        }
        self.remaining -= len as u64;
        Piece { header: self.header, payload: 0..len, first: false, last: self.remaining == 0 }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("header", &self.header)
            .field("remaining", &self.remaining)
            .field("partial_len", &self.partial_len)
            .field("failure", &self.failure)
            .field("role", &self.role)
            .field("in_message", &self.in_message)
            .finish_non_exhaustive()
    }
}
