//! The stream, the connection, and the output between them.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;
use std::io::{self, IoSlice};

use super::buffer::{ReadBuffer, SMALL};
use super::output::{Output, PIECES};
use super::{Error, Stream};
use crate::copy::append;
use crate::{
    Chunk, CloseCode, Connection, Fin, Kind, Message, Prepared, Role, SendError, State, TransportAction,
    Unread,
};

/// The most that one write of a stream of bytes puts into a message or fragment.
pub(crate) const MAX_PART: usize = 64 << 10;
/// Queued output leaves when there is this much of it, about what one read brings.
const WRITE_AT: usize = 256 << 10;
/// How much may wait besides messages, in bytes: two ends that both take no more messages still answer each other's pings.
pub(super) const REPLIES: usize = 4 << 10;
/// A payload from this size on is not copied where the role allows it.
pub(super) const DIRECT_WRITE: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Link<S> {
    pub(crate) stream: S,
    pub(crate) connection: Connection,
    pub(crate) out: Output,
    /// The time of the latest look at the clock.
    pub(crate) now: Duration,
    /// If the latest look at the clock came with bytes: whether more may lie behind them.
    pub(crate) just_read: Option<Unread>,
    /// The message that was lent last is large, and nothing lies behind it: an answer has nothing to wait for.
    pub(super) ends_large: bool,
    /// A timer has gone off for a deadline. Before that a stream that does not wait is not judged by what it lacks.
    pub(crate) alarm: bool,
    write_shut: bool,
    /// Something was written that the stream may still hold back.
    pub(crate) unflushed: bool,
    /// The stream takes no more output. What the peer said before can still be read.
    mute: bool,
    /// What ended the stream, if it was an error.
    lost: Option<io::Error>,
}

/// How a read went.
pub(crate) enum Read {
    Bytes(usize),
    /// Nothing came, or the end of the stream did: look at the connection again.
    Again,
}

/// Where a read goes.
pub(crate) enum Target<'a> {
    Buffer(&'a mut [u8]),
    /// Straight to the place of the payload in the message.
    Message,
}

impl<S: Stream> Link<S> {
    /// The largest queue that a thread keeps for the next batch, in bytes. Where calls wait there is a thread for each
    /// connection, and what it kept would be what the connection costs.
    pub(crate) const SPARE: usize = if S::WAITS { 64 << 10 } else { 512 << 10 };

    pub(crate) fn new(stream: S, connection: Connection, now: Duration) -> Self {
        Self {
            now,
            stream,
            connection,
            out: Output::default(),
            just_read: None,
            ends_large: false,
            alarm: false,
            write_shut: false,
            unflushed: true,
            mute: false,
            lost: None,
        }
    }

    #[inline]
    pub(crate) fn look_at_the_clock(&mut self) -> Duration {
        self.just_read = None;
        self.now = self.stream.now();
        self.now
    }

    pub(crate) fn send(&mut self, message: &Message<'_>) -> Result<(), Error> {
        if self.is_large(message.len()) {
            return self.send_direct(message);
        }
        self.queue(|connection, out| connection.send(message, out))?;
        self.flush_unless_blocked()
    }

    pub(crate) fn feed(&mut self, message: &Message<'_>) -> Result<(), Error> {
        if self.feed_at_once(message.kind(), message.as_bytes()) {
            return Ok(());
        }
        if self.is_large(message.len()) {
            if mem::take(&mut self.ends_large) && self.out.is_empty() && self.stream.gathers() {
                return match self.send_direct(message) {
                    // As of what is queued, the receiver hears of it, behind what the peer had said before.
                    Err(_) if self.mute => Ok(()),
                    sent => sent,
                };
            }
            self.queue_large(message)?;
        } else {
            self.queue(|connection, out| connection.send(message, out))?;
        }
        if self.out.len() >= WRITE_AT { self.flush_unless_blocked() } else { Ok(()) }
    }

