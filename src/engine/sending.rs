//! Sending: into the output, or straight to the stream where that is cheaper.

use core::mem;
use std::io::{self, IoSlice};

use super::link::Link;
use super::{Error, Stream};
use crate::memory::append;
use crate::{Chunk, CloseCode, Fin, Kind, Message, Prepared, Role, SendError, State};

/// The most that one write of a byte stream puts into a message or fragment, in bytes.
const MAX_PART: usize = 64 << 10;
/// Queued output is written when there is this much of it, about what one read brings.
const WRITE_AT: usize = 256 << 10;
/// A payload from this size on is not copied where the role allows it.
pub(super) const DIRECT_WRITE: usize = 16 << 10;

/// A value to send.
#[derive(Clone, Copy)]
pub(crate) enum Outgoing<'a> {
    Message(&'a Message<'a>),
    Prepared(&'a Prepared),
    Fragment(Author, &'a Message<'a>, Fin),
    Chunk(Author, &'a Chunk<'a>),
    /// A chunk that begins a message, also if another one of the same author is open.
    FirstChunk(Author, &'a Chunk<'a>),
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    Close(CloseCode, &'a str),
    CloseWithoutCode,
}

impl Outgoing<'_> {
    /// The same, sent by half `number` of the connection.
    #[cfg(feature = "tokio")]
    pub(crate) const fn by(self, number: u64) -> Self {
        match self {
            Self::Fragment(_, fragment, fin) => Self::Fragment(Author::half(number), fragment, fin),
            Self::Chunk(_, chunk) => Self::Chunk(Author::half(number), chunk),
            other => other,
        }
    }

    /// Whether it is a part of a message.
    #[cfg(feature = "tokio")]
    pub(crate) const fn is_part(&self) -> bool {
        matches!(self, Self::Fragment(..) | Self::Chunk(..))
    }
}

/// The sender of a message in fragments: a half of the connection, with its own calls or through a message writer.
///
/// The peer cannot tell the authors apart: fragments of two would become one message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Author(u32);

impl Author {
    /// The number of the only half of a connection that was not split.
    pub(crate) const OWNER: u64 = 1;
    /// That half by its own calls.
    pub(crate) const CALLS: Self = Self::half(Self::OWNER);
    /// The half that began the message was dropped; no half has the number 0.
    const NOBODY: Self = Self::half(0);

    pub(crate) const fn half(number: u64) -> Self {
        // It would take two thousand million clones of one half to confuse two authors.
        Self((number as u32) << 1)
    }

    const fn writer(number: u64) -> Self {
        Self((number as u32) << 1 | 1)
    }

    const fn is_of(self, number: u64) -> bool {
        self.0 | 1 == Self::writer(number).0
    }

    /// Half `number` was dropped.
    #[cfg(feature = "tokio")]
    pub(crate) fn leave(&mut self, number: u64) {
        if self.is_of(number) {
            *self = Self::NOBODY;
        }
    }

    /// Half `number` is now the owner of the whole connection.
    #[cfg(feature = "tokio")]
    pub(crate) const fn unite(&mut self, number: u64) {
        if self.is_of(number) {
            *self = Self(Self::CALLS.0 | self.0 & 1);
        }
    }
}

/// A message that is written piece by piece, as its writer sees it.
#[derive(Debug)]
pub(crate) struct PartialMessage {
    kind: Kind,
    author: Author,
    has_begun: bool,
    is_finished: bool,
}

impl PartialMessage {
    pub(crate) const fn new(kind: Kind, half: u64) -> Self {
        Self { kind, author: Author::writer(half), has_begun: false, is_finished: false }
    }

    #[cfg(feature = "tokio")]
    pub(crate) const fn is_finished(&self) -> bool {
        self.is_finished
    }
}

impl<S: Stream> Link<S> {
    /// Queues something and writes it, as far as the stream takes it now.
    pub(crate) fn send(&mut self, what: Outgoing<'_>) -> Result<(), Error> {
        match what {
            Outgoing::Message(message) if self.is_large(message.len()) => return self.send_direct(message),
            _ => self.queue(what)?,
        }
        self.flush_unless_blocked()
    }

    /// Queues something, and writes where much is queued.
    #[inline]
    pub(crate) fn feed(&mut self, what: Outgoing<'_>) -> Result<(), Error> {
        if self.feed_fast(what) { Ok(()) } else { self.feed_any(what) }
    }

