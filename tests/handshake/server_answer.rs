//! What a server answers (RFC 6455 §4.2.2).

use sansocket::handshake::{
    AcceptError, Acceptance, Extension, HeaderError, NegotiationError, RequestError, Response,
    WriteResponseError, accept_key,
};
use sansocket::{Config, Full, Role, SliceSink};

use crate::support::*;

/// Names and values that would break out of their line, or out of their header.
pub(crate) const INJECTIONS: [&str; 9] =
    ["x\r\nEvil: 1", "x\r\n\r\n<html>", "x\nEvil: 1", "x\rEvil: 1", "x\0", "\r", "\n", "x\x1b[2J", "x\x7f"];

fn accepted(lines: &Lines, acceptance: &Acceptance) -> ParsedResponse {
    let mut out = Vec::new();
    request(lines).accept(acceptance, &mut out).unwrap();
    let response = ParsedResponse::parse(&out);
    assert!(response.body.is_empty(), "nothing follows the blank line");
    response
}

fn offering() -> Lines {
    Lines::request()
        .add("Sec-WebSocket-Protocol: chat, superchat")
        .add("Sec-WebSocket-Extensions: x-a; p=1, x-b, x-a")
}

#[test]
fn an_accepted_request_gets_a_bare_101() {
    // conf: SA-01 SA-02 SA-03
    let mut out = Vec::new();
    request(&Lines::request()).accept(&Acceptance::new(), &mut out).unwrap();
    assert!(out.starts_with(b"HTTP/1.1 101 "));
    let response = ParsedResponse::parse(&out);
    assert_eq!(response.status, 101);
    assert_eq!(response.all("upgrade"), ["websocket"]);
    assert_eq!(response.all("connection"), ["Upgrade"]);
    assert_eq!(response.all("sec-websocket-accept"), [ACCEPT]);
    assert_eq!(response.headers.len(), 3);
    assert!(response.body.is_empty());
}

#[test]
fn the_accept_value_is_computed_from_the_key_as_it_was_received() {
    // conf: SA-03 SQ-08
    // Three values computed with another implementation of SHA-1 and base64.
    for (key, accept) in [
        (KEY, ACCEPT),
        ("  AQIDBAUGBwgJCgsMDQ4PEC==\t", "OfS0wDaT5NoxF2gqm7Zj2YtetzM="),
        ("////////////////////+w==", "v++/tqom+xLKCFRvDrrlHamp040="),
    ] {
        let response = accepted(&Lines::request().set("Sec-WebSocket-Key", key), &Acceptance::new());
        assert_eq!(response.all("sec-websocket-accept"), [accept], "{key}");
        assert_eq!(accept_key(key.trim()), accept);
    }
}

#[test]
fn the_subprotocol_is_one_of_those_offered() {
    // conf: SA-04
    let response = accepted(&offering(), &Acceptance::new().subprotocol("superchat"));
    assert_eq!(response.all("sec-websocket-protocol"), ["superchat"]);
    let response = accepted(&offering(), &Acceptance::new());
    assert!(response.all("sec-websocket-protocol").is_empty());
    for (lines, name) in
        [(offering(), "Chat"), (offering(), ""), (offering(), "chat, superchat"), (Lines::request(), "chat")]
    {
        let mut out = Vec::new();
        let refused = request(&lines).accept(&Acceptance::new().subprotocol(name), &mut out).unwrap_err();
        assert!(matches!(
            refused.error,
            AcceptError::Negotiation(NegotiationError::SubprotocolNotOffered(_))
        ));
        assert!(out.is_empty());
        // The request is not lost.
        let accepted = refused.request.accept(&Acceptance::new().subprotocol(None), &mut out).unwrap();
        assert_eq!(accepted.negotiated().subprotocol, None);
        assert!(out.starts_with(b"HTTP/1.1 101 "));
    }
    // The server's order decides.
    let request = request(&offering());
    assert_eq!(request.choose_subprotocol(["v2", "superchat", "chat"]), Some("superchat"));
    assert_eq!(request.choose_subprotocol(["CHAT"]), None);
    assert_eq!(request.choose_subprotocol([]), None);
}

#[test]
fn extensions_are_some_of_those_offered_in_the_order_of_the_answer() {
    // conf: SA-05 EX-06 EX-03
    let a = Extension::new("x-a").unwrap().with_param("q", "2").unwrap();
    let b = Extension::new("x-b").unwrap();
    let acceptance = Acceptance::new().extension(&b).extension(&a);
    assert_eq!(accepted(&offering(), &acceptance).all("sec-websocket-extensions"), ["x-b, x-a; q=2"]);
    assert!(accepted(&offering(), &Acceptance::new()).all("sec-websocket-extensions").is_empty());
    let unknown = Extension::new("x-c").unwrap();
    let case = Extension::new("X-A").unwrap();
    for (acceptance, repeated) in [
        (Acceptance::new().extension(&unknown), false),
        (Acceptance::new().extension(&case), false),
        (Acceptance::new().extension(&a).extension(&b).extension(&a), true),
    ] {
        let mut out = Vec::new();
        let refused = request(&offering()).accept(&acceptance, &mut out).unwrap_err();
        let AcceptError::Negotiation(error) = &refused.error else { panic!("{refused:?}") };
        assert_eq!(matches!(error, NegotiationError::ExtensionRepeated(_)), repeated);
        assert!(out.is_empty());
    }
}

