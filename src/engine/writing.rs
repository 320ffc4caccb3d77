//! Writing what is queued: how long a call waits for the stream, when it gives up, and which flush ends when.

#[cfg(feature = "tokio")]
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io::{self, IoSlice};

use super::link::{Link, REPLIES};
use super::output::PIECES;
use super::{Error, Stream, is_not_ready};
#[cfg(feature = "tokio")]
use super::{Outgoing, output::OwnBounds};
#[cfg(feature = "tokio")]
use crate::CloseCode;
use crate::{State, TransportAction, Unread};

/// A call that waits for the stream to take bytes checks the deadlines this often, and a receiving call its input.
pub(crate) const WRITE_SLICE: Duration = Duration::from_millis(20);
/// How long a call that waits looks for input before it writes more of what is queued.
pub(super) const INPUT_SLICE: Duration = Duration::from_millis(1);

/// Whether the stream itself must be flushed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FlushStream {
    No,
    /// Something was written that it may hold back.
    Yes,
    /// And further writes wait for that, or they could keep a flush from ever ending.
    BeforeWrites,
}

/// When a write may last no longer: the end of a call's own time, and whether it waits for the stream once at most.
#[derive(Clone, Copy)]
struct Patience {
    until: Option<Duration>,
    waits_once: bool,
}

impl<S: Stream> Link<S> {
    /// The largest queue that a thread keeps for the next batch, in bytes. Where calls wait there is a thread for each
    /// connection, and what it kept would be what the connection costs.
    pub(crate) const SPARE: usize = if S::WAITS { 64 << 10 } else { 512 << 10 };

    /// Writes what is queued; over a blocking stream it waits for that, until `until` at most.
    #[inline]
    pub(crate) fn flush(&mut self, until: Option<Duration>) -> Result<(), Error> {
        if self.has_to_flush() { self.flush_within(Patience { until, waits_once: false }) } else { Ok(()) }
    }

    pub(super) fn is_unflushed(&self) -> bool {
        self.flush_stream != FlushStream::No
    }

    #[inline]
    pub(crate) fn has_to_flush(&self) -> bool {
        self.is_unflushed() || self.output_failed || self.connection.wants_write() || !self.out.is_empty()
    }

    /// Writes what is queued, but waits for the stream once at most: the peer may take nothing before its own bytes are
    /// taken.
    pub(crate) fn flush_once(&mut self, until: Option<Duration>) -> Result<(), Error> {
        if !S::WAITS || self.connection.state() == State::Closed {
            return self.flush(until);
        }
        if self.stream.next_write() > self.now && self.read_clock() < self.stream.next_write() {
            return Err(Error::TimedOut);
        }
        let queued = self.out.len();
        if !self.has_to_flush() {
            return Ok(());
        }
        let flushed = self.flush_within(Patience { until, waits_once: true });
        if matches!(flushed, Err(Error::TimedOut)) {
            // A peer that takes the output gets more of it after a look at the input.
            let pause = if self.out.len() < queued { INPUT_SLICE } else { WRITE_SLICE };
            self.stream.set_next_write(self.now.saturating_add(pause));
        }
        flushed
    }

    /// Flushes. Output that the stream cannot take now stays queued, which is no error.
    pub(super) fn flush_unless_blocked(&mut self) -> Result<(), Error> {
        match self.flush(None) {
            Err(Error::WouldBlock) => Ok(()),
            flushed => flushed,
        }
    }

