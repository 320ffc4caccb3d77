//! What a client wants: URL, headers, subprotocols, the way there, time, limits.

use alloc::sync::Arc;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use super::Attempt;
use crate::handshake::{ClientRequest, Extension, HandshakeLimits};
use crate::stream::{Error, HandshakeError};
use crate::{Config, UriError, WebSocketUri};

/// How a client connects: URL, headers, subprotocols, proxy, TLS, timeout, limits.
///
/// It is the same over both adapters, `Over` says which: use it as
/// [`blocking::Connector`](crate::blocking::Connector) or (feature `tokio`) `tokio::Connector`. One connector serves
/// for any number of connections.
///
/// ```no_run
/// use std::time::Duration;
/// use sansocket::blocking::Connector;
///
/// let mut ws = Connector::new("ws://127.0.0.1:9001/chat")
///     .header("Authorization", "Bearer 0815")
///     .subprotocol("chat.v2")
///     .timeout(Duration::from_secs(3))
///     .connect()?;
/// println!("subprotocol: {:?}", ws.subprotocol());
/// # Ok::<(), sansocket::blocking::Error>(())
/// ```
///
/// The debug form shows neither the values of headers nor passwords nor the query of the URL.
pub struct Connector<Over> {
    pub(super) request: Result<ClientRequest, UriError>,
    pub(super) config: Arc<Config>,
    pub(super) limits: HandshakeLimits,
    pub(super) timeout: Duration,
    over: PhantomData<fn() -> Over>,
}

impl<Over> Connector<Over> {
    /// Connects to `url` and asks for nothing but its resource. A malformed URL shows when connecting.
    #[must_use]
    pub fn new(url: impl AsRef<str>) -> Self {
        Self {
            request: WebSocketUri::parse(url.as_ref()).map(ClientRequest::new),
            config: Arc::default(),
            limits: HandshakeLimits::default(),
            timeout: Duration::from_secs(10),
            over: PhantomData,
        }
    }

    /// Adds a header such as `Authorization` or `Cookie`; those of the handshake itself are refused.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.with(|request| request.header(name, value))
    }

    /// Sends an `Origin`, as a browser does for its page. Default: none.
    #[must_use]
    pub fn origin(self, origin: impl AsRef<[u8]>) -> Self {
        self.with(|request| request.origin(origin))
    }

    /// Offers a subprotocol, after those offered before.
    #[must_use]
    pub fn subprotocol(self, name: &str) -> Self {
        self.with(|request| request.subprotocol(name))
    }

    /// Fails if the server chooses none of the subprotocols. Default: the connection opens without one.
    #[must_use]
    pub fn require_subprotocol(self) -> Self {
        self.with(ClientRequest::require_subprotocol)
    }

    /// Offers an extension that the code around the connection carries out.
    #[must_use]
    pub fn extension(self, extension: &Extension<'_>) -> Self {
        self.with(|request| request.extension(extension))
    }

    /// Sets limits and deadlines of the open connection.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Sets what the server's response may cost; its time is set by [`timeout`](Self::timeout).
    #[must_use]
    pub fn limits(mut self, limits: HandshakeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Bounds everything up to the open connection: name, TCP, proxy, TLS and handshake, redirects included, all
    /// together. Default 10 s; [`Duration::MAX`] is no limit.
    ///
    /// When it is over, [`ConnectError::TimedOut`](super::ConnectError::TimedOut) names the step that did not finish.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The first request.
    pub(crate) fn attempt(&self) -> Result<Attempt<'_>, Error> {
        let request = self.request.as_ref().map_err(|error| HandshakeError::Uri(*error))?;
        Ok(Attempt::new(request.clone(), &self.config, self.limits, self.timeout))
    }

    fn with(mut self, change: impl FnOnce(ClientRequest) -> ClientRequest) -> Self {
        self.request = self.request.map(change);
        self
    }
}

impl<Over> Clone for Connector<Over> {
    fn clone(&self) -> Self {
        Self {
            request: self.request.clone(),
            config: self.config.clone(),
            limits: self.limits,
            timeout: self.timeout,
            over: PhantomData,
        }
    }
}

impl<Over> fmt::Debug for Connector<Over> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("request", &self.request)
            .field("config", &self.config)
            .field("limits", &self.limits)
            .field("timeout", &self.timeout)
            .finish()
    }
}
