//! The extractor.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::HeaderMap;
use http::request::Parts;
use sansocket::Config;
#[cfg(feature = "deflate")]
use sansocket::deflate::Deflate;
use sansocket::handshake::{Acceptance, Offer};
use sansocket::hyper::{Origins, Upgrade, Upgrading};
use sansocket::tokio::Group;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{FailedUpgrade, WebSocket, WebSocketUpgradeRejection};

/// Extracts a WebSocket over HTTP/1.1 or HTTP/2. Register the route with `any`: over HTTP/2 the method is `CONNECT`.
///
/// ```no_run
/// use axum::response::Response;
/// use axum::{Router, routing::any};
/// use sansocket_axum::{Origins, WebSocket, WebSocketUpgrade};
///
/// async fn chat(ws: WebSocketUpgrade) -> Response {
///     ws.origins(Origins::same()).protocols(["chat.v2"]).on_upgrade(echo)
/// }
///
/// async fn echo(mut ws: WebSocket) {
///     while let Ok(Some(message)) = ws.recv().await {
///         if ws.send(message).await.is_err() {
///             return;
///         }
///     }
/// }
///
/// let app: Router = Router::new().route("/chat", any(chat));
/// ```
///
/// `S` is the type of the streams that the server accepts: `TcpStream` for `axum::serve`. If it is another one, for
/// instance a TLS stream, name it in the handler: `ws: WebSocketUpgrade<TlsStream<TcpStream>>`. With a wrong type the
/// WebSocket works all the same, over hyper's own stream.
///
/// It dereferences to the [`Offer`] of the client: origin, subprotocols, extensions.
#[must_use = "without `on_upgrade` or `accept` there is no WebSocket"]
pub struct WebSocketUpgrade<S = TcpStream> {
    upgrade: Upgrade<S>,
    origins: Origins,
    config: Arc<Config>,
    group: Option<Group>,
    acceptance: Acceptance,
    subprotocol: Option<String>,
    on_failed: Option<Box<dyn FnOnce(FailedUpgrade) + Send>>,
}

impl<S, T: Sync> FromRequestParts<T> for WebSocketUpgrade<S> {
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, _: &T) -> Result<Self, Self::Rejection> {
        Ok(Self {
            upgrade: Upgrade::from_request_parts(parts)?.raw_stream(),
            origins: Origins::default(),
            config: Arc::default(),
            group: parts.extensions.get().cloned(),
            acceptance: Acceptance::new(),
            subprotocol: None,
            on_failed: None,
        })
    }
}

impl<S> WebSocketUpgrade<S> {
    /// Sets which web pages may open a WebSocket here; others get 403. Default: any.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Sets limits, deadlines, keepalive and compression, all at once; share an `Arc` between requests.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Sets the largest message that is received, in bytes; see [`Config::max_message_size`](Config::max_message_size()).
    pub fn max_message_size(self, bytes: usize) -> Self {
        self.change_config(|config| config.max_message_size(bytes))
    }

    /// Sets the largest frame that is received, in bytes; see [`Config::max_frame_size`](Config::max_frame_size()).
    pub fn max_frame_size(self, bytes: usize) -> Self {
        self.change_config(|config| config.max_frame_size(bytes))
    }

    /// Sets how many bytes may wait to be written; see [`Config::max_queued_output`](Config::max_queued_output()).
    pub fn max_write_buffer_size(self, bytes: usize) -> Self {
        self.change_config(|config| config.max_queued_output(bytes))
    }

    /// Compresses messages if the client offers it; see [`Config::deflate`](Config::deflate()).
    #[cfg(feature = "deflate")]
    pub fn deflate(self, deflate: impl Into<Option<Deflate>>) -> Self {
        let deflate = deflate.into();
        self.change_config(|config| config.deflate(deflate))
    }

    fn change_config(mut self, change: impl FnOnce(Config) -> Config) -> Self {
        self.config = Arc::new(change(Arc::unwrap_or_clone(self.config)));
        self
    }

