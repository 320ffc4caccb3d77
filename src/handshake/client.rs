//! The client's half: send the request, check the response (RFC 6455 §4.1).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::deadline::Deadline;
#[cfg(feature = "deflate")]
use super::deflate;
use super::error::ResponseError;
use super::extensions::{Extension, Extensions};
use super::fields::{
    ExtraHeaders, HeaderError, RESERVED_IN_REQUESTS, is_field_value, is_token, write_header,
};
use super::key::{accept_key, encode_nonce};
use super::limits::HandshakeLimits;
#[cfg(all(feature = "hyper", feature = "rand"))]
use super::opened::ResponseHead;
use super::opened::{Expected, Opened};
use super::refusal::Refusal;
use super::response::write_whole;
use super::response_reader::ResponseReader;
use crate::config::Config;
#[cfg(feature = "deflate")]
use crate::deflate::Deflate;
use crate::redacted::{Redacted, RedactedList};
use crate::sink::{Full, Sink};
use crate::uri::{WebSocketUri, is_authority};

/// What a client asks a server for; good for any number of attempts.
///
/// ```
/// use core::time::Duration;
/// use sansocket::handshake::ClientRequest;
/// use sansocket::WebSocketUri;
///
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// # let now = Duration::ZERO;
/// # let nonce = [7; 16];
/// let request = ClientRequest::new(WebSocketUri::parse("ws://example.com/chat")?)
///     .subprotocol("chat")
///     .header("Authorization", "Bearer 0815");
/// let mut out = Vec::new(); // what is to be written to the stream
/// // let nonce = sansocket::handshake::random_nonce()?;
/// let handshake = request.start(nonce, now, &mut out)?;
/// assert!(out.starts_with(b"GET /chat HTTP/1.1\r\nHost: example.com\r\n"));
/// # let _ = handshake;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClientRequest {
    uri: WebSocketUri,
    host: Option<String>,
    origin: Option<Vec<u8>>,
    subprotocols: Vec<String>,
    subprotocol_required: bool,
    extensions: Extensions,
    required_extensions: Extensions,
    headers: ExtraHeaders,
    limits: HandshakeLimits,
    #[cfg(feature = "deflate")]
    deflate: Option<Deflate>,
}

