//! What can go wrong over a stream.

use alloc::boxed::Box;
use core::fmt;
use std::io;

use super::ConnectError;
use crate::handshake::{
    AcceptError, ClientRequestError, Refusal, RefusedRequest, RequestError, ResponseError, WriteResponseError,
};
use crate::{ConfigError, SendError, UriError};

/// Why a call on a connection over a stream did not do what it was asked to.
///
/// Displayed, it says its cause in the same line; [`source`](core::error::Error::source) is what stands behind that.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The stream is non-blocking and cannot go on now. Nothing was taken from the caller, nothing is lost: make the
    /// same call again once the stream is ready.
    WouldBlock,
    /// The time that the caller set for this call is over. The connection is as before.
    TimedOut,
    /// The stream failed.
    Io(io::Error),
    /// Client: no stream to the server came about, or not in time.
    Connect(Box<ConnectError>),
    /// The opening handshake did not lead to a connection.
    Handshake(Box<HandshakeError>),
    /// The connection failed: the peer broke a rule, a deadline passed, or the configuration is not valid. Every later
    /// receive says the same.
    Connection(crate::Error),
    /// The configuration asks for chunks, which only [`recv_event`](crate::blocking::WebSocket::recv_event) gives.
    ChunkDelivery,
    /// What was to be sent cannot be sent; the connection is as before.
    Send(SendError),
    /// A client that connects again has no connection now, and did not take the message.
    NotConnected,
    /// An opening over tokio was polled outside of a tokio runtime. Nothing was read or sent.
    NoRuntime,
}

impl Error {
    /// Whether the same call may succeed later, with the connection as it is.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::WouldBlock | Self::TimedOut | Self::NotConnected)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("stream not ready: call again when it is"),
            Self::TimedOut => f.write_str("nothing came within the time given"),
            Self::NotConnected => f.write_str("no connection now, and the message was not taken"),
            Self::NoRuntime => {
                f.write_str("no tokio runtime: poll this inside of one, as #[tokio::main] does")
            }
            Self::ChunkDelivery => f.write_str("connection delivers chunks: receive with recv_event"),
            Self::Io(error) => write!(f, "stream failed: {error}"),
            Self::Connect(error) => error.fmt(f),
            Self::Handshake(error) => write!(f, "{error:#}"),
            Self::Connection(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            // The causes are displayed already; what stands behind them is not.
            Self::Connect(error) => error.source(),
            Self::Handshake(error) => error.source()?.source(),
            Self::Io(error) => error.source(),
            Self::Connection(error) => error.source(),
            Self::Send(error) => error.source(),
            Self::WouldBlock
            | Self::TimedOut
            | Self::ChunkDelivery
            | Self::NotConnected
            | Self::NoRuntime => None,
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

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Connection(error.into())
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

/// For code that knows streams only; a tunnel and a message writer use it. The error itself is inside, except for the first
/// four.
///
/// | error | [kind](io::ErrorKind) |
/// |---|---|
/// | [`Error::Io`] | as the stream said: `ConnectionReset`, for instance |
/// | [`Error::WouldBlock`] | `WouldBlock` |
/// | [`Error::TimedOut`] | `TimedOut` |
/// | [`Error::NotConnected`] | `NotConnected` |
/// | a deadline of an open connection passed: no pong, silence, an unfinished message, a write, the closing handshake | `TimedOut` |
/// | the stream ended without a Close frame, or before a handshake was complete | `UnexpectedEof` |
/// | the peer broke a rule, sent invalid text or invalid compressed data, or exceeded a limit | `InvalidData` |
/// | a message after a Close frame or after the connection failed | `BrokenPipe` |
/// | what the caller sends, sets or asks for is not valid | `InvalidInput` |
/// | the request or response of an opening handshake breaks a rule | `InvalidData` |
/// | an opening handshake was not complete in time | `TimedOut` |
/// | the server or the proxy refused | `ConnectionRefused` |
/// | a `wss:` URL without a TLS implementation | `Unsupported` |
/// | name resolution, TCP or TLS failed | as the operating system or the TLS library said |
/// | the random source failed, memory ran out, a redirect was not followed, no runtime | `Other` |
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::WouldBlock => io::ErrorKind::WouldBlock.into(),
            Error::TimedOut => io::ErrorKind::TimedOut.into(),
            Error::NotConnected => io::ErrorKind::NotConnected.into(),
            Error::Io(error) => error,
            Error::Connect(error) => Self::new(error.io_kind(), *error),
            Error::Handshake(error) => Self::new(error.io_kind(), *error),
            Error::Connection(error) => Self::new(connection_kind(&error), error),
            Error::ChunkDelivery => Self::new(io::ErrorKind::InvalidInput, error),
            Error::NoRuntime => Self::other(error),
            Error::Send(error) => Self::new(send_kind(&error), error),
        }
    }
}

