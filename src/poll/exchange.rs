//! Reads and writes of an opening handshake, each within a deadline.

use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io::{self, IoSlice};
#[cfg(feature = "rand")]
use std::time::Instant;

use super::runtime::{Io, Runtime};

use super::Error;
use super::polled::Polled;
use super::waiting::RECEIVER;
use crate::engine::{LARGE, ReadBuffer, Stream};

/// How long a refused peer may take to read why.
const LINGER: Duration = Duration::from_secs(1);
/// How much such a peer may send meanwhile, in bytes.
const LINGER_BYTES: usize = 256 << 10;

/// How much is read at once, in bytes, and hence of what follows the handshake before that has been decided.
const MOST_AHEAD: usize = 4096;

/// A stream whose connection is not open yet.
#[derive(Debug)]
pub(crate) struct Exchange<S, R: Runtime> {
    pub(crate) stream: Polled<S, R>,
}

impl<S, R: Io<S>> Exchange<S, R> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream: Polled::new(stream) }
    }

    /// The exchange began at `epoch`, perhaps before there was a stream.
    #[cfg(feature = "rand")]
    pub(crate) fn since(stream: S, epoch: Instant) -> Self {
        Self { stream: Polled::since(stream, epoch) }
    }

    /// The time since the exchange began.
    pub(crate) fn now(&self) -> Duration {
        self.stream.now()
    }

    /// One read into a buffer in which nothing is unread; `None` when nothing came until `until`.
    pub(crate) fn read<'a>(
        &'a mut self,
        buffer: &'a mut ReadBuffer,
        until: Option<Duration>,
    ) -> impl Future<Output = Result<Option<usize>, Error>> + use<'a, S, R> {
        poll_fn(move |context| {
            let read = self.poll(context, until, |stream| {
                let room = buffer.room(LARGE);
                let most = room.len().min(MOST_AHEAD);
                stream.read(&mut room[..most], None)
            });
            match read {
                Poll::Ready(Ok(Some(len))) => buffer.filled(len),
                // Nobody keeps a buffer while it waits.
                _ => buffer.release(),
            }
            read
        })
    }

    /// Writes all of `bytes`.
    pub(crate) async fn write(&mut self, bytes: &[u8], until: Option<Duration>) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let write = |stream: &mut Polled<S, R>| stream.write(&[IoSlice::new(rest)], None);
            match poll_fn(|context| self.poll(context, until, write)).await? {
                None => return Err(Error::TimedOut),
                Some(0) => return Err(Error::Io(io::ErrorKind::WriteZero.into())),
                Some(len) => rest = rest.get(len..).unwrap_or_default(),
            }
        }
        match poll_fn(|context| self.poll(context, until, |stream| stream.flush(None))).await? {
            None => Err(Error::TimedOut),
            Some(()) => Ok(()),
        }
    }

    /// Sends the last words and waits a moment, so that no reset destroys them before the peer has read them.
    pub(crate) async fn end(mut self, last: Vec<u8>) {
        let until = self.now().checked_add(LINGER);
        if self.write(&last, until).await.is_err() {
            return;
        }
        let shutdown = |stream: &mut Polled<S, R>| stream.shutdown_write();
        if !matches!(poll_fn(|context| self.poll(context, until, shutdown)).await, Ok(Some(()))) {
            return;
        }
        let (mut scratch, mut seen) = (ReadBuffer::default(), 0);
        while let Ok(Some(len @ 1..)) = self.read(&mut scratch, until).await {
            scratch.take(len);
            seen += len;
            if seen > LINGER_BYTES {
                return;
            }
        }
    }

    /// Does `act` until it need not wait any more, or until the time is up and it was tried once more: a task that has used
    /// up its budget is told to wait though bytes lie there.
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        until: Option<Duration>,
        mut act: impl FnMut(&mut Polled<S, R>) -> io::Result<T>,
    ) -> Poll<Result<Option<T>, Error>> {
        drop(self.stream.begin(RECEIVER, context.waker()));
        let mut is_due = false;
        let done = loop {
            match act(&mut self.stream) {
                Ok(done) => break Ok(Some(done)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => break Err(Error::Io(error)),
                Err(_) if is_due => break Ok(None),
                Err(_) => {
                    ready!(self.stream.poll_timer(until));
                    is_due = true;
                    self.stream.lift_budget();
                }
            }
        };
        drop(self.stream.end(RECEIVER, true));
        Poll::Ready(done)
    }
}
