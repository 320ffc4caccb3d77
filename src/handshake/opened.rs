//! The server's response, checked against the request (RFC 6455 §4.1).

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str;
use core::time::Duration;

#[cfg(feature = "deflate")]
use super::deflate;
use super::error::ResponseError;
use super::extensions::{Extensions, Mismatch};
use super::fields::{Excerpt, Single, is_token, lists_contain, single};
use super::head::Head;
use super::offer::Negotiated;
#[cfg(all(feature = "hyper", feature = "rand"))]
use super::{
    fields::write_header,
    head::{HeadError, HeadReader},
    limits::HandshakeLimits,
};
use crate::config::Config;
use crate::connection::{Connection, MaskKeys};
#[cfg(feature = "deflate")]
use crate::deflate::Deflate;
use crate::redacted::RedactedList;

/// The head of an HTTP response: status, reason and headers.
///
/// The debug form leaves the headers out, since they hold cookies.
#[derive(Clone, Eq, PartialEq)]
pub struct ResponseHead(Head);

impl ResponseHead {
    pub(crate) const fn new(head: Head) -> Self {
        Self(head)
    }

    /// Reads the head of a response that another library received.
    #[cfg(all(feature = "hyper", feature = "rand"))]
    pub(crate) fn from_lines<'a>(
        status: u16,
        lines: impl Iterator<Item = (&'a str, &'a [u8])>,
        limits: &HandshakeLimits,
    ) -> Result<Self, HeadError> {
        let mut bytes = alloc::format!("HTTP/1.1 {status} \r\n").into_bytes();
        for (name, value) in lines {
            write_header(&mut bytes, name, value);
        }
        bytes.extend_from_slice(b"\r\n");
        let mut reader = HeadReader::response();
        reader.read(&bytes, limits)?;
        match reader.is_complete() {
            true => Ok(Self(reader.finish())),
            false => Err(HeadError::TooLong { limit: limits.max_head_bytes }),
        }
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status()
    }

    /// The phrase behind the status, which means nothing and may be empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.0.reason()
    }

    /// The headers in their order, names as they were sent, values without the blanks around them.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.headers()
    }

    /// The value of the first header with this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.0.headers().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The values of all headers with this name, in any case: `Set-Cookie` for instance.
    pub fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.values(name)
    }
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// A response that opens the connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    response: ResponseHead,
    negotiated: Negotiated,
}

impl Opened {
    /// The headers of the response, cookies among them.
    #[must_use]
    pub const fn response(&self) -> &ResponseHead {
        &self.response
    }

    /// What both ends agreed on.
    #[must_use]
    pub const fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// The open connection; the response's memory is freed.
    pub fn into_connection(
        self,
        config: impl Into<Arc<Config>>,
        keys: MaskKeys,
        now: Duration,
    ) -> (Connection, Negotiated) {
        let (connection, negotiated, _) = self.into_parts(config, keys, now);
        (connection, negotiated)
    }

    /// [`into_connection`](Self::into_connection), for those who keep the response.
    pub(crate) fn into_parts(
        self,
        config: impl Into<Arc<Config>>,
        keys: MaskKeys,
        now: Duration,
    ) -> (Connection, Negotiated, ResponseHead) {
        let connection = Connection::client(config, keys, now);
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(self.negotiated.deflate);
        (connection, self.negotiated, self.response)
    }
}

/// What the response to a request must be.
pub(super) struct Expected {
    pub(super) accept: String,
    pub(super) subprotocols: Vec<String>,
    pub(super) subprotocol_required: bool,
    pub(super) extensions: Extensions,
    pub(super) required_extensions: Extensions,
    #[cfg(feature = "deflate")]
    pub(super) deflate: Option<Deflate>,
}

