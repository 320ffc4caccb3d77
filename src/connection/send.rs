//! The rules on the way out. Everything is validated, and room is checked before the first byte.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

#[cfg(feature = "tokio")]
use super::mask_keys::{KeySource, KeyStock};
use super::replies::{ControlPayload, ReplySlots};
use super::{Chunk, Connection, Initiator, Prepared};
use crate::close_code::CloseCode;
use crate::error::{Error, SendError};
use crate::frame::{EncodedHeader, FrameHeader, Opcode, apply_mask};
use crate::message::{Kind, Message};
use crate::redacted::Redacted;
use crate::role::Role;
use crate::sink::Sink;

/// Whether a fragment is the last of its message (RFC 6455 §5.4). Exhaustive on purpose: it is one bit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fin {
    /// More fragments follow.
    More,
    /// The message ends here.
    Final,
}

/// The header of a message whose payload the caller writes by itself, without a copy.
///
/// Write [`header`](Self::header), then the payload, with nothing in between.
#[derive(Clone)]
#[must_use = "the connection counts the message as sent"]
pub struct Envelope {
    header: EncodedHeader,
    key: Option<[u8; 4]>,
}

impl Envelope {
    /// The bytes to be written before the payload, 14 at the most.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Masks the payload in place, as a client must (RFC 6455 §5.3); does nothing for a server.
    ///
    /// `offset` is the place of `part[0]` in the payload: 0 for the whole of it.
    pub fn mask(&self, offset: usize, part: &mut [u8]) {
        if let Some(key) = self.key {
            apply_mask(key, offset, part);
        }
    }
}

