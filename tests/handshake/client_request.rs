//! The request that a client sends (RFC 6455 §4.1).

use sansocket::handshake::{ClientRequest, ClientRequestError, Extension, ExtensionError, HeaderError};
use sansocket::{SliceSink, WebSocketUri};

use crate::server_answer::INJECTIONS;
use crate::support::*;

/// A request as httparse reads it.
struct Parsed {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
}

impl Parsed {
    fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| core::str::from_utf8(value).unwrap())
            .collect()
    }
}

fn sent(request: &ClientRequest) -> Parsed {
    let mut out = Vec::new();
    request.start(NONCE, NOW, &mut out).unwrap();
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    assert_eq!(parsed.parse(&out), Ok(httparse::Status::Complete(out.len())), "nothing behind the head");
    assert_eq!(parsed.version, Some(1));
    for (at, byte) in out.iter().enumerate() {
        assert!(*byte != b'\n' || out[at - 1] == b'\r', "a bare LF");
    }
    Parsed {
        method: parsed.method.unwrap().into(),
        target: parsed.path.unwrap().into(),
        headers: parsed.headers.iter().map(|header| (header.name.into(), header.value.into())).collect(),
    }
}

fn refused(request: &ClientRequest) -> ClientRequestError {
    let mut out = Vec::new();
    let error = request.start(NONCE, NOW, &mut out).expect_err("a request that cannot be sent");
    assert!(out.is_empty());
    assert!(!error.to_string().contains(char::is_control), "{error}");
    error
}

fn to(uri: &str) -> ClientRequest {
    ClientRequest::new(WebSocketUri::parse(uri).unwrap())
}

#[test]
fn the_host_of_a_virtual_host_can_be_set() {
    // conf: CQ-02
    for host in ["virtual.example", "virtual.example:8080", "127.0.0.1", "[::1]:81"] {
        let request = sent(&to("ws://127.0.0.1:9001/chat").host("other").host(host));
        assert_eq!((request.target.as_str(), request.all("host")), ("/chat", vec![host]));
    }
    for host in ["", "a b", "a\r\nEvil: 1", "u@h", "h:x", "h/", "[::1", "h\u{e9}", "a,b\0"] {
        assert_eq!(refused(&to("ws://h/").host(host)), ClientRequestError::Host, "{host:?}");
    }
}

#[test]
fn the_request_is_what_the_rfc_asks_for() {
    // conf: CQ-01 CQ-03 CQ-04 CQ-07 CQ-10 CQ-11
    let mut out = Vec::new();
    to("ws://server.example.com/chat?x=1").start(NONCE, NOW, &mut out).unwrap();
    assert!(out.starts_with(b"GET /chat?x=1 HTTP/1.1\r\n"));
    assert!(out.ends_with(b"\r\n\r\n"));
    let request = sent(&to("ws://server.example.com/chat?x=1"));
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/chat?x=1"));
    assert_eq!(request.all("upgrade"), ["websocket"]);
    assert_eq!(request.all("connection"), ["Upgrade"]);
    assert_eq!(request.all("sec-websocket-version"), ["13"]);
    // No Origin, no protocols and no extensions that nobody asked for.
    assert_eq!(request.headers.len(), 5);
    assert_eq!(sent(&to("wss://h")).target, "/");
}

#[test]
fn the_host_has_a_port_only_if_it_is_not_the_default() {
    // conf: CQ-02
    for (uri, host) in [
        ("ws://server.example.com/", "server.example.com"),
        ("ws://server.example.com:80/", "server.example.com"),
        ("ws://server.example.com:8080/", "server.example.com:8080"),
        ("wss://server.example.com:443/", "server.example.com"),
        ("wss://server.example.com:80/", "server.example.com:80"),
        ("ws://[::1]:9001/", "[::1]:9001"),
        ("wss://[::1]/", "[::1]"),
    ] {
        assert_eq!(sent(&to(uri)).all("host"), [host], "{uri}");
    }
}

#[test]
fn the_headers_of_the_handshake_are_reserved() {
    // conf: CQ-02 CQ-05 CQ-07 CQ-12
    for name in [
        "Host",
        "hOST",
        "Origin",
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "sec-websocket-version",
        "SEC-WEBSOCKET-ACCEPT",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Content-Length",
        "Transfer-Encoding",
        "Expect",
        "Trailer",
    ] {
        let error = refused(&client().header(name, "x"));
        assert!(matches!(error, ClientRequestError::Header(HeaderError::Reserved(_))), "{name}");
    }
    for name in ["Hos", "Hostx", "X-Host", "Sec-WebSocket", "Sec-WebSocke-Key"] {
        assert_eq!(sent(&client().header(name, "x")).all(name), ["x"]);
    }
}

