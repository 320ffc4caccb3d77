//! The decision about a valid request, and the connection that follows.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;

use ::http::request::Parts as RequestParts;
use ::http::{Extensions, HeaderValue, Request, Response, StatusCode, header};
use ::hyper::upgrade::OnUpgrade;
use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::net::TcpStream;
use bytes::Bytes;

use super::origins::Origins;
use super::rejection::{Reason, Rejection};
use super::request::{Message, Valid};
use super::stream::Stream;
use crate::handshake::{AcceptError, Acceptance, Offer, accept_key};
use crate::http::append;
use crate::poll::Member;
use crate::tokio::{Error, Group, Parts, WebSocket};
use crate::{Config, Connection};

/// A valid request for a WebSocket that waits for the decision; it dereferences to the [`Offer`].
///
/// Accept it, or drop it and answer the request with any other response. `S` is the type of the stream that the server
/// accepts connections on, see [`raw_stream`](Self::raw_stream).
pub struct Upgrade<S = TcpStream> {
    request: Valid,
    is_http2: bool,
    on_upgrade: OnUpgrade,
    origins: Origins,
    config: Arc<Config>,
    group: Option<Group>,
    stream: PhantomData<fn() -> S>,
}

impl Upgrade {
    /// Checks a request and takes hyper's upgrade out of it; see [`upgrade`](super::upgrade()).
    ///
    /// # Errors
    ///
    /// The request is not a valid one for a WebSocket, or carries no upgrade of hyper. It is unchanged.
    pub fn from_request<B>(request: &mut Request<B>) -> Result<Self, Rejection> {
        let message = Message::of(request);
        let (valid, is_http2) = (message.check(), message.is_http2());
        Self::take(valid, is_http2, request.extensions_mut())
    }

    /// Like [`from_request`](Self::from_request), for frameworks that take requests apart.
    ///
    /// # Errors
    ///
    /// The request is not a valid one for a WebSocket, or carries no upgrade of hyper. It is unchanged.
    pub fn from_request_parts(parts: &mut RequestParts) -> Result<Self, Rejection> {
        let message = Message::of_parts(parts);
        let (valid, is_http2) = (message.check(), message.is_http2());
        Self::take(valid, is_http2, &mut parts.extensions)
    }

    fn take(
        valid: Result<Valid, crate::handshake::RequestError>,
        is_http2: bool,
        extensions: &mut Extensions,
    ) -> Result<Self, Rejection> {
        let rejection = |reason| Rejection::new(reason, is_http2);
        let request = valid.map_err(|error| rejection(Reason::Request(error)))?;
        let on_upgrade = extensions.remove().ok_or_else(|| rejection(Reason::NoUpgrade))?;
        Ok(Self {
            request,
            is_http2,
            on_upgrade,
            origins: Origins::default(),
            config: Arc::default(),
            group: None,
            stream: PhantomData,
        })
    }
}

impl<S> Upgrade<S> {
    /// Says which type of stream the server accepts connections on: the WebSocket then runs over that stream itself where
    /// hyper hands it over, see [`Stream`]. Default: `TcpStream`.
    #[must_use]
    pub fn raw_stream<T>(self) -> Upgrade<T> {
        let Self { request, is_http2, on_upgrade, origins, config, group, stream: _ } = self;
        Upgrade { request, is_http2, on_upgrade, origins, config, group, stream: PhantomData }
    }

    /// Sets which web pages may open a WebSocket here; others are rejected with 403. Default: any.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Sets limits, deadlines and compression of the connection.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Makes the connection a member of a group from its acceptance on. Once the group shuts down, requests are rejected
    /// with 503.
    #[must_use]
    pub fn group(mut self, group: &Group) -> Self {
        self.group = Some(group.clone());
        self
    }

    /// Returns whether the request came over HTTP/2.
    #[must_use]
    pub const fn is_http2(&self) -> bool {
        self.is_http2
    }

    /// Accepts the request: returns the response for the client, and a future of the WebSocket.
    ///
    /// Return the response from the hyper service, and await the future in a task of its own: it is ready when hyper has
    /// sent the response. Dropping the future closes the stream.
    ///
    /// Decide before you call this, and let no layer around the service replace the response. Over HTTP/2 the future fails
    /// then. Over HTTP/1.1 it may fail only when the connection ends; and if the other response is the last one of the
    /// connection, for instance since the client asked for `Connection: close`, hyper hands over the stream all the same:
    /// the WebSocket is open although the client was refused.
    ///
    /// # Errors
    ///
    /// The origin is not allowed, the group shuts down, or the acceptance does not fit the request.
    pub fn accept(self, acceptance: &Acceptance) -> Result<(Response<Bytes>, Upgrading<S>), Rejection> {
        let rejection = |reason| Rejection::new(reason, self.is_http2);
        if !self.origins.allow(&self.request) {
            return Err(rejection(Reason::Origin));
        }
        self.config.validate().map_err(|error| rejection(Reason::Config(error)))?;
        // A member before the group is asked: a shutdown that begins now waits for it.
        let member = self.group.as_ref().map(Group::member);
        if self.group.as_ref().is_some_and(Group::is_shutting_down) {
            return Err(rejection(Reason::ShuttingDown));
        }
        let (response, connection, subprotocol) =
            self.answer(acceptance).map_err(|error| rejection(Reason::Accept(error)))?;
        let accepted = Accepted { connection, subprotocol, group: self.group.zip(member) };
        let upgrading = Upgrading {
            on_upgrade: self.on_upgrade,
            accepted: Some(Box::new(accepted)),
            stream: PhantomData,
        };
        Ok((response, upgrading))
    }

