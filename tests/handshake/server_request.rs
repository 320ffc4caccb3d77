//! What a server reads, and what it refuses (RFC 6455 §4.2.1, RFC 9112).

use core::time::Duration;

use sansocket::handshake::{
    HandshakeLimits, HeadError, HeadPart, RequestError, Response, ServerHandshake, ServerStep,
};

use crate::support::*;

#[test]
fn the_method_is_get() {
    // conf: SQ-01
    assert_eq!(request(&Lines::request()).head().method(), "GET");
    for method in ["POST", "HEAD", "get", "Get", "GETS", "OPTIONS", "!"] {
        let bytes = Lines::request().first(format!("{method} /chat HTTP/1.1")).bytes();
        match serve(&bytes) {
            Served::Refused(refused) => {
                let mut out = Vec::new();
                refused.write_response(&mut out).unwrap();
                let response = ParsedResponse::parse(&out);
                assert_eq!(response.status, 405, "{method}");
                assert_eq!(response.all("allow"), ["GET"]);
                // A response to HEAD has no body, whatever its length says.
                assert_eq!(response.body.is_empty(), method == "HEAD");
            }
            other => panic!("{method}: {other:?}"),
        }
    }
}

#[test]
fn http_is_1_1() {
    // conf: SQ-02
    request(&Lines::request().first("GET /chat HTTP/1.1"));
    for (version, status) in [
        ("HTTP/1.0", 400),
        ("HTTP/0.9", 400),
        ("http/1.1", 400),
        ("Http/1.1", 400),
        ("HTTP/1.10", 400),
        ("HTTP/11", 400),
        ("HTTP/1.", 400),
        ("HTTP/1", 400),
        ("HTTP/1,1", 400),
        ("HTTP 1.1", 400),
        ("HTTPS/1.1", 400),
        ("HTTP/1.1 ", 400),
        (" HTTP/1.1", 400),
        ("", 400),
        ("HTTP/1.2", 505),
        ("HTTP/1.9", 505),
        ("HTTP/2", 505),
        ("HTTP/2.0", 505),
        ("HTTP/3.1", 505),
    ] {
        refused(&Lines::request().first(format!("GET /chat {version}")).bytes(), status);
    }
    refused(b"GET /chat\r\n\r\n", 400);
}

#[test]
fn the_target_is_a_path_or_an_absolute_http_uri() {
    // conf: SQ-03
    for (target, path, query) in [
        ("/", "/", None),
        ("/chat?", "/chat", Some("")),
        ("/a/b?c=d?e", "/a/b", Some("c=d?e")),
        ("//x/y", "//x/y", None),
        ("/{a}|b", "/{a}|b", None),
        ("http://other.example/a?b", "/a", Some("b")),
        ("HTTPS://other.example:8443/a", "/a", None),
        ("ws://other.example", "/", None),
        ("wss://other.example?q", "/", Some("q")),
    ] {
        let request = request(&Lines::request().first(format!("GET {target} HTTP/1.1")));
        let head = request.head();
        assert_eq!((head.target(), head.path(), head.query()), (target, path, query));
    }
    for target in [
        "*",
        "chat",
        "server.example.com:80",
        "ftp://h/",
        "http:/h",
        "http://",
        "http:///a",
        "http://u@h/",
        "http://a b/",
        "/a b",
        "/a\tb",
        "/a\0b",
        "/a\rb",
        "/a\nb",
        "/\x7f",
        "/\u{e9}",
        "/a#b",
        "",
        "?a",
        "\\",
    ] {
        refused(&Lines::request().first(format!("GET {target} HTTP/1.1")).bytes(), 400);
    }
}

#[test]
fn there_is_one_valid_host() {
    // conf: SQ-04
    for host in ["h", "h:80", "h:", "1.2.3.4:9001", "[::1]", "[::1]:9001", "a_b.c"] {
        assert_eq!(request(&Lines::request().set("Host", host)).head().host(), host);
    }
    refused(&Lines::request().without("Host").bytes(), 400);
    refused(&Lines::request().add("Host: server.example.com").bytes(), 400);
    refused(&Lines::request().add("hOST: server.example.com").bytes(), 400);
    for host in ["", "a b", "a@b", "h, h", "h:x", "h:65536", "[::1", "::1", "a/b", "a?", "a\\b", "\u{e9}"] {
        let (error, _) = refused(&Lines::request().set("Host", host).bytes(), 400);
        assert_eq!(error, RequestError::Host, "{host}");
    }
    // RFC 9112 §3.2.2: the absolute form of the target wins, but Host is checked nevertheless.
    let absolute = Lines::request().first("GET ws://other.example:81/ HTTP/1.1");
    assert_eq!(request(&absolute).head().host(), "other.example:81");
    refused(&absolute.without("Host").bytes(), 400);
}