#[test]
fn the_key_is_canonical_base64_of_the_nonce() {
    // conf: CQ-05
    assert_eq!(sent(&client()).all("sec-websocket-key"), [KEY]);
    for (nonce, key) in [([0; 16], "AAAAAAAAAAAAAAAAAAAAAA=="), ([255; 16], "/////////////////////w==")] {
        let mut out = Vec::new();
        client().start(nonce, NOW, &mut out).unwrap();
        let line = format!("\r\nSec-WebSocket-Key: {key}\r\n");
        assert!(out.windows(line.len()).any(|window| window == line.as_bytes()));
    }
    for last in 0..=255 {
        let mut out = Vec::new();
        client().start([last; 16], NOW, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let key = text.split("Sec-WebSocket-Key: ").nth(1).unwrap().split('\r').next().unwrap();
        assert_eq!(key.len(), 24);
        assert!(["A==", "Q==", "g==", "w=="].iter().any(|end| key.ends_with(end)), "{key}");
    }
}

#[cfg(feature = "rand")]
#[test]
fn nonces_are_drawn_anew() {
    // conf: CQ-06
    let request = client();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..10_000 {
        let mut out = Vec::new();
        request.start(sansocket::handshake::random_nonce().unwrap(), NOW, &mut out).unwrap();
        assert!(seen.insert(out), "two attempts of one request with the same key");
    }
}

#[test]
fn the_origin_is_sent_as_it_was_given() {
    // conf: CQ-08
    assert_eq!(sent(&client().origin("HTTPS://App.Example")).all("origin"), ["HTTPS://App.Example"]);
    assert_eq!(sent(&client().origin("null")).all("origin"), ["null"]);
    assert_eq!(sent(&client().origin("a").origin("b")).all("origin"), ["b"]);
    assert!(sent(&client()).all("origin").is_empty());
    for text in INJECTIONS {
        assert_eq!(refused(&client().origin(text)), ClientRequestError::Origin, "{text:?}");
    }
}

#[test]
fn subprotocols_are_different_tokens_in_the_callers_order() {
    // conf: CQ-09 CQ-10
    let request = client().subprotocol("v2").subprotocol("!#$%&'*+-.^_`|~").subprotocol("V2");
    assert_eq!(sent(&request).all("sec-websocket-protocol"), ["v2, !#$%&'*+-.^_`|~, V2"]);
    assert!(sent(&client()).all("sec-websocket-protocol").is_empty());
    for name in ["", "a b", "a,b", "\u{e9}", "a;b", "a/b", "\"a\"", "a=b", "(a)", "a:b", "\x7f"]
        .into_iter()
        .chain(INJECTIONS)
    {
        let error = refused(&client().subprotocol("ok").subprotocol(name));
        assert!(matches!(error, ClientRequestError::Subprotocol(_)), "{name:?}");
    }
    let error = refused(&client().subprotocol("a").subprotocol("b").subprotocol("a"));
    assert!(matches!(error, ClientRequestError::SubprotocolRepeated(_)));
}

#[test]
fn offers_are_sent_in_the_callers_order() {
    // conf: CQ-11 EX-05
    let deflate = Extension::new("permessage-deflate").unwrap();
    let request = client()
        .extension(&deflate.clone().with_param("server_max_window_bits", "10").unwrap())
        .extension(&deflate.clone().with_flag("client_max_window_bits").unwrap())
        .require_extension(&Extension::new("x-a").unwrap());
    assert_eq!(
        sent(&request).all("sec-websocket-extensions"),
        ["permessage-deflate; server_max_window_bits=10, permessage-deflate; client_max_window_bits, x-a"]
    );
    assert!(sent(&client()).all("sec-websocket-extensions").is_empty());
    for text in ["", "a b", "a,b", "a;b", "a=b", "\"a\"", "\u{e9}"].into_iter().chain(INJECTIONS) {
        assert_eq!(Extension::new(text), Err(ExtensionError::Name), "{text:?}");
        assert_eq!(deflate.clone().with_flag(text), Err(ExtensionError::Parameter), "{text:?}");
        assert_eq!(deflate.clone().with_param(text, "1"), Err(ExtensionError::Parameter), "{text:?}");
        assert_eq!(deflate.clone().with_param("p", text), Err(ExtensionError::Value), "{text:?}");
    }
}

#[test]
fn extra_headers_are_sent_verbatim_and_cannot_inject() {
    // conf: CQ-12
    let request = client()
        .header("Cookie", "a=b; c=\"d\"")
        .header("authorization", "Bearer  x\ty")
        .header("X", b"\xff");
    let parsed = sent(&request.clone());
    assert_eq!(parsed.all("cookie"), ["a=b; c=\"d\""]);
    assert_eq!(parsed.all("Authorization"), ["Bearer  x\ty"]);
    assert_eq!(parsed.headers.last().unwrap(), &("X".to_owned(), b"\xff".to_vec()));
    assert!(!format!("{request:?}").contains("Bearer"), "credentials are in no debug form");
    for text in INJECTIONS {
        let error = refused(&client().header("X", text));
        assert!(matches!(error, ClientRequestError::Header(HeaderError::Value(_))), "{text:?}");
        let error = refused(&client().header(text, "x"));
        assert!(matches!(error, ClientRequestError::Header(HeaderError::Name(_))), "{text:?}");
        assert!(WebSocketUri::parse(&format!("ws://h/{text}")).is_err(), "{text:?}");
        assert!(WebSocketUri::parse(&format!("ws://{text}/")).is_err(), "{text:?}");
    }
    for name in ["", "a b", "a:", ":", "\u{e9}", "(a)"] {
        assert!(matches!(
            refused(&client().header(name, "x")),
            ClientRequestError::Header(HeaderError::Name(_))
        ));
    }
}

#[test]
fn nothing_is_written_but_the_request() {
    // conf: CQ-13
    let mut whole = Vec::new();
    client().start(NONCE, NOW, &mut whole).unwrap();
    for room in 0..whole.len() {
        let mut memory = vec![0; room];
        let mut sink = SliceSink::new(&mut memory);
        let error = client().start(NONCE, NOW, &mut sink).unwrap_err();
        assert!(matches!(error, ClientRequestError::Full(full) if full.needed == whole.len()));
        assert!(sink.filled().is_empty());
    }
    // A handshake has no way to write; that there is no connection before the response is proved by the
    // doctest of `ClientHandshake`.
    assert!(whole.ends_with(b"\r\n\r\n"));
}
