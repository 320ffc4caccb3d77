//! The client's side of the opening handshake over a stream.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Instant;

use super::bounded::SHORTEST;
use super::exchange::Exchange;
use super::{Error, HandshakeError, Transport, WebSocket};
use crate::handshake::{
    ClientHandshake, ClientRequest, ClientStep, Extension, HandshakeLimits, random_nonce,
};
use crate::stream::Opened;
use crate::{Config, MaskKeys, UriError, WebSocketUri};

/// Connects to a `ws:` URL over TCP, with the defaults.
///
/// # Errors
///
/// As [`Connector::connect`].
pub fn connect(url: impl AsRef<str>) -> Result<WebSocket<TcpStream>, Error> {
    Connector::new(url).connect()
}

/// How a client connects: URL, headers, subprotocols, timeout, limits.
///
/// ```no_run
/// use std::time::Duration;
/// use sansocket::blocking::Connector;
///
/// let mut ws = Connector::new("ws://127.0.0.1:9001/chat")
///     .header("Authorization", "Bearer 0815")
///     .subprotocol("chat.v2")
///     .timeout(Duration::from_secs(3))
///     .connect()?;
/// println!("subprotocol: {:?}", ws.subprotocol());
/// # Ok::<(), sansocket::blocking::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Connector {
    request: Result<ClientRequest, UriError>,
    config: Arc<Config>,
    limits: HandshakeLimits,
    timeout: Duration,
}

impl Connector {
    /// Connects to `url` and asks for nothing but its resource. A malformed URL shows when connecting.
    #[must_use]
    pub fn new(url: impl AsRef<str>) -> Self {
        let request = WebSocketUri::parse(url.as_ref()).map(ClientRequest::new);
        Self {
            request,
            config: Arc::default(),
            limits: HandshakeLimits::default(),
            timeout: Duration::from_secs(10),
        }
    }

    /// Adds a header such as `Authorization` or `Cookie`; those of the handshake itself are refused.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.with(|request| request.header(name, value))
    }

    /// Sends an `Origin`, as a browser does for its page. Default: none.
    #[must_use]
    pub fn origin(self, origin: impl AsRef<[u8]>) -> Self {
        self.with(|request| request.origin(origin))
    }

    /// Offers a subprotocol, after those offered before.
    #[must_use]
    pub fn subprotocol(self, name: &str) -> Self {
        self.with(|request| request.subprotocol(name))
    }

    /// Fails if the server chooses none of the subprotocols. Default: the connection opens without one.
    #[must_use]
    pub fn require_subprotocol(self) -> Self {
        self.with(ClientRequest::require_subprotocol)
    }

    /// Offers an extension that the code around the connection carries out.
    #[must_use]
    pub fn extension(self, extension: &Extension<'_>) -> Self {
        self.with(|request| request.extension(extension))
    }

    /// Sets limits and deadlines of the open connection.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Sets what the server's response may cost; its time is set by [`timeout`](Self::timeout).
    #[must_use]
    pub fn limits(mut self, limits: HandshakeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Bounds everything up to the open connection: TCP and handshake together. Default 10 s.
    ///
    /// Looking up the name of the host cannot be interrupted; its time counts all the same.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects over TCP, each address of the host in turn, and opens the WebSocket.
    ///
    /// An address that does not answer gets its share of the time that is left, so that the next ones get theirs.
    /// `TCP_NODELAY` is set. Nothing is dialled for a request that cannot be sent.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] for an URL, header or subprotocol that cannot be sent, for a refusal by the server
    /// (status, headers, body) and for a response that breaks the rules; [`Error::TimedOut`]; [`Error::Io`].
    /// A `wss:` URL needs a TLS stream and [`connect_over`](Self::connect_over).
    pub fn connect(&self) -> Result<WebSocket<TcpStream>, Error> {
        let began = Instant::now();
        let uri = self.request()?.uri();
        if uri.is_secure() {
            return Err(HandshakeError::TlsNeeded.into());
        }
        let asked = self.ask()?;
        let stream = dial(uri.host(), uri.port(), began, self.timeout)?;
        stream.set_nodelay(true)?;
        self.connecting(asked, Exchange::since(stream, began)).proceed()
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
        let began = Instant::now();
        Ok(self.connecting(self.ask()?, Exchange::since(transport, began)))
    }

    /// The request in bytes, and what waits for its response.
    fn ask(&self) -> Result<(ClientHandshake, Vec<u8>), Error> {
        let mut unsent = Vec::new();
        let nonce = random_nonce().map_err(HandshakeError::Randomness)?;
        let request =
            self.request()?.clone().with_config(&self.config).limits(self.limits.timeout(self.timeout));
        let handshake = request.start(nonce, Duration::ZERO, &mut unsent).map_err(HandshakeError::Request)?;
        Ok((handshake, unsent))
    }

    fn connecting<S>(&self, asked: (ClientHandshake, Vec<u8>), exchange: Exchange<S>) -> Connecting<S> {
        let (handshake, unsent) = asked;
        Connecting(Some(Asking { exchange, handshake, unsent, config: self.config.clone() }))
    }

    fn request(&self) -> Result<&ClientRequest, Error> {
        self.request.as_ref().map_err(|error| HandshakeError::Uri(*error).into())
    }

    fn with(mut self, change: impl FnOnce(ClientRequest) -> ClientRequest) -> Self {
        self.request = self.request.map(change);
        self
    }
}

