//! The opening handshake over TCP: one step, two steps, refusals, limits, time, and streams that do little at a time.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream as Raw};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sansocket::client::{ConnectError, Step};
use sansocket::handshake::{Acceptance, HandshakeLimits, RequestError, Response, ResponseError};
use sansocket::{CloseCode, Config, Role};

use crate::adapter::{
    Acceptor, Connector, Error, HandshakeError, Incoming, TcpStream, WebSocket, accept, answer, connect,
    insist, into_stream, open_scripted, read, read_request, refuse, reject, respond, run, tcp_stream,
};
use crate::support::{Call, Fault, Patience, SECOND, Scripted, ms, once};

const REQUEST: &[u8] =
    b"GET /chat?room=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: v1.chat, v2.chat\r\nOrigin: https://app.example\r\n\r\n";
/// "hi" and a Close frame.
const FRAMES: &[u8] = b"\x81\x82\x01\x02\x03\x04\x69\x6b\x88\x80\x01\x02\x03\x04";

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/chat?room=1", listener.local_addr().unwrap());
    (listener, url)
}

/// A server under test, for one connection.
fn serve<R: Send + 'static>(
    act: impl AsyncFnOnce(TcpStream) -> R + Send + 'static,
) -> (String, JoinHandle<R>) {
    serve_raw(move |stream| run(async { act(tcp_stream(stream)).await }))
}

/// A server that answers one connection in its own way.
fn serve_raw<R: Send + 'static>(act: impl FnOnce(Raw) -> R + Send + 'static) -> (String, JoinHandle<R>) {
    let (listener, url) = listen();
    (url, thread::spawn(move || act(listener.accept().unwrap().0)))
}

fn dial(url: &str) -> Raw {
    Raw::connect(url.trim_start_matches("ws://").split('/').next().unwrap()).unwrap()
}

