//! The server's side of the opening handshake, in one step or in two.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::time::Duration;

use super::runtime::{Io, Runtime};

use super::exchange::Exchange;
use super::plain::refuse;
use super::{Error, HandshakeError, Incoming, PlainRequest, WebSocket};
use crate::Config;
use crate::engine::{Opened, ReadBuffer, queue};
use crate::handshake::{
    Acceptance, HandshakeLimits, RefusedRequest, Request, Response, ServerHandshake, ServerStep,
};
use crate::redacted::Redacted;

/// How a server accepts connections; one serves any number of them.
#[derive(Clone, Debug, Default)]
pub struct Acceptor<R> {
    config: Arc<Config>,
    limits: HandshakeLimits,
    runtime: PhantomData<R>,
}

impl<R: Runtime> Acceptor<R> {
    /// The defaults of [`Config`] and [`HandshakeLimits`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets limits and deadlines of the open connections.
    ///
    /// With settings that [`Config::validate`] refuses every opening fails with
    /// [`crate::Error::InvalidConfig`] in an [`Error::Connection`], before anything is read or sent.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Sets what a request may cost: its size, its number of headers, and its time, 10 s by default.
    #[must_use]
    pub fn limits(mut self, limits: HandshakeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Accepts a WebSocket in one step, whatever its path, Origin and subprotocols.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for a request that is not one for a WebSocket or took too long; the client has got the HTTP
    /// response that says so, and up to a second to read it. [`Error::Io`] if the stream failed.
    pub async fn accept<S>(&self, stream: S) -> Result<WebSocket<S, R>, Error>
    where
        R: Io<S>,
    {
        let mut exchange = Exchange::new(stream);
        match self.receive(&mut exchange).await? {
            Ok((request, unread)) => {
                let config = self.config.clone();
                let pending = PendingRequest { exchange, request, unread, config };
                let beginning = match pending.open(&Acceptance::new())?.begin() {
                    Ok(ws) => return Ok(ws),
                    Err(beginning) => beginning,
                };
                Ok(beginning.await)
            }
            // In a box, as what is rare must not cost all others the room.
            Err(refused) => Err(Box::pin(refuse(exchange, refused)).await),
        }
    }

    /// Reads the client's request and returns it for a decision, which may take its time in async code; refuses what is
    /// none for a WebSocket.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`accept`](Self::accept).
    pub async fn read_request<S>(&self, stream: S) -> Result<PendingRequest<S, R>, Error>
    where
        R: Io<S>,
    {
        match self.read(stream).await? {
            Incoming::Request(pending) => Ok(pending),
            Incoming::Plain(plain) => Err(plain.refuse().await),
        }
    }

    /// Reads a request and returns it whether or not it asks for a WebSocket.
    ///
    /// ```no_run
    /// use sansocket::handshake::{Acceptance, Response};
    /// use sansocket::tokio::{Acceptor, Error, Incoming, WebSocket};
    /// # use tokio::net::TcpStream;
    ///
    /// async fn open(stream: TcpStream) -> Result<Option<WebSocket<TcpStream>>, Error> {
    ///     match Acceptor::new().read(stream).await? {
    ///         Incoming::Request(request) => Ok(Some(request.accept(&Acceptance::new()).await?)),
    ///         Incoming::Plain(plain) if plain.head().path() == "/health" => {
    ///             plain.respond(&Response::new(200).body("up")).await?;
    ///             Ok(None)
    ///         }
    ///         Incoming::Plain(plain) => Err(plain.refuse().await),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`read_request`](Self::read_request), for requests that are not valid.
    pub async fn read<S>(&self, stream: S) -> Result<Incoming<S, R>, Error>
    where
        R: Io<S>,
    {
        let mut exchange = Exchange::new(stream);
        match self.receive(&mut exchange).await? {
            Ok((request, unread)) => {
                let config = self.config.clone();
                Ok(Incoming::Request(PendingRequest { exchange, request, unread, config }))
            }
            Err(refused) => PlainRequest::new(exchange, refused).await.map(Incoming::Plain),
        }
    }

    /// Receives a valid request, and what was read behind it.
    async fn receive<S>(
        &self,
        exchange: &mut Exchange<S, R>,
    ) -> Result<Result<(Request, Vec<u8>), RefusedRequest>, Error>
    where
        R: Io<S>,
    {
        self.config.validate()?;
        let mut handshake = ServerHandshake::new(self.limits, Duration::ZERO);
        let mut buffer = ReadBuffer::default();
        loop {
            let read = exchange.read(&mut buffer, handshake.poll_timeout()).await?;
            let now = exchange.now();
            let step = match read {
                None => handshake.handle_timeout(now).map(ServerStep::NeedMore),
                Some(0) => Err(handshake.handle_eof()),
                Some(_) => handshake.receive(now, buffer.unread()),
            };
            handshake = match step {
                Ok(ServerStep::NeedMore(handshake)) => handshake,
                Ok(ServerStep::Request { request, consumed }) => {
                    buffer.take(consumed);
                    return Ok(Ok((request, buffer.into_unread())));
                }
                Err(refused) => return Ok(Err(refused)),
            };
            buffer.take(usize::MAX);
        }
    }
}

/// A valid request that waits for the decision; it dereferences to the [`Request`].
///
/// Dropping it closes the stream without an answer.
pub struct PendingRequest<S, R: Runtime> {
    exchange: Exchange<S, R>,
    request: Request,
    unread: Vec<u8>,
    config: Arc<Config>,
}

impl<S, R: Runtime> Deref for PendingRequest<S, R> {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.request
    }
}

