//! One stream of an HTTP/2 connection.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use bytes::{Buf, Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};

use super::http2_error::Http2Error;

/// So much is given to h2 at once, which keeps it until the peer's window lets it leave.
const MAX_WRITE: usize = 64 << 10;

/// So much of the peer's windows a write reserves while it waits. If its task does not come back for it, it is missing to
/// the other streams of the connection, whose window may be 64 KiB.
const MAX_WAITING: usize = 4 << 10;

/// The stream below a WebSocket that a client opened over HTTP/2.
///
/// When it is dropped before its end, the stream is reset with `CANCEL`; the other streams of the connection go on.
pub struct Http2Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
    unread: Bytes,
    is_shut_down: bool,
}

impl Http2Stream {
    pub(super) const fn new(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        Self { send, receive, unread: Bytes::new(), is_shut_down: false }
    }

    /// Returns the number of the stream in its connection.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.send.stream_id().as_u32()
    }

    /// Waits until some of `len` bytes may be sent, and returns how many.
    fn poll_capacity(&mut self, context: &mut Context<'_>, len: usize) -> Poll<io::Result<usize>> {
        let wanted = len.min(MAX_WRITE);
        self.send.reserve_capacity(wanted);
        if self.send.capacity() == 0 {
            self.send.reserve_capacity(wanted.min(MAX_WAITING));
        }
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(Http2Error::from_h2(error).into())),
                None => return Poll::Ready(Err(self.closed(context))),
            }
        }
        Poll::Ready(Ok(self.send.capacity().min(wanted)))
    }

    /// Why nothing can be sent any more: the stream was reset, or this side ended it.
    fn closed(&mut self, context: &mut Context<'_>) -> io::Error {
        match self.send.poll_reset(context) {
            Poll::Ready(Ok(reason)) if !is_end(reason) => Http2Error::Reset { code: reason.into() }.into(),
            Poll::Ready(Err(error)) => Http2Error::from_h2(error).into(),
            _ => io::ErrorKind::BrokenPipe.into(),
        }
    }

    fn send(&mut self, data: Bytes) -> io::Result<usize> {
        let len = data.len();
        self.send.send_data(data, false).map_err(Http2Error::from_h2)?;
        // The other streams of the connection need the rest of the reservation.
        self.send.reserve_capacity(0);
        Ok(len)
    }
}

impl AsyncRead for Http2Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(self.receive.poll_data(context)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(data)) => self.unread = data,
                Some(Err(error)) if error.is_reset() && error.reason().is_some_and(is_end) => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(Http2Error::from_h2(error).into())),
            }
        }
        let len = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..len]);
        self.unread.advance(len);
        // It fails only for more than was received.
        let _ = self.receive.flow_control().release_capacity(len);
        Poll::Ready(Ok(()))
    }
}

/// Resets that mean no more than the end of the stream.
const fn is_end(reason: Reason) -> bool {
    matches!(reason, Reason::CANCEL | Reason::NO_ERROR)
}

impl AsyncWrite for Http2Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let len = ready!(self.poll_capacity(context, bytes.len()))?;
        Poll::Ready(self.send(Bytes::copy_from_slice(&bytes[..len])))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total = parts.iter().map(|part| part.len()).sum();
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        let len = ready!(self.poll_capacity(context, total))?;
        let mut data = BytesMut::with_capacity(len);
        for part in parts {
            let room = len - data.len();
            data.extend_from_slice(&part[..part.len().min(room)]);
        }
        Poll::Ready(self.send(data.freeze()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing to do: h2 sends what was written as soon as the peer's window permits.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut_down {
            self.is_shut_down = true;
            self.send.send_data(Bytes::new(), true).map_err(Http2Error::from_h2)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Http2Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Stream")
            .field("id", &self.id())
            .field("unread", &self.unread.len())
            .finish_non_exhaustive()
    }
}
