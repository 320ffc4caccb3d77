//! The rules on the way in.

use alloc::boxed::Box;
use alloc::format;
use core::ops::Range;
use core::time::Duration;

use bytes::Bytes;

use super::event::{ControlPlace, Found, Place};
use super::incoming::{Incoming, check_size};
use super::replies::ControlPayload;
use super::{Chunk, Connection, Event, Initiator, Input, Located, RemoteClose};
use crate::close_code::{CloseCode, CloseFrame};
use crate::config::Delivery;
use crate::error::{Error, ProtocolError};
use crate::frame::{Opcode, Piece};
#[cfg(feature = "deflate")]
use crate::memory::Inflated;
use crate::message::{Kind, Message, Text};
use crate::sink::Sink;
use crate::utf8;

/// From this size on the rest of a payload is read straight into its message, which saves a copy.
#[cfg(feature = "std")]
pub(super) const DIRECT_READ: usize = 16 << 10;

impl Connection {
    /// Takes received bytes until they complete an event, and returns it.
    ///
    /// Call it until it returns `None`: then all of `input` was taken. Pings and Close frames are answered into `out`
    /// before their event is returned. An answer that finds no room in `out` waits
    /// ([`wants_write`](Self::wants_write)) and never stops the input; of several pongs that wait, only the latest is
    /// sent (RFC 6455 §5.5.3). After the peer's Close frame all input is taken and ignored.
    ///
    /// # Errors
    ///
    /// Why the connection failed (RFC 6455 §7.1.7); `out` then ends in the Close frame that says so. What came
    /// before the violation has been returned by earlier calls. Each later call returns the same error.
    #[inline]
    pub fn receive<'a>(
        &mut self,
        now: Duration,
        input: &mut Input<'a>,
        out: &mut impl Sink,
    ) -> Result<Option<Event<'a>>, Error> {
        let Some((kind, payload)) = self.whole_message(input.rest_mut()) else {
            return self.receive_general(now, input, out);
        };
        self.bytes_came(now);
        let payload = input.take(payload.end).get(payload).unwrap_or_default();
        // Each arm builds all of its value at once: a message that is moved from one enum into the next costs a store
        // that stalls the loads after it, twice the time of everything else here.
        match kind {
            Kind::Binary => Ok(Some(Event::Message(Message::Binary(payload.into())))),
            Kind::Text => Ok(Some(Event::Message(Message::Text(self.text(now, payload, out)?.into())))),
        }
    }

    /// [`receive`](Self::receive) in a form that borrows nothing, for adapters whose loops must read more between
    /// two attempts.
    ///
    /// It takes at most the bytes up to the end of what it found. [`lend`](Self::lend) makes the event of it, out of
    /// the same bytes; text in one piece is validated only there, and skipped without judgement by those who never
    /// lend it.
    ///
    /// # Errors
    ///
    /// As `receive`.
    #[inline]
    pub fn locate(&mut self, now: Duration, bytes: &mut [u8], out: &mut impl Sink) -> Result<Located, Error> {
        if let Some((kind, payload)) = self.whole_message(bytes) {
            self.bytes_came(now);
            return Ok(Located {
                consumed: payload.end,
                found: Some(Found(Place::Message { kind, payload })),
            });
        }
        self.locate_general(now, bytes, out)
    }

    /// [`locate`](Self::locate) for what is not a whole message in one small frame.
    #[inline(never)]
    pub(crate) fn locate_general(
        &mut self,
        now: Duration,
        bytes: &mut [u8],
        out: &mut impl Sink,
    ) -> Result<Located, Error> {
        if !self.is_usual() {
            self.transmit(out);
            if let Some(error) = self.failure {
                // RFC 6455 §7.1.7: "An endpoint MUST NOT continue to attempt to process data (including a responding
                // Close frame) from the remote endpoint after being instructed to _Fail the WebSocket Connection_."
                return Err(error);
            }
            if !self.closing.takes_input() {
                return Ok(Located { consumed: bytes.len(), found: None });
            }
        }
        if !bytes.is_empty() {
            self.deadlines.alive(now);
        }
        let mut consumed = 0;
        #[cfg(feature = "deflate")]
        let len = bytes.len();
        while let Some(rest) = bytes.get_mut(consumed..).filter(|rest| !rest.is_empty()) {
            #[cfg(feature = "deflate")]
            let rest = {
                let most = self.look_at_most(rest[0], rest.len());
                &mut rest[..most]
            };
            let piece = match self.decoder.decode(rest) {
                Ok(Some(piece)) => piece,
                // A header may be cut by what is looked at in one go, too.
                #[cfg(feature = "deflate")]
                Ok(None) if consumed + rest.len() < len => {
                    consumed += rest.len();
                    continue;
                }
                Ok(None) => break,
                Err(error) => return Err(self.fail(error.into(), now, out)),
            };
            let start = consumed;
            consumed += piece.payload.end;
            let place = match self.in_one_piece(&piece) {
                Some(kind) => self.take_message(kind, &piece).map(Some),
                #[cfg(feature = "deflate")]
                None if self.is_compressed(&piece) => {
                    let payload = rest.get_mut(piece.payload.clone()).unwrap_or_default();
                    self.take_compressed(now, &piece, payload).map(|(place, left)| {
                        consumed -= left;
                        place
                    })
                }
                None => self.take_piece(now, &piece, rest, out),
            };
            match place {
                Ok(Some(place)) => return Ok(Located { consumed, found: Some(Found(place.shifted(start))) }),
                Ok(None) => {}
                Err(error) => return Err(self.fail(error, now, out)),
            }
        }
        Ok(Located { consumed: bytes.len(), found: None })
    }

    /// Makes the event of what [`locate`](Self::locate) found; `bytes` are those that it was given.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidUtf8`] for text that is none, [`Error::BytesNotLent`] for fewer bytes than `locate` was given
    /// where the event lies in the missing ones; the connection has failed then, as if `locate` had said so.
    #[inline]
    pub fn lend<'a>(
        &mut self,
        now: Duration,
        found: Found,
        bytes: &'a [u8],
        out: &mut impl Sink,
    ) -> Result<Event<'a>, Error> {
        let event = match found.0 {
            // What nearly everything is; the others are not to be in its way.
            Place::Message { kind, payload } => lent_message(kind, payload, bytes),
            other => lent(other, bytes),
        };
        event.map_err(|error| self.fail(error, now, out))
    }

    /// Where to read the next bytes of a large binary message, straight to their place; `None` unless the rest of
    /// a frame of such a message is next.
    ///
    /// Read into it, then say with [`payload_read`](Self::payload_read) how much that was. The place is as large
    /// as what has arrived of the message so far, 16 KiB at the least, or larger where memory of an earlier message is at hand
    /// (a thread keeps up to 4 MiB), and never reaches behind the frame. What was not used of it is offered again. What lies
    /// in it is of no meaning.
    pub fn payload_target(&mut self) -> Option<&mut [u8]> {
        let remaining = self.decoder.remaining();
        let takes_input = self.failure.is_none() && self.closing.takes_input();
        if !takes_input || remaining == 0 || self.control.is_some() {
            return None;
        }
        self.incoming.as_mut()?.read_target(remaining)
    }

    /// [`payload_target`](Self::payload_target) if a direct read is worth its memory: an announcement alone is no reason to
    /// spend it, so that the latest piece of the message must have been large.
    #[cfg(feature = "std")]
    pub(crate) fn direct_target(&mut self) -> Option<&mut [u8]> {
        if !self.incoming.as_ref()?.comes_in_large_pieces() {
            return None;
        }
        self.payload_target().filter(|target| target.len() >= DIRECT_READ)
    }

    /// Takes the first `len` bytes of what [`payload_target`](Self::payload_target) gave, which were just read.
    ///
    /// Returns the message if they completed it. A place is good for one call, and only until other input is taken:
    /// without one, and for more bytes than it has, nothing is taken.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn payload_read(
        &mut self,
        now: Duration,
        len: usize,
        out: &mut impl Sink,
    ) -> Result<Option<Message<'static>>, Error> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        if !self.closing.takes_input() {
            return Ok(None);
        }
        let Some(payload) = self.incoming.as_mut().and_then(|incoming| incoming.fill_target(now, len)) else {
            return Ok(None);
        };
        self.deadlines.alive(now);
        let place = match self.decoder.decode(payload) {
            Ok(Some(piece)) if piece.last && piece.header.fin => self.finish_message(),
            Ok(_) => Ok(None),
            Err(error) => Err(error.into()),
        };
        match place {
            Ok(Some(Place::Gathered(message))) => Ok(Some(message)),
            Ok(_) => Ok(None),
            Err(error) => Err(self.fail(error, now, out)),
        }
    }

    /// Takes the end of the stream.
    ///
    /// # Errors
    ///
    /// [`Error::UnexpectedEof`] when no Close frame came before it (RFC 6455 §7.1.5, 1006), or the error that ended
    /// the connection before. A stream that ends after the peer's Close frame is the clean end.
    pub fn handle_eof(&mut self) -> Result<(), Error> {
        if self.failure.is_none() && !self.closing.received && !self.closing.over {
            self.failure = Some(Error::UnexpectedEof);
            self.closing.failed = true;
            self.initiator.get_or_insert(Initiator::Remote);
            self.release();
        }
        self.closing.eof = true;
        self.failure.map_or(Ok(()), Err)
    }

    /// [`receive`](Self::receive) for what is not a whole message in one small frame.
    #[inline(never)]
    fn receive_general<'a>(
        &mut self,
        now: Duration,
        input: &mut Input<'a>,
        out: &mut impl Sink,
    ) -> Result<Option<Event<'a>>, Error> {
        #[cfg(feature = "std")]
        if let Some(len) = input.take_direct() {
            return Ok(self.payload_read(now, len, out)?.map(Event::Message));
        }
        let located = self.locate_general(now, input.rest_mut(), out)?;
        let bytes = input.take(located.consumed);
        match located.found {
            Some(found) => self.lend(now, found, bytes, out).map(Some),
            None => Ok(None),
        }
    }

    /// The text that `payload` is, or the end of the connection.
    #[inline]
    pub(crate) fn text<'a>(
        &mut self,
        now: Duration,
        payload: &'a [u8],
        out: &mut impl Sink,
    ) -> Result<&'a str, Error> {
        match utf8::validate(payload) {
            Ok(text) => Ok(text),
            Err(error) => Err(self.fail(error.into(), now, out)),
        }
    }

    /// Whether input is taken and nothing is due before it.
    #[inline]
    const fn is_usual(&self) -> bool {
        self.failure.is_none() && self.replies.is_none() && self.closing.takes_input()
    }

    /// The kind of a message that lies in this piece whole.
    #[inline]
    fn in_one_piece(&self, piece: &Piece) -> Option<Kind> {
        if !(piece.first && piece.last && piece.header.fin && piece.header.rsv == 0) {
            return None;
        }
        match piece.header.opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            _ => None,
        }
    }

    #[inline]
    fn take_message(&self, kind: Kind, piece: &Piece) -> Result<Place, Error> {
        let payload = piece.payload.clone();
        let len = piece.header.len;
        check_size(len, len, &self.config)?;
        Ok(match self.config.delivery {
            Delivery::Messages => Place::Message { kind, payload },
            Delivery::Chunks => Place::Chunk { kind, payload, first: true, last: true },
        })
    }

    fn take_piece(
        &mut self,
        now: Duration,
        piece: &Piece,
        rest: &[u8],
        out: &mut impl Sink,
    ) -> Result<Option<Place>, Error> {
        match piece.header.opcode {
            Opcode::Continuation | Opcode::Text | Opcode::Binary => self.take_fragment(now, piece, rest),
            Opcode::Ping | Opcode::Pong | Opcode::Close => self.take_control(now, piece, rest, out),
        }
    }

    fn take_fragment(&mut self, now: Duration, piece: &Piece, rest: &[u8]) -> Result<Option<Place>, Error> {
        let kind = match piece.header.opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            _ => None,
        };
        let delivery = self.config.delivery;
        if let (Some(kind), true) = (kind, piece.first) {
            self.incoming = Some(Box::new(Incoming::new(kind, delivery, now)));
        }
        let Some(incoming) = &mut self.incoming else { return Ok(None) };
        if piece.first {
            incoming.begin_frame(&piece.header, &self.config)?;
        }
        incoming.progress = now.into();
        let payload = rest.get(piece.payload.clone()).unwrap_or_default();
        incoming.push(payload, self.decoder.remaining())?;
        let last = piece.last && piece.header.fin;
        if delivery == Delivery::Chunks && (last || !payload.is_empty()) {
            let (kind, first) = (incoming.kind, !incoming.given);
            incoming.given = true;
            if last {
                self.finish_message()?;
            }
            return Ok(Some(Place::Chunk { kind, payload: piece.payload.clone(), first, last }));
        }
        if last { self.finish_message() } else { Ok(None) }
    }

    fn finish_message(&mut self) -> Result<Option<Place>, Error> {
        let Some(mut incoming) = self.incoming.take() else { return Ok(None) };
        Ok(incoming.finish()?.map(Place::Gathered))
    }

    /// Takes a piece of a control frame, which may stand between the fragments of a message (RFC 6455 §5.4).
    fn take_control(
        &mut self,
        now: Duration,
        piece: &Piece,
        rest: &[u8],
        out: &mut impl Sink,
    ) -> Result<Option<Place>, Error> {
        let payload = rest.get(piece.payload.clone()).unwrap_or_default();
        if piece.first && piece.last {
            let place = ControlPlace::Input(piece.payload.clone());
            return self.take_whole_control(now, piece.header.opcode, payload, place, out).map(Some);
        }
        let mut control = self.control.take().unwrap_or_else(|| Box::new(ControlPayload::new()));
        control.push(payload);
        if !piece.last {
            self.control = Some(control);
            return Ok(None);
        }
        let payload = control.as_slice();
        let place = ControlPlace::Gathered(Bytes::copy_from_slice(payload));
        self.take_whole_control(now, piece.header.opcode, payload, place, out).map(Some)
    }

    fn take_whole_control(
        &mut self,
        now: Duration,
        opcode: Opcode,
        payload: &[u8],
        place: ControlPlace,
        out: &mut impl Sink,
    ) -> Result<Place, Error> {
        Ok(match opcode {
            Opcode::Ping => {
                // RFC 6455 §5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response,
                // unless it already received a Close frame." Nothing follows our own Close either (§5.5.1).
                if !self.closing.sent {
                    self.reply(Opcode::Pong, payload, out)?;
                }
                Place::Ping(place)
            }
            Opcode::Pong => {
                self.handle_pong(now, payload);
                Place::Pong(place)
            }
            _ => Place::Close(self.take_close(now, payload, out)?),
        })
    }

    fn take_close(
        &mut self,
        now: Duration,
        body: &[u8],
        out: &mut impl Sink,
    ) -> Result<CloseFrame<'static>, Error> {
        let (code, reason) = match body {
            [] => (CloseCode::NO_STATUS_RECEIVED, ""),
            // RFC 6455 §5.5.1: "the first two bytes of the body MUST be a 2-byte unsigned integer".
            [_] => return Err(ProtocolError::CloseBodyTooShort.into()),
            [high, low, reason @ ..] => {
                let code = CloseCode::new(u16::from_be_bytes([*high, *low]));
                if !code.is_sendable() {
                    return Err(ProtocolError::InvalidCloseCode(code).into());
                }
                (code, utf8::validate(reason)?)
            }
        };
        let reason = if reason.is_empty() { Text::from("") } else { Text::from(reason).into_owned() };
        self.closing.received = true;
        self.initiator.get_or_insert(Initiator::Remote);
        self.deadlines.closing_since.get_or_insert_with(|| now.into());
        self.remote_close = Some(Box::new(RemoteClose { code, reason: reason.clone() }));
        self.release();
        if !self.closing.sent {
            // RFC 6455 §5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame, the
            // endpoint MUST send a Close frame in response."
            self.reply(Opcode::Close, body.get(..2).unwrap_or_default(), out)?;
        }
        Ok(CloseFrame::new(code, reason))
    }

    /// Sends a control frame of the connection's own into the output, or into its slot if there is no room.
    pub(super) fn reply(&mut self, opcode: Opcode, payload: &[u8], out: &mut impl Sink) -> Result<(), Error> {
        if self.replies.is_none() && self.write_frame(opcode, payload, out).is_ok() {
            return Ok(());
        }
        let payload = ControlPayload::from(payload);
        let replies = self.replies_mut();
        match opcode {
            Opcode::Pong => replies.pong = Some(payload),
            Opcode::Ping => replies.ping = Some(payload),
            _ => replies.close = Some(payload),
        }
        self.transmit(out);
        self.failure.map_or(Ok(()), Err)
    }

    /// RFC 6455 §7.1.7: fails the connection, with a Close frame where the error has a code.
    #[cold]
    pub(super) fn fail(&mut self, error: Error, now: Duration, out: &mut impl Sink) -> Error {
        if let Some(earlier) = self.failure {
            return earlier;
        }
        self.failure = Some(error);
        self.closing.failed = true;
        self.initiator.get_or_insert(Initiator::Library);
        self.deadlines.closing_since.get_or_insert_with(|| now.into());
        self.release();
        match error.close_code() {
            Some(code) if !self.closing.sent => {
                let mut body = ControlPayload::from(&code.get().to_be_bytes()[..]);
                body.push(format!("{error}").as_bytes());
                self.replies_mut().close = Some(body);
                self.transmit(out);
            }
            Some(_) => {}
            None => self.closing.over = true,
        }
        error
    }

    /// Frees what a connection that takes no more messages has no use for.
    pub(super) fn release(&mut self) {
        self.incoming = None;
        self.control = None;
        self.outgoing = None;
        self.outgoing_cut = None;
        #[cfg(feature = "deflate")]
        {
            self.session = None;
        }
    }
}

