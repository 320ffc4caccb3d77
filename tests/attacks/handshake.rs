//! Attacks by the opening handshake, on servers and clients.

use core::time::Duration;

use sansocket::WebSocketUri;
use sansocket::handshake::{
    Acceptance, ClientRequest, Extension, Extensions, HandshakeLimits, Offer, RequestError, Response,
    ServerHandshake, ServerStep,
};

use crate::http::{
    Connected, FRAME, Lines, NONCE, NOW, ParsedResponse, Served, answer, client, connect, connect_pieces,
    failed, refused, request, serve, serve_pieces, start,
};
use crate::meter::{assert_linear, cost};

fn unlimited() -> HandshakeLimits {
    HandshakeLimits::default().max_head_bytes(usize::MAX).max_headers(usize::MAX)
}

/// tungstenite parsed the whole head again for each read: a long one in small pieces took minutes.
// conf: SQ-24 SQ-25 CR-18
#[test]
fn cve_2023_43669_a_head_is_read_once() {
    assert_linear("a request", 20_000, |len| {
        let bytes = Lines::request().add(format!("X: {}", "x".repeat(len))).bytes();
        assert!(matches!(serve_pieces(unlimited(), bytes.chunks(1)), Served::Request(..)));
    });
    assert_linear("a response", 20_000, |len| {
        let bytes = answer().add(format!("X: {}", "x".repeat(len))).bytes();
        assert!(matches!(
            connect_pieces(&client().limits(unlimited()), bytes.chunks(1)),
            Connected::Open(..)
        ));
    });
    // By default neither is read any further than 16 KiB, nor is more kept.
    let (head, piece) = (Lines::request().add("X: ").bytes(), [b'x'; 100]);
    let (given, cost) = cost(|| {
        let step =
            ServerHandshake::new(HandshakeLimits::default(), NOW).receive(NOW, &head[..head.len() - 4]);
        let Ok(ServerStep::NeedMore(mut handshake)) = step else { panic!("{step:?}") };
        for given in 1.. {
            match handshake.receive(NOW, &piece) {
                Ok(ServerStep::NeedMore(next)) => handshake = next,
                Ok(other) => panic!("{other:?}"),
                Err(refused) => {
                    assert_eq!(refused.error().status(), 431);
                    return 100 * given;
                }
            }
        }
        unreachable!()
    });
    assert!((15 << 10..=17 << 10).contains(&given), "{given}");
    assert!(cost.peak <= 48 << 10 && cost.requested <= 96 << 10, "{cost:?}");
}

/// More headers than node's HTTP parser kept made `ws` look for one that was gone, and crash.
// conf: SQ-24
#[test]
fn cve_2024_37890_many_headers_are_refused() {
    let mut lines = Lines::request();
    for count in 0..2000 {
        lines = lines.add(format!("h{count}: x"));
    }
    assert!(matches!(refused(&lines.bytes(), 431).0, RequestError::Head(_)));
    // The header that is looked for stands behind all the others, at the limit and one beyond it.
    for (count, is_served) in [(95, true), (96, true), (97, false)] {
        let mut lines = Lines::request().without("Upgrade");
        for count in 0..count - 1 {
            lines = lines.add(format!("h{count}: x"));
        }
        let served = serve_pieces(HandshakeLimits::default(), [&lines.add("Upgrade: websocket").bytes()[..]]);
        assert_eq!(matches!(served, Served::Request(..)), is_served, "{count}");
    }
}

