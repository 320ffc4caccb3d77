//! The server's side of an opening: a request is read, handed out for a decision, and answered.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::time::Duration;
use std::io;

use super::driver::{Driver, Input, Progress, StateMachine};
use super::{Error, HandshakeError, Opened, Stream};
use crate::handshake::{
    Acceptance, HandshakeLimits, RefusedRequest, Request, RequestError, RequestHead, Response,
    ServerHandshake, ServerStep,
};
use crate::memory::new_queue;
use crate::redacted::Redacted;
use crate::{Config, Connection};

/// How long a refused peer may take to read why.
const LINGER: Duration = Duration::from_secs(1);
/// How much such a peer may send meanwhile, in bytes.
const LINGER_BYTES: usize = 256 << 10;

/// How a server accepts connections; one serves any number of them.
///
/// Use it as [`blocking::Acceptor`](crate::blocking::Acceptor) or (feature `tokio`) `tokio::Acceptor`.
#[derive(Clone, Debug)]
pub struct Acceptor<Over> {
    config: Arc<Config>,
    limits: HandshakeLimits,
    over: PhantomData<fn() -> Over>,
}

impl<Over> Acceptor<Over> {
    /// The defaults of [`Config`] and [`HandshakeLimits`].
    #[must_use]
    pub fn new() -> Self {
        Self { config: Arc::default(), limits: HandshakeLimits::default(), over: PhantomData }
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

    /// Starts to read a request from a stream whose clock shows zero.
    pub(crate) fn start<T: Stream>(&self, stream: T) -> Driver<T, ServerOpening> {
        let handshake = ServerHandshake::new(self.limits, Duration::ZERO);
        Driver::new(stream, ServerOpening { handshake, config: self.config.clone() }, Vec::new())
    }
}

impl<Over> Default for Acceptor<Over> {
    fn default() -> Self {
        Self::new()
    }
}

/// A request that is being read.
#[derive(Debug)]
pub(crate) struct ServerOpening {
    handshake: ServerHandshake,
    config: Arc<Config>,
}

/// A valid request.
pub(crate) struct Received {
    request: Request,
    /// Bytes that were read behind the request.
    unread: Vec<u8>,
    config: Arc<Config>,
}

impl ServerOpening {
    /// Fails for a configuration that no connection can have; ask before anything is read.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        Ok(self.config.validate()?)
    }
}

impl StateMachine for ServerOpening {
    type Outcome = Result<Received, RefusedRequest>;

    fn deadline(&self) -> Option<Duration> {
        self.handshake.poll_timeout()
    }

    fn handle(
        self,
        now: Duration,
        input: Input<'_>,
        _: &mut Vec<u8>,
    ) -> Result<Progress<Self, Self::Outcome>, Error> {
        let Self { handshake, config } = self;
        let (step, bytes) = match input {
            Input::Bytes(bytes) => (handshake.receive(now, bytes), bytes),
            Input::EndOfStream => (Err(handshake.handle_eof()), &[][..]),
            Input::Timeout => (handshake.handle_timeout(now).map(ServerStep::NeedMore), &[][..]),
            Input::Failed(error) => return Err(error.into()),
        };
        Ok(match step {
            Ok(ServerStep::NeedMore(handshake)) => Progress::NeedMore(Self { handshake, config }),
            Ok(ServerStep::Request { request, consumed }) => {
                let unread = bytes.get(consumed..).unwrap_or_default().to_vec();
                Progress::Done(Ok(Received { request, unread, config }))
            }
            Err(refused) => Progress::Done(Err(refused)),
        })
    }
}

/// A valid request and its stream, for a decision.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    pub(crate) stream: T,
    /// Boxed, because it is moved with each decision that cannot be carried out.
    received: Box<Received>,
}

/// A connection that a handshake has just opened.
pub(crate) struct Established {
    pub(crate) connection: Connection,
    /// Bytes that were read behind the handshake.
    pub(crate) unread: Vec<u8>,
    /// The response to the client, still to be written.
    pub(crate) response: Vec<u8>,
    pub(crate) opened: Opened,
}

impl<T: Stream> Pending<T> {
    pub(crate) fn new(stream: T, received: Received) -> Self {
        Self { stream, received: Box::new(received) }
    }

    pub(crate) fn into_parts(self) -> (T, Vec<u8>) {
        (self.stream, self.received.unread)
    }

    /// An acceptance that does not fit leaves everything in place.
    pub(crate) fn accept(self, acceptance: &Acceptance) -> Result<(T, Established), (Self, Error)> {
        let Self { stream, received } = self;
        let Received { request, unread, config } = *received;
        let mut response = new_queue();
        match request.accept_as(acceptance, &config, &mut response) {
            Ok(accepted) => {
                let (connection, negotiated) = accepted.into_connection(config, Duration::ZERO);
                let opened = Opened { subprotocol: negotiated.subprotocol, response: None };
                Ok((stream, Established { connection, unread, response, opened }))
            }
            Err(not) => {
                let received = Received { request: not.request, unread, config };
                Err((Self::new(stream, received), HandshakeError::Accept(not.error).into()))
            }
        }
    }

