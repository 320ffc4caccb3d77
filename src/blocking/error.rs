//! What can go wrong over a stream.

use core::fmt;
use std::io;

use crate::SendError;

/// Why a call on a connection over a stream did not do what it was asked to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The stream is non-blocking and cannot go on now. Nothing was taken from the caller, nothing is lost: make the
    /// same call again once the stream is ready.
    WouldBlock,
    /// The time that the caller set is over. The connection is as before.
    TimedOut,
    /// The stream failed.
    Io(io::Error),
    /// The connection failed: the peer broke a rule, or a deadline passed. Every later receive says the same.
    Connection(crate::Error),
    /// The configuration asks for chunks, which only [`recv_event`](super::WebSocket::recv_event) gives.
    ChunkDelivery,
    /// What was to be sent cannot be sent; the connection is as before.
    Send(SendError),
}

impl Error {
    /// Whether the same call may succeed later, with the connection as it is.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::WouldBlock | Self::TimedOut)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("stream not ready: call again when it is"),
            Self::TimedOut => f.write_str("nothing came within the time given"),
            Self::ChunkDelivery => f.write_str("connection delivers chunks: receive with recv_event"),
            Self::Io(error) => write!(f, "stream failed: {error}"),
            Self::Connection(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Connection(error) => Some(error),
            Self::Send(error) => Some(error),
            Self::WouldBlock | Self::TimedOut | Self::ChunkDelivery => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Self::Connection(error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::WouldBlock => io::ErrorKind::WouldBlock.into(),
            Error::TimedOut => io::ErrorKind::TimedOut.into(),
            Error::Io(error) => error,
            Error::Connection(error) => Self::other(error),
            Error::ChunkDelivery => Self::new(io::ErrorKind::InvalidInput, error),
            Error::Send(error) => Self::new(io::ErrorKind::InvalidInput, error),
        }
    }
}
