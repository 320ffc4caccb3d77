//! The traits `Stream` and `Sink`, for the combinators of the futures crates.
//!
//! A connection wakes only the task that polled last: for two tasks there is [`WebSocket::split`].

use core::pin::Pin;
use core::task::{Context, Poll};

use ::tokio::io::{AsyncRead, AsyncWrite};

use super::{Error, WebSocket};
use crate::Message;

/// Messages, until the clean end or after the error that ended the connection.
#[cfg(feature = "futures-core")]
impl<S: AsyncRead + AsyncWrite + Unpin> futures_core::Stream for WebSocket<S> {
    type Item = Result<Message<'static>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stream_ended {
            return Poll::Ready(None);
        }
        let next = core::task::ready!(self.poll_recv(context)).transpose();
        self.stream_ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

/// Takes messages into the queue; flushing writes them, closing sends a Close frame with 1000 and waits for the end.
#[cfg(feature = "futures-sink")]
impl<S: AsyncRead + AsyncWrite + Unpin> futures_sink::Sink<Message<'_>> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.endpoint.link.is_full() {
            self.poll_with(context, |endpoint| endpoint.link.flush(None))
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message<'_>) -> Result<(), Error> {
        self.endpoint.link.take(&message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_with(context, |endpoint| endpoint.link.flush(None))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_closed(context, crate::CloseCode::NORMAL, "")
    }
}
