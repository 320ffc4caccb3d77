//! The blocking adapter as the scenarios want it: its calls as futures that are done at once.

use core::ops::Deref;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io::{ErrorKind, Write};
use std::net::TcpStream as StdTcpStream;
use std::sync::Arc;

use sansocket::blocking::{self, Parts, Pipe, Transport, pipe};
use sansocket::{CloseCode, Config, Connection, Event, Fin, Message};

pub(crate) use sansocket::blocking::Error;
#[cfg(feature = "rand")]
pub(crate) use sansocket::blocking::Pipe as Memory;
pub(crate) use std::net::TcpStream;

use crate::support::{self, Fault, Patience, again};

/// Streams that come too early each time say so in one of three ways. The calls are made again until they are done.
pub(crate) const HARMLESS: [(Fault, Patience); 4] = [
    (Fault::Short, Patience::ENDLESS),
    (Fault::Nothing(ErrorKind::WouldBlock), Patience::ENDLESS),
    (Fault::Nothing(ErrorKind::TimedOut), Patience::ENDLESS),
    (Fault::Nothing(ErrorKind::Interrupted), Patience::ENDLESS),
];
/// While a pong finds no room, a newer one takes its place.
pub(crate) const REPLACES_PONGS: bool = true;

/// Calls again until it is not too early: a call that came too early has taken nothing.
macro_rules! insist {
    ($patience:expr, $call:expr, $again:expr) => {{
        let _ = $patience;
        let mut tries = 0;
        loop {
            match $call.await {
                Err(error) if error.is_temporary() => tries += 1,
                done => break done,
            }
            assert!(tries < 100_000, "always too early");
        }
    }};
}
pub(crate) use insist;

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("each call is done when it returns"),
    }
}

pub(crate) fn server<S: Transport>(stream: S, config: impl Into<Arc<Config>>) -> WebSocket<S> {
    WebSocket(support::server(stream, config))
}

pub(crate) fn client<S: Transport>(stream: S, config: impl Into<Arc<Config>>) -> WebSocket<S> {
    WebSocket(support::client(stream, config))
}

pub(crate) fn tcp_stream(stream: StdTcpStream) -> TcpStream {
    stream
}

pub(crate) async fn peer_gone(said: &[u8]) -> Pipe {
    let (mut peer, stream) = pipe();
    peer.write_all(said).unwrap();
    stream
}

pub(crate) async fn recv_within<S: Transport>(
    ws: &mut WebSocket<S>,
    time: Duration,
) -> Option<Result<Option<Message<'static>>, Error>> {
    match ws.0.recv_timeout(time) {
        Err(Error::TimedOut) => None,
        done => Some(done),
    }
}

/// What began by a call that came too early goes on: calling again would begin another one.
pub(crate) async fn start_close<S: Transport>(
    ws: &mut WebSocket<S>,
    code: CloseCode,
    reason: &str,
    _: Patience,
) -> Result<(), Error> {
    match ws.0.start_close(code, reason) {
        Err(error) if error.is_temporary() => again(|| ws.0.flush()),
        done => done,
    }
}

pub(crate) struct WebSocket<S>(pub(crate) blocking::WebSocket<S>);

impl<S> Deref for WebSocket<S> {
    type Target = blocking::WebSocket<S>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Transport> WebSocket<S> {
    pub(crate) fn over(stream: S, connection: Connection) -> Self {
        Self(blocking::WebSocket::over(stream, connection))
    }

    pub(crate) fn with_unread(stream: S, connection: Connection, unread: &[u8]) -> Self {
        Self(blocking::WebSocket::with_unread(stream, connection, unread))
    }

    pub(crate) fn from_parts(parts: Parts<S>) -> Self {
        Self(blocking::WebSocket::from_parts(parts))
    }

    pub(crate) fn into_parts(self) -> Parts<S> {
        self.0.into_parts()
    }

    pub(crate) fn stream(&self) -> &S {
        self.0.transport()
    }

    pub(crate) async fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        self.0.recv()
    }

    pub(crate) async fn recv_ref(&mut self) -> Result<Option<(Message<'_>, Sender<'_, S>)>, Error> {
        Ok(self.0.recv_ref()?.map(|(message, tx)| (message, Sender(tx))))
    }

