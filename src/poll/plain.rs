//! Requests that do not ask for a WebSocket, beside those that do.

use alloc::vec::Vec;

use super::runtime::{Io, Runtime};

use super::exchange::Exchange;
use super::{Error, HandshakeError, PendingRequest};
use crate::handshake::{RefusedRequest, RequestError, RequestHead, Response};

/// What came on a stream: a request for a WebSocket, or an ordinary one.
#[derive(Debug)]
pub enum Incoming<S, R: Runtime> {
    /// A valid request for a WebSocket, which waits for the decision.
    Request(PendingRequest<S, R>),
    /// Another HTTP request, such as `GET /health`, which waits for its response.
    Plain(PlainRequest<S, R>),
}

/// An HTTP request that does not ask for a WebSocket. Dropping it closes the stream without an answer.
#[derive(Debug)]
pub struct PlainRequest<S, R: Runtime> {
    exchange: Exchange<S, R>,
    refused: RefusedRequest,
    head: RequestHead,
}

impl<S, R: Io<S>> PlainRequest<S, R> {
    /// The request, if it is one; otherwise the client is told what is wrong with it.
    pub(super) async fn new(exchange: Exchange<S, R>, refused: RefusedRequest) -> Result<Self, Error> {
        match refused.plain_request().cloned() {
            Some(head) => Ok(Self { exchange, refused, head }),
            None => Err(refuse(exchange, refused).await),
        }
    }

    /// Method, path, query, host and all headers.
    #[must_use]
    pub const fn head(&self) -> &RequestHead {
        &self.head
    }

    /// Answers, gives the client up to a second to read it, and ends the stream; a body that the request may have is
    /// thrown away. Dropping the future drops the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for a response that cannot be sent: nothing was written, and the stream is gone.
    pub async fn respond(self, response: &Response) -> Result<(), Error> {
        let mut bytes = Vec::new();
        self.refused.respond(response, &mut bytes).map_err(HandshakeError::Reject)?;
        self.exchange.end(bytes).await;
        Ok(())
    }

    /// Answers as [`Acceptor::read_request`](super::Acceptor::read_request) does, with 426 for instance, and returns
    /// its error. It gives the client up to a second, like [`respond`](Self::respond).
    pub async fn refuse(self) -> Error {
        refuse(self.exchange, self.refused).await
    }

    /// The stream, to ask for the address of its peer.
    #[must_use]
    pub const fn stream(&self) -> &S {
        &self.exchange.stream.io
    }
}

/// Tells the client why there is no connection.
pub(super) async fn refuse<S, R: Io<S>>(exchange: Exchange<S, R>, refused: RefusedRequest) -> Error {
    let mut response = Vec::new();
    if *refused.error() != RequestError::EndOfStream && refused.write_response(&mut response).is_ok() {
        exchange.end(response).await;
    }
    HandshakeError::Refused(refused).into()
}
