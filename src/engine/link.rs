//! The stream, the connection, and the output between them: reading, deadlines, and the end.

use core::mem;
use core::time::Duration;
use std::io;

use super::budget::Budget;
use super::buffer::{ReadBuffer, SMALL};
use super::output::Output;
use super::sending::Author;
use super::writing::{FlushStream, WRITE_SLICE};
use super::{Error, Stream, copy_of, is_not_ready, retry_after_wait};
use crate::{Connection, State, TransportAction, Unread};

/// How much may be queued besides messages, in bytes: two ends that both take no more messages still answer each other's
/// pings.
pub(super) const REPLIES: usize = 4 << 10;
/// How many reads without a byte of an overdue message show that none of it is unread: 16 MiB of 64 KiB each.
const OVERDUE_READS: u8 = u8::MAX;

#[derive(Debug)]
pub(crate) struct Link<S> {
    pub(crate) stream: S,
    pub(crate) connection: Connection,
    pub(crate) out: Output,
    /// When the clock was read last.
    pub(crate) now: Duration,
    pub(crate) budget: Budget,
    /// The sender of the message that is being sent in fragments.
    pub(crate) author: Author,
    /// The error that ended the stream, if there was one.
    io_error: Option<io::Error>,
    /// How many reads have brought bytes, but none of the message that is overdue.
    overdue_reads: u8,
    /// The clock was read last when a read brought bytes.
    pub(crate) just_read: bool,
    /// The message that was borrowed last is large, and no input is buffered: an answer has nothing to wait for.
    pub(super) received_large: bool,
    /// A timer has fired for a deadline. Before that a stream that does not wait is not judged by what it lacks.
    pub(crate) timer_fired: bool,
    pub(super) flush_stream: FlushStream,
    /// The queue takes a message though it is full, because its sender has waited for its turn.
    pub(super) exceeds_limit: bool,
    /// The stream takes no more output. What the peer said before can still be read.
    pub(crate) output_failed: bool,
    /// Our direction has ended.
    write_shut: bool,
}

/// The result of a read.
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

/// The state that calls on other halves wait for: each of them waits until a part of it changes.
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Snapshot {
    is_queued: bool,
    is_full: bool,
    is_unflushed: bool,
    pub(crate) output_failed: bool,
    pub(crate) state: State,
}

#[cfg(feature = "tokio")]
impl Snapshot {
    /// Whether something is not queued or written any more that was in `other`.
    pub(crate) const fn has_less_than(self, other: Self) -> bool {
        other.is_queued && !self.is_queued
            || other.is_full && !self.is_full
            || other.is_unflushed && !self.is_unflushed
    }
}

impl<S: Stream> Link<S> {
    pub(crate) fn new(stream: S, connection: Connection, now: Duration) -> Self {
        Self {
            stream,
            connection,
            out: Output::default(),
            now,
            budget: Budget::new(),
            author: Author::CALLS,
            io_error: None,
            overdue_reads: 0,
            just_read: false,
            received_large: false,
            timer_fired: false,
            flush_stream: FlushStream::Yes,
            exceeds_limit: false,
            output_failed: false,
            write_shut: false,
        }
    }

    #[inline]
    pub(crate) fn read_clock(&mut self) -> Duration {
        self.just_read = false;
        self.now = self.stream.now();
        self.now
    }

    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            is_queued: !self.out.is_empty(),
            is_full: self.is_full(),
            is_unflushed: self.is_unflushed(),
            output_failed: self.output_failed,
            state: self.connection.state(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        // An empty queue takes a message whatever the limit is.
        let queued = self.out.len();
        queued > 0 && queued >= self.connection.config().max_queued_output
    }

    /// Ends the call for now if keys must be drawn, outside of the lock, before anything is sent.
    #[inline]
    pub(crate) fn check_keys(&self) -> Result<(), Error> {
        #[cfg(feature = "tokio")]
        if self.connection.lacks_keys() {
            return Err(Error::WouldBlock);
        }
        Ok(())
    }

