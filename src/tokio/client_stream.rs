//! The stream that a client opens by itself.

#[cfg(feature = "rustls")]
use alloc::boxed::Box;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::TcpStream;

/// The stream of a client that connected by URL: TCP, or TLS over it.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientStream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS, over TCP or over TLS with a proxy.
    #[cfg(feature = "rustls")]
    Tls(Box<tokio_rustls::client::TlsStream<Box<Self>>>),
}

impl ClientStream {
    /// The TCP connection at the bottom: to the server, or to the proxy.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => stream.get_ref().0.tcp(),
        }
    }

    /// The TLS connection to the server: its version, its certificates. `None` over plain TCP.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(&self) -> Option<&rustls::ClientConnection> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(stream) => Some(stream.get_ref().1),
        }
    }
}

/// Takes note of bytes that moved, in case TLS above gives none.
fn noted<R>(polled: Poll<io::Result<R>>, moved: impl FnOnce(&R) -> bool) -> Poll<io::Result<R>> {
    #[cfg(feature = "rustls")]
    if matches!(&polled, Poll::Ready(Ok(done)) if moved(done)) {
        crate::poll::below::note();
    }
    #[cfg(not(feature = "rustls"))]
    let _ = moved;
    polled
}

/// Does the same with whichever stream there is.
macro_rules! delegate {
    ($self:ident, $stream:ident => $act:expr) => {
        match $self {
            ClientStream::Tcp($stream) => $act,
            #[cfg(feature = "rustls")]
            ClientStream::Tls($stream) => $act,
        }
    };
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        place: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = place.filled().len();
        match &mut *self {
            Self::Tcp(stream) => {
                let read = Pin::new(stream).poll_read(context, place);
                noted(read, |()| place.filled().len() > before)
            }
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(context, place),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => noted(Pin::new(stream).poll_write(context, bytes), |&len| len > 0),
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => noted(Pin::new(stream).poll_write_vectored(context, parts), |&len| len > 0),
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        delegate!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        delegate!(this, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        delegate!(this, stream => Pin::new(stream).poll_shutdown(context))
    }
}
