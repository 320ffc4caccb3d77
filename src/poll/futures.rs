//! The traits `Stream` and `Sink`, for the combinators of the futures crates.

use core::pin::Pin;
use core::task::{Context, Poll};

use super::runtime::Io;

#[cfg(feature = "futures-core")]
use super::ReceiveHalf;
#[cfg(feature = "futures-sink")]
use super::SendHalf;
#[cfg(feature = "futures-sink")]
use super::sender::Route;
use super::{Error, WebSocket};
use crate::Message;
#[cfg(feature = "futures-sink")]
use crate::engine::Outgoing;

#[cfg(feature = "futures-core")]
type Item = Result<Message<'static>, Error>;

/// The item for what was received; anything but a message is the last one.
#[cfg(feature = "futures-core")]
fn item(received: Result<Option<Message<'static>>, Error>, ended: &mut bool) -> Option<Item> {
    *ended = !matches!(received, Ok(Some(_)));
    received.transpose()
}

/// Messages, until the clean end or after the error that ended the connection.
#[cfg(feature = "futures-core")]
impl<S: Unpin, R: Io<S>> futures_core::Stream for WebSocket<S, R> {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stream_ended {
            return Poll::Ready(None);
        }
        let received = core::task::ready!(self.poll_recv(context));
        Poll::Ready(item(received, &mut self.stream_ended))
    }
}

/// Messages, until the clean end or after the error that ended the connection; the same as for the whole connection.
#[cfg(feature = "futures-core")]
impl<S, R: Io<S>> futures_core::Stream for ReceiveHalf<S, R> {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stream_ended {
            return Poll::Ready(None);
        }
        let received = core::task::ready!(self.poll_recv(context));
        Poll::Ready(item(received, &mut self.stream_ended))
    }
}

/// Takes messages into the queue; flushing writes them, closing writes a Close frame with 1000 behind them.
///
/// Closing does not wait for the peer, as what it still sends is for the `Stream` side: go on to its end there, or call
/// [`close`](WebSocket::close), which does both.
#[cfg(feature = "futures-sink")]
impl<S: Unpin, R: Io<S>> futures_sink::Sink<Message<'_>> for WebSocket<S, R> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.is_unblocked() && !self.endpoint.link.is_full() {
            return Poll::Ready(Ok(()));
        }
        Route::Whole(&mut self).poll_ready(context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message<'_>) -> Result<(), Error> {
        self.endpoint.link.encode(Outgoing::Message(&message))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.is_unblocked() && !self.endpoint.link.has_to_flush() {
            return Poll::Ready(Ok(()));
        }
        Route::Whole(&mut self).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Route::Whole(&mut self).poll_close(context)
    }
}

#[cfg(feature = "futures-sink")]
impl<S, R: Io<S>> WebSocket<S, R> {
    /// Whether no earlier call is blocked and no group can ask for a shutdown.
    fn is_unblocked(&self) -> bool {
        let link = &self.endpoint.link;
        self.member.is_none() && !link.is_owner_blocked() && link.check_keys().is_ok()
    }
}

/// Takes messages into the queue, like the sink of the whole connection.
///
/// Flushing writes what was queued when it began; other halves cannot prolong it. Room comes as for
/// [`feed`](SendHalf::feed).
#[cfg(feature = "futures-sink")]
impl<S, R: Io<S>> futures_sink::Sink<Message<'_>> for SendHalf<S, R> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.has_room() {
            return Poll::Ready(Ok(()));
        }
        Route::Half(&mut self).poll_ready(context)
    }

    /// Fails with [`Error::WouldBlock`] only while another thread runs the application's source of masking keys.
    fn start_send(self: Pin<&mut Self>, message: Message<'_>) -> Result<(), Error> {
        self.try_queue(Outgoing::Message(&message), true)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.has_flushed() {
            return Poll::Ready(Ok(()));
        }
        Route::Half(&mut self).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Route::Half(&mut self).poll_close(context)
    }
}
