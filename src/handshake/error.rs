//! What is wrong with the peer's half of a handshake.

use core::fmt;

use super::extensions::ExtensionError;
use super::fields::Excerpt;
use super::head::HeadError;

/// Why a server refuses a request (RFC 6455 §4.2.1).
///
/// [`status`](Self::status) is the table from errors to HTTP answers.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RequestError {
    /// The bytes are no HTTP/1.1 head, or more of one than the limits allow.
    Head(HeadError),
    /// Another HTTP version than 1.1: those before it know no upgrade.
    HttpVersion {
        /// The digit before the dot.
        major: u8,
        /// The digit behind it.
        minor: u8,
    },
    /// Another method than GET.
    Method(Excerpt),
    /// HTTP/2: another method than CONNECT.
    NotConnect(Excerpt),
    /// HTTP/2: the `:protocol` of an extended CONNECT is something else than `websocket` (RFC 8441 §4).
    Protocol(Excerpt),
    /// HTTP/2: a CONNECT request without a `:protocol`, which asks for a tunnel.
    ProtocolMissing,
    /// The target is neither a path nor an absolute `http`, `https`, `ws` or `wss` URI.
    Target(Excerpt),
    /// `Host` is absent, repeated or malformed.
    Host,
    /// `Upgrade` does not list `websocket`: an ordinary HTTP request.
    NotAnUpgrade,
    /// `Connection` does not list `upgrade`.
    Connection,
    /// `Sec-WebSocket-Version` is another number than 13.
    UnsupportedVersion(Excerpt),
    /// `Sec-WebSocket-Version` is absent, repeated or no number.
    Version,
    /// `Sec-WebSocket-Key` is absent, repeated or not the base64 form of 16 bytes.
    Key,
    /// `Origin` is repeated or goes beyond ASCII.
    Origin,
    /// `Sec-WebSocket-Protocol` is no list of tokens that are all different.
    Subprotocols,
    /// `Sec-WebSocket-Extensions` does not obey its grammar.
    Extensions(ExtensionError),
    /// The request announces a body, which could be taken for frames.
    Body,
    /// The request waits for a `100 Continue`.
    Expectation,
    /// The head was not complete in time.
    TimedOut,
    /// The stream ended before the head was complete.
    EndOfStream,
}

impl RequestError {
    /// The HTTP status of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Head(HeadError::TargetTooLong { .. }) => 414,
            Self::Head(HeadError::TooLong { .. } | HeadError::TooManyHeaders { .. }) => 431,
            Self::HttpVersion { major: 2.., .. } | Self::HttpVersion { major: 1, minor: 2.. } => 505,
            Self::Method(_) | Self::NotConnect(_) => 405,
            Self::Protocol(_) => 501,
            Self::NotAnUpgrade | Self::UnsupportedVersion(_) => 426,
            Self::Expectation => 417,
            Self::TimedOut => 408,
            Self::Head(HeadError::Byte { .. } | HeadError::Version { .. })
            | Self::HttpVersion { .. }
            | Self::ProtocolMissing
            | Self::Target(_)
            | Self::Host
            | Self::Connection
            | Self::Version
            | Self::Key
            | Self::Origin
            | Self::Subprotocols
            | Self::Extensions(_)
            | Self::Body
            | Self::EndOfStream => 400,
        }
    }

    /// Whether the answer names the version that is spoken here (RFC 6455 §4.4).
    pub(crate) const fn tells_version(&self) -> bool {
        matches!(self, Self::NotAnUpgrade | Self::UnsupportedVersion(_) | Self::Version)
    }
}

impl From<HeadError> for RequestError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Version { major, minor } => Self::HttpVersion { major, minor },
            error => Self::Head(error),
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head(error) => return error.fmt(f),
            Self::HttpVersion { major, minor } => {
                return write!(f, "http/{major}.{minor} is not supported: a websocket begins with http/1.1");
            }
            Self::Method(method) => return write!(f, "the method is {method}, not GET"),
            Self::NotConnect(method) => {
                return write!(f, "the method is {method}, not CONNECT as for a websocket over http/2");
            }
            Self::Protocol(protocol) => return write!(f, "the :protocol is {protocol}, not websocket"),
            Self::ProtocolMissing => "a CONNECT request for a websocket has the :protocol websocket",
            Self::Target(target) => {
                return write!(f, "the target {target} is neither a path nor an http uri");
            }
            Self::Host => "a request has one Host header with a host in it",
            Self::NotAnUpgrade => "this is a websocket: the request needs the header Upgrade: websocket",
            Self::Connection => "the Connection header does not list upgrade",
            Self::UnsupportedVersion(version) => {
                return write!(f, "websocket version {version} is not supported: use 13");
            }
            Self::Version => "a request has one Sec-WebSocket-Version header with the number 13",
            Self::Key => "a request has one Sec-WebSocket-Key header with 16 bytes in base64",
            Self::Origin => "a request has at most one Origin header, in ascii",
            Self::Subprotocols => "the Sec-WebSocket-Protocol header is no list of different tokens",
            Self::Extensions(error) => return error.fmt(f),
            Self::Body => "a request for an upgrade has no body",
            Self::Expectation => "a request for an upgrade cannot expect 100-continue",
            Self::TimedOut => "the request was not complete in time",
            Self::EndOfStream => "the stream ended before the request was complete",
        })
    }
}

