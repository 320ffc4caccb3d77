//! The stream, the connection, and the output between them.

#[cfg(feature = "tokio")]
use alloc::boxed::Box;
use core::mem;
use core::time::Duration;
use std::io::{self, IoSlice};

use super::budget::Budget;
use super::buffer::{ReadBuffer, SMALL};
#[cfg(feature = "tokio")]
use super::flush::OwnBounds;
use super::fragments::Author;
use super::output::{Output, PIECES};
use super::waits::{copy_of, go_on_after, is_not_now};
use super::{Error, Stream};
use crate::{Connection, State, TransportAction, Unread};

/// How much may wait besides messages, in bytes: two ends that both take no more messages still answer each other's pings.
pub(super) const REPLIES: usize = 4 << 10;
/// A call that waits for the stream to take bytes looks at the deadlines this often, and a receiving call at its input.
pub(crate) const WRITE_SLICE: Duration = Duration::from_millis(20);
/// How long a call that waits looks for input before it writes more of what waits.
pub(super) const LOOK: Duration = Duration::from_millis(1);
/// How many reads without a byte of an overdue message show that none of it lies unread: 16 MiB of 64 KiB each.
const OVERDUE_READS: u16 = 256;

#[derive(Debug)]
pub(crate) struct Link<S> {
    pub(crate) stream: S,
    pub(crate) connection: Connection,
    pub(crate) out: Output,
    /// The time of the latest look at the clock.
    pub(crate) now: Duration,
    /// The latest look at the clock came with bytes.
    pub(crate) just_read: bool,
    /// How many reads have brought bytes, but none of the message that is overdue.
    overdue_reads: u16,
    /// Writing waits for the stream once.
    writes_once: bool,
    /// When such a call makes its next attempt to write, after one that waited in vain.
    next_write: Duration,
    /// The message that was lent last is large, and nothing lies behind it: an answer has nothing to wait for.
    pub(super) ends_large: bool,
    /// A timer has gone off for a deadline. Before that a stream that does not wait is not judged by what it lacks.
    pub(crate) alarm: bool,
    pub(crate) budget: Budget,
    write_shut: bool,
    /// Something was written that the stream may still hold back.
    pub(crate) unflushed: bool,
    /// The stream must be flushed before more is written to it.
    pub(super) flush_first: bool,
    /// Who began the message that is being sent in fragments.
    pub(crate) author: Author,
    #[cfg(feature = "tokio")]
    pub(super) own_bounds: Option<Box<OwnBounds>>,
    /// The queue takes a message though it is full, because its sender has waited for its turn.
    pub(super) has_turn: bool,
    /// The stream takes no more output. What the peer said before can still be read.
    pub(super) mute: bool,
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
            just_read: false,
            overdue_reads: 0,
            writes_once: false,
            next_write: Duration::ZERO,
            ends_large: false,
            alarm: false,
            budget: Budget::new(),
            write_shut: false,
            unflushed: true,
            flush_first: false,
            author: Author::CALLS,
            #[cfg(feature = "tokio")]
            own_bounds: None,
            has_turn: false,
            mute: false,
            lost: None,
        }
    }

    #[inline]
    pub(crate) fn look_at_the_clock(&mut self) -> Duration {
        self.just_read = false;
        self.now = self.stream.now();
        self.now
    }

    /// How things stand for those who share the connection: whatever they wait for changes some of it.
    #[cfg(feature = "tokio")]
    pub(crate) fn standing(&self) -> (bool, bool, bool, bool, State) {
        (!self.out.is_empty(), self.is_full(), self.unflushed, self.mute, self.connection.state())
    }

    pub(crate) fn is_full(&self) -> bool {
        // An empty queue takes a message whatever the limit is.
        let waiting = self.out.len();
        waiting > 0 && waiting >= self.connection.config().max_queued_output
    }

    /// Writes what waits, but waits for the stream once at most: the peer may take nothing before its own bytes are
    /// taken.
    pub(crate) fn flush_once(&mut self, until: Option<Duration>) -> Result<(), Error> {
        if !S::WAITS || self.connection.state() == State::Closed {
            return self.flush(until);
        }
        if self.next_write > self.now && self.look_at_the_clock() < self.next_write {
            return Err(Error::TimedOut);
        }
        let waiting = self.out.len();
        self.writes_once = true;
        let flushed = self.flush(until);
        self.writes_once = false;
        if matches!(flushed, Err(Error::TimedOut)) {
            // A peer that takes the output gets more of it after a look at the input.
            let pause = if self.out.len() < waiting { LOOK } else { WRITE_SLICE };
            self.next_write = self.now.saturating_add(pause);
        }
        flushed
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

    /// What was taken is queued and leaves later where the stream cannot take it now.
    pub(super) fn flush_unless_blocked(&mut self) -> Result<(), Error> {
        match self.flush(None) {
            Err(Error::WouldBlock) => Ok(()),
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
        let mut first_began = None;
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
                self.flush_transport(until)?;
                return if self.connection.wants_write() { self.check_keys() } else { Ok(()) };
            }
            if self.flush_first {
                self.flush_transport(until)?;
            }
            let (began, due) = self.bound_of_a_write(until);
            let (wrote, waiting) = match self.out.only_piece() {
                Some(piece) => (self.stream.write(&[IoSlice::new(piece)], due), piece.len()),
                None => {
                    let mut pieces = [IoSlice::new(&[]); PIECES];
                    let count = self.out.pieces(&mut pieces);
                    (self.stream.write(&pieces[..count], due), self.out.len())
                }
            };
            match self.wrote(wrote, waiting, began, until) {
                Ok(Some(len)) => {
                    self.out.wrote(len, Self::SPARE);
                    // Many short waits come to a long one.
                    if len < waiting && self.has_waited_since(*first_began.get_or_insert(began)) {
                        self.end_in_time(until)?;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.out.settle(Self::SPARE);
                    return Err(error);
                }
            }
        }
    }

    #[inline(always)]
    pub(crate) fn flush_transport(&mut self, until: Option<Duration>) -> Result<(), Error> {
        let mut first_began = None;
        while self.unflushed {
            let due = if S::WAITS { self.bound_of_a_flush(until) } else { None };
            match self.stream.flush(due) {
                Ok(()) => {
                    self.connection.handle_written(self.now, 0, 0);
                    (self.unflushed, self.flush_first) = (false, false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.wrote_below(1)?;
                    if self.has_waited_since(*first_began.get_or_insert(self.now)) {
                        self.end_in_time(until)?;
                    }
                }
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
    pub(super) fn write(&mut self, parts: &[IoSlice<'_>], until: Option<Duration>) -> Result<usize, Error> {
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
                if len >= waiting {
                    self.next_write = Duration::ZERO;
                }
                let usual = len >= waiting && (S::WAITS || self.connection.state() == State::Open);
                let now = if usual { self.now } else { self.look_at_the_clock() };
                if self.has_waited_since(began) {
                    self.connection.handle_written(began, 0, waiting);
                }
                self.connection.handle_written(now, len, waiting.saturating_sub(len));
                if len < waiting && self.connection.state() != State::Open {
                    // A write that has made progress is no reason to begin another one past the end of a closing.
                    self.check_writes(now)?;
                }
                Ok(Some(len.min(waiting)))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.wrote_below(waiting)?;
                Ok(None)
            }
            Err(error) if is_not_now(&error) => {
                let began = if S::WAITS { began } else { self.look_at_the_clock() };
                self.write_blocked(waiting, began, until, &error).map(|()| None)
            }
            Err(error) => Err(self.fall_silent(error)),
        }
    }

    /// Whether a write, or several that followed each other, began then and waited for room.
    fn has_waited_since(&self, began: Duration) -> bool {
        S::WAITS && self.now.saturating_sub(began) >= WRITE_SLICE / 2
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
        self.moved_below(waiting);
        self.connection.handle_written(began, 0, waiting);
        let now = self.look_at_the_clock();
        self.check_writes(now)?;
        go_on_after(error)?;
        self.end_in_time(until)
    }

    /// Fails where a deadline has passed after which nothing can be written any more.
    pub(super) fn check_writes(&mut self, now: Duration) -> Result<(), Error> {
        if self.is_due() {
            if self.stream.lift_budget() {
                return Ok(());
            }
            // The verdict is kept by the connection.
            let _ = self.connection.handle_timeout(now, Unread::Possible, self.out.sink());
        }
        if self.connection.transport_action() == TransportAction::Drop {
            return Err(self.fall_silent(io::ErrorKind::TimedOut.into()));
        }
        Ok(())
    }

    /// Ends a call that waits for room in the stream once its time is over.
    fn end_in_time(&self, until: Option<Duration>) -> Result<(), Error> {
        let is_over = self.writes_once || until.is_some_and(|until| until <= self.now);
        if is_over { Err(Error::TimedOut) } else { Ok(()) }
    }

    /// One read that waits until `until` or the next deadline at most, and what follows from it.
    pub(crate) fn read(&mut self, target: Target<'_>, until: Option<Duration>) -> Result<Read, Error> {
        if S::WAITS {
            // Where each connection has its thread, what that keeps while it waits is what the connection costs.
            crate::memory::free_recycled();
        }
        // All that had come before the stream failed is still heard, but not waited for.
        let due = if S::WAITS { self.bound_of_a_read(until) } else { None };
        let read = match target {
            Target::Buffer(room) => self.stream.read(room, due),
            Target::Message => match self.connection.payload_target() {
                Some(place) => self.stream.read(place, due),
                None => return Ok(Read::Again),
            },
        };
        if S::WAITS && self.stream.wants_flush() {
            self.unflushed = true;
        }
        self.read_went(read, until)
    }

    /// How a read went.
    #[inline]
    pub(crate) fn read_went(
        &mut self,
        read: io::Result<usize>,
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
                self.bytes_came(len);
                Ok(Read::Bytes(len))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.read_below();
                Ok(Read::Again)
            }
            Err(error) if is_not_now(&error) => {
                self.read_below();
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

    fn bound_of_a_read(&self, until: Option<Duration>) -> Option<Duration> {
        let due = if self.mute { Some(self.now) } else { self.connection.poll_timeout() };
        let waits = || self.unflushed || !self.out.is_empty() || self.owes_the_end();
        let write = (self.next_write > self.now && waits()).then_some(self.next_write);
        #[cfg(feature = "rand")]
        let until = [until, self.next_hand_on()].into_iter().flatten().min();
        [until, due, write].into_iter().flatten().min()
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
            if self.stream.lift_budget() {
                return Ok(Read::Again);
            }
            self.alarm = false;
            let _ = self.connection.handle_timeout(self.now, Unread::Nothing, self.out.sink());
            return Ok(Read::Again);
        }
        if until.is_some_and(|until| until <= self.now) {
            return Err(Error::TimedOut);
        }
        if error.kind() == io::ErrorKind::WouldBlock {
            // A stream that does not wait is asked to write whenever its owner calls.
            self.next_write = Duration::ZERO;
        }
        go_on_after(error).map(|()| Read::Again)
    }

    /// Judges the deadlines after everything that was read has been taken.
    ///
    /// A peer is called silent only for what a read has just shown: while the application was busy the clock went
    /// on and bytes may have come, so that the next read goes first. What ends a closing connection needs none.
    pub(crate) fn judge(&mut self) {
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
            self.judge();
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
                Err(error) if is_not_now(&error) => {
                    self.write_shut = false;
                    // The peer may be waiting for our end before it gives its own.
                    self.next_write = self.look_at_the_clock().saturating_add(WRITE_SLICE);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    let now = self.look_at_the_clock();
                    // What was given up is not written after all.
                    if !(self.mute || self.is_due() || until.is_some_and(|until| until <= now)) {
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