    fn flush_within(&mut self, patience: Patience) -> Result<(), Error> {
        let mut first_began = None;
        loop {
            if self.connection.wants_write() {
                let limit = self.connection.config().max_queued_output.saturating_add(REPLIES);
                self.connection.transmit(&mut self.out.replies(limit));
            }
            if self.output_failed {
                self.out.clear(Self::SPARE);
                // Nothing waits any more.
                self.connection.handle_written(self.now, 0, 0);
                return Err(self.cause());
            }
            if self.out.is_empty() {
                self.flush_transport(patience)?;
                return if self.connection.wants_write() { self.check_keys() } else { Ok(()) };
            }
            if self.flush_stream == FlushStream::BeforeWrites {
                self.flush_transport(patience)?;
            }
            let began = self.begin_write();
            let due = self.write_due(began, patience.until);
            let (wrote, queued) = match self.out.only_piece() {
                Some(piece) => (self.stream.write(&[IoSlice::new(piece)], due), piece.len()),
                None => {
                    let mut pieces = [IoSlice::new(&[]); PIECES];
                    let count = self.out.pieces(&mut pieces);
                    (self.stream.write(&pieces[..count], due), self.out.len())
                }
            };
            match self.check_write(wrote, queued, began, patience) {
                Ok(Some(len)) => {
                    self.out.wrote(len, Self::SPARE);
                    // Many short waits come to a long one.
                    if len < queued && self.has_waited_since(*first_began.get_or_insert(began)) {
                        self.end_in_time(patience)?;
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

    /// Flushes the stream itself, which may hold back what was written to it.
    #[inline(always)]
    fn flush_transport(&mut self, patience: Patience) -> Result<(), Error> {
        let mut first_began = None;
        while self.is_unflushed() {
            // It follows a write, which has read the clock.
            let due = self.write_due(self.now, patience.until);
            match self.stream.flush(due) {
                Ok(()) => {
                    self.connection.handle_written(self.now, 0, 0);
                    self.flush_stream = FlushStream::No;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.progressed_below(1)?;
                    if self.has_waited_since(*first_began.get_or_insert(self.now)) {
                        self.end_in_time(patience)?;
                    }
                }
                Err(error) if is_not_ready(&error) => {
                    let began = self.read_clock();
                    self.write_blocked(1, began, patience, &error)?;
                }
                Err(error) => return Err(self.fail_output(error)),
            }
        }
        Ok(())
    }

    /// One write of a part of `parts`, which are not empty.
    pub(super) fn write(&mut self, parts: &[IoSlice<'_>], until: Option<Duration>) -> Result<usize, Error> {
        let patience = Patience { until, waits_once: false };
        let len = parts.iter().map(|part| part.len()).sum();
        loop {
            if self.output_failed {
                return Err(self.cause());
            }
            let began = self.begin_write();
            let due = self.write_due(began, until);
            let wrote = self.stream.write(parts, due);
            if let Some(written) = self.check_write(wrote, len, began, patience)? {
                return Ok(written);
            }
        }
    }

    /// Checks the result of a write of `queued` bytes that began at `began`; `None` if it is to be tried again.
    fn check_write(
        &mut self,
        wrote: io::Result<usize>,
        queued: usize,
        began: Duration,
        patience: Patience,
    ) -> Result<Option<usize>, Error> {
        match wrote {
            Ok(0) => Err(self.fail_output(io::ErrorKind::WriteZero.into())),
            Ok(len) => {
                self.flush_stream = FlushStream::Yes;
                if len >= queued {
                    self.stream.set_next_write(Duration::ZERO);
                }
                let usual = len >= queued && (S::WAITS || self.connection.state() == State::Open);
                let now = if usual { self.now } else { self.read_clock() };
                if self.has_waited_since(began) {
                    self.connection.handle_written(began, 0, queued);
                }
                self.connection.handle_written(now, len, queued.saturating_sub(len));
                if len < queued && self.connection.state() != State::Open {
                    // A write that has made progress is no reason to begin another one past the end of a closing.
                    self.check_write_deadlines(now)?;
                }
                Ok(Some(len.min(queued)))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.progressed_below(queued)?;
                Ok(None)
            }
            Err(error) if is_not_ready(&error) => {
                let began = if S::WAITS { began } else { self.read_clock() };
                self.write_blocked(queued, began, patience, &error).map(|()| None)
            }
            Err(error) => Err(self.fail_output(error)),
        }
    }

    /// Whether a write, or several that followed each other, began then and waited for room.
    fn has_waited_since(&self, began: Duration) -> bool {
        S::WAITS && self.now.saturating_sub(began) >= WRITE_SLICE / 2
    }

    /// When a write begins. Where nothing waits, the time of the latest read will do.
    #[inline]
    fn begin_write(&mut self) -> Duration {
        if S::WAITS { self.read_clock() } else { self.now }
    }

    /// How long a write or flush may wait that begins now, where it waits.
    #[inline]
    fn write_due(&self, began: Duration, until: Option<Duration>) -> Option<Duration> {
        if !S::WAITS {
            return None;
        }
        let stall = self.connection.config().write_timeout;
        let stall = stall.and_then(|timeout| began.checked_add(timeout));
        [until, self.connection.poll_timeout(), stall].into_iter().flatten().min()
    }

    /// The stream took nothing since `began`: goes on if it waited for that, or gives up for now or for good.
    fn write_blocked(
        &mut self,
        queued: usize,
        began: Duration,
        patience: Patience,
        error: &io::Error,
    ) -> Result<(), Error> {
        self.note_progress_below(queued);
        self.connection.handle_written(began, 0, queued);
        let now = self.read_clock();
        self.check_write_deadlines(now)?;
        super::retry_after_wait(error)?;
        self.end_in_time(patience)
    }

    /// A write or flush took none of the `queued` bytes and is to be called again, within the deadlines: older ones left,
    /// one by one perhaps.
    #[cold]
    fn progressed_below(&mut self, queued: usize) -> Result<(), Error> {
        self.note_progress_below(queued);
        let now = self.read_clock();
        self.check_write_deadlines(now)
    }

    /// If bytes moved below the stream, it is not stuck.
    fn note_progress_below(&mut self, queued: usize) {
        if self.stream.moved_bytes() {
            let now = self.read_clock();
            self.connection.handle_written(now, 1, queued);
        }
    }

    /// Fails where a deadline has passed after which nothing can be written any more.
    fn check_write_deadlines(&mut self, now: Duration) -> Result<(), Error> {
        if self.is_due() {
            if self.stream.lift_budget() {
                return Ok(());
            }
            // The connection keeps the error.
            let _ = self.connection.handle_timeout(now, Unread::Possible, self.out.sink());
        }
        if self.connection.transport_action() == TransportAction::Drop {
            return Err(self.fail_output(io::ErrorKind::TimedOut.into()));
        }
        Ok(())
    }

    /// Ends a call that waits for room in the stream once its time is over.
    fn end_in_time(&self, patience: Patience) -> Result<(), Error> {
        let is_over = patience.waits_once || patience.until.is_some_and(|until| until <= self.now);
        if is_over { Err(Error::TimedOut) } else { Ok(()) }
    }

    /// The stream takes no more output. If the connection has not ended by itself, this is why it does.
    fn fail_output(&mut self, error: io::Error) -> Error {
        self.output_failed = true;
        self.connection.output_failed();
        self.keep_io_error(error);
        self.cause()
    }

    /// Writes what is queued in one write, for the fast path of a poll; `false` if not all of it leaves at once.
    #[cfg(feature = "tokio")]
    #[inline(always)]
    pub(crate) fn writes_all(&mut self) -> bool {
        let Some(piece) = self.out.only_piece_of_all() else { return false };
        let patience = Patience { until: None, waits_once: false };
        if !piece.is_empty() {
            let queued = piece.len();
            match self.stream.write(&[IoSlice::new(piece)], None) {
                Ok(len) if len >= queued => {
                    self.flush_stream = FlushStream::Yes;
                    self.out.wrote_only_piece(Self::SPARE);
                }
                wrote => {
                    if let Ok(Some(len)) = self.check_write(wrote, queued, self.now, patience) {
                        self.out.wrote(len, Self::SPARE);
                    }
                    return false;
                }
            }
        }
        self.flush_transport(patience).is_ok()
    }
}

/// A position in the output: the end of what was queued when a call began to wait for that to leave. However much others
/// queue meanwhile, the call waits for no more.
///
/// It is kept between the polls of a call. Atomic only so that a shared reference can reset it.
#[cfg(feature = "tokio")]
#[derive(Debug, Default)]
pub(crate) struct Bound(AtomicU64);

/// The bounds of one sender.
#[cfg(feature = "tokio")]
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    /// Of its flush. Whoever queues something of its own resets it, because the next flush includes that.
    pub(crate) flush: Bound,
    /// When it gets room in a full queue at the latest.
    pub(crate) room: Bound,
}

#[cfg(feature = "tokio")]
impl Bound {
    /// Returns the bound; sets it to `queued` if the call has just begun.
    fn get_or_begin(&self, queued: u64) -> u64 {
        if self.get() == 0 {
            self.0.store(queued, Ordering::Relaxed);
        }
        self.get()
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(feature = "tokio")]
impl<S: Stream> Link<S> {
    /// Whether a call of the connection's only owner waits for room or for bytes to leave.
    #[cfg(feature = "futures-sink")]
    pub(crate) fn is_owner_blocked(&self) -> bool {
        self.out.own_bounds().is_some()
    }

    /// Does `act` with the bounds of the connection's only owner, whose receiving side may answer pings meanwhile.
    #[inline]
    pub(crate) fn with_own_bounds<T>(
        &mut self,
        act: impl FnOnce(&mut Self, &Bounds) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let own = self.out.own_bounds();
        let bounds = own.map_or_else(Bounds::default, |own| {
            let is_same = own.queued == self.out.queued_by_owner();
            Bounds { flush: Bound(if is_same { own.flush } else { 0 }.into()), room: Bound(own.room.into()) }
        });
        let done = act(self, &bounds);
        // Kept only while something is blocked.
        if matches!(done, Err(Error::WouldBlock)) {
            let queued = self.out.queued_by_owner();
            let own = OwnBounds { flush: bounds.flush.get(), room: bounds.room.get(), queued };
            self.out.set_own_bounds(Some(own));
        } else if own.is_some() {
            self.out.set_own_bounds(None);
        }
        done
    }

    /// Writes what was queued when the flush began, and what leaves with it.
    #[inline]
    pub(crate) fn flush_to(&mut self, bound: &Bound) -> Result<(), Error> {
        let flushed = match self.flush(None) {
            Err(Error::WouldBlock) => self.flush_blocked(bound),
            flushed => flushed,
        };
        if !matches!(flushed, Err(Error::WouldBlock)) {
            bound.reset();
        }
        flushed
    }

    #[cold]
    fn flush_blocked(&mut self, bound: &Bound) -> Result<(), Error> {
        if self.out.written_in_all() < bound.get_or_begin(self.out.queued_in_all()) {
            return Err(Error::WouldBlock);
        }
        self.flush_stream = FlushStream::BeforeWrites;
        self.flush_transport(Patience { until: None, waits_once: false })
    }

    /// Does `act`, which queues something. If the queue is full, it gets room at the latest when everything has left that
    /// was queued at first: otherwise those who feed without pause would take all room that comes.
    #[inline]
    pub(crate) fn queue_in_turn<T>(
        &mut self,
        room: &Bound,
        act: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.is_full() {
            let bound = room.get_or_begin(self.out.queued_in_all());
            // A failure of the stream is returned by `act` too.
            let _ = self.flush(None);
            self.exceeds_limit = self.out.written_in_all() >= bound;
        }
        let queued = act(self);
        self.exceeds_limit = false;
        if !matches!(queued, Err(Error::WouldBlock)) {
            room.reset();
        }
        queued
    }

    /// Waits until the queue takes another message, or everything that was queued at first has left.
    #[cfg(feature = "futures-sink")]
    pub(crate) fn wait_for_room(&mut self, room: &Bound) -> Result<(), Error> {
        self.check_keys()?;
        if !self.is_full() {
            return Ok(());
        }
        match self.flush_to(room) {
            Err(Error::WouldBlock) if !self.is_full() => {
                room.reset();
                Ok(())
            }
            flushed => flushed,
        }
    }

    /// Sends a Close frame with 1000 unless the connection is closing already, and flushes.
    pub(crate) fn close_and_flush(&mut self, bound: &Bound) -> Result<(), Error> {
        match self.send(Outgoing::Close(CloseCode::NORMAL, "")) {
            Ok(()) => bound.reset(),
            Err(Error::Send(_)) => {}
            Err(error) => return Err(error),
        }
        self.flush_to(bound)
    }
}
