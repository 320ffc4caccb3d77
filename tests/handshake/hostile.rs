//! Inputs made to hurt: random changes, lists without end, one byte at a time.

use core::time::Duration;
use std::time::Instant;

use proptest::prelude::*;
use sansocket::handshake::{Acceptance, Extensions, HandshakeLimits, RequestError, Response, ResponseError};

use crate::naive_head;
use crate::support::*;

/// A valid head with random bytes exchanged, inserted or removed.
fn mutated(base: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let edit = (
        0..base.len(),
        0..4u8,
        prop_oneof![any::<u8>(), prop::sample::select(b"\r\n\t ,;:=\"\\/\0G1".to_vec())],
    );
    prop::collection::vec(edit, 0..6).prop_map(move |edits| {
        let mut bytes = base.clone();
        for (at, kind, byte) in edits {
            if bytes.len() < 2 {
                break;
            }
            let at = at.min(bytes.len() - 1);
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    })
}

fn full_request() -> Vec<u8> {
    Lines::request()
        .add("Sec-WebSocket-Protocol: chat, superchat")
        .add("Sec-WebSocket-Extensions: x-a; p=\"1\", x-b")
        .add("Origin: https://app.example")
        .bytes()
}

fn full_response() -> Vec<u8> {
    answer().add("Sec-WebSocket-Protocol: chat").add("Sec-WebSocket-Extensions: x-a; p=\"1\"").bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn a_server_gives_one_verdict_however_the_request_is_cut(bytes in mutated(full_request())) {
        // conf: SQ-25
        match serve(&bytes) {
            Served::Request(request, rest) => {
                // The naive parser reads the same.
                let naive = naive_head::request(&bytes).unwrap().unwrap();
                prop_assert_eq!(&bytes[naive.len..], &rest[..]);
                let head = request.head();
                prop_assert_eq!(&naive.first[..2], [head.method().as_bytes(), head.target().as_bytes()]);
                prop_assert!(head.headers().eq(naive.borrowed()));
                let mut out = Vec::new();
                request.accept(&Acceptance::new(), &mut out).unwrap();
                prop_assert_eq!(ParsedResponse::parse(&out).status, 101);
            }
            Served::Refused(refused) => {
                let is_head = !matches!(refused.error(), RequestError::Head(_)) && refused.error().status() != 505;
                if let Some(naive) = naive_head::request(&bytes) {
                    let known = naive.is_ok() || matches!(refused.error(), RequestError::HttpVersion { .. });
                    prop_assert_eq!(is_head, known, "{:?}", refused);
                }
                let mut out = Vec::new();
                refused.write_response(&mut out).unwrap();
                prop_assert_eq!(ParsedResponse::parse(&out).status, refused.error().status());
                let mut out = Vec::new();
                refused.respond(&Response::new(404), &mut out).unwrap();
            }
            Served::NeedMore => {}
        }
    }

    #[test]
    fn a_client_gives_one_verdict_however_the_response_is_cut(bytes in mutated(full_response())) {
        // conf: CR-18
        let request = client().subprotocol("chat").extension(&"x-a".parse().unwrap());
        match (connect(&request, &bytes), naive_head::response(&bytes)) {
            (Connected::Open(opened, rest), Some(Ok(naive))) => {
                prop_assert_eq!(&bytes[naive.len..], &rest[..]);
                prop_assert!(opened.response().headers().eq(naive.borrowed()));
            }
            (Connected::Error(ResponseError::Head(_)), None | Some(Err(()))) => {}
            (Connected::Error(ResponseError::Head(_)) | Connected::Open(..), naive) => prop_assert!(false, "{:?}", naive),
            (Connected::Error(_) | Connected::Refused(_), naive) => prop_assert!(naive.is_some_and(|naive| naive.is_ok())),
            (Connected::NeedMore, naive) => prop_assert!(naive.is_none_or(|naive| naive.is_ok())),
        }
    }

    #[test]
    fn a_client_reads_any_refusal(
        body in mutated(b"5\r\nhello\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n".to_vec()),
        framing in prop::sample::select(vec!["Transfer-Encoding: chunked", "Content-Length: 12", "X: y"]),
    ) {
        // conf: CR-01
        let bytes = [&Lines::of(&["HTTP/1.1 500 Oh", framing]).bytes()[..], &body].concat();
        prop_assert!(matches!(connect(&client(), &bytes), Connected::Refused(_) | Connected::NeedMore));
    }

    #[test]
    fn random_bytes_are_never_a_request(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        // conf: SQ-26
        prop_assert!(!matches!(serve(&bytes), Served::Request(..)));
        let connected = connect(&client(), &bytes);
        prop_assert!(matches!(connected, Connected::NeedMore | Connected::Error(_)));
    }

    #[test]
    fn lists_of_extensions_are_stable(line in "([a-c]{1,2}|[;,=\"\\\\ \t]){0,20}") {
        // conf: EX-01 EX-02 EX-08
        if let Ok(list) = Extensions::parse([line.as_bytes()]) {
            prop_assert!(list.as_str().len() <= 2 * line.len());
            let again = Extensions::parse([list.as_str().as_bytes()]).unwrap();
            prop_assert_eq!(&again, &list);
            for extension in list.iter() {
                prop_assert_eq!(&extension.to_string().parse::<sansocket::handshake::Extension<'_>>().unwrap(), &extension);
                for (name, value) in extension.params() {
                    prop_assert!(!name.is_empty() && value != Some(""));
                }
            }
        }
    }
}

/// So much input that linear work takes a fraction of a second and quadratic work minutes: the bound lies so far from
/// both that the load of the machine does not matter.
fn assert_linear(name: &str, work: impl Fn(usize)) {
    let started = Instant::now();
    work(50);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(60), "{name}: {took:?}");
}

#[test]
fn a_head_costs_linear_time_byte_by_byte() {
    // conf: SQ-25 CR-18
    let limits = HandshakeLimits::default().max_head_bytes(usize::MAX).max_headers(usize::MAX);
    assert_linear("one long header", |n| {
        let bytes = Lines::request().add(format!("X: {}", "x".repeat(n * 20_000))).bytes();
        assert!(matches!(serve_pieces(limits, bytes.chunks(1)), Served::Request(..)));
    });
    assert_linear("many headers", |n| {
        let bytes = [Lines::request().bytes(), b"".to_vec()].concat();
        let bytes = [&bytes[..bytes.len() - 2], &b"X: y\r\n".repeat(n * 3_000)[..], b"\r\n"].concat();
        assert!(matches!(serve_pieces(limits, bytes.chunks(1)), Served::Request(..)));
    });
    assert_linear("a response", |n| {
        let bytes = answer().add(format!("X: {}", "x".repeat(n * 20_000))).bytes();
        assert!(matches!(connect_pieces(&client().limits(limits), bytes.chunks(1)), Connected::Open(..)));
    });
}

#[test]
fn hostile_lists_cost_linear_time() {
    // conf: EX-08
    let parse = |text: &str| drop(Extensions::parse([text.as_bytes()]));
    for (name, unit) in [
        ("commas", ","),
        ("blanks", " "),
        ("tabs", "\t"),
        ("semicolons", ";"),
        ("quotes", "\""),
        ("backslashes", "\\c"),
        ("names", "a,"),
        ("params", "a;b,"),
        ("blanks and commas", " , "),
        ("constructor", "constructor,__proto__,"),
    ] {
        assert_linear(name, |n| parse(&unit.repeat(n * 4096)));
        assert_linear(name, |n| parse(&format!("a; b=\"{}", unit.repeat(n * 4096))));
        assert_linear(name, |n| parse(&format!("a{}b", unit.repeat(n * 4096))));
    }
    // In a request, with as much as the default limits let in.
    for unit in [",", " ", "\\c", "\"", "a,", ";", "\t,", "a;b=\"c\","] {
        for name in [
            "Sec-WebSocket-Extensions",
            "Sec-WebSocket-Protocol",
            "Connection",
            "Upgrade",
            "Sec-WebSocket-Version",
        ] {
            let bytes =
                Lines::request().add(format!("{name}: a;b=\"{}", unit.repeat(8192 / unit.len()))).bytes();
            // It ends, one way or the other.
            let _ = serve_pieces(HandshakeLimits::default(), [&bytes[..]]);
        }
    }
    let limits = HandshakeLimits::default().max_head_bytes(usize::MAX);
    assert_linear("different subprotocols", |n| {
        let names: Vec<_> = (0..n * 1000).map(|name| name.to_string()).collect();
        let bytes = Lines::request().add(format!("Sec-WebSocket-Protocol: {}", names.join(","))).bytes();
        assert!(matches!(serve_pieces(limits, [&bytes[..]]), Served::Request(..)));
    });
}