impl core::error::Error for RequestError {}

/// Why a client does not accept a response (RFC 6455 §4.1).
///
/// The stream is closed without another byte, and the attempt counts as a connection that ended with
/// [`ABNORMAL`](crate::CloseCode::ABNORMAL). A well-formed answer with another status than 101 is no error
/// but a [`Refusal`](super::Refusal).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ResponseError {
    /// The bytes are no HTTP/1.1 head, or more of one than the limits allow.
    Head(HeadError),
    /// The server speaks another protocol than HTTP; these are its first bytes. The connectors tell it; a
    /// [`ClientHandshake`](super::ClientHandshake) by itself fails with [`Head`](Self::Head).
    NotHttp(Excerpt),
    /// The server speaks TLS, and the request went to it without: `wss://` may be meant. Told like
    /// [`NotHttp`](Self::NotHttp).
    Tls,
    /// The answer is `101` in another version than HTTP/1.1.
    HttpVersion,
    /// More than four answers that only announce another one.
    TooManyInterim,
    /// `Upgrade` is absent or something else than `websocket`.
    Upgrade,
    /// `Connection` does not list `upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is absent, repeated or not the answer to the key: the other end may be no
    /// WebSocket server, or a cache.
    Accept,
    /// `Sec-WebSocket-Extensions` does not obey its grammar.
    Extensions(ExtensionError),
    /// An extension that was not offered.
    ExtensionNotOffered(Excerpt),
    /// An extension is listed twice.
    ExtensionRepeated(Excerpt),
    /// An extension that the request requires is missing.
    ExtensionMissing(Excerpt),
    /// The parameters of permessage-deflate are not legal, or not what the request asks for (RFC 7692 §7).
    #[cfg(feature = "deflate")]
    Deflate,
    /// `Sec-WebSocket-Protocol` is repeated or not one token.
    Subprotocol,
    /// A subprotocol that was not offered.
    SubprotocolNotOffered(Excerpt),
    /// The request requires that a subprotocol is chosen, and none was.
    SubprotocolMissing,
    /// The response was not complete in time.
    TimedOut,
    /// The stream ended before the response was complete.
    EndOfStream,
}

impl ResponseError {
    /// Names what the server speaks, from its first bytes, if it is not HTTP.
    #[cfg(feature = "rand")]
    pub(crate) fn or_other_protocol(self, first_bytes: &[u8]) -> Self {
        match self {
            Self::Head(HeadError::Byte { .. }) if first_bytes.starts_with(b"HTTP/") => self,
            // A record that holds an alert or a part of the handshake (RFC 8446 §5.1).
            Self::Head(HeadError::Byte { .. }) if matches!(first_bytes, [0x15 | 0x16, 3, ..]) => Self::Tls,
            Self::Head(HeadError::Byte { .. }) => Self::NotHttp(Excerpt::new(first_bytes)),
            error => error,
        }
    }
}

impl From<HeadError> for ResponseError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head(error) => return error.fmt(f),
            Self::NotHttp(bytes) => {
                return write!(f, "the server does not speak http, its first bytes are {bytes}");
            }
            Self::Tls => "the server speaks tls: wss:// may be meant instead of ws://",
            Self::HttpVersion => "the 101 response is not in http/1.1",
            Self::TooManyInterim => "the server sent more than four interim responses",
            Self::Upgrade => "the Upgrade header of the response is not websocket",
            Self::Connection => "the Connection header of the response does not list upgrade",
            Self::Accept => "the Sec-WebSocket-Accept header is not the answer to the key of the request",
            Self::Extensions(error) => return error.fmt(f),
            Self::ExtensionNotOffered(name) => {
                return write!(f, "the server chose extension {name}, which was not offered");
            }
            Self::ExtensionRepeated(name) => return write!(f, "the server chose extension {name} twice"),
            Self::ExtensionMissing(name) => {
                return write!(f, "the server did not choose extension {name}, which is required");
            }
            #[cfg(feature = "deflate")]
            Self::Deflate => "the server chose parameters of permessage-deflate that it must not choose",
            Self::Subprotocol => "the Sec-WebSocket-Protocol header of the response is not one token",
            Self::SubprotocolNotOffered(name) => {
                return write!(f, "the server chose subprotocol {name}, which was not offered");
            }
            Self::SubprotocolMissing => "the server chose no subprotocol, but one is required",
            Self::TimedOut => "the response was not complete in time",
            Self::EndOfStream => "the stream ended before the response was complete",
        })
    }
}

impl core::error::Error for ResponseError {}
