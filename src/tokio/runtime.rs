//! Tokio as the runtime of the connections in [`poll`](crate::poll): its streams, its timer and its budget.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::io::{self, IoSlice};
use std::time::Instant;

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::runtime::Handle;
use ::tokio::task::{unconstrained, yield_now};
use ::tokio::time::{self, Sleep, sleep_until};

use super::Error;
use crate::poll::runtime::{Io, Runtime, Timer};

/// Tokio, as a parameter of the types that this module names.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Tokio;

impl Runtime for Tokio {
    type Timer = Sleep;

    fn check() -> Result<(), Error> {
        Handle::try_current().map(drop).map_err(|_| Error::NoRuntime)
    }

    #[inline]
    fn now() -> Instant {
        time::Instant::now().into_std()
    }

    fn wake_after_others(waker: &Waker) {
        let _ = pin!(yield_now()).poll(&mut Context::from_waker(waker));
    }

    #[cold]
    #[inline(never)]
    fn without_budget<T>(context: &mut Context<'_>, act: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        pin!(unconstrained(poll_fn(act))).poll(context)
    }
}

impl Timer for Sleep {
    fn at(deadline: Instant) -> Self {
        sleep_until(deadline.into())
    }

    #[inline]
    fn deadline(&self) -> Instant {
        self.deadline().into_std()
    }

    #[inline]
    fn is_elapsed(&self) -> bool {
        self.is_elapsed()
    }

    fn reset(self: Pin<&mut Self>, deadline: Instant) {
        self.reset(deadline.into());
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io<S> for Tokio {
    #[inline]
    fn poll_read(stream: &mut S, context: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        Pin::new(stream).poll_read(context, &mut buf).map_ok(|()| buf.filled().len())
    }

    #[inline]
    fn poll_write(
        stream: &mut S,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match parts {
            [only] => Pin::new(stream).poll_write(context, only),
            _ => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    #[inline]
    fn is_write_vectored(stream: &S) -> bool {
        stream.is_write_vectored()
    }

    #[inline]
    fn poll_flush(stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(stream).poll_flush(context)
    }

    #[inline]
    fn poll_close(stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(stream).poll_shutdown(context)
    }
}
