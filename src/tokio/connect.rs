//! The client's side of the opening handshake.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::time::Instant;

use super::client_stream::ClientStream;
use super::dial::dial;
#[cfg(feature = "rustls")]
use super::dial::within;
use super::{Error, HandshakeError, WebSocket};
use crate::client::{
    self, Asking, ConnectError, Layer, Progress, ProxyFailure, Reconnect, Route, Step, Tunnel,
};
use crate::engine::ReadBuffer;
use crate::handshake::Refusal;
use crate::poll::Reconnecting;
use crate::poll::exchange::Exchange;

/// Connects to a `ws:` or (feature `rustls`) `wss:` URL, with the defaults.
///
/// # Errors
///
/// As [`Connector::connect`].
pub async fn connect(url: impl AsRef<str>) -> Result<WebSocket<ClientStream>, Error> {
    Connector::new(url).connect().await
}

/// Marks what belongs to this adapter.
#[derive(Debug)]
pub enum Tokio {}

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
    /// the server, or not in time, which names the step that failed; [`Error::Io`] if the stream failed later.
    pub async fn connect(&self) -> Result<WebSocket<ClientStream>, Error> {
        let epoch = Instant::now();
        let mut attempt = self.attempt()?;
        loop {
            // What cannot be sent shows before anybody is dialled.
            let asking = attempt.ask()?;
            // In a box: it is large, and whoever awaits this keeps the room for it.
            let stream = Box::pin(open(attempt.route()?, epoch, attempt.until())).await?;
            match handshake(asking, stream, epoch).await? {
                Ok(ws) => return Ok(ws),
                Err(refusal) => attempt = attempt.refused(refusal)?,
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
        let opened = handshake(self.attempt()?.ask()?, stream, Instant::now()).await?;
        opened.map_err(|refusal| HandshakeError::Refusal(refusal).into())
    }
}

/// The stream to the server.
async fn open(route: Route, epoch: Instant, until: Option<Duration>) -> Result<ClientStream, Error> {
    let dialled = dial(&route.host, route.port, epoch, until).await;
    let mut stream = ClientStream::Tcp(dialled.map_err(|error| route.not_reached(error))?);
    for layer in route.layers {
        stream = match layer {
            Layer::Tunnel { proxy, tunnel } => {
                ask_for_tunnel(stream, tunnel, epoch, until).await.map_err(|ended| {
                    ended.map_or(ConnectError::TimedOut { step: Step::Proxy }, |failure| {
                        ConnectError::Proxy { proxy, failure }
                    })
                })?
            }
            #[cfg(feature = "rustls")]
            Layer::Tls { step, peer } => {
                let connector = tokio_rustls::TlsConnector::from(peer.config.clone());
                let connected = connector.connect(peer.name.clone(), Box::new(stream));
                let connected = within(step, epoch, until, connected).await?;
                ClientStream::Tls(Box::new(connected.map_err(|error| ConnectError::Tls(peer.failed(error)))?))
            }
        };
    }
    Ok(stream)
}

/// Speaks with the proxy until there is a tunnel; the error is `None` when the time is over.
async fn ask_for_tunnel(
    stream: ClientStream,
    mut tunnel: Tunnel,
    epoch: Instant,
    until: Option<Duration>,
) -> Result<ClientStream, Option<ProxyFailure>> {
    let mut exchange = Exchange::since(stream, epoch);
    let mut buffer = ReadBuffer::default();
    let failed = |error| match error {
        Error::TimedOut => None,
        error => Some(ProxyFailure::Io(error.into())),
    };
    loop {
        exchange.write(&tunnel.take_output(), until).await.map_err(failed)?;
        match exchange.read(&mut buffer, until).await.map_err(failed)? {
            None => return Err(tunnel.handle_timeout()),
            Some(0) => return Err(Some(tunnel.handle_eof())),
            Some(_) if tunnel.receive(buffer.unread())? => return Ok(exchange.stream.io),
            Some(_) => buffer.take(usize::MAX),
        }
    }
}

/// Asks on a stream that leads to the server.
async fn handshake<S>(
    mut asking: Asking,
    stream: S,
    epoch: Instant,
) -> Result<Result<WebSocket<S>, Refusal>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut exchange = Exchange::since(stream, epoch);
    match exchange.write(&asking.unsent, asking.until()).await {
        Err(Error::TimedOut) => return Err(ConnectError::TimedOut { step: Step::Handshake }.into()),
        wrote => wrote?,
    }
    let mut buffer = ReadBuffer::default();
    loop {
        let read = exchange.read(&mut buffer, asking.until()).await?;
        let bytes = read.map(|_| &*buffer.unread());
        asking = match asking.take(exchange.now(), bytes)? {
            Progress::NeedMore(asking) => {
                buffer.take(usize::MAX);
                asking
            }
            Progress::Refused(refusal) => return Ok(Err(refusal)),
            Progress::Open { connection, unread, opened } => {
                return Ok(Ok(WebSocket::open(exchange.stream, connection, unread, Vec::new(), opened)));
            }
        };
    }
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
