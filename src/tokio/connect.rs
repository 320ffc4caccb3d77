//! The client's side of the opening handshake.

use alloc::boxed::Box;
use core::time::Duration;

use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::time::Instant;

use super::client_stream::ClientStream;
#[cfg(feature = "rustls")]
use super::dial::before;
use super::dial::dial;
use super::{Error, HandshakeError, Reconnecting, Tokio, WebSocket};
#[cfg(feature = "rustls")]
use crate::client::ConnectError;
use crate::client::{self, Layer, Reconnect, Route};
use crate::poll::opening::run_since;
use crate::poll::runtime::Runtime;

/// Connects to a `ws:` or (feature `rustls`) `wss:` URL, with the defaults.
///
/// # Errors
///
/// As [`Connector::connect`].
pub async fn connect(url: impl AsRef<str>) -> Result<WebSocket<ClientStream>, Error> {
    Connector::new(url).connect().await
}

/// How a client over tokio connects; see [`client::Connector`] for all it can be told.
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
pub type Connector = client::Connector<Tokio>;

/// Over tokio's streams: [`tokio::Connector`](Connector).
impl client::Connector<Tokio> {
    /// Connects to the host of the URL and opens the WebSocket.
    ///
    /// The addresses of the host are raced as RFC 8305 has it. `TCP_NODELAY` is set. Nothing is dialled for a request
    /// that cannot be sent.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for an URL, header or subprotocol that cannot be sent, for a refusal by the server
    /// (status, headers, body) and for a response that breaks the rules; [`Error::Connect`] if there is no stream to
    /// the server, or not in time, which names the step that failed; [`Error::Io`] if the stream failed later;
    /// [`Error::NoRuntime`] outside of a tokio runtime.
    pub async fn connect(&self) -> Result<WebSocket<ClientStream>, Error> {
        Tokio::check()?;
        let epoch = Instant::now();
        let mut attempt = self.attempt()?;
        loop {
            // An invalid request fails before any connection is made.
            let (opening, request) = attempt.start()?;
            // In a box: it is large, and whoever awaits this keeps the room for it.
            let stream = Box::pin(open(attempt.route()?, epoch, attempt.until())).await?;
            match run_since::<_, Tokio, _>(stream, epoch.into_std(), opening, request).await? {
                (stream, Ok(established)) => return Ok(WebSocket::open(stream, established)),
                (_, Err(refusal)) => attempt = attempt.refused(refusal)?,
            }
        }
    }

    /// Connects to the host of the URL for a connection of HTTP/2. With TLS the server may have chosen HTTP/1.1.
    #[cfg(feature = "hyper")]
    pub(crate) async fn dial_http2(&self) -> Result<ClientStream, Error> {
        let attempt = self.attempt()?;
        let mut route = attempt.route()?;
        route.offer_http2();
        Box::pin(open(route, Instant::now(), attempt.until())).await
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
        Tokio::check()?;
        let (opening, request) = self.attempt()?.start()?;
        match run_since::<_, Tokio, _>(stream, Tokio::now(), opening, request).await? {
            (stream, Ok(established)) => Ok(WebSocket::open(stream, established)),
            (_, Err(refusal)) => Err(HandshakeError::Refusal(refusal).into()),
        }
    }
}

/// The stream to the server.
async fn open(route: Route, epoch: Instant, until: Option<Duration>) -> Result<ClientStream, Error> {
    let deadline = until.and_then(|until| epoch.checked_add(until));
    let dialled = dial(&route.host, route.port, deadline).await;
    let mut stream = ClientStream::Tcp(dialled.map_err(|error| route.unreachable_error(error))?);
    for layer in route.layers {
        stream = match layer {
            Layer::Tunnel(tunnel, request) => {
                let tunnel = run_since::<_, Tokio, _>(stream, epoch.into_std(), tunnel, request);
                tunnel.await?.0.io
            }
            #[cfg(feature = "rustls")]
            Layer::Tls { step, peer } => {
                let connector = tokio_rustls::TlsConnector::from(peer.config.clone());
                let connected = connector.connect(peer.name.clone(), Box::new(stream));
                let connected = before(deadline, connected).await.ok_or(ConnectError::TimedOut { step })?;
                ClientStream::Tls(Box::new(connected.map_err(|error| ConnectError::Tls(peer.failed(error)))?))
            }
        };
    }
    Ok(stream)
}

impl Reconnecting<ClientStream> {
    /// Connects as `connector` says, each time anew.
    #[must_use]
    pub fn with_connector(policy: Reconnect, connector: Connector) -> Self {
        Self::new(policy, move || {
            let connector = connector.clone();
            async move { connector.connect().await }
        })
    }
}
