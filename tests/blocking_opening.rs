//! The opening handshake over streams: one step, two steps, refusals, time, and streams that are not ready.
#![cfg(feature = "rand")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sansocket::blocking::{self, Acceptor, Connector, Error, HandshakeError, Incoming, WebSocket};
use sansocket::client::{ConnectError, Step};
use sansocket::handshake::{Acceptance, HandshakeLimits, RequestError, Response, ResponseError};
use sansocket::{CloseCode, Config, UriError};

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

/// A client that sends raw bytes and returns all that comes back.
fn send_raw(url: &str, bytes: &[u8]) -> String {
    let addr = url.trim_start_matches("ws://").split('/').next().unwrap();
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn timed_out_step<T>(result: Result<T, Error>) -> Option<Step> {
    match result {
        Err(Error::Connect(error)) => match *error {
            ConnectError::TimedOut { step } => Some(step),
            _ => None,
        },
        _ => None,
    }
}

#[track_caller]
fn handshake_error<T: std::fmt::Debug>(result: Result<T, Error>) -> HandshakeError {
    match result {
        Err(Error::Handshake(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_ends_agree_in_two_steps() {
    // conf: SA-04 CR-22 SQ-12
    let (url, server) = serve(|stream| {
        let request = Acceptor::new().read_request(stream).unwrap();
        assert_eq!((request.head().path(), request.head().query()), ("/chat", Some("room=1")));
        assert!(request.origin_is_one_of(["https://app.example"]));
        assert_eq!(request.head().header("x-token"), Some(&b"t1"[..]));
        let chosen = request.choose_subprotocol(["v2.chat"]);
        let acceptance = Acceptance::new().subprotocol(chosen).header("Set-Cookie", "id=7");
        let mut ws = request.accept(&acceptance).unwrap();
        assert_eq!(ws.subprotocol(), Some("v2.chat"));
        while let Some(message) = ws.recv().unwrap() {
            ws.send(message).unwrap();
        }
    });
    let ws = Connector::new(url)
        .origin("https://app.example")
        .header("X-Token", "t1")
        .subprotocol("v1.chat")
        .subprotocol("v2.chat")
        .require_subprotocol()
        .connect()
        .unwrap();
    assert_eq!(ws.subprotocol(), Some("v2.chat"));
    let mut ws = WebSocket::from_parts(ws.into_parts());
    assert_eq!(ws.subprotocol(), Some("v2.chat"), "still known when it was taken apart");
    assert_eq!(ws.response().unwrap().header("set-cookie"), Some(&b"id=7"[..]));
    assert_eq!(ws.take_response().unwrap().status(), 101);
    assert_eq!((ws.response(), ws.subprotocol()), (None, Some("v2.chat")));
    ws.send("hello").unwrap();
    assert_eq!(ws.recv().unwrap(), Some("hello".into()));
    ws.close(CloseCode::NORMAL, "").unwrap();
    server.join().unwrap();
}

#[test]
fn a_wrong_answer_leaves_the_request_to_another() {
    // conf: SA-04 SA-06
    let (url, server) = serve(|stream| {
        let request = Acceptor::new().read_request(stream).unwrap();
        let undecided = request.accept(&Acceptance::new().subprotocol("not offered")).unwrap_err();
        assert!(matches!(undecided.error, Error::Handshake(_)));
        let undecided = undecided.pending.unwrap().reject(&Response::new(101)).unwrap_err();
        undecided
            .pending
            .unwrap()
            .reject(&Response::new(403).header("X-Why", "origin").body("not you"))
            .unwrap();
    });
    match handshake_error(blocking::connect(url)) {
        HandshakeError::Refusal(refusal) => {
            assert_eq!(refusal.head().status(), 403);
            assert_eq!(refusal.head().header("x-why"), Some(&b"origin"[..]));
            assert_eq!(refusal.body(), b"not you");
        }
        other => panic!("{other:?}"),
    }
    server.join().unwrap();
}

#[test]
fn a_bad_request_is_told_so_before_the_stream_ends() {
    // conf: SQ-06 FL-06 SA-06
    for (bytes, status, rest) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], "426", &b""[..]),
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "405", b""),
        // What lies unread must not turn the answer into a reset.
        (b"\x16\x03\x01\x02\x00", "400", &[7; 100_000]),
    ] {
        let (url, server) = serve(|stream| handshake_error(blocking::accept(stream)));
        let answer = send_raw(&url, &[bytes, rest].concat());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("Connection: close"), "{answer}");
        assert!(matches!(server.join().unwrap(), HandshakeError::Refused(_)));
    }
}

#[test]
fn frames_glued_to_the_handshake_arrive() {
    // conf: SQ-27 CR-16
    let (url, server) = serve(|stream| {
        let mut ws = blocking::accept(stream).unwrap();
        ws.recv().unwrap().unwrap()
    });
    let frame = b"\x81\x82\x01\x02\x03\x04\x69\x6b\x88\x80\x01\x02\x03\x04";
    let answer = send_raw(&url, &[REQUEST, frame].concat());
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert_eq!(server.join().unwrap(), "hi");

    let (url, server) = serve(|mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = std::str::from_utf8(&head).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = sansocket::handshake::accept_key(key);
        let response = format!(
            "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(&[response.as_bytes(), b"\x81\x02hi\x81\x02ho"].concat()).unwrap();
        stream
    });
    let mut ws = blocking::connect(url).unwrap();
    assert_eq!(ws.recv().unwrap(), Some("hi".into()));
    let parts = ws.into_parts();
    assert_eq!(parts.unread, b"\x81\x02ho", "what was read and not taken is not lost");
    drop(server.join().unwrap());
}

