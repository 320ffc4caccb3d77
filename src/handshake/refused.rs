//! A request without a connection, and its answer (RFC 6455 §4.2.2).

use alloc::boxed::Box;
use core::fmt;

use super::checks::ParsedRequest as _;
use super::error::RequestError;
use super::request::RequestHead;
use super::response::{Response, WriteResponseError};
use crate::sink::Sink;

/// A request that got no connection: why, and the HTTP response that says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefusedRequest {
    error: RequestError,
    head: Option<Box<RequestHead>>,
}

impl RefusedRequest {
    pub(super) fn new(error: RequestError, head: Option<RequestHead>) -> Self {
        Self { error, head: head.map(Box::new) }
    }

    /// What is wrong with the request.
    #[must_use]
    pub const fn error(&self) -> &RequestError {
        &self.error
    }

    /// What the client asked for, if that much was readable.
    #[must_use]
    pub fn head(&self) -> Option<&RequestHead> {
        self.head.as_deref()
    }

    /// The request, if it is an ordinary HTTP request that does not ask for a WebSocket.
    ///
    /// For a server that also answers `GET /health`, say: [`respond`](Self::respond) instead of
    /// [`write_response`](Self::write_response). A body that the request may have is still in the stream.
    #[must_use]
    pub fn plain_request(&self) -> Option<&RequestHead> {
        self.head().filter(|head| !head.asks_for_websocket())
    }

    /// Writes the response that fits the error: a status from [`RequestError::status`], a line of text that
    /// says what is wrong, and `Connection: close`. Close the stream when it is out.
    ///
    /// # Errors
    ///
    /// `out` has too little room; nothing was written.
    pub fn write_response(&self, out: &mut impl Sink) -> Result<(), WriteResponseError> {
        self.respond(&Response::from(&self.error), out)
    }

    /// Writes another response instead, without its body if the method was HEAD. Close the stream when it is
    /// out.
    ///
    /// # Errors
    ///
    /// As [`Response::write`].
    pub fn respond(&self, response: &Response, out: &mut impl Sink) -> Result<(), WriteResponseError> {
        response.write_body_or_not(self.head().is_some_and(|head| head.method() == "HEAD"), out)
    }
}

impl fmt::Display for RefusedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for RefusedRequest {}
