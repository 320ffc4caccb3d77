//! The server's half: read the request, let the application decide, answer (RFC 6455 §4.2).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;
use core::time::Duration;

use super::checks::check_upgrade;
use super::deadline::Deadline;
#[cfg(feature = "deflate")]
use super::deflate;
use super::error::RequestError;
use super::extensions::{Extension, Extensions};
use super::fields::{ExtraHeaders, HeaderError, RESERVED_IN_RESPONSES, write_header};
use super::head::{Head, HeadReader};
use super::key::accept_bytes;
use super::limits::HandshakeLimits;
use super::offer::{Negotiated, NegotiationError, Offer};
use super::refused::RefusedRequest;
use super::request::RequestHead;
use super::response::{Response, WriteResponseError};
use crate::config::Config;
use crate::connection::Connection;
#[cfg(feature = "deflate")]
use crate::deflate::Deflate;
use crate::redacted::Redacted;
use crate::sink::{Full, Sink};

/// What every response that opens a connection begins with.
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: ";

/// Waits for a client's request.
///
/// ```
/// use core::time::Duration;
/// use sansocket::handshake::{Acceptance, HandshakeLimits, Response, ServerHandshake, ServerStep};
///
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// # let now = Duration::ZERO;
/// let received = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
///     Sec-WebSocket-Protocol: chat\r\nOrigin: https://app.example\r\n\r\n";
/// let mut out = Vec::new(); // what is to be written to the stream
///
/// let handshake = ServerHandshake::new(HandshakeLimits::default(), now);
/// match handshake.receive(now, received) {
///     Ok(ServerStep::NeedMore(_handshake)) => { /* read on */ }
///     Ok(ServerStep::Request { request, consumed }) => {
///         if !request.origin_is_one_of(["https://app.example"]) {
///             request.reject(&Response::new(403), &mut out)?;
///             return Ok(());
///         }
///         let subprotocol = request.choose_subprotocol(["chat"]);
///         let accepted = request.accept(&Acceptance::new().subprotocol(subprotocol), &mut out)?;
///         let (connection, negotiated) = accepted.into_connection(sansocket::Config::default(), now);
///         assert_eq!(negotiated.subprotocol.as_deref(), Some("chat"));
///         // `received[consumed..]` is the first input of the connection.
/// #       let _ = connection;
///     }
///     Err(refused) => refused.write_response(&mut out)?,
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ServerHandshake {
    reader: HeadReader,
    limits: HandshakeLimits,
    deadline: Deadline,
}

/// What [`ServerHandshake::receive`] came to. Exhaustive on purpose: whoever drives it must handle every outcome.
#[derive(Debug)]
pub enum ServerStep {
    /// The request is not complete; all input was taken.
    NeedMore(ServerHandshake),
    /// The request is complete and valid: it is the application's turn.
    Request {
        /// What the client asks for.
        request: Request,
        /// How many bytes of the input belonged to the request. What follows are frames, to be given to the
        /// connection.
        consumed: usize,
    },
}

impl ServerHandshake {
    /// Starts to wait. The deadline of the limits runs from `now`, a time since an epoch of the caller's
    /// choice.
    #[must_use]
    pub fn new(limits: HandshakeLimits, now: Duration) -> Self {
        Self { reader: HeadReader::request(), limits, deadline: Deadline::new(now, limits.timeout) }
    }

