//! The server's side of the opening handshake over a stream, in one step or in two.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;
use core::time::Duration;

use super::clock::Clock;
use super::exchange::Exchange;
use super::{Error, HandshakeError, Incoming, PlainRequest, Transport, WebSocket};
use crate::Config;
use crate::engine::Opened;
use crate::handshake::{Acceptance, HandshakeLimits, Request, Response, ServerHandshake, ServerStep};
use crate::redacted::Redacted;

/// Accepts a WebSocket on a stream that a client has just connected, with the defaults.
///
/// A refusal waits up to 1 s for the client to read it and close. `TCP_NODELAY` is the caller's to set, before.
///
/// It takes any Origin; use [`Acceptor::read_request`] for a server that browsers reach.
///
/// # Errors
///
/// [`Error::Handshake`] for a request that is not one for a WebSocket or took too long; the client has got the HTTP
/// response that says so. [`Error::Io`] if the stream failed.
pub fn accept<S: Transport>(transport: S) -> Result<WebSocket<S>, Error> {
    Acceptor::new().accept(transport)
}

/// How a server accepts connections; one serves any number of them.
#[derive(Clone, Debug, Default)]
pub struct Acceptor {
    config: Arc<Config>,
    limits: HandshakeLimits,
}

impl Acceptor {
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
    /// As [`accept`].
    pub fn accept<S: Transport>(&self, transport: S) -> Result<WebSocket<S>, Error> {
        Ok(self.read_request(transport)?.accept(&Acceptance::new())?)
    }

    /// Reads the client's request and returns it for a decision; refuses what is none for a WebSocket.
    ///
    /// A refusal waits up to 1 s for the client to read it and close.
    ///
    /// # Errors
    ///
    /// As [`accept`]. A non-blocking stream needs [`begin`](Self::begin): here [`Error::WouldBlock`] loses it.
    pub fn read_request<S: Transport>(&self, transport: S) -> Result<PendingRequest<S>, Error> {
        self.begin(transport).proceed()
    }

    /// Reads a request and returns it whether or not it asks for a WebSocket.
    ///
    /// ```no_run
    /// use sansocket::blocking::{Acceptor, Error, Incoming, WebSocket};
    /// use sansocket::handshake::{Acceptance, Response};
    /// # use std::net::TcpStream;
    ///
    /// fn open(stream: TcpStream) -> Result<Option<WebSocket<TcpStream>>, Error> {
    ///     match Acceptor::new().read(stream)? {
    ///         Incoming::Request(request) => Ok(Some(request.accept(&Acceptance::new())?)),
    ///         Incoming::Plain(plain) if plain.head().path() == "/health" => {
    ///             plain.respond(&Response::new(200).body("up"))?;
    ///             Ok(None)
    ///         }
    ///         Incoming::Plain(plain) => Err(plain.refuse()),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`read_request`](Self::read_request), for requests that are not valid.
    pub fn read<S: Transport>(&self, transport: S) -> Result<Incoming<S>, Error> {
        self.begin(transport).proceed_to_any()
    }

    /// Begins to read a request without waiting; for non-blocking streams.
    pub fn begin<S: Transport>(&self, transport: S) -> Opening<S> {
        Opening(Some(Reading {
            exchange: Exchange::since(transport, Clock::start()),
            handshake: ServerHandshake::new(self.limits, Duration::ZERO),
            config: self.config.clone(),
        }))
    }
}

/// A request that is being read.
#[derive(Debug)]
pub struct Opening<S>(Option<Reading<S>>);

#[derive(Debug)]
struct Reading<S> {
    exchange: Exchange<S>,
    handshake: ServerHandshake,
    config: Arc<Config>,
}

impl<S: Transport> Opening<S> {
    /// Reads on and returns the request once it is complete.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`]: call it again when the stream is readable. Any other error ends the attempt, as for
    /// [`accept`].
    pub fn proceed(&mut self) -> Result<PendingRequest<S>, Error> {
        match self.proceed_to_any()? {
            Incoming::Request(pending) => Ok(pending),
            Incoming::Plain(plain) => Err(plain.refuse()),
        }
    }

    /// Like [`proceed`](Self::proceed), but leaves the answer to ordinary HTTP requests to the caller.
    ///
    /// # Errors
    ///
    /// As [`proceed`](Self::proceed).
    pub fn proceed_to_any(&mut self) -> Result<Incoming<S>, Error> {
        let mut scratch = [0; 4096];
        self.0.as_ref().map_or(Ok(()), |reading| reading.config.validate())?;
        while let Some(mut reading) = self.0.take() {
            let until = reading.handshake.poll_timeout();
            let read = match reading.exchange.read(&mut scratch, until) {
                Ok(read) => read,
                Err(error) => {
                    if matches!(error, Error::WouldBlock) {
                        self.0 = Some(reading);
                    }
                    return Err(error);
                }
            };
            if let Some(incoming) = self.take(reading, read.map(|len| &scratch[..len]))? {
                return Ok(incoming);
            }
        }
        Err(Error::Io(std::io::ErrorKind::NotConnected.into()))
    }

