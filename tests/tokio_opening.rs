//! The opening handshake over tokio: one step, two steps, refusals, limits, time, and streams that do little at a time.
#![cfg(all(feature = "tokio", feature = "rand"))]

mod blocking_support;
mod tokio_support;

use core::time::Duration;
use std::time::Instant;

use sansocket::client::{ConnectError, Step};
use sansocket::handshake::{Acceptance, HandshakeLimits, RequestError, Response, ResponseError};
use sansocket::tokio::{
    Acceptor, ClientStream, Connector, Error, HandshakeError, Incoming, WebSocket, accept, connect,
};
use sansocket::{CloseCode, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_support::{Call, Fault, Scripted, cut, run};

const REQUEST: &[u8] =
    b"GET /chat?room=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: v1.chat, v2.chat\r\nOrigin: https://app.example\r\n\r\n";

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/chat?room=1", listener.local_addr().unwrap());
    (listener, url)
}

/// A server that answers one connection in its own way.
async fn serve<F>(act: impl FnOnce(TcpStream) -> F + Send + 'static) -> (String, JoinHandle<F::Output>)
where
    F: Future<Output: Send + 'static> + Send,
{
    let (listener, url) = listen().await;
    (url, tokio::spawn(async move { act(listener.accept().await.unwrap().0).await }))
}

/// A client that sends raw bytes and returns all that comes back.
async fn send_raw(url: &str, bytes: &[u8]) -> String {
    let addr = url.trim_start_matches("ws://").split('/').next().unwrap();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
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
fn handshake_error<T: core::fmt::Debug>(result: Result<T, Error>) -> HandshakeError {
    match result {
        Err(Error::Handshake(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_ends_agree_in_one_step() {
    let (url, server) = serve(|stream| async {
        let mut ws = accept(stream).await.unwrap();
        assert_eq!((ws.subprotocol(), ws.response().is_none()), (None, true));
        while let Some((message, mut tx)) = ws.recv_ref().await.unwrap() {
            tx.feed(&message).await.unwrap();
        }
    })
    .await;
    let mut ws = connect(url).await.unwrap();
    assert_eq!(ws.response().unwrap().status(), 101);
    assert!(ws.stream().tcp().nodelay().unwrap());
    ws.send("hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn both_ends_agree_in_two_steps_with_time_to_decide_in_between() {
    // conf: SA-04 CR-22 SQ-12
    let (url, server) = serve(|stream| async {
        let request = Acceptor::new().read_request(stream).await.unwrap();
        assert_eq!((request.head().path(), request.head().query()), ("/chat", Some("room=1")));
        assert!(request.origin_is_one_of(["https://app.example"]));
        assert_eq!(request.head().header("x-token"), Some(&b"t1"[..]));
        assert!(request.stream().peer_addr().unwrap().ip().is_loopback());
        // A look into a database.
        sleep(Duration::from_millis(20)).await;
        let chosen = request.choose_subprotocol(["v2.chat"]);
        let acceptance = Acceptance::new().subprotocol(chosen).header("Set-Cookie", "id=7");
        let mut ws = request.accept(&acceptance).await.unwrap();
        assert_eq!(ws.subprotocol(), Some("v2.chat"));
        while let Some(message) = ws.recv().await.unwrap() {
            ws.send(message).await.unwrap();
        }
    })
    .await;
    let connector = Connector::new(url)
        .origin("https://app.example")
        .header("X-Token", "t1")
        .subprotocol("v1.chat")
        .subprotocol("v2.chat")
        .require_subprotocol();
    let mut ws = connector.connect().await.unwrap();
    assert_eq!(ws.subprotocol(), Some("v2.chat"));
    assert_eq!(ws.response().unwrap().header("set-cookie"), Some(&b"id=7"[..]));
    ws.send("hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn a_wrong_answer_leaves_the_request_to_another_and_a_refusal_says_all() {
    // conf: SA-04 SA-06
    let (url, server) = serve(|stream| async {
        let request = Acceptor::new().read_request(stream).await.unwrap();
        let undecided = request.accept(&Acceptance::new().subprotocol("not offered")).await.unwrap_err();
        assert!(matches!(undecided.error, Error::Handshake(_)));
        let undecided = undecided.pending.reject(&Response::new(101)).await.unwrap_err();
        let response = Response::new(403).header("X-Why", "origin").body("not you");
        undecided.pending.reject(&response).await.unwrap();
    })
    .await;
    match handshake_error(connect(url).await) {
        HandshakeError::Refusal(refusal) => {
            assert_eq!(refusal.head().status(), 403);
            assert_eq!(refusal.head().header("x-why"), Some(&b"origin"[..]));
            assert_eq!(refusal.body(), b"not you");
        }
        other => panic!("{other:?}"),
    }
    server.await.unwrap();
}

/// The end of the time is the end of the body; what came before it is shown.
#[tokio::test]
async fn a_refusal_whose_body_does_not_end_is_shown() {
    let (url, server) = serve(|mut stream| async {
        stream.write_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\nlater").await.unwrap();
        stream
    })
    .await;
    let connector = Connector::new(url).timeout(Duration::from_millis(100));
    // Connecting takes a part of the time.
    let busy = async { std::thread::sleep(Duration::from_millis(10)) };
    let (refused, ()) = tokio::join!(connector.connect(), busy);
    match handshake_error(refused) {
        HandshakeError::Refusal(refusal) => {
            assert_eq!(refusal.head().status(), 503);
            assert_eq!(refusal.head().header("retry-after"), Some(&b"7"[..]));
            assert_eq!(refusal.body(), b"later");
        }
        other => panic!("{other:?}"),
    }
    drop(server.await.unwrap());
}

#[tokio::test]
async fn a_required_subprotocol_that_is_not_chosen_fails() {
    // conf: CR-12
    for require in [true, false] {
        let (url, server) = serve(|stream| async { accept(stream).await.map(drop) }).await;
        let mut connector = Connector::new(url).subprotocol("v1.chat");
        if require {
            connector = connector.require_subprotocol();
        }
        let opened = connector.connect().await;
        server.await.unwrap().unwrap();
        if require {
            assert!(matches!(handshake_error(opened), HandshakeError::Response(_)));
        } else {
            assert_eq!(opened.unwrap().subprotocol(), None);
        }
    }
}

#[tokio::test]
async fn a_bad_request_is_told_so_before_the_stream_ends() {
    // conf: SQ-06 FL-06 SA-06
    for (bytes, status, rest) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], "426", &b""[..]),
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "405", b""),
        // What lies unread must not turn the answer into a reset.
        (b"\x16\x03\x01\x02\x00", "400", &[7; 100_000]),
    ] {
        let (url, server) = serve(|stream| async { handshake_error(accept(stream).await) }).await;
        let answer = send_raw(&url, &[bytes, rest].concat()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("Connection: close"), "{answer}");
        assert!(matches!(server.await.unwrap(), HandshakeError::Refused(_)));
    }
}

#[tokio::test]
async fn plain_requests_are_answered_beside_websockets() {
    let act = async |stream: TcpStream| match Acceptor::new().read(stream).await {
        Ok(Incoming::Plain(plain)) if plain.head().path() == "/health" => {
            assert!(plain.stream().peer_addr().is_ok());
            plain.respond(&Response::new(200).body("up")).await.unwrap();
        }
        Ok(Incoming::Plain(plain)) => drop(plain.refuse().await),
        Ok(Incoming::Request(mut request)) => {
            request.stream_mut().set_nodelay(true).unwrap();
            let (mut stream, unread) = request.into_stream();
            stream.write_all(&unread).await.unwrap();
        }
        Err(_) => {}
    };
    for (said, answer, end) in [
        (&b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"[..], "HTTP/1.1 200 ", "up"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 ", ""),
        (b"nonsense\r\n\r\n", "HTTP/1.1 400 ", ""),
        (&[REQUEST, b"frames"].concat(), "frames", ""),
    ] {
        let (url, server) = serve(act).await;
        let heard = send_raw(&url, said).await;
        assert!(heard.starts_with(answer) && heard.ends_with(end), "{heard}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn frames_glued_to_the_handshake_arrive() {
    // conf: SQ-27 CR-16
    let (url, server) = serve(|stream| async {
        let mut ws = accept(stream).await.unwrap();
        let message = ws.recv().await.unwrap().unwrap();
        assert_eq!(ws.recv().await.unwrap(), None);
        message
    })
    .await;
    let frame = b"\x81\x82\x01\x02\x03\x04\x69\x6b\x88\x80\x01\x02\x03\x04";
    let answer = send_raw(&url, &[REQUEST, frame].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert_eq!(server.await.unwrap(), "hi");

    let (url, server) = serve(|mut stream| async {
        let mut head = vec![0; 4096];
        let len = stream.read(&mut head).await.unwrap();
        let head = core::str::from_utf8(&head[..len]).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = sansocket::handshake::accept_key(key);
        let response = format!(
            "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(&[response.as_bytes(), b"\x81\x02hi\x81\x02ho"].concat()).await.unwrap();
        stream
    })
    .await;
    let mut ws = connect(url).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hi".into()));
    let parts = ws.into_parts();
    assert_eq!(parts.unread, b"\x81\x02ho", "what was read and not taken is not lost");
    drop(server.await.unwrap());
}

/// Whatever the calls of the stream do, the server reads the request, answers, and takes the frame behind it.
#[test]
fn a_stream_that_does_little_at_a_time_loses_nothing() {
    // conf: SQ-25
    let frames = b"\x81\x82\x01\x02\x03\x04\x69\x6b\x88\x80\x01\x02\x03\x04";
    let mut reference = Vec::new();
    for step in [4096, 100, 1] {
        for period in [usize::MAX, 2, 3] {
            run(async {
                let stream =
                    Scripted::new([REQUEST, frames].concat(), step, move |call, _| match call % period {
                        1 => Fault::Pending,
                        _ => Fault::None,
                    });
                let mut ws = accept(stream).await.unwrap();
                assert_eq!(ws.recv().await.unwrap(), Some("hi".into()));
                assert_eq!(ws.recv().await.unwrap(), None);
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
    use std::io::ErrorKind;
    for fault in [Fault::Dead(ErrorKind::ConnectionReset), Fault::End] {
        for at in 0..4 {
            run(async {
                let broken = |call, _: Call| if call == at { fault } else { Fault::None };
                let stream = Scripted::new(REQUEST.to_vec(), 50, broken);
                let failed = accept(stream).await.map(drop).unwrap_err();
                match (fault, failed) {
                    (Fault::Dead(kind), Error::Io(error)) => assert_eq!(error.kind(), kind),
                    (Fault::End, Error::Handshake(_)) => {}
                    other => panic!("{at}: {other:?}"),
                }
                // Request, flush, and the wait for the answer.
                let stream = Scripted::new(b"HTTP/1.1 101 Sw".to_vec(), 15, broken);
                let connector = Connector::new("ws://localhost/");
                let failed = connector.connect_over(stream).await.map(drop).unwrap_err();
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

/// Where the stream fails under the answer to a valid request, the first call on the connection says so.
#[test]
fn an_answer_that_does_not_leave_shows_in_the_first_call() {
    use std::io::ErrorKind;
    for at in [1, 2] {
        run(async {
            let fault = Fault::Dead(ErrorKind::ConnectionReset);
            let broken = |call, _: Call| if call == at { fault } else { Fault::None };
            let mut ws = accept(Scripted::new(REQUEST.to_vec(), 4096, broken)).await.unwrap();
            for _ in 0..2 {
                let lost = ws.recv().await;
                assert!(
                    matches!(&lost, Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset),
                    "{at}: {lost:?}"
                );
            }
        });
    }
}

/// An attempt that is dropped takes its stream along, so that the peer sees the end.
#[test]
fn an_opening_that_is_dropped_ends_its_stream() {
    run(async {
        for polls in [0, 1] {
            let (mut raw, stream) = duplex(1000);
            assert!(cut(accept(stream), polls).await.is_none());
            assert_eq!(raw.read(&mut [0]).await.unwrap(), 0);
            let (mut raw, stream) = duplex(1000);
            let connector = Connector::new("ws://localhost/");
            assert!(cut(connector.connect_over(stream), polls).await.is_none());
            let mut request = Vec::new();
            raw.read_to_end(&mut request).await.unwrap();
            assert!(request.is_empty() == (polls == 0) && (polls == 0 || request.ends_with(b"\r\n\r\n")));
            let (mut raw, stream) = duplex(1000);
            raw.write_all(REQUEST).await.unwrap();
            drop(Acceptor::new().read_request(stream).await.unwrap());
            assert_eq!(raw.read(&mut [0]).await.unwrap(), 0);
        }
    });
}

#[tokio::test]
async fn no_connection_and_a_lost_one_are_failures() {
    // conf: CQ-17 CR-19 CL-17
    let (listener, url) = listen().await;
    drop(listener);
    assert!(matches!(connect(&url).await, Err(Error::Connect(_))), "nobody listens");

    for said in [&b""[..], b"HTTP/1.1 101 Switching Protocols\r\nUpgr"] {
        let (url, server) = serve(move |mut stream| async move {
            stream.read_exact(&mut [0; 64]).await.unwrap();
            stream.write_all(said).await.unwrap();
            stream.shutdown().await.unwrap();
            // The client closes its end: nothing but the end of the stream follows its request.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            rest
        })
        .await;
        match handshake_error(connect(&url).await) {
            HandshakeError::Response(ResponseError::EndOfStream) => {}
            other => panic!("{other:?}"),
        }
        assert!(server.await.unwrap().ends_with(b"\r\n\r\n"), "no frame was sent");
    }

    // A server closes the stream of a client that gives up.
    let (url, server) = serve(|stream| async { handshake_error(accept(stream).await) }).await;
    let addr = url.trim_start_matches("ws://").split('/').next().unwrap();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET / HT").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    match server.await.unwrap() {
        HandshakeError::Refused(refused) => assert_eq!(*refused.error(), RequestError::EndOfStream),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn slow_peers_are_given_up_over_tcp() {
    // conf: SQ-28
    let (url, server) = serve(|stream| async {
        let limits = HandshakeLimits::default().timeout(Duration::from_millis(50));
        handshake_error(Acceptor::new().limits(limits).accept(stream).await)
    })
    .await;
    let started = Instant::now();
    let answer = send_raw(&url, b"GET / HTTP/1.1\r\nHost").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(started.elapsed() >= Duration::from_millis(40));
    assert!(matches!(server.await.unwrap(), HandshakeError::Refused(_)));

    // The listener takes the connection, and nobody answers.
    let (_listener, url) = listen().await;
    let started = Instant::now();
    let result = Connector::new(url).timeout(Duration::from_millis(50)).connect().await;
    assert_eq!(timed_out_step(result), Some(Step::Handshake));
    assert!(started.elapsed() >= Duration::from_millis(50) && started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_an_error_before_anything_is_sent() {
    // conf: CQ-12 UR-01
    for url in ["ftp://localhost/", "ws://localhost/#top", "localhost", ""] {
        assert!(matches!(handshake_error(connect(url).await), HandshakeError::Uri(_)), "{url}");
    }
    if cfg!(not(feature = "rustls")) {
        let secure = handshake_error(connect("wss://localhost/").await);
        assert_eq!(secure, HandshakeError::TlsNeeded);
        assert!(secure.to_string().contains("connect_over"), "{secure}");
    }
    let (listener, url) = listen().await;
    let evil = Connector::new(&url).header("X", "1\r\nEvil: 1").connect().await;
    assert!(matches!(handshake_error(evil), HandshakeError::Request(_)));
    if let Ok(Ok((mut stream, _))) = timeout(Duration::from_millis(20), listener.accept()).await {
        assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0, "nothing was sent");
    }
}

/// Over a stream that is encrypted already, `wss` is as good.
#[test]
fn a_secure_url_opens_over_a_stream_of_the_callers() {
    run(async {
        let (there, here) = duplex(1000);
        let connector = Connector::new("wss://localhost/");
        let (client, server) = tokio::join!(connector.connect_over(there), accept(here));
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        client.send("hi").await.unwrap();
        assert_eq!(server.recv().await.unwrap(), Some("hi".into()));
    });
}

#[tokio::test]
async fn a_host_in_brackets_is_an_ipv6_address() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { accept(listener.accept().await.unwrap().0).await.map(drop) });
    assert!(connect(&url).await.is_ok(), "{url}");
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn limits_reach_the_connection_and_the_handshake() {
    // conf: LM-03
    let (url, server) = serve(|stream| async {
        let acceptor = Acceptor::new().config(Config::new().max_message_size(10));
        let mut ws = acceptor.accept(stream).await.unwrap();
        ws.recv().await.unwrap_err()
    })
    .await;
    let mut ws = connect(url).await.unwrap();
    ws.send("eleven bytes").await.unwrap();
    let _ = ws.recv().await;
    assert_eq!(ws.summary().unwrap().code, CloseCode::TOO_BIG);
    assert!(matches!(server.await.unwrap(), Error::Connection(sansocket::Error::TooBig { limit: 10 })));

    let (url, server) = serve(|stream| async { handshake_error(accept(stream).await) }).await;
    let answer = send_raw(&url, &[b"GET / HTTP/1.1\r\nX: ", &b"x".repeat(20_000)[..]].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(matches!(server.await.unwrap(), HandshakeError::Refused(_)));

    // A client's own limit.
    let (url, server) =
        serve(|stream| async { accept(stream).await.unwrap().send("eleven bytes").await }).await;
    let connector = Connector::new(url).config(Config::new().max_message_size(10));
    let mut ws = connector.connect().await.unwrap();
    assert!(matches!(ws.recv().await, Err(Error::Connection(sansocket::Error::TooBig { limit: 10 }))));
    server.await.unwrap().unwrap();
}

/// Whoever connects by URL pays for TLS only where there is TLS, and for the way there only on the way.
#[test]
fn connecting_by_url_costs_little() {
    let (plain, by_url) = (size_of::<WebSocket<TcpStream>>(), size_of::<WebSocket<ClientStream>>());
    assert!(by_url <= plain + 8, "{by_url} bytes, {plain} over tcp");
    let connector = Connector::new("ws://localhost/");
    let future = size_of_val(&connector.connect());
    println!("WebSocket<ClientStream>: {by_url} bytes, connect: {future}");
    assert!(future <= 2048, "{future} bytes");
}
