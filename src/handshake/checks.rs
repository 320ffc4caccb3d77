//! The checks of a request for a WebSocket, whichever library parsed it (RFC 6455 §4.2.1, RFC 8441 §5).

use super::error::RequestError;
#[cfg(feature = "hyper")]
use super::fields::is_same;
use super::fields::{Excerpt, lists_contain};
use super::offer::Offer;

/// A parsed request: that of this crate, or of another HTTP library.
pub(crate) trait ParsedRequest {
    /// The numbers before and after the dot.
    fn http_version(&self) -> (u8, u8);

    fn method(&self) -> &str;

    /// The values of all header lines with this name.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;

    /// All names and values.
    fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])>;

    /// RFC 9110 §7.8: "A server that receives an Upgrade header field in an HTTP/1.0 request MUST ignore that Upgrade
    /// field."
    fn asks_for_websocket(&self) -> bool {
        self.http_version() > (1, 0) && lists_contain(self.values("Upgrade"), "websocket")
    }
}

/// Checks an HTTP/1.1 request.
///
/// RFC 6455 §4.2.1, in its order; but the version, which governs what the rest means, comes before the key.
pub(crate) fn check_upgrade(request: &impl ParsedRequest) -> Result<Offer, RequestError> {
    let (major, minor) = request.http_version();
    if (major, minor) != (1, 1) {
        return Err(RequestError::HttpVersion { major, minor });
    }
    if request.method() != "GET" {
        return Err(RequestError::Method(Excerpt::new(request.method().as_bytes())));
    }
    if !request.asks_for_websocket() {
        return Err(RequestError::NotAnUpgrade);
    }
    if !lists_contain(request.values("Connection"), "Upgrade") {
        return Err(RequestError::Connection);
    }
    let offer = Offer::from_lines(request.lines())?;
    if offer.key_bytes().is_none() {
        return Err(RequestError::Key);
    }
    let has_length = |length: &[u8]| length.is_empty() || length.iter().any(|digit| *digit != b'0');
    if request.values("Transfer-Encoding").next().is_some()
        || request.values("Content-Length").any(has_length)
    {
        return Err(RequestError::Body);
    }
    check_expectation(request)?;
    Ok(offer)
}

/// Checks an HTTP/2 request, whose extended CONNECT names `protocol`.
///
/// RFC 8441 §5: "The Sec-WebSocket-Key header field is ... not used".
#[cfg(feature = "hyper")]
pub(crate) fn check_connect(
    request: &impl ParsedRequest,
    protocol: Option<&[u8]>,
) -> Result<Offer, RequestError> {
    if request.method() != "CONNECT" {
        return Err(RequestError::NotConnect(Excerpt::new(request.method().as_bytes())));
    }
    match protocol {
        Some(protocol) if protocol.eq_ignore_ascii_case(b"websocket") => {}
        Some(other) => return Err(RequestError::Protocol(Excerpt::new(other))),
        None => return Err(RequestError::ProtocolMissing),
    }
    let offer = Offer::from_lines(request.lines().filter(|(name, _)| !is_same(name, "Sec-WebSocket-Key")))?;
    // RFC 9110 §9.3.6: a CONNECT request has no content. A length would bound the frames.
    if request.values("Content-Length").next().is_some() {
        return Err(RequestError::Body);
    }
    check_expectation(request)?;
    Ok(offer)
}

/// RFC 9110 §7.8: "If a server receives both an Upgrade and an Expect header field with the "100-continue" expectation
/// (Section 10.1.1), the server MUST send a 100 (Continue) response before sending a 101 (Switching Protocols)
/// response." There is no 101: the request is refused.
fn check_expectation(request: &impl ParsedRequest) -> Result<(), RequestError> {
    match request.values("Expect").next() {
        Some(_) => Err(RequestError::Expectation),
        None => Ok(()),
    }
}

/// RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that
/// lacks a Host header field and to any request message that contains more than one Host header field line".
pub(crate) fn only_host<T>(
    mut hosts: impl Iterator<Item = T>,
    may_lack: bool,
) -> Result<Option<T>, RequestError> {
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Ok(Some(host)),
        (None, _) if may_lack => Ok(None),
        _ => Err(RequestError::Host),
    }
}
