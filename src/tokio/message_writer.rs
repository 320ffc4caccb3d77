//! A message written as a stream of bytes.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use ::tokio::io::{AsyncRead, AsyncWrite};

use super::polled::Polled;
use super::{Error, SendHalf, Sender, WebSocket};
use crate::stream::{Link, MAX_PART};
use crate::{Chunk, Kind};

/// One message that is sent while it is being made, without ever being in memory as a whole (RFC 6455 §5.4).
///
/// It is an `AsyncWrite`: each write becomes a fragment of at most 64 KiB, so that many tiny ones are best collected in
/// a `tokio::io::BufWriter`. Fragments leave once 256 KiB wait, with a flush, or when the receiving side goes to sleep.
/// A write of text may begin and end inside a character; text that turns out not to be UTF-8 is an error of kind
/// `InvalidInput`, and the bytes of that write are not sent.
///
/// The message is complete after [`finish`](Self::finish) or `shutdown`. If the writer is dropped before, the message
/// stays open: another writer of the same kind goes on with it, other messages are refused
/// ([`SendError::MessageInProgress`](crate::SendError::MessageInProgress)), closing is not.
///
#[cfg_attr(feature = "rand", doc = "```")]
#[cfg_attr(not(feature = "rand"), doc = "```ignore")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), sansocket::tokio::Error> {
/// # let (mut ws, mut peer) = sansocket::tokio::pair(sansocket::Config::default());
/// # let mut file: &[u8] = b"a long recording";
/// let mut writer = ws.message_writer(sansocket::Kind::Binary);
/// tokio::io::copy(&mut file, &mut writer).await?;
/// writer.finish().await?;
/// # assert_eq!(peer.recv().await?.unwrap().as_bytes(), b"a long recording");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MessageWriter<'a, S> {
    over: Over<'a, S>,
    kind: Kind,
    finished: bool,
}

#[derive(Debug)]
enum Over<'a, S> {
    Own(Sender<'a, S>),
    Shared(&'a mut SendHalf<S>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Begins a message that is written piece by piece; see [`MessageWriter`].
    #[must_use = "the message is sent by writing to it"]
    pub fn message_writer(&mut self, kind: Kind) -> MessageWriter<'_, S> {
        self.sender().into_message_writer(kind)
    }
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Sender<'a, S> {
    /// Begins a message that is written piece by piece; see [`MessageWriter`].
    #[must_use = "the message is sent by writing to it"]
    pub const fn into_message_writer(self, kind: Kind) -> MessageWriter<'a, S> {
        MessageWriter { over: Over::Own(self), kind, finished: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> SendHalf<S> {
    /// Begins a message that is written piece by piece; see [`MessageWriter`]. Meanwhile other clones cannot send.
    #[must_use = "the message is sent by writing to it"]
    pub const fn message_writer(&mut self, kind: Kind) -> MessageWriter<'_, S> {
        MessageWriter { over: Over::Shared(self), kind, finished: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> MessageWriter<'_, S> {
    /// Completes the message; all of it has left when this returns.
    ///
    /// If the future is dropped, the message has been completed or not; calling it again is right in both cases.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] if its text ends inside a character; otherwise the end of the connection.
    pub async fn finish(&mut self) -> Result<(), Error> {
        poll_fn(|context| self.poll_finish(context)).await
    }

    fn poll_finish(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        if !self.finished {
            let last = Chunk { last: true, ..Chunk::new(self.kind, &[][..]) };
            ready!(self.poll_with(context, |link| link.feed_chunk(&last)))?;
            self.finished = true;
        }
        self.poll_with(context, |link| link.flush(None))
    }

    fn poll_with<R>(
        &mut self,
        context: &Context<'_>,
        act: impl FnMut(&mut Link<Polled<S>>) -> Result<R, Error>,
    ) -> Poll<Result<R, Error>> {
        match &mut self.over {
            Over::Own(sender) => sender.poll_with(context, act),
            Over::Shared(half) => half.poll_with(context, act),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MessageWriter<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let part = &bytes[..bytes.len().min(MAX_PART)];
        if self.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if part.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let chunk = Chunk::new(self.kind, part);
        ready!(self.poll_with(context, |link| link.feed_chunk(&chunk)))?;
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(ready!(self.poll_with(context, |link| link.flush(None)))?))
    }

    /// Completes the message, not the connection.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(ready!(self.poll_finish(context))?))
    }
}
