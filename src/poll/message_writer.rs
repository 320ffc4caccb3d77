//! A message written as a stream of bytes.

use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use std::io;

use super::runtime::{Io, Runtime};

use super::{Error, SendHalf, Sender, WebSocket};
use crate::engine::{Author, Link, MAX_PART};
use crate::{Chunk, Kind};

/// One message that is sent while it is being made, without ever being in memory as a whole (RFC 6455 §5.4).
///
/// It is an `AsyncWrite`: each write becomes a fragment of at most 64 KiB, so that many tiny ones are best collected in
/// a `tokio::io::BufWriter`. Fragments leave once 256 KiB wait, with a flush, or when the receiving side goes to sleep.
/// A write of text may begin and end inside a character; text that turns out not to be UTF-8 is an error of kind
/// `InvalidInput`, and the bytes of that write are not sent.
///
/// The message is complete after [`finish`](Self::finish) or `shutdown`. If the writer is dropped before, the message
/// stays open. Other messages, fragments and writers, also those of other halves, are then refused with
/// [`SendError::MessageInProgress`](crate::SendError::MessageInProgress), because the peer would take them for the rest
/// of this message. To go on with the message, call [`resume_message`](WebSocket::resume_message); or close the connection.
///
/// A flush writes what was queued when it began. Other halves cannot prolong it.
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
pub struct MessageWriter<'a, S, R: Runtime> {
    over: Over<'a, S, R>,
    kind: Kind,
    /// Whether the open message is this writer's.
    begun: bool,
    finished: bool,
}

#[derive(Debug)]
enum Over<'a, S, R: Runtime> {
    Own(Sender<'a, S, R>),
    Shared(&'a mut SendHalf<S, R>),
}

impl<S, R: Io<S>> WebSocket<S, R> {
    /// Begins a message that is written piece by piece; see [`MessageWriter`].
    #[must_use = "the message is sent by writing to it"]
    pub fn message_writer(&mut self, kind: Kind) -> MessageWriter<'_, S, R> {
        self.sender().into_message_writer(kind)
    }

    /// Goes on with a message that was begun and not completed, for instance because its writer was dropped.
    ///
    /// Returns `None` if no message is open.
    pub fn resume_message(&mut self) -> Option<MessageWriter<'_, S, R>> {
        let kind = self.endpoint.link.resume_message(Author::OWNER)?;
        Some(MessageWriter { over: Over::Own(self.sender()), kind, begun: true, finished: false })
    }
}

impl<'a, S, R: Io<S>> Sender<'a, S, R> {
    /// Begins a message that is written piece by piece; see [`MessageWriter`].
    #[must_use = "the message is sent by writing to it"]
    pub const fn into_message_writer(self, kind: Kind) -> MessageWriter<'a, S, R> {
        MessageWriter { over: Over::Own(self), kind, begun: false, finished: false }
    }
}

impl<S, R: Io<S>> SendHalf<S, R> {
    /// Begins a message that is written piece by piece; see [`MessageWriter`].
    ///
    /// Until it is complete, other clones can send neither messages nor fragments:
    /// [`SendError::MessageInProgress`](crate::SendError::MessageInProgress). The same happens to this writer while the
    /// message of another clone is open.
    #[must_use = "the message is sent by writing to it"]
    pub const fn message_writer(&mut self, kind: Kind) -> MessageWriter<'_, S, R> {
        MessageWriter { over: Over::Shared(self), kind, begun: false, finished: false }
    }

    /// Goes on with a message that this half began and did not complete, or that a half left open when it was dropped.
    ///
    /// Returns `None` if no message is open, or if it belongs to a half that still exists. A message that nobody can
    /// complete with sense keeps all halves from sending others: close the connection then.
    pub fn resume_message(&mut self) -> Option<MessageWriter<'_, S, R>> {
        let number = self.begin_fragments();
        let kind = self.with_link(|link| link.resume_message(number))?;
        Some(MessageWriter { over: Over::Shared(self), kind, begun: true, finished: false })
    }
}

impl<S, R: Io<S>> MessageWriter<'_, S, R> {
    /// Completes the message; all of it has left when this returns.
    ///
    /// If the future is dropped, the message has been completed or not; calling it again is right in both cases.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] if its text ends inside a character, or if nothing was written and another message is open;
    /// otherwise the end of the connection.
    pub async fn finish(&mut self) -> Result<(), Error> {
        poll_fn(|context| self.poll_finish(context)).await
    }

    pub(crate) fn poll_finish(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        if !self.finished {
            let last = Chunk { last: true, ..Chunk::new(self.kind, &[][..]) };
            ready!(self.poll_feed(context, &last))?;
            self.finished = true;
        }
        self.poll_flush_queued(context)
    }

    fn poll_feed(&mut self, context: &Context<'_>, chunk: &Chunk<'_>) -> Poll<Result<(), Error>> {
        let begins = !self.begun;
        let fed = match &mut self.over {
            Over::Own(sender) => {
                let author = Author::writer(Author::OWNER);
                sender.poll_with(context, |link| link.feed_chunk(author, begins, chunk))
            }
            Over::Shared(half) => {
                let author = Author::writer(half.begin_fragments());
                half.poll_queue(context, |link| link.feed_chunk(author, begins, chunk))
            }
        };
        self.begun |= matches!(fed, Poll::Ready(Ok(())));
        fed
    }

    pub(crate) fn poll_flush_queued(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        match &mut self.over {
            Over::Own(sender) => sender.poll_with(context, Link::flush_own),
            Over::Shared(half) => half.poll_flush_queued(context),
        }
    }

    /// Takes a part of `bytes` into the message, as the `write` of an I/O trait does.
    pub(crate) fn poll_write_part(&mut self, context: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let part = &bytes[..bytes.len().min(MAX_PART)];
        if self.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if part.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let chunk = Chunk::new(self.kind, part);
        ready!(self.poll_feed(context, &chunk))?;
        Poll::Ready(Ok(part.len()))
    }
}
