//! Tokio's traits, clock and timer: the only file that knows them.

use alloc::boxed::Box;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io::{self, IoSlice};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::time::{Instant, Sleep, sleep_until};

use crate::stream::{Stream, is_not_now};

/// An asynchronous stream as one that may not be ready; it wakes whoever asked last.
#[derive(Debug)]
pub(super) struct Polled<T> {
    pub(super) io: T,
    waker: Waker,
    /// The time at the epoch: later than zero where a connection goes on that has lived before.
    began: Duration,
    epoch: Instant,
}

impl<T> Polled<T> {
    pub(super) fn new(io: T) -> Self {
        Self::since(io, Instant::now())
    }

    /// Counts the time from `epoch`.
    pub(super) fn since(io: T, epoch: Instant) -> Self {
        Self { io, waker: Waker::noop().clone(), began: Duration::ZERO, epoch }
    }

    /// Whom to wake when the stream gets ready.
    pub(super) fn set_waker(&mut self, waker: &Waker) {
        self.waker.clone_from(waker);
    }

    /// Lets the clock go on from `now`.
    pub(super) fn set_time(&mut self, now: Duration) {
        (self.began, self.epoch) = (now, Instant::now());
    }

    pub(super) fn instant_of(&self, time: Duration) -> Option<Instant> {
        self.epoch.checked_add(time.saturating_sub(self.began))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for Polled<T> {
    fn now(&self) -> Duration {
        self.began.saturating_add(self.epoch.elapsed())
    }

    fn read(&mut self, place: &mut [u8], _: Option<Duration>) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(place);
        let mut context = Context::from_waker(&self.waker);
        ready(Pin::new(&mut self.io).poll_read(&mut context, &mut buffer))?;
        Ok(buffer.filled().len())
    }

    fn write(&mut self, parts: &[IoSlice<'_>], _: Option<Duration>) -> io::Result<usize> {
        let mut context = Context::from_waker(&self.waker);
        let io = Pin::new(&mut self.io);
        ready(match parts {
            [only] => io.poll_write(&mut context, only),
            _ => io.poll_write_vectored(&mut context, parts),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        ready(Pin::new(&mut self.io).poll_flush(&mut Context::from_waker(&self.waker)))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        ready(Pin::new(&mut self.io).poll_shutdown(&mut Context::from_waker(&self.waker)))
    }
}

fn ready<R>(poll: Poll<io::Result<R>>) -> io::Result<R> {
    match poll {
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        // A stream that is asynchronous does not wait: these are failures like any other.
        Poll::Ready(Err(error)) if is_not_now(&error) => Err(io::Error::other(error)),
        Poll::Ready(result) => result,
    }
}

/// One timer for all deadlines of a connection. It is set anew only for an earlier deadline: one that moved on costs
/// nothing until the timer goes off.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Ready once `due` has come; never for `None`.
    pub(super) fn poll(&mut self, due: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        let Some(due) = due else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(context).is_ready() {
            if sleep.deadline() >= due {
                // Gone off: the next deadline sets a new one.
                self.sleep = None;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}
