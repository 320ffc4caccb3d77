//! The server's side of the opening handshake, in one step or in two.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Deref;

use super::opening::run;
use super::plain::refuse;
use super::polled::Polled;
use super::runtime::{Io, Runtime};
use super::{Acceptor, Error, Incoming, PlainRequest, WebSocket};
use crate::engine::server::{self, Pending, Refused, ServerOpening};
use crate::handshake::{Acceptance, Request, Response};

/// Over an asynchronous runtime, as `tokio::Acceptor` for instance.
impl<R: Runtime> Acceptor<R> {
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
        match self.receive(stream).await? {
            Ok(pending) => {
                let beginning = match pending.open(&Acceptance::new())?.begin() {
                    Ok(ws) => return Ok(ws),
                    Err(beginning) => beginning,
                };
                Ok(beginning.await)
            }
            // In a box, as what is rare must not cost all others the room.
            Err(refused) => Err(Box::pin(refuse(refused)).await),
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
        match self.receive(stream).await? {
            Ok(pending) => Ok(Incoming::Request(pending)),
            Err(refused) => PlainRequest::new(refused).await.map(Incoming::Plain),
        }
    }

    async fn receive<S>(
        &self,
        stream: S,
    ) -> Result<Result<PendingRequest<S, R>, Refused<Polled<S, R>>>, Error>
    where
        R: Io<S>,
    {
        R::check()?;
        let driver = self.start(Polled::new(stream));
        driver.machine().map_or(Ok(()), ServerOpening::validate)?;
        Ok(match run(driver).await? {
            (stream, Ok(received)) => Ok(PendingRequest(Pending::new(stream, received))),
            (stream, Err(refused)) => Err(Refused::new(stream, refused)),
        })
    }
}

/// A valid request that waits for the decision; it dereferences to the [`Request`].
///
/// Dropping it closes the stream without an answer.
#[derive(Debug)]
pub struct PendingRequest<S, R: Runtime>(Pending<Polled<S, R>>);

/// The decision could not be carried out; nothing was written. It turns into an [`Error`] with `?`.
pub type Undecided<S, R> = server::Undecided<PendingRequest<S, R>>;

impl<S, R: Runtime> Deref for PendingRequest<S, R> {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.0
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
        match self.0.accept(acceptance) {
            Ok((stream, established)) => Ok(WebSocket::open(stream, established)),
            Err((pending, error)) => Err(Undecided::new(Self(pending), error)),
        }
    }

    /// Rejects with a response of your own, gives the client up to a second to read it, and ends the stream.
    ///
    /// # Errors
    ///
    /// [`Undecided`] if the response cannot be sent, for instance for a status of 1xx; the request is still there.
    pub async fn reject(self, response: &Response) -> Result<(), Undecided<S, R>> {
        match self.0.reject(response) {
            Ok(driver) => {
                // Whether the client reads it is nothing that the caller can change.
                let _ = run(driver).await;
                Ok(())
            }
            Err((pending, error)) => Err(Undecided::new(Self(pending), error)),
        }
    }

    /// The stream, to ask for the address of its peer.
    #[must_use]
    pub const fn stream(&self) -> &S {
        &self.0.stream.io
    }

    /// The stream, to set its options.
    #[must_use]
    pub const fn stream_mut(&mut self) -> &mut S {
        &mut self.0.stream.io
    }

    /// Gives the stream back unanswered, with what was read behind the request.
    #[must_use]
    pub fn into_stream(self) -> (S, Vec<u8>) {
        let (stream, unread) = self.0.into_parts();
        (stream.io, unread)
    }
}
