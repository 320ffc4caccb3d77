//! Requests that do not ask for a WebSocket, beside those that do.

use super::accept::linger;
use super::bounded::Bounded;
use super::{Error, PendingRequest, Transport};
use crate::engine::server::{self, Plain, Refused};
use crate::handshake::{RequestHead, Response};

/// The first request on a stream: one for a WebSocket, or an ordinary one.
pub type Incoming<S> = server::Incoming<PendingRequest<S>, PlainRequest<S>>;

/// An HTTP request that does not ask for a WebSocket. Dropping it closes the stream without an answer.
#[derive(Debug)]
pub struct PlainRequest<S>(Plain<Bounded<S>>);

impl<S: Transport> PlainRequest<S> {
    /// The request, if it is one; otherwise the client is told what is wrong with it.
    pub(super) fn new(refused: Refused<Bounded<S>>) -> Result<Self, Error> {
        match refused.into_plain() {
            Ok(plain) => Ok(Self(plain)),
            Err(refused) => Err(refuse(refused)),
        }
    }

    /// Method, path, query, host and all headers.
    #[must_use]
    pub const fn head(&self) -> &RequestHead {
        &self.0.head
    }

    /// Answers and ends the stream; a body that the request may have is thrown away.
    ///
    /// It waits up to 1 s for the client to read the response and close.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for a response that cannot be sent, [`Error::Io`] if the stream did not take all of it;
    /// a non-blocking stream that is full says [`WouldBlock`](std::io::ErrorKind::WouldBlock) there, and the rest is
    /// lost.
    pub fn respond(self, response: &Response) -> Result<(), Error> {
        linger(self.0.respond(response)?)
    }

    /// Answers as [`Acceptor::read_request`](super::Acceptor::read_request) does, with 426 for instance, and returns
    /// its error. It waits up to 1 s, like [`respond`](Self::respond).
    pub fn refuse(self) -> Error {
        refuse(self.0.refused)
    }

    /// The stream, to ask for the address of its peer.
    #[must_use]
    pub const fn transport(&self) -> &S {
        &self.0.stream().transport
    }
}

/// Tells the client why there is no connection.
fn refuse<S: Transport>(refused: Refused<Bounded<S>>) -> Error {
    let (error, driver) = refused.refuse();
    // The caller gets the refusal, whether or not the client receives it.
    let _ = driver.map_or(Ok(()), linger);
    error
}
