//! Clients whose HTTP/1.1 another library does.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{Empty, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use sansocket::deflate::Deflate;
use sansocket::handshake::ResponseError;
use sansocket::tokio::{Connector, Error, HandshakeError};
use sansocket::{CloseCode, Config};
use sansocket_axum::{WebSocket, WebSocketUpgrade, testing};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const URL: &str = "ws://localhost/chat?room=1";

async fn echo(mut ws: WebSocket<DuplexStream>) {
    while let Ok(Some(message)) = ws.recv().await {
        if ws.send(message).await.is_err() {
            return;
        }
    }
}

fn app() -> Router {
    let handler = async |ws: WebSocketUpgrade<DuplexStream>| {
        ws.protocols(["b"]).config(Config::new().deflate(Deflate::shared())).on_upgrade(echo)
    };
    Router::new().route("/chat", any(handler))
}

/// hyper's client on a stream.
async fn client(stream: DuplexStream) -> SendRequest<Empty<Bytes>> {
    let (send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    send
}

#[tokio::test]
async fn a_websocket_opens_over_hypers_client() {
    let connector = Connector::new(URL)
        .subprotocol("a")
        .subprotocol("b")
        .header("Authorization", "Bearer 0815")
        .config(Config::new().deflate(Deflate::shared()));
    let (request, upgrade) = connector.http_request().unwrap();
    assert_eq!(request.uri(), "/chat?room=1");
    assert_eq!(request.headers()["host"], "localhost");
    assert_eq!(request.headers()["authorization"], "Bearer 0815");
    let mut send = client(testing::serve(app())).await;
    let response = send.send_request(request.map(|()| Empty::new())).await.unwrap();
    let mut ws = upgrade.open(response).await.unwrap();
    assert_eq!(ws.subprotocol(), Some("b"));
    assert_eq!(ws.response().unwrap().status(), 101);
    ws.send("hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    assert!(ws.summary().unwrap().clean);
}

#[tokio::test]
async fn a_response_can_be_checked_by_its_parts() {
    let (request, upgrade) = Connector::new(URL).http_request().unwrap();
    let mut send = client(testing::serve(app())).await;
    let response = send.send_request(request.map(|()| Empty::new())).await.unwrap();
    let checked = upgrade.check(response.status(), response.version(), response.headers()).unwrap();
    // Any stream will do, whatever the other client calls it.
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    let mut ws = checked.over(TokioIo::new(upgraded));
    ws.send("hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
}

fn handshake_error(error: Error) -> HandshakeError {
    match error {
        Error::Handshake(error) => *error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refusal_shows_status_headers_and_body() {
    let (request, upgrade) = Connector::new("ws://localhost/none").http_request().unwrap();
    let app =
        Router::new().fallback(async || (StatusCode::IM_A_TEAPOT, [("x-reason", "tea")], "short and stout"));
    let mut send = client(testing::serve(app)).await;
    let response = send.send_request(request.map(|()| Empty::new())).await.unwrap();
    match handshake_error(upgrade.open(response).await.unwrap_err()) {
        HandshakeError::Refusal(refusal) => {
            assert_eq!(refusal.head().status(), 418);
            assert_eq!(refusal.head().header("X-Reason"), Some(&b"tea"[..]));
            assert_eq!(refusal.body(), b"short and stout");
            assert!(refusal.is_complete());
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_refusal_is_bounded_in_bytes_and_time() {
    let limits = sansocket::handshake::HandshakeLimits::default().max_refusal_body_bytes(5);
    let (_, upgrade) = Connector::new(URL).limits(limits).http_request().unwrap();
    let response = Response::builder().status(500).body(Full::new(Bytes::from_static(b"too much"))).unwrap();
    match handshake_error(upgrade.open(response).await.unwrap_err()) {
        HandshakeError::Refusal(refusal) => {
            assert_eq!(refusal.body(), b"too m");
            assert!(!refusal.is_complete());
        }
        other => panic!("{other}"),
    }
    // A body that never ends.
    let (_, upgrade) = Connector::new(URL).timeout(Duration::from_secs(3)).http_request().unwrap();
    let endless = http_body_util::StreamBody::new(Endless);
    let response = Response::builder().status(500).body(endless).unwrap();
    let began = tokio::time::Instant::now();
    assert!(matches!(
        handshake_error(upgrade.open(response).await.unwrap_err()),
        HandshakeError::Refusal(refusal) if !refusal.is_complete()
    ));
    assert_eq!(began.elapsed().as_secs(), 3);
}

/// A stream of frames that never comes to its first.
struct Endless;

impl futures_core::Stream for Endless {
    type Item = Result<hyper::body::Frame<Bytes>, Infallible>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn a_response_that_breaks_the_rules_opens_nothing() {
    let valid = |key: &str| {
        Response::builder()
            .status(101)
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Accept", sansocket::handshake::accept_key(key))
    };
    // What is wrong, and the error.
    let cases: [(&str, ResponseError); 4] = [
        ("accept", ResponseError::Accept),
        ("upgrade", ResponseError::Upgrade),
        ("connection", ResponseError::Connection),
        ("version", ResponseError::HttpVersion),
    ];
    for (wrong, expected) in cases {
        let (request, upgrade) = Connector::new(URL).http_request().unwrap();
        let key = request.headers()["sec-websocket-key"].to_str().unwrap();
        let mut response = valid(key).body(Empty::<Bytes>::new()).unwrap();
        match wrong {
            "accept" => {
                drop(response.headers_mut().insert("sec-websocket-accept", "nonsense".parse().unwrap()))
            }
            "version" => *response.version_mut() = http::Version::HTTP_10,
            name => drop(response.headers_mut().remove(name)),
        }
        match handshake_error(upgrade.open(response).await.unwrap_err()) {
            HandshakeError::Response(error) => assert_eq!(error, expected),
            other => panic!("{other}"),
        }
    }
    // One that is valid, but does not come from hyper: there is no stream.
    let (request, upgrade) = Connector::new(URL).http_request().unwrap();
    let key = request.headers()["sec-websocket-key"].to_str().unwrap();
    let response = valid(key).body(Empty::<Bytes>::new()).unwrap();
    assert!(matches!(upgrade.open(response).await, Err(Error::Io(_))));
}

#[tokio::test]
async fn frames_that_come_with_the_response_are_not_lost() {
    let (request, upgrade) = Connector::new(URL).http_request().unwrap();
    let key = request.headers()["sec-websocket-key"].to_str().unwrap().to_owned();
    let (here, mut server) = duplex(1 << 16);
    let mut send = client(here).await;
    let answering = async {
        let mut received = Vec::new();
        while !received.ends_with(b"\r\n\r\n") {
            server.read_buf(&mut received).await.unwrap();
        }
        let accept = sansocket::handshake::accept_key(&key);
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let mut bytes = response.into_bytes();
        bytes.extend_from_slice(b"\x81\x02hi");
        server.write_all(&bytes).await.unwrap();
    };
    let (response, ()) = tokio::join!(send.send_request(request.map(|()| Empty::new())), answering);
    let mut ws = upgrade.open(response.unwrap()).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hi".into()));
}

#[test]
fn what_cannot_be_sent_is_an_error_before() {
    for connector in [
        Connector::new("no url"),
        Connector::new(URL).header("bad name", "x"),
        Connector::new(URL).header("Upgrade", "x"),
        Connector::new(URL).subprotocol("a").subprotocol("a"),
        Connector::new(URL).config(Config::new().close_timeout(Duration::ZERO)),
    ] {
        assert!(connector.http_request().is_err());
    }
}