    /// Takes what was read (`None`: the time is up); keeps the rest of the work for later, or ends it.
    fn take(&mut self, reading: Reading<S>, read: Option<&[u8]>) -> Result<Option<Incoming<S>>, Error> {
        let Reading { exchange, handshake, config } = reading;
        let now = exchange.now();
        let step = match read {
            None => handshake.handle_timeout(now).map(ServerStep::NeedMore),
            Some([]) => Err(handshake.handle_eof()),
            Some(bytes) => handshake.receive(now, bytes),
        };
        match step {
            Ok(ServerStep::NeedMore(handshake)) => {
                self.0 = Some(Reading { exchange, handshake, config });
                Ok(None)
            }
            Ok(ServerStep::Request { request, consumed }) => {
                let unread = read.and_then(|bytes| bytes.get(consumed..)).unwrap_or_default().to_vec();
                Ok(Some(Incoming::Request(PendingRequest { exchange, request, unread, config })))
            }
            Err(refused) => Ok(Some(Incoming::Plain(PlainRequest::new(exchange, refused)?))),
        }
    }

    /// The stream, to ask for its readiness, until the request is complete.
    #[must_use]
    pub fn transport(&self) -> Option<&S> {
        self.0.as_ref().map(|reading| &reading.exchange.transport)
    }

    /// How long the request may still take, `None` without a limit; [`proceed`](Self::proceed) must be called then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let reading = self.0.as_ref()?;
        Some(reading.handshake.poll_timeout()?.saturating_sub(reading.exchange.now()))
    }
}

/// A valid request that waits for the decision; it dereferences to the [`Request`].
///
/// Dropping it closes the stream without an answer.
pub struct PendingRequest<S> {
    exchange: Exchange<S>,
    request: Request,
    unread: Vec<u8>,
    config: Arc<Config>,
}

impl<S> Deref for PendingRequest<S> {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.request
    }
}

impl<S: Transport> PendingRequest<S> {
    /// Accepts: answers `101` and opens the connection.
    ///
    /// # Errors
    ///
    /// [`Undecided`] if the acceptance does not fit the request: a subprotocol that the client did not offer, a header
    /// that cannot be sent. Nothing was written and the request is still there.
    pub fn accept(self, acceptance: &Acceptance) -> Result<WebSocket<S>, Undecided<S>> {
        let Self { exchange, request, unread, config } = self;
        let mut response = Vec::new();
        match request.accept_as(acceptance, &config, &mut response) {
            Ok(accepted) => {
                let (connection, negotiated) = accepted.into_connection(config, Duration::ZERO);
                let opened = Opened { subprotocol: negotiated.subprotocol, response: None };
                Ok(WebSocket::open(exchange.transport, connection, &unread, response, opened))
            }
            Err(not) => {
                let pending = Self { exchange, request: not.request, unread, config };
                Err(Undecided { pending: Some(pending), error: HandshakeError::Accept(not.error).into() })
            }
        }
    }

    /// Rejects with a response of your own and ends the stream.
    ///
    /// It waits up to 1 s for the client to read the response and close.
    ///
    /// # Errors
    ///
    /// [`Undecided`] if the response cannot be sent, for instance for a status of 1xx; the request is still there. It is
    /// not if the stream did not take the whole response, which [`Error::Io`] tells: a non-blocking stream that is
    /// full says [`WouldBlock`](std::io::ErrorKind::WouldBlock) there, and the rest is lost.
    pub fn reject(self, response: &Response) -> Result<(), Undecided<S>> {
        let Self { exchange, request, unread, config } = self;
        let mut bytes = Vec::new();
        match request.reject(response, &mut bytes) {
            Ok(()) => exchange.end(bytes).map_err(|error| Undecided { pending: None, error }),
            Err(not) => {
                let pending = Self { exchange, request: not.request, unread, config };
                Err(Undecided { pending: Some(pending), error: HandshakeError::Reject(not.error).into() })
            }
        }
    }

    /// The stream, to ask for the address of its peer.
    #[must_use]
    pub const fn transport(&self) -> &S {
        &self.exchange.transport
    }

    /// The stream, to set its options.
    #[must_use]
    pub const fn transport_mut(&mut self) -> &mut S {
        &mut self.exchange.transport
    }

    /// Gives the stream back unanswered, its waits unbounded, with what was read behind the request.
    #[must_use]
    pub fn into_transport(self) -> (S, Vec<u8>) {
        let mut transport = self.exchange.transport;
        // A stream that has failed tells its next owner by itself.
        let _ = transport.set_read_timeout(None);
        let _ = transport.set_write_timeout(None);
        (transport, self.unread)
    }
}

/// The decision could not be carried out. It turns into an [`Error`] with `?`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Undecided<S> {
    /// The request, for another try, with nothing written; `None` if the stream failed under the response.
    pub pending: Option<PendingRequest<S>>,
    /// What is wrong with the answer, or with the stream.
    pub error: Error,
}

impl<S> fmt::Display for Undecided<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<S: fmt::Debug> core::error::Error for Undecided<S> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.error.source()
    }
}

impl<S> From<Undecided<S>> for Error {
    fn from(undecided: Undecided<S>) -> Self {
        undecided.error
    }
}

impl<S: fmt::Debug> fmt::Debug for PendingRequest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingRequest")
            .field("exchange", &self.exchange)
            .field("request", &self.request)
            .field("unread", &Redacted::of(&self.unread))
            .field("config", &self.config)
            .finish()
    }
}