impl ClientRequest {
    /// Asks for the resource of `uri` and nothing else.
    #[must_use]
    pub fn new(uri: WebSocketUri) -> Self {
        Self {
            uri,
            host: None,
            origin: None,
            subprotocols: Vec::new(),
            subprotocol_required: false,
            extensions: Extensions::new(),
            required_extensions: Extensions::new(),
            headers: ExtraHeaders::new(),
            limits: HandshakeLimits::default(),
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// What the request asks for, and from whom.
    #[must_use]
    pub const fn uri(&self) -> &WebSocketUri {
        &self.uri
    }

    /// Adds a header line such as `Authorization` or `Cookie`. It is checked by [`start`](Self::start).
    ///
    /// The headers of the handshake itself are refused: `Host` (see [`host`](Self::host)), `Origin`, `Upgrade`, `Connection`, all of
    /// `Sec-WebSocket-*`, and those of bodies and hops.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The same request for another resource; to another origin only with the added headers that are no secrets.
    #[cfg(feature = "rand")]
    pub(crate) fn redirected(mut self, uri: WebSocketUri, same_origin: bool) -> Self {
        if !same_origin {
            self.headers.retain(|name| HARMLESS.iter().any(|harmless| harmless.eq_ignore_ascii_case(name)));
            self.host = None;
        }
        self.uri = uri;
        self
    }

    /// Sends this `Host`, a name or an address with or without a port, instead of the one of the URI: to reach a virtual
    /// host at another address. It is checked by [`start`](Self::start); the last call counts.
    ///
    /// The host to connect to, and the name that a TLS certificate must have, are still those of the URI.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sends an `Origin`, as browsers do for the page that connects. Default: none.
    #[must_use]
    pub fn origin(mut self, origin: impl AsRef<[u8]>) -> Self {
        self.origin = Some(origin.as_ref().to_vec());
        self
    }

    /// Offers a subprotocol, after those offered before.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// Fails the handshake if the server chooses none of the subprotocols. Default: the connection opens
    /// without one.
    #[must_use]
    pub const fn require_subprotocol(mut self) -> Self {
        self.subprotocol_required = true;
        self
    }

    /// Offers an extension, after those offered before; the same one may be offered again with other
    /// parameters.
    ///
    /// A [`Connection`](crate::Connection) applies none of them by itself: only offer what the code around it
    /// carries out.
    #[must_use]
    pub fn extension(mut self, extension: &Extension<'_>) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Offers an extension, and fails the handshake if the server does not choose it.
    #[must_use]
    pub fn require_extension(mut self, extension: &Extension<'_>) -> Self {
        self.required_extensions.push(extension);
        self.extension(extension)
    }

    /// Offers permessage-deflate (RFC 7692), after the other extensions. Without an answer to it messages are not
    /// compressed. The adapters do as their configuration says.
    ///
    /// Not offered beside another extension that compresses messages.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, deflate: impl Into<Option<Deflate>>) -> Self {
        self.deflate = deflate.into();
        self
    }

    /// Takes over what the configuration of the connection says about its opening: with the feature `deflate` whether
    /// compression is offered. The adapters do it by themselves.
    #[must_use]
    pub fn with_config(self, config: &Config) -> Self {
        #[cfg(feature = "deflate")]
        if config.deflate.is_some() {
            return self.deflate(config.deflate.clone());
        }
        let _ = config;
        self
    }

    /// Sets other limits than the default ones.
    #[must_use]
    pub const fn limits(mut self, limits: HandshakeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Writes the request, whole or not at all; the deadline of the limits runs from `now`.
    ///
    /// Each attempt needs a new nonce from a cryptographically strong random source, such as `random_nonce`
    /// of this module. There should be at most one attempt at a time to the same address and port (RFC 6455
    /// §4.1).
    ///
    /// # Errors
    ///
    /// Something that was added to the request cannot be sent, or `out` has too little room. Nothing was
    /// written.
    pub fn start(
        &self,
        nonce: [u8; 16],
        now: Duration,
        out: &mut impl Sink,
    ) -> Result<ClientHandshake, ClientRequestError> {
        let key = encode_nonce(&nonce);
        let extensions = self.extensions.clone();
        #[cfg(feature = "deflate")]
        let (extensions, deflate) = self.add_deflate(extensions);
        write_whole(&self.encode(&key, &extensions)?, out).map_err(ClientRequestError::Full)?;
        let expected = Expected {
            accept: accept_key(&key),
            subprotocols: self.subprotocols.clone(),
            subprotocol_required: self.subprotocol_required,
            extensions,
            #[cfg(feature = "deflate")]
            deflate,
            required_extensions: self.required_extensions.clone(),
        };
        Ok(ClientHandshake(Box::new(Parts {
            expected,
            reader: ResponseReader::new(self.limits),
            deadline: Deadline::new(now, self.limits.timeout),
        })))
    }

    #[cfg(feature = "deflate")]
    fn add_deflate(&self, mut extensions: Extensions) -> (Extensions, Option<Deflate>) {
        let deflate = self.deflate.clone().filter(|_| deflate::is_compatible(&extensions));
        for offer in deflate.iter().flat_map(deflate::offers) {
            extensions.push(&offer);
        }
        (extensions, deflate)
    }

    fn encode(&self, key: &str, extensions: &Extensions) -> Result<Vec<u8>, ClientRequestError> {
        let mut bytes = format!("GET {} HTTP/1.1\r\n", self.uri.resource_name()).into_bytes();
        let host = match &self.host {
            Some(host) if is_authority(host.as_bytes()) => host.clone(),
            Some(_) => return Err(ClientRequestError::Host),
            None => self.uri.authority(),
        };
        write_header(&mut bytes, "Host", host.as_bytes());
        write_header(&mut bytes, "Upgrade", b"websocket");
        write_header(&mut bytes, "Connection", b"Upgrade");
        write_header(&mut bytes, "Sec-WebSocket-Key", key.as_bytes());
        write_header(&mut bytes, "Sec-WebSocket-Version", b"13");
        if let Some(origin) = &self.origin {
            if !is_field_value(origin) {
                return Err(ClientRequestError::Origin);
            }
            write_header(&mut bytes, "Origin", origin);
        }
        if !self.subprotocols.is_empty() {
            write_header(&mut bytes, "Sec-WebSocket-Protocol", self.subprotocol_list()?.as_bytes());
        }
        if !extensions.is_empty() {
            write_header(&mut bytes, "Sec-WebSocket-Extensions", extensions.as_str().as_bytes());
        }
        self.headers.write(RESERVED_IN_REQUESTS, &mut bytes).map_err(ClientRequestError::Header)?;
        bytes.extend_from_slice(b"\r\n");
        Ok(bytes)
    }

    fn subprotocol_list(&self) -> Result<String, ClientRequestError> {
        for (index, name) in self.subprotocols.iter().enumerate() {
            // RFC 6455 §4.1: "The elements that comprise this value MUST be non-empty strings with characters
            // in the range U+0021 to U+007E not including separator characters ... and MUST all be unique
            // strings."
            if !is_token(name) {
                return Err(ClientRequestError::Subprotocol(index + 1));
            }
            if self.subprotocols[..index].contains(name) {
                return Err(ClientRequestError::SubprotocolRepeated(index + 1));
            }
        }
        Ok(self.subprotocols.join(", "))
    }
}

/// Headers that say nothing which is meant for one server only. Any other may be a key.
#[cfg(feature = "rand")]
const HARMLESS: &[&str] = &["User-Agent", "Accept-Language"];

/// Why a request cannot be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClientRequestError {
    /// The host is not a name or an address, with or without a port.
    Host,
    /// The origin has a control character.
    Origin,
    /// The subprotocol that was offered at this position, counted from 1, is no token. Its name is not shown, since
    /// clients that cannot set headers put access tokens into subprotocols.
    Subprotocol(usize),
    /// The subprotocol at this position, counted from 1, was offered before.
    SubprotocolRepeated(usize),
    /// A header cannot be sent.
    Header(HeaderError),
    /// The output has too little room.
    Full(Full),
}

impl fmt::Display for ClientRequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("the host must be a name or an address, with or without a port"),
            Self::Origin => f.write_str("the origin has a control character"),
            Self::Subprotocol(position) => write!(f, "subprotocol number {position} is no token"),
            Self::SubprotocolRepeated(position) => {
                write!(f, "subprotocol number {position} was offered before")
            }
            Self::Header(error) => error.fmt(f),
            Self::Full(full) => full.fmt(f),
        }
    }
}

