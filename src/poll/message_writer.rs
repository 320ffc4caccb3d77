//! A message written as a stream of bytes.

use core::future::poll_fn;
use core::task::{Context, Poll, ready};

use super::runtime::{Io, Runtime};
use super::sender::Route;
use super::{Error, SendHalf, Sender, WebSocket};
use crate::Kind;
use crate::engine::{Author, PartialMessage};

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
    route: Route<'a, S, R>,
    message: PartialMessage,
}

impl<S, R: Io<S>> WebSocket<S, R> {
    /// Begins a message that is written piece by piece; see [`MessageWriter`].
    #[must_use = "the message is sent by writing to it"]
    pub fn message_writer(&mut self, kind: Kind) -> MessageWriter<'_, S, R> {
        Sender { link: &mut self.endpoint.link }.into_message_writer(kind)
    }

    /// Goes on with a message that was begun and not completed, for instance because its writer was dropped.
    ///
    /// Returns `None` if no message is open.
    pub fn resume_message(&mut self) -> Option<MessageWriter<'_, S, R>> {
        let message = self.endpoint.link.resume_message(Author::OWNER)?;
        Some(MessageWriter { route: Route::Link(&mut self.endpoint.link), message })
    }
}

impl<'a, S, R: Io<S>> Sender<'a, S, R> {
    /// Begins a message that is written piece by piece; see [`MessageWriter`].
    #[must_use = "the message is sent by writing to it"]
    pub const fn into_message_writer(self, kind: Kind) -> MessageWriter<'a, S, R> {
        MessageWriter { route: Route::Link(self.link), message: PartialMessage::new(kind, Author::OWNER) }
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
        let message = PartialMessage::new(kind, self.begin_fragments());
        MessageWriter { route: Route::Half(self), message }
    }

    /// Goes on with a message that this half began and did not complete, or that a half left open when it was dropped.
    ///
    /// Returns `None` if no message is open, or if it belongs to a half that still exists. A message that nobody can
    /// complete with sense keeps all halves from sending others: close the connection then.
    pub fn resume_message(&mut self) -> Option<MessageWriter<'_, S, R>> {
        let number = self.begin_fragments();
        let message = self.with_link(|link| link.resume_message(number))?;
        Some(MessageWriter { route: Route::Half(self), message })
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
        let Self { route, message } = self;
        if !message.is_finished() {
            ready!(route.poll_queue(context, |link| link.finish_message(message)))?;
        }
        self.poll_flush_queued(context)
    }

    pub(crate) fn poll_flush_queued(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        self.route.poll_flush(context)
    }

    /// Takes a part of `bytes` into the message, as the `write` of an I/O trait does.
    pub(crate) fn poll_write_part(
        &mut self,
        context: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        let Self { route, message } = self;
        route.poll_queue(context, |link| link.write_part(message, bytes))
    }
}
