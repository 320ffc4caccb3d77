//! The client's side of the opening handshake over a stream.

use core::time::Duration;

use super::accept::Blocking;
use super::bounded::Bounded;
use super::client_stream::ClientStream;
use super::clock::Clock;
use super::dial::dial;
use super::{Error, HandshakeError, Transport, WebSocket};
use crate::client::{self, ClientOpening, Layer, Route};
use crate::engine::driver::Driver;

/// Connects to a `ws:` or (feature `rustls`) `wss:` URL, with the defaults.
///
/// # Errors
///
/// As [`Connector::connect`].
pub fn connect(url: impl AsRef<str>) -> Result<WebSocket<ClientStream>, Error> {
    Connector::new(url).connect()
}

/// How a blocking client connects; see [`client::Connector`] for all it can be told.
pub type Connector = client::Connector<Blocking>;

/// Over `std`'s streams: [`blocking::Connector`](Connector).
impl client::Connector<Blocking> {
    /// Connects to the host of the URL and opens the WebSocket.
    ///
    /// The name is looked up in a thread that lives as long as the resolver needs, even if that is longer than the
    /// [timeout](Self::timeout). Where it has several addresses, each has a thread of its own until it is connected or
    /// the timeout is over; they are raced as RFC 8305 has it, and the first wins. `TCP_NODELAY` is set. Nothing is
    /// dialled for a request that cannot be sent.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for an URL, header or subprotocol that cannot be sent, for a refusal by the server
    /// (status, headers, body) and for a response that breaks the rules; [`Error::Connect`] if there is no stream to
    /// the server, or not in time, which names the step that failed; [`Error::Io`] if the stream failed later.
    pub fn connect(&self) -> Result<WebSocket<ClientStream>, Error> {
        let clock = Clock::start();
        let mut attempt = self.attempt()?;
        loop {
            // An invalid request fails before any connection is made.
            let (opening, request) = attempt.start()?;
            let stream = open(attempt.route()?, clock, attempt.until())?;
            match Driver::new(clock.bound(stream), opening, request).proceed()? {
                (stream, Ok(established)) => return Ok(WebSocket::open(stream.transport, established)),
                (_, Err(refusal)) => attempt = attempt.refused(refusal)?,
            }
        }
    }

    /// Opens the WebSocket over a stream that is connected to the server already, TLS included for `wss:`.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect). A non-blocking stream needs [`begin`](Self::begin): here
    /// [`Error::WouldBlock`] loses it.
    pub fn connect_over<S: Transport>(&self, transport: S) -> Result<WebSocket<S>, Error> {
        self.begin(transport)?.proceed()
    }

    /// Begins the handshake without waiting; for non-blocking streams.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for something that cannot be sent.
    pub fn begin<S: Transport>(&self, transport: S) -> Result<Connecting<S>, Error> {
        let (opening, request) = self.attempt()?.start()?;
        Ok(Connecting(Driver::new(Bounded::new(transport, Duration::ZERO), opening, request)))
    }
}

/// The stream to the server.
fn open(route: Route, clock: Clock, until: Option<Duration>) -> Result<ClientStream, Error> {
    let dialled = dial(&route.host, route.port, clock, until);
    let mut stream = ClientStream::Tcp(dialled.map_err(|error| route.unreachable_error(error))?);
    for layer in route.layers {
        stream = match layer {
            Layer::Tunnel(tunnel, request) => {
                let (stream, ()) = Driver::new(clock.bound(stream), tunnel, request).proceed()?;
                stream.transport
            }
            #[cfg(feature = "rustls")]
            Layer::Tls { step, peer } => super::tls::set_up(stream, peer, step, clock, until)?,
        };
    }
    Ok(stream)
}

/// A handshake that waits for the server's response.
#[derive(Debug)]
pub struct Connecting<S>(Driver<Bounded<S>, ClientOpening>);

impl<S: Transport> Connecting<S> {
    /// Goes on and returns the open connection once the server has answered.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`]: call it again when the stream is ready. Any other error ends the attempt, as for
    /// [`Connector::connect`].
    pub fn proceed(&mut self) -> Result<WebSocket<S>, Error> {
        match self.0.proceed()? {
            (stream, Ok(established)) => Ok(WebSocket::open(stream.transport, established)),
            (_, Err(refusal)) => Err(HandshakeError::Refusal(refusal).into()),
        }
    }

    /// How long the server may still take, `None` without a limit; [`proceed`](Self::proceed) must be called then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.0.time_left()
    }

    /// The stream, to ask for its readiness, until the handshake has ended.
    #[must_use]
    pub fn transport(&self) -> Option<&S> {
        self.0.stream().map(|stream| &stream.transport)
    }
}
