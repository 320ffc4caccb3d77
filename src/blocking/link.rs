//! The stream, the connection, and the output between them.

use alloc::vec::Vec;
use core::mem;
use core::time::Duration;
use std::io::{self, IoSlice};
use std::time::Instant;

use super::{Error, Transport};
use crate::{CloseCode, Connection, Fin, Message, Prepared, Role, SendError, TransportAction, Unread};

/// Queued output leaves when there is this much of it, about what one read brings.
const WRITE_AT: usize = 64 << 10;
/// A payload from this size on is not copied where the role allows it.
const DIRECT_WRITE: usize = 16 << 10;
/// A blocked write looks at the deadlines this often.
const WRITE_SLICE: Duration = Duration::from_millis(500);
/// The shortest bound that streams can set.
const SHORTEST: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Link<S> {
    pub(super) transport: S,
    pub(super) connection: Connection,
    pub(super) out: Output,
    /// The time of the latest look at the clock.
    pub(super) now: Duration,
    epoch: Instant,
    /// The bounds that the stream has; `None` before the first was set.
    read_bound: Option<Option<Duration>>,
    write_bound: bool,
    write_shut: bool,
    /// Why the stream can no longer be used.
    lost: Option<io::ErrorKind>,
}

/// Encoded bytes that have not been written yet.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(super) fn sink(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn wrote(&mut self, len: usize) {
        self.written += len;
        if self.written >= self.bytes.len() {
            // An idle connection holds no buffer, and what grew for a large message is given back.
            *self = Self::default();
        }
    }
}

/// How a read went.
pub(super) enum Read {
    Bytes(usize),
    /// Nothing came, or the end of the stream did: look at the connection again.
    Again,
}

impl<S: Transport> Link<S> {
    pub(super) fn new(transport: S, connection: Connection) -> Self {
        Self {
            transport,
            connection,
            out: Output::default(),
            now: Duration::ZERO,
            epoch: Instant::now(),
            read_bound: None,
            write_bound: false,
            write_shut: false,
            lost: None,
        }
    }

    pub(super) fn look_at_the_clock(&mut self) -> Duration {
        self.now = self.epoch.elapsed();
        self.now
    }

    pub(super) fn send(&mut self, message: Message<'_>) -> Result<(), Error> {
        if message.len() >= DIRECT_WRITE && self.connection.role() == Role::Server {
            return self.send_direct(&message);
        }
        self.queue(|connection, out| connection.send(&message, out))?;
        self.flush_unless_blocked()
    }

    pub(super) fn feed(&mut self, message: Message<'_>) -> Result<(), Error> {
        self.queue(|connection, out| connection.send(&message, out))?;
        if self.out.waiting().len() >= WRITE_AT { self.flush_unless_blocked() } else { Ok(()) }
    }