    /// Queues a message without writing anything, also if the queue is full.
    #[cfg(feature = "tokio")]
    pub(crate) fn take(&mut self, message: &Message<'_>) -> Result<(), Error> {
        let shared = if self.is_large(message.len()) { message.to_shared() } else { None };
        let out = self.out.sink_for_more();
        let Some(bytes) = shared else { return Ok(self.connection.send(message, out)?) };
        self.connection.transmit(out);
        out.extend_from_slice(self.connection.envelope(message)?.header());
        self.out.share(bytes);
        Ok(())
    }

    /// [`take`](Self::take) for a prepared message.
    #[cfg(feature = "tokio")]
    pub(crate) fn take_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        let is_large = self.is_large(prepared.payload().len());
        let out = self.out.sink_for_more();
        if !is_large {
            return Ok(self.connection.send_prepared(prepared, out)?);
        }
        self.connection.transmit(out);
        self.connection.envelope(&Message::from(prepared.payload())).map(drop)?;
        self.out.share(prepared.frame().clone());
        Ok(())
    }

    pub(crate) fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue_prepared(prepared)?;
        self.flush_unless_blocked()
    }

    /// What lies whole in the input as a message; `None` if it ends the connection, as text that is none does.
    #[inline(always)]
    pub(crate) fn message<'a>(&mut self, kind: Kind, payload: &'a [u8]) -> Option<Message<'a>> {
        match kind {
            Kind::Binary => Some(Message::from(payload)),
            Kind::Text => self.connection.text(self.now, payload, self.out.sink()).ok().map(Message::from),
        }
    }

    /// [`feed`](Self::feed) where nothing need be written for that and nothing is unusual; `false` if nothing was done.
    #[inline(always)]
    pub(crate) fn feed_at_once(&mut self, kind: Kind, payload: &[u8]) -> bool {
        let waiting = self.out.len();
        payload.len() < DIRECT_WRITE
            && waiting + payload.len() < WRITE_AT
            && waiting < self.connection.config().max_queued_output
            && self.connection.send_at_once(kind, payload, self.out.sink_for(payload.len()))
    }

    /// [`feed_at_once`](Self::feed_at_once) for a prepared message.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn feed_prepared_at_once(&mut self, prepared: &Prepared) -> bool {
        let (waiting, len) = (self.out.len(), prepared.frame().len());
        self.connection.role() == Role::Server
            && len < DIRECT_WRITE
            && waiting + len < WRITE_AT
            && waiting < self.connection.config().max_queued_output
            && self.connection.send_prepared(prepared, self.out.sink_for(len)).is_ok()
    }

    pub(crate) fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue_prepared(prepared)?;
        if self.out.len() >= WRITE_AT { self.flush_unless_blocked() } else { Ok(()) }
    }

    pub(crate) fn send_fragment(&mut self, fragment: &Message<'_>, fin: Fin) -> Result<(), Error> {
        self.queue(|connection, out| connection.send_fragment(fragment, fin, out))?;
        self.flush_unless_blocked()
    }

    pub(crate) fn send_chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), Error> {
        self.queue(|connection, out| connection.send_chunk(chunk, out))?;
        self.flush_unless_blocked()
    }

    pub(crate) fn feed_chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), Error> {
        self.queue(|connection, out| connection.send_chunk(chunk, out))?;
        if self.out.len() >= WRITE_AT { self.flush_unless_blocked() } else { Ok(()) }
    }

    pub(crate) fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue(|connection, out| connection.ping(payload, out))?;
        self.flush_unless_blocked()
    }

    pub(crate) fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue(|connection, out| connection.pong(payload, out))?;
        self.flush_unless_blocked()
    }

    pub(crate) fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let now = self.look_at_the_clock();
        self.connection.close(now, code, reason, self.out.sink())?;
        self.flush_unless_blocked()
    }

    pub(crate) fn start_close_without_code(&mut self) -> Result<(), Error> {
        let now = self.look_at_the_clock();
        self.connection.close_without_code(now, self.out.sink())?;
        self.flush_unless_blocked()
    }

    /// Sends a Close frame with 1000 unless the connection is closing already.
    #[cfg(feature = "tokio")]
    pub(crate) fn close_and_flush(&mut self) -> Result<(), Error> {
        match self.start_close(CloseCode::NORMAL, "") {
            Ok(()) | Err(Error::Send(_)) => self.flush(None),
            Err(error) => Err(error),
        }
    }

    /// Encodes into the output, if that is not too full already.
    fn queue(
        &mut self,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        if self.connection.state() != State::Open {
            return Err(SendError::Closed.into());
        }
        if self.is_full() {
            match self.flush(None) {
                Err(Error::WouldBlock) if !self.is_full() => {}
                flushed => flushed?,
            }
        }
        Ok(encode(&mut self.connection, self.out.sink_for_more())?)
    }

    /// How things stand for those who share the connection: whatever they wait for changes some of it.
    #[cfg(feature = "tokio")]
    pub(crate) fn standing(&self) -> (bool, bool, bool, bool, State) {
        (!self.out.is_empty(), self.is_full(), self.unflushed, self.mute, self.connection.state())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.out.len() >= self.connection.config().max_queued_output
    }

    /// Whether a payload is better written from where it is than copied: not if it is masked or compressed.
    fn is_large(&self, len: usize) -> bool {
        len >= DIRECT_WRITE && self.connection.role() == Role::Server && !self.connection.compresses(len)
    }

    /// Sends a large payload without copying it. What the stream does not take is queued: shared if it can be.
    fn send_direct(&mut self, message: &Message<'_>) -> Result<(), Error> {
        match self.flush(None) {
            Ok(()) => {}
            Err(Error::WouldBlock) => return self.queue_large(message),
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
                    self.out.sink().extend_from_slice(&added.to_vec());
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.flush_unless_blocked()
    }

    /// Queues a large message, without a copy if it is shared.
    fn queue_large(&mut self, message: &Message<'_>) -> Result<(), Error> {
        let Some(bytes) = message.to_shared() else {
            return self.queue(|connection, out| connection.send(message, out));
        };
        self.queue(|connection, out| {
            connection.transmit(out);
            let envelope = connection.envelope(message)?;
            out.extend_from_slice(envelope.header());
            Ok(())
        })?;
        self.out.share(bytes);
        Ok(())
    }

    /// Queues a prepared message, without a copy if it is large.
    fn queue_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        if !self.is_large(prepared.payload().len()) {
            return self.queue(|connection, out| connection.send_prepared(prepared, out));
        }
        let message = Message::from(prepared.payload());
        self.queue(|connection, out| {
            connection.transmit(out);
            connection.envelope(&message).map(drop)
        })?;
        self.out.share(prepared.frame().clone());
        Ok(())
    }

    /// What was taken is queued and leaves later where the stream cannot take it now.
    fn flush_unless_blocked(&mut self) -> Result<(), Error> {
        match self.flush(None) {
            Err(Error::WouldBlock) => Ok(()),
            flushed => flushed,
        }
    }

    /// Writes what waited when so many bytes had been queued in all, and what leaves with it.
    #[cfg(feature = "tokio")]
    pub(crate) fn flush_until(&mut self, queued: u64) -> Result<(), Error> {
        match self.flush(None) {
            Err(Error::WouldBlock) if self.out.written_in_all() >= queued => self.flush_transport(None),
            flushed => flushed,
        }
    }

    /// Writes all that waits; over a blocking stream it waits for that, until `until` at most.
    #[inline]
    pub(crate) fn flush(&mut self, until: Option<Duration>) -> Result<(), Error> {
        if self.unflushed || self.mute || self.connection.wants_write() || !self.out.is_empty() {
            return self.flush_what_waits(until);
        }
        Ok(())
    }

    fn flush_what_waits(&mut self, until: Option<Duration>) -> Result<(), Error> {
        loop {
            if self.connection.wants_write() {
                let limit = self.connection.config().max_queued_output.saturating_add(REPLIES);
                self.connection.transmit(&mut self.out.replies(limit));
            }
            if self.mute {
                self.out.clear(Self::SPARE);
                // Nothing waits any more.
                self.connection.handle_written(self.now, 0, 0);
                return Err(self.cause());
            }
            if self.out.is_empty() {
                return self.flush_transport(until);
            }
            let (began, due) = self.bound_of_a_write(until);
            let (wrote, waiting) = match self.out.only_piece() {
                Some(piece) => (self.stream.write(&[IoSlice::new(piece)], due), piece.len()),
                None => {
                    let mut pieces = [IoSlice::new(&[]); PIECES];
                    let count = self.out.pieces(&mut pieces);
                    let pieces = &pieces[..count];
                    (self.stream.write(pieces, due), pieces.iter().map(|piece| piece.len()).sum())
                }
            };
            match self.wrote(wrote, waiting, began, until) {
                Ok(Some(len)) => self.out.wrote(len, Self::SPARE),
                Ok(None) => {}
                Err(error) => {
                    self.out.settle(Self::SPARE);
                    return Err(error);
                }
            }
        }
    }

    pub(crate) fn flush_transport(&mut self, until: Option<Duration>) -> Result<(), Error> {
        while self.unflushed {
            match self.stream.flush() {
                Ok(()) => {
                    self.connection.handle_written(self.now, 0, 0);
                    self.unflushed = false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_not_now(&error) => {
                    let began = self.look_at_the_clock();
                    self.write_blocked(1, began, until, &error)?;
                }
                Err(error) => return Err(self.fall_silent(error)),
            }
        }
        Ok(())
    }

    /// One write of a part of `parts`, which are not empty.
    fn write(&mut self, parts: &[IoSlice<'_>], until: Option<Duration>) -> Result<usize, Error> {
        let waiting = parts.iter().map(|part| part.len()).sum();
        loop {
            if self.mute {
                return Err(self.cause());
            }
            let (began, due) = self.bound_of_a_write(until);
            let wrote = self.stream.write(parts, due);
            if let Some(len) = self.wrote(wrote, waiting, began, until)? {
                return Ok(len);
            }
        }
    }

    /// How a write of `waiting` bytes went that began at `began`; `None` if it is to be tried again.
    pub(crate) fn wrote(
        &mut self,
        wrote: io::Result<usize>,
        waiting: usize,
        began: Duration,
        until: Option<Duration>,
    ) -> Result<Option<usize>, Error> {
        match wrote {
            Ok(0) => Err(self.fall_silent(io::ErrorKind::WriteZero.into())),
            Ok(len) => {
                self.unflushed = true;
                let usual = len >= waiting && (S::WAITS || self.connection.state() == State::Open);
                let now = if usual { self.now } else { self.look_at_the_clock() };
                self.connection.handle_written(now, len, waiting.saturating_sub(len));
                Ok(Some(len.min(waiting)))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) if is_not_now(&error) => {
                let began = if S::WAITS { began } else { self.look_at_the_clock() };
                self.write_blocked(waiting, began, until, &error).map(|()| None)
            }
            Err(error) => Err(self.fall_silent(error)),
        }
    }

    /// When a write begins and, where it waits, how long it may.
    #[inline]
    fn bound_of_a_write(&mut self, until: Option<Duration>) -> (Duration, Option<Duration>) {
        if !S::WAITS {
            return (self.now, None);
        }
        let began = self.look_at_the_clock();
        let stall = self.connection.config().write_timeout;
        let stall = stall.and_then(|timeout| began.checked_add(timeout));
        (began, [until, self.connection.poll_timeout(), stall].into_iter().flatten().min())
    }

    /// The stream took nothing since `began`: goes on if it waited for that, or gives up for now or for good.
    fn write_blocked(
        &mut self,
        waiting: usize,
        began: Duration,
        until: Option<Duration>,
        error: &io::Error,
    ) -> Result<(), Error> {
        self.connection.handle_written(began, 0, waiting);
        let now = self.look_at_the_clock();
        if self.is_due() {
            // The verdict is kept by the connection.
            let _ = self.connection.handle_timeout(now, Unread::Possible, self.out.sink());
        }
        if self.connection.transport_action() == TransportAction::Drop {
            return Err(self.fall_silent(io::ErrorKind::TimedOut.into()));
        }
        if until.is_some_and(|until| until <= now) {
            return Err(Error::TimedOut);
        }
        go_on_after(error)
    }

    /// One read that waits until `until` or the next deadline at most, and what follows from it.
    pub(crate) fn read(&mut self, target: Target<'_>, until: Option<Duration>) -> Result<Read, Error> {
        if S::WAITS {
            // Where each connection has its thread, what that keeps while it waits is what the connection costs.
            crate::recycled::free();
        }
        // All that had come before the stream failed is still heard, but not waited for.
        let due = if S::WAITS { self.bound_of_a_read(until) } else { None };
        let (read, room) = match target {
            Target::Buffer(room) => (self.stream.read(room, due), room.len()),
            Target::Message => match self.connection.payload_target() {
                Some(place) => (self.stream.read(place, due), place.len()),
                None => return Ok(Read::Again),
            },
        };
        self.read_went(read, room, until)
    }

    /// How a read went that had room for so many bytes.
    #[inline]
    pub(crate) fn read_went(
        &mut self,
        read: io::Result<usize>,
        room: usize,
        until: Option<Duration>,
    ) -> Result<Read, Error> {
        let nothing_yet = read.as_ref().is_err_and(is_not_now);
        if S::WAITS || !nothing_yet {
            self.look_at_the_clock();
        }
        match read {
            Ok(0) => {
                let _ = self.connection.handle_eof();
                Ok(Read::Again)
            }
            Ok(len) => {
                self.bytes_came(len, room);
                Ok(Read::Bytes(len))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Read::Again),
            Err(error) if is_not_now(&error) => self.read_nothing(until, &error),
            Err(error) => Ok(self.end_reading(error)),
        }
    }

    /// A read that had room for so many bytes has just brought `len`, one at the least.
    #[inline]
    pub(crate) fn bytes_came(&mut self, len: usize, room: usize) {
        self.connection.bytes_came(self.now);
        self.just_read = Some(if len < room { Unread::Nothing } else { Unread::Possible });
    }

    fn bound_of_a_read(&self, until: Option<Duration>) -> Option<Duration> {
        let due = if self.mute { Some(self.now) } else { self.connection.poll_timeout() };
        [until, due].into_iter().flatten().min()
    }

    fn end_reading(&mut self, error: io::Error) -> Read {
        if !self.connection.has_ended() {
            self.lost.get_or_insert(error);
        }
        let _ = self.connection.handle_eof();
        Read::Again
    }

    /// The stream brought nothing.
    fn read_nothing(&mut self, until: Option<Duration>, error: &io::Error) -> Result<Read, Error> {
        if self.mute {
            let _ = self.connection.handle_eof();
            return Ok(Read::Again);
        }
        if (S::WAITS || self.alarm) && self.is_due() {
            self.alarm = false;
            let _ = self.connection.handle_timeout(self.now, Unread::Nothing, self.out.sink());
            return Ok(Read::Again);
        }
        if until.is_some_and(|until| until <= self.now) {
            return Err(Error::TimedOut);
        }
        go_on_after(error).map(|()| Read::Again)
    }

    /// Judges the deadlines after everything that was read has been taken.
    ///
    /// A peer is called silent only for what a read has just shown: while the application was busy the clock went
    /// on and bytes may have come, so that the next read goes first. What ends a closing connection needs none.
    pub(crate) fn judge(&mut self) {
        let unread = match self.just_read.take() {
            Some(unread) => unread,
            None if self.connection.state() == State::Open => return,
            None => Unread::Possible,
        };
        if !self.is_due() {
            return;
        }
        let _ = self.connection.handle_timeout(self.now, unread, self.out.sink());
    }

    /// Brings a connection that is closing or has failed to its end: flushes, shuts down the write side, reads the
    /// rest so that no reset destroys what was sent, all within the deadlines.
    pub(crate) fn finish(&mut self, until: Option<Duration>) -> Result<(), Error> {
        let mut scratch = ReadBuffer::default();
        loop {
            match self.flush(until) {
                Err(error) if error.is_temporary() => return Err(error),
                Err(_) => {
                    let _ = self.connection.handle_eof();
                }
                Ok(()) => {}
            }
            self.shut_down_writes();
            if self.connection.transport_action() == TransportAction::Drop {
                return self.verdict();
            }
            let read = self.read(Target::Buffer(scratch.room(SMALL)), until)?;
            self.judge();
            if matches!(read, Read::Bytes(_)) && until.is_some_and(|until| until <= self.now) {
                return Err(Error::TimedOut);
            }
        }
    }

    /// Ends our direction if it is time. The stream lives as long as its owner wants, the peer need not wait for that.
    fn shut_down_writes(&mut self) {
        if self.connection.transport_action() == TransportAction::Keep
            || mem::replace(&mut self.write_shut, true)
        {
            return;
        }
        match self.stream.shutdown_write() {
            Ok(()) => {}
            Err(error) if is_not_now(&error) => self.write_shut = false,
            Err(_) => {
                // The peer cannot be told and may wait for our end as we would for its.
                let _ = self.connection.handle_eof();
            }
        }
    }

    /// A clean end is none; everything else is told by its cause, the same each time.
    fn verdict(&self) -> Result<(), Error> {
        match self.connection.summary().and_then(|summary| summary.error) {
            Some(_) => Err(self.cause()),
            None => Ok(()),
        }
    }

    /// Why nothing can be sent or received any more.
    fn cause(&self) -> Error {
        let error = self.connection.summary().and_then(|summary| summary.error);
        match (error, &self.lost) {
            (None | Some(crate::Error::UnexpectedEof), Some(lost)) => Error::Io(copy_of(lost)),
            (Some(error), _) => Error::Connection(error),
            (None, None) => Error::Io(io::ErrorKind::BrokenPipe.into()),
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.connection.poll_timeout().is_some_and(|due| due <= self.now)
    }

    /// Whether the stream has failed as far as output goes; then reading goes on only with what is there.
    pub(crate) const fn is_mute(&self) -> bool {
        self.mute
    }

    /// The stream takes no more output. If the connection has not ended by itself, this is why it does.
    fn fall_silent(&mut self, error: io::Error) -> Error {
        self.mute = true;
        self.connection.output_failed();
        if !self.connection.has_ended() {
            self.lost.get_or_insert(error);
        }
        self.cause()
    }
}

/// The same error again, as far as that is possible.
fn copy_of(error: &io::Error) -> io::Error {
    match (error.raw_os_error(), error.get_ref()) {
        (Some(code), _) => io::Error::from_raw_os_error(code),
        (None, Some(inner)) => io::Error::new(error.kind(), inner.to_string()),
        (None, None) => error.kind().into(),
    }
}

/// Whether the stream has only waited in vain, or does not wait.
pub(crate) fn is_not_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A stream that has waited is asked again, one that does not wait ends the call.
fn go_on_after(error: &io::Error) -> Result<(), Error> {
    if error.kind() == io::ErrorKind::TimedOut { Ok(()) } else { Err(Error::WouldBlock) }
}