impl<S, R: Io<S>> PendingRequest<S, R> {
    /// Accepts: answers `101` and opens the connection.
    ///
    /// # Errors
    ///
    /// [`Undecided`] if the acceptance does not fit the request: a subprotocol that the client did not offer, a header
    /// that cannot be sent. Nothing was written and the request is still there.
    pub async fn accept(self, acceptance: &Acceptance) -> Result<WebSocket<S, R>, Undecided<S, R>> {
        let beginning = match self.open(acceptance)?.begin() {
            Ok(ws) => return Ok(ws),
            Err(beginning) => beginning,
        };
        Ok(beginning.await)
    }

    /// The connection; the answer is still to be written.
    #[allow(clippy::result_large_err)]
    fn open(self, acceptance: &Acceptance) -> Result<WebSocket<S, R>, Undecided<S, R>> {
        let Self { exchange, request, unread, config } = self;
        let mut response = queue();
        match request.accept_as(acceptance, &config, &mut response) {
            Ok(accepted) => {
                let (connection, negotiated) = accepted.into_connection(config, Duration::ZERO);
                let opened = Opened { subprotocol: negotiated.subprotocol, response: None };
                Ok(WebSocket::open(exchange.stream, connection, &unread, response, opened))
            }
            Err(not) => {
                let pending = Self { exchange, request: not.request, unread, config };
                Err(Undecided { pending, error: HandshakeError::Accept(not.error).into() })
            }
        }
    }

    /// Rejects with a response of your own, gives the client up to a second to read it, and ends the stream.
    ///
    /// # Errors
    ///
    /// [`Undecided`] if the response cannot be sent, for instance for a status of 1xx; the request is still there.
    pub async fn reject(self, response: &Response) -> Result<(), Undecided<S, R>> {
        let Self { exchange, request, unread, config } = self;
        let mut bytes = Vec::new();
        match request.reject(response, &mut bytes) {
            Ok(()) => {
                exchange.end(bytes).await;
                Ok(())
            }
            Err(not) => {
                let pending = Self { exchange, request: not.request, unread, config };
                Err(Undecided { pending, error: HandshakeError::Reject(not.error).into() })
            }
        }
    }

    /// The stream, to ask for the address of its peer.
    #[must_use]
    pub const fn stream(&self) -> &S {
        &self.exchange.stream.io
    }

    /// The stream, to set its options.
    #[must_use]
    pub const fn stream_mut(&mut self) -> &mut S {
        &mut self.exchange.stream.io
    }

    /// Gives the stream back unanswered, with what was read behind the request.
    #[must_use]
    pub fn into_stream(self) -> (S, Vec<u8>) {
        (self.exchange.stream.io, self.unread)
    }
}

/// The decision could not be carried out; nothing was written. It turns into an [`Error`] with `?`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Undecided<S, R: Runtime> {
    /// The request, for another try.
    pub pending: PendingRequest<S, R>,
    /// What is wrong with the answer.
    pub error: Error,
}

impl<S, R: Runtime> fmt::Display for Undecided<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<S: fmt::Debug, R: Runtime> core::error::Error for Undecided<S, R> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.error.source()
    }
}

impl<S, R: Runtime> From<Undecided<S, R>> for Error {
    fn from(undecided: Undecided<S, R>) -> Self {
        undecided.error
    }
}

impl<S: fmt::Debug, R: Runtime> fmt::Debug for PendingRequest<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingRequest")
            .field("exchange", &self.exchange)
            .field("request", &self.request)
            .field("unread", &Redacted::of(&self.unread))
            .field("config", &self.config)
            .finish()
    }
}