    /// Takes what was read from the stream, in pieces of any size.
    ///
    /// # Errors
    ///
    /// The request is refused: for its form with the line end after the fault, or once the bytes have doubled, or at the
    /// blank line. Send the response that the error [writes](RefusedRequest::write_response), then close the stream.
    pub fn receive(mut self, now: Duration, input: &[u8]) -> Result<ServerStep, RefusedRequest> {
        let consumed = match self.reader.read(input, &self.limits) {
            Ok(consumed) => consumed,
            Err(error) => return Err(RefusedRequest::new(error.into(), None)),
        };
        if self.reader.is_complete() {
            let request = Request::read(self.reader.finish())?;
            return Ok(ServerStep::Request { request, consumed });
        }
        self.handle_timeout(now).map(ServerStep::NeedMore)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` without a deadline.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Duration> {
        self.deadline.at()
    }

    /// Tells the time. Early calls change nothing.
    ///
    /// # Errors
    ///
    /// The deadline has passed: close the stream. The response, 408, may be sent before.
    pub fn handle_timeout(self, now: Duration) -> Result<Self, RefusedRequest> {
        if self.deadline.is_over(now) {
            Err(RefusedRequest::new(RequestError::TimedOut, None))
        } else {
            Ok(self)
        }
    }

    /// Whether no byte has arrived yet: a client that connected in advance, or a port scan, rather than a
    /// slow one.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.reader.is_empty()
    }

    /// Says that the stream ended; the request never became complete.
    #[must_use]
    pub fn handle_eof(self) -> RefusedRequest {
        RefusedRequest::new(RequestError::EndOfStream, None)
    }
}

/// A valid request for a WebSocket: read it, then [`accept`](Self::accept) or [`reject`](Self::reject) it.
///
/// It borrows nothing and can wait for a decision in another task. It dereferences to the [`Offer`]. Nothing
/// can be sent before it was accepted:
///
/// ```compile_fail,E0599
/// fn too_early(mut request: sansocket::handshake::Request, out: &mut Vec<u8>) {
///     request.send("hello", out);
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request(Box<RequestParts>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct RequestParts {
    head: RequestHead,
    offer: Offer,
}

impl Request {
    fn read(head: Head) -> Result<Self, RefusedRequest> {
        match RequestHead::new(head) {
            Err(error) => Err(RefusedRequest::new(error, None)),
            Ok(head) => match check_upgrade(&head) {
                Ok(offer) => Ok(Self(Box::new(RequestParts { head, offer }))),
                Err(error) => Err(RefusedRequest::new(error, Some(head))),
            },
        }
    }

    /// Method, path, query, host and all headers.
    #[must_use]
    pub fn head(&self) -> &RequestHead {
        &self.0.head
    }

    /// Opens the connection: writes the `101` response and hands out what the connection is made of.
    ///
    /// # Errors
    ///
    /// The acceptance does not fit the request, has a header that cannot be sent, or `out` has too little
    /// room. Nothing was written; the error holds the request for another try.
    pub fn accept(self, acceptance: &Acceptance, out: &mut impl Sink) -> Result<Accepted, NotAccepted> {
        self.accept_or(acceptance, None, out)
    }

    /// [`accept`](Self::accept) with what the acceptance leaves to the configuration.
    #[cfg(feature = "std")]
    pub(crate) fn accept_as(
        self,
        acceptance: &Acceptance,
        config: &Config,
        out: &mut impl Sink,
    ) -> Result<Accepted, NotAccepted> {
        self.accept_or(acceptance, Some(config), out)
    }

    fn accept_or(
        self,
        acceptance: &Acceptance,
        config: Option<&Config>,
        out: &mut impl Sink,
    ) -> Result<Accepted, NotAccepted> {
        match self.write_acceptance(acceptance, config, out) {
            Ok(negotiated) => Ok(Accepted { request: self, negotiated }),
            Err(error) => Err(NotAccepted { request: self, error }),
        }
    }

    /// Answers without opening a connection. Close the stream when the response is out.
    ///
    /// # Errors
    ///
    /// The response cannot be written, for example since its status is 101. Nothing was written; the error
    /// holds the request for another try.
    pub fn reject(self, response: &Response, out: &mut impl Sink) -> Result<(), NotRejected> {
        response.write(out).map_err(|error| NotRejected { request: self, error })
    }

    fn write_acceptance(
        &self,
        acceptance: &Acceptance,
        config: Option<&Config>,
        out: &mut impl Sink,
    ) -> Result<Negotiated, AcceptError> {
        let negotiated = acceptance.negotiate(self, config).map_err(AcceptError::Negotiation)?;
        let mut more = Vec::new();
        for (name, value) in negotiated.lines() {
            write_header(&mut more, name, value.as_bytes());
        }
        acceptance.headers.write(RESERVED_IN_RESPONSES, &mut more).map_err(AcceptError::Header)?;
        // `check_upgrade` lets no request through without a key.
        let accept = accept_bytes(self.key_bytes().unwrap_or_default());
        let parts = [SWITCHING, &accept, b"\r\n", &more, b"\r\n"];
        let needed = parts.iter().map(|part| part.len()).sum();
        if out.room() < needed {
            return Err(AcceptError::Full(Full { needed }));
        }
        out.reserve(needed);
        parts.iter().for_each(|part| out.push(part));
        Ok(negotiated)
    }
}

impl Deref for Request {
    type Target = Offer;

    fn deref(&self) -> &Offer {
        &self.0.offer
    }
}

/// How a request is accepted: subprotocol, extensions, and headers such as `Set-Cookie`.
#[derive(Clone, Default)]
pub struct Acceptance {
    subprotocol: Option<String>,
    extensions: Extensions,
    headers: ExtraHeaders,
    /// The application's choice, if it made one.
    #[cfg(feature = "deflate")]
    deflate: Option<Option<Deflate>>,
}

impl Acceptance {
    /// No subprotocol, no extension, no header but those of the handshake.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses a subprotocol, one that the client offered; see [`Offer::choose_subprotocol`].
    #[must_use]
    pub fn subprotocol<'s>(mut self, name: impl Into<Option<&'s str>>) -> Self {
        self.subprotocol = name.into().map(Into::into);
        self
    }

    /// Adds an extension, one that the client offered, with the parameters that the extension defines for
    /// answers.
    ///
    /// Several apply in this order to what is sent, in reverse to what is received. A [`Connection`] applies
    /// none of them by itself: only add what the code around it carries out.
    #[must_use]
    pub fn extension(mut self, extension: &Extension<'_>) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Compresses messages in this way if the client offers permessage-deflate so that it can be met (RFC 7692), and not
    /// at all with `None`. The adapters do as their configuration says where this is not called.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, deflate: impl Into<Option<Deflate>>) -> Self {
        self.deflate = Some(deflate.into());
        self
    }

    /// Takes over what the configuration of the connection says about its opening: with the feature `deflate` whether
    /// messages are compressed, unless `deflate` was called. The adapters do it by themselves.
    #[must_use]
    pub fn with_config(self, config: &Config) -> Self {
        #[cfg(feature = "deflate")]
        if self.deflate.is_none() {
            return self.deflate(config.deflate.clone());
        }
        let _ = config;
        self
    }

    /// Adds a header line. It is checked when the request is accepted.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Chooses what both ends agree on; `config` decides about compression where the acceptance does not.
    pub(crate) fn negotiate(
        &self,
        offer: &Offer,
        config: Option<&Config>,
    ) -> Result<Negotiated, NegotiationError> {
        #[cfg(feature = "deflate")]
        {
            let mut extensions = self.extensions.clone();
            let wanted = match &self.deflate {
                Some(chosen) => chosen.as_ref(),
                None => config.and_then(|config| config.deflate.as_ref()),
            };
            let chosen = wanted.filter(|_| deflate::is_compatible(&extensions));
            let chosen = chosen.and_then(|deflate| offer.choose_deflate(deflate));
            if let Some((extension, _)) = &chosen {
                extensions.push(extension);
            }
            let negotiated = offer.negotiate(self.subprotocol.as_deref(), extensions)?;
            Ok(Negotiated { deflate: chosen.map(|(_, agreed)| agreed), ..negotiated })
        }
        #[cfg(not(feature = "deflate"))]
        {
            let _ = config;
            offer.negotiate(self.subprotocol.as_deref(), self.extensions.clone())
        }
    }

    /// The header lines of the answer in any version of HTTP: what was agreed on, and those that were added.
    #[cfg(feature = "hyper")]
    pub(crate) fn lines<'a>(
        &'a self,
        negotiated: &'a Negotiated,
    ) -> impl Iterator<Item = Result<(&'a str, &'a [u8]), HeaderError>> {
        let agreed = negotiated.lines().map(|(name, value)| Ok((name, value.as_bytes())));
        agreed.chain(self.headers.checked(RESERVED_IN_RESPONSES))
    }
}

/// An accepted request: the `101` response is written, the connection is open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accepted {
    request: Request,
    negotiated: Negotiated,
}

