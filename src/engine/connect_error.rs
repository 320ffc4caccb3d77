//! What can go wrong before a client's opening handshake, and where.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::net::SocketAddr;
use std::io;

use super::error::response_kind;
use crate::handshake::{HeaderError, Refusal, ResponseError};
use crate::{CloseCode, UriError};

/// The steps of opening a connection, in their order.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Step {
    /// The name of the host, or of the proxy, is looked up.
    Resolve,
    /// TCP is connected.
    Connect,
    /// The proxy is asked for a tunnel, inside TLS if the proxy speaks it.
    Proxy,
    /// TLS with the server is set up.
    Tls,
    /// The request was sent, the response is awaited.
    Handshake,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "name resolution",
            Self::Connect => "the tcp connection",
            Self::Proxy => "the proxy's answer",
            Self::Tls => "the tls handshake",
            Self::Handshake => "the opening handshake",
        })
    }
}

/// Why no transport to the server could be opened, or not in time.
///
/// Neither credentials nor the queries of URLs are in it, whatever form it is shown in.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The time for the whole opening is over; this step had not finished.
    TimedOut {
        /// What was waited for.
        step: Step,
    },
    /// The name of the host has no address.
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        error: io::Error,
    },
    /// None of the addresses could be connected to.
    Connect {
        /// The address that failed last.
        address: SocketAddr,
        /// Why it failed.
        error: io::Error,
    },
    /// The URL of a proxy, or what an environment variable says of one, is not usable.
    ProxyUrl(ProxyUrlError),
    /// The proxy gave no tunnel.
    Proxy {
        /// Its scheme, host and port.
        proxy: String,
        /// Why.
        failure: ProxyFailure,
    },
    /// TLS could not be set up; nothing of the request was sent.
    Tls(TlsError),
    /// A redirect was not followed.
    Redirect(RedirectError),
}

impl ConnectError {
    /// The code that a log of connections would note: 1015 for TLS, else 1006 (RFC 6455 §7.1.5, §7.4.1).
    #[must_use]
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::Tls(_) | Self::TimedOut { step: Step::Tls } => CloseCode::TLS_HANDSHAKE,
            _ => CloseCode::ABNORMAL,
        }
    }

    /// What the stream below would have said.
    pub(super) fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::TimedOut { .. } => io::ErrorKind::TimedOut,
            Self::Resolve { error, .. } | Self::Connect { error, .. } => error.kind(),
            Self::Tls(error) => error.error.kind(),
            Self::ProxyUrl(_) => io::ErrorKind::InvalidInput,
            Self::Proxy { failure, .. } => failure.io_kind(),
            Self::Redirect(_) => io::ErrorKind::Other,
        }
    }
}

impl ProxyFailure {
    fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Io(error) => error.kind(),
            Self::Unreachable(error) => error.io_kind(),
            Self::Refused(_) | Self::SocksRefused(_) | Self::NoAuthentication | Self::Credentials => {
                io::ErrorKind::ConnectionRefused
            }
            Self::TooLong | Self::Header(_) => io::ErrorKind::InvalidInput,
            Self::Response(error) => response_kind(error),
            Self::NotSocks | Self::EarlyBytes => io::ErrorKind::InvalidData,
            Self::EndOfStream => io::ErrorKind::UnexpectedEof,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { step } => write!(f, "connecting took too long: {step} did not finish in time"),
            Self::Resolve { host, error } => write!(f, "cannot resolve {host}: {error}"),
            Self::Connect { address, error } => write!(f, "cannot connect to {address}: {error}"),
            Self::ProxyUrl(error) => error.fmt(f),
            Self::Proxy { proxy, failure } => write!(f, "proxy {proxy}: {failure}"),
            Self::Tls(error) => error.fmt(f),
            Self::Redirect(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ConnectError {
    /// What stands behind the cause that is displayed.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Resolve { error, .. } | Self::Connect { error, .. } => error.source(),
            Self::Proxy { failure, .. } => failure.source(),
            Self::Tls(error) => error.source(),
            Self::TimedOut { .. } | Self::ProxyUrl(_) | Self::Redirect(_) => None,
        }
    }
}

/// Why a proxy gave no tunnel.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyFailure {
    /// There is no connection to the proxy: its name has no address, or none of its addresses could be connected to.
    Unreachable(Box<ConnectError>),
    /// An HTTP proxy refused; its status (407 asks for other credentials), headers and body are here.
    Refused(Refusal),
    /// A SOCKS5 proxy refused with this reply (RFC 1928 §6).
    SocksRefused(SocksReply),
    /// A SOCKS5 proxy takes none of the ways to authenticate that we offered: it wants a user and a password and
    /// none were given, or something else.
    NoAuthentication,
    /// A SOCKS5 proxy does not accept user and password.
    Credentials,
    /// The name of the host, the user or the password is longer than the 255 bytes that SOCKS5 has room for.
    TooLong,
    /// A header that was added to the `CONNECT` request cannot be sent.
    Header(HeaderError),
    /// What came is no HTTP response.
    Response(ResponseError),
    /// What came is no SOCKS5.
    NotSocks,
    /// The proxy sent data after its response, before this side had sent anything through the tunnel.
    EarlyBytes,
    /// The proxy ended the stream before it had answered.
    EndOfStream,
    /// The stream to the proxy failed.
    Io(io::Error),
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable(error) => return error.fmt(f),
            Self::Refused(refusal) => {
                return write!(f, "refused with status {}", refusal.head().status());
            }
            Self::SocksRefused(reply) => return write!(f, "refused: {reply}"),
            Self::NoAuthentication => "none of the offered authentication methods is accepted",
            Self::Credentials => "user name and password are not accepted",
            Self::TooLong => "host, user name or password is longer than 255 bytes",
            Self::Header(error) => return error.fmt(f),
            Self::Response(error) => return error.fmt(f),
            Self::NotSocks => "the response is not socks5",
            Self::EarlyBytes => "data came after the response",
            Self::EndOfStream => "the stream ended before the response",
            Self::Io(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for ProxyFailure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::Unreachable(error) => error.source(),
            _ => None,
        }
    }
}