    pub(crate) async fn recv_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        self.0.recv_event()
    }

    pub(crate) async fn send(&mut self, message: impl Into<Message<'_>>) -> Result<(), Error> {
        self.0.send(message)
    }

    pub(crate) async fn feed(&mut self, message: impl Into<Message<'_>>) -> Result<(), Error> {
        self.0.feed(message)
    }

    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        self.0.flush()
    }

    pub(crate) async fn send_fragment(
        &mut self,
        fragment: impl Into<Message<'_>>,
        fin: Fin,
    ) -> Result<(), Error> {
        self.0.send_fragment(fragment, fin)
    }

    pub(crate) async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.0.ping(payload)
    }

    pub(crate) async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.0.close(code, reason)
    }

    pub(crate) async fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.0.start_close(code, reason)
    }
}

pub(crate) struct Sender<'a, S>(blocking::Sender<'a, S>);

impl<S: Transport> Sender<'_, S> {
    pub(crate) async fn send(&mut self, message: impl Into<Message<'_>>) -> Result<(), Error> {
        self.0.send(message)
    }

    pub(crate) async fn feed(&mut self, message: impl Into<Message<'_>>) -> Result<(), Error> {
        self.0.feed(message)
    }
}

#[cfg(feature = "rand")]
pub(crate) fn pair(config: Config) -> (WebSocket<Pipe>, WebSocket<Pipe>) {
    let (client, server) = blocking::pair(config);
    (WebSocket(client), WebSocket(server))
}

#[cfg(feature = "rand")]
pub(crate) use opening::*;

#[cfg(feature = "rand")]
mod opening {
    use sansocket::Role;
    pub(crate) use sansocket::blocking::{
        Acceptor, ClientStream, Connector, HandshakeError, Incoming, PendingRequest, PlainRequest,
    };
    use sansocket::handshake::{Acceptance, Response};

    use super::*;
    use crate::support::{Call, Scripted};

    type Request = PendingRequest<TcpStream>;

    pub(crate) async fn accept(acceptor: Acceptor, stream: TcpStream) -> Result<WebSocket<TcpStream>, Error> {
        acceptor.accept(stream).map(WebSocket)
    }

    pub(crate) async fn read_request(acceptor: Acceptor, stream: TcpStream) -> Result<Request, Error> {
        acceptor.read_request(stream)
    }

    pub(crate) async fn read(acceptor: Acceptor, stream: TcpStream) -> Result<Incoming<TcpStream>, Error> {
        acceptor.read(stream)
    }

    pub(crate) async fn answer(
        request: Request,
        acceptance: &Acceptance,
    ) -> Result<WebSocket<TcpStream>, (Error, Request)> {
        assert!(request.transport().peer_addr().unwrap().ip().is_loopback());
        match request.accept(acceptance) {
            Ok(ws) => Ok(WebSocket(ws)),
            Err(undecided) => Err((undecided.error, undecided.pending.unwrap())),
        }
    }

    pub(crate) async fn reject(request: Request, response: &Response) -> Result<(), (Error, Request)> {
        request.reject(response).map_err(|undecided| (undecided.error, undecided.pending.unwrap()))
    }

    pub(crate) async fn respond(plain: PlainRequest<TcpStream>, response: &Response) -> Result<(), Error> {
        assert!(plain.transport().peer_addr().is_ok());
        plain.respond(response)
    }

    pub(crate) async fn refuse(plain: PlainRequest<TcpStream>) -> Error {
        plain.refuse()
    }

    /// The stream of a request, which has its old settings, and what was read behind the request.
    pub(crate) fn into_stream(mut request: Request) -> (StdTcpStream, Vec<u8>) {
        request.transport_mut().set_nodelay(true).unwrap();
        let (stream, unread) = request.into_transport();
        assert_eq!(stream.read_timeout().unwrap(), None);
        (stream, unread)
    }

    pub(crate) async fn connect(connector: Connector) -> Result<WebSocket<ClientStream>, Error> {
        connector.connect().map(WebSocket)
    }

    pub(crate) async fn open_scripted<F: FnMut(usize, Call) -> Fault>(
        role: Role,
        stream: Scripted<F>,
    ) -> Result<WebSocket<Scripted<F>>, Error> {
        if role == Role::Client {
            let mut opening = Connector::new("ws://localhost/chat").begin(stream)?;
            return again(|| opening.proceed()).map(WebSocket);
        }
        let mut opening = Acceptor::new().begin(stream);
        let request = again(|| opening.proceed())?;
        assert_eq!(request.head().path(), "/chat");
        request.accept(&Acceptance::new()).map(WebSocket).map_err(|undecided| undecided.error)
    }
}