#[inline]
fn lent_message(kind: Kind, payload: Range<usize>, bytes: &[u8]) -> Result<Event<'_>, Error> {
    let payload = bytes.get(payload).ok_or(Error::BytesNotLent)?;
    Ok(Event::Message(match kind {
        Kind::Binary => Message::from(payload),
        Kind::Text => Message::from(utf8::validate(payload)?),
    }))
}

/// The event at `place` in `bytes`.
#[inline(never)]
fn lent(place: Place, bytes: &[u8]) -> Result<Event<'_>, Error> {
    let at = |range: Range<usize>| bytes.get(range).ok_or(Error::BytesNotLent);
    Ok(match place {
        Place::Message { kind, payload } => return lent_message(kind, payload, bytes),
        Place::Gathered(message) => Event::Message(message),
        #[cfg(feature = "deflate")]
        Place::Inflated(message) => lent_inflated(&message)?,
        #[cfg(feature = "deflate")]
        Place::InflatedChunk(chunk) => Event::Chunk(*chunk),
        Place::Chunk { kind, payload, first, last } => {
            let payload = at(payload)?;
            // Text in several chunks was validated on its way.
            if kind == Kind::Text && first && last {
                utf8::validate(payload)?;
            }
            Event::Chunk(Chunk { kind, payload: payload.into(), first, last })
        }
        Place::Ping(ControlPlace::Input(payload)) => Event::Ping(at(payload)?.into()),
        Place::Ping(ControlPlace::Gathered(payload)) => Event::Ping(payload.into()),
        Place::Pong(ControlPlace::Input(payload)) => Event::Pong(at(payload)?.into()),
        Place::Pong(ControlPlace::Gathered(payload)) => Event::Pong(payload.into()),
        Place::Close(frame) => Event::Close(frame),
    })
}

/// A copy, since nothing else has the bytes for as long as the event lives.
#[cfg(feature = "deflate")]
#[cold]
fn lent_inflated(message: &(Kind, Inflated)) -> Result<Event<'static>, Error> {
    let bytes = message.1.as_slice();
    Ok(Event::Message(match message.0 {
        Kind::Binary => Message::from(bytes).into_owned(),
        Kind::Text => Message::from(utf8::validate(bytes)?).into_owned(),
    }))
}

impl Place {
    /// The same place seen from `by` bytes earlier.
    #[inline]
    fn shifted(mut self, by: usize) -> Self {
        if let Self::Message { payload, .. }
        | Self::Chunk { payload, .. }
        | Self::Ping(ControlPlace::Input(payload))
        | Self::Pong(ControlPlace::Input(payload)) = &mut self
        {
            *payload = payload.start + by..payload.end + by;
        }
        self
    }
}