/// A client that sends raw bytes and returns all that comes back.
fn send_raw(url: &str, bytes: &[u8]) -> String {
    let mut stream = dial(url);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn connect_to(url: &str) -> Result<(), Error> {
    run(async { connect(Connector::new(url)).await.map(drop) })
}

async fn accept_default(stream: TcpStream) -> Result<WebSocket<TcpStream>, Error> {
    accept(Acceptor::new(), stream).await
}

#[track_caller]
fn handshake_error<T>(result: Result<T, Error>) -> HandshakeError {
    match result {
        Err(Error::Handshake(error)) => *error,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it is open"),
    }
}

#[test]
fn both_ends_agree_in_one_step() {
    let (url, server) = serve(async |stream| {
        let mut ws = accept_default(stream).await.unwrap();
        assert_eq!((ws.subprotocol(), ws.response().is_none()), (None, true));
        while let Some((message, mut tx)) = ws.recv_ref().await.unwrap() {
            tx.feed(&message).await.unwrap();
        }
    });
    run(async {
        let mut ws = connect(Connector::new(url)).await.unwrap();
        assert_eq!(ws.response().unwrap().status(), 101);
        assert!(ws.stream().tcp().nodelay().unwrap());
        ws.send("hello").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
        ws.close(CloseCode::NORMAL, "").await.unwrap();
    });
    server.join().unwrap();
}

#[test]
fn both_ends_agree_in_two_steps_with_time_to_decide_in_between() {
    // conf: SA-04 CR-22 SQ-12
    let (url, server) = serve(async |stream| {
        let request = read_request(Acceptor::new(), stream).await.unwrap();
        assert_eq!((request.head().path(), request.head().query()), ("/chat", Some("room=1")));
        assert!(request.origin_is_one_of(["https://app.example"]));
        assert_eq!(request.head().header("x-token"), Some(&b"t1"[..]));
        // A look into a database.
        thread::sleep(ms(20));
        let chosen = request.choose_subprotocol(["v2.chat"]);
        let acceptance = Acceptance::new().subprotocol(chosen).header("Set-Cookie", "id=7");
        let Ok(mut ws) = answer(request, &acceptance).await else { panic!("a valid answer") };
        assert_eq!(ws.subprotocol(), Some("v2.chat"));
        while let Some(message) = ws.recv().await.unwrap() {
            ws.send(message).await.unwrap();
        }
    });
    let connector = Connector::new(url)
        .origin("https://app.example")
        .header("X-Token", "t1")
        .subprotocol("v1.chat")
        .subprotocol("v2.chat")
        .require_subprotocol();
    run(async {
        let ws = connect(connector).await.unwrap();
        assert_eq!(ws.subprotocol(), Some("v2.chat"));
        let mut ws = WebSocket::from_parts(ws.into_parts());
        assert_eq!(ws.subprotocol(), Some("v2.chat"), "still known when it was taken apart");
        assert_eq!(ws.response().unwrap().header("set-cookie"), Some(&b"id=7"[..]));
        ws.send("hello").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
        ws.close(CloseCode::NORMAL, "").await.unwrap();
    });
    server.join().unwrap();
}

#[test]
fn a_wrong_answer_leaves_the_request_to_another_and_a_refusal_says_all() {
    // conf: SA-04 SA-06
    let (url, server) = serve(async |stream| {
        let request = read_request(Acceptor::new(), stream).await.unwrap();
        let not_offered = Acceptance::new().subprotocol("not offered");
        let Err((error, request)) = answer(request, &not_offered).await else { panic!("it was not offered") };
        assert!(matches!(error, Error::Handshake(_)));
        let Err((_, request)) = reject(request, &Response::new(101)).await else {
            panic!("101 is no refusal")
        };
        let response = Response::new(403).header("X-Why", "origin").body("not you");
        assert!(reject(request, &response).await.is_ok());
    });
    match handshake_error(connect_to(&url)) {
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
fn a_required_subprotocol_that_is_not_chosen_fails() {
    // conf: CR-12
    for require in [true, false] {
        let (url, server) = serve(async |stream| accept_default(stream).await.map(drop));
        let mut connector = Connector::new(url).subprotocol("v1.chat");
        if require {
            connector = connector.require_subprotocol();
        }
        run(async {
            let opened = connect(connector).await;
            server.join().unwrap().unwrap();
            if require {
                assert!(matches!(handshake_error(opened), HandshakeError::Response(_)));
            } else {
                assert_eq!(opened.unwrap().subprotocol(), None);
            }
        });
    }
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
        let (url, server) = serve(async |stream| handshake_error(accept_default(stream).await));
        let answer = send_raw(&url, &[bytes, rest].concat());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("Connection: close"), "{answer}");
        assert!(matches!(server.join().unwrap(), HandshakeError::Refused(_)));
    }
}

#[test]
fn plain_requests_are_answered_beside_websockets() {
    let act = async |stream| match read(Acceptor::new(), stream).await {
        Ok(Incoming::Plain(plain)) if plain.head().path() == "/health" => {
            respond(plain, &Response::new(200).body("up")).await.unwrap();
        }
        Ok(Incoming::Plain(plain)) => drop(refuse(plain).await),
        Ok(Incoming::Request(request)) => {
            let (mut stream, unread) = into_stream(request);
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
fn frames_glued_to_the_handshake_arrive() {
    // conf: SQ-27 CR-16
    let (url, server) = serve(async |stream| {
        let mut ws = accept_default(stream).await.unwrap();
        let message = ws.recv().await.unwrap().unwrap();
        assert_eq!(ws.recv().await.unwrap(), None);
        message
    });
    let answer = send_raw(&url, &[REQUEST, FRAMES].concat());
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert_eq!(server.join().unwrap(), "hi");

    let (url, server) = serve_raw(|mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = core::str::from_utf8(&head).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = sansocket::handshake::accept_key(key);
        let response = format!(
            "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(&[response.as_bytes(), b"\x81\x02hi\x81\x02ho"].concat()).unwrap();
        stream
    });
    run(async {
        let mut ws = connect(Connector::new(url)).await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some("hi".into()));
        let parts = ws.into_parts();
        assert_eq!(parts.unread, b"\x81\x02ho", "what was read and not taken is not lost");
        drop(server.join().unwrap());
    });
}

/// Whatever the calls of the stream do, the server reads the request, answers, and takes the frame behind it.
#[test]
fn a_stream_that_does_little_at_a_time_loses_nothing() {
    // conf: SQ-25
    let mut reference = Vec::new();
    for step in [4096, 100, 1] {
        for period in [usize::MAX, 2, 3] {
            run(async {
                let mut calls = 0;
                let too_early = move |_, call| {
                    // Calls that set something would keep the others in step.
                    calls += usize::from(call != Call::Set);
                    if calls % period == 2 % period { Fault::NOT_READY } else { Fault::None }
                };
                let stream = Scripted::new([REQUEST, FRAMES].concat(), step, too_early);
                let mut ws = open_scripted(Role::Server, stream).await.unwrap();
                let received = insist!(Patience::ENDLESS, ws.recv(), ws.recv());
                assert_eq!(received.unwrap(), Some("hi".into()));
                let end = insist!(Patience::ENDLESS, ws.recv(), ws.recv());
                assert_eq!(end.unwrap(), None);
                let sent = ws.into_parts().transport.sent;
                assert!(sent.starts_with(b"HTTP/1.1 101 ") && sent.ends_with(b"\r\n\r\n\x88\x00"));
                if reference.is_empty() {
                    reference.clone_from(&sent);
                }
                assert_eq!(sent, reference);
            });
        }
    }
}

/// Every call of the opening fails once, in both roles: an error at once, never a hang.
#[test]
fn an_opening_whose_stream_fails_is_an_error() {
    for fault in [Fault::Dead(ErrorKind::ConnectionReset), Fault::End] {
        for at in 0..4 {
            run(async {
                let stream = Scripted::new(REQUEST.to_vec(), 50, once(fault, at));
                let failed = open_scripted(Role::Server, stream).await.map(drop).unwrap_err();
                match (fault, failed) {
                    (Fault::Dead(kind), Error::Io(error)) => assert_eq!(error.kind(), kind),
                    (Fault::End, Error::Handshake(_)) => {}
                    other => panic!("{at}: {other:?}"),
                }
                // Request, flush, and the wait for the answer.
                let stream = Scripted::new(b"HTTP/1.1 101 Sw".to_vec(), 15, once(fault, at));
                let failed = open_scripted(Role::Client, stream).await.map(drop).unwrap_err();
                match failed {
                    Error::Io(error) => assert!(
                        matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::WriteZero),
                        "{error}"
                    ),
                    Error::Handshake(error) => {
                        assert_eq!(*error, HandshakeError::Response(ResponseError::EndOfStream));
                    }
                    other => panic!("{at}: {other:?}"),
                }
            });
        }
    }
}

#[test]
fn no_connection_and_a_lost_one_are_failures() {
    // conf: CQ-17 CR-19 CL-17
    // The port of a connection: nobody listens there, nor will while it is taken.
    let (listener, _) = listen();
    let taken = Raw::connect(listener.local_addr().unwrap()).unwrap();
    let url = format!("ws://{}/", taken.local_addr().unwrap());
    let Err(Error::Connect(error)) = connect_to(&url) else { panic!("nobody listens") };
    assert!(matches!(*error, ConnectError::Connect { address, .. } if url.contains(&address.to_string())));

    for said in [&b""[..], b"HTTP/1.1 101 Switching Protocols\r\nUpgr"] {
        let (url, server) = serve_raw(move |mut stream| {
            stream.read_exact(&mut [0; 64]).unwrap();
            stream.write_all(said).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            // The client closes its end: nothing but the end of the stream follows its request.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            rest
        });
        match handshake_error(connect_to(&url)) {
            HandshakeError::Response(ResponseError::EndOfStream) => {}
            other => panic!("{other:?}"),
        }
        assert!(server.join().unwrap().ends_with(b"\r\n\r\n"), "no frame was sent");
    }

    // A server closes the stream of a client that gives up.
    let (url, server) = serve(async |stream| handshake_error(accept_default(stream).await));
    let mut stream = dial(&url);
    stream.write_all(b"GET / HT").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    match server.join().unwrap() {
        HandshakeError::Refused(refused) => assert_eq!(*refused.error(), RequestError::EndOfStream),
        other => panic!("{other:?}"),
    }
}

#[test]
fn slow_peers_are_given_up() {
    // conf: SQ-28
    let (url, server) = serve(async |stream| {
        let limits = HandshakeLimits::default().timeout(ms(200));
        handshake_error(accept(Acceptor::new().limits(limits), stream).await)
    });
    let started = Instant::now();
    let answer = send_raw(&url, b"GET / HTTP/1.1\r\nHost");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(started.elapsed() >= ms(200));
    assert!(matches!(server.join().unwrap(), HandshakeError::Refused(_)));

    // The listener takes the connection, and nobody answers.
    let (_listener, url) = listen();
    let started = Instant::now();
    match connect_timeout(&url, ms(200)) {
        Err(Error::Connect(error)) => {
            assert!(matches!(*error, ConnectError::TimedOut { step: Step::Handshake }), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() >= ms(200) && started.elapsed() < 5 * SECOND);
}

fn connect_timeout(url: &str, timeout: Duration) -> Result<(), Error> {
    run(async { connect(Connector::new(url).timeout(timeout)).await.map(drop) })
}

#[test]
fn what_cannot_be_asked_for_is_an_error_before_anything_is_sent() {
    // conf: CQ-12 UR-01
    for url in ["ftp://localhost/", "ws://localhost/#top", "localhost", ""] {
        assert!(matches!(handshake_error(connect_to(url)), HandshakeError::Uri(_)), "{url}");
    }
    if cfg!(not(feature = "rustls")) {
        let secure = handshake_error(connect_to("wss://localhost/"));
        assert_eq!(secure, HandshakeError::TlsNeeded);
        assert!(secure.to_string().contains("connect_over"), "{secure}");
    }
    let (listener, url) = listen();
    listener.set_nonblocking(true).unwrap();
    let evil = Connector::new(&url).header("X", "1\r\nEvil: 1");
    let refused = run(async { handshake_error(connect(evil).await) });
    assert!(matches!(refused, HandshakeError::Request(_)));
    assert!(listener.accept().is_err(), "nobody was dialled");
}

#[test]
fn a_host_in_brackets_is_an_ipv6_address() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        run(async { accept_default(tcp_stream(stream)).await.map(drop) })
    });
    connect_to(&url).unwrap_or_else(|error| panic!("{url}: {error}"));
    server.join().unwrap().unwrap();
}

#[test]
fn limits_reach_the_connection_and_the_handshake() {
    // conf: LM-03
    let small = || Config::new().max_message_size(10);
    let (url, server) = serve(async move |stream| {
        let mut ws = accept(Acceptor::new().config(small()), stream).await.unwrap();
        ws.recv().await.unwrap_err()
    });
    run(async {
        let mut ws = connect(Connector::new(url)).await.unwrap();
        ws.send("eleven bytes").await.unwrap();
        let _ = ws.recv().await;
        assert_eq!(ws.summary().unwrap().code, CloseCode::TOO_BIG);
    });
    assert!(matches!(server.join().unwrap(), Error::Connection(sansocket::Error::TooBig { limit: 10 })));

    let (url, server) = serve(async |stream| handshake_error(accept_default(stream).await));
    let answer = send_raw(&url, &[b"GET / HTTP/1.1\r\nX: ", &b"x".repeat(20_000)[..]].concat());
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(matches!(server.join().unwrap(), HandshakeError::Refused(_)));

    // A client's own limit.
    let (url, server) = serve(async |stream| {
        let mut ws = accept_default(stream).await.unwrap();
        ws.send("eleven bytes").await
    });
    run(async {
        let mut ws = connect(Connector::new(url).config(small())).await.unwrap();
        let refused = ws.recv().await;
        assert!(matches!(refused, Err(Error::Connection(sansocket::Error::TooBig { limit: 10 }))));
    });
    server.join().unwrap().unwrap();
}
