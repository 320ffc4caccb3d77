//! The stream that a client opens by itself.

#[cfg(feature = "rustls")]
use alloc::boxed::Box;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use crate::client::delegate;
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
fn noted<T>(polled: Poll<io::Result<T>>, has_moved: impl FnOnce(&T) -> bool) -> Poll<io::Result<T>> {
    #[cfg(feature = "rustls")]
    if matches!(&polled, Poll::Ready(Ok(done)) if has_moved(done)) {
        crate::poll::below::note();
    }
    #[cfg(not(feature = "rustls"))]
    let _ = has_moved;
    polled
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (this, before) = (self.get_mut(), buf.filled().len());
        let read = delegate!(stream in this => Pin::new(stream).poll_read(context, buf));
        noted(read, |()| buf.filled().len() > before)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        noted(delegate!(stream in this => Pin::new(stream).poll_write(context, bytes)), |&len| len > 0)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        noted(delegate!(stream in this => Pin::new(stream).poll_write_vectored(context, parts)), |&len| {
            len > 0
        })
    }

    fn is_write_vectored(&self) -> bool {
        delegate!(stream in self => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        delegate!(stream in this => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        delegate!(stream in this => Pin::new(stream).poll_shutdown(context))
    }
}
