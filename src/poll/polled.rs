//! A stream with its wakers, its clock and its timer.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::time::Instant;

use super::runtime::{Io, Runtime, Timer};

use super::below;
use super::waiting::{RECEIVER, SENDER, Waiting};
use crate::engine::{Stream, is_not_ready};
use crate::redacted::TypeName;

/// An asynchronous stream as one that may not be ready; it wakes all who wait.
pub(crate) struct Polled<T, R: Runtime> {
    pub(crate) io: T,
    waker: Waker,
    /// Which sides made calls that did not end, while there are only the two.
    pending: [bool; 2],
    armed: Armed,
    /// The budget of the task does not count until the call ends.
    unbudgeted: bool,
    /// One timer for all deadlines. It is set anew only for an earlier one: a deadline that moved on costs nothing until
    /// the timer goes off.
    sleep: Option<Pin<Box<R::Timer>>>,
    /// Those whom `waker` wakes, once several tasks wait at the same time.
    waiting: Option<Arc<Waiting>>,
    /// How often those had been woken when the latest call began.
    wakes: usize,
    /// Whether those register themselves, which the halves do outside of their lock.
    is_split: bool,
    /// When the time was zero: before this value was made where a connection goes on that has lived before.
    epoch: Instant,
}

/// Whether the timer has been told whom to wake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Armed {
    No,
    Yes,
    /// And it goes off before silence can come to matter, however often the peer still breaks it.
    ForSilence,
}

impl<T, R: Runtime> Polled<T, R> {
    pub(super) fn new(io: T) -> Self {
        Self::since(io, R::now())
    }

    /// Counts the time from `epoch`.
    pub(crate) fn since(io: T, epoch: Instant) -> Self {
        Self {
            io,
            waker: Waker::noop().clone(),
            pending: [false; 2],
            armed: Armed::No,
            unbudgeted: false,
            sleep: None,
            waiting: None,
            wakes: 0,
            is_split: false,
            epoch,
        }
    }

    /// A side begins a call: `waker` is woken when the stream gets ready, and so is the other side if it still waits.
    /// Returns a waker that is done with, to be dropped without any lock.
    pub(super) fn begin(&mut self, side: u64, waker: &Waker) -> Option<Waker> {
        if let Some(waiting) = &self.waiting {
            if !self.is_split {
                self.wakes = waiting.wakes_of(side);
            }
            return None;
        }
        if self.waker.will_wake(waker) {
            return None;
        }
        self.armed = Armed::No;
        let other = if side == RECEIVER { SENDER } else { RECEIVER };
        if !self.is_pending(other) {
            return Some(mem::replace(&mut self.waker, waker.clone()));
        }
        let before = self.waker.clone();
        let waiting = self.share();
        waiting.set(other, &before);
        self.wakes = self.share().wakes_of(side);
        None
    }

    /// The call of a side has ended or not.
    pub(super) fn end(&mut self, side: u64, ended: bool, waker: &Waker) {
        if let Some(pending) = self.pending.get_mut(side as usize) {
            *pending = !ended;
        }
        self.unbudgeted = false;
        if let Some(waiting) = self.waiting.as_ref().filter(|_| !self.is_split) {
            waiting.end_call(side, waker, self.wakes, ended);
        }
    }

    /// Whether a call with this waker, of the only task that waits, changes nothing.
    #[inline]
    pub(super) fn is_set_for(&self, waker: &Waker) -> bool {
        self.waiting.is_none() && self.waker.will_wake(waker)
    }

    /// Whether the receiver's call did not end.
    #[inline]
    pub(super) const fn set_receiving(&mut self, pending: bool) {
        self.pending[RECEIVER as usize] = pending;
    }

    /// Whether the latest call of a side did not end, while there are only the two.
    pub(super) fn is_pending(&self, side: u64) -> bool {
        self.pending.get(side as usize).is_some_and(|pending| *pending)
    }

    /// From now on several tasks may wait.
    pub(super) fn share(&mut self) -> &Arc<Waiting> {
        self.waiting.get_or_insert_with(|| {
            let waiting = Arc::new(Waiting::default());
            self.waker = Waker::from(waiting.clone());
            self.armed = Armed::No;
            waiting
        })
    }

    /// From now on the halves of the connection wait, each registering itself.
    pub(super) fn split(&mut self) -> Arc<Waiting> {
        self.is_split = true;
        // The timer may hold the waker of the task that had the whole connection, and would drop it under the lock.
        self.sleep = None;
        self.armed = Armed::No;
        self.share().clone()
    }

    /// The halves have become one connection again.
    pub(super) const fn reunite(&mut self) {
        self.is_split = false;
    }

    /// Those who wait, if they may be several.
    pub(super) const fn waiting(&self) -> Option<&Arc<Waiting>> {
        self.waiting.as_ref()
    }

