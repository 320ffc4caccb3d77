//! A connection as a stream of bytes.

use core::fmt;
use core::task::{Context, Poll, ready};
use std::io;

use super::runtime::{Io, Runtime};
use bytes::{Buf, Bytes};

use super::sender::Route;
use super::waiting::RECEIVER;
use super::{Error, WebSocket};
use crate::engine::{Endpoint, Outgoing};
use crate::redacted::Redacted;
use crate::{CloseCode, Event, Found, Kind, Message};

/// A connection whose binary messages are a stream of bytes in both directions, for tunnels of TCP.
///
/// **There is no half-close, and writes need a flush or a reader.** Shutting down ends both directions as soon as the
/// peer answers. A write only queues its bytes: they leave with a flush, while a read waits, or once 256 KiB are queued.
///
/// The edges of messages mean nothing; [chunks](crate::Delivery::Chunks) serve as well as whole messages and have no
/// limit. Each write makes a message of at most 64 KiB. Shutting down sends a Close frame with 1000. A text message is
/// an error of kind `InvalidData` and closes with 1003. The end of the stream is the clean close, everything else an
/// error. `copy_bidirectional`, which flushes, and the halves of `tokio::io::split` can be used as over TCP, apart from
/// these two differences.
pub struct Tunnel<S, R: Runtime> {
    ws: WebSocket<S, R>,
    /// Bytes that were received and not read yet.
    rest: Bytes,
}

impl<S, R: Runtime> WebSocket<S, R> {
    /// Uses the connection as a stream of bytes.
    ///
    /// There is no half-close, and writes need a flush or a reader; see [`Tunnel`].
    #[must_use]
    pub fn into_tunnel(self) -> Tunnel<S, R> {
        Tunnel { ws: self, rest: Bytes::new() }
    }
}

impl<S, R: Runtime> Tunnel<S, R> {
    /// The connection again, and what was received and not read.
    #[must_use]
    pub fn into_inner(self) -> (WebSocket<S, R>, Bytes) {
        (self.ws, self.rest)
    }
}

impl<S, R: Io<S>> Tunnel<S, R> {
    /// Waits for bytes of the peer, which stay until they are [consumed](Self::consume). None of them: the clean end.
    pub(crate) fn poll_fill(&mut self, context: &Context<'_>) -> Poll<io::Result<&[u8]>> {
        if !self.rest.is_empty() {
            // A reader may take a large message byte by byte.
            ready!(self.ws.poll_with(RECEIVER, context, |endpoint| endpoint.link.pay(None)))?;
        }
        while self.rest.is_empty() {
            let recv = |endpoint: &mut Endpoint<_>| endpoint.recv_event(Found::is_data);
            let event = ready!(self.ws.poll_with(RECEIVER, context, recv))?;
            match event {
                Some(Event::Message(Message::Binary(bytes))) => self.rest = bytes.into_bytes(),
                Some(Event::Chunk(chunk)) if chunk.kind == Kind::Binary => {
                    self.rest = chunk.payload.into_bytes()
                }
                Some(_) => {
                    // RFC 6455 §7.4.1: 1003 is for "a type of data it cannot accept (e.g., an endpoint that understands
                    // only text data MAY send this if it receives a binary message)".
                    let _ = self.ws.endpoint.link.send(Outgoing::Close(CloseCode::UNSUPPORTED_DATA, ""));
                    let error = io::Error::new(io::ErrorKind::InvalidData, "text message in a tunnel");
                    return Poll::Ready(Err(error));
                }
                None => break,
            }
        }
        Poll::Ready(Ok(&self.rest))
    }

    pub(crate) fn consume(&mut self, len: usize) {
        self.rest.advance(len.min(self.rest.len()));
        if self.rest.is_empty() {
            // Gives a large buffer back.
            self.rest = Bytes::new();
        }
    }

    /// Queues a message of a part of `bytes`.
    pub(crate) fn poll_write_part(
        &mut self,
        context: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        let mut route = Route::Whole(&mut self.ws);
        let len = ready!(route.poll_queue(context, |link| link.feed_bytes(bytes)))?;
        let stream = &self.ws.endpoint.link.stream;
        if stream.waiting().is_none() && stream.is_pending(RECEIVER) {
            // The reader sleeps in this very task: it has to write what is queued now.
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(len))
    }

    pub(crate) fn poll_flush_queued(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        Route::Whole(&mut self.ws).poll_flush(context)
    }

    /// Sends the Close frame.
    pub(crate) fn poll_start_close(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        Route::Whole(&mut self.ws).poll_close(context)
    }
}

impl<S: fmt::Debug, R: Runtime> fmt::Debug for Tunnel<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").field("ws", &self.ws).field("rest", &Redacted::of(&self.rest)).finish()
    }
}
