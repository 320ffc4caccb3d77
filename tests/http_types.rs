//! Types of the `http` crate in and out.
#![cfg(all(feature = "http", feature = "rand"))]

use std::net::TcpListener;
use std::thread;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use sansocket::blocking::{Acceptor, Connector, Error, HandshakeError};
use sansocket::handshake::{self, Acceptance, Offer};
use sansocket::{UriError, WebSocketUri};

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/chat?room=1", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn uris_come_and_go() {
    let uri: Uri = "wss://Example.com:8443/chat?room=1".parse().unwrap();
    let websocket = WebSocketUri::try_from(&uri).unwrap();
    assert_eq!((websocket.host(), websocket.port(), websocket.is_secure()), ("example.com", 8443, true));
    assert_eq!(Uri::try_from(&websocket).unwrap(), "wss://example.com:8443/chat?room=1");
    let https: Uri = "https://example.com:8443/chat?room=1".parse().unwrap();
    assert_eq!(WebSocketUri::try_from(&https), Ok(websocket));
    for (uri, error) in
        [("ftp://a/", UriError::Scheme), ("/chat", UriError::Scheme), ("ws://u:p@a/", UriError::UserInfo)]
    {
        assert_eq!(WebSocketUri::try_from(&uri.parse::<Uri>().unwrap()), Err(error), "{uri}");
    }
}

#[test]
fn a_request_of_the_crate_opens_a_connection() {
    let (listener, url) = listen();
    let server = thread::spawn(move || {
        let pending = Acceptor::new().read_request(listener.accept().unwrap().0).unwrap();
        let request = Request::try_from(pending.head()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("set-cookie", HeaderValue::from_static("id=7"));
        let chosen = pending.choose_subprotocol(["v2.chat"]);
        pending.accept(&Acceptance::new().subprotocol(chosen).headers(&headers)).unwrap();
        request
    });
    let authority = url.split('/').nth(2).unwrap();
    // As other libraries build it.
    let request = Request::get(&url)
        .header("Host", authority)
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Protocol", "v1.chat, v2.chat")
        .header("Origin", "https://app.example")
        .header("X-Token", "t1")
        .header("X-Token", "t2")
        .body(())
        .unwrap();
    let mut more = HeaderMap::new();
    more.insert("x-more", HeaderValue::from_static("yes"));
    let ws = Connector::from_request(&request).headers(&more).connect().unwrap();
    assert_eq!(ws.subprotocol(), Some("v2.chat"));
    let response = Response::try_from(ws.response().unwrap()).unwrap();
    assert_eq!(
        (response.status(), &response.headers()["set-cookie"]),
        (StatusCode::SWITCHING_PROTOCOLS, &HeaderValue::from_static("id=7"))
    );

    let seen = server.join().unwrap();
    assert_eq!((seen.method().as_str(), seen.uri().query()), ("GET", Some("room=1")));
    assert_eq!(seen.headers()["origin"], "https://app.example");
    assert_eq!(seen.headers()["x-more"], "yes");
    assert_eq!(seen.headers().get_all("x-token").iter().collect::<Vec<_>>(), ["t1", "t2"]);
    assert_ne!(seen.headers()["sec-websocket-key"], "dGhlIHNhbXBsZSBub25jZQ==", "each request has its own");
}

#[test]
fn what_the_handshake_cannot_carry_is_refused() {
    for (name, value) in [
        ("Host", "other.example"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Sec-WebSocket-Protocol", "a, a"),
        ("Sec-WebSocket-Protocol", "\u{e4}"),
        ("Content-Length", "3"),
    ] {
        let request = Request::get("ws://127.0.0.1:1/").header(name, value).body(()).unwrap();
        match Connector::from_request(&request).connect() {
            Err(Error::Handshake(error)) => assert!(matches!(*error, HandshakeError::Request(_)), "{name}"),
            other => panic!("{other:?}"),
        }
    }
    match Connector::from_request(&Request::get("/path").body(()).unwrap()).connect() {
        Err(Error::Handshake(error)) => assert!(matches!(*error, HandshakeError::Uri(_))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn responses_of_the_crate_refuse() {
    let (listener, url) = listen();
    let server = thread::spawn(move || {
        let pending = Acceptor::new().read_request(listener.accept().unwrap().0).unwrap();
        let response =
            Response::builder().status(403).header("X-Why", "origin").header("Content-Length", "99");
        pending.reject(&handshake::Response::from(response.body("not you").unwrap())).unwrap();
    });
    match Connector::new(url).connect() {
        Err(Error::Handshake(error)) => match *error {
            HandshakeError::Refusal(refusal) => {
                let response = Response::try_from(&refusal).unwrap();
                assert_eq!(
                    (response.status(), &response.headers()["x-why"]),
                    (StatusCode::FORBIDDEN, &HeaderValue::from_static("origin"))
                );
                assert_eq!(response.headers()["content-length"], "7");
                assert_eq!(response.body(), b"not you");
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    server.join().unwrap();
}

#[test]
fn frameworks_give_their_map() {
    let mut headers = HeaderMap::new();
    headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
    headers.insert("sec-websocket-protocol", HeaderValue::from_static("v1, v2"));
    let offer = Offer::from_header_map(&headers).unwrap();
    assert_eq!(offer.subprotocols().collect::<Vec<_>>(), ["v1", "v2"]);
}

#[test]
fn a_response_becomes_one_of_the_http_crate() {
    let response = handshake::Response::new(401).header("WWW-Authenticate", "Bearer").body("no token\n");
    let converted = Response::<Vec<u8>>::try_from(&response).unwrap();
    assert_eq!(converted.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(converted.headers()["www-authenticate"], "Bearer");
    assert_eq!(converted.headers().len(), 1);
    assert_eq!(converted.body(), b"no token\n");
    // What HTTP/1.1 demands of a 426.
    let upgrade = Response::<Vec<u8>>::try_from(&handshake::Response::new(426)).unwrap();
    assert_eq!(upgrade.headers()["upgrade"], "websocket");
    assert_eq!(upgrade.headers()["connection"], "Upgrade");
    assert_eq!(upgrade.headers()["sec-websocket-version"], "13");
    // What cannot be written cannot be converted either.
    for response in [
        handshake::Response::new(101),
        handshake::Response::new(600),
        handshake::Response::new(204).body("x"),
        handshake::Response::new(200).header("bad name", "x"),
        handshake::Response::new(200).header("X-Name", "a\r\nb"),
        handshake::Response::new(200).header("Connection", "close"),
    ] {
        let error = Response::<Vec<u8>>::try_from(&response).unwrap_err();
        assert_eq!(response.write(&mut Vec::new()), Err(error));
    }
}