#[test]
fn upgrade_lists_websocket() {
    // conf: SQ-05 SA-07
    for value in [
        "websocket",
        "WebSocket",
        "WEBSOCKET",
        "h2c, websocket",
        "websocket,h2c",
        ",, websocket ,",
        "\twebsocket",
    ] {
        request(&Lines::request().set("Upgrade", value));
    }
    request(&Lines::request().set("Upgrade", "h2c").add("Upgrade: websocket"));
    for value in [
        "",
        "h2c",
        "websockets",
        "xwebsocket",
        "websocket/13",
        "web socket",
        "\"websocket\"",
        "websocket;q=1",
    ] {
        let (error, response) = refused(&Lines::request().set("Upgrade", value).bytes(), 426);
        assert_eq!(error, RequestError::NotAnUpgrade);
        assert_eq!(response.all("upgrade"), ["websocket"]);
        assert_eq!(response.all("sec-websocket-version"), ["13"]);
        assert_eq!(response.all("connection"), ["close, Upgrade"]);
    }
    refused(&Lines::request().without("Upgrade").bytes(), 426);
}

#[test]
fn an_ordinary_request_can_be_answered_as_one() {
    // conf: SQ-05
    for (first, body) in [("GET /health?x HTTP/1.1", "ok\n"), ("HEAD /health?x HTTP/1.1", "")] {
        let bytes = Lines::of(&[first, "Host: h", "Accept: */*"]).bytes();
        let Served::Refused(refused) = serve(&bytes) else { panic!("{first}") };
        let head = refused.plain_request().expect("an ordinary request");
        assert_eq!(
            (head.path(), head.query(), head.header("accept")),
            ("/health", Some("x"), Some(&b"*/*"[..]))
        );
        let mut out = Vec::new();
        refused
            .respond(&Response::new(200).header("Cache-Control", "no-store").body("ok\n"), &mut out)
            .unwrap();
        let response = ParsedResponse::parse(&out);
        assert_eq!(response.status, 200);
        assert_eq!(response.all("content-length"), ["3"]);
        assert_eq!(response.body, body.as_bytes());
    }
    // Health checks of load balancers speak HTTP/1.0, in which an Upgrade is ignored.
    for bytes in [
        &b"OPTIONS / HTTP/1.0\r\n\r\n"[..],
        b"GET / HTTP/1.0\r\nUpgrade: websocket\r\nHost:\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: h:1\r\n\r\n",
    ] {
        let Served::Refused(refused) = serve(bytes) else { panic!("{}", bytes.escape_ascii()) };
        assert_eq!(written(&refused).status, 400);
        assert_eq!(refused.plain_request().map(|head| head.path()), Some("/"));
    }
    // So do those of proxies, about the server as a whole.
    for (bytes, status) in
        [(&b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"[..], 405), (b"OPTIONS * HTTP/1.0\r\n\r\n", 400)]
    {
        // conf: SQ-03
        let Served::Refused(refused) = serve(bytes) else { panic!("{}", bytes.escape_ascii()) };
        assert_eq!(written(&refused).status, status);
        let head = refused.plain_request().expect("an ordinary request");
        assert_eq!((head.method(), head.target(), head.path(), head.query()), ("OPTIONS", "*", "*", None));
    }
    for first in ["HEAD * HTTP/1.1", "options * HTTP/1.1", "OPTIONS ** HTTP/1.1", "OPTIONS *? HTTP/1.1"] {
        refused(&Lines::of(&[first, "Host: h"]).bytes(), 400);
    }
    // A WebSocket request that is refused for another reason is none, and neither is anything unreadable.
    for bytes in [
        Lines::request().without("Connection").bytes(),
        Lines::request().first("POST / HTTP/1.1").bytes(),
        Lines::of(&["GET / HTTP/1.1", "Host: a b"]).bytes(),
        Lines::of(&["GET / HTTP/1.0", "Host: a b"]).bytes(),
        Lines::of(&["GET / HTTP/1.0", "Host: a", "Host: a"]).bytes(),
        Lines::of(&["GET / HTTP/2.0", "Host: a"]).bytes(),
        b"\x16\x03".to_vec(),
    ] {
        let Served::Refused(refused) = serve(&bytes) else { panic!("{}", bytes.escape_ascii()) };
        assert_eq!(refused.plain_request(), None);
    }
}

#[test]
fn connection_lists_upgrade() {
    // conf: SQ-06
    for value in
        ["Upgrade", "upgrade", "keep-alive, Upgrade", "UPGRADE,keep-alive", ", ,upgrade,,", "upgrade\t"]
    {
        request(&Lines::request().set("Connection", value));
    }
    request(&Lines::request().set("Connection", "keep-alive").add("Connection: x, upgrade"));
    for value in ["", "keep-alive", "xUpgrade", "Upgrader", "Upgrade keep-alive", "\"Upgrade\"", "up, grade"]
    {
        let (error, _) = refused(&Lines::request().set("Connection", value).bytes(), 400);
        assert_eq!(error, RequestError::Connection, "{value}");
    }
    refused(&Lines::request().without("Connection").bytes(), 400);
}

#[test]
fn the_key_is_16_bytes_in_base64() {
    // conf: SQ-07 SQ-08
    for key in [
        KEY,
        "AAAAAAAAAAAAAAAAAAAAAA==",
        "////////////////////+w==",
        "AQIDBAUGBwgJCgsMDQ4PEC==", // the RFC's own, with pad bits set: erratum 3150
        "  dGhlIHNhbXBsZSBub25jZQ==\t ",
    ] {
        assert_eq!(request(&Lines::request().set("Sec-WebSocket-Key", key)).key(), Some(key.trim()));
    }
    for key in [
        "",
        "AAAAAAAAAAAAAAAAAAAA",     // 15 bytes
        "AAAAAAAAAAAAAAAAAAAAAAA=", // 17 bytes
        "AAAAAAAAAAAAAAAAAAAAAAAA", // 18 bytes
        "AAAAAAAAAAAAAAAAAAAAAA",   // unpadded
        "AAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAA===",
        "AAAAAAAAAAAAAAAAAAAAA===",
        "AAAAAAAAAAAAAAAAAAAAA-==",
        "AAAAAAAAAAAAAAAAAAAAA_==",
        "AAAAAAAAAA AAAAAAAAAAA==",
        "AAAAAAAAAA=AAAAAAAAAAA==",
        "\u{e9}AAAAAAAAAAAAAAAAAAAA==",
        "\"dGhlIHNhbXBsZSBub25jZQ==\"",
    ] {
        let (error, _) = refused(&Lines::request().set("Sec-WebSocket-Key", key).bytes(), 400);
        assert_eq!(error, RequestError::Key, "{key}");
    }
    refused(&Lines::request().without("Sec-WebSocket-Key").bytes(), 400);
}

#[test]
fn the_key_occurs_once() {
    // conf: SQ-09
    refused(&Lines::request().add(format!("Sec-WebSocket-Key: {KEY}")).bytes(), 400);
    refused(&Lines::request().add("sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==").bytes(), 400);
    refused(&Lines::request().set("Sec-WebSocket-Key", format!("{KEY}, {KEY}")).bytes(), 400);
}

#[test]
fn the_version_is_13() {
    // conf: SQ-10 SA-07
    request(&Lines::request().set("Sec-WebSocket-Version", " 13 "));
    for (version, status) in [
        ("0", 426),
        ("7", 426),
        ("8", 426),
        ("12", 426),
        ("14", 426),
        ("25", 426),
        ("255", 426),
        ("256", 400),
        ("013", 400),
        ("+13", 400),
        ("-13", 400),
        ("13.0", 400),
        ("0x0d", 400),
        ("1 3", 400),
        ("", 400),
        ("00", 400),
        ("thirteen", 400),
        ("99999999999999999999", 400),
    ] {
        let (_, response) = refused(&Lines::request().set("Sec-WebSocket-Version", version).bytes(), status);
        assert_eq!(response.all("sec-websocket-version"), ["13"], "{version}");
        assert_eq!(response.all("upgrade"), ["websocket"], "{version}");
    }
    let (_, response) = refused(&Lines::request().without("Sec-WebSocket-Version").bytes(), 400);
    assert_eq!(response.all("sec-websocket-version"), ["13"]);
}

#[test]
fn the_version_occurs_once() {
    // conf: SQ-11
    refused(&Lines::request().add("Sec-WebSocket-Version: 13").bytes(), 400);
    refused(&Lines::request().add("Sec-WebSocket-Version: 8").bytes(), 400);
    refused(&Lines::request().set("Sec-WebSocket-Version", "13, 8").bytes(), 400);
    refused(&Lines::request().set("Sec-WebSocket-Version", "13,").bytes(), 400);
}

#[test]
fn the_origin_is_there_for_the_decision() {
    // conf: SQ-12 SA-08
    let with = |origin: &str| request(&Lines::request().add(format!("Origin: {origin}")));
    let absent = request(&Lines::request());
    assert_eq!(absent.origin(), None);
    assert!(!absent.origin_is_one_of(["", "null", "https://app.example"]), "absent is not a browser");
    assert_eq!(with("").origin(), Some(""));
    assert!(!with("").origin_is_one_of(["null", "https://app.example"]));
    assert_eq!(with("null").origin(), Some("null"));
    assert!(!with("null").origin_is_one_of(["https://app.example"]));
    assert!(with("null").origin_is_one_of(["null"]));
    let mixed = with("HTTPS://App.Example");
    assert_eq!(mixed.origin(), Some("https://app.example"));
    assert_eq!(mixed.head().header("origin"), Some(&b"HTTPS://App.Example"[..]));
    assert!(mixed.origin_is_one_of(["http://app.example", "https://APP.example"]));
    assert!(!mixed.origin_is_one_of(["https://app.example.evil", "https://app.exampl", "app.example"]));
    assert!(!mixed.origin_is_one_of::<&str>([]));
    refused(&Lines::request().add("Origin: a").add("Origin: a").bytes(), 400);
    refused(&Lines::request().add(b"Origin: https://\xe9").bytes(), 400);
    refused(&Lines::request().add("Origin: https://\u{e9}").bytes(), 400);
}

#[test]
fn subprotocols_are_one_list_of_tokens() {
    // conf: SQ-13 SQ-29
    let names = |lines: &Lines| request(lines).subprotocols().map(str::to_owned).collect::<Vec<_>>();
    assert!(names(&Lines::request()).is_empty());
    assert_eq!(names(&Lines::request().add("Sec-WebSocket-Protocol: chat")), ["chat"]);
    let several = Lines::request()
        .add("Sec-WebSocket-Protocol: z,, a ,\tv1.2")
        .add("X: y")
        .add("sec-websocket-protocol: A,!#$%&'*+-.^_`|~,");
    assert_eq!(names(&several), ["z", "a", "v1.2", "A", "!#$%&'*+-.^_`|~"]);
    for value in ["", ",", " , ,", "ch at", "a;b", "a=b", "\"a\"", "a/b", "(a)", "a@b", "caf\u{e9}", "a, b c"]
    {
        let (error, _) =
            refused(&Lines::request().add(format!("Sec-WebSocket-Protocol: {value}")).bytes(), 400);
        assert_eq!(error, RequestError::Subprotocols, "{value}");
    }
    refused(&Lines::request().add(b"Sec-WebSocket-Protocol: \xff").bytes(), 400);
    refused(&Lines::request().add(b"Sec-WebSocket-Extensions: \xc3\xa9").bytes(), 400);
}

#[test]
fn a_subprotocol_occurs_once() {
    // conf: SQ-14
    refused(&Lines::request().add("Sec-WebSocket-Protocol: a, b, a").bytes(), 400);
    refused(&Lines::request().add("Sec-WebSocket-Protocol: a").add("Sec-WebSocket-Protocol: a").bytes(), 400);
    request(&Lines::request().add("Sec-WebSocket-Protocol: a, A, aa"));
}

#[test]
fn other_headers_are_passed_on() {
    // conf: SQ-16
    let lines =
        Lines::request().add("X-Any:  a b \t").add(b"x-any: \xff\xe9").add("cookie:k=v").add("Empty:");
    let request = request(&lines);
    let head = request.head();
    assert_eq!(head.header("X-ANY"), Some(&b"a b"[..]));
    assert_eq!(head.header("Cookie"), Some(&b"k=v"[..]));
    assert_eq!(head.header("empty"), Some(&b""[..]));
    assert_eq!(head.header("absent"), None);
    let all: Vec<_> = head.headers().filter(|(name, _)| name.eq_ignore_ascii_case("x-any")).collect();
    assert_eq!(all, [("X-Any", &b"a b"[..]), ("x-any", &b"\xff\xe9"[..])]);
    assert!(head.header_values("x-ANY").eq([&b"a b"[..], b"\xff\xe9"]));
    assert_eq!(head.header_values("absent").count(), 0);
    // Any order and any case of names.
    let bytes =
        b"GET / HTTP/1.1\r\nSEC-WEBSOCKET-VERSION:13\r\nsec-websocket-key:dGhlIHNhbXBsZSBub25jZQ==\r\n\
        connection:upgrade\r\nupgrade:websocket\r\nhOsT:h\r\n\r\n";
    assert!(matches!(serve(bytes), Served::Request(..)));
}

fn head_error(bytes: &[u8]) -> HeadError {
    match refused(bytes, 400).0 {
        RequestError::Head(error) => error,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_part(bytes: &[u8], expected: HeadPart) {
    match head_error(bytes) {
        HeadError::Byte { byte, part } => {
            assert_eq!(part, expected, "{}", bytes.escape_ascii());
            assert!(bytes.contains(&byte), "{}", bytes.escape_ascii());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cr_stands_only_before_lf() {
    // conf: SQ-17
    for bytes in [
        &b"GET / HTTP/1.1\rHost: h\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\r\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\rX: y\r\n\r\n",
        b"\rGET / HTTP/1.1\r\n",
    ] {
        assert_part(bytes, HeadPart::LineEnd);
    }
    for bytes in [&b"GET\r / HTTP/1.1\r\n"[..], b"GET /\r HTTP/1.1\r\n", b"GET / HTTP/1\r\n"] {
        assert_part(bytes, HeadPart::RequestLine);
    }
    assert_part(b"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", HeadPart::HeaderValue);
    assert_part(b"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", HeadPart::HeaderValue);
    assert_part(b"GET / HTTP/1.1\r\nHo\rst: h\r\n\r\n", HeadPart::HeaderName);
}

#[test]
fn a_line_ends_with_cr_lf() {
    // conf: SQ-18
    assert_part(b"GET / HTTP/1.1\nHost: h\r\n\r\n", HeadPart::LineEnd);
    assert_part(b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", HeadPart::LineEnd);
    assert_part(b"GET / HTTP/1.1\r\nHost: h\r\n\n", HeadPart::LineEnd);
    assert_part(b"GET / HTTP/1.1\r\nHost\n: h\r\n\r\n", HeadPart::LineEnd);
    assert_part(b"\nGET / HTTP/1.1\r\n", HeadPart::LineEnd);
    let with_empty_line = [b"\r\n", &Lines::request().bytes()[..]].concat();
    let Served::Request(request, _) = serve(&with_empty_line) else { panic!("one empty line is skipped") };
    assert_eq!((request.head().method(), request.head().target()), ("GET", "/chat"));
    assert_part(&[b"\r\n", &with_empty_line[..]].concat(), HeadPart::RequestLine);
}

#[test]
fn a_header_name_is_a_token_before_a_colon() {
    // conf: SQ-19
    for line in [
        &b"Host : h"[..],
        b"Host\t: h",
        b": h",
        b"Ho st: h",
        b"H@st: h",
        b"H\"st: h",
        b"H(st: h",
        b"H\xe9st: h",
        b"H\0st: h",
        b"Host",
        b"H/st: h",
        b"\x80: h",
    ] {
        assert_part(&[b"GET / HTTP/1.1\r\n", line, b"\r\n\r\n"].concat(), HeadPart::HeaderName);
    }
    request(&Lines::request().add("!#$%&'*+-.^_`|~aZ09: x"));
}

#[test]
fn folded_lines_are_refused() {
    // conf: SQ-20
    for blank in ["\t", " "] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n{blank}b\r\n\r\n");
        assert_part(bytes.as_bytes(), HeadPart::HeaderName);
        assert_part(format!("GET / HTTP/1.1\r\n{blank}Host: h\r\n\r\n").as_bytes(), HeadPart::HeaderName);
    }
}

#[test]
fn a_value_has_no_control_characters_but_tabs() {
    // conf: SQ-21
    for byte in 0..=255u8 {
        let line = [b"X: a", &[byte][..], b"b"].concat();
        match byte {
            b'\t' | b' '..=b'~' | 0x80.. => {
                request(&Lines::request().add(line));
            }
            b'\r' | b'\n' => {}
            _ => assert_part(&Lines::request().add(line).bytes(), HeadPart::HeaderValue),
        }
    }
}

#[test]
fn a_body_is_refused() {
    // conf: SQ-22
    request(&Lines::request().add("Content-Length: 0"));
    for line in [
        "Content-Length: 1",
        "Content-Length: 00005",
        "Content-Length: -0",
        "Content-Length:",
        "Content-Length: 0, 5",
        "Content-Length: x",
        "content-length: 8",
        "Transfer-Encoding: chunked",
        "transfer-encoding: identity",
        "Transfer-Encoding:",
    ] {
        assert_eq!(refused(&Lines::request().add(line).bytes(), 400).0, RequestError::Body, "{line}");
    }
    refused(&Lines::request().add("Content-Length: 0").add("Content-Length: 3").bytes(), 400);
}

#[test]
fn an_expectation_is_refused() {
    // conf: SQ-23
    refused(&Lines::request().add("Expect: 100-continue").bytes(), 417);
    refused(&Lines::request().add("expect: 100-Continue").bytes(), 417);
}

#[test]
fn the_head_is_limited_in_bytes() {
    // conf: SQ-24
    let bytes = Lines::request().add(format!("X: {}", "x".repeat(300))).bytes();
    let limits = HandshakeLimits::default().max_head_bytes(bytes.len());
    assert!(matches!(serve_limited(limits, &bytes), Served::Request(..)));
    let limits = HandshakeLimits::default().max_head_bytes(bytes.len() - 1);
    let Served::Refused(refused) = serve_limited(limits, &bytes) else { panic!("over the limit") };
    assert_eq!(written(&refused).status, 431);

    // The default, to the byte, and nothing more is taken in.
    let endless = [b"GET / HTTP/1.1\r\nX: ", &vec![b'x'; 20_000][..]].concat();
    assert_eq!(serve_pieces(HandshakeLimits::default(), [&endless[..16384]]), Served::NeedMore);
    let Served::Refused(refused) = serve_pieces(HandshakeLimits::default(), [&endless[..16385]]) else {
        panic!("over the default limit")
    };
    assert_eq!(*refused.error(), RequestError::Head(HeadError::TooLong { limit: 16384 }));
    assert_eq!(serve_pieces(HandshakeLimits::default(), endless.chunks(1)), Served::Refused(refused));
}

#[test]
fn the_head_is_limited_in_lines_and_the_target_in_bytes() {
    // conf: SQ-24
    let with =
        |more: usize| (0..more).fold(Lines::request(), |lines, n| lines.add(format!("X{n}: y"))).bytes();
    assert!(matches!(serve(&with(95)), Served::Request(..)));
    assert_eq!(refused(&with(96), 431).0, RequestError::Head(HeadError::TooManyHeaders { limit: 100 }));
    let limits = HandshakeLimits::default().max_headers(5);
    assert!(matches!(serve_limited(limits, &with(0)), Served::Request(..)));
    let limits = HandshakeLimits::default().max_headers(4);
    assert!(matches!(serve_limited(limits, &with(0)), Served::Refused(_)));

    let to = |len: usize| Lines::request().first(format!("GET /{} HTTP/1.1", "x".repeat(len - 1))).bytes();
    assert!(matches!(serve(&to(8192)), Served::Request(..)));
    assert_eq!(refused(&to(8193), 414).0, RequestError::Head(HeadError::TargetTooLong { limit: 8192 }));
    let limits = HandshakeLimits::default().max_target_bytes(10);
    assert!(matches!(serve_limited(limits, &to(10)), Served::Request(..)));
    assert!(matches!(serve_limited(limits, &to(11)), Served::Refused(_)));
}

#[test]
fn what_cannot_begin_a_request_is_refused_early() {
    // conf: SQ-26
    assert_part(b"\x16\x03\x01\x02\x00\x01\x00\x01", HeadPart::RequestLine); // a TLS hello
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(refused(preface, 505).0, RequestError::HttpVersion { major: 2, minor: 0 });
    assert_part(b"SSH-2.0-OpenSSH_9.9\r\n", HeadPart::RequestLine);
    assert_part(b"\x81\x82\x01\x02\x03\x04", HeadPart::RequestLine); // a frame
    assert_part(b" GET / HTTP/1.1\r\n", HeadPart::RequestLine);
    assert_part(&[b'A'; 100], HeadPart::RequestLine);
    assert_part(&[0; 4], HeadPart::RequestLine);
    assert_part(b"GET  / HTTP/1.1\r\n", HeadPart::RequestLine);
    assert_part(b"GET / XTTP/1.1\r\n", HeadPart::RequestLine);
    // A fault that no line end follows is seen when the bytes have doubled, and it is the same one.
    let early = head_error(b"GET / HTTP/1.1\r\nHost: h\r\nX\x01AAAAA");
    assert_eq!(early, HeadError::Byte { byte: 1, part: HeadPart::HeaderName });
    assert_eq!(head_error(b"GET / HTTP/1.1\r\nHost: h\r\nX\x01\x02\r\n\r\n"), early);
}

#[test]
fn what_follows_the_request_is_left_to_the_connection() {
    // conf: SQ-27
    let bytes = [&Lines::request().bytes()[..], FRAME, FRAME].concat();
    let Served::Request(_, rest) = serve(&bytes) else { panic!() };
    assert_eq!(rest, [FRAME, FRAME].concat());
    // Even if it looks like a second request.
    let bytes = [Lines::request().bytes(), Lines::request().bytes()].concat();
    let Served::Request(_, rest) = serve_pieces(HandshakeLimits::default(), [&bytes[..]]) else { panic!() };
    assert_eq!(rest, Lines::request().bytes());
}

#[test]
fn every_truncation_waits_and_then_fails_with_the_end_of_the_stream() {
    // conf: SQ-27 SA-12
    let bytes = Lines::request().bytes();
    for cut in 0..bytes.len() {
        let handshake = ServerHandshake::new(HandshakeLimits::default(), NOW);
        let Ok(ServerStep::NeedMore(handshake)) = handshake.receive(NOW, &bytes[..cut]) else {
            panic!("{cut}")
        };
        assert_eq!(handshake.is_idle(), cut == 0);
        let refused = handshake.handle_eof();
        assert_eq!(*refused.error(), RequestError::EndOfStream);
        assert_eq!(written(&refused).status, 400);
    }
}

#[test]
fn an_unfinished_head_has_a_deadline() {
    // conf: SQ-28
    let second = Duration::from_secs(1);
    let new = || ServerHandshake::new(HandshakeLimits::default().timeout(second * 3), NOW);
    assert_eq!(new().poll_timeout(), Some(NOW + second * 3));
    // Early calls change nothing, repeated ones neither.
    let early = new().handle_timeout(NOW).unwrap().handle_timeout(NOW + second * 2).unwrap();
    assert_eq!(early.poll_timeout(), Some(NOW + second * 3));
    let late = early.handle_timeout(NOW + second * 3).unwrap_err();
    assert_eq!(*late.error(), RequestError::TimedOut);
    assert_eq!(written(&late).status, 408);
    // A peer that drips bytes does not move it, with or without timer.
    let bytes = Lines::request().bytes();
    let mut handshake = new();
    let mut now = NOW;
    let refused = loop {
        match handshake.receive(now, &bytes[..1]) {
            Ok(ServerStep::NeedMore(next)) => handshake = next,
            other => break other,
        }
        assert_eq!(handshake.poll_timeout(), Some(NOW + second * 3));
        now += second;
    };
    assert_eq!(now, NOW + second * 3);
    assert_eq!(*refused.unwrap_err().error(), RequestError::TimedOut);
    // A request that is complete in time is judged, however late it is read; and no limit means none.
    assert!(matches!(new().receive(NOW + second * 9, &bytes), Ok(ServerStep::Request { .. })));
    assert_eq!(ServerHandshake::new(HandshakeLimits::default(), NOW).poll_timeout(), Some(NOW + second * 10));
    let unlimited = HandshakeLimits::default().timeout(Duration::MAX);
    assert_eq!(ServerHandshake::new(unlimited, Duration::ZERO).poll_timeout(), None);
    assert_eq!(ServerHandshake::new(unlimited, NOW).poll_timeout(), None);
    assert!(ServerHandshake::new(unlimited, NOW).handle_timeout(Duration::MAX).is_ok());
}
