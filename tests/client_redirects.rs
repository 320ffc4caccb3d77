//! Redirects: followed on request only, bounded, without credentials to others.
#![cfg(all(feature = "rand", feature = "tokio"))]

mod client_support;

use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use client_support::{answer, connect_error, echo, listen, read_head, run};
use sansocket::blocking::{self, Error, HandshakeError};
use sansocket::client::{ConnectError, RedirectError};
use sansocket::tokio as ws_tokio;

fn redirect_to(status: &str, location: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 4\r\n\r\nmove")
        .into_bytes()
}

/// Answers one connection after the other, then echoes on the last if `then_echo`; the requests.
fn answers(listener: TcpListener, responses: Vec<Vec<u8>>, then_echo: bool) -> JoinHandle<Vec<String>> {
    thread::spawn(move || {
        let mut heads = Vec::new();
        for response in responses {
            heads.push(answer(listener.accept().unwrap().0, &response));
        }
        if then_echo {
            let (stream, _) = listener.accept().unwrap();
            let mut peeked = vec![0; 4096];
            let len = loop {
                let len = stream.peek(&mut peeked).unwrap();
                if peeked[..len].ends_with(b"\r\n\r\n") {
                    break len;
                }
            };
            heads.push(read_head(&mut &peeked[..len]));
            echo(stream).unwrap();
        }
        heads
    })
}

