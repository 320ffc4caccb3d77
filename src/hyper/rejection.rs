//! Why a request gets no WebSocket, and the response for the client.

use alloc::vec::Vec;
use core::fmt;

use ::http::{HeaderMap, Response as HttpResponse, StatusCode, header};
use bytes::Bytes;

use crate::ConfigError;
use crate::handshake::{AcceptError, RequestError, Response};

/// A request that gets no WebSocket: the [reason](Self::reason), and the [response](Self::into_response) for the client.
///
/// The response has the same status and text as that of the crate's own handshake. Over HTTP/2, a version other than 13 gets
/// 400 in place of 426.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejection {
    reason: Reason,
    is_http2: bool,
}

/// Why a request gets no WebSocket.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The request is not one for a WebSocket. Its error says which status the response has.
    Request(RequestError),
    /// The `Origin` is not allowed. Status 403.
    Origin,
    /// The group of the connection is shutting down. Status 503.
    ShuttingDown,
    /// The application accepts the request in a way that does not fit it. Status 500.
    Accept(AcceptError),
    /// The configuration is not valid. Status 500.
    Config(ConfigError),
    /// hyper offers no upgrade: the request was not made by hyper's server, or its upgrade was taken before. Status 500.
    NoUpgrade,
}

impl Rejection {
    pub(super) const fn new(reason: Reason, is_http2: bool) -> Self {
        Self { reason, is_http2 }
    }

    /// Why there is no WebSocket.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The status of the response.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match &self.reason {
            // RFC 9110 §15.5.22: a 426 "MUST send an Upgrade header field", which HTTP/2 does not have.
            Reason::Request(RequestError::UnsupportedVersion(_)) if self.is_http2 => 400,
            Reason::Request(error) => error.status(),
            Reason::Origin => 403,
            Reason::ShuttingDown => 503,
            Reason::Accept(_) | Reason::Config(_) | Reason::NoUpgrade => 500,
        }
    }

    /// The response for the client: a line of text that says what is wrong with the request.
    ///
    /// For a fault of the server (500) the text does not say which: that is in the [reason](Self::reason).
    #[must_use]
    pub fn into_response(self) -> HttpResponse<Bytes> {
        let text = |text: &str| {
            Response::new(self.status())
                .header("Content-Type", "text/plain; charset=utf-8")
                .body([text, "\n"].concat())
        };
        let response = match &self.reason {
            Reason::Request(error) => Response::from(error),
            Reason::Origin => text("the origin is not allowed"),
            Reason::ShuttingDown => text("the server is shutting down"),
            _ => text("the server cannot open a websocket"),
        };
        // Its parts are those of this crate, and valid.
        let mut response = HttpResponse::<Vec<u8>>::try_from(&response).unwrap_or_else(|_| {
            let mut response = HttpResponse::new(Vec::new());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        });
        if self.is_http2 {
            remove_hop_headers(response.headers_mut());
            if let Ok(status) = StatusCode::from_u16(self.status()) {
                *response.status_mut() = status;
            }
        }
        response.map(Bytes::from)
    }
}

/// RFC 9113 §8.2.2: "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header fields."
fn remove_hop_headers(headers: &mut HeaderMap) {
    headers.remove(header::CONNECTION);
    headers.remove(header::UPGRADE);
}

impl From<Rejection> for HttpResponse<Bytes> {
    fn from(rejection: Rejection) -> Self {
        rejection.into_response()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Request(error) => error.fmt(f),
            Reason::Origin => f.write_str("the origin is not allowed"),
            Reason::ShuttingDown => f.write_str("the group of the connection is shutting down"),
            Reason::Accept(error) => error.fmt(f),
            Reason::Config(error) => error.fmt(f),
            Reason::NoUpgrade => f.write_str(
                "hyper offers no upgrade for this request: serve the connection with upgrades, and take each once",
            ),
        }
    }
}

impl core::error::Error for Rejection {}