/// aiohttp skipped the body of a request for an upgrade and took it for the next request, which no proxy had seen.
// conf: SQ-22
#[test]
fn cve_2026_69243_a_request_with_a_body_is_refused() {
    let smuggled = b"GET /admin HTTP/1.1\r\nHost: server.example.com\r\n\r\n";
    for line in [
        format!("Content-Length: {}", smuggled.len()),
        "Content-Length: 1".into(),
        "Transfer-Encoding: chunked".into(),
        "Transfer-Encoding: identity".into(),
        "Transfer-Encoding: \tchunked".into(),
    ] {
        let bytes = [&Lines::request().add(line).bytes()[..], smuggled].concat();
        let (_, response) = refused(&bytes, 400);
        assert_eq!(response.all("connection"), ["close"]);
    }
    for line in ["Content-Length: 0\r\nContent-Length: 5", "Content-Length: 0\r\nTransfer-Encoding: chunked"]
    {
        refused(&Lines::request().add(line).bytes(), 400);
    }
    request(&Lines::request().add("Content-Length: 0"));
}

/// hyper read a length with a sign, which proxies before it did not.
// conf: SQ-22 CR-17
#[test]
fn cve_2021_32715_a_length_has_digits_and_no_sign() {
    for length in ["+0", "-0", "0x0", "0.0", "0 0", "0;", "\u{660}", "+", "18446744073709551616"] {
        let line = format!("Content-Length: {length}");
        refused(&Lines::request().add(&line).bytes(), 400);
        // No length means anything in a 101; a refusal is over when its length cannot be read.
        let bytes = [&answer().add(&line).bytes()[..], FRAME].concat();
        assert!(matches!(connect(&client(), &bytes), Connected::Open(_, rest) if rest == FRAME));
        if length != "18446744073709551616" {
            let refusal = Lines::of(&["HTTP/1.1 403 Forbidden", &line]).bytes();
            let connected = connect(&client(), &refusal);
            assert!(matches!(connected, Connected::Refused(refusal) if !refusal.is_complete()), "{length}");
        }
    }
    request(&Lines::request().add("Content-Length: 0"));
}

