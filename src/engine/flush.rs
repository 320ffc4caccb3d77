//! Flushes that end, however much other senders queue meanwhile.

use core::sync::atomic::{AtomicU64, Ordering};

use super::link::Link;
use super::{Error, Stream};
use crate::CloseCode;

/// The position in the output up to which a flush writes: the end of what was queued when it began.
///
/// It is kept between the polls of a flush. Whoever queues something of its own resets it, because the next flush
/// includes that. Atomic only so that a shared reference can reset it.
#[derive(Debug, Default)]
pub(crate) struct FlushBound(AtomicU64);

impl FlushBound {
    /// Returns the bound; sets it to `queued` if no flush has begun.
    fn get_or_begin(&self, queued: u64) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => {
                self.0.store(queued, Ordering::Relaxed);
                queued
            }
            bound => bound,
        }
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// The bounds of the only owner of a connection, whose receiving side may answer pings meanwhile. It has them only while
/// something is blocked.
#[derive(Debug, Default)]
pub(crate) struct OwnBounds {
    /// Of a flush. Queuing is not told to it, so that it is compared with `queued`.
    flush: FlushBound,
    /// When it gets room in a full queue at the latest.
    room: FlushBound,
    /// How much had been queued when the flush began, without replies to the peer.
    queued: u64,
}

impl<S: Stream> Link<S> {
    /// Writes what was queued when the flush began, and what leaves with it.
    pub(crate) fn flush_to(&mut self, bound: &FlushBound) -> Result<(), Error> {
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
    fn flush_blocked(&mut self, bound: &FlushBound) -> Result<(), Error> {
        if self.out.written_in_all() < bound.get_or_begin(self.out.queued_in_all()) {
            return Err(Error::WouldBlock);
        }
        // Further writes could keep the stream from ever being flushed: they wait for that.
        self.flush_first = true;
        self.flush_transport(None)
    }

    /// [`flush_to`](Self::flush_to) for the only owner: a peer that sends pings without end queues pongs without end.
    #[inline]
    pub(crate) fn flush_own(&mut self) -> Result<(), Error> {
        match self.flush(None) {
            Err(Error::WouldBlock) => self.flush_own_blocked(),
            flushed => {
                if self.own_bounds.is_some() {
                    self.own_bounds = None;
                }
                flushed
            }
        }
    }

    #[cold]
    fn flush_own_blocked(&mut self) -> Result<(), Error> {
        let queued = self.out.queued_by_owner();
        self.with_own_bounds(|link, own| {
            if own.queued != queued {
                own.flush.reset();
                own.queued = queued;
            }
            link.flush_blocked(&own.flush)
        })
    }

    fn with_own_bounds(
        &mut self,
        act: impl FnOnce(&mut Self, &mut OwnBounds) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut own = self.own_bounds.take().unwrap_or_default();
        let done = act(self, &mut own);
        if matches!(done, Err(Error::WouldBlock)) {
            self.own_bounds = Some(own);
        }
        done
    }

    /// Sends a Close frame with 1000 unless the connection is closing already, and flushes, for the only owner.
    pub(crate) fn close_own(&mut self) -> Result<(), Error> {
        self.start_normal_close()?;
        self.flush_own()
    }

    /// [`queue_in_turn`](Self::queue_in_turn) for the only owner.
    pub(crate) fn queue_own(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !self.is_full() {
            return act(self);
        }
        self.with_own_bounds(|link, own| link.queue_in_turn(&own.room, act))
    }

    /// [`poll_room`](Self::poll_room) for the only owner.
    #[cfg(feature = "futures-sink")]
    pub(crate) fn poll_own_room(&mut self) -> Result<(), Error> {
        if !self.is_full() {
            return Ok(());
        }
        self.with_own_bounds(|link, own| link.poll_room(&own.room))
    }

    /// Does `act`, which queues something. If the queue is full, it gets room at the latest when everything has left that
    /// was queued at first: otherwise those who feed without pause would take all room that comes.
    pub(crate) fn queue_in_turn<R>(
        &mut self,
        room: &FlushBound,
        act: impl FnOnce(&mut Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if self.is_full() {
            let bound = room.get_or_begin(self.out.queued_in_all());
            // A failure of the stream is returned by `act` too.
            let _ = self.flush(None);
            self.has_turn = self.out.written_in_all() >= bound;
        }
        let queued = act(self);
        self.has_turn = false;
        if !matches!(queued, Err(Error::WouldBlock)) {
            room.reset();
        }
        queued
    }

    /// Waits until the queue takes another message, or everything that was queued at first has left.
    #[cfg(feature = "futures-sink")]
    pub(crate) fn poll_room(&mut self, bound: &FlushBound) -> Result<(), Error> {
        self.check_keys()?;
        if !self.is_full() {
            return Ok(());
        }
        match self.flush_to(bound) {
            Err(Error::WouldBlock) if !self.is_full() => {
                bound.reset();
                Ok(())
            }
            flushed => flushed,
        }
    }

    /// Sends a Close frame with 1000 unless the connection is closing already, and flushes.
    #[cfg(feature = "futures-sink")]
    pub(crate) fn close_and_flush(&mut self, bound: &FlushBound) -> Result<(), Error> {
        if self.start_normal_close()? {
            bound.reset();
        }
        self.flush_to(bound)
    }

    /// Returns whether a Close frame was sent.
    fn start_normal_close(&mut self) -> Result<bool, Error> {
        match self.start_close(CloseCode::NORMAL, "") {
            Ok(()) => Ok(true),
            Err(Error::Send(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
