//! The server's side of the opening handshake over a stream, in one step or in two.

use alloc::vec::Vec;
use core::ops::Deref;
use core::time::Duration;
use std::io;

use super::bounded::Bounded;
use super::{Error, Incoming, PlainRequest, Transport, WebSocket};
use crate::engine::driver::Driver;
use crate::engine::server::{self, Linger, Pending, Refused, ServerOpening};
use crate::handshake::{Acceptance, Request, Response};

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

/// Marks what belongs to this adapter.
#[derive(Clone, Copy, Debug)]
pub enum Blocking {}

/// How a server accepts connections over `std`'s streams; one serves any number of them.
pub type Acceptor = server::Acceptor<Blocking>;

/// Over `std`'s streams: [`blocking::Acceptor`](Acceptor).
impl server::Acceptor<Blocking> {
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
        Opening(self.start(Bounded::new(transport, Duration::ZERO)))
    }
}

/// A request that is being read.
#[derive(Debug)]
pub struct Opening<S>(Driver<Bounded<S>, ServerOpening>);

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
        self.0.machine().map_or(Ok(()), ServerOpening::validate)?;
        match self.0.proceed()? {
            (stream, Ok(received)) => Ok(Incoming::Request(PendingRequest(Pending::new(stream, received)))),
            (stream, Err(refused)) => PlainRequest::new(Refused::new(stream, refused)).map(Incoming::Plain),
        }
    }

    /// The stream, to ask for its readiness, until the request is complete.
    #[must_use]
    pub fn transport(&self) -> Option<&S> {
        self.0.stream().map(|stream| &stream.transport)
    }

    /// How long the request may still take, `None` without a limit; [`proceed`](Self::proceed) must be called then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.0.time_left()
    }
}

/// A valid request that waits for the decision; it dereferences to the [`Request`].
///
/// Dropping it closes the stream without an answer.
#[derive(Debug)]
pub struct PendingRequest<S>(Pending<Bounded<S>>);

/// The decision could not be carried out. It turns into an [`Error`] with `?`.
pub type Undecided<S> = server::Undecided<Option<PendingRequest<S>>>;

impl<S> Deref for PendingRequest<S> {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.0
    }
}

// The error holds the request for another try, and is rare.
#[allow(clippy::result_large_err)]
impl<S: Transport> PendingRequest<S> {
    /// Accepts: answers `101` and opens the connection.
    ///
    /// # Errors
    ///
    /// [`Undecided`] if the acceptance does not fit the request: a subprotocol that the client did not offer, a header
    /// that cannot be sent. Nothing was written and the request is still there.
    pub fn accept(self, acceptance: &Acceptance) -> Result<WebSocket<S>, Undecided<S>> {
        match self.0.accept(acceptance) {
            Ok((stream, established)) => Ok(WebSocket::open(stream.transport, established)),
            Err((pending, error)) => Err(Undecided::new(Some(Self(pending)), error)),
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
        match self.0.reject(response) {
            Ok(driver) => linger(driver).map_err(|error| Undecided::new(None, error)),
            Err((pending, error)) => Err(Undecided::new(Some(Self(pending)), error)),
        }
    }

    /// The stream, to ask for the address of its peer.
    #[must_use]
    pub const fn transport(&self) -> &S {
        &self.0.stream.transport
    }

    /// The stream, to set its options.
    #[must_use]
    pub const fn transport_mut(&mut self) -> &mut S {
        &mut self.0.stream.transport
    }

    /// Gives the stream back unanswered, its waits unbounded, with what was read behind the request.
    #[must_use]
    pub fn into_transport(self) -> (S, Vec<u8>) {
        let (Bounded { mut transport, .. }, unread) = self.0.into_parts();
        // A stream that has failed tells its next owner by itself.
        let _ = transport.set_read_timeout(None);
        let _ = transport.set_write_timeout(None);
        (transport, unread)
    }
}

/// Sends the last response and gives the client a moment to read it. An error says that not all of it has left.
pub(super) fn linger<S: Transport>(mut driver: Driver<Bounded<S>, Linger>) -> Result<(), Error> {
    if driver.stream().is_some_and(|stream| stream.transport.is_handshaking()) {
        // There is nobody yet to whom it could be said, and a slow handshake would take the time of both.
        return Err(Error::Io(io::ErrorKind::NotConnected.into()));
    }
    match driver.proceed() {
        // Neither can be made good by another call: the stream is gone.
        Err(Error::WouldBlock) if driver.has_output() => Err(Error::Io(io::ErrorKind::WouldBlock.into())),
        Ok(_) | Err(Error::WouldBlock) => Ok(()),
        Err(error) => Err(error),
    }
}
