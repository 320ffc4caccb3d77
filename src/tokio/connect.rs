//! The client's side of the opening handshake.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::net::TcpStream;
use ::tokio::time::{Instant, timeout};

use super::exchange::Exchange;
use super::{Error, HandshakeError, WebSocket};
use crate::handshake::{ClientRequest, ClientStep, Extension, HandshakeLimits, random_nonce};
use crate::stream::Opened;
use crate::{Config, MaskKeys, UriError, WebSocketUri};

/// Connects to a `ws:` URL over TCP, with the defaults.
///
/// # Errors
///
/// As [`Connector::connect`].
pub async fn connect(url: impl AsRef<str>) -> Result<WebSocket<TcpStream>, Error> {
    Connector::new(url).connect().await
}

/// How a client connects: URL, headers, subprotocols, timeout, limits.
///
/// ```no_run
/// use std::time::Duration;
/// use sansocket::tokio::Connector;
///
/// # async fn open() -> Result<(), sansocket::tokio::Error> {
/// let ws = Connector::new("ws://127.0.0.1:9001/chat")
///     .header("Authorization", "Bearer 0815")
///     .subprotocol("chat.v2")
///     .timeout(Duration::from_secs(3))
///     .connect()
///     .await?;
/// println!("subprotocol: {:?}", ws.subprotocol());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connector {
    request: Result<ClientRequest, UriError>,
    config: Arc<Config>,
    limits: HandshakeLimits,
    timeout: Duration,
}

impl Connector {
    /// Connects to `url` and asks for nothing but its resource. A malformed URL shows when connecting.
    #[must_use]
    pub fn new(url: impl AsRef<str>) -> Self {
        let request = WebSocketUri::parse(url.as_ref()).map(ClientRequest::new);
        let limits = HandshakeLimits::default();
        Self { request, config: Arc::default(), limits, timeout: Duration::from_secs(10) }
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

    /// Bounds everything up to the open connection: name, TCP and handshake together. Default 10 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects over TCP and opens the WebSocket. Dropping the future drops the attempt.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for an URL, header or subprotocol that cannot be sent, for a refusal by the server
    /// (status, headers, body) and for a response that breaks the rules; [`Error::TimedOut`]; [`Error::Io`].
    /// A `wss:` URL needs a TLS stream and [`connect_over`](Self::connect_over).
    pub async fn connect(&self) -> Result<WebSocket<TcpStream>, Error> {
        let uri = self.request()?.uri();
        if uri.is_secure() {
            return Err(HandshakeError::TlsNeeded.into());
        }
        let host = uri.host().trim_start_matches('[').trim_end_matches(']');
        let began = Instant::now();
        let connecting = timeout(self.timeout, TcpStream::connect((host, uri.port())));
        let stream = connecting.await.map_err(|_| Error::TimedOut)??;
        stream.set_nodelay(true)?;
        // A timeout around everything would take a refusal away whose body does not end in time.
        self.open(stream, self.timeout.saturating_sub(began.elapsed())).await
    }

    /// Opens the WebSocket over a stream that is connected to the server already, TLS included for `wss:`.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_over<S>(&self, stream: S) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.open(stream, self.timeout).await
    }

    async fn open<S>(&self, stream: S, timeout: Duration) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut bytes = Vec::new();
        let nonce = random_nonce().map_err(HandshakeError::Randomness)?;
        let request = self.request()?.clone().with_config(&self.config).limits(self.limits.timeout(timeout));
        let mut handshake =
            request.start(nonce, Duration::ZERO, &mut bytes).map_err(HandshakeError::Request)?;
        let mut exchange = Exchange::new(stream);
        exchange.write(&bytes, handshake.poll_timeout()).await?;
        let mut buffer = alloc::vec![0; 4096];
        loop {
            let read = exchange.read(&mut buffer, handshake.poll_timeout()).await?;
            let bytes = buffer.get(..read.unwrap_or_default()).unwrap_or_default();
            let now = exchange.now();
            let step = match read {
                None => handshake.handle_timeout(now),
                Some(0) => handshake.handle_eof().map(ClientStep::Refused),
                Some(_) => handshake.receive(now, bytes),
            };
            handshake = match step.map_err(HandshakeError::Response)? {
                ClientStep::NeedMore(handshake) => handshake,
                ClientStep::Refused(refusal) => return Err(HandshakeError::Refusal(refusal).into()),
                ClientStep::Open { opened, consumed } => {
                    let unread = bytes.get(consumed..).unwrap_or_default();
                    let response = Some(opened.response().clone());
                    let (connection, negotiated) =
                        opened.into_connection(self.config.clone(), MaskKeys::thread(), Duration::ZERO);
                    let opened = Opened { subprotocol: negotiated.subprotocol, response };
                    let stream = exchange.stream.io;
                    return Ok(WebSocket::open(stream, connection, unread, Vec::new(), opened));
                }
            };
        }
    }

    fn request(&self) -> Result<&ClientRequest, Error> {
        self.request.as_ref().map_err(|error| HandshakeError::Uri(*error).into())
    }

    fn with(mut self, change: impl FnOnce(ClientRequest) -> ClientRequest) -> Self {
        self.request = self.request.map(change);
        self
    }
}