    pub(super) fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue(|connection, out| connection.send_prepared(prepared, out))?;
        if self.out.waiting().len() >= WRITE_AT { self.flush_unless_blocked() } else { Ok(()) }
    }

    pub(super) fn send_fragment(&mut self, fragment: Message<'_>, fin: Fin) -> Result<(), Error> {
        self.queue(|connection, out| connection.send_fragment(&fragment, fin, out))?;
        self.flush_unless_blocked()
    }

    pub(super) fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue(|connection, out| connection.ping(payload, out))?;
        self.flush_unless_blocked()
    }

    pub(super) fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue(|connection, out| connection.pong(payload, out))?;
        self.flush_unless_blocked()
    }

    pub(super) fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let now = self.look_at_the_clock();
        self.connection.close(now, code, reason, self.out.sink())?;
        self.flush_unless_blocked()
    }

    /// Encodes into the output, if that is not too full already.
    fn queue(
        &mut self,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        if self.out.waiting().len() >= self.connection.config().max_queued_output {
            self.flush()?;
        }
        Ok(encode(&mut self.connection, self.out.sink())?)
    }

    /// Sends a large payload without copying it; the rest is queued if the stream takes no more.
    fn send_direct(&mut self, message: &Message<'_>) -> Result<(), Error> {
        match self.flush() {
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
            match self.write(&[IoSlice::new(header), IoSlice::new(payload)]) {
                Ok(len) => written += len,
                Err(error) => {
                    self.out.sink().extend_from_slice(header);
                    self.out.sink().extend_from_slice(payload);
                    return if matches!(error, Error::WouldBlock) { Ok(()) } else { Err(error) };
                }
            }
        }
        self.flush_unless_blocked()
    }

    /// What was taken is queued and leaves later where the stream cannot take it now.
    fn flush_unless_blocked(&mut self) -> Result<(), Error> {
        match self.flush() {
            Err(Error::WouldBlock) => Ok(()),
            flushed => flushed,
        }
    }

    /// Writes all that waits.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        loop {
            self.connection.transmit(self.out.sink());
            if self.out.waiting().is_empty() {
                break;
            }
            let out = mem::take(&mut self.out);
            let wrote = self.write(&[IoSlice::new(out.waiting())]);
            let added = mem::replace(&mut self.out, out);
            self.out.sink().extend_from_slice(added.waiting());
            self.out.wrote(wrote?);
        }
        match self.transport.flush() {
            Ok(()) => Ok(()),
            Err(error) if is_not_now(&error) => Err(Error::WouldBlock),
            Err(error) => Err(self.lose(&error)),
        }
    }

    /// One write of a part of `parts`, which are not empty.
    fn write(&mut self, parts: &[IoSlice<'_>]) -> Result<usize, Error> {
        if let Some(lost) = self.lost {
            return Err(Error::Io(lost.into()));
        }
        self.bound_writes()?;
        self.look_at_the_clock();
        let waiting: usize = parts.iter().map(|part| part.len()).sum();
        loop {
            let wrote = match parts {
                [only] => self.transport.write(only),
                _ => self.transport.write_vectored(parts),
            };
            match wrote {
                Ok(0) => return Err(self.lose(&io::ErrorKind::WriteZero.into())),
                Ok(len) => {
                    self.connection.handle_written(self.now, len, waiting - len);
                    return Ok(len);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_not_now(&error) => self.write_blocked(waiting)?,
                Err(error) => return Err(self.lose(&error)),
            }
        }
    }

    /// The stream took nothing: goes on if its time was up, or gives up for now or for good.
    fn write_blocked(&mut self, waiting: usize) -> Result<(), Error> {
        let began = self.now;
        self.connection.handle_written(began, 0, waiting);
        let now = self.look_at_the_clock();
        if self.is_due() {
            self.connection.handle_timeout(now, Unread::Possible, self.out.sink())?;
        }
        let waited = now.saturating_sub(began) >= WRITE_SLICE / 2;
        if waited { Ok(()) } else { Err(Error::WouldBlock) }
    }

    /// One read that waits until `until` or the next deadline at most, and what follows from it.
    pub(super) fn read(&mut self, target: Target<'_>, until: Option<Duration>) -> Result<Read, Error> {
        let began = self.look_at_the_clock();
        let until_due = [until, self.connection.poll_timeout()].into_iter().flatten().min();
        let bound = self.bound_read(until_due.map(|due| due.saturating_sub(began).max(SHORTEST)))?;
        let read = match target {
            Target::Buffer(room) => self.transport.read(room),
            Target::Message => match self.connection.payload_target() {
                Some(place) => self.transport.read(place),
                None => return Ok(Read::Again),
            },
        };
        let now = self.look_at_the_clock();
        match read {
            Ok(0) => {
                let _ = self.connection.handle_eof();
                Ok(Read::Again)
            }
            Ok(len) => Ok(Read::Bytes(len)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Read::Again),
            Err(error) if is_not_now(&error) => {
                if self.is_due() {
                    // The verdict is kept by the connection.
                    let _ = self.connection.handle_timeout(now, Unread::Nothing, self.out.sink());
                    return Ok(Read::Again);
                }
                if until.is_some_and(|until| until <= now) {
                    return Err(Error::TimedOut);
                }
                // A stream that came back long before its bound does not block at all.
                let waited = bound.is_some_and(|bound| now.saturating_sub(began) >= bound / 2);
                if waited { Ok(Read::Again) } else { Err(Error::WouldBlock) }
            }
            Err(error) => {
                self.lose(&error);
                Ok(Read::Again)
            }
        }
    }

    /// Brings a connection that is closing or has failed to its end: flushes, shuts down the write side, reads the
    /// rest so that no reset destroys what was sent, all within the deadlines.
    pub(super) fn finish(&mut self, until: Option<Duration>) -> Result<(), Error> {
        let mut scratch = [0; 4096];
        loop {
            match self.flush() {
                Err(Error::WouldBlock) => return Err(Error::WouldBlock),
                Err(_) if self.connection.transport_action() != TransportAction::Drop => {
                    self.lost.get_or_insert(io::ErrorKind::TimedOut);
                    let _ = self.connection.handle_eof();
                }
                _ => {}
            }
            let action = self.connection.transport_action();
            // The stream lives as long as its owner wants, but the peer need not wait for that.
            if action != TransportAction::Keep && !mem::replace(&mut self.write_shut, true) {
                let _ = self.transport.shutdown_write();
            }
            if action == TransportAction::Drop {
                return self.verdict();
            }
            self.read(Target::Buffer(&mut scratch), until)?;
            if self.is_due() {
                let _ = self.connection.handle_timeout(self.now, Unread::Possible, self.out.sink());
            }
        }
    }

    /// A clean end is none; everything else is told by its cause, the same each time.
    fn verdict(&self) -> Result<(), Error> {
        let error = self.connection.summary().and_then(|summary| summary.error);
        match (error, self.lost) {
            (Some(crate::Error::UnexpectedEof), Some(lost)) => Err(Error::Io(lost.into())),
            (Some(error), _) => Err(Error::Connection(error)),
            (None, _) => Ok(()),
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.connection.poll_timeout().is_some_and(|due| due <= self.now)
    }

    /// The stream failed: for the connection that is its end.
    fn lose(&mut self, error: &io::Error) -> Error {
        self.lost.get_or_insert_with(|| error.kind());
        let _ = self.connection.handle_eof();
        Error::Io(error.kind().into())
    }

    fn bound_writes(&mut self) -> Result<(), Error> {
        if !self.write_bound {
            self.transport.set_write_timeout(Some(WRITE_SLICE))?;
            self.write_bound = true;
        }
        Ok(())
    }

    /// Makes reads end in time. A bound that is a little short is kept: it costs a look at the clock, not a call.
    fn bound_read(&mut self, needed: Option<Duration>) -> Result<Option<Duration>, Error> {
        let good = match (self.read_bound, needed) {
            (Some(Some(bound)), Some(needed)) => bound <= needed && needed / 2 <= bound,
            (Some(None), None) => true,
            _ => false,
        };
        if !good {
            self.transport.set_read_timeout(needed)?;
            self.read_bound = Some(needed);
        }
        Ok(self.read_bound.flatten())
    }
}

/// Where a read goes.
pub(super) enum Target<'a> {
    Buffer(&'a mut [u8]),
    /// Straight to the place of the payload in the message.
    Message,
}

fn is_not_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
