//! What a route answers instead of a WebSocket.

use std::error::Error;
use std::fmt;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use sansocket::hyper::{Reason, Rejection, UpgradeError};

/// A request that gets no WebSocket. As a response it has the status and the text of sansocket's own handshake.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebSocketUpgradeRejection(Rejection);

impl WebSocketUpgradeRejection {
    /// Returns the reason: a fault of the request, an origin that is not allowed, a shutdown, or a fault of the server.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        self.0.reason()
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for WebSocketUpgradeRejection {
    fn into_response(self) -> Response {
        self.0.into_response().map(Body::from)
    }
}

impl From<Rejection> for WebSocketUpgradeRejection {
    fn from(rejection: Rejection) -> Self {
        Self(rejection)
    }
}

impl fmt::Display for WebSocketUpgradeRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for WebSocketUpgradeRejection {}

/// Why a valid request did not become a WebSocket; see
/// [`on_failed_upgrade`](super::WebSocketUpgrade::on_failed_upgrade).
#[derive(Debug)]
#[non_exhaustive]
pub enum FailedUpgrade {
    /// The request was rejected when it was to be accepted: its origin is not allowed, the group is shutting down, or the
    /// application's choices do not fit the request. The client got the response that says so.
    Rejected(WebSocketUpgradeRejection),
    /// hyper did not hand over the stream.
    Upgrade(UpgradeError),
}

impl fmt::Display for FailedUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Upgrade(error) => error.fmt(f),
        }
    }
}

impl Error for FailedUpgrade {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Rejected(_) => None,
            Self::Upgrade(error) => error.source(),
        }
    }
}