const fn connection_kind(error: &crate::Error) -> io::ErrorKind {
    match error {
        crate::Error::Timeout(_) => io::ErrorKind::TimedOut,
        crate::Error::UnexpectedEof => io::ErrorKind::UnexpectedEof,
        crate::Error::Protocol(_)
        | crate::Error::InvalidUtf8(_)
        | crate::Error::TooBig { .. }
        | crate::Error::Policy(_) => io::ErrorKind::InvalidData,
        #[cfg(feature = "deflate")]
        crate::Error::InvalidDeflate => io::ErrorKind::InvalidData,
        crate::Error::BytesNotLent | crate::Error::InvalidConfig(_) => io::ErrorKind::InvalidInput,
        crate::Error::MaskKey => io::ErrorKind::Other,
    }
}

const fn send_kind(error: &SendError) -> io::ErrorKind {
    match error {
        SendError::Closed => io::ErrorKind::BrokenPipe,
        // Not `WouldBlock`, which an `AsyncWrite` must not return.
        SendError::Full { .. } | SendError::MaskKey => io::ErrorKind::Other,
        SendError::MessageInProgress
        | SendError::KindChanged
        | SendError::InvalidUtf8
        | SendError::ControlTooLong { .. }
        | SendError::InvalidCloseCode(_) => io::ErrorKind::InvalidInput,
    }
}

/// For a response, also that of a proxy.
pub(super) const fn response_kind(error: &ResponseError) -> io::ErrorKind {
    match error {
        ResponseError::EndOfStream => io::ErrorKind::UnexpectedEof,
        ResponseError::TimedOut => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::InvalidData,
    }
}

/// Why an opening handshake over a stream did not lead to a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Client: the URL is not one of a WebSocket.
    Uri(UriError),
    /// Client: a `wss:` URL needs the feature `rustls`, or a TLS stream that is given to `Connector::connect_over`.
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

impl HandshakeError {
    /// What this side or the other did wrong, and the cause if another type tells it.
    fn parts(&self) -> (&'static str, Option<&(dyn core::error::Error + 'static)>) {
        match self {
            Self::Uri(error) => ("not a url of a websocket", Some(error)),
            Self::TlsNeeded => {
                ("wss needs the feature `rustls`, or a tls stream given to connect_over", None)
            }
            #[cfg(feature = "rand")]
            Self::Randomness(error) => ("no key for the request", Some(error)),
            Self::Request(error) => ("the request cannot be sent", Some(error)),
            Self::Response(error) => ("the server's response is not acceptable", Some(error)),
            Self::Refusal(_) => ("server refused", None),
            Self::Refused(refused) => ("request refused", Some(refused.error())),
            Self::Accept(error) => ("the request cannot be accepted in this way", Some(error)),
            Self::Reject(error) => ("the response cannot be sent", Some(error)),
        }
    }
}

impl HandshakeError {
    const fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Uri(_) | Self::Request(_) | Self::Accept(_) | Self::Reject(_) => {
                io::ErrorKind::InvalidInput
            }
            Self::TlsNeeded => io::ErrorKind::Unsupported,
            #[cfg(feature = "rand")]
            Self::Randomness(_) => io::ErrorKind::Other,
            Self::Response(error) => response_kind(error),
            Self::Refusal(_) => io::ErrorKind::ConnectionRefused,
            Self::Refused(refused) => match refused.error() {
                RequestError::EndOfStream => io::ErrorKind::UnexpectedEof,
                RequestError::TimedOut => io::ErrorKind::TimedOut,
                _ => io::ErrorKind::InvalidData,
            },
        }
    }
}

/// The alternate form (`{:#}`) adds the cause, which is the [source](core::error::Error::source) too.
impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Refusal(refusal) = self {
            return write!(f, "server refused with status {}", refusal.head().status());
        }
        match self.parts() {
            (what, Some(cause)) if f.alternate() => write!(f, "{what}: {cause}"),
            (what, _) => f.write_str(what),
        }
    }
}

impl core::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.parts().1
    }
}

impl From<HandshakeError> for Error {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(Box::new(error))
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        Self::Connect(Box::new(error))
    }
}
