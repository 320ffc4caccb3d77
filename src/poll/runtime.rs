//! The parts that an asynchronous runtime supplies: streams, a clock, a timer, and a way to let other tasks run.

use core::fmt::Debug;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::time::Instant;

use super::Error;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A runtime, without its streams: those are [`Io`].
///
/// It is apart from them so that types need no bound on the stream where they only hold it.
pub trait Runtime: Clone + Debug + Default + Send + Sync + 'static {
    type Timer: Timer;

    /// Fails where the runtime cannot run, so that an opening fails before anything happens.
    fn check() -> Result<(), Error>;

    /// The time, which a runtime for tests may pause.
    fn now() -> Instant;

    /// A timer that fires after `delay`; one of more than a year fires in a year.
    fn sleep(delay: Duration) -> Self::Timer {
        Self::Timer::at(Self::now() + delay.min(YEAR))
    }

    /// Wakes `waker` once other tasks that are ready, and the driver of the runtime, have had their turn: a task that
    /// wakes itself would keep timers and sockets waiting.
    fn wake_after_others(waker: &Waker);

    /// Polls without the cooperative budget of the task, if the runtime has one: a task that has used up its budget finds
    /// all streams and timers pending, also ready ones.
    fn without_budget<T>(context: &mut Context<'_>, act: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T>;
}

/// A timer that can be set anew.
pub trait Timer: Future<Output = ()> + Send + Sized {
    fn at(deadline: Instant) -> Self;

    fn deadline(&self) -> Instant;

    fn is_elapsed(&self) -> bool;

    fn reset(self: Pin<&mut Self>, deadline: Instant);
}

/// A runtime that can read and write streams of the type `S`.
pub trait Io<S>: Runtime {
    fn poll_read(stream: &mut S, context: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes from the start of `parts`, which are not empty.
    fn poll_write(
        stream: &mut S,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Whether a write takes all its parts at once, not only the first.
    fn is_write_vectored(stream: &S) -> bool;

    fn poll_flush(stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the direction to the peer.
    fn poll_close(stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Waits for `future`, for `limit` at most; `None` if the time is over first.
pub(super) async fn timeout<R: Runtime, F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let (mut future, mut timer) = (pin!(future), pin!(R::sleep(limit)));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => timer.as_mut().poll(context).map(|()| None),
    })
    .await
}
