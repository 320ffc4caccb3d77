//! One request of possibly several, and the way to whom it goes.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use super::connector::{Options, ProxyChoice};
use super::redirect::{is_redirect, is_same_origin, resolve};
use super::{ClientOpening, ConnectError, Proxy, ProxyFailure, ProxySettings, RedirectError, Tunnel};
use crate::UriError;
use crate::engine::{Error, HandshakeError};
use crate::handshake::{ClientRequest, Refusal, random_nonce};

#[cfg(feature = "rustls")]
use super::{Step, tls};

/// A request and its options, until the connection is open or refused for good.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    request: ClientRequest,
    options: &'a Options,
    redirects: u8,
}

/// The way to the server: TCP, and what is set up over it, in this order.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) layers: Vec<Layer>,
}

#[derive(Debug)]
pub(crate) enum Layer {
    /// The proxy is asked for a tunnel, with these bytes first.
    Tunnel(Tunnel, Vec<u8>),
    /// TLS, and the step that it belongs to: TLS with a proxy is a matter of the proxy.
    #[cfg(feature = "rustls")]
    Tls { step: Step, peer: tls::Peer },
}

impl Layer {
    fn proxy(&self) -> Option<&str> {
        match self {
            Self::Tunnel(tunnel, _) => Some(&tunnel.proxy),
            #[cfg(feature = "rustls")]
            Self::Tls { .. } => None,
        }
    }
}

impl Route {
    /// Offers HTTP/2 to the server, besides HTTP/1.1.
    #[cfg(feature = "hyper")]
    pub(crate) fn offer_http2(&mut self) {
        #[cfg(feature = "rustls")]
        for layer in &mut self.layers {
            if let Layer::Tls { step: Step::Tls, peer } = layer {
                peer.offer_http2();
            }
        }
    }

    /// Names the proxy in an error of the way to the first host: the environment may have chosen it.
    pub(crate) fn unreachable_error(&self, error: Error) -> Error {
        let proxy = self.layers.iter().find_map(Layer::proxy);
        match (proxy, error) {
            (Some(proxy), Error::Connect(error)) if !matches!(*error, ConnectError::TimedOut { .. }) => {
                let failure = ProxyFailure::Unreachable(error);
                ConnectError::Proxy { proxy: proxy.into(), failure }.into()
            }
            (_, error) => error,
        }
    }
}

impl<'a> Attempt<'a> {
    pub(super) fn first(options: &'a Options) -> Result<Self, Error> {
        options.config.validate()?;
        let request = options.request.clone().map_err(HandshakeError::Uri)?;
        Ok(Self { request, options, redirects: 0 })
    }

    /// By when all must be done, counted from the beginning; `None` for no limit.
    pub(crate) fn until(&self) -> Option<Duration> {
        Some(self.options.timeout).filter(|timeout| *timeout < Duration::MAX)
    }

    /// Returns the state machine of the handshake, and the request in bytes. Fails if the request cannot be sent.
    pub(crate) fn start(&self) -> Result<(ClientOpening, Vec<u8>), Error> {
        let mut bytes = Vec::new();
        let nonce = random_nonce().map_err(HandshakeError::Randomness)?;
        let limits = self.options.limits.timeout(self.options.timeout);
        let request = self.request.clone().with_config(&self.options.config).limits(limits);
        // The clock of the handshake is that of the whole opening.
        let handshake = request.start(nonce, Duration::ZERO, &mut bytes).map_err(HandshakeError::Request)?;
        let config = self.options.config.clone();
        Ok((ClientOpening { handshake, config, first_bytes: Vec::new() }, bytes))
    }

    /// The URI that is asked for.
    #[cfg(feature = "hyper")]
    pub(crate) const fn uri(&self) -> &crate::WebSocketUri {
        self.request.uri()
    }

    /// The limits of a response.
    #[cfg(feature = "hyper")]
    pub(crate) const fn limits(&self) -> crate::handshake::HandshakeLimits {
        self.options.limits
    }

    /// The way to the server.
    pub(crate) fn route(&self) -> Result<Route, Error> {
        let uri = self.request.uri();
        let (host, port) = (uri.host(), uri.port());
        let mut layers = Vec::new();
        // RFC 6455 §4.1: "If the client is configured to use a proxy when using the WebSocket Protocol to connect to
        // host /host/ and port /port/, then the client SHOULD connect to that proxy and ask it to open a TCP connection
        // to the host given by /host/ and the port given by /port/."
        let proxy = self.proxy().map_err(ConnectError::ProxyUrl)?;
        if let Some(proxy) = &proxy {
            if proxy.is_secure() {
                layers.push(self.tls(proxy.host(), true)?);
            }
            let failed = |failure| ConnectError::Proxy { proxy: proxy.to_string(), failure };
            let tunnel = Tunnel::new(proxy, (host, port), self.options.limits, self.until());
            let (tunnel, request) = tunnel.map_err(failed)?;
            layers.push(Layer::Tunnel(tunnel, request));
        }
        // RFC 6455 §4.1: "If /secure/ is true, the client MUST perform a TLS handshake over the connection after opening
        // the connection and before sending the handshake data".
        if uri.is_secure() {
            layers.push(self.tls(host, false)?);
        }
        let (host, port) = proxy.as_ref().map_or((host, port), |proxy| (proxy.host(), proxy.port()));
        Ok(Route { host: host.into(), port, layers })
    }

    /// Returns the next attempt after a redirect, or the error that ends the opening.
    pub(crate) fn refused(self, refusal: Refusal) -> Result<Self, Error> {
        let Self { request, options, redirects } = self;
        if options.redirects == 0 || !is_redirect(&refusal) {
            return Err(HandshakeError::Refusal(refusal).into());
        }
        let redirect = |error| Err(ConnectError::Redirect(error).into());
        if redirects == options.redirects {
            return redirect(RedirectError::TooMany(refusal));
        }
        let target = refusal.location().map(|location| resolve(request.uri(), location));
        match target {
            None => redirect(RedirectError::Target(refusal, None::<UriError>)),
            Some(Err(error)) => redirect(RedirectError::Target(refusal, Some(error))),
            Some(Ok(uri)) if request.uri().is_secure() && !uri.is_secure() && !options.insecure_redirects => {
                redirect(RedirectError::Insecure(refusal))
            }
            Some(Ok(uri)) => {
                let same_origin = is_same_origin(request.uri(), &uri);
                Ok(Self { request: request.redirected(uri, same_origin), options, redirects: redirects + 1 })
            }
        }
    }

    fn proxy(&self) -> Result<Option<Proxy>, super::ProxyUrlError> {
        let uri = self.request.uri();
        match &self.options.proxy {
            ProxyChoice::None => Ok(None),
            ProxyChoice::One(proxy) => proxy.clone().map(Some),
            ProxyChoice::Settings(settings) => settings.proxy_for(uri).map(Option::<&_>::cloned),
            ProxyChoice::Environment => ProxySettings::from_env().proxy_for(uri).map(Option::<&_>::cloned),
        }
    }

    #[cfg(feature = "rustls")]
    fn tls(&self, host: &str, is_proxy: bool) -> Result<Layer, Error> {
        let step = if is_proxy { Step::Proxy } else { Step::Tls };
        let peer = tls::Peer::new(host, self.options.tls.as_ref()).map_err(ConnectError::Tls)?;
        Ok(Layer::Tls { step, peer })
    }

    #[cfg(not(feature = "rustls"))]
    #[allow(clippy::unused_self)]
    fn tls(&self, _: &str, _: bool) -> Result<Layer, Error> {
        Err(HandshakeError::TlsNeeded.into())
    }
}
