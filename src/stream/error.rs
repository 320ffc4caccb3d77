//! What can go wrong over a stream.

use alloc::boxed::Box;
use core::fmt;
use std::io;

use crate::handshake::{
    AcceptError, ClientRequestError, Refusal, RefusedRequest, ResponseError, WriteResponseError,
};
use crate::{SendError, UriError};

/// Why a call on a connection over a stream did not do what it was asked to.
///
/// The cause of a failed handshake is the [source](core::error::Error::source); `{:#}` shows both in one line.
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
    /// The opening handshake did not lead to a connection.
    Handshake(Box<HandshakeError>),
    /// The connection failed: the peer broke a rule, or a deadline passed. Every later receive says the same.
    Connection(crate::Error),
    /// The configuration asks for chunks, which only [`recv_event`](crate::blocking::WebSocket::recv_event) gives.
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
            Self::Handshake(error) => error.fmt(f),
            Self::Connection(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            // The causes are displayed already; what stands behind them is not.
            Self::Handshake(error) => error.source(),
            Self::Io(error) => error.source(),
            Self::Connection(error) => error.source(),
            Self::Send(error) => error.source(),
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
            Error::Handshake(error) => Self::other(*error),
            Error::Connection(error) => Self::other(error),
            Error::ChunkDelivery => Self::new(io::ErrorKind::InvalidInput, error),
            Error::Send(error @ SendError::Closed) => Self::new(io::ErrorKind::BrokenPipe, error),
            Error::Send(error) => Self::new(io::ErrorKind::InvalidInput, error),
        }
    }
}

/// Why an opening handshake over a stream did not lead to a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Client: the URL is not one of a WebSocket.
    Uri(UriError),
    /// Client: a `wss:` URL needs a TLS stream; connect one and give it to
    /// [`Connector::connect_over`](crate::blocking::Connector::connect_over).
    TlsNeeded,
    /// Client: the operating system gave no randomness for the key.
    #[cfg(feature = "rand")]
    Randomness(crate::handshake::NoRandomness),
    /// Client: a header, subprotocol or Origin cannot be sent.
    Request(ClientRequestError),
    /// Client: the response breaks a rule.
    Response(ResponseError),
    /// Client: the server refused; its status, headers and body are here.
    Refusal(Refusal),
    /// Server: the request was refused, and the client has got the response that says why.
    Refused(RefusedRequest),
    /// Server: the request cannot be accepted in this way.
    Accept(AcceptError),
    /// Server: the response to a rejected request cannot be sent.
    Reject(WriteResponseError),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(error) => error.fmt(f),
            Self::TlsNeeded => f.write_str("wss needs a tls stream: connect one and use connect_over"),
            #[cfg(feature = "rand")]
            Self::Randomness(error) => error.fmt(f),
            Self::Request(error) => error.fmt(f),
            Self::Response(error) => error.fmt(f),
            Self::Refusal(refusal) => write!(f, "server refused with status {}", refusal.head().status()),
            Self::Refused(error) => error.fmt(f),
            Self::Accept(error) => error.fmt(f),
            Self::Reject(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for HandshakeError {
    /// What stands behind the cause that is displayed.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Uri(error) => error.source(),
            #[cfg(feature = "rand")]
            Self::Randomness(error) => error.source(),
            Self::Request(error) => error.source(),
            Self::Response(error) => error.source(),
            Self::Refused(error) => error.source(),
            Self::Accept(error) => error.source(),
            Self::Reject(error) => error.source(),
            Self::TlsNeeded | Self::Refusal(_) => None,
        }
    }
}

impl From<HandshakeError> for Error {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(Box::new(error))
    }
}
