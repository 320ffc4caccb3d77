//! A client's opening handshake that another HTTP client carries out.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::pin::pin;
use core::time::Duration;

use ::http::{HeaderMap, Request, Response, StatusCode, Version};
use ::hyper::body::{Body, Buf};
use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::time::{Instant, timeout_at};

use super::stream::Stream;
use super::upgrade::UpgradeError;
use crate::handshake::{
    ClientHandshake, HandshakeLimits, Opened, Refusal, RequestHead, ResponseError, ResponseHead,
};
use crate::tokio::{Connector, Error, HandshakeError, Parts, WebSocket};
use crate::{Config, MaskKeys};

impl Connector {
    /// Begins an opening handshake over HTTP/1.1 that another HTTP client carries out, such as hyper or reqwest: returns
    /// the request to send, and what checks the response (feature `hyper`).
    ///
    /// The URI of the request is path and query, as hyper's `conn::http1` sends it. For clients that connect by URL,
    /// replace it, or take only the headers. Redirects are up to that client.
    ///
    /// ```no_run
    /// use http::{Request, Response};
    /// use sansocket::tokio::{Connector, Error};
    ///
    /// # async fn open(send_request: impl AsyncFnOnce(Request<()>) -> Result<Response<String>, Error>) -> Result<(), Error> {
    /// let (request, upgrade) = Connector::new("ws://example.com/chat").http_request()?;
    /// let response = send_request(request).await?; // by hyper's `SendRequest`, for instance
    /// let ws = upgrade.open(response).await?;
    /// # let _ = ws;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The URL, a header, a subprotocol or the configuration is not valid.
    pub fn http_request(&self) -> Result<(Request<()>, ClientUpgrade), Error> {
        let attempt = self.attempt()?;
        let (opening, request) = attempt.start()?;
        let request = own_request(&request)?;
        let limits = attempt.limits();
        let upgrade = ClientUpgrade {
            handshake: opening.handshake,
            config: opening.config,
            limits,
            until: attempt.until().and_then(|until| Instant::now().checked_add(until)),
            is_http2: false,
        };
        Ok((request, upgrade))
    }
}

/// A request that this crate wrote, for another library.
pub(super) fn own_request(bytes: &[u8]) -> Result<Request<()>, Error> {
    let head = RequestHead::of_own(bytes).map_err(|error| Error::Io(std::io::Error::other(error)))?;
    Request::try_from(&head).map_err(|error| Error::Io(std::io::Error::other(error)))
}

/// Checks the response to the request of [`Connector::http_request`] and opens the WebSocket.
pub struct ClientUpgrade {
    pub(super) handshake: ClientHandshake,
    pub(super) config: Arc<Config>,
    pub(super) limits: HandshakeLimits,
    /// For the body of a refusal.
    pub(super) until: Option<Instant>,
    pub(super) is_http2: bool,
}

/// A response that opens a WebSocket, over a stream that is not known yet.
pub struct CheckedUpgrade {
    opened: Box<Opened>,
    config: Arc<Config>,
}

impl ClientUpgrade {
    /// Checks a response of hyper and opens the WebSocket over the stream that hyper hands over.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for a refusal (status, headers, body) and for a response that breaks the rules; [`Error::Io`] if
    /// hyper does not hand over the stream.
    pub async fn open<B>(self, response: Response<B>) -> Result<WebSocket<Stream>, Error>
    where
        B: Body,
    {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(self.refused(response).await);
        }
        let checked = self.check(response.status(), response.version(), response.headers())?;
        let upgraded = ::hyper::upgrade::on(response).await.map_err(UpgradeError::new)?;
        let (stream, unread) = Stream::unwrap(upgraded);
        Ok(checked.open(stream, unread))
    }

    /// Checks a response by its parts, for clients that hand over a stream by themselves, such as reqwest.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for a refusal, here without its body, and for a response that breaks the rules.
    pub fn check(
        self,
        status: StatusCode,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<CheckedUpgrade, Error> {
        let head = self.head(status, headers)?;
        if !self.is_http2 && version != Version::HTTP_11 {
            return Err(HandshakeError::Response(ResponseError::HttpVersion).into());
        }
        let Self { handshake, config, is_http2, .. } = self;
        match handshake.judge(head, is_http2).map_err(HandshakeError::Response)? {
            Ok(opened) => Ok(CheckedUpgrade { opened: Box::new(opened), config }),
            Err(head) => {
                let refusal = Refusal::with_body(head, Vec::new(), false);
                Err(HandshakeError::Refusal(refusal).into())
            }
        }
    }

    fn head(&self, status: StatusCode, headers: &HeaderMap) -> Result<ResponseHead, Error> {
        let lines = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let head = ResponseHead::from_lines(status.as_u16(), lines, &self.limits);
        head.map_err(|error| HandshakeError::Response(error.into()).into())
    }

    /// The error with as much of the body as comes in time.
    pub(super) async fn refused<B: Body>(self, response: Response<B>) -> Error {
        let head = match self.head(response.status(), response.headers()) {
            Ok(head) => head,
            Err(error) => return error,
        };
        let limit = self.limits.max_refusal_body_bytes;
        let mut bytes = Vec::new();
        let reading = read_body(response.into_body(), limit, &mut bytes);
        let complete = match self.until {
            Some(until) => timeout_at(until, reading).await.unwrap_or(false),
            None => reading.await,
        };
        HandshakeError::Refusal(Refusal::with_body(head, bytes, complete)).into()
    }
}

/// Reads a body up to the limit and returns whether that was all of it.
async fn read_body(body: impl Body, limit: usize, bytes: &mut Vec<u8>) -> bool {
    let mut body = pin!(body);
    loop {
        let data = match poll_fn(|context| body.as_mut().poll_frame(context)).await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => frame.into_data(),
        };
        let Ok(mut data) = data else { continue };
        while data.has_remaining() {
            let room = limit - bytes.len();
            if room == 0 {
                return false;
            }
            let len = data.chunk().len().min(room);
            bytes.extend_from_slice(&data.chunk()[..len]);
            data.advance(len);
        }
    }
}

impl CheckedUpgrade {
    /// Opens the WebSocket over the stream that the HTTP client handed over. Call it inside a runtime.
    pub fn over<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) -> WebSocket<S> {
        self.open(stream, Vec::new())
    }

    pub(super) fn open<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        transport: S,
        unread: Vec<u8>,
    ) -> WebSocket<S> {
        let response = Some(self.opened.response().clone());
        let (connection, negotiated) =
            self.opened.into_connection(self.config, MaskKeys::thread(), Duration::ZERO);
        WebSocket::from_parts(Parts {
            transport,
            connection,
            now: Duration::ZERO,
            unread,
            unsent: Vec::new(),
            subprotocol: negotiated.subprotocol,
            response,
        })
    }
}

impl fmt::Debug for ClientUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientUpgrade")
            .field("handshake", &self.handshake)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CheckedUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedUpgrade").field("opened", &self.opened).finish_non_exhaustive()
    }
}