    /// Chooses the first of these subprotocols that the client speaks too: the server's order decides.
    pub fn protocols(mut self, supported: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let chosen = supported.into_iter().find(|name| {
            let name = name.as_ref();
            self.upgrade.subprotocols().any(|offered| offered == name)
        });
        self.subprotocol = chosen.map(|name| name.as_ref().to_owned());
        self
    }

    /// Returns the subprotocols that the client speaks, in the order of its preference.
    pub fn requested_protocols(&self) -> impl Iterator<Item = &str> {
        self.upgrade.subprotocols()
    }

    /// Chooses a subprotocol, one that the client offered, or none. With another one the client gets 500.
    pub fn set_selected_protocol<'a>(&mut self, name: impl Into<Option<&'a str>>) {
        self.subprotocol = name.into().map(ToOwned::to_owned);
    }

    /// Returns the chosen subprotocol.
    #[must_use]
    pub fn selected_protocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Adds a header to the response that opens the WebSocket.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.acceptance = self.acceptance.header(name, value);
        self
    }

    /// Adds headers to the response that opens the WebSocket.
    pub fn headers(mut self, headers: &HeaderMap) -> Self {
        self.acceptance = self.acceptance.headers(headers);
        self
    }

    /// Makes the WebSocket a member of a group, in place of that of a [`GroupLayer`](super::GroupLayer). Once the group
    /// shuts down, requests get 503.
    pub fn group(mut self, group: &Group) -> Self {
        self.group = Some(group.clone());
        self
    }

    /// Calls `callback` if a valid request does not become a WebSocket after all. Without one, nobody is notified.
    pub fn on_failed_upgrade(mut self, callback: impl FnOnce(FailedUpgrade) + Send + 'static) -> Self {
        self.on_failed = Some(Box::new(callback));
        self
    }

    /// Returns whether the request came over HTTP/2.
    #[must_use]
    pub const fn is_http2(&self) -> bool {
        self.upgrade.is_http2()
    }

    /// Opens the WebSocket and runs `callback` with it in a task of its own. Returns the response for the client, which is
    /// a rejection if the request cannot be accepted.
    ///
    /// Check permissions before: over HTTP/1.1 the WebSocket can open even if a layer replaces this response by another
    /// one. See [`Upgrade::accept`].
    pub fn on_upgrade<C, R>(mut self, callback: C) -> Response
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        C: FnOnce(WebSocket<S>) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let on_failed = self.on_failed.take();
        let failed = |error| on_failed.map_or((), |on_failed| on_failed(error));
        match self.accept() {
            Ok((response, upgrading)) => {
                tokio::spawn(async move {
                    match upgrading.await {
                        Ok(ws) => callback(ws).await,
                        Err(error) => failed(FailedUpgrade::Upgrade(error)),
                    }
                });
                response
            }
            Err(rejection) => {
                failed(FailedUpgrade::Rejected(rejection.clone()));
                rejection.into_response()
            }
        }
    }

    /// Opens the WebSocket: returns the response for the client, and a future of the WebSocket, to be awaited in a task of
    /// its own. The callback of [`on_failed_upgrade`](Self::on_failed_upgrade) is not used.
    ///
    /// # Errors
    ///
    /// The origin is not allowed, the group is shutting down, or the subprotocol, a header or the configuration is not
    /// valid. Return the rejection as the response.
    pub fn accept(self) -> Result<(Response, Upgrading<S>), WebSocketUpgradeRejection> {
        let upgrade = self.upgrade.origins(self.origins).config(self.config);
        let upgrade = match &self.group {
            Some(group) => upgrade.group(group),
            None => upgrade,
        };
        let (response, upgrading) =
            upgrade.accept(&self.acceptance.subprotocol(self.subprotocol.as_deref()))?;
        Ok((response.map(Body::from), upgrading))
    }
}

impl<S> Deref for WebSocketUpgrade<S> {
    type Target = Offer;

    fn deref(&self) -> &Offer {
        &self.upgrade
    }
}

impl<S> fmt::Debug for WebSocketUpgrade<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("upgrade", &self.upgrade)
            .field("origins", &self.origins)
            .field("config", &self.config)
            .field("acceptance", &self.acceptance)
            .finish_non_exhaustive()
    }
}
