//! The adapter for tokio as the scenarios want it.

use core::time::Duration;
use std::net::TcpStream as StdTcpStream;

use sansocket::handshake::{Acceptance, Response};
use sansocket::{CloseCode, Message, Role};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

pub(crate) use sansocket::tokio::{
    Acceptor, ClientStream, Connector, Error, HandshakeError, Incoming, PendingRequest, PlainRequest,
    WebSocket, pair,
};
pub(crate) use tokio::io::DuplexStream as Memory;
pub(crate) use tokio::net::TcpStream;

use crate::support::{Call, Fault, Patience, Scripted};
pub(crate) use crate::support::{client, insist, server};

/// The last one with the future dropped that finds it.
pub(crate) const HARMLESS: [(Fault, Patience); 3] = [
    (Fault::Short, Patience::ENDLESS),
    (Fault::NOT_READY, Patience::ENDLESS),
    (Fault::NOT_READY, Patience::NONE_AT_FIRST),
];
pub(crate) const REPLACES_PONGS: bool = false;

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn tcp_stream(stream: StdTcpStream) -> TcpStream {
    stream.set_nonblocking(true).unwrap();
    TcpStream::from_std(stream).unwrap()
}

pub(crate) async fn peer_gone(said: &[u8]) -> DuplexStream {
    let (mut peer, stream) = duplex(1000);
    peer.write_all(said).await.unwrap();
    stream
}

pub(crate) async fn recv_within<S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocket<S>,
    time: Duration,
) -> Option<Result<Option<Message<'static>>, Error>> {
    timeout(time, ws.recv()).await.ok()
}

pub(crate) async fn start_close<S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocket<S>,
    code: CloseCode,
    reason: &str,
    patience: Patience,
) -> Result<(), Error> {
    insist!(patience, ws.start_close(code, reason), ws.flush())
}

type Request = PendingRequest<TcpStream>;

pub(crate) async fn accept(acceptor: Acceptor, stream: TcpStream) -> Result<WebSocket<TcpStream>, Error> {
    acceptor.accept(stream).await
}

pub(crate) async fn read_request(acceptor: Acceptor, stream: TcpStream) -> Result<Request, Error> {
    acceptor.read_request(stream).await
}

pub(crate) async fn read(acceptor: Acceptor, stream: TcpStream) -> Result<Incoming<TcpStream>, Error> {
    acceptor.read(stream).await
}

pub(crate) async fn answer(
    request: Request,
    acceptance: &Acceptance,
) -> Result<WebSocket<TcpStream>, (Error, Request)> {
    assert!(request.stream().peer_addr().unwrap().ip().is_loopback());
    request.accept(acceptance).await.map_err(|undecided| (undecided.error, undecided.pending))
}

pub(crate) async fn reject(request: Request, response: &Response) -> Result<(), (Error, Request)> {
    request.reject(response).await.map_err(|undecided| (undecided.error, undecided.pending))
}

pub(crate) async fn respond(plain: PlainRequest<TcpStream>, response: &Response) -> Result<(), Error> {
    assert!(plain.stream().peer_addr().is_ok());
    plain.respond(response).await
}

pub(crate) async fn refuse(plain: PlainRequest<TcpStream>) -> Error {
    plain.refuse().await
}

/// The stream of a request, and what was read behind the request.
pub(crate) fn into_stream(mut request: Request) -> (StdTcpStream, Vec<u8>) {
    request.stream_mut().set_nodelay(true).unwrap();
    let (stream, unread) = request.into_stream();
    let stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    (stream, unread)
}

pub(crate) async fn connect(connector: Connector) -> Result<WebSocket<ClientStream>, Error> {
    connector.connect().await
}

pub(crate) async fn open_scripted<F: FnMut(usize, Call) -> Fault + Unpin>(
    role: Role,
    stream: Scripted<F>,
) -> Result<WebSocket<Scripted<F>>, Error> {
    match role {
        Role::Client => Connector::new("ws://localhost/chat").connect_over(stream).await,
        Role::Server => Acceptor::new().accept(stream).await,
    }
}