    /// Accepts the request, and runs `serve` in a task of its own once the WebSocket is open.
    ///
    /// `serve` is called in any case: with the error if hyper could not hand over the stream. Call this inside a runtime.
    ///
    /// # Errors
    ///
    /// The same as of [`accept`](Self::accept); `serve` is not called then.
    pub fn on_upgrade<F, R>(self, acceptance: &Acceptance, serve: F) -> Result<Response<Bytes>, Rejection>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: FnOnce(Result<WebSocket<Stream<S>>, UpgradeError>) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let (response, upgrading) = self.accept(acceptance)?;
        ::tokio::spawn(async move { serve(upgrading.await).await });
        Ok(response)
    }

    fn answer(
        &self,
        acceptance: &Acceptance,
    ) -> Result<(Response<Bytes>, Connection, Option<String>), AcceptError> {
        let offer = &self.request.offer;
        let negotiated = acceptance.negotiate(offer, Some(&self.config)).map_err(AcceptError::Negotiation)?;
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        for line in acceptance.lines(&negotiated) {
            let (name, value) = line.map_err(AcceptError::Header)?;
            append(headers, name, value).map_err(AcceptError::Header)?;
        }
        if !self.is_http2 {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            if let Some(Ok(accept)) = offer.key().map(|key| HeaderValue::try_from(accept_key(key))) {
                headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
            }
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        let connection = Connection::server(self.config.clone(), Duration::ZERO);
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(negotiated.deflate);
        Ok((response, connection, negotiated.subprotocol))
    }
}

impl<S> Deref for Upgrade<S> {
    type Target = Offer;

    fn deref(&self) -> &Offer {
        &self.request.offer
    }
}

/// A future of the WebSocket, ready when hyper has sent the response. It must be polled inside a runtime.
#[must_use = "dropping it closes the stream"]
pub struct Upgrading<S = TcpStream> {
    on_upgrade: OnUpgrade,
    /// `None` when it is done. Boxed, as tasks keep room for their largest future.
    accepted: Option<Box<Accepted>>,
    stream: PhantomData<fn() -> S>,
}

struct Accepted {
    connection: Connection,
    subprotocol: Option<String>,
    group: Option<(Group, Member)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Future for Upgrading<S> {
    type Output = Result<WebSocket<Stream<S>>, UpgradeError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // hyper's future must not be polled again when it was ready.
        if this.accepted.is_none() {
            return Poll::Pending;
        }
        let upgraded = ready!(Pin::new(&mut this.on_upgrade).poll(context));
        let Some(accepted) = this.accepted.take() else { return Poll::Pending };
        let (transport, unread) = Stream::unwrap(upgraded.map_err(UpgradeError)?);
        let mut ws = WebSocket::from_parts(Parts {
            transport,
            connection: accepted.connection,
            now: Duration::ZERO,
            unread,
            unsent: alloc::vec::Vec::new(),
            subprotocol: accepted.subprotocol,
            response: None,
        });
        if let Some((group, _)) = &accepted.group {
            ws.join(group);
        }
        Poll::Ready(Ok(ws))
    }
}

/// hyper sent no response, or did not hand over the stream: the connection ended before, perhaps, or it is served without
/// upgrades.
#[derive(Debug)]
pub struct UpgradeError(::hyper::Error);

impl UpgradeError {
    #[cfg(feature = "rand")]
    pub(super) const fn new(error: ::hyper::Error) -> Self {
        Self(error)
    }

    /// Returns hyper's error.
    #[must_use]
    pub fn into_inner(self) -> ::hyper::Error {
        self.0
    }
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hyper did not hand over the stream: {}", self.0)
    }
}

impl core::error::Error for UpgradeError {
    /// The cause of hyper's error, which is displayed already.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.0.source()
    }
}

impl From<UpgradeError> for Error {
    fn from(error: UpgradeError) -> Self {
        Self::Io(io::Error::other(error))
    }
}

impl<S> fmt::Debug for Upgrade<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("offer", &self.request.offer)
            .field("is_http2", &self.is_http2)
            .field("origins", &self.origins)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Upgrading<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrading").field("is_done", &self.accepted.is_none()).finish_non_exhaustive()
    }
}
