//! Requests over HTTP/1.1 get the verdicts of the crate's own handshake, status and text.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sansocket::handshake::{Acceptance, HandshakeLimits, ServerHandshake, ServerStep};
use sansocket::hyper::upgrade;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The lines of a valid request; `change` replaces or removes one, and `more` is added at the end.
fn request(first_line: &str, change: Option<(&str, Option<&str>)>, more: &[&str]) -> String {
    let lines = [
        ("Host", "example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ];
    let mut request = format!("{first_line}\r\n");
    for (name, value) in lines {
        let value = match change {
            Some((changed, value)) if changed == name => value,
            _ => Some(value),
        };
        if let Some(value) = value {
            request += &format!("{name}: {value}\r\n");
        }
    }
    for line in more {
        request += &format!("{line}\r\n");
    }
    request + "\r\n"
}

/// Status and body of the core's answer; 101 and nothing for an accepted one.
fn core_verdict(request: &str) -> (u16, String) {
    let handshake = ServerHandshake::new(HandshakeLimits::default(), Duration::ZERO);
    let mut out = Vec::new();
    match handshake.receive(Duration::ZERO, request.as_bytes()) {
        Ok(ServerStep::Request { request, .. }) => {
            request.accept(&Acceptance::new(), &mut out).unwrap();
        }
        Ok(ServerStep::NeedMore(_)) => panic!("incomplete"),
        Err(refused) => refused.write_response(&mut out).unwrap(),
    }
    parse(&out)
}

fn parse(response: &[u8]) -> (u16, String) {
    let text = String::from_utf8(response.to_vec()).unwrap();
    assert!(text.starts_with("HTTP/1."), "no response: {text:?}");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head[9..12].parse().unwrap(), body.to_owned())
}

async fn serve(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let response =
        upgrade(&mut request).and_then(|upgrade| upgrade.on_upgrade(&Acceptance::new(), |_| async {}));
    Ok(response.unwrap_or_else(|rejection| rejection.into_response()).map(Full::new))
}

/// The whole response of a hyper server.
async fn ask(request: &str) -> String {
    let (mut client, server) = duplex(1 << 16);
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(server), service_fn(serve))
        .with_upgrades();
    let serving = tokio::spawn(connection);
    client.write_all(request.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut response = Vec::new();
    client.read_to_end(&mut response).await.unwrap();
    let _ = serving.await.unwrap();
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn requests_get_the_verdicts_of_the_cores_own_handshake() {
    let get = "GET /chat HTTP/1.1";
    let requests = [
        request(get, None, &[]),
        request("GET http://example.com/chat?a=b HTTP/1.1", None, &[]),
        request("GET ftp://example.com/chat HTTP/1.1", None, &[]),
        request("POST /chat HTTP/1.1", None, &[]),
        request("HEAD /chat HTTP/1.1", None, &[]),
        request("OPTIONS * HTTP/1.1", None, &[]),
        request("GET /chat HTTP/1.0", None, &[]),
        request("PRI /chat HTTP/1.1", None, &[]),
        request(get, Some(("Host", None)), &[]),
        request(get, Some(("Host", Some("a b"))), &[]),
        request(get, Some(("Host", Some(""))), &[]),
        request(get, Some(("Host", Some("example.com:8080"))), &[]),
        request(get, Some(("Host", Some("[::1]:99"))), &[]),
        request(get, Some(("Host", Some("user@example.com"))), &[]),
        request(get, None, &["Host: example.com"]),
        request(get, Some(("Upgrade", None)), &[]),
        request(get, Some(("Upgrade", Some("h2c"))), &[]),
        request(get, Some(("Upgrade", Some("h2c, WebSocket"))), &[]),
        request(get, Some(("Upgrade", Some("websocket2"))), &[]),
        request(get, Some(("Upgrade", Some("h2c"))), &["Upgrade: websocket"]),
        request(get, Some(("Connection", None)), &[]),
        request(get, Some(("Connection", Some("keep-alive"))), &[]),
        request(get, Some(("Connection", Some("keep-alive, upgrade"))), &[]),
        request(get, Some(("Connection", Some("notupgrade"))), &[]),
        request(get, Some(("Connection", Some("keep-alive"))), &["Connection: Upgrade"]),
        request(get, Some(("Sec-WebSocket-Key", None)), &[]),
        request(get, Some(("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ"))), &[]),
        request(get, Some(("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZTEyMw=="))), &[]),
        request(get, Some(("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ!="))), &[]),
        request(get, None, &[&format!("Sec-WebSocket-Key: {KEY}")]),
        request(get, Some(("Sec-WebSocket-Version", None)), &[]),
        request(get, Some(("Sec-WebSocket-Version", Some("8"))), &[]),
        request(get, Some(("Sec-WebSocket-Version", Some("013"))), &[]),
        request(get, Some(("Sec-WebSocket-Version", Some("13, 8"))), &[]),
        request(get, None, &["Sec-WebSocket-Version: 13"]),
        request(get, None, &["Sec-WebSocket-Protocol: chat, superchat"]),
        request(get, None, &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"]),
        request(get, None, &["Sec-WebSocket-Protocol: chat room"]),
        request(get, None, &["Sec-WebSocket-Protocol: ,"]),
        request(get, None, &["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]),
        request(get, None, &["Sec-WebSocket-Extensions: permessage-deflate; a=\"b c\""]),
        request(get, None, &["Sec-WebSocket-Extensions: a;;b"]),
        request(get, None, &["Origin: http://a", "Origin: http://b"]),
        request(get, None, &["Origin: http://\u{e4}"]),
        request(get, None, &["Content-Length: 0"]),
        request(get, None, &["Content-Length: 3"]) + "abc",
        request(get, None, &["Transfer-Encoding: chunked"]) + "0\r\n\r\n",
        request(get, None, &["Expect: 100-continue"]),
    ];
    for request in &requests {
        let (core_status, core_body) = core_verdict(request);
        let response = ask(request).await;
        assert!(!response.is_empty(), "no response to {request}");
        let (status, body) = parse(response.as_bytes());
        let is_head = request.starts_with("HEAD");
        assert_eq!(status, core_status, "{request}{response}");
        assert!(is_head || body == core_body, "{request}{response}");
        let head = response.to_ascii_lowercase();
        match status {
            101 => assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}"),
            405 => assert!(head.contains("allow: get\r\n"), "{head}"),
            426 => {
                assert!(head.contains("sec-websocket-version: 13\r\n"), "{head}");
                assert!(head.contains("upgrade: websocket\r\n"), "{head}");
                assert!(head.contains("connection: upgrade"), "{head}");
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_request_that_hyper_did_not_make_gets_500() {
    let mut request = Request::builder()
        .uri("/")
        .header("Host", "example.com")
        .header("Upgrade", "websocket")
        .header("Connection", "upgrade")
        .header("Sec-WebSocket-Key", KEY)
        .header("Sec-WebSocket-Version", "13")
        .body(())
        .unwrap();
    let rejection = upgrade(&mut request).unwrap_err();
    assert_eq!(rejection.reason(), &sansocket::hyper::Reason::NoUpgrade);
    assert_eq!(rejection.status(), 500);
    assert_eq!(rejection.into_response().status(), 500);
}
