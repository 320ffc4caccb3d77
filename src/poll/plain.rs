//! Requests that do not ask for a WebSocket, beside those that do.

use super::opening::run;
use super::polled::Polled;
use super::runtime::{Io, Runtime};
use super::{Error, PendingRequest};
use crate::engine::server::{self, Plain, Refused};
use crate::handshake::{RequestHead, Response};

/// The first request on a stream: one for a WebSocket, or an ordinary one.
pub type Incoming<S, R> = server::Incoming<PendingRequest<S, R>, PlainRequest<S, R>>;

/// An HTTP request that does not ask for a WebSocket. Dropping it closes the stream without an answer.
#[derive(Debug)]
pub struct PlainRequest<S, R: Runtime>(Plain<Polled<S, R>>);

impl<S, R: Io<S>> PlainRequest<S, R> {
    /// The request, if it is one; otherwise the client is told what is wrong with it.
    pub(super) async fn new(refused: Refused<Polled<S, R>>) -> Result<Self, Error> {
        match refused.into_plain() {
            Ok(plain) => Ok(Self(plain)),
            Err(refused) => Err(refuse(refused).await),
        }
    }

    /// Method, path, query, host and all headers.
    #[must_use]
    pub const fn head(&self) -> &RequestHead {
        &self.0.head
    }

    /// Answers, gives the client up to a second to read it, and ends the stream; a body that the request may have is
    /// thrown away. Dropping the future drops the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for a response that cannot be sent: nothing was written, and the stream is gone.
    pub async fn respond(self, response: &Response) -> Result<(), Error> {
        // Whether the client reads it is nothing that the caller can change.
        let _ = run(self.0.respond(response)?).await;
        Ok(())
    }

    /// Answers as [`Acceptor::read_request`](super::Acceptor::read_request) does, with 426 for instance, and returns
    /// its error. It gives the client up to a second, like [`respond`](Self::respond).
    pub async fn refuse(self) -> Error {
        refuse(self.0.refused).await
    }

    /// The stream, to ask for the address of its peer.
    #[must_use]
    pub const fn stream(&self) -> &S {
        &self.0.stream().io
    }
}

/// Tells the client why there is no connection.
pub(super) async fn refuse<S, R: Io<S>>(refused: Refused<Polled<S, R>>) -> Error {
    let (error, driver) = refused.refuse();
    if let Some(driver) = driver {
        let _ = run(driver).await;
    }
    error
}
