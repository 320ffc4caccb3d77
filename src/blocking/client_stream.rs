//! The stream that a client opens by itself.

#[cfg(feature = "rustls")]
use alloc::boxed::Box;
use core::time::Duration;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;

use super::Transport;
use crate::client::delegate;

/// The stream of a client that connected by URL: TCP, or TLS over it.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientStream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS, over TCP or over TLS with a proxy.
    #[cfg(feature = "rustls")]
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, Box<Self>>>),
}

impl ClientStream {
    /// The TCP connection at the bottom: to the server, or to the proxy.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => stream.sock.tcp(),
        }
    }

    /// The TLS connection to the server: its version, its certificates. `None` over plain TCP.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(&self) -> Option<&rustls::ClientConnection> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(stream) => Some(&stream.conn),
        }
    }
}

impl Read for ClientStream {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        delegate!(stream in self => stream.read(place))
    }
}

impl Write for ClientStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        delegate!(stream in self => stream.write(bytes))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        delegate!(stream in self => stream.write_vectored(parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        delegate!(stream in self => stream.flush())
    }
}

impl Transport for ClientStream {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp().set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp().set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        delegate!(stream in self => Transport::shutdown_write(stream))
    }

    fn read_within(&mut self, buf: &mut [u8], timeout: Option<Duration>) -> io::Result<Option<usize>> {
        delegate!(stream in self => stream.read_within(buf, timeout))
    }

    fn write_within(&mut self, bufs: &[IoSlice<'_>], timeout: Option<Duration>) -> io::Result<Option<usize>> {
        delegate!(stream in self => stream.write_within(bufs, timeout))
    }

    fn flush_within(&mut self, timeout: Option<Duration>) -> io::Result<Option<()>> {
        delegate!(stream in self => stream.flush_within(timeout))
    }

    fn wants_flush(&self) -> bool {
        delegate!(stream in self => stream.wants_flush())
    }

    fn is_handshaking(&self) -> bool {
        delegate!(stream in self => Transport::is_handshaking(stream))
    }
}
