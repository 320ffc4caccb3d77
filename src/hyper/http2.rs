//! Many WebSockets over one connection of HTTP/2 (RFC 8441), for clients.

use core::fmt;
use core::time::Duration;

use ::http::{HeaderMap, Method, Request, Uri, header, uri};
use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::time::{Instant, timeout, timeout_at};
use bytes::Bytes;
use h2::ext::Protocol;
use h2::{Ping, RecvStream};

use super::client::{ClientUpgrade, own_request};
use super::http2_error::Http2Error;
use super::http2_queue::Queue;
use super::http2_stream::Http2Stream;
use crate::client::{ConnectError, Step};
use crate::poll::runtime::Runtime;
use crate::tokio::{Connector, Error, Tokio, WebSocket};

/// The largest window that HTTP/2 knows.
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// A client's connection of HTTP/2, over which it opens any number of WebSockets (RFC 8441).
///
/// Clones are handles of the same connection, which ends when all of them and all WebSockets are dropped. If the server
/// allows fewer streams at the same time, [`open`](Self::open) waits until another one ends.
///
/// ```no_run
/// use sansocket::hyper::Http2;
/// use sansocket::tokio::Connector;
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let chat = Connector::new("wss://example.com/chat");
/// match Http2::connect(&chat).await {
///     Ok(connection) => {
///         let (first, second) = (connection.open(&chat).await?, connection.open(&chat).await?);
/// #       let _ = (first, second);
///     }
///     // Each WebSocket then has a connection of its own.
///     Err(error) if error.needs_http1() => {
///         let ws = chat.connect().await?;
/// #       let _ = ws;
///     }
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Http2 {
    queue: Queue,
}

/// How a client connects over HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct Http2Builder {
    stream_window: u32,
    stalled_streams: u32,
    timeout: Duration,
}

impl Http2 {
    /// Sets other windows or times than the default ones.
    #[must_use]
    pub const fn builder() -> Http2Builder {
        Http2Builder { stream_window: 1 << 20, stalled_streams: 15, timeout: Duration::from_secs(10) }
    }

    /// Connects to the host of the connector's URL, with the defaults.
    ///
    /// # Errors
    ///
    /// See [`Http2Builder::connect`].
    pub async fn connect(connector: &Connector) -> Result<Self, Http2Error> {
        Self::builder().connect(connector).await
    }

    /// Opens a WebSocket: URL, headers, subprotocols, compression and limits are those of the connector; proxies and TLS
    /// do not matter any more, redirects are not followed.
    ///
    /// The URL should be of the host that the connection leads to. The connector's timeout bounds the wait for a free
    /// stream and the response. Dropping the future resets the stream.
    ///
    /// # Errors
    ///
    /// A request that cannot be sent, a refusal, a response that breaks the rules, or no response in time:
    /// [`Http2Error::Open`]. The stream was reset, or the connection ends.
    pub async fn open(&self, connector: &Connector) -> Result<WebSocket<Http2Stream>, Http2Error> {
        let attempt = connector.attempt()?;
        let (opening, request) = attempt.start()?;
        let request = extended_connect(own_request(&request)?, attempt.uri().is_secure())
            .map_err(|error| Http2Error::Connection(std::io::Error::other(error)))?;
        let until = attempt.until().and_then(|until| Instant::now().checked_add(until));
        let upgrade = ClientUpgrade {
            handshake: opening.handshake,
            config: opening.config,
            limits: attempt.limits(),
            until,
            is_http2: true,
        };
        let opening = self.exchange(request, upgrade);
        match until {
            None => opening.await,
            Some(until) => match timeout_at(until, opening).await {
                Ok(opened) => opened,
                Err(_) => Err(timed_out()),
            },
        }
    }

    async fn exchange(
        &self,
        request: Request<()>,
        upgrade: ClientUpgrade,
    ) -> Result<WebSocket<Http2Stream>, Http2Error> {
        let (response, send) = self.queue.send(request).await.map_err(Http2Error::from_h2)?;
        let response = response.await.map_err(Http2Error::from_h2)?;
        if !response.status().is_success() {
            return Err(upgrade.refused(response.map(RefusalBody)).await.into());
        }
        let checked = upgrade.check(response.status(), response.version(), response.headers())?;
        Ok(checked.over(Http2Stream::new(send, response.into_body())))
    }
}

impl Http2Builder {
    /// Sets how many bytes the server may send on one stream before they are read. Default 1 MiB, at most 2 GiB.
    #[must_use]
    pub const fn stream_window(mut self, bytes: u32) -> Self {
        self.stream_window = if bytes < MAX_WINDOW { bytes } else { MAX_WINDOW };
        self
    }

    /// Sets how many WebSockets may stop reading before the others starve. Default 15.
    ///
    /// The window of the connection is that of a stream × (this number + 1), at most 2 GiB; so many bytes may wait in
    /// memory.
    #[must_use]
    pub const fn stalled_streams(mut self, streams: u32) -> Self {
        self.stalled_streams = streams;
        self
    }