impl Accepted {
    /// What the client asked for.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// What both ends agreed on.
    #[must_use]
    pub const fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// The open connection; the request's memory is freed.
    pub fn into_connection(self, config: impl Into<Arc<Config>>, now: Duration) -> (Connection, Negotiated) {
        let connection = Connection::server(config, now);
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(self.negotiated.deflate);
        (connection, self.negotiated)
    }
}

/// Why a request could not be accepted in this way.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AcceptError {
    /// The choice does not fit the client's offer.
    Negotiation(NegotiationError),
    /// A header cannot be sent.
    Header(HeaderError),
    /// The output has too little room.
    Full(Full),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Negotiation(error) => error.fmt(f),
            Self::Header(error) => error.fmt(f),
            Self::Full(full) => full.fmt(f),
        }
    }
}

impl core::error::Error for AcceptError {}

/// Nothing was written: the request, to accept it otherwise or reject it, and the reason.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NotAccepted {
    /// The request, as it was.
    pub request: Request,
    /// Why it was not accepted.
    pub error: AcceptError,
}

impl fmt::Display for NotAccepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for NotAccepted {}

/// Nothing was written: the request, to reject it otherwise or accept it, and the reason.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NotRejected {
    /// The request, as it was.
    pub request: Request,
    /// Why the response was not written.
    pub error: WriteResponseError,
}

impl fmt::Display for NotRejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for NotRejected {}

impl fmt::Debug for Acceptance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptance")
            .field("subprotocol", &self.subprotocol.as_ref().map(Redacted::of))
            .field("extensions", &self.extensions)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}
