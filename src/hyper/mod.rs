//! WebSockets with hyper 1: servers and clients, over HTTP/1.1 and over HTTP/2 (RFC 8441).
//!
//! # Servers
//!
//! [`upgrade`](upgrade()) checks a request and returns an [`Upgrade`] to accept. The WebSocket is the same
//! [`tokio::WebSocket`](crate::tokio::WebSocket) as everywhere else.
//!
//! ```no_run
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use sansocket::handshake::Acceptance;
//! use sansocket::hyper::{Origins, upgrade};
//!
//! /// A hyper service. The body of the response is for instance `http_body_util::Full::new(bytes)`.
//! async fn serve<B>(mut request: Request<B>) -> Result<Response<Bytes>, Infallible> {
//!     let accepted = upgrade(&mut request).and_then(|upgrade| {
//!         let acceptance = Acceptance::new().subprotocol(upgrade.choose_subprotocol(["chat.v2"]));
//!         upgrade.origins(Origins::same()).on_upgrade(&acceptance, |ws| async {
//!             let Ok(mut ws) = ws else { return };
//!             while let Ok(Some(message)) = ws.recv().await {
//!                 if ws.send(message).await.is_err() {
//!                     return;
//!                 }
//!             }
//!         })
//!     });
//!     Ok(accepted.unwrap_or_else(|rejection| rejection.into_response()))
//! }
//! ```
//!
//! # What the server must do
//!
//! - HTTP/1.1: serve the connection with upgrades (`with_upgrades`, `serve_connection_with_upgrades`), and set
//!   `TCP_NODELAY` on the stream.
//! - HTTP/2: call `enable_connect_protocol` on the builder, or browsers open another connection over HTTP/1.1. Routers
//!   must pass `CONNECT` requests on, not only `GET`.
//! - HTTP/2: all streams of a connection share its window. A WebSocket whose task does not read pins as much of it as its
//!   own window, so that the others starve. Set `initial_connection_window_size` to at least
//!   `initial_stream_window_size` × (the number of WebSockets that may stall on one connection + 1).
//!
//! hyper ends a whole HTTP/2 connection on which a `CONNECT` request announces a body, before this module sees the request.
//!
//! # Clients
//!
//! `Http2` opens many WebSockets over one connection of HTTP/2. `Connector::http_request` lets hyper or reqwest do the
//! opening handshake over HTTP/1.1. Both need the feature `rand`.

#[cfg(feature = "rand")]
mod client;
#[cfg(feature = "rand")]
mod http2;
#[cfg(feature = "rand")]
mod http2_error;
#[cfg(feature = "rand")]
mod http2_queue;
#[cfg(feature = "rand")]
mod http2_stream;
mod origins;
mod rejection;
mod request;
mod stream;
mod upgrade;

use ::http::Request;

#[cfg(feature = "rand")]
pub use client::{CheckedUpgrade, ClientUpgrade};
#[cfg(feature = "rand")]
pub use http2::{Http2, Http2Builder};
#[cfg(feature = "rand")]
pub use http2_error::Http2Error;
#[cfg(feature = "rand")]
pub use http2_stream::Http2Stream;
pub use origins::Origins;
pub use rejection::{Reason, Rejection};
pub use stream::Stream;
pub use upgrade::{Upgrade, UpgradeError, Upgrading};

/// Checks a request for a WebSocket over HTTP/1.1 or HTTP/2, as the crate's own handshake does.
///
/// Method, version, `Connection`, `Upgrade`, key, host, body, subprotocols and extensions are checked; over HTTP/2 the
/// `:protocol` instead of the key. Then accept the [`Upgrade`].
///
/// # Errors
///
/// The request is not a valid one for a WebSocket, or carries no upgrade of hyper. The request is unchanged; answer it with
/// [`Rejection::into_response`], or with another resource if it does not ask for a WebSocket.
pub fn upgrade<B>(request: &mut Request<B>) -> Result<Upgrade, Rejection> {
    Upgrade::from_request(request)
}