    /// Bounds [`connect_over`](Self::connect_over) in time. Default 10 s. [`connect`](Self::connect) uses the timeout of
    /// its connector.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects to the host of the connector's URL: for `wss:` with TLS, where the server must choose `h2`, for `ws:` with
    /// prior knowledge that it speaks HTTP/2.
    ///
    /// # Errors
    ///
    /// [`Http2Error::Open`] if there is no connection to the server, or not in time, or no tokio runtime; an error that
    /// [needs HTTP/1.1](Http2Error::needs_http1) if the server does not speak HTTP/2 or has no WebSockets over it.
    pub async fn connect(self, connector: &Connector) -> Result<Http2, Http2Error> {
        Tokio::check()?;
        let until = connector.attempt()?.until().and_then(|until| Instant::now().checked_add(until));
        let stream = connector.dial_http2().await?;
        #[cfg(feature = "rustls")]
        if stream.tls().is_some_and(|tls| tls.alpn_protocol() != Some(b"h2")) {
            return Err(Http2Error::NotHttp2);
        }
        let connecting = self.handshake(stream);
        match until {
            None => connecting.await,
            Some(until) => timeout_at(until, connecting).await.unwrap_or_else(|_| Err(timed_out())),
        }
    }

    /// Begins HTTP/2 over a stream that is connected to the server, after ALPN chose `h2` or with prior knowledge.
    ///
    /// # Errors
    ///
    /// The same as of [`connect`](Self::connect).
    pub async fn connect_over<S>(self, stream: S) -> Result<Http2, Http2Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Tokio::check()?;
        timeout(self.timeout, self.handshake(stream)).await.unwrap_or_else(|_| Err(timed_out()))
    }

    async fn handshake<S>(self, stream: S) -> Result<Http2, Http2Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection_window = self.stream_window.saturating_mul(self.stalled_streams.saturating_add(1));
        let (send, mut connection) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(self.stream_window)
            .initial_connection_window_size(connection_window.min(MAX_WINDOW))
            .handshake::<_, Bytes>(stream)
            .await
            .map_err(Http2Error::from_h2)?;
        let pings = connection.ping_pong();
        let connection = ::tokio::spawn(connection);
        // The server's settings come before its answer to a ping: whether they enable WebSockets is known then, however
        // late they are.
        if let Some(mut pings) = pings {
            if let Err(error) = pings.ping(Ping::opaque()).await {
                return Err(match connection.await {
                    // h2 ends the connection: the server's first bytes are not HTTP/2.
                    Ok(Err(error)) if error.is_go_away() && error.is_library() => Http2Error::NotHttp2,
                    Ok(Err(error)) => Http2Error::from_h2(error),
                    _ => Http2Error::from_h2(error),
                });
            }
        }
        match send.is_extended_connect_protocol_enabled() {
            true => Ok(Http2 { queue: Queue::new(send) }),
            false => Err(Http2Error::NoExtendedConnect),
        }
    }
}

fn timed_out() -> Http2Error {
    Http2Error::Open(ConnectError::TimedOut { step: Step::Handshake }.into())
}

/// Turns the request of an upgrade into an extended CONNECT (RFC 8441 §5).
fn extended_connect(request: Request<()>, is_secure: bool) -> Result<Request<()>, ::http::Error> {
    let (parts, ()) = request.into_parts();
    let mut headers: HeaderMap = parts.headers;
    let authority = headers.remove(header::HOST);
    for name in [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_KEY] {
        headers.remove(name);
    }
    let mut target = uri::Parts::default();
    target.scheme = Some(if is_secure { uri::Scheme::HTTPS } else { uri::Scheme::HTTP });
    target.authority =
        authority.map(|authority| uri::Authority::try_from(authority.as_bytes())).transpose()?;
    target.path_and_query = parts.uri.into_parts().path_and_query;
    let mut request = Request::builder().method(Method::CONNECT).uri(Uri::from_parts(target)?).body(())?;
    *request.headers_mut() = headers;
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    Ok(request)
}

/// The body of a response that opens no WebSocket.
struct RefusalBody(RecvStream);

impl ::hyper::body::Body for RefusalBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: core::pin::Pin<&mut Self>,
        context: &mut core::task::Context<'_>,
    ) -> core::task::Poll<Option<Result<::hyper::body::Frame<Bytes>, h2::Error>>> {
        self.0.poll_data(context).map(|data| {
            let data = data?;
            if let Ok(data) = &data {
                let _ = self.0.flow_control().release_capacity(data.len());
            }
            Some(data.map(::hyper::body::Frame::data))
        })
    }
}

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2").finish_non_exhaustive()
    }
}

impl From<ConnectError> for Http2Error {
    fn from(error: ConnectError) -> Self {
        Self::Open(Error::from(error))
    }
}