    /// Wakes all who wait.
    pub(super) const fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Ready once `due` has come, never for `None`; those who wait are woken then.
    #[inline]
    pub(super) fn poll_timer(&mut self, due: Option<Duration>) -> Poll<()> {
        let Some(due) = due.and_then(|due| self.instant_of(due)) else { return Poll::Pending };
        match &self.sleep {
            Some(sleep) if self.armed != Armed::No && sleep.deadline() <= due && !sleep.is_elapsed() => {
                Poll::Pending
            }
            _ => self.poll_timer_anew(due),
        }
    }

    /// A connection begins: a timer that goes off at `first`, before any deadline of a close from now on, spares those that
    /// end until then a second one. What was set for the opening handshake does as well; without a deadline there is none.
    pub(super) fn begin_timer(&mut self, first: Option<Duration>) {
        let first = first.and_then(|first| self.instant_of(first));
        match (first, &self.sleep) {
            (Some(first), None) => self.sleep = Some(Box::pin(R::Timer::at(first))),
            (Some(_), Some(_)) => {}
            (None, _) => self.sleep = None,
        }
    }

    /// Whether the timer still runs that was set for nothing but silence.
    #[inline]
    pub(super) fn awaits_silence(&self) -> bool {
        self.armed == Armed::ForSilence && self.sleep.as_ref().is_none_or(|sleep| !sleep.is_elapsed())
    }

    /// The timer was asked for a deadline that only silence can bring, if there is one.
    pub(super) fn set_for_silence(&mut self) {
        // A timer that was not asked, as there is none, may still be another task's.
        if self.armed == Armed::Yes || self.sleep.is_none() {
            self.armed = Armed::ForSilence;
        }
    }

    fn poll_timer_anew(&mut self, due: Instant) -> Poll<()> {
        self.armed = Armed::No;
        let mut context = Context::from_waker(&self.waker);
        let at = not_before_the_driver(due, R::now());
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(R::Timer::at(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        // A task that has used up its turn would be told to wait, and the timer not whom to wake.
        while R::without_budget(&mut context, |context| sleep.as_mut().poll(context)).is_ready() {
            if sleep.deadline() >= due {
                // Gone off: the next deadline sets a new one.
                self.sleep = None;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        self.armed = Armed::Yes;
        Poll::Pending
    }

    /// Lets the clock go on from `now`.
    pub(super) fn set_time(&mut self, now: Duration) {
        // Where a clock cannot go back so far, the time begins anew.
        self.epoch = R::now().checked_sub(now).unwrap_or_else(R::now);
    }

    #[inline(always)]
    fn poll<O>(
        &mut self,
        mut act: impl FnMut(&mut T, &mut Context<'_>) -> Poll<io::Result<O>>,
    ) -> io::Result<O> {
        below::forget();
        let mut context = Context::from_waker(&self.waker);
        let io = &mut self.io;
        ready(if self.unbudgeted {
            R::without_budget(&mut context, |context| act(io, context))
        } else {
            act(io, &mut context)
        })
    }

    fn instant_of(&self, time: Duration) -> Option<Instant> {
        self.epoch.checked_add(time)
    }
}

impl<T, R: Io<T>> Polled<T, R> {
    #[inline(always)]
    pub(super) fn poll_read(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        below::forget();
        R::poll_read(&mut self.io, &mut Context::from_waker(&self.waker), buf)
    }
}

impl<T, R: Io<T>> Stream for Polled<T, R> {
    const WAITS: bool = false;

    fn now(&self) -> Duration {
        R::now().saturating_duration_since(self.epoch)
    }

    fn read(&mut self, place: &mut [u8], _: Option<Duration>) -> io::Result<usize> {
        self.poll(|io, context| R::poll_read(io, context, place))
    }

    #[inline]
    fn write(&mut self, parts: &[IoSlice<'_>], _: Option<Duration>) -> io::Result<usize> {
        self.poll(|io, context| R::poll_write(io, context, parts))
    }

    fn gathers(&self) -> bool {
        R::is_write_vectored(&self.io)
    }

    fn flush(&mut self, _: Option<Duration>) -> io::Result<()> {
        self.poll(R::poll_flush)
    }

    fn lift_budget(&mut self) -> bool {
        !mem::replace(&mut self.unbudgeted, true)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.poll(R::poll_close)
    }

    fn moved_bytes(&mut self) -> bool {
        below::moved()
    }
}

#[inline]
pub(super) fn ready<R>(poll: Poll<io::Result<R>>) -> io::Result<R> {
    match poll {
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        // A stream that is asynchronous does not wait: these are failures like any other.
        Poll::Ready(Err(error)) if is_not_ready(&error) => Err(io::Error::other(error)),
        Poll::Ready(result) => result,
    }
}

/// A deadline that passed while the thread was busy: what arrived meanwhile is not known to the runtime before its driver
/// has had a turn, which a timer that lies ahead waits for. Else a peer would be blamed for bytes that lie unread.
fn not_before_the_driver(due: Instant, now: Instant) -> Instant {
    due.max(now + Duration::from_millis(1))
}

impl<T, R: Runtime> fmt::Debug for Polled<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polled")
            .field("io", &TypeName::of(&self.io))
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}
