//! HTTP responses that a server writes instead of a connection (RFC 6455 §4.2.2).

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use super::error::RequestError;
use super::fields::{ExtraHeaders, HeaderError, RESERVED_IN_RESPONSES, write_header};
use crate::redacted::Redacted;
use crate::sink::{Full, Sink};

/// An HTTP response other than `101`: a refusal, or the answer to an ordinary request.
///
/// It ends the HTTP connection: `Connection: close` and the right `Content-Length` are written by themselves,
/// and with status 426 the WebSocket version that is spoken here. Close the stream when it is out.
///
/// ```
/// use sansocket::handshake::Response;
///
/// let mut out = Vec::new();
/// Response::new(401).header("WWW-Authenticate", "Bearer").body("no token\n").write(&mut out)?;
/// assert!(out.starts_with(b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n"));
/// # Ok::<(), sansocket::handshake::WriteResponseError>(())
/// ```
#[derive(Clone)]
pub struct Response {
    status: u16,
    headers: ExtraHeaders,
    body: Vec<u8>,
    tells_version: bool,
}

impl Response {
    /// A response without headers of its own and without a body; `status` is 200 to 599.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: ExtraHeaders::new(), body: Vec::new(), tells_version: status == 426 }
    }

    /// Adds a header line, `Content-Type` for instance. It is checked when the response is written.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Writes the response, whole or not at all.
    ///
    /// To answer a HEAD request use [`RefusedRequest::respond`](super::RefusedRequest::respond), which leaves
    /// the body out.
    ///
    /// # Errors
    ///
    /// The status is out of range, a header cannot be sent, a body stands where none is allowed, or `out` has
    /// too little room. Nothing was written then.
    pub fn write(&self, out: &mut impl Sink) -> Result<(), WriteResponseError> {
        self.write_body_or_not(false, out)
    }

    pub(super) fn write_body_or_not(
        &self,
        head_only: bool,
        out: &mut impl Sink,
    ) -> Result<(), WriteResponseError> {
        let bodiless = self.check_status()?;
        let mut bytes = format!("HTTP/1.1 {} {}\r\n", self.status, reason_phrase(self.status)).into_bytes();
        if self.tells_version {
            // RFC 9110 §7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option in the
            // Connection header field".
            write_header(&mut bytes, "Connection", b"close, Upgrade");
            write_header(&mut bytes, "Upgrade", b"websocket");
            write_header(&mut bytes, "Sec-WebSocket-Version", b"13");
        } else {
            write_header(&mut bytes, "Connection", b"close");
        }
        if !bodiless {
            write_header(&mut bytes, "Content-Length", format!("{}", self.body.len()).as_bytes());
        }
        self.headers.write(RESERVED_IN_RESPONSES, &mut bytes).map_err(WriteResponseError::Header)?;
        bytes.extend_from_slice(b"\r\n");
        if !head_only {
            bytes.extend_from_slice(&self.body);
        }
        write_whole(&bytes, out).map_err(WriteResponseError::Full)
    }
}

impl Response {
    /// Checks status and body, and returns whether there can be a body.
    fn check_status(&self) -> Result<bool, WriteResponseError> {
        if !(200..=599).contains(&self.status) {
            return Err(WriteResponseError::Status(self.status));
        }
        let bodiless = matches!(self.status, 204 | 304);
        match bodiless && !self.body.is_empty() {
            true => Err(WriteResponseError::Body(self.status)),
            false => Ok(bodiless),
        }
    }

    /// Status, header lines and body, for another library that writes the rest.
    #[cfg(feature = "http")]
    #[allow(clippy::type_complexity)]
    pub(crate) fn parts(
        &self,
    ) -> Result<(u16, impl Iterator<Item = Result<(&str, &[u8]), HeaderError>>, &[u8]), WriteResponseError>
    {
        self.check_status()?;
        let version: &[(&str, &[u8])] = match self.tells_version {
            true => {
                &[("Connection", b"Upgrade"), ("Upgrade", b"websocket"), ("Sec-WebSocket-Version", b"13")]
            }
            false => &[],
        };
        let lines = version.iter().copied().map(Ok).chain(self.headers.checked(RESERVED_IN_RESPONSES));
        Ok((self.status, lines, &self.body))
    }
}

/// The answer that says what is wrong.
impl From<&RequestError> for Response {
    fn from(error: &RequestError) -> Self {
        let mut response = Self::new(error.status())
            .header("Content-Type", "text/plain; charset=utf-8")
            .body(format!("{error}\n"));
        // RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
        match error {
            RequestError::Method(_) => response = response.header("Allow", "GET"),
            RequestError::NotConnect(_) => response = response.header("Allow", "CONNECT"),
            _ => {}
        }
        response.tells_version = error.tells_version();
        response
    }
}

/// Appends all bytes if there is room for all.
pub(super) fn write_whole(bytes: &[u8], out: &mut impl Sink) -> Result<(), Full> {
    if out.room() < bytes.len() {
        return Err(Full { needed: bytes.len() });
    }
    out.push(bytes);
    Ok(())
}

const fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        // The phrase may be empty, the blank before it may not be missing (RFC 9112 §4).
        _ => "",
    }
}

/// Why a response was not written.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WriteResponseError {
    /// The status is not from 200 to 599; `101` comes from accepting the request.
    Status(u16),
    /// A header cannot be sent.
    Header(HeaderError),
    /// A response with this status has no body.
    Body(u16),
    /// The output has too little room.
    Full(Full),
}

impl fmt::Display for WriteResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status} is no status of a final response: use 200 to 599"),
            Self::Header(error) => error.fmt(f),
            Self::Body(status) => write!(f, "a response with status {status} has no body"),
            Self::Full(full) => full.fmt(f),
        }
    }
}

impl core::error::Error for WriteResponseError {}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &Redacted::of(&self.body))
            .finish_non_exhaustive()
    }
}
