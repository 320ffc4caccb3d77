//! The check of a request that hyper parsed.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};

use ::http::request::Parts;
use ::http::{Extensions, HeaderMap, Method, Request, Uri, Version, header};
use ::hyper::ext::Protocol;

use crate::handshake::{
    Offer, ParsedRequest, RequestError, check_connect, check_upgrade, only_host, split_target,
};
use crate::uri::is_authority;

/// The parts of a request that decide about an upgrade.
pub(super) struct Message<'a> {
    method: &'a Method,
    version: Version,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

/// A valid request.
pub(super) struct Valid {
    pub(super) offer: Offer,
    /// The host, and the port if there was one.
    pub(super) host: String,
    /// Over HTTP/1.1 only a target in absolute-form has one.
    pub(super) scheme: Option<String>,
}

impl<'a> Message<'a> {
    pub(super) fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            version: request.version(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    pub(super) const fn of_parts(parts: &'a Parts) -> Self {
        Self {
            method: &parts.method,
            version: parts.version,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }

    pub(super) const fn is_http2(&self) -> bool {
        matches!(self.version, Version::HTTP_2)
    }

    pub(super) fn check(&self) -> Result<Valid, RequestError> {
        if self.is_http2() { self.check_http2() } else { self.check_http1() }
    }

    /// In the order of the core's own handshake: target and host of any request, then what a WebSocket needs.
    fn check_http1(&self) -> Result<Valid, RequestError> {
        let is_asterisk = self.uri.path() == "*" && self.method == Method::OPTIONS;
        let has_authority = self.uri.authority().is_some();
        if has_authority || !(self.uri.path().starts_with('/') || is_asterisk) {
            split_target(&self.uri.to_string())?;
        }
        let is_http10 = self.version < Version::HTTP_11;
        let host = only_host(self.values("host"), is_http10)?.unwrap_or_default();
        if !((is_http10 && host.is_empty()) || is_authority(host)) {
            return Err(RequestError::Host);
        }
        let offer = check_upgrade(self)?;
        Ok(self.valid(offer, host))
    }

    fn check_http2(&self) -> Result<Valid, RequestError> {
        let protocol = self.extensions.get::<Protocol>().map(|protocol| protocol.as_str().as_bytes());
        let offer = check_connect(self, protocol)?;
        if self.uri.scheme().is_some() || !self.uri.path().starts_with('/') {
            split_target(&self.uri.to_string())?;
        }
        let authority = self.uri.authority().map(|authority| authority.as_str().as_bytes());
        let host = only_host(self.values("host"), authority.is_some())?;
        // RFC 9113 §8.3.1: "A server SHOULD treat a request as malformed if it contains a Host header field that
        // identifies an entity that differs from the entity in the ":authority" pseudo-header field."
        let host = match (authority, host) {
            (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
                return Err(RequestError::Host);
            }
            (Some(authority), _) => authority,
            (None, host) => host.unwrap_or_default(),
        };
        if !is_authority(host) {
            return Err(RequestError::Host);
        }
        Ok(self.valid(offer, host))
    }

    /// RFC 9112 §3.2.2: with a target in absolute-form "the origin server MUST ignore the received Host header field".
    fn valid(&self, offer: Offer, host: &[u8]) -> Valid {
        let host = match self.uri.authority() {
            Some(authority) => authority.as_str().to_owned(),
            None => String::from_utf8_lossy(host).into_owned(),
        };
        Valid { offer, host, scheme: self.uri.scheme_str().map(ToString::to_string) }
    }
}

impl ParsedRequest for Message<'_> {
    fn http_version(&self) -> (u8, u8) {
        match self.version {
            Version::HTTP_09 => (0, 9),
            Version::HTTP_10 => (1, 0),
            Version::HTTP_11 => (1, 1),
            Version::HTTP_2 => (2, 0),
            _ => (3, 0),
        }
    }

    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.get_all(name).into_iter().map(header::HeaderValue::as_bytes)
    }

    fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
    }
}
