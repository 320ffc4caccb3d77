//! The opening handshake over blocking streams, beyond what every adapter does.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sansocket::UriError;
use sansocket::blocking::{self, Acceptor, Connector, Error, HandshakeError};
use sansocket::client::ConnectError;
use sansocket::handshake::{Acceptance, Response};

const REQUEST: &[u8] =
    b"GET /chat?room=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: v1.chat, v2.chat\r\nOrigin: https://app.example\r\n\r\n";

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/chat?room=1", listener.local_addr().unwrap());
    (listener, url)
}

/// A server that answers one connection in its own way.
fn serve<R: Send + 'static>(act: impl FnOnce(TcpStream) -> R + Send + 'static) -> (String, JoinHandle<R>) {
    let (listener, url) = listen();
    (url, thread::spawn(move || act(listener.accept().unwrap().0)))
}

#[track_caller]
fn handshake_error<T: std::fmt::Debug>(result: Result<T, Error>) -> HandshakeError {
    match result {
        Err(Error::Handshake(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stream_that_is_not_ready_loses_nothing() {
    // conf: SQ-25 CR-18
    let (listener, url) = listen();
    let addr = listener.local_addr().unwrap();
    let client = TcpStream::connect(addr).unwrap();
    let server = listener.accept().unwrap().0;
    client.set_nonblocking(true).unwrap();
    server.set_nonblocking(true).unwrap();

    let mut opening = Acceptor::new().begin(server);
    assert!(matches!(opening.proceed(), Err(Error::WouldBlock)));
    assert!(opening.next_deadline().is_some());
    let mut connecting = Connector::new(url).begin(client).unwrap();
    assert!(matches!(connecting.proceed(), Err(Error::WouldBlock)));
    assert!(connecting.transport().is_some());
    let request = until_ready(|| opening.proceed());
    assert!(matches!(opening.proceed(), Err(Error::Io(_))), "it is over");
    let mut server = request.accept(&Acceptance::new()).unwrap();
    let mut client = until_ready(|| connecting.proceed());
    assert!(matches!(client.recv(), Err(Error::WouldBlock)));
    server.send("ready").unwrap();
    assert_eq!(until_ready(|| client.recv()), Some("ready".into()));
}

fn until_ready<T>(mut act: impl FnMut() -> Result<T, Error>) -> T {
    for _ in 0..5000 {
        match act() {
            Err(Error::WouldBlock) => thread::sleep(Duration::from_millis(1)),
            done => return done.unwrap(),
        }
    }
    panic!("never ready");
}

#[test]
fn errors_say_their_cause_once() {
    use std::error::Error as _;

    let error = Error::from(HandshakeError::TlsNeeded);
    assert_eq!(error.to_string(), HandshakeError::TlsNeeded.to_string());
    assert!(error.source().is_none(), "a chain of sources would say it twice");
    let handshake = handshake_error(blocking::connect("ftp://localhost/"));
    assert!(handshake.source().unwrap().is::<UriError>());
    let error = Error::from(handshake);
    assert!(error.to_string().ends_with("begins with ws:// or wss://"), "{error}");
    assert!(error.source().is_none());
    let error = std::io::Error::from(error);
    assert!(error.get_ref().unwrap().is::<HandshakeError>());
    let (listener, url) = listen();
    drop(listener);
    let error = std::io::Error::from(blocking::connect(url).unwrap_err());
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "as the stream has it");
    assert!(error.get_ref().unwrap().is::<ConnectError>());
    let error = Error::from(sansocket::SendError::Closed);
    assert_eq!(error.to_string(), sansocket::SendError::Closed.to_string());
    assert!(error.source().is_none());
}

#[test]
fn a_rejection_that_does_not_leave_is_an_error() {
    let (url, server) = serve(|stream| {
        stream.set_nonblocking(true).unwrap();
        let mut opening = Acceptor::new().begin(stream);
        assert!(opening.transport().is_some());
        let request = until_ready(|| opening.proceed());
        request.reject(&Response::new(403).body(vec![b'x'; 32 << 20])).unwrap_err()
    });
    let mut stream = TcpStream::connect(url.trim_start_matches("ws://").split('/').next().unwrap()).unwrap();
    stream.write_all(REQUEST).unwrap();
    let undecided = server.join().unwrap();
    assert!(undecided.pending.is_none());
    assert!(matches!(undecided.error, Error::Io(error) if error.kind() == std::io::ErrorKind::WouldBlock));
}

#[test]
fn the_response_can_be_taken_and_the_subprotocol_stays() {
    let (url, server) = serve(|stream| {
        let request = Acceptor::new().read_request(stream).unwrap();
        let acceptance = Acceptance::new().subprotocol("v2.chat").header("Set-Cookie", "id=7");
        request.accept(&acceptance).map(drop)
    });
    let mut ws = Connector::new(url).subprotocol("v2.chat").connect().unwrap();
    assert_eq!(ws.response().unwrap().header("set-cookie"), Some(&b"id=7"[..]));
    assert_eq!(ws.take_response().unwrap().status(), 101);
    assert_eq!((ws.response(), ws.subprotocol()), (None, Some("v2.chat")));
    assert!(server.join().unwrap().is_ok());
}
