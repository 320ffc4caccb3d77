//! The stream below a WebSocket that hyper handed over.

use alloc::vec::Vec;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use ::hyper::upgrade::Upgraded;
use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::TcpStream;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;

use crate::redacted::TypeName;

/// The stream of a WebSocket over hyper: the server's own stream, or hyper's [`Upgraded`].
///
/// Over HTTP/1.1 it is the stream that the server accepted, if that is an `S` in hyper-util's `TokioIo`, as with
/// `axum::serve`. Otherwise, and always over HTTP/2, it is hyper's `Upgraded`, which costs a call through a table for
/// each read and write, and over HTTP/2 a copy of what is written.
pub struct Stream<S = TcpStream>(Inner<S>);

enum Inner<S> {
    Raw(S),
    Upgraded(TokioIo<Upgraded>),
}

impl<S> Stream<S> {
    /// Returns the server's own stream, or `None` if hyper did not hand it over.
    #[must_use]
    pub const fn raw(&self) -> Option<&S> {
        match &self.0 {
            Inner::Raw(stream) => Some(stream),
            Inner::Upgraded(_) => None,
        }
    }

    /// Returns the server's own stream to set its options, or `None` if hyper did not hand it over.
    #[must_use]
    pub const fn raw_mut(&mut self) -> Option<&mut S> {
        match &mut self.0 {
            Inner::Raw(stream) => Some(stream),
            Inner::Upgraded(_) => None,
        }
    }

    /// Takes the stream out.
    ///
    /// # Errors
    ///
    /// hyper did not hand over the server's own stream; this is what it gave instead.
    pub fn into_raw(self) -> Result<S, Upgraded> {
        match self.0 {
            Inner::Raw(stream) => Ok(stream),
            Inner::Upgraded(upgraded) => Err(upgraded.into_inner()),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Stream<S> {
    /// Unwraps the stream as far as can be, with the bytes that hyper read behind the request.
    pub(super) fn unwrap(upgraded: Upgraded) -> (Self, Vec<u8>) {
        // The connection of hyper-util that finds the version wraps the stream once more.
        let upgraded = match auto::upgrade::downcast::<TokioIo<S>>(upgraded) {
            Ok(parts) => return (Self(Inner::Raw(parts.io.into_inner())), parts.read_buf.into()),
            Err(upgraded) => upgraded,
        };
        match upgraded.downcast::<TokioIo<S>>() {
            Ok(parts) => (Self(Inner::Raw(parts.io.into_inner())), parts.read_buf.into()),
            Err(upgraded) => (Self::from(upgraded), Vec::new()),
        }
    }
}

/// For streams of hyper that come another way: from a client, for instance.
impl<S> From<Upgraded> for Stream<S> {
    fn from(upgraded: Upgraded) -> Self {
        Self(Inner::Upgraded(TokioIo::new(upgraded)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Raw(stream) => Pin::new(stream).poll_read(context, buffer),
            Inner::Upgraded(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Raw(stream) => Pin::new(stream).poll_write(context, bytes),
            Inner::Upgraded(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Raw(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Inner::Upgraded(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Inner::Raw(stream) => stream.is_write_vectored(),
            Inner::Upgraded(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Raw(stream) => Pin::new(stream).poll_flush(context),
            Inner::Upgraded(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Raw(stream) => Pin::new(stream).poll_shutdown(context),
            Inner::Upgraded(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl<S> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Raw(stream) => f.debug_tuple("Raw").field(&TypeName::of(stream)).finish(),
            Inner::Upgraded(_) => f.debug_tuple("Upgraded").finish(),
        }
    }
}
