//! Runs routes with WebSockets in tests, without a port (feature `testing`).
//!
//! The whole server is real: hyper parses the requests and upgrades the connections. Only the network is replaced, by a
//! stream in memory.
//!
//! ```
//! use axum::{Router, routing::any};
//! use sansocket_axum::{WebSocket, WebSocketUpgrade, testing};
//!
//! async fn shout(mut ws: WebSocket) {
//!     while let Ok(Some(message)) = ws.recv().await {
//!         let _ = ws.send(message.as_text().unwrap_or_default().to_uppercase()).await;
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), sansocket_axum::Error> {
//! let app = Router::new().route("/shout", any(async |ws: WebSocketUpgrade| ws.on_upgrade(shout)));
//! let mut client = testing::connect(app, "ws://localhost/shout").await?;
//! client.send("hello").await?;
//! assert_eq!(client.recv().await?, Some("HELLO".into()));
//! # Ok(())
//! # }
//! ```

use std::convert::Infallible;

use axum_core::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use sansocket::tokio::{Connector, Error, WebSocket};
use tokio::io::{DuplexStream, duplex};
use tower_service::Service;

/// How many bytes wait in one direction before a write does.
const CAPACITY: usize = 64 << 10;

/// Opens a WebSocket to a route of `app`, which serves this one connection in a task of its own.
///
/// `url` is a URL such as `ws://localhost/chat`, whose host becomes the `Host` of the request. For headers or subprotocols
/// use [`serve`] and a [`Connector`]:
/// `Connector::new(url).subprotocol("chat").connect_over(testing::serve(app)).await`.
///
/// # Errors
///
/// The URL is not valid, or the route refused; see [`Connector::connect`].
pub async fn connect<A>(app: A, url: &str) -> Result<WebSocket<DuplexStream>, Error>
where
    A: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    A::Future: Send + 'static,
{
    Connector::new(url).connect_over(serve(app)).await
}

/// Serves one connection in a task of its own, over HTTP/1.1 or, if the client begins so, HTTP/2, and returns the
/// client's end. Call it inside a runtime.
#[must_use]
pub fn serve<A>(app: A) -> DuplexStream
where
    A: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    A::Future: Send + 'static,
{
    let (client, server) = duplex(CAPACITY);
    tokio::spawn(async move {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http2().enable_connect_protocol();
        let service = TowerToHyperService::new(app);
        // The client's end sees it as well.
        let _ = builder.serve_connection_with_upgrades(TokioIo::new(server), service).await;
    });
    client
}