impl Connection {
    /// Sends a whole message in one frame.
    ///
    /// It takes `&str`, `&[u8]`, `String`, `Vec<u8>`, `Bytes`, a [`Message`] and references to them.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] once a Close frame was sent or received or the connection failed (RFC 6455 §6.1),
    /// [`SendError::MessageInProgress`] between two fragments, [`SendError::Full`] when `out` has no room for
    /// the whole frame. Nothing was written then.
    // Always, or the second call in a program makes each small message of the first one cost a tenth more.
    #[inline(always)]
    pub fn send<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        let message = message.into();
        if self.send_fast(message.kind(), message.as_bytes(), out) {
            return Ok(());
        }
        self.send_general(message.kind(), message.as_bytes(), out)
    }

    /// Sends the next fragment of a message that is streamed out, each in a frame of its own (RFC 6455 §5.4).
    ///
    /// The first fragment decides the kind of the message. Pings, pongs and a close may be sent in between; the
    /// peer's Close frame cuts the message off. A text fragment is a `&str`, so that no character is ever cut.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::KindChanged`] when a fragment differs in kind from the first.
    pub fn send_fragment<'m>(
        &mut self,
        fragment: impl Into<Message<'m>>,
        fin: Fin,
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        let fragment = fragment.into();
        // Text of its own cannot go on where a relayed chunk was cut inside a character.
        if self.outgoing_cut.is_some() {
            return Err(SendError::InvalidUtf8);
        }
        self.send_part(fragment.kind(), fragment.as_bytes(), fin, out)
    }

    /// Sends on a chunk that another connection received, as the next fragment of a message: for proxies and relays.
    ///
    /// A chunk of text may begin or end inside a character; the message is held to UTF-8 as a whole all the same.
    ///
    /// # Errors
    ///
    /// As [`send_fragment`](Self::send_fragment), and [`SendError::InvalidUtf8`].
    pub fn send_chunk(&mut self, chunk: &Chunk<'_>, out: &mut impl Sink) -> Result<(), SendError> {
        let fin = if chunk.last { Fin::Final } else { Fin::More };
        let mut cut = None;
        if chunk.kind == Kind::Text {
            let mut validator = self.outgoing_cut.as_deref().cloned().unwrap_or_default();
            let valid = validator.push(&chunk.payload).is_ok();
            let complete = validator.finish().is_ok();
            if !valid || (chunk.last && !complete) {
                return Err(SendError::InvalidUtf8);
            }
            cut = (!complete).then_some(validator);
        }
        self.send_part(chunk.kind, &chunk.payload, fin, out)?;
        self.outgoing_cut = cut.map(Box::new);
        Ok(())
    }

    /// The kind of the message that is being sent in fragments, `None` between messages.
    #[must_use]
    pub const fn fragmenting(&self) -> Option<Kind> {
        self.outgoing
    }

    /// Sends a message that was encoded once for many connections.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, prepared: &Prepared, out: &mut impl Sink) -> Result<(), SendError> {
        self.check_message()?;
        self.make_way(out)?;
        #[cfg(feature = "deflate")]
        if prepared.may_be_compressed() && self.compresses(prepared.payload().len()) {
            return self.send_prepared_compressed(prepared, out);
        }
        self.write_prepared(prepared, out)
    }

    pub(super) fn write_prepared(
        &mut self,
        prepared: &Prepared,
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        match self.role {
            Role::Server => {
                let frame = prepared.frame();
                check_room(out, frame.len())?;
                out.push(frame);
                Ok(())
            }
            Role::Client => self.write_frame(Opcode::from(prepared.kind()), prepared.payload(), out),
        }
    }

    /// Sends `message` without copying its payload: returns what is to be written before it.
    ///
    /// The payload is never compressed; [`compresses`](Self::compresses) tells if it should be. Write all output first, then the
    /// header of the envelope and the payload, vectored if you like. A server's
    /// payload leaves as it is; a client masks its own copy with [`Envelope::mask`]. The message counts as sent.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); [`SendError::Full`] when a reply still waits for room in the output.
    pub fn envelope(&mut self, message: &Message<'_>) -> Result<Envelope, SendError> {
        self.check_message()?;
        if self.wants_write() {
            return Err(SendError::Full { needed: self.waiting() });
        }
        let key = self.next_key()?;
        let len = message.len() as u64;
        let header = FrameHeader { mask: key, ..FrameHeader::new(Opcode::from(message.kind()), len) };
        Ok(Envelope { header: header.encode(), key })
    }

    /// Whether [`send`](Self::send) compresses a message of `len` bytes, which [`envelope`](Self::envelope) does not.
    ///
    /// Never without the feature `deflate`.
    #[inline]
    #[must_use]
    pub fn compresses(&self, len: usize) -> bool {
        #[cfg(feature = "deflate")]
        let compresses =
            self.compresses && len >= super::compressed::settings(&self.config).compresses_from();
        #[cfg(not(feature = "deflate"))]
        let (compresses, _) = (false, len);
        compresses
    }

    /// Sends a ping, which the peer answers with a pong of the same payload, at most 125 bytes (RFC 6455 §5.5.2).
    ///
    /// Keepalive pings are sent by [`handle_timeout`](Self::handle_timeout) without the application's help. A pong
    /// to this one shows as [`Event::Pong`](super::Event::Pong).
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`], and as [`send`](Self::send); fragments in progress are no hindrance.
    pub fn ping(&mut self, payload: &[u8], out: &mut impl Sink) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, payload, out)
    }

    /// Sends a pong that nobody asked for, a heartbeat in one direction (RFC 6455 §5.5.3).
    ///
    /// Pings of the peer are answered without it.
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8], out: &mut impl Sink) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, payload, out)
    }

    /// Begins the closing handshake with a code and a reason of at most 123 bytes (RFC 6455 §7.1.2).
    ///
    /// Nothing can be sent afterwards; messages of the peer still come until its Close frame does, or until the
    /// deadline that starts at `now`.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] for a code that must not be sent (RFC 6455 §7.4), for instance 1005, 1006
    /// or 1010 from a server; [`SendError::ControlTooLong`] for the reason; as [`send`](Self::send) otherwise.
    pub fn close(
        &mut self,
        now: Duration,
        code: CloseCode,
        reason: &str,
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        // RFC 6455 §7.4.1: 1010 tells that the server left out an extension; a server has no such thing to say.
        if !code.is_sendable() || (code == CloseCode::MANDATORY_EXTENSION && self.role == Role::Server) {
            return Err(SendError::InvalidCloseCode(code));
        }
        if reason.len() > ControlPayload::MAX - 2 {
            return Err(SendError::ControlTooLong { len: reason.len() });
        }
        let mut body = ControlPayload::from(&code.get().to_be_bytes()[..]);
        body.push(reason.as_bytes());
        self.send_close(now, body.as_slice(), out)
    }

    /// Begins the closing handshake with a Close frame that has no body; the peer sees 1005.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); fragments in progress are no hindrance.
    pub fn close_without_code(&mut self, now: Duration, out: &mut impl Sink) -> Result<(), SendError> {
        self.send_close(now, &[], out)
    }

    /// Writes the replies that wait for room, as far as there is some; `true` if none is left waiting.
    ///
    /// [`receive`](Self::receive) and the commands do so by themselves.
    pub fn transmit(&mut self, out: &mut impl Sink) -> bool {
        while let Some(mut replies) = self.replies.take() {
            let Some((opcode, payload)) = replies.next() else { continue };
            match self.write_frame(opcode, payload.as_slice(), out) {
                Ok(()) => {
                    replies.sent(opcode);
                    self.replies = Some(replies);
                }
                Err(SendError::MaskKey) => self.lose_keys(),
                Err(_) => {
                    self.replies = Some(replies);
                    return false;
                }
            }
        }
        true
    }

    /// Apart from [`send`](Self::send), so that what a message is made of stays in registers.
    #[inline(never)]
    pub(super) fn send_general(
        &mut self,
        kind: Kind,
        payload: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        self.check_message()?;
        self.make_way(out)?;
        #[cfg(feature = "deflate")]
        if self.compresses(payload.len()) {
            return self.send_compressed(kind, payload, out);
        }
        self.write_frame(Opcode::from(kind), payload, out)
    }

    fn send_part(&mut self, kind: Kind, part: &[u8], fin: Fin, out: &mut impl Sink) -> Result<(), SendError> {
        self.check_open()?;
        // RFC 6455 §5.4: "A fragmented message consists of a single frame with the FIN bit clear and an opcode other
        // than 0, followed by zero or more frames with the FIN bit clear and the opcode set to 0, and terminated
        // by a single frame with the FIN bit set and an opcode of 0."
        let opcode = match self.outgoing {
            None => Opcode::from(kind),
            Some(begun) if begun == kind => Opcode::Continuation,
            Some(_) => return Err(SendError::KindChanged),
        };
        self.make_way(out)?;
        self.write_part(opcode, fin, part, out)?;
        self.outgoing = match fin {
            Fin::More => Some(kind),
            Fin::Final => None,
        };
        Ok(())
    }

    fn write_part(
        &mut self,
        opcode: Opcode,
        fin: Fin,
        part: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if self.compresses_fragment(opcode, fin, part.len()) {
            return match (opcode, fin) {
                (Opcode::Text, Fin::Final) => self.send_compressed(Kind::Text, part, out),
                (Opcode::Binary, Fin::Final) => self.send_compressed(Kind::Binary, part, out),
                _ => self.send_compressed_fragment(opcode, fin, part, out),
            };
        }
        self.write(
            FrameHeader { fin: fin == Fin::Final, ..FrameHeader::new(opcode, part.len() as u64) },
            part,
            out,
        )
    }

    fn send_control(&mut self, opcode: Opcode, payload: &[u8], out: &mut impl Sink) -> Result<(), SendError> {
        if payload.len() > ControlPayload::MAX {
            return Err(SendError::ControlTooLong { len: payload.len() });
        }
        self.check_open()?;
        self.make_way(out)?;
        self.write_frame(opcode, payload, out)
    }

    fn send_close(&mut self, now: Duration, body: &[u8], out: &mut impl Sink) -> Result<(), SendError> {
        self.check_open()?;
        self.make_way(out)?;
        self.write_frame(Opcode::Close, body, out)?;
        self.outgoing = None;
        self.outgoing_cut = None;
        #[cfg(feature = "deflate")]
        if let Some(session) = &mut self.session {
            session.compressor = None;
        }
        self.initiator.get_or_insert(Initiator::Local);
        self.deadlines.closing_since.get_or_insert_with(|| now.into());
        Ok(())
    }

    /// RFC 6455 §6.1: "The endpoint MUST ensure the WebSocket connection is in the OPEN state."
    #[inline]
    const fn check_open(&self) -> Result<(), SendError> {
        if self.closing.is_open() { Ok(()) } else { Err(SendError::Closed) }
    }

    #[inline]
    const fn check_message(&self) -> Result<(), SendError> {
        if !self.closing.is_open() {
            return Err(SendError::Closed);
        }
        if self.outgoing.is_some() { Err(SendError::MessageInProgress) } else { Ok(()) }
    }

    /// Replies that wait go first (RFC 6455 §5.5.2: "as soon as is practical").
    #[inline]
    fn make_way(&mut self, out: &mut impl Sink) -> Result<(), SendError> {
        if self.replies.is_none() { Ok(()) } else { self.make_way_for_replies(out) }
    }

    #[cold]
    fn make_way_for_replies(&mut self, out: &mut impl Sink) -> Result<(), SendError> {
        if !self.transmit(out) {
            return Err(SendError::Full { needed: self.waiting() });
        }
        self.check_open()
    }

    /// The bytes that the reply takes which is next to leave.
    fn waiting(&self) -> usize {
        let next = self.replies.as_deref().and_then(ReplySlots::next);
        let mask = if self.role == Role::Client { MASK_LEN } else { 0 };
        next.map_or(0, |(opcode, payload)| {
            let len = payload.as_slice().len();
            FrameHeader::new(opcode, len as u64).encoded_len() + mask + len
        })
    }

    /// Writes an uncompressed frame that is the last of its message, or a control frame.
    #[inline]
    pub(super) fn write_frame(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        self.write(FrameHeader::new(opcode, payload.len() as u64), payload, out)?;
        self.closing.sent |= opcode == Opcode::Close;
        Ok(())
    }

    /// Writes a frame, masked by a client, whole or not at all.
    #[inline]
    pub(super) fn write(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        match self.role {
            Role::Server => push_frame(&header, payload, out),
            Role::Client => self.write_masked(header, payload, out),
        }
    }

    /// RFC 6455 §5.1: "a client MUST mask all frames that it sends to the server".
    #[inline]
    fn write_masked(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        // The room is checked before a key is asked for: the source may be slow, or count.
        check_room(out, (header.encoded_len() + MASK_LEN).saturating_add(payload.len()))?;
        let mask = Some(self.keys.next()?);
        push_frame(&FrameHeader { mask, ..header }, payload, out)
    }

    #[inline]
    pub(super) fn next_key(&mut self) -> Result<Option<[u8; 4]>, SendError> {
        match self.role {
            Role::Client => Ok(Some(self.keys.next()?)),
            Role::Server => Ok(None),
        }
    }

    /// The application's source of keys, for halves that call it outside of their lock.
    #[cfg(feature = "tokio")]
    pub(crate) fn detach_keys(&mut self) -> Option<Box<dyn KeySource>> {
        self.keys.detach()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn attach_keys(&mut self, source: Box<dyn KeySource>) {
        self.keys.attach(source);
    }

    /// The keys that were drawn ahead, if the halves have the source.
    #[cfg(feature = "tokio")]
    pub(crate) fn key_stock(&mut self) -> Option<&mut KeyStock> {
        self.keys.stock()
    }

    /// Whether keys must be drawn before anything is sent.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn lacks_keys(&self) -> bool {
        self.keys.is_low()
    }

    /// Nothing can be said any more, not even a Close.
    fn lose_keys(&mut self) {
        self.replies = None;
        self.failure.get_or_insert(Error::MaskKey);
        self.initiator.get_or_insert(Initiator::Library);
        self.closing.failed = true;
        self.closing.over = true;
        self.release();
    }
}

/// A client's masking key in front of its payload, in bytes (RFC 6455 §5.3).
const MASK_LEN: usize = 4;

#[inline]
pub(super) fn check_room(out: &impl Sink, needed: usize) -> Result<(), SendError> {
    if out.room() < needed { Err(SendError::Full { needed }) } else { Ok(()) }
}

/// Appends a frame, whole or not at all. The payload comes as it is and is masked where it then lies.
#[inline(always)]
pub(super) fn push_frame(header: &FrameHeader, payload: &[u8], out: &mut impl Sink) -> Result<(), SendError> {
    header.encode_to(|header| -> Result<(), SendError> {
        let needed = header.len().saturating_add(payload.len());
        check_room(out, needed)?;
        if payload.len() > 125 {
            out.reserve(needed);
        }
        out.push(header);
        Ok(())
    })?;
    out.push(payload);
    if let Some(key) = header.mask {
        apply_mask(key, 0, out.last_mut(payload.len()));
    }
    Ok(())
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("header", &Redacted::of(self.header()))
            .field("key", &self.key.as_ref().map(Redacted::of))
            .finish()
    }
}
