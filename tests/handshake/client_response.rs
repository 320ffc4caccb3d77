//! The response that a client accepts, and what it does with others (RFC 6455 §4.1).

use core::time::Duration;

use sansocket::handshake::{
    ClientRequest, ClientStep, Extension, HandshakeLimits, HeadError, HeadPart, Refusal, ResponseError,
};
use sansocket::{Config, MaskKeys, Role};

use crate::support::*;

fn extension(text: &str) -> Extension<'static> {
    text.parse().unwrap()
}

fn offering() -> ClientRequest {
    client()
        .subprotocol("chat")
        .subprotocol("superchat")
        .extension(&extension("x-a; p=1"))
        .extension(&extension("x-b"))
        .extension(&extension("x-a"))
}

/// The refusal in every way of cutting, and when the stream ends if it must.
#[track_caller]
fn refusal(bytes: &[u8]) -> Refusal {
    match connect(&client(), bytes) {
        Connected::Refused(refusal) => refusal,
        Connected::NeedMore => {
            let Ok(ClientStep::NeedMore(handshake)) = start(&client()).receive(NOW, bytes) else {
                unreachable!()
            };
            handshake.handle_eof().unwrap()
        }
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

#[test]
fn the_status_is_101() {
    // conf: CR-01
    assert_eq!(opened(&client(), &answer()).response().status(), 101);
    let reasons = ["HTTP/1.1 101 ", "HTTP/1.1 101", "HTTP/1.1 101 \u{e9}ny", "HTTP/1.1 101 404 Not Found"];
    for first in reasons {
        opened(&client(), &answer().first(first));
    }
    for status in [200, 201, 204, 299, 300, 400, 426, 500, 599, 999] {
        let bytes = answer().first(format!("HTTP/1.1 {status} Fine")).add("Content-Length: 0").bytes();
        let refusal = refusal(&bytes);
        assert_eq!(refusal.head().status(), status);
        assert_eq!(refusal.head().reason(), b"Fine");
        assert_eq!(refusal.head().header("upgrade"), Some(&b"websocket"[..]));
    }
}

#[test]
fn the_body_of_a_refusal_is_handed_out() {
    // conf: CR-01
    let head = |line: &str| Lines::of(&["HTTP/1.1 403 Forbidden", "X-Why: x", line]).bytes();
    let with = |line: &str, body: &str| refusal(&[&head(line)[..], body.as_bytes()].concat());
    for (line, body, expected, complete) in [
        ("Content-Length: 5", "hello", "hello", true),
        ("Content-Length: 5", "hello world", "hello", true),
        ("Content-Length: 0", "hello", "", true),
        ("Content-Length: 9", "hello", "hello", false),
        ("Content-Length: 99999999999999999999999", "hello", "hello", false),
        ("Content-Length: 5, 5", "hello world", "hello", true),
        ("Content-Length: 5\r\nContent-Length: 5", "hello world", "hello", true),
        // Nobody knows where such a body ends: it is over at once.
        ("Content-Length: x", "hello", "", false),
        ("Content-Length:", "hello", "", false),
        ("Content-Length: 5, 6", "hello", "", false),
        ("Content-Length: 5\r\nContent-Length: 6", "hello", "", false),
        ("X: y", "hello", "hello", true),
        ("Transfer-Encoding: gzip", "hello", "hello", true),
        (
            "Transfer-Encoding: Chunked",
            "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nTrailer: x\r\n\r\n",
            "hello world",
            true,
        ),
        ("Transfer-Encoding: chunked", "0A \r\n0123456789\r\n00\r\n\r\n", "0123456789", true),
        ("Transfer-Encoding: chunked", "0\r\n\r\n", "", true),
        ("Transfer-Encoding: gzip, chunked", "5\r\nhello\r\n0\r\n\r\n", "hello", true),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", "hello", true),
        ("Transfer-Encoding: chunked, gzip", "5\r\nhello", "5\r\nhello", true),
        ("Transfer-Encoding: chunked", "5\r\nhel", "hel", false),
        ("Transfer-Encoding: chunked", "5\r\nhelloX", "hello", false),
        ("Transfer-Encoding: chunked", "ffffffffffffffff\r\nhello", "", false),
        ("Transfer-Encoding: chunked", "fffffffffffffff\r\nhello", "hello", false),
        ("Transfer-Encoding: chunked", "-5\r\nhello", "", false),
        ("Transfer-Encoding: chunked", "\r\nhello", "", false),
        ("Transfer-Encoding: chunked", "5\nhello", "", false),
    ] {
        let refusal = with(line, body);
        let body = body.escape_default();
        assert_eq!(refusal.body(), expected.as_bytes(), "{line} {body}");
        assert_eq!(refusal.is_complete(), complete, "{line} {body}");
        assert_eq!(refusal.head().header("x-why"), Some(&b"x"[..]));
    }
    assert!(refusal(b"HTTP/1.1 204 No Content\r\n\r\nhello").body().is_empty());
    // A server that knows only HTTP/1.0 can refuse too.
    assert_eq!(refusal(b"HTTP/1.0 503 Busy\r\n\r\nx").head().status(), 503);
}

#[test]
fn the_body_of_a_refusal_is_limited_in_bytes_and_time() {
    // conf: CR-01 CR-18
    for framing in ["X: y", "Content-Length: 99999", "Transfer-Encoding: chunked"] {
        for (limit, over) in [(3, false), (4, false), (5, true), (6, true)] {
            let limits = HandshakeLimits::default().max_refusal_body_bytes(4);
            let request = client().limits(limits);
            let chunk = if framing.ends_with("chunked") { "400\r\n" } else { "" };
            let body = format!("{chunk}{}", "x".repeat(limit));
            let bytes = [&Lines::of(&["HTTP/1.1 500 ", framing]).bytes()[..], body.as_bytes()].concat();
            match connect(&request, &bytes) {
                Connected::Refused(refusal) => {
                    assert!(over, "{framing} {limit}");
                    assert_eq!((refusal.body(), refusal.is_complete()), (&b"xxxx"[..], false));
                }
                Connected::NeedMore => assert!(!over, "{framing} {limit}"),
                other => panic!("{other:?}"),
            }
        }
    }
    // A body that ends with the limit is whole.
    let request = client().limits(HandshakeLimits::default().max_refusal_body_bytes(4));
    let Connected::Refused(refusal) = connect(&request, b"HTTP/1.1 500 \r\nContent-Length: 4\r\n\r\nabcd")
    else {
        panic!()
    };
    assert!(refusal.is_complete());
    // By default 64 KiB are kept.
    let bytes = [b"HTTP/1.1 500 \r\n\r\n", &vec![b'x'; 65537][..]].concat();
    assert_eq!(connect_pieces(&client(), [&bytes[..bytes.len() - 1]]), Connected::NeedMore);
    let Connected::Refused(refusal) = connect_pieces(&client(), bytes.chunks(777)) else { panic!() };
    assert_eq!((refusal.body().len(), refusal.is_complete()), (65536, false));
    // What came until the deadline counts.
    let handshake = start(&client());
    let Ok(ClientStep::NeedMore(handshake)) = handshake.receive(NOW, b"HTTP/1.1 500 \r\n\r\npart") else {
        panic!()
    };
    let Ok(ClientStep::Refused(refusal)) = handshake.handle_timeout(NOW + Duration::from_secs(10)) else {
        panic!()
    };
    assert_eq!((refusal.body(), refusal.is_complete()), (&b"part"[..], false));
}

#[test]
fn a_redirect_is_shown_and_not_followed() {
    // conf: CR-02
    for status in [301, 302, 303, 307, 308] {
        let lines = Lines::of(&[
            &format!("HTTP/1.1 {status} Moved"),
            "Location: wss://other.example/x",
            "Content-Length: 0",
        ]);
        let refusal = refusal(&lines.bytes());
        assert_eq!((refusal.head().status(), refusal.location()), (status, Some("wss://other.example/x")));
    }
    assert_eq!(refusal(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n").location(), None);
}

#[test]
fn interim_responses_are_skipped_a_few_times() {
    // conf: CR-03
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        "HTTP/1.0 102\r\n\r\n",
    ] {
        let response = answer().bytes();
        let after = |count: usize| [interim.repeat(count).as_bytes(), &response].concat();
        for count in 1..=4 {
            let Connected::Open(opened, rest) = connect(&client(), &after(count)) else {
                panic!("{interim}")
            };
            assert_eq!((opened.response().status(), rest.len()), (101, 0));
            assert_eq!(opened.response().header("link"), None);
        }
        assert_eq!(failed(&client(), &after(5)), ResponseError::TooManyInterim);
    }
}

#[test]
fn upgrade_is_websocket() {
    // conf: CR-04
    for value in ["websocket", "WebSocket", "WEBSOCKET\t"] {
        opened(&client(), &answer().set("Upgrade", value));
    }
    for value in [
        "",
        "h2c",
        "websocket2",
        "xwebsocket",
        "websocket, h2c",
        "websocket,",
        "web socket",
        "websoc\u{212a}et",
    ] {
        assert_eq!(
            failed(&client(), &answer().set("Upgrade", value).bytes()),
            ResponseError::Upgrade,
            "{value}"
        );
    }
    assert_eq!(failed(&client(), &answer().without("Upgrade").bytes()), ResponseError::Upgrade);
    assert_eq!(failed(&client(), &answer().add("Upgrade: websocket").bytes()), ResponseError::Upgrade);
}

#[test]
fn connection_lists_upgrade() {
    // conf: CR-05
    for value in ["Upgrade", "upgrade", "keep-alive, UPGRADE", ",,upgrade ,", "\tUpgrade"] {
        opened(&client(), &answer().set("Connection", value));
    }
    opened(&client(), &answer().set("Connection", "x").add("connection: Upgrade"));
    for value in ["", "close", "xUpgrade", "Upgrader", "keep-alive Upgrade", "\"upgrade\""] {
        let bytes = answer().set("Connection", value).bytes();
        assert_eq!(failed(&client(), &bytes), ResponseError::Connection, "{value}");
    }
    assert_eq!(failed(&client(), &answer().without("Connection").bytes()), ResponseError::Connection);
}

#[test]
fn the_accept_value_is_the_answer_to_the_key() {
    // conf: CR-06
    opened(&client(), &answer().set("Sec-WebSocket-Accept", format!(" \t{ACCEPT} \t")));
    let swapped: String = ACCEPT
        .chars()
        .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    for value in [
        "",
        &swapped,
        &ACCEPT.to_lowercase(),
        ACCEPT.trim_end_matches('='),
        KEY,
        "OfS0wDaT5NoxF2gqm7Zj2YtetzM=",
        &format!("{ACCEPT}, {ACCEPT}"),
        &format!("\"{ACCEPT}\""),
        &format!("{ACCEPT}="),
        &ACCEPT[1..],
    ] {
        let bytes = answer().set("Sec-WebSocket-Accept", value).bytes();
        assert_eq!(failed(&client(), &bytes), ResponseError::Accept, "{value}");
    }
    assert_eq!(failed(&client(), &answer().without("Sec-WebSocket-Accept").bytes()), ResponseError::Accept);
    // The answer to the RFC's sample key is no answer to another one.
    let handshake = client().start([9; 16], NOW, &mut Vec::new()).unwrap();
    assert_eq!(handshake.receive(NOW, &answer().bytes()).unwrap_err(), ResponseError::Accept);
}

#[test]
fn the_accept_value_occurs_once() {
    // conf: CR-07
    let bytes = answer().add(format!("sec-websocket-accept: {ACCEPT}")).bytes();
    assert_eq!(failed(&client(), &bytes), ResponseError::Accept);
    assert_eq!(failed(&client(), &answer().add("Sec-WebSocket-Accept: x").bytes()), ResponseError::Accept);
}

#[test]
fn extensions_were_offered() {
    // conf: CR-08 EX-06
    let with = |value: &str| answer().add(format!("Sec-WebSocket-Extensions: {value}"));
    let opened_with = opened(&offering(), &with("x-b; q=\"7\", x-a"));
    assert_eq!(opened_with.negotiated().extensions.as_str(), "x-b; q=7, x-a");
    assert!(opened(&offering(), &answer()).negotiated().extensions.is_empty());
    for (request, value) in [(offering(), "x-unknown"), (offering(), "x-a, X-B"), (client(), "x-a")] {
        let error = failed(&request, &with(value).bytes());
        assert!(matches!(error, ResponseError::ExtensionNotOffered(_)), "{value}: {error:?}");
    }
}

#[test]
fn the_extensions_of_the_response_obey_the_grammar() {
    // conf: CR-09 EX-01 EX-02
    let several = answer().add("Sec-WebSocket-Extensions: , x-a").add("Sec-WebSocket-Extensions:x-b ;p = 1,");
    assert_eq!(opened(&offering(), &several).negotiated().extensions.as_str(), "x-a, x-b; p=1");
    for value in [
        "",
        ",",
        ";",
        "x-a;",
        "x-a b",
        "x-a;=1",
        "x-a; p=",
        "x-a; p=\"",
        "x-a; p=\"1",
        "x-a; p=\"1 2\"",
        "x-a; p=\"\"",
        "=1",
    ] {
        let bytes = answer().add(format!("Sec-WebSocket-Extensions: {value}")).bytes();
        assert!(matches!(failed(&offering(), &bytes), ResponseError::Extensions(_)), "{value}");
    }
}

#[test]
fn an_extension_is_listed_once() {
    // conf: EX-07
    for line in ["x-a, x-a", "x-a; p=1, x-b, x-a; p=2"] {
        let bytes = answer().add(format!("Sec-WebSocket-Extensions: {line}")).bytes();
        assert!(matches!(failed(&offering(), &bytes), ResponseError::ExtensionRepeated(_)), "{line}");
    }
    let bytes = answer().add("Sec-WebSocket-Extensions: x-b").add("Sec-WebSocket-Extensions: x-b").bytes();
    assert!(matches!(failed(&offering(), &bytes), ResponseError::ExtensionRepeated(_)));
}

#[test]
fn the_subprotocol_was_offered() {
    // conf: CR-10
    let with = |value: &str| answer().add(format!("Sec-WebSocket-Protocol: {value}"));
    assert_eq!(
        opened(&offering(), &with("superchat")).negotiated().subprotocol.as_deref(),
        Some("superchat")
    );
    for (request, value) in
        [(offering(), "other"), (offering(), "Chat"), (offering(), "chatx"), (client(), "chat")]
    {
        let error = failed(&request, &with(value).bytes());
        assert!(matches!(error, ResponseError::SubprotocolNotOffered(_)), "{value}: {error:?}");
    }
}

#[test]
fn the_subprotocol_is_one_token_in_one_line() {
    // conf: CR-11
    for value in ["", "chat, superchat", "chat,", "\"chat\"", "ch at", "caf\u{e9}"] {
        let bytes = answer().add(format!("Sec-WebSocket-Protocol: {value}")).bytes();
        assert_eq!(failed(&offering(), &bytes), ResponseError::Subprotocol, "{value}");
    }
    let twice = answer().add("Sec-WebSocket-Protocol: chat").add("Sec-WebSocket-Protocol: chat");
    assert_eq!(failed(&offering(), &twice.bytes()), ResponseError::Subprotocol);
}

#[test]
fn a_subprotocol_may_be_required() {
    // conf: CR-12
    assert_eq!(opened(&offering(), &answer()).negotiated().subprotocol, None);
    let strict = offering().require_subprotocol();
    assert_eq!(failed(&strict, &answer().bytes()), ResponseError::SubprotocolMissing);
    opened(&strict, &answer().add("Sec-WebSocket-Protocol: chat"));
}

#[test]
fn headers_come_in_any_order_and_case() {
    // conf: CR-13 CR-22
    let bytes = format!(
        "HTTP/1.1 101 Ok\r\nSet-Cookie: a=b\r\nSEC-WEBSOCKET-ACCEPT:{ACCEPT}\r\nX-Any: \u{e9} y\r\nconnection:UPGRADE\r\n\
         set-cookie:c=d\r\nupgrade:WebSocket\r\n\r\n"
    );
    let Connected::Open(opened, _) = connect(&client(), bytes.as_bytes()) else { panic!() };
    let response = opened.response();
    assert_eq!(response.header("x-any"), Some("\u{e9} y".as_bytes()));
    assert_eq!(response.header_values("set-cookie").collect::<Vec<_>>(), [b"a=b", b"c=d"]);
    assert_eq!(response.headers().count(), 6);
    assert!(!format!("{opened:?}").contains("a=b"));
}

#[test]
fn folded_lines_are_read_with_spaces() {
    // conf: CR-23
    for (line, value) in [
        ("X: a\r\n b", "a b"),
        ("X: a \t\r\n\t \tb", "a b"),
        ("X:\r\n a", "a"),
        ("X: a\r\n ", "a"),
        ("X: a\r\n b\r\n c", "a b c"),
        ("X: a\r\n \r\n b", "a  b"),
        ("X:\r\n ", ""),
    ] {
        let lines = answer().add(line).add("Y: z");
        let opened = opened(&client(), &lines);
        let response = opened.response();
        assert_eq!(response.header("x"), Some(value.as_bytes()), "{line:?}");
        assert_eq!((response.header("y"), response.headers().count()), (Some(&b"z"[..]), 5));
    }
    // It counts as one line, in the handshake's own headers too.
    opened(&client(), &answer().set("Connection", "keep-alive,\r\n\tUpgrade"));
    let refusal = refusal(b"HTTP/1.1 302 Found\r\nLocation:\r\n ws://a/\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(refusal.location(), Some("ws://a/"));
    // There is nothing to go on with before the first line.
    assert_part(b"HTTP/1.1 101 Ok\r\n X: y\r\n\r\n", HeadPart::HeaderName);
    assert_part(&answer().add("X: a\r\n b\x01").bytes(), HeadPart::HeaderValue);
}

#[track_caller]
fn assert_part(bytes: &[u8], expected: HeadPart) {
    match failed(&client(), bytes) {
        ResponseError::Head(HeadError::Byte { byte, part }) => {
            assert_eq!(part, expected, "{}", bytes.escape_ascii());
            assert!(bytes.contains(&byte), "{}", bytes.escape_ascii());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_malformed_head_is_refused() {
    // conf: CR-14
    let with = |line: &[u8]| answer().add(line).bytes();
    for line in [&b"nocolon"[..], b": x", b"X : y", b"X\t: y", b"a b: y", b"\xe9: y", b"X\0: y", b"\"X\": y"]
    {
        assert_part(&with(line), HeadPart::HeaderName);
    }
    for line in [&b"X: a\0b"[..], b"X: a\x1bb", b"X: \x7f"] {
        assert_part(&with(line), HeadPart::HeaderValue);
    }
    assert_part(&with(b"X: a\rb"), HeadPart::HeaderValue);
    assert_part(&with(b"X: a\nb"), HeadPart::LineEnd);
    assert_part(b"HTTP/1.1 101 Ok\nUpgrade: websocket\r\n", HeadPart::LineEnd);
    assert_part(b"HTTP/1.1 101 O\0k\r\n", HeadPart::StatusLine);
    assert_part(b"HTTP/1.1 101 Ok\rX\r\n", HeadPart::StatusLine);
}

#[test]
fn a_bad_status_line_is_refused_with_its_end_at_the_latest() {
    // conf: CR-15
    assert_eq!(failed(&client(), &answer().first("HTTP/1.0 101 Ok").bytes()), ResponseError::HttpVersion);
    for line in [
        "HTTP/1.2 101 Ok",
        "HTTP/1.1 1O1 Ok",
        "HTTP/1.1 1010 Ok",
        "HTTP/1.1 10 Ok",
        "HTTP/1.1  101 Ok",
        "HTTP/1.1 101\tOk",
        "HTTP/1.1 001 Ok",
        "HTTP/2.0 101 Ok",
        "http/1.1 101 Ok",
        "HTTP/1.1\t101 Ok",
        "HTTP/1.x 101",
        "SSH-2.0-OpenSSH_9.9",
        "\x15\x03\x01",
        " HTTP/1.1 101",
        "\r\nHTTP/1.1 101",
        "HTTP/11 101",
        "ICY 200 OK",
        "+101",
        "HTTP/1.1 ",
    ] {
        let bytes = format!("{line}\r\n");
        assert_part(bytes.as_bytes(), HeadPart::StatusLine);
        // No later byte changes the error.
        let longer = [bytes.as_bytes(), &[b'x'; 100]].concat();
        assert_eq!(failed(&client(), &longer), failed(&client(), bytes.as_bytes()));
    }
    // Without a line end it is seen when the bytes have doubled.
    assert_part(b"SSH-2.0-OpenSSH", HeadPart::StatusLine);
    assert_part(b"\x15\x03\x01\x00\x02", HeadPart::StatusLine);
}

#[test]
fn what_follows_the_response_is_left_to_the_connection() {
    // conf: CR-16
    let frames = [FRAME, FRAME].concat();
    let bytes = [&answer().bytes()[..], &frames].concat();
    let Connected::Open(opened, rest) = connect(&client(), &bytes) else { panic!() };
    assert_eq!(rest, frames);
    let keys = MaskKeys::from_fn(|| Ok([1, 2, 3, 4]));
    let (connection, negotiated) = opened.into_connection(Config::default(), keys, NOW);
    assert_eq!(connection.role(), Role::Client);
    assert_eq!(negotiated.subprotocol, None);
}

#[test]
fn no_header_gives_a_101_a_body() {
    // conf: CR-17
    for line in [
        "Content-Length: 0",
        "Content-Length: 8",
        "Content-Length: 00",
        "Content-Length:",
        "Content-Length: 0, 8",
        "Content-Length: -1",
        "Transfer-Encoding: chunked",
        "transfer-encoding: identity",
    ] {
        let bytes = [&answer().add(line).bytes()[..], FRAME].concat();
        let Connected::Open(_, rest) = connect(&client(), &bytes) else { panic!("{line}") };
        assert_eq!(rest, FRAME, "{line}");
    }
}

#[test]
fn a_refusal_whose_body_has_ended_does_not_wait() {
    for (line, body) in [
        ("Transfer-Encoding: gzip, chunked", "1\r\nx\r\n0\r\n\r\n"),
        ("Content-Length: 1\r\nContent-Length: 1", "x"),
        ("Content-Length: 1\r\nContent-Length: 2", ""),
        ("Content-Length: +1", ""),
    ] {
        let bytes = [&Lines::of(&["HTTP/1.1 403 No", line]).bytes()[..], body.as_bytes()].concat();
        assert!(matches!(connect(&client(), &bytes), Connected::Refused(_)), "{line}");
    }
}

#[test]
fn the_head_is_limited_in_bytes_and_lines() {
    // conf: CR-18
    let bytes = answer().add(format!("X: {}", "x".repeat(500))).bytes();
    let limited = |limits| client().limits(limits);
    let limits = HandshakeLimits::default();
    assert!(matches!(connect(&limited(limits.max_head_bytes(bytes.len())), &bytes), Connected::Open(..)));
    let error = failed(&limited(limits.max_head_bytes(bytes.len() - 1)), &bytes);
    assert_eq!(error, ResponseError::Head(HeadError::TooLong { limit: bytes.len() - 1 }));
    assert!(matches!(connect(&limited(limits.max_headers(4)), &bytes), Connected::Open(..)));
    let error = failed(&limited(limits.max_headers(3)), &bytes);
    assert_eq!(error, ResponseError::Head(HeadError::TooManyHeaders { limit: 3 }));
    let endless = [b"HTTP/1.1 101 ", &vec![b'x'; 20_000][..]].concat();
    assert_eq!(connect_pieces(&client(), [&endless[..16384]]), Connected::NeedMore);
    let error = ResponseError::Head(HeadError::TooLong { limit: 16384 });
    assert_eq!(connect_pieces(&client(), endless.chunks(1)), Connected::Error(error));
}

#[test]
fn the_end_of_the_stream_fails_the_handshake() {
    // conf: CR-19
    let bytes = answer().bytes();
    for cut in 0..bytes.len() {
        let Ok(ClientStep::NeedMore(handshake)) = start(&client()).receive(NOW, &bytes[..cut]) else {
            panic!("{cut}")
        };
        assert_eq!(handshake.handle_eof().unwrap_err(), ResponseError::EndOfStream);
    }
}

#[test]
fn the_versions_of_the_server_are_shown() {
    // conf: CR-20
    let lines = Lines::of(&[
        "HTTP/1.1 426 Upgrade Required",
        "Sec-WebSocket-Version: 13, 8,, 256, 07, x",
        "sec-websocket-version: 7",
        "Content-Length: 0",
    ]);
    assert_eq!(refusal(&lines.bytes()).supported_versions().collect::<Vec<_>>(), [13, 8, 7]);
    let refusal = refusal(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(refusal.supported_versions().count(), 0);
}

#[test]
fn an_extension_may_be_required() {
    // conf: CR-21
    let strict = client().require_extension(&extension("x-a")).extension(&extension("x-b"));
    for lines in [answer(), answer().add("Sec-WebSocket-Extensions: x-b")] {
        let error = failed(&strict, &lines.bytes());
        assert!(matches!(error, ResponseError::ExtensionMissing(ref name) if name.to_string() == "\"x-a\""));
    }
    opened(&strict, &answer().add("Sec-WebSocket-Extensions: x-b, x-a; p"));
}

#[test]
fn bytes_of_the_server_are_shown_escaped() {
    // conf: SA-12
    for line in [
        "Sec-WebSocket-Extensions: x'`",
        "Sec-WebSocket-Protocol: \x1b\u{202e}",
        "Sec-WebSocket-Protocol: x|y",
        "X: \x1b",
        "\x1b: x",
    ] {
        let error = failed(&client(), &answer().add(line).bytes());
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}");
        }
    }
}

#[test]
fn the_response_has_a_deadline() {
    // conf: SQ-28
    let second = Duration::from_secs(1);
    let new = || {
        let limits = HandshakeLimits::default().timeout(second * 2);
        start(&client().limits(limits))
    };
    assert_eq!(new().poll_timeout(), Some(NOW + second * 2));
    assert_eq!(start(&client()).poll_timeout(), Some(NOW + second * 10));
    let Ok(ClientStep::NeedMore(early)) = new().handle_timeout(NOW + second) else { panic!() };
    assert_eq!(early.handle_timeout(NOW + second * 2).unwrap_err(), ResponseError::TimedOut);
    assert_eq!(new().receive(NOW + second * 2, b"HTTP").unwrap_err(), ResponseError::TimedOut);
    assert!(matches!(new().receive(NOW + second * 2, &answer().bytes()), Ok(ClientStep::Open { .. })));
}
