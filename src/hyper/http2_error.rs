//! Errors of WebSockets over HTTP/2.

use core::fmt;
use std::io;

use h2::Reason;

use crate::tokio::Error;

/// Why a client got no WebSocket over HTTP/2, or lost it.
///
/// A stream that was reset after the WebSocket was open fails it with an [`Error::Io`] that has the text of this error.
/// Where receiving notices the reset first, [`get_ref`](io::Error::get_ref) returns this error itself. If the reset says
/// `CANCEL` or `NO_ERROR`, the WebSocket ends as if the stream had ended (1006).
#[derive(Debug)]
#[non_exhaustive]
pub enum Http2Error {
    /// The errors that an opening over HTTP/1.1 has too: URL, name, TCP, proxy, TLS, time, a refusal (status, headers,
    /// body), a response that breaks the rules.
    Open(Error),
    /// The server does not speak HTTP/2: by ALPN it chose HTTP/1.1, or nothing, or its first bytes are not HTTP/2.
    NotHttp2,
    /// The server does not offer WebSockets over HTTP/2: its settings do not enable the extended CONNECT of RFC 8441.
    NoExtendedConnect,
    /// A stream was reset, by the server or for an error of its.
    Reset {
        /// The error code of RFC 9113 §7: 7 for `REFUSED_STREAM`, for instance, after which it is safe to try again.
        code: u32,
    },
    /// The server ends the connection.
    GoAway {
        /// The error code of RFC 9113 §7; 0 if there is no error.
        code: u32,
    },
    /// The connection failed otherwise.
    Connection(io::Error),
}

impl Http2Error {
    /// Returns whether the server cannot open WebSockets over HTTP/2, but perhaps over HTTP/1.1 on another connection:
    /// with [`Connector::connect`](crate::tokio::Connector::connect).
    #[must_use]
    pub const fn needs_http1(&self) -> bool {
        matches!(self, Self::NotHttp2 | Self::NoExtendedConnect)
    }
}

impl Http2Error {
    /// Not `From`: the crate h2 is no part of the public API.
    pub(super) fn from_h2(error: h2::Error) -> Self {
        let code = error.reason().map_or(0, u32::from);
        match () {
            () if error.is_io() => {
                Self::Connection(error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()))
            }
            // h2 itself ends the connection for what the server did: the error says so.
            () if error.is_go_away() && error.is_library() => Self::Connection(io::Error::other(error)),
            () if error.is_go_away() => Self::GoAway { code },
            () if error.is_reset() => Self::Reset { code },
            () => Self::Connection(io::Error::other(error)),
        }
    }
}

impl From<Error> for Http2Error {
    fn from(error: Error) -> Self {
        Self::Open(error)
    }
}

impl From<Http2Error> for io::Error {
    fn from(error: Http2Error) -> Self {
        match error {
            Http2Error::Open(error) => error.into(),
            Http2Error::Connection(error) => error,
            error => Self::other(error),
        }
    }
}

impl From<Http2Error> for Error {
    fn from(error: Http2Error) -> Self {
        match error {
            Http2Error::Open(error) => error,
            error => Self::Io(error.into()),
        }
    }
}

impl fmt::Display for Http2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::NotHttp2 => f.write_str("the server does not speak http/2: connect over http/1.1"),
            Self::NoExtendedConnect => f.write_str(
                "the server does not offer websockets over http/2: connect over http/1.1 on another connection",
            ),
            Self::Reset { code } => write!(f, "the http/2 stream was reset: {}", Reason::from(*code).description()),
            Self::GoAway { code } => {
                write!(f, "the server ends the http/2 connection: {}", Reason::from(*code).description())
            }
            Self::Connection(error) => write!(f, "the http/2 connection failed: {error}"),
        }
    }
}

impl core::error::Error for Http2Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            // These are displayed already; their own causes are not.
            Self::Open(error) => error.source(),
            Self::Connection(error) => error.source(),
            _ => None,
        }
    }
}
