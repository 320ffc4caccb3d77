//! The stream, the connection, and the output between them.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;
use std::io::{self, IoSlice};

use super::output::Output;
use super::{Error, Stream};
use crate::{
    Chunk, CloseCode, Connection, Fin, Kind, Message, Prepared, Role, SendError, State, TransportAction,
    Unread,
};

/// Queued output leaves when there is this much of it, about what one read brings.
const WRITE_AT: usize = 64 << 10;
/// A payload from this size on is not copied where the role allows it.
const DIRECT_WRITE: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Link<S> {
    pub(crate) stream: S,
    pub(crate) connection: Connection,
    pub(crate) out: Output,
    /// The time of the latest look at the clock.
    pub(crate) now: Duration,
    /// When the latest read brought bytes, and whether more may lie behind them.
    read_at: Option<(Duration, Unread)>,
    write_shut: bool,
    /// Something was written that the stream may still hold back.
    unflushed: bool,
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
    pub(crate) fn new(stream: S, connection: Connection) -> Self {
        Self {
            now: stream.now(),
            stream,
            connection,
            out: Output::default(),
            read_at: None,
            write_shut: false,
            unflushed: true,
            mute: false,
            lost: None,
        }
    }

    pub(crate) fn look_at_the_clock(&mut self) -> Duration {
        self.now = self.stream.now();
        self.now
    }

    pub(crate) fn send(&mut self, message: &Message<'_>) -> Result<(), Error> {
        if message.len() >= DIRECT_WRITE && self.goes_out_as_it_is(message.len()) {
            return self.send_direct(message);
        }
        self.queue(|connection, out| connection.send(message, out))?;
        self.flush_unless_blocked()
    }

    /// Whether the payload of a message leaves without being masked or compressed.
    fn goes_out_as_it_is(&self, len: usize) -> bool {
        #[cfg(feature = "deflate")]
        if self.connection.compresses(len) {
            return false;
        }
        let _ = len;
        self.connection.role() == Role::Server
    }

    pub(crate) fn feed(&mut self, message: &Message<'_>) -> Result<(), Error> {
        if let Some(fed) = self.feed_at_once(message) {
            return fed;
        }
        self.queue(|connection, out| connection.send(message, out))?;
        if self.out.waiting().len() >= WRITE_AT { self.flush_unless_blocked() } else { Ok(()) }
    }

    /// Queues a message without writing anything, also if the queue is full.
    #[cfg(feature = "futures-sink")]
    pub(crate) fn take(&mut self, message: &Message<'_>) -> Result<(), Error> {
        Ok(self.connection.send(message, self.out.sink())?)
    }

    pub(crate) fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue(|connection, out| connection.send_prepared(prepared, out))?;
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

    /// [`feed`](Self::feed) where nothing need be written for that.
    #[inline]
    pub(crate) fn feed_at_once(&mut self, message: &Message<'_>) -> Option<Result<(), Error>> {
        let waiting = self.out.waiting().len();
        if self.connection.state() != State::Open
            || waiting + message.len() >= WRITE_AT
            || waiting >= self.connection.config().max_queued_output
        {
            return None;
        }
        Some(self.connection.send(message, self.out.sink_for_more()).map_err(Error::from))
    }

    pub(crate) fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue(|connection, out| connection.send_prepared(prepared, out))?;
        if self.out.waiting().len() >= WRITE_AT { self.flush_unless_blocked() } else { Ok(()) }
    }

    pub(crate) fn send_fragment(&mut self, fragment: &Message<'_>, fin: Fin) -> Result<(), Error> {
        self.queue(|connection, out| connection.send_fragment(fragment, fin, out))?;
        self.flush_unless_blocked()
    }

    pub(crate) fn send_chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), Error> {
        self.queue(|connection, out| connection.send_chunk(chunk, out))?;
        self.flush_unless_blocked()
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
        (!self.out.waiting().is_empty(), self.is_full(), self.unflushed, self.mute, self.connection.state())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.out.waiting().len() >= self.connection.config().max_queued_output
    }

    /// Sends a large payload without copying it; the rest is queued if the stream takes no more.
    fn send_direct(&mut self, message: &Message<'_>) -> Result<(), Error> {
        match self.flush(None) {
            Ok(()) => {}
            Err(Error::WouldBlock) => return self.queue(|connection, out| connection.send(message, out)),
            Err(error) => return Err(error),
        }
        let envelope = self.connection.envelope(message)?;
        let (header, payload) = (envelope.header(), message.as_bytes());
        let mut written = 0;
        while written < header.len() + payload.len() {
            let header = header.get(written..).unwrap_or_default();
            let payload = &payload[written.saturating_sub(envelope.header().len())..];
            match self.write(&[IoSlice::new(header), IoSlice::new(payload)], None) {
                Ok(len) => written += len,
                Err(Error::WouldBlock) => {
                    // A ping may have been queued while the stream was waited for: the rest of the frame goes first.
                    let added = mem::take(&mut self.out);
                    let out = self.out.sink();
                    for part in [header, payload, added.waiting()] {
                        out.extend_from_slice(part);
                    }
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.flush_unless_blocked()
    }

    /// What was taken is queued and leaves later where the stream cannot take it now.
    fn flush_unless_blocked(&mut self) -> Result<(), Error> {
        match self.flush(None) {
            Err(Error::WouldBlock) => Ok(()),
            flushed => flushed,
        }
    }

    /// Writes all that waits; over a blocking stream it waits for that, until `until` at most.
    pub(crate) fn flush(&mut self, until: Option<Duration>) -> Result<(), Error> {
        loop {
            self.connection.transmit(&mut self.out.replies(self.connection.config().max_queued_output));
            if self.mute {
                self.out.clear();
                // Nothing waits any more.
                self.connection.handle_written(self.now, 0, 0);
                return Err(self.cause());
            }
            if self.out.waiting().is_empty() {
                return self.flush_transport(until);
            }
            let out = mem::take(&mut self.out);
            let wrote = self.write(&[IoSlice::new(out.waiting())], until);
            let added = mem::replace(&mut self.out, out);
            self.out.sink().extend_from_slice(added.waiting());
            self.out.wrote(wrote?);
        }
    }

    fn flush_transport(&mut self, until: Option<Duration>) -> Result<(), Error> {
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
        let waiting: usize = parts.iter().map(|part| part.len()).sum();
        loop {
            if self.mute {
                return Err(self.cause());
            }
            let began = self.look_at_the_clock();
            let stall = self.connection.config().write_timeout;
            let stall = stall.and_then(|timeout| began.checked_add(timeout));
            let due = [until, self.connection.poll_timeout(), stall].into_iter().flatten().min();
            match self.stream.write(parts, due) {
                Ok(0) => return Err(self.fall_silent(io::ErrorKind::WriteZero.into())),
                Ok(len) => {
                    self.unflushed = true;
                    let now = if len < waiting { self.look_at_the_clock() } else { self.now };
                    self.connection.handle_written(now, len, waiting.saturating_sub(len));
                    return Ok(len.min(waiting));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_not_now(&error) => self.write_blocked(waiting, began, until, &error)?,
                Err(error) => return Err(self.fall_silent(error)),
            }
        }
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
        // All that had come before the stream failed is still heard, but not waited for.
        let due = if self.mute { Some(self.now) } else { self.connection.poll_timeout() };
        let due = [until, due].into_iter().flatten().min();
        let (read, room) = match target {
            Target::Buffer(room) => (self.stream.read(room, due), room.len()),
            Target::Message => match self.connection.payload_target() {
                Some(place) => (self.stream.read(place, due), place.len()),
                None => return Ok(Read::Again),
            },
        };
        let now = self.look_at_the_clock();
        match read {
            Ok(0) => {
                let _ = self.connection.handle_eof();
                Ok(Read::Again)
            }
            Ok(len) => {
                self.read_at = Some((now, if len < room { Unread::Nothing } else { Unread::Possible }));
                Ok(Read::Bytes(len))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Read::Again),
            Err(error) if is_not_now(&error) => self.read_nothing(until, &error),
            Err(error) => Ok(self.end_reading(error)),
        }
    }

    fn end_reading(&mut self, error: io::Error) -> Read {
        if self.connection.summary().is_none() {
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
        if self.is_due() {
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
        if !self.is_due() {
            return;
        }
        let unread = match self.read_at {
            Some((at, unread)) if at == self.now => unread,
            _ if self.connection.state() == State::Open => return,
            _ => Unread::Possible,
        };
        let _ = self.connection.handle_timeout(self.now, unread, self.out.sink());
    }

    /// Brings a connection that is closing or has failed to its end: flushes, shuts down the write side, reads the
    /// rest so that no reset destroys what was sent, all within the deadlines.
    pub(crate) fn finish(&mut self, until: Option<Duration>) -> Result<(), Error> {
        let mut scratch = [0; 4096];
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
            let read = self.read(Target::Buffer(&mut scratch), until)?;
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
        if self.connection.summary().is_none() {
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
