//! The client's side of the opening handshake over a stream.

use alloc::vec::Vec;
use core::time::Duration;
use std::io;

use super::client_stream::ClientStream;
use super::clock::Clock;
use super::dial::dial;
use super::exchange::Exchange;
use super::{Error, HandshakeError, Transport, WebSocket};
use crate::client::{self, Asking, ConnectError, Layer, Progress, ProxyFailure, Route, Step, Tunnel};
use crate::handshake::Refusal;

/// Connects to a `ws:` or (feature `rustls`) `wss:` URL, with the defaults.
///
/// # Errors
///
/// As [`Connector::connect`].
pub fn connect(url: impl AsRef<str>) -> Result<WebSocket<ClientStream>, Error> {
    Connector::new(url).connect()
}

/// Marks what belongs to this adapter.
#[derive(Debug)]
pub enum Blocking {}

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
            // What cannot be sent shows before anybody is dialled.
            let asking = attempt.ask()?;
            let stream = open(attempt.route()?, clock, attempt.until())?;
            match Connecting::new(asking, stream, clock).ask()? {
                Ok(ws) => return Ok(ws),
                Err(refusal) => attempt = attempt.refused(refusal)?,
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
        let clock = Clock::start();
        Ok(Connecting::new(self.attempt()?.ask()?, transport, clock))
    }
}

/// The stream to the server.
fn open(route: Route, clock: Clock, until: Option<Duration>) -> Result<ClientStream, Error> {
    let dialled = dial(&route.host, route.port, clock, until);
    let mut stream = ClientStream::Tcp(dialled.map_err(|error| route.not_reached(error))?);
    for layer in route.layers {
        stream = match layer {
            Layer::Tunnel { proxy, tunnel } => {
                ask_for_tunnel(stream, tunnel, clock, until).map_err(|ended| {
                    ended.map_or(ConnectError::TimedOut { step: Step::Proxy }, |failure| {
                        ConnectError::Proxy { proxy, failure }
                    })
                })?
            }
            #[cfg(feature = "rustls")]
            Layer::Tls { step, peer } => super::tls::set_up(stream, peer, step, clock, until)?,
        };
    }
    Ok(stream)
}

/// Speaks with the proxy until there is a tunnel; the error is `None` when the time is over.
fn ask_for_tunnel(
    stream: ClientStream,
    mut tunnel: Tunnel,
    clock: Clock,
    until: Option<Duration>,
) -> Result<ClientStream, Option<ProxyFailure>> {
    let mut exchange = Exchange::since(stream, clock);
    let mut buffer = [0; 1024];
    let failed = |error| match error {
        Error::TimedOut | Error::WouldBlock => None,
        error => Some(ProxyFailure::Io(error.into())),
    };
    loop {
        exchange.write(&mut tunnel.take_output(), until).map_err(failed)?;
        match exchange.read(&mut buffer, until).map_err(failed)? {
            Some(0) => return Err(Some(tunnel.handle_eof())),
            Some(len) if tunnel.receive(buffer.get(..len).unwrap_or_default())? => {
                return Ok(exchange.transport);
            }
            read if read.is_none() || until.is_some_and(|until| until <= clock.now()) => {
                return Err(tunnel.handle_timeout());
            }
            _ => {}
        }
    }
}

/// A handshake that waits for the server's response.
#[derive(Debug)]
pub struct Connecting<S>(Option<(Asking, Exchange<S>)>);

impl<S: Transport> Connecting<S> {
    fn new(asking: Asking, transport: S, clock: Clock) -> Self {
        Self(Some((asking, Exchange::since(transport, clock))))
    }

    /// Goes on to the end, for a stream that blocks.
    fn ask(mut self) -> Result<Result<WebSocket<S>, Refusal>, Error> {
        match self.proceed() {
            Ok(ws) => Ok(Ok(ws)),
            Err(Error::Handshake(error)) => match *error {
                HandshakeError::Refusal(refusal) => Ok(Err(refusal)),
                other => Err(other.into()),
            },
            Err(error) => Err(error),
        }
    }

    /// Goes on and returns the open connection once the server has answered.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`]: call it again when the stream is ready. Any other error ends the attempt, as for
    /// [`Connector::connect`].
    pub fn proceed(&mut self) -> Result<WebSocket<S>, Error> {
        let mut scratch = [0; 4096];
        while let Some((mut asking, mut exchange)) = self.0.take() {
            let until = asking.until();
            let wrote = exchange.write(&mut asking.unsent, until);
            let read = match wrote.and_then(|()| exchange.read(&mut scratch, until)) {
                Ok(read) => read,
                Err(Error::WouldBlock) => {
                    self.0 = Some((asking, exchange));
                    return Err(Error::WouldBlock);
                }
                Err(Error::TimedOut) => return Err(ConnectError::TimedOut { step: Step::Handshake }.into()),
                Err(error) => return Err(error),
            };
            let bytes = read.map(|len| scratch.get(..len).unwrap_or_default());
            match asking.take(exchange.now(), bytes)? {
                Progress::NeedMore(asking) => self.0 = Some((asking, exchange)),
                Progress::Refused(refusal) => return Err(HandshakeError::Refusal(refusal).into()),
                Progress::Open { connection, unread, opened } => {
                    return Ok(WebSocket::open(exchange.transport, connection, unread, Vec::new(), opened));
                }
            }
        }
        Err(Error::Io(io::ErrorKind::NotConnected.into()))
    }

    /// How long the server may still take, `None` without a limit; [`proceed`](Self::proceed) must be called then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let (asking, exchange) = self.0.as_ref()?;
        Some(asking.until()?.saturating_sub(exchange.now()))
    }

    /// The stream, to ask for its readiness, until the handshake has ended.
    #[must_use]
    pub fn transport(&self) -> Option<&S> {
        self.0.as_ref().map(|(_, exchange)| &exchange.transport)
    }
}