    /// One read that waits until `until` or the next deadline at most, and what follows from it.
    pub(crate) fn read(&mut self, target: Target<'_>, until: Option<Duration>) -> Result<Read, Error> {
        if S::WAITS {
            // Where each connection has its thread, what that keeps while it waits is what the connection costs.
            crate::memory::free_recycled();
        }
        // All that had come before the stream failed is still heard, but not waited for.
        let due = if S::WAITS { self.read_due(until) } else { None };
        let read = match target {
            Target::Buffer(room) => self.stream.read(room, due),
            Target::Message => match self.connection.payload_target() {
                Some(place) => self.stream.read(place, due),
                None => return Ok(Read::Again),
            },
        };
        if S::WAITS && self.stream.wants_flush() {
            self.flush_stream = FlushStream::Yes;
        }
        self.check_read(read, until)
    }

    /// Checks the result of a read.
    #[inline]
    pub(crate) fn check_read(
        &mut self,
        read: io::Result<usize>,
        until: Option<Duration>,
    ) -> Result<Read, Error> {
        let nothing_yet = read.as_ref().is_err_and(is_not_ready);
        if S::WAITS || !nothing_yet {
            self.read_clock();
        }
        match read {
            Ok(0) => {
                let _ = self.connection.handle_eof();
                Ok(Read::Again)
            }
            Ok(len) => {
                self.bytes_came(len);
                Ok(Read::Bytes(len))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.note_read_progress();
                Ok(Read::Again)
            }
            Err(error) if is_not_ready(&error) => {
                self.note_read_progress();
                self.read_nothing(until, &error)
            }
            Err(error) => Ok(self.end_reading(error)),
        }
    }

    /// A read has just brought `len` bytes, one at the least.
    #[inline(always)]
    pub(crate) fn bytes_came(&mut self, len: usize) {
        self.connection.bytes_came(self.now);
        self.budget.pay_for_read(len);
        self.just_read = true;
    }

    /// A read brought no data. A part of a TLS record is a sign of life all the same.
    #[inline]
    pub(crate) fn note_read_progress(&mut self) {
        if self.stream.moved_bytes() {
            let now = self.read_clock();
            self.connection.bytes_came(now);
        }
    }

    fn read_due(&self, until: Option<Duration>) -> Option<Duration> {
        let due = if self.output_failed { Some(self.now) } else { self.connection.poll_timeout() };
        let waits = || self.is_unflushed() || !self.out.is_empty() || self.owes_the_end();
        let write = (self.stream.next_write() > self.now && waits()).then(|| self.stream.next_write());
        #[cfg(feature = "rand")]
        let until = [until, self.next_queued_send()].into_iter().flatten().min();
        [until, due, write].into_iter().flatten().min()
    }

    fn end_reading(&mut self, error: io::Error) -> Read {
        self.keep_io_error(error);
        let _ = self.connection.handle_eof();
        Read::Again
    }

    /// The stream brought nothing.
    fn read_nothing(&mut self, until: Option<Duration>, error: &io::Error) -> Result<Read, Error> {
        if self.output_failed {
            let _ = self.connection.handle_eof();
            return Ok(Read::Again);
        }
        if (S::WAITS || self.timer_fired) && self.is_due() {
            if self.stream.lift_budget() {
                return Ok(Read::Again);
            }
            self.timer_fired = false;
            let _ = self.connection.handle_timeout(self.now, Unread::Nothing, self.out.sink());
            return Ok(Read::Again);
        }
        if until.is_some_and(|until| until <= self.now) {
            return Err(Error::TimedOut);
        }
        if error.kind() == io::ErrorKind::WouldBlock {
            // A stream that does not wait is asked to write whenever its owner calls.
            self.stream.set_next_write(Duration::ZERO);
        }
        retry_after_wait(error).map(|()| Read::Again)
    }

