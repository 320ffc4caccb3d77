//! A request as it was received (RFC 9112 §3).

use core::fmt;
use core::ops::Range;

use super::checks::{ParsedRequest, only_host};
use super::error::RequestError;
use super::fields::Excerpt;
use super::head::Head;
#[cfg(all(feature = "hyper", feature = "rand"))]
use super::{head::HeadReader, limits::HandshakeLimits};
use crate::uri::{Authority, WithoutQuery, is_authority};

/// The head of an HTTP request: method, target and headers.
///
/// It borrows nothing, so that it can be given to another task for the decision. The debug form leaves the
/// query and the values of the headers out, since they hold credentials.
#[derive(Clone, Eq, PartialEq)]
pub struct RequestHead {
    head: Head,
    /// Where path and query begin in the target.
    path_start: usize,
    /// Where the host stands in the head.
    host: Range<usize>,
}

impl RequestHead {
    /// Reads a request that this crate wrote, for another library that sends it.
    #[cfg(all(feature = "hyper", feature = "rand"))]
    pub(crate) fn of_own(bytes: &[u8]) -> Result<Self, RequestError> {
        let mut reader = HeadReader::request();
        let limits = HandshakeLimits::default()
            .max_head_bytes(usize::MAX)
            .max_target_bytes(usize::MAX)
            .max_headers(usize::MAX);
        reader.read(bytes, &limits)?;
        match reader.is_complete() {
            true => Self::new(reader.finish()),
            false => Err(RequestError::EndOfStream),
        }
    }

    /// Checks what holds for any request: target and `Host`.
    pub(super) fn new(head: Head) -> Result<Self, RequestError> {
        let minor = head.request_minor_version();
        let (authority, path_start) = match head.has_path_only() {
            true => (None, 0),
            // RFC 9112 §3.2.4: the asterisk-form asks about the server as a whole, as health checks of proxies do.
            false if head.target() == "*" && head.method() == "OPTIONS" => (None, 0),
            false => split_target(head.target())?,
        };
        let host = only_host(head.places("Host"), minor == 0)?.unwrap_or_default();
        if (minor > 0 || !host.is_empty()) && !is_authority(head.bytes(host.clone())) {
            return Err(RequestError::Host);
        }
        // RFC 9112 §3.2.2: "When an origin server receives a request with an absolute-form of request-target,
        // the origin server MUST ignore the received Host header field (if any)".
        let start = head.target_start();
        let host = authority.map_or(host, |place| start + place.start..start + place.end);
        Ok(Self { head, path_start, host })
    }

    /// The method, in upper case unless the client chose otherwise. `GET` in every WebSocket request.
    #[must_use]
    pub fn method(&self) -> &str {
        self.head.method()
    }

    /// The target as it stood in the request line.
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.target()
    }

    /// The path, not decoded. It begins with a slash, except for the `*` of an `OPTIONS` request about the whole server.
    #[must_use]
    pub fn path(&self) -> &str {
        let path = self.path_and_query().split('?').next().unwrap_or_default();
        if path.is_empty() { "/" } else { path }
    }

    /// What follows the first question mark of the target, not decoded; `None` without one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.path_and_query().split_once('?').map(|(_, query)| query)
    }

    /// The host, and the port if there was one, that the client wanted to reach; empty only in HTTP/1.0.
    #[must_use]
    pub fn host(&self) -> &str {
        self.head.text(self.host.clone())
    }

    /// The headers in their order, names as they were sent, values without the blanks around them.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.head.headers()
    }

    /// The value of the first header with this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.headers().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The values of all headers with this name, in any case and in their order.
    pub fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.head.values(name)
    }

    fn path_and_query(&self) -> &str {
        self.target().get(self.path_start..).unwrap_or_default()
    }
}

impl ParsedRequest for RequestHead {
    fn http_version(&self) -> (u8, u8) {
        (1, self.head.request_minor_version())
    }

    fn method(&self) -> &str {
        self.head.method()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.head.values(name)
    }

    fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.head.lines()
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method())
            .field("target", &WithoutQuery(self.target()))
            .field("host", &self.host())
            .finish_non_exhaustive()
    }
}

/// Where the authority stands in a target in absolute-form, and where path and query begin.
pub(crate) fn split_target(target: &str) -> Result<(Option<Range<usize>>, usize), RequestError> {
    // Errors are for logs, where a query is not to be.
    let shown = target.split('?').next().unwrap_or_default();
    let invalid = || RequestError::Target(Excerpt::new(shown.as_bytes()));
    let (scheme, rest) = target.split_once("://").ok_or_else(invalid)?;
    if !["http", "https", "ws", "wss"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Err(invalid());
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    Authority::parse(authority).map_err(|_| invalid())?;
    let start = target.len() - rest.len();
    let path_start = start + authority.len();
    Ok((Some(start..path_start), path_start))
}