#[test]
fn no_connection_and_a_lost_one_are_failures() {
    // conf: CQ-17 CR-19 CL-17
    // The port of a connection: nobody listens there, nor will while it is taken.
    let (listener, _) = listen();
    let taken = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let url = format!("ws://{}/", taken.local_addr().unwrap());
    let Err(Error::Connect(error)) = blocking::connect(&url) else { panic!("nobody listens") };
    assert!(matches!(*error, ConnectError::Connect { address, .. } if url.contains(&address.to_string())));

    for said in [&b""[..], b"HTTP/1.1 101 Switching Protocols\r\nUpgr"] {
        let (url, server) = serve(move |mut stream| {
            stream.read_exact(&mut [0; 64]).unwrap();
            stream.write_all(said).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            // The client closes its end: nothing but the end of the stream follows its request.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            rest
        });
        match handshake_error(blocking::connect(&url)) {
            HandshakeError::Response(ResponseError::EndOfStream) => {}
            other => panic!("{other:?}"),
        }
        assert!(server.join().unwrap().ends_with(b"\r\n\r\n"), "no frame was sent");
    }

    // A server closes the stream of a client that gives up.
    let (url, server) = serve(|stream| handshake_error(blocking::accept(stream)));
    let addr = url.trim_start_matches("ws://").split('/').next().unwrap();
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(b"GET / HT").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    match server.join().unwrap() {
        HandshakeError::Refused(refused) => assert_eq!(*refused.error(), RequestError::EndOfStream),
        other => panic!("{other:?}"),
    }
}

#[test]
fn slow_peers_are_given_up() {
    // conf: SQ-28
    let (url, server) = serve(|stream| {
        let limits = HandshakeLimits::default().timeout(Duration::from_millis(200));
        handshake_error(Acceptor::new().limits(limits).accept(stream))
    });
    let started = Instant::now();
    let answer = send_raw(&url, b"GET / HTTP/1.1\r\nHost");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert!(matches!(server.join().unwrap(), HandshakeError::Refused(_)));

    let (url, server) = serve(|stream| stream);
    let result = Connector::new(url).timeout(Duration::from_millis(300)).connect();
    assert_eq!(timed_out_step(result), Some(Step::Handshake));
    drop(server.join());
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
fn what_cannot_be_asked_for_is_an_error_before_anything_is_sent() {
    // conf: CQ-12 UR-01
    let uri = |url: &str| handshake_error(blocking::connect(url));
    assert!(matches!(uri("ftp://localhost/"), HandshakeError::Uri(_)));
    assert!(matches!(uri("ws://localhost/#top"), HandshakeError::Uri(_)));
    if cfg!(not(feature = "rustls")) {
        assert_eq!(uri("wss://localhost/"), HandshakeError::TlsNeeded);
    }
    let (listener, url) = listen();
    listener.set_nonblocking(true).unwrap();
    let evil = Connector::new(&url).header("X", "1\r\nEvil: 1").connect();
    assert!(matches!(handshake_error(evil), HandshakeError::Request(_)));
    assert!(listener.accept().is_err(), "nobody was dialled");
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
fn plain_requests_are_answered_beside_websockets() {
    let act = |stream: TcpStream| match Acceptor::new().read(stream) {
        Ok(Incoming::Plain(plain)) if plain.head().path() == "/health" => {
            plain.respond(&Response::new(200).body("up")).unwrap();
        }
        Ok(Incoming::Plain(plain)) => drop(plain.refuse()),
        Ok(Incoming::Request(mut request)) => {
            request.transport_mut().set_nodelay(true).unwrap();
            let (mut stream, unread) = request.into_transport();
            assert_eq!(stream.read_timeout().unwrap(), None);
            stream.write_all(&unread).unwrap();
        }
        Err(_) => {}
    };
    for (said, answer, end) in [
        (&b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"[..], "HTTP/1.1 200 ", "up"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 ", ""),
        (b"nonsense\r\n\r\n", "HTTP/1.1 400 ", ""),
        (&[REQUEST, b"frames"].concat(), "frames", ""),
    ] {
        let (url, server) = serve(act);
        let heard = send_raw(&url, said);
        assert!(heard.starts_with(answer) && heard.ends_with(end), "{heard}");
        server.join().unwrap();
    }
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
fn limits_reach_the_connection() {
    // conf: LM-03
    let (url, server) = serve(|stream| {
        let mut ws: WebSocket<_> =
            Acceptor::new().config(Config::new().max_message_size(10)).accept(stream).unwrap();
        ws.recv().unwrap_err()
    });
    let mut ws = blocking::connect(url).unwrap();
    ws.send("eleven bytes").unwrap();
    let _ = ws.recv();
    assert_eq!(ws.summary().unwrap().code, CloseCode::TOO_BIG);
    assert!(matches!(server.join().unwrap(), Error::Connection(sansocket::Error::TooBig { limit: 10 })));
}