#[test]
fn extra_headers_cannot_inject_nor_repeat_the_handshake() {
    // conf: SA-11 SA-06
    let fits = Acceptance::new().header("Set-Cookie", "a=b").header("set-cookie", b"c=\xe9").header("X", "");
    let mut out = Vec::new();
    request(&Lines::request()).accept(&fits, &mut out).unwrap();
    assert!(out.ends_with(b"\r\nSet-Cookie: a=b\r\nset-cookie: c=\xe9\r\nX: \r\n\r\n"));

    let mut bad: Vec<(String, &[u8])> = Vec::new();
    for text in INJECTIONS {
        bad.push(("X".into(), text.as_bytes()));
        bad.push((text.into(), b"y"));
        bad.push((format!("X: y\r\n{text}"), b"y"));
    }
    for name in [
        "",
        "a b",
        "a:",
        "\u{e9}",
        "Upgrade",
        "connection",
        "SEC-WEBSOCKET-ACCEPT",
        "Sec-WebSocket-Protocol",
        "sec-websocket-extensions",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Anything",
        "Content-Length",
        "transfer-encoding",
    ] {
        bad.push((name.into(), b"y"));
    }
    for (name, value) in bad {
        let mut out = Vec::new();
        let acceptance = Acceptance::new().header(&name, value);
        let refused = request(&Lines::request()).accept(&acceptance, &mut out).unwrap_err();
        assert!(matches!(refused.error, AcceptError::Header(_)), "{name:?}");
        let response = Response::new(403).header(&name, value);
        let refused = refused.request.reject(&response, &mut out).unwrap_err();
        assert!(matches!(refused.error, WriteResponseError::Header(_)), "{name:?}");
        assert!(out.is_empty());
        assert!(!refused.to_string().contains(char::is_control), "{refused}");
    }
    let reserved = Response::new(403).header("Connection", "x").write(&mut Vec::new()).unwrap_err();
    assert!(matches!(reserved, WriteResponseError::Header(HeaderError::Reserved(_))));
}

#[test]
fn a_refusal_is_the_applications_own_response() {
    // conf: SA-06
    for (status, phrase) in
        [(403, "Forbidden"), (404, "Not Found"), (401, "Unauthorized"), (503, "Service Unavailable")]
    {
        let mut out = Vec::new();
        let response = Response::new(status).header("X-Why", "because").body("no\n");
        request(&offering()).reject(&response, &mut out).unwrap();
        assert!(out.starts_with(format!("HTTP/1.1 {status} {phrase}\r\n").as_bytes()));
        let parsed = ParsedResponse::parse(&out);
        parsed.check_refusal();
        assert_eq!(parsed.all("x-why"), ["because"]);
        assert_eq!(parsed.body, b"no\n");
        assert_eq!(parsed.headers.len(), 3);
    }
    for status in [200, 302, 400, 418, 599] {
        let mut out = Vec::new();
        request(&offering()).reject(&Response::new(status), &mut out).unwrap();
        assert_eq!(ParsedResponse::parse(&out).status, status);
    }
    for status in [0, 99, 100, 101, 102, 103, 199, 600, 999, 1000, u16::MAX] {
        let mut out = Vec::new();
        let refused = request(&offering()).reject(&Response::new(status), &mut out).unwrap_err();
        assert_eq!(refused.error, WriteResponseError::Status(status));
        assert!(out.is_empty());
        refused.request.accept(&Acceptance::new(), &mut out).unwrap();
        assert!(out.starts_with(b"HTTP/1.1 101 "));
    }
    let mut out = Vec::new();
    assert_eq!(Response::new(204).body("x").write(&mut out), Err(WriteResponseError::Body(204)));
    Response::new(204).write(&mut out).unwrap();
    assert!(ParsedResponse::parse(&out).all("content-length").is_empty());
}

#[test]
fn a_426_says_what_to_upgrade_to() {
    // conf: SA-07
    let mut out = Vec::new();
    request(&Lines::request()).reject(&Response::new(426), &mut out).unwrap();
    let response = ParsedResponse::parse(&out);
    response.check_refusal();
    assert_eq!(response.all("sec-websocket-version"), ["13"]);
    assert_eq!(response.all("upgrade"), ["websocket"]);
}