#[test]
fn a_redirect_is_a_refusal_unless_it_was_asked_for() {
    for status in ["301", "401", "404"] {
        let (listener, port) = listen();
        let server = answers(listener, vec![redirect_to(status, "/b")], false);
        let connector = blocking::Connector::new(format!("ws://127.0.0.1:{port}/"));
        let connector = if status == "301" { connector } else { connector.redirects(3) };
        match connector.connect() {
            Err(Error::Handshake(error)) => match *error {
                HandshakeError::Refusal(refusal) => {
                    assert_eq!(refusal.head().status().to_string(), status);
                    assert_eq!((refusal.location(), refusal.body()), (Some("/b"), &b"move"[..]));
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
        server.join().unwrap();
    }
}

#[test]
fn redirects_are_followed_over_both_adapters() {
    for over_tokio in [false, true] {
        let (listener, port) = listen();
        let responses = [
            redirect_to("301", "b/c?d"),
            redirect_to("302", &format!("http://127.0.0.1:{port}/x")),
            redirect_to("303", "?y"),
            redirect_to("307", "/z#top"),
            redirect_to("308", "//127.0.0.1/"), // another port, which the next line keeps out
        ];
        let server = answers(listener, responses[..4].to_vec(), true);
        let url = format!("ws://127.0.0.1:{port}/a");
        if over_tokio {
            let connector = ws_tokio::Connector::new(url).header("Authorization", "secret").redirects(4);
            run(async { hello!(connector.connect().await.unwrap(), await) });
        } else {
            let connector = blocking::Connector::new(url).header("Authorization", "secret").redirects(4);
            hello!(connector.connect().unwrap());
        }
        let heads = server.join().unwrap();
        let lines: Vec<_> = heads.iter().map(|head| head.lines().next().unwrap()).collect();
        assert_eq!(lines, ["/a", "/b/c?d", "/x", "/x?y", "/z"].map(|path| format!("GET {path} HTTP/1.1")));
        assert!(heads.iter().all(|head| head.contains("Authorization: secret")), "one origin");
        let keys =
            |head: &String| head.lines().find(|line| line.starts_with("Sec-WebSocket-Key")).map(String::from);
        let mut keys: Vec<_> = heads.iter().map(keys).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 5, "each request has a nonce of its own");
    }
}

#[test]
fn other_origins_get_no_credentials_and_nobody_gets_them_back() {
    let ((one, port), (other, other_port)) = (listen(), listen());
    let first = answers(one, vec![redirect_to("302", &format!("http://127.0.0.1:{other_port}/b"))], true);
    let back = redirect_to("302", &format!("ws://127.0.0.1:{port}/c"));
    let second = answers(other, vec![back], false);
    let connector = blocking::Connector::new(format!("ws://127.0.0.1:{port}/a"))
        .header("Authorization", "secret")
        .header("cookie", "secret")
        .header("X-Api-Key", "secret")
        .header("User-Agent", "test/1")
        .host("virtual.example")
        .subprotocol("chat")
        .redirects(5);
    hello!(connector.connect().unwrap());
    let (first, second) = (first.join().unwrap(), second.join().unwrap());
    assert_eq!(first[0].matches("secret").count(), 3);
    assert!(first[0].contains("\r\nHost: virtual.example\r\n"));
    assert!(first[1].contains(&format!("\r\nHost: 127.0.0.1:{port}\r\n")));
    for head in [&second[0], &first[1]] {
        assert!(!head.contains("secret"), "{head}");
        assert!(head.contains("User-Agent: test/1\r\n") && head.contains("Sec-WebSocket-Protocol: chat\r\n"));
    }
    assert!(second[0].contains(&format!("Host: 127.0.0.1:{other_port}\r\n")));
}

fn redirect_error(responses: Vec<Vec<u8>>) -> RedirectError {
    let (listener, port) = listen();
    let server = answers(listener, responses, false);
    let connector = blocking::Connector::new(format!("ws://127.0.0.1:{port}/?token=secret")).redirects(2);
    let error = connector.connect();
    assert!(!format!("{error:?}").contains("secret"));
    server.join().unwrap();
    match connect_error(error) {
        ConnectError::Redirect(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn redirects_end() {
    let round = vec![redirect_to("302", "/"); 3];
    assert!(matches!(redirect_error(round), RedirectError::TooMany(refusal) if refusal.body() == b"move"));
    for location in ["ftp://other/", "ws://me:secret@other/", "ws://other/a\\b", ""] {
        let error = redirect_error(vec![
            redirect_to("302", location)[..].to_vec();
            if location.is_empty() { 3 } else { 1 }
        ]);
        match error {
            RedirectError::Target(refusal, Some(_)) => assert_eq!(refusal.head().status(), 302),
            RedirectError::TooMany(_) => assert_eq!(location, "", "a loop"),
            other => panic!("{other:?}"),
        }
    }
    let nowhere = b"HTTP/1.1 302 Elsewhere\r\nContent-Length: 0\r\n\r\n".to_vec();
    assert!(matches!(redirect_error(vec![nowhere]), RedirectError::Target(_, None)));
}

#[cfg(feature = "rustls")]
#[test]
fn from_wss_to_ws_only_if_it_is_allowed() {
    use client_support::tls::{Authority, server_stream};
    use std::io::Write;

    let authority = Authority::new();
    for allowed in [false, true] {
        let ((secure, port), (plain, plain_port)) = (listen(), listen());
        let config = authority.server(&["localhost"]);
        let server = thread::spawn(move || {
            let mut stream = server_stream(config, secure.accept().unwrap().0);
            let head = read_head(&mut stream);
            stream.write_all(&redirect_to("302", &format!("ws://127.0.0.1:{plain_port}/"))).unwrap();
            head
        });
        let connector = blocking::Connector::new(format!("wss://localhost:{port}/"))
            .header("Authorization", "secret")
            .tls_config(authority.client())
            .redirects(1);
        if allowed {
            let plain = answers(plain, Vec::new(), true);
            hello!(connector.insecure_redirects().connect().unwrap());
            assert!(!plain.join().unwrap()[0].contains("secret"));
        } else {
            let error = connect_error(connector.connect());
            assert!(matches!(error, ConnectError::Redirect(RedirectError::Insecure(_))), "{error:?}");
        }
        assert!(server.join().unwrap().contains("secret"));
    }
}