    /// A response that cannot be sent leaves everything in place.
    pub(crate) fn reject(self, response: &Response) -> Result<Driver<T, Linger>, (Self, Error)> {
        let Self { stream, received } = self;
        let Received { request, unread, config } = *received;
        let mut output = Vec::new();
        match request.reject(response, &mut output) {
            Ok(()) => Ok(Linger::start(stream, output)),
            Err(not) => {
                let received = Received { request: not.request, unread, config };
                Err((Self::new(stream, received), HandshakeError::Reject(not.error).into()))
            }
        }
    }
}

impl<T> Deref for Pending<T> {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.received.request
    }
}

/// The decision could not be carried out. It turns into an [`Error`] with `?`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Undecided<P> {
    /// The request, for another try, with nothing written. Where it is an `Option`, `None` says that the stream failed under
    /// the response.
    pub pending: P,
    /// The fault of the answer, or of the stream.
    pub error: Error,
}

impl<P> Undecided<P> {
    pub(crate) const fn new(pending: P, error: Error) -> Self {
        Self { pending, error }
    }
}

impl<P> fmt::Display for Undecided<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<P: fmt::Debug> core::error::Error for Undecided<P> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.error.source()
    }
}

impl<P> From<Undecided<P>> for Error {
    fn from(undecided: Undecided<P>) -> Self {
        undecided.error
    }
}

/// The first request on a stream: one for a WebSocket, or an ordinary one.
#[derive(Debug)]
pub enum Incoming<R, P> {
    /// A valid request for a WebSocket, which waits for the decision.
    Request(R),
    /// Another HTTP request, such as `GET /health`, which waits for its response.
    Plain(P),
}

/// A request that got no connection, and its stream.
#[derive(Debug)]
pub(crate) struct Refused<T> {
    stream: T,
    refused: RefusedRequest,
}

/// An ordinary HTTP request, and its stream.
#[derive(Debug)]
pub(crate) struct Plain<T> {
    pub(crate) head: RequestHead,
    pub(crate) refused: Refused<T>,
}

impl<T: Stream> Plain<T> {
    pub(crate) const fn stream(&self) -> &T {
        &self.refused.stream
    }

    pub(crate) fn respond(self, response: &Response) -> Result<Driver<T, Linger>, Error> {
        let Refused { stream, refused } = self.refused;
        let mut output = Vec::new();
        refused.respond(response, &mut output).map_err(HandshakeError::Reject)?;
        Ok(Linger::start(stream, output))
    }
}

impl<T: Stream> Refused<T> {
    pub(crate) const fn new(stream: T, refused: RefusedRequest) -> Self {
        Self { stream, refused }
    }

    /// The request, if it is an ordinary one.
    pub(crate) fn into_plain(self) -> Result<Plain<T>, Self> {
        match self.refused.plain_request().cloned() {
            Some(head) => Ok(Plain { head, refused: self }),
            None => Err(self),
        }
    }

    /// The error for the caller, and what tells the client, if it is there to be told.
    pub(crate) fn refuse(self) -> (Error, Option<Driver<T, Linger>>) {
        let Self { stream, refused } = self;
        let mut output = Vec::new();
        let is_told =
            *refused.error() != RequestError::EndOfStream && refused.write_response(&mut output).is_ok();
        let driver = is_told.then(|| Linger::start(stream, output));
        (HandshakeError::Refused(refused).into(), driver)
    }
}

/// The last response on a stream: it is written, and then the peer gets a moment to read it, because a reset would destroy
/// what it has not read.
///
/// An error says that not all of the response was written.
#[derive(Debug)]
pub(crate) struct Linger {
    until: Duration,
    received: usize,
}

impl Linger {
    fn start<T: Stream>(stream: T, response: Vec<u8>) -> Driver<T, Self> {
        let until = stream.now().saturating_add(LINGER);
        Driver::new(stream, Self { until, received: 0 }, response)
    }
}

impl StateMachine for Linger {
    type Outcome = ();

    fn deadline(&self) -> Option<Duration> {
        Some(self.until)
    }

    fn ends_output(&self) -> bool {
        true
    }

    fn handle(
        mut self,
        now: Duration,
        input: Input<'_>,
        output: &mut Vec<u8>,
    ) -> Result<Progress<Self, ()>, Error> {
        match input {
            Input::Failed(error) if !output.is_empty() => return Err(error.into()),
            Input::Timeout if !output.is_empty() => return Err(Error::Io(io::ErrorKind::TimedOut.into())),
            Input::Bytes(bytes) => {
                self.received += bytes.len();
                if self.received <= LINGER_BYTES && now < self.until {
                    return Ok(Progress::NeedMore(self));
                }
            }
            _ => {}
        }
        Ok(Progress::Done(()))
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("request", &self.request)
            .field("unread", &Redacted::of(&self.unread))
            .field("config", &self.config)
            .finish()
    }
}