impl core::error::Error for ClientRequestError {}

/// Waits for the server's response. Nothing can be sent before it was checked:
///
/// ```compile_fail,E0599
/// fn too_early(mut handshake: sansocket::handshake::ClientHandshake, out: &mut Vec<u8>) {
///     handshake.send("hello", out);
/// }
/// ```
///
/// ```
/// use core::time::Duration;
/// use sansocket::handshake::{ClientHandshake, ClientStep, ResponseError};
///
/// fn on_input(handshake: ClientHandshake, now: Duration, input: &[u8]) -> Result<(), ResponseError> {
///     match handshake.receive(now, input)? {
///         ClientStep::NeedMore(_handshake) => { /* read on */ }
///         ClientStep::Open { opened, consumed } => {
///             let chosen = opened.negotiated().subprotocol.as_deref();
///             // `opened.into_connection(config, keys, now)`; `input[consumed..]` is its first input.
/// #           let _ = (chosen, consumed);
///         }
///         ClientStep::Refused(refusal) => println!("refused: {refusal:?}"),
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct ClientHandshake(Box<Parts>);

#[derive(Debug)]
struct Parts {
    expected: Expected,
    reader: ResponseReader,
    deadline: Deadline,
}

/// What [`ClientHandshake::receive`] came to. Exhaustive on purpose: whoever drives it must handle every outcome.
#[derive(Debug)]
pub enum ClientStep {
    /// The response is not complete; all input was taken.
    NeedMore(ClientHandshake),
    /// The connection is open.
    Open {
        /// The response, and what was negotiated.
        opened: Opened,
        /// How many bytes of the input belonged to the response. What follows are frames, to be given to the
        /// connection.
        consumed: usize,
    },
    /// The server answered with another status than 101. Close the stream.
    Refused(Refusal),
}

impl ClientHandshake {
    /// Takes what was read from the stream, in pieces of any size.
    ///
    /// # Errors
    ///
    /// The response is not acceptable. Close the stream.
    pub fn receive(mut self, now: Duration, input: &[u8]) -> Result<ClientStep, ResponseError> {
        let parts = &mut *self.0;
        if let Some((head, consumed)) = parts.reader.read(input, |status| status == 101)? {
            let opened = parts.expected.check(head)?;
            return Ok(ClientStep::Open { opened, consumed });
        }
        self.handle_timeout(now)
    }

    /// Judges a response that another library received; `Ok(Err(head))` if it opens no connection.
    #[cfg(all(feature = "hyper", feature = "rand"))]
    pub(crate) fn judge(
        self,
        response: ResponseHead,
        is_http2: bool,
    ) -> Result<Result<Opened, ResponseHead>, ResponseError> {
        let expected = &self.0.expected;
        match (response.status(), is_http2) {
            (101, false) => expected.check(response).map(Ok),
            // RFC 8441 §5: "a 200 (OK)" in place of the 101, as for any CONNECT.
            (200..=299, true) => expected.check_agreement(response).map(Ok),
            _ => Ok(Err(response)),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` without a deadline.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Duration> {
        self.0.deadline.at()
    }

    /// Tells the time. Early calls change nothing.
    ///
    /// A refusal whose body is late is handed out with as much of it as came.
    ///
    /// # Errors
    ///
    /// The deadline has passed: close the stream.
    pub fn handle_timeout(mut self, now: Duration) -> Result<ClientStep, ResponseError> {
        let is_over = self.0.deadline.is_over(now);
        match self.0.reader.take_refusal(is_over) {
            Some(refusal) => Ok(ClientStep::Refused(refusal)),
            None if is_over => Err(ResponseError::TimedOut),
            None => Ok(ClientStep::NeedMore(self)),
        }
    }

    /// Says that the stream ended. It may be the end of a refusal's body.
    ///
    /// # Errors
    ///
    /// The response was not complete.
    pub fn handle_eof(mut self) -> Result<Refusal, ResponseError> {
        self.0.reader.handle_eof().ok_or(ResponseError::EndOfStream)
    }
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRequest")
            .field("uri", &self.uri)
            .field("host", &self.host)
            .field("origin", &self.origin.as_ref().map(Redacted::of))
            .field("subprotocols", &RedactedList(&self.subprotocols))
            .field("extensions", &self.extensions)
            .field("headers", &self.headers)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