impl Expected {
    /// The six points of RFC 6455 §4.1 on a `101`, in their order.
    pub(super) fn check(&self, response: ResponseHead) -> Result<Opened, ResponseError> {
        let head = &response.0;
        if head.response_minor_version() != 1 {
            return Err(ResponseError::HttpVersion);
        }
        // RFC 6455 §4.1: "If the response lacks an |Upgrade| header field or the |Upgrade| header field
        // contains a value that is not an ASCII case-insensitive match for the value "websocket", the client
        // MUST _Fail the WebSocket Connection_."
        if !is_only(head.values("upgrade"), |value| value.eq_ignore_ascii_case(b"websocket")) {
            return Err(ResponseError::Upgrade);
        }
        if !lists_contain(head.values("connection"), "upgrade") {
            return Err(ResponseError::Connection);
        }
        if !is_only(head.values("sec-websocket-accept"), |value| value == self.accept.as_bytes()) {
            return Err(ResponseError::Accept);
        }
        self.check_agreement(response)
    }

    /// The points that are left in HTTP/2: extensions and subprotocol.
    pub(super) fn check_agreement(&self, response: ResponseHead) -> Result<Opened, ResponseError> {
        let head = &response.0;
        let extensions = self.check_extensions(head)?;
        #[cfg(feature = "deflate")]
        let deflate = match &self.deflate {
            Some(deflate) => deflate::check(&extensions, deflate).map_err(|()| ResponseError::Deflate)?,
            None => None,
        };
        let subprotocol = self.check_subprotocol(head)?;
        // RFC 9112 §6.3: "any response with a 1xx ... status code is always terminated by the first empty line after the
        // header fields, regardless of the header fields present in the message".
        let negotiated = Negotiated {
            subprotocol,
            extensions,
            #[cfg(feature = "deflate")]
            deflate,
        };
        Ok(Opened { negotiated, response })
    }

    fn check_extensions(&self, head: &Head) -> Result<Extensions, ResponseError> {
        let chosen =
            Extensions::parse(head.values("sec-websocket-extensions")).map_err(ResponseError::Extensions)?;
        let excerpt = |name: &str| Excerpt::new(name.as_bytes());
        // RFC 6455 §4.1: "If the response includes a |Sec-WebSocket-Extensions| header field and this header
        // field indicates the use of an extension that was not present in the client's handshake ..., the
        // client MUST _Fail the WebSocket Connection_."
        chosen.check_against(&self.extensions).map_err(|mismatch| match mismatch {
            Mismatch::NotOffered(name) => ResponseError::ExtensionNotOffered(excerpt(name)),
            Mismatch::Repeated(name) => ResponseError::ExtensionRepeated(excerpt(name)),
        })?;
        match self.required_extensions.iter().find(|required| !chosen.contains(required.name())) {
            Some(missing) => Err(ResponseError::ExtensionMissing(excerpt(missing.name()))),
            None => Ok(chosen),
        }
    }

    fn check_subprotocol(&self, head: &Head) -> Result<Option<String>, ResponseError> {
        let value = match single(head.values("sec-websocket-protocol")) {
            Single::Absent if self.subprotocol_required => return Err(ResponseError::SubprotocolMissing),
            Single::Absent => return Ok(None),
            Single::One(value) => value,
            Single::Several => return Err(ResponseError::Subprotocol),
        };
        let name =
            str::from_utf8(value).ok().filter(|name| is_token(name)).ok_or(ResponseError::Subprotocol)?;
        // RFC 6455 §4.1: "If the response includes a |Sec-WebSocket-Protocol| header field and this header
        // field indicates the use of a subprotocol that was not present in the client's handshake ..., the
        // client MUST _Fail the WebSocket Connection_."
        match self.subprotocols.iter().find(|offered| *offered == name) {
            Some(offered) => Ok(Some(offered.clone())),
            None => Err(ResponseError::SubprotocolNotOffered(Excerpt::new(value))),
        }
    }
}

/// Whether there is one value and it is as wanted.
fn is_only<'a>(values: impl Iterator<Item = &'a [u8]>, wanted: impl Fn(&[u8]) -> bool) -> bool {
    matches!(single(values), Single::One(value) if wanted(value))
}

impl fmt::Debug for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expected")
            .field("subprotocols", &RedactedList(&self.subprotocols))
            .field("subprotocol_required", &self.subprotocol_required)
            .field("extensions", &self.extensions)
            .field("required_extensions", &self.required_extensions)
            .finish_non_exhaustive()
    }
}