#[test]
fn an_origin_check_is_one_line() {
    // conf: SA-08
    for (origin, allowed) in [("https://app.example", true), ("https://evil.example", false)] {
        let request = request(&Lines::request().add(format!("Origin: {origin}")));
        let mut out = Vec::new();
        if !request.origin_is_one_of(["https://app.example"]) {
            request.reject(&Response::new(403), &mut out).unwrap();
            assert_eq!(ParsedResponse::parse(&out).status, 403);
            assert!(!allowed);
        } else {
            assert!(allowed);
        }
    }
}

#[test]
fn the_connection_opens_when_the_101_was_written() {
    // conf: SA-09 EX-04
    let mut out = Vec::new();
    let acceptance = Acceptance::new().subprotocol("chat");
    let accepted = request(&offering()).accept(&acceptance, &mut out).unwrap();
    assert_eq!(accepted.request().head().path(), "/chat");
    let (connection, negotiated) = accepted.into_connection(Config::default(), NOW);
    assert_eq!(connection.role(), Role::Server);
    assert_eq!(negotiated.subprotocol.as_deref(), Some("chat"));
    // What was offered is not negotiated.
    assert!(negotiated.extensions.is_empty());
    // That a request has no way to send is proved by the doctest of `Request`.
    assert!(out.starts_with(b"HTTP/1.1 101 ") && out.ends_with(b"\r\n\r\n"));
}

#[test]
fn a_full_sink_gets_nothing() {
    // conf: SA-01 SA-06
    let mut whole = Vec::new();
    request(&Lines::request()).accept(&Acceptance::new(), &mut whole).unwrap();
    let mut again = request(&Lines::request());
    for room in 0..whole.len() {
        let mut memory = vec![0; room];
        let mut sink = SliceSink::new(&mut memory);
        let refused = again.accept(&Acceptance::new(), &mut sink).unwrap_err();
        assert!(matches!(refused.error, AcceptError::Full(Full { needed, .. }) if needed == whole.len()));
        assert!(sink.filled().is_empty());
        again = refused.request;
    }
    let mut memory = vec![0; whole.len()];
    let mut sink = SliceSink::new(&mut memory);
    again.accept(&Acceptance::new(), &mut sink).unwrap();
    assert_eq!(sink.filled(), whole);

    let mut memory = [0; 20];
    let mut sink = SliceSink::new(&mut memory);
    assert!(matches!(Response::new(403).write(&mut sink), Err(WriteResponseError::Full(_))));
    assert!(sink.filled().is_empty());
}

#[test]
fn bytes_of_the_peer_are_shown_escaped() {
    // conf: SA-12
    let esc = "\x1b]0;owned\x07";
    let long = "y".repeat(5000);
    for (bytes, status) in [
        (format!("{}\r\n\r\n", Lines::request().bytes().escape_ascii()).into_bytes(), 400),
        (Lines::request().first("\"DROP\" / HTTP/1.1").bytes(), 400),
        (Lines::request().first("G\u{1b}T / HTTP/1.1").bytes(), 400),
        (Lines::request().first("DEL|ETE~`'& / HTTP/1.1").bytes(), 405),
        (Lines::request().first("GET h<script>\" HTTP/1.1").bytes(), 400),
        (Lines::request().first(format!("GET {long} HTTP/1.1")).bytes(), 400),
        (Lines::request().set("Sec-WebSocket-Version", esc).bytes(), 400),
        (Lines::request().set("Sec-WebSocket-Key", b"\xff\xfe").bytes(), 400),
        (Lines::request().add([b"Sec-WebSocket-Protocol: ", "\u{202e}".as_bytes()].concat()).bytes(), 400),
    ] {
        let (error, response) = refused(&bytes, status);
        for text in
            [error.to_string(), format!("{error:?}"), String::from_utf8(response.body.clone()).unwrap()]
        {
            let text = text.strip_suffix('\n').unwrap_or(&text);
            assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}");
            assert!(text.len() < 400, "{text}");
        }
        assert_eq!(response.all("content-type"), ["text/plain; charset=utf-8"]);
    }
    let (error, _) = refused(&Lines::request().first("DELETE / HTTP/1.1").bytes(), 405);
    assert!(matches!(error, RequestError::Method(ref method) if method.to_string() == "\"DELETE\""));
    // Headers and queries may hold credentials: they are not in any debug form.
    let lines = Lines::request().first("GET /chat?token=c2VjcmV0 HTTP/1.1");
    let request =
        request(&lines.add("Authorization: Basic c2VjcmV0").add("Cookie: \u{1f}s".replace('\u{1f}', "")));
    assert_eq!(request.head().query(), Some("token=c2VjcmV0"));
    let shown = format!("{request:?}");
    assert!(!shown.contains("c2VjcmV0") && shown.contains("\"/chat?…\""), "{shown}");
    let wrong = Lines::request().first("GET chat?token=c2VjcmV0 HTTP/1.1");
    let (error, response) = refused(&wrong.bytes(), 400);
    assert!(!format!("{error:?} {error} {:?}", response.body).contains("c2VjcmV0"), "{error:?}");
}