/// The reply of a SOCKS5 proxy that gives no tunnel (RFC 1928 §6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SocksReply(pub u8);

impl fmt::Display for SocksReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            1 => "general failure",
            2 => "not allowed by its rules",
            3 => "network unreachable",
            4 => "host unreachable",
            5 => "connection refused",
            6 => "ttl expired",
            7 => "command not supported",
            8 => "address type not supported",
            code => return write!(f, "reply {code}"),
        })
    }
}

/// Why the URL of a proxy is not usable. It does not repeat the URL, since that may hold a password.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ProxyUrlError {
    /// The environment variable that it stands in, if it came from there.
    pub variable: Option<String>,
    /// What is wrong with it.
    pub problem: ProxyUrlProblem,
}

/// What is wrong with the URL of a proxy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ProxyUrlProblem {
    /// The scheme is not one of `http`, `https`, `socks5` and `socks5h`.
    Scheme,
    /// Host or port are malformed.
    Authority(UriError),
    /// A `%` in user or password has no two hexadecimal digits after it.
    PercentEncoding,
    /// There is more than a host and a port: a path, a query or a fragment.
    Path,
    /// The user name contains a colon, which basic authentication cannot express.
    User,
}

impl From<ProxyUrlProblem> for ProxyUrlError {
    fn from(problem: ProxyUrlProblem) -> Self {
        Self { variable: None, problem }
    }
}

/// A proxy that was made already needs no parsing that could fail.
impl From<core::convert::Infallible> for ProxyUrlError {
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for ProxyUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variable {
            Some(variable) => write!(f, "environment variable {variable}: ")?,
            None => f.write_str("proxy: ")?,
        }
        f.write_str(match self.problem {
            ProxyUrlProblem::Scheme => "the url must begin with http://, https:// or socks5://",
            ProxyUrlProblem::Authority(UriError::Port) => "the port must be a number up to 65535",
            ProxyUrlProblem::Authority(_) => "the host is empty or malformed",
            ProxyUrlProblem::PercentEncoding => {
                "a % in user or password needs two hexadecimal digits after it"
            }
            ProxyUrlProblem::Path => "the url must end after host and port",
            ProxyUrlProblem::User => "the user name must not contain ':': write user:password@host:port",
        })
    }
}

impl core::error::Error for ProxyUrlError {}

/// Why TLS could not be set up: with whom, and what the TLS library or the stream said.
#[derive(Debug)]
pub struct TlsError {
    pub(crate) server: String,
    pub(crate) error: io::Error,
}

impl TlsError {
    /// The name or address that was connected to: the server's, or that of a proxy.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The error as it came from the stream.
    #[must_use]
    pub const fn io(&self) -> &io::Error {
        &self.error
    }

    /// What rustls said, if it was not the stream that failed:
    /// [`InvalidCertificate`](rustls::Error::InvalidCertificate) for instance.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn rustls(&self) -> Option<&rustls::Error> {
        self.error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(feature = "rustls")]
        if let Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) = self.rustls()
        {
            return write!(f, "{} does not speak tls on this port", self.server);
        }
        write!(f, "tls with {} failed: {}", self.server, self.error)
    }
}

impl core::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.error.source()
    }
}

/// Why a redirect was not followed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RedirectError {
    /// There were more than the connector follows; the last one is here.
    TooMany(Refusal),
    /// It leads from `wss` to `ws`, which was not allowed; the server's answer is here.
    Insecure(Refusal),
    /// It does not say where to, or not with a URL that a WebSocket can have; the server's answer is here.
    Target(Refusal, Option<UriError>),
}

impl RedirectError {
    /// The server's answer: status, headers, body.
    #[must_use]
    pub const fn refusal(&self) -> &Refusal {
        match self {
            Self::TooMany(refusal) | Self::Insecure(refusal) | Self::Target(refusal, _) => refusal,
        }
    }
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(_) => f.write_str("too many redirects"),
            Self::Insecure(_) => f.write_str("the server redirects from wss to ws, which is not allowed"),
            Self::Target(_, None) => f.write_str("the server redirects without saying where to"),
            Self::Target(_, Some(error)) => write!(f, "the server redirects to no websocket: {error}"),
        }
    }
}

impl core::error::Error for RedirectError {}