/// RFC 6455 §4.1: "There MUST be no more than one connection in a CONNECTING state." Whether the application has
/// another is its own to know; the addresses of one host are tried one after the other.
fn dial(host: &str, port: u16, began: Instant, timeout: Duration) -> Result<TcpStream, Error> {
    let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    dial_each(&addresses, began, timeout, TcpStream::connect_timeout)
}

/// Each address gets its share of the time that is left: one that does not answer leaves the others theirs.
fn dial_each<T>(
    addresses: &[SocketAddr],
    began: Instant,
    timeout: Duration,
    mut dial: impl FnMut(&SocketAddr, Duration) -> io::Result<T>,
) -> Result<T, Error> {
    let mut failure = Error::Io(io::Error::new(io::ErrorKind::NotFound, "host has no address"));
    for (remaining, address) in (1..=addresses.len()).rev().zip(addresses) {
        let left = timeout.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(Error::TimedOut);
        }
        let share = left / u32::try_from(remaining).unwrap_or(u32::MAX);
        match dial(address, share.max(SHORTEST)) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => failure = Error::TimedOut,
            Err(error) => failure = Error::Io(error),
        }
    }
    Err(failure)
}

/// A handshake that waits for the server's response.
#[derive(Debug)]
pub struct Connecting<S>(Option<Asking<S>>);

#[derive(Debug)]
struct Asking<S> {
    exchange: Exchange<S>,
    handshake: ClientHandshake,
    unsent: Vec<u8>,
    config: Arc<Config>,
}

impl<S: Transport> Connecting<S> {
    /// Goes on and returns the open connection once the server has answered.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`]: call it again when the stream is ready. Any other error ends the attempt, as for
    /// [`Connector::connect`].
    pub fn proceed(&mut self) -> Result<WebSocket<S>, Error> {
        let mut scratch = [0; 4096];
        while let Some(mut asking) = self.0.take() {
            let until = asking.handshake.poll_timeout();
            let Asking { exchange, unsent, .. } = &mut asking;
            let read = match exchange.write(unsent, until).and_then(|()| exchange.read(&mut scratch, until)) {
                Ok(read) => read,
                Err(error) => {
                    if matches!(error, Error::WouldBlock) {
                        self.0 = Some(asking);
                    }
                    return Err(error);
                }
            };
            if let Some(ws) = self.take(asking, read.map(|len| &scratch[..len]))? {
                return Ok(ws);
            }
        }
        Err(Error::Io(io::ErrorKind::NotConnected.into()))
    }

    /// How long the server may still take, `None` without a limit; [`proceed`](Self::proceed) must be called then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let asking = self.0.as_ref()?;
        Some(asking.handshake.poll_timeout()?.saturating_sub(asking.exchange.now()))
    }

    /// The stream, to ask for its readiness, until the handshake has ended.
    #[must_use]
    pub fn transport(&self) -> Option<&S> {
        self.0.as_ref().map(|asking| &asking.exchange.transport)
    }

    /// Takes what was read (`None`: the time is up); keeps the rest of the work for later, or ends it.
    fn take(&mut self, asking: Asking<S>, read: Option<&[u8]>) -> Result<Option<WebSocket<S>>, Error> {
        let Asking { exchange, handshake, unsent, config } = asking;
        let now = exchange.now();
        let step = match read {
            None => handshake.handle_timeout(now),
            Some([]) => handshake.handle_eof().map(ClientStep::Refused),
            Some(bytes) => handshake.receive(now, bytes),
        };
        match step.map_err(HandshakeError::Response)? {
            ClientStep::NeedMore(handshake) => {
                self.0 = Some(Asking { exchange, handshake, unsent, config });
                Ok(None)
            }
            ClientStep::Refused(refusal) => Err(HandshakeError::Refusal(refusal).into()),
            ClientStep::Open { opened, consumed } => {
                let unread = read.and_then(|bytes| bytes.get(consumed..)).unwrap_or_default();
                let response = Some(opened.response().clone());
                let (connection, negotiated) =
                    opened.into_connection(config, MaskKeys::thread(), Duration::ZERO);
                let opened = Opened { subprotocol: negotiated.subprotocol, response };
                let ws = WebSocket::open(exchange.transport, connection, unread, Vec::new(), opened);
                Ok(Some(ws))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_do_not_answer_leave_time_for_the_next() {
        let addresses = [1, 2, 3, 4].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let (began, timeout) = (Instant::now(), Duration::from_secs(3600));
        let mut shares = Vec::new();
        let dialled = dial_each(&addresses, began, timeout, |address, share| {
            shares.push(share.as_secs().div_ceil(60));
            if address.port() == 3 { Ok(address.port()) } else { Err(io::ErrorKind::TimedOut.into()) }
        });
        assert_eq!(dialled.ok(), Some(3));
        assert_eq!(shares, [15, 20, 30], "of what is left: no time has passed here");
        let dialled = dial_each::<()>(&addresses, began, timeout, |_, _| Err(io::ErrorKind::TimedOut.into()));
        assert!(matches!(dialled, Err(Error::TimedOut)));
        let dialled = dial_each::<()>(&addresses, began, Duration::ZERO, |_, _| panic!("no time"));
        assert!(matches!(dialled, Err(Error::TimedOut)));
    }
}