/// hyper let the size of a chunk overflow, h11 took any two bytes for the end of one: what stood behind was read as another
/// message. Here chunks are in the bodies of refusals only, which end at what is no chunk.
// conf: CR-01
#[test]
fn cve_2021_32714_and_cve_2025_43859_chunks_end_where_they_say() {
    let refusal = |body: &str| {
        let head = Lines::of(&["HTTP/1.1 403 Forbidden", "Transfer-Encoding: chunked"]).bytes();
        let bytes = [&head, body.as_bytes()].concat();
        let whole = connect(&client(), &bytes);
        assert_eq!(connect_pieces(&client(), bytes.chunks(1)), whole);
        match whole {
            Connected::Refused(refusal) => (refusal.body().to_vec(), refusal.is_complete()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refusal("5\r\nhello\r\n0\r\n\r\n"), (b"hello".to_vec(), true));
    for size in ["10000000000000005", "f0000000000000005", "00000000000000005"] {
        assert_eq!(refusal(&format!("{size}\r\nhello\r\n0\r\n\r\n")), (b"".to_vec(), false), "{size}");
    }
    for end in ["XX", "X\n", " \n", "\n", "\n\n", "\r\r\n", "\n\r", "", "\rX"] {
        let (body, complete) = refusal(&format!("5\r\nhello{end}0\r\n\r\n"));
        assert_eq!((&body[..], complete), (&b"hello"[..], false), "{end:?}");
    }
    for end in ["\n", "\r\r\n", ";a\n", " \n", ";\r;\n"] {
        assert_eq!(refusal(&format!("5{end}hello\r\n0\r\n\r\n")), (b"".to_vec(), false), "{end:?}");
    }
    // An extension without end is no way to be read from for ever.
    assert_eq!(refusal(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(4000))), (b"hello".to_vec(), true));
    assert_eq!(refusal(&format!("5;{}", "x".repeat(4097))), (b"".to_vec(), false));
}

/// libsoup read a name with a NUL at its end as the name without it, other software as another name.
// conf: SQ-19 SQ-21 CR-14
#[test]
fn cve_2024_52530_a_nul_ends_no_header_name() {
    for name in
        ["Transfer-Encoding", "Content-Length", "Upgrade", "Connection", "Sec-WebSocket-Key", "Host", "X"]
    {
        for bad in [format!("{name}\0"), format!("\0{name}"), format!("{name}\0\0 "), format!("{name}\x7F")] {
            let line = format!("{bad}: 0");
            refused(&Lines::request().add(&line).bytes(), 400);
            failed(&client(), &answer().add(&line).bytes());
        }
    }
}

/// uvicorn wrote what a client sent to its log, escape sequences and line breaks and all.
// conf: SA-12
#[test]
fn cve_2020_7694_what_a_peer_sent_is_shown_escaped() {
    let evil = "\x1b[31m\u{9b}0m\u{2028}\u{202e}";
    let is_plain = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    for name in ["Sec-WebSocket-Version", "Sec-WebSocket-Key", "Upgrade", "Connection", "Host"] {
        let Served::Refused(refused) = serve(&Lines::request().set(name, evil).bytes()) else {
            panic!("{name}")
        };
        let shown = format!("{refused:?} {} {:?}", refused.error(), refused.error());
        assert!(is_plain(&shown), "{name}: {shown}");
    }
    let answers = ["Sec-WebSocket-Accept", "Upgrade", "Connection"].map(|name| answer().set(name, evil));
    let more = ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"].map(|name| format!("{name}: {evil}"));
    for lines in answers.into_iter().chain(more.map(|line| answer().add(line))) {
        let error = failed(&client(), &lines.bytes());
        let shown = format!("{error} {error:?}");
        assert!(is_plain(&shown), "{shown}");
    }
    let refusal = [
        &Lines::of(&["HTTP/1.1 403 No", "Content-Length: 5"]).add("X: \u{9b}0m\u{202e}").bytes()[..],
        b"\x1b[31m",
    ]
    .concat();
    let Connected::Refused(refusal) = connect(&client(), &refusal) else { panic!("not refused") };
    assert!(is_plain(&format!("{refusal:?}")), "{refusal:?}");
    // The reason of a Close frame, in whatever shows how a connection ended.
    let mut connection = crate::support::connection(sansocket::Role::Server, sansocket::Config::new());
    let mut close = crate::support::wire::close(sansocket::Role::Server, 1000, "\x1b[31m\r\nOK\u{9b}");
    let mut input = sansocket::Input::new(&mut close);
    connection.receive(NOW, &mut input, &mut Vec::new()).unwrap();
    let summary = connection.summary().unwrap();
    for shown in [summary.to_string(), format!("{summary:?}")] {
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
}

/// Pingora switched to the new protocol before the other side had agreed, and passed on what stood behind the request.
// conf: SQ-27 CR-16
#[test]
fn cve_2026_2833_nothing_counts_before_the_answer() {
    let behind = b"GET /admin HTTP/1.1\r\nHost: server.example.com\r\n\r\n";
    let bytes = [&Lines::request().bytes()[..], behind].concat();
    // The server gives what follows back unread; a request that is rejected gets one answer, which closes.
    let Served::Request(request, rest) = serve(&bytes) else { panic!("not served") };
    assert_eq!(rest, behind);
    let mut out = Vec::new();
    request.reject(&Response::new(403), &mut out).unwrap();
    let response = ParsedResponse::parse(&out);
    assert_eq!((response.status, response.all("connection")), (403, vec!["close"]));
    // For a client bytes before the answer are no answer, and frames behind another answer are no frames.
    let open = answer().bytes();
    for before in [&b"\x81\x02Hi"[..], b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0", b" "] {
        failed(&client(), &[before, &open].concat());
    }
    let refusal = Lines::of(&["HTTP/1.1 403 Forbidden", "Content-Length: 0"]).bytes();
    let connected = connect(&client(), &[&refusal[..], FRAME].concat());
    assert!(matches!(connected, Connected::Refused(refusal) if refusal.body().is_empty()));
    assert!(
        matches!(connect(&client(), &[&open[..], FRAME].concat()), Connected::Open(_, rest) if rest == FRAME)
    );
}

/// Envoy took a 200 for an upgrade.
// conf: CR-01
#[test]
fn cve_2024_23326_only_101_opens() {
    for status in (200..=999).chain([100, 102, 103]) {
        let bytes = answer().first(format!("HTTP/1.1 {status} Switching Protocols")).bytes();
        let glued = [&bytes[..], FRAME].concat();
        for pieces in [vec![&bytes[..]], vec![&glued[..]], bytes.chunks(1).collect()] {
            let connected = connect_pieces(&client(), pieces);
            assert!(!matches!(connected, Connected::Open(..)), "{status}");
        }
    }
    for first in
        ["HTTP/1.1 0101 OK", "HTTP/1.1 1010 OK", "HTTP/1.1 10 OK", "HTTP/1.1 +101 OK", "HTTP/1.0 101 OK"]
    {
        failed(&client(), &answer().first(first).bytes());
    }
}

/// undici wrote CR and LF of an option into the head.
// conf: CQ-12
#[test]
fn cve_2026_1527_line_breaks_do_not_get_into_a_head() {
    for end in ["\r\n", "\n", "\r", "\0", "\r\n ", "\u{85}\r\n"] {
        let evil = format!("x{end}Evil: 1");
        let requests = [
            client().header("X", &evil),
            client().header(&evil, "x"),
            client().header("Cookie", &evil),
            client().origin(&evil),
            client().subprotocol(evil.clone()),
        ];
        for request in requests {
            let mut out = Vec::new();
            assert!(request.start(NONCE, NOW, &mut out).is_err(), "{request:?}");
            assert!(out.is_empty());
        }
        for text in [format!("ws://a/{evil}"), format!("ws://{evil}/"), format!("ws://a/?{evil}")] {
            assert!(WebSocketUri::parse(&text).is_err(), "{text:?}");
        }
        assert!(Extension::new(&evil).is_err());
        assert!(Extension::new("x").unwrap().with_flag(&evil).is_err());
        assert!(Extension::new("x").unwrap().with_param("p", &evil).is_err());
        for acceptance in [
            Acceptance::new().header("X", &evil),
            Acceptance::new().header(&evil, "x"),
            Acceptance::new().subprotocol(&evil[..]),
        ] {
            let mut out = Vec::new();
            request(&Lines::request()).accept(&acceptance, &mut out).unwrap_err();
            assert!(out.is_empty());
        }
        for response in [Response::new(403).header("X", &evil), Response::new(403).header(&evil, "x")] {
            let mut out = Vec::new();
            request(&Lines::request()).reject(&response, &mut out).unwrap_err();
            assert!(out.is_empty());
        }
    }
    // The key of the peer goes through SHA-1; nothing else of a request is written back.
    let evil = Lines::request().set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==\rEvil: 1");
    refused(&evil.bytes(), 400);
}

/// websocket-extensions took quadratic time for a string that does not end, `ws` for spaces inside a subprotocol.
// conf: EX-08
#[test]
fn cve_2020_7662_and_cve_2021_32640_lists_cost_their_length() {
    for part in ["\\c", "\\\\", " ", "\t", "x", "\"", ";", ",", ";a", ",a", ";a=b", "; ", "=", "a, ", "é"] {
        for start in ["a; b=\"", "a", "b", ""] {
            for end in ["", "x", "\""] {
                assert_linear("a list of extensions", 1_000, |count| {
                    let line = [start, &part.repeat(count), end].concat();
                    _ = Extensions::parse([line.as_bytes()]);
                });
            }
        }
    }
    for part in [" ", "\t", ",", "b,", "b ", ", ,"] {
        assert_linear("a list of subprotocols", 1_000, |count| {
            let line = format!("b{}x", part.repeat(count));
            let headers =
                [("sec-websocket-version", &b"13"[..]), ("sec-websocket-protocol", line.as_bytes())];
            _ = Offer::from_headers(headers);
            let bytes = Lines::request().add(format!("Sec-WebSocket-Protocol: {line}")).bytes();
            _ = serve_pieces(unlimited(), [&bytes[..]]);
        });
    }
    // Different ones, each compared with all before it.
    assert_linear("many subprotocols", 300, |count| {
        let line = (0..count).map(|at| format!("p{at}")).collect::<Vec<_>>().join(",");
        let bytes = Lines::request().add(format!("Sec-WebSocket-Protocol: {line}")).bytes();
        assert!(matches!(serve_pieces(unlimited(), [&bytes[..]]), Served::Request(..)));
    });
}

/// Granian panicked at bytes beyond ASCII in this header.
// conf: SQ-29
#[test]
fn bytes_beyond_ascii_in_any_header_are_refused_or_kept() {
    for bytes in [&b"\xFF"[..], b"\xC3\xA9", b"a\x80b", b"\xED\xA0\x80", b"\xF4\x90\x80\x80"] {
        for name in ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Origin"] {
            refused(&Lines::request().add([name.as_bytes(), b": ", bytes].concat()).bytes(), 400);
        }
        for name in ["Sec-WebSocket-Key", "Sec-WebSocket-Version", "Host", "Upgrade", "Connection"] {
            let served = serve(&Lines::request().set(name, bytes).bytes());
            assert!(matches!(served, Served::Refused(_)), "{name}");
        }
        let kept = request(&Lines::request().add([&b"X: "[..], bytes].concat()));
        assert_eq!(kept.head().header("x"), Some(bytes));
    }
}

/// A byte now and then does not make the time longer.
// conf: SQ-28
#[test]
fn slow_handshakes_end_in_time() {
    let bytes = Lines::request().add(format!("X: {}", "x".repeat(1000))).bytes();
    let mut handshake = ServerHandshake::new(HandshakeLimits::default(), NOW);
    let mut now = NOW;
    let mut trickle = bytes.iter();
    let refused = loop {
        assert_eq!(handshake.poll_timeout(), Some(NOW + Duration::from_secs(10)));
        now += Duration::from_millis(500);
        handshake = match handshake.handle_timeout(now) {
            Ok(next) => next,
            Err(refused) => break refused,
        };
        match handshake.receive(now, core::slice::from_ref(trickle.next().unwrap())) {
            Ok(ServerStep::NeedMore(next)) => handshake = next,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((refused.error().status(), now), (408, NOW + Duration::from_secs(10)));

    let mut handshake = start(&client());
    let mut now = NOW;
    for byte in answer().add(format!("X: {}", "x".repeat(1000))).bytes() {
        now += Duration::from_millis(500);
        handshake = match handshake.handle_timeout(now) {
            Ok(sansocket::handshake::ClientStep::NeedMore(next)) => next,
            Ok(other) => panic!("{other:?}"),
            Err(_) => break,
        };
        match handshake.receive(now, &[byte]) {
            Ok(sansocket::handshake::ClientStep::NeedMore(next)) => handshake = next,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(now, NOW + Duration::from_secs(10));
}

/// The most that a client keeps of an answer without end, whatever its form.
// conf: CR-18
#[test]
fn answers_without_end_are_kept_up_to_the_limits() {
    let uri = || WebSocketUri::parse("ws://a/").unwrap();
    for head in [
        &b"HTTP/1.1 500 No\r\n\r\n"[..],
        b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 18446744073709551615\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nX: ",
    ] {
        let (ended, cost) = cost(|| {
            let mut handshake = ClientRequest::new(uri()).start(NONCE, NOW, &mut Vec::new()).unwrap();
            for _ in 0..2000 {
                handshake = match handshake.receive(NOW, head) {
                    Ok(sansocket::handshake::ClientStep::NeedMore(next)) => next,
                    _ => return true,
                };
                handshake = match handshake.receive(NOW, &[b'x'; 200]) {
                    Ok(sansocket::handshake::ClientStep::NeedMore(next)) => next,
                    _ => return true,
                };
            }
            false
        });
        assert!(ended, "still waiting after 400 kB behind {}", head.escape_ascii());
        assert!(cost.peak <= 256 << 10, "{cost:?} for {}", head.escape_ascii());
    }
}