    /// Checks the deadlines after everything that was read has been taken.
    ///
    /// A peer is called silent only for what a read has just shown: while the application was busy the clock went
    /// on and bytes may have come, so that the next read goes first. What ends a closing connection needs none.
    pub(crate) fn check_deadlines(&mut self) {
        if !mem::take(&mut self.just_read) && self.connection.state() == State::Open {
            return;
        }
        if !self.is_due() {
            self.overdue_reads = 0;
            return;
        }
        // A read may bring less than there is (TLS, pipes), so that the next one tells; but a flood of other frames puts
        // the end off for no more bytes than a kernel holds.
        if self.overdue_reads < OVERDUE_READS && self.connection.is_message_overdue(self.now) {
            self.overdue_reads += 1;
            return;
        }
        let _ = self.connection.handle_timeout(self.now, Unread::Nothing, self.out.sink());
    }

    /// Brings a connection that is closing or has failed to its end: flushes, shuts down the write side, reads the
    /// rest so that no reset destroys what was sent, all within the deadlines.
    pub(crate) fn finish(&mut self, until: Option<Duration>) -> Result<(), Error> {
        let mut scratch = ReadBuffer::default();
        loop {
            self.pay(until)?;
            match self.flush_once(until) {
                // The peer may not take our bytes before its own are taken, if there are more of them.
                Err(error) if error.is_temporary() && self.connection.state() == State::Closed => {
                    return Err(error);
                }
                Err(error) if error.is_temporary() => {}
                Err(_) => {
                    let _ = self.connection.handle_eof();
                    self.shut_down_writes(until);
                }
                Ok(()) => self.shut_down_writes(until),
            }
            if self.connection.transport_action() == TransportAction::Drop {
                return self.verdict();
            }
            let read = self.read(Target::Buffer(scratch.room(SMALL)), until)?;
            self.check_deadlines();
            let is_over = self.connection.transport_action() == TransportAction::Drop;
            if (matches!(read, Read::Bytes(_)) || !is_over) && until.is_some_and(|until| until <= self.now) {
                return Err(Error::TimedOut);
            }
        }
    }

    /// Whether our direction is to end and has not.
    fn owes_the_end(&self) -> bool {
        !self.write_shut && self.connection.transport_action() != TransportAction::Keep
    }

    /// Ends our direction if it is time. The stream lives as long as its owner wants, the peer need not wait for that.
    fn shut_down_writes(&mut self, until: Option<Duration>) {
        if !self.owes_the_end() {
            return;
        }
        self.write_shut = true;
        loop {
            match self.stream.shutdown_write() {
                Ok(()) => {}
                Err(error) if is_not_ready(&error) => {
                    self.write_shut = false;
                    // The peer may be waiting for our end before it gives its own.
                    let now = self.read_clock();
                    self.stream.set_next_write(now.saturating_add(WRITE_SLICE));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    let now = self.read_clock();
                    // Output that was given up is not written after all.
                    if !(self.output_failed || self.is_due() || until.is_some_and(|until| until <= now)) {
                        continue;
                    }
                    self.write_shut = false;
                }
                Err(_) => {
                    // The peer cannot be told and may wait for our end as we would for its.
                    let _ = self.connection.handle_eof();
                }
            }
            return;
        }
    }

    /// Returns how the connection ended: a clean end is no error, everything else has the same cause each time.
    fn verdict(&self) -> Result<(), Error> {
        match self.connection.summary().and_then(|summary| summary.error) {
            Some(_) => Err(self.cause()),
            None => Ok(()),
        }
    }

    /// Why nothing can be sent or received any more.
    pub(super) fn cause(&self) -> Error {
        let error = self.connection.summary().and_then(|summary| summary.error);
        match (error, &self.io_error) {
            (None | Some(crate::Error::UnexpectedEof), Some(error)) => Error::Io(copy_of(error)),
            (Some(error), _) => Error::Connection(error),
            (None, None) => Error::Io(io::ErrorKind::BrokenPipe.into()),
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.connection.poll_timeout().is_some_and(|due| due <= self.now)
    }

    pub(super) fn keep_io_error(&mut self, error: io::Error) {
        if !self.connection.has_ended() {
            self.io_error.get_or_insert(error);
        }
    }
}
