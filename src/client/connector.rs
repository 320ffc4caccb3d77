//! What a client wants: URL, headers, subprotocols, the way there, time, limits.

use alloc::sync::Arc;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use super::{Attempt, Proxy, ProxySettings, ProxyUrlError};
use crate::engine::Error;
use crate::handshake::{ClientRequest, Extension, HandshakeLimits};
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
    options: Options,
    over: PhantomData<fn() -> Over>,
}

/// What a connector was told.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) request: Result<ClientRequest, UriError>,
    pub(super) config: Arc<Config>,
    pub(super) limits: HandshakeLimits,
    pub(super) timeout: Duration,
    pub(super) proxy: ProxyChoice,
    /// How many are followed.
    pub(super) redirects: u8,
    pub(super) insecure_redirects: bool,
    #[cfg(feature = "rustls")]
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
}

#[derive(Clone, Debug)]
pub(super) enum ProxyChoice {
    Environment,
    None,
    One(Result<Proxy, ProxyUrlError>),
    Settings(Arc<ProxySettings>),
}

impl<Over> Connector<Over> {
    /// Connects to `url` and asks for nothing but its resource. A malformed URL shows when connecting.
    #[must_use]
    pub fn new(url: impl AsRef<str>) -> Self {
        let options = Options {
            request: WebSocketUri::parse(url.as_ref()).map(ClientRequest::new),
            config: Arc::default(),
            limits: HandshakeLimits::default(),
            timeout: Duration::from_secs(10),
            proxy: ProxyChoice::Environment,
            redirects: 0,
            insecure_redirects: false,
            #[cfg(feature = "rustls")]
            tls: None,
        };
        Self { options, over: PhantomData }
    }

    /// Takes URI and headers of a request of the `http` crate; see `TryFrom` of
    /// [`ClientRequest`](crate::handshake::ClientRequest#impl-TryFrom%3C%26Request%3CT%3E%3E-for-ClientRequest) for what
    /// becomes of them. A URI that is none of a WebSocket shows when connecting.
    ///
    /// ```
    /// use sansocket::blocking::Connector;
    ///
    /// # fn main() -> Result<(), http::Error> {
    /// let request = http::Request::get("wss://chat.example/").header("Authorization", "Bearer 0815").body(())?;
    /// let connector = Connector::from_request(&request);
    /// # let _ = connector;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "http")]
    #[must_use]
    pub fn from_request<T>(request: &http::Request<T>) -> Self {
        let mut connector = Self::new("ws://localhost/");
        connector.options.request = ClientRequest::try_from(request);
        connector
    }

    /// Adds all of these headers, see [`header`](Self::header).
    #[cfg(feature = "http")]
    #[must_use]
    pub fn headers(self, headers: &http::HeaderMap) -> Self {
        self.with(|request| request.headers(headers))
    }

    /// Adds a header such as `Authorization` or `Cookie`; those of the handshake itself are refused.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.with(|request| request.header(name, value))
    }

    /// Sends this `Host` instead of the one of the URL, to reach a virtual host at another address. A malformed one shows
    /// when connecting.
    ///
    /// The host to connect to, and the name that a TLS certificate must have, are still those of the URL. It does not go
    /// to another origin that a redirect leads to.
    #[must_use]
    pub fn host(self, host: &str) -> Self {
        self.with(|request| request.host(host))
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
    ///
    /// With settings that [`Config::validate`] refuses every opening fails with
    /// [`crate::Error::InvalidConfig`] in an [`Error::Connection`], before anything is read or sent.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.options.config = config.into();
        self
    }

    /// Sets what the server's response may cost; its time is set by [`timeout`](Self::timeout).
    #[must_use]
    pub fn limits(mut self, limits: HandshakeLimits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Bounds everything up to the open connection: name, TCP, proxy, TLS and handshake, redirects included, all
    /// together. Default 10 s; [`Duration::MAX`] is no limit.
    ///
    /// When it is over, [`ConnectError::TimedOut`](super::ConnectError::TimedOut) names the step that did not finish.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Connects through this proxy, a [`Proxy`] or its URL. Default: the one that the environment names, see
    /// [`ProxySettings`]. A malformed URL shows when connecting.
    ///
    /// ```
    /// use sansocket::blocking::Connector;
    ///
    /// let connector = Connector::new("wss://chat.example/").proxy("socks5://me:secret@proxy.example");
    /// # let _ = connector;
    /// ```
    #[must_use]
    pub fn proxy<P>(mut self, proxy: P) -> Self
    where
        P: TryInto<Proxy>,
        P::Error: Into<ProxyUrlError>,
    {
        self.options.proxy = ProxyChoice::One(proxy.try_into().map_err(Into::into));
        self
    }

    /// Connects through the proxies of these settings, instead of those that the environment names now.
    #[must_use]
    pub fn proxies(mut self, settings: impl Into<Arc<ProxySettings>>) -> Self {
        self.options.proxy = ProxyChoice::Settings(settings.into());
        self
    }

    /// Connects without a proxy, whatever the environment says.
    #[must_use]
    pub fn no_proxy(mut self) -> Self {
        self.options.proxy = ProxyChoice::None;
        self
    }

    /// Follows so many redirects (status 301, 302, 303, 307 and 308). Default: none, a redirect is a refusal.
    ///
    /// To another origin (scheme, host or port differ) no header goes that was added with [`header`](Self::header),
    /// except `User-Agent` and `Accept-Language`: any other may be a key. Origin and subprotocols do go there: where a
    /// subprotocol carries a key, as some servers want it, follow none. From `wss` to `ws` none is followed unless
    /// [`insecure_redirects`](Self::insecure_redirects) allows it.
    #[must_use]
    pub fn redirects(mut self, most: u8) -> Self {
        self.options.redirects = most;
        self
    }

    /// Follows redirects from `wss` to `ws` too: whoever is on the way can read and change what is sent then.
    #[must_use]
    pub fn insecure_redirects(mut self) -> Self {
        self.options.insecure_redirects = true;
        self
    }

    /// Sets up TLS with this configuration, for `wss:` and with `https` proxies. Default:
    /// [`tls::trusting_the_web`](super::tls::trusting_the_web).
    ///
    /// Its application protocols are set to `http/1.1`, which is what a WebSocket begins with.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls_config(mut self, config: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        self.options.tls = Some(super::tls::with_alpn(config));
        self
    }

    /// The first request.
    pub(crate) fn attempt(&self) -> Result<Attempt<'_>, Error> {
        Attempt::first(&self.options)
    }

    fn with(mut self, change: impl FnOnce(ClientRequest) -> ClientRequest) -> Self {
        self.options.request = self.options.request.map(change);
        self
    }
}

impl<Over> Clone for Connector<Over> {
    fn clone(&self) -> Self {
        Self { options: self.options.clone(), over: PhantomData }
    }
}

impl<Over> fmt::Debug for Connector<Over> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connector").field(&self.options).finish()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut form = f.debug_struct("Options");
        form.field("request", &self.request).field("config", &self.config).field("limits", &self.limits);
        form.field("timeout", &self.timeout).field("proxy", &self.proxy).field("redirects", &self.redirects);
        form.field("insecure_redirects", &self.insecure_redirects);
        form.finish_non_exhaustive()
    }
}