    /// [`feed`](Self::feed) for a small message of a server that nothing unusual precedes; `false` if nothing was done.
    #[inline(always)]
    pub(crate) fn feed_fast(&mut self, what: Outgoing<'_>) -> bool {
        let len = match what {
            Outgoing::Message(message) => message.len(),
            Outgoing::Prepared(prepared) => prepared.frame().len(),
            _ => return false,
        };
        let queued = self.out.len();
        let fits = len < DIRECT_WRITE
            && queued + len < WRITE_AT
            && queued < self.connection.config().max_queued_output;
        fits && match what {
            Outgoing::Message(message) => {
                self.connection.send_fast(message.kind(), message.as_bytes(), self.out.sink_for(len))
            }
            Outgoing::Prepared(prepared) => {
                self.connection.role() == Role::Server
                    && self.connection.send_prepared(prepared, self.out.sink_for(len)).is_ok()
            }
            _ => false,
        }
    }

    /// [`send`](Self::send) for a small message of a server that nothing unusual precedes, in one write: `None` if nothing was
    /// done, and whether all of it has left.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn send_fast(&mut self, what: Outgoing<'_>) -> Option<bool> {
        let is_idle = !(self.timer_fired || self.has_to_flush());
        (is_idle && self.feed_fast(what)).then(|| self.writes_all())
    }

    /// [`feed`](Self::feed) without its fast path.
    pub(crate) fn feed_any(&mut self, what: Outgoing<'_>) -> Result<(), Error> {
        match what {
            // A large answer to a large message has nothing to wait for.
            Outgoing::Message(message)
                if self.is_large(message.len())
                    && mem::take(&mut self.received_large)
                    && self.out.is_empty()
                    && self.stream.gathers() =>
            {
                return match self.send_direct(message) {
                    // The receiver returns the error, as for queued output, behind what the peer had said before.
                    Err(_) if self.output_failed => Ok(()),
                    sent => sent,
                };
            }
            _ => self.queue(what)?,
        }
        if self.out.len() < WRITE_AT {
            return Ok(());
        }
        // A call that waits does so once: the peer may be feeding too, and take nothing before it receives.
        match self.flush_once(None) {
            Err(Error::WouldBlock | Error::TimedOut) => Ok(()),
            flushed => flushed,
        }
    }

    /// Encodes into the output once that has room.
    pub(crate) fn queue(&mut self, what: Outgoing<'_>) -> Result<(), Error> {
        let queued = self.queue_if_allowed(what);
        self.release_refused(queued)
    }

    /// Gives back the buffer that was made for output which was refused: an idle connection holds none.
    fn release_refused(&mut self, queued: Result<(), Error>) -> Result<(), Error> {
        if queued.is_err() && self.out.is_empty() {
            self.out.clear(Self::SPARE);
        }
        queued
    }

    fn queue_if_allowed(&mut self, what: Outgoing<'_>) -> Result<(), Error> {
        if matches!(what, Outgoing::Close(..) | Outgoing::CloseWithoutCode) {
            self.check_keys()?;
            return self.encode_if_allowed(what);
        }
        if self.connection.state() != State::Open {
            return Err(SendError::Closed.into());
        }
        if self.connection.fragmenting().is_some() {
            match what {
                Outgoing::FirstChunk(..) => return Err(SendError::MessageInProgress.into()),
                Outgoing::Fragment(author, ..) | Outgoing::Chunk(author, _) if author != self.author => {
                    return Err(SendError::MessageInProgress.into());
                }
                _ => {}
            }
        }
        self.check_keys()?;
        if self.is_full() {
            match self.flush(None) {
                Err(Error::WouldBlock) if !self.is_full() || self.exceeds_limit => {}
                flushed => flushed?,
            }
        }
        self.encode_if_allowed(what)
    }

    /// Encodes into the output, also if that is full.
    #[cfg(any(feature = "rand", feature = "tokio"))]
    pub(crate) fn encode(&mut self, what: Outgoing<'_>) -> Result<(), Error> {
        let encoded = self.encode_if_allowed(what);
        self.release_refused(encoded)
    }

    fn encode_if_allowed(&mut self, what: Outgoing<'_>) -> Result<(), Error> {
        let is_large = match what {
            Outgoing::Message(message) => self.is_large(message.len()),
            Outgoing::Prepared(prepared) => self.is_large(prepared.payload().len()),
            _ => false,
        };
        let (connection, out) = (&mut self.connection, &mut self.out);
        match what {
            Outgoing::Message(message) if is_large => self.encode_large(message)?,
            Outgoing::Message(message) => connection.send(message, out.sink_for_more())?,
            Outgoing::Prepared(prepared) if is_large => {
                connection.transmit(out.sink());
                connection.envelope(&Message::from(prepared.payload())).map(drop)?;
                out.share(prepared.frame().clone());
            }
            Outgoing::Prepared(prepared) => connection.send_prepared(prepared, out.sink_for_more())?,
            Outgoing::Fragment(author, fragment, fin) => {
                connection.send_fragment(fragment, fin, out.sink_for_more())?;
                self.author = author;
            }
            Outgoing::Chunk(author, chunk) | Outgoing::FirstChunk(author, chunk) => {
                connection.send_chunk(chunk, out.sink_for_more())?;
                self.author = author;
            }
            Outgoing::Ping(payload) => connection.ping(payload, out.sink_for_more())?,
            Outgoing::Pong(payload) => connection.pong(payload, out.sink_for_more())?,
            Outgoing::Close(code, reason) => {
                let now = self.read_clock();
                self.connection.close(now, code, reason, self.out.sink())?;
            }
            Outgoing::CloseWithoutCode => {
                let now = self.read_clock();
                self.connection.close_without_code(now, self.out.sink())?;
            }
        }
        Ok(())
    }

    /// Encodes a large message, without a copy if its payload is shared.
    fn encode_large(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        let out = self.out.sink_for_more();
        let Some(bytes) = message.to_shared() else { return self.connection.send(message, out) };
        self.connection.transmit(out);
        out.extend_from_slice(self.connection.envelope(message)?.header());
        self.out.share(bytes);
        Ok(())
    }

    /// Whether a payload is better written from where it is than copied: not if it is masked or compressed.
    fn is_large(&self, len: usize) -> bool {
        len >= DIRECT_WRITE && self.connection.role() == Role::Server && !self.connection.compresses(len)
    }

    /// Sends a large payload without copying it. What the stream does not take is queued: shared if it can be.
    fn send_direct(&mut self, message: &Message<'_>) -> Result<(), Error> {
        match self.flush(None) {
            Ok(()) => {}
            Err(Error::WouldBlock) => return self.queue(Outgoing::Message(message)),
            Err(error) => return Err(error),
        }
        let envelope = self.connection.envelope(message)?;
        let (header, payload) = (envelope.header(), message.as_bytes());
        let mut written = 0;
        while written < header.len() + payload.len() {
            let header = header.get(written..).unwrap_or_default();
            let in_payload = written.saturating_sub(envelope.header().len());
            match self.write(&[IoSlice::new(header), IoSlice::new(&payload[in_payload..])], None) {
                Ok(len) => written += len,
                Err(Error::WouldBlock) => {
                    // A ping may have been queued while the stream was waited for: the rest of the frame goes first.
                    let added = self.out.take();
                    self.out.sink().extend_from_slice(header);
                    match message.to_shared() {
                        Some(bytes) => self.out.share(bytes.slice(in_payload..)),
                        None => append(self.out.sink(), &payload[in_payload..]),
                    }
                    self.out.append(added);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.flush_unless_blocked()
    }

    /// Takes a part of `bytes` into `message`, as the `write` of an I/O trait does.
    pub(crate) fn write_part(&mut self, message: &mut PartialMessage, bytes: &[u8]) -> Result<usize, Error> {
        let part = &bytes[..bytes.len().min(MAX_PART)];
        if message.is_finished {
            return Err(Error::Io(io::ErrorKind::BrokenPipe.into()));
        }
        if !part.is_empty() {
            self.feed_part(message, &Chunk::new(message.kind, part))?;
        }
        Ok(part.len())
    }

    /// Completes `message`, once.
    pub(crate) fn finish_message(&mut self, message: &mut PartialMessage) -> Result<(), Error> {
        if !message.is_finished {
            self.feed_part(message, &Chunk { last: true, ..Chunk::new(message.kind, &[][..]) })?;
            message.is_finished = true;
        }
        Ok(())
    }

    fn feed_part(&mut self, message: &mut PartialMessage, chunk: &Chunk<'_>) -> Result<(), Error> {
        let chunk = if message.has_begun {
            Outgoing::Chunk(message.author, chunk)
        } else {
            Outgoing::FirstChunk(message.author, chunk)
        };
        self.feed_any(chunk)?;
        message.has_begun = true;
        Ok(())
    }

    /// Makes half `number` go on with an open message of its own, or of a half that was dropped.
    pub(crate) fn resume_message(&mut self, number: u64) -> Option<PartialMessage> {
        let kind = self.connection.fragmenting()?;
        if !(self.author.is_of(number) || self.author == Author::NOBODY) {
            return None;
        }
        self.author = Author::writer(number);
        Some(PartialMessage { has_begun: true, ..PartialMessage::new(kind, number) })
    }

    /// A part of a byte stream as a message of its own.
    #[cfg(feature = "tokio")]
    pub(crate) fn feed_bytes(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let part = &bytes[..bytes.len().min(MAX_PART)];
        if !part.is_empty() {
            self.feed(Outgoing::Message(&Message::from(part)))?;
        }
        Ok(part.len())
    }
}
