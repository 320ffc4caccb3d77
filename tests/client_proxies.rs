//! Connections through proxies: HTTP `CONNECT`, the same inside TLS, SOCKS5, and those that do otherwise.
#![cfg(all(feature = "rand", feature = "tokio"))]

mod client_support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use client_support::{connect_error, echo, listen, read_head, relay, run, serve, timed_out_step};
use sansocket::blocking::Error;
use sansocket::client::{ConnectError, Proxy, ProxyFailure, ProxySettings, Step};
use sansocket::{CloseCode, blocking, tokio as ws_tokio};

/// What a client gets, over both adapters, from a proxy that is set up anew for each.
fn both<R: Send + 'static>(
    scheme: &str,
    url: &str,
    proxy: impl Fn(TcpStream) -> R + Clone + Send + 'static,
    mut check: impl FnMut(Result<(), Error>, R),
) {
    for over_tokio in [false, true] {
        let act = proxy.clone();
        let (port, seen) = serve(act);
        let proxy = format!("{scheme}127.0.0.1:{port}");
        let time = Duration::from_millis(400);
        let result = if over_tokio {
            run(async {
                let ws = ws_tokio::Connector::new(url).proxy(&proxy).timeout(time).connect().await?;
                hello!(ws, await);
                Ok(())
            })
        } else {
            let ws = blocking::Connector::new(url).proxy(&proxy).timeout(time).connect();
            ws.map(|ws| hello!(ws))
        };
        check(result, seen.join().unwrap());
    }
}

/// A WebSocket server for one connection.
fn server() -> (u16, JoinHandle<()>) {
    serve(|stream| echo(stream).unwrap())
}

/// A `CONNECT` proxy for one connection, to a server of its own instead of the one that was asked for.
fn connect_proxy(mut stream: TcpStream) -> String {
    let head = read_head(&mut stream);
    let (port, server) = server();
    stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n").unwrap();
    relay(stream, TcpStream::connect(("127.0.0.1", port)).unwrap());
    server.join().unwrap();
    head
}

#[test]
fn http_proxies_give_tunnels() {
    // conf: CQ-15
    let url = "ws://server.example/chat";
    both("http://me:se%20cret@", url, connect_proxy, |result, head| {
        result.unwrap();
        assert_eq!(
            head,
            "CONNECT server.example:80 HTTP/1.1\r\nHost: server.example:80\r\n\
             Proxy-Authorization: Basic bWU6c2UgY3JldA==\r\n\r\n"
        );
    });
    both("", "ws://[2001:db8::1]:81/", connect_proxy, |result, head| {
        result.unwrap();
        assert!(
            head.starts_with("CONNECT [2001:db8::1]:81 HTTP/1.1\r\nHost: [2001:db8::1]:81\r\n\r\n"),
            "{head}"
        );
    });
}

/// A SOCKS5 proxy with authentication for one connection; what it was told.
fn socks_proxy(mut stream: TcpStream) -> (Vec<u8>, Vec<u8>) {
    let read = |stream: &mut TcpStream, len: usize| {
        let mut bytes = vec![0; len];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(read(&mut stream, 4), [5, 2, 0, 2]);
    stream.write_all(&[5, 2]).unwrap();
    let credentials = read(&mut stream, 11);
    stream.write_all(&[1, 0]).unwrap();
    let head = read(&mut stream, 5);
    let rest = usize::from(head[4]) + 2;
    let request = [head, read(&mut stream, rest)].concat();
    let (port, server) = server();
    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 7]).unwrap();
    relay(stream, TcpStream::connect(("127.0.0.1", port)).unwrap());
    server.join().unwrap();
    (credentials, request)
}

#[test]
fn socks_proxies_give_tunnels_and_resolve_names() {
    both(
        "socks5://me:secret@",
        "ws://no.such.name.invalid/",
        socks_proxy,
        |result, (credentials, request)| {
            result.unwrap();
            assert_eq!(credentials, b"\x01\x02me\x06secret");
            assert_eq!(request, b"\x05\x01\x00\x03\x14no.such.name.invalid\x00\x50");
        },
    );
}

fn proxy_failure(result: Result<(), Error>) -> ProxyFailure {
    match connect_error(result) {
        ConnectError::Proxy { proxy, failure } => {
            assert!(!proxy.contains("secret"), "{proxy}");
            failure
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_shows_what_the_proxy_said_and_no_secret() {
    // conf: CQ-15 CQ-17
    let refuse = |mut stream: TcpStream| {
        read_head(&mut stream);
        let response = b"HTTP/1.1 407 Who are you?\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\
            Content-Length: 11\r\n\r\nnot like you";
        stream.write_all(response).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        rest
    };
    both("http://me:secret@", "ws://server.example/?token=secret", refuse, |result, rest| {
        let shown = format!("{result:?}");
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::Connect(error) if error.close_code() == CloseCode::ABNORMAL));
        let shown = format!("{error} {shown}");
        assert!(shown.contains("refused with status 407") && !shown.contains("secret"), "{shown}");
        assert!(rest.is_empty(), "nothing is sent after a refusal");
        match proxy_failure(Err(error)) {
            ProxyFailure::Refused(refusal) => {
                assert_eq!(refusal.head().status(), 407);
                assert_eq!(refusal.head().header("proxy-authenticate"), Some(&b"Basic realm=\"x\""[..]));
                assert_eq!(refusal.body(), b"not like you".get(..11).unwrap());
            }
            other => panic!("{other:?}"),
        }
    });
    let not_allowed = |mut stream: TcpStream| {
        stream.read_exact(&mut [0; 3]).unwrap();
        stream.write_all(b"\x05\0\x05\x02\0\x01\0\0\0\0\0\0").unwrap();
    };
    both("socks5://", "ws://server.example/", not_allowed, |result, ()| {
        assert!(matches!(proxy_failure(result), ProxyFailure::SocksRefused(reply) if reply.0 == 2));
    });
}

#[test]
fn proxies_that_end_early_or_say_something_else_are_failures() {
    for scheme in ["http://", "socks5://"] {
        let ends = |mut stream: TcpStream| drop(stream.read(&mut [0; 1]));
        both(scheme, "ws://server.example/", ends, |result, ()| {
            let failure = proxy_failure(result);
            // A reset if it ends with something unread.
            assert!(matches!(failure, ProxyFailure::EndOfStream | ProxyFailure::Io(_)), "{failure:?}");
        });
        let garbage = |mut stream: TcpStream| {
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n");
        };
        both(scheme, "ws://server.example/", garbage, |result, ()| {
            let failure = proxy_failure(result);
            assert!(matches!(failure, ProxyFailure::Response(_) | ProxyFailure::NotSocks), "{failure:?}");
        });
    }
}

#[test]
fn a_proxy_that_hangs_is_the_step_that_did_not_finish() {
    for scheme in ["http://", "socks5://"] {
        let hang = |mut stream: TcpStream| drop(stream.read_to_end(&mut Vec::new()));
        both(scheme, "ws://server.example/", hang, |result, ()| {
            assert_eq!(timed_out_step(result), Step::Proxy)
        });
        // One byte after the other, each in time.
        let drip = |mut stream: TcpStream| {
            for byte in b"HTTP/1.1 200 OK\r\nX: ".iter().chain([b'a'; 100].iter()) {
                thread::sleep(Duration::from_millis(20));
                if stream.write_all(&[*byte]).is_err() {
                    break;
                }
            }
        };
        if scheme == "http://" {
            both(scheme, "ws://server.example/", drip, |result, ()| {
                assert_eq!(timed_out_step(result), Step::Proxy);
            });
        }
    }
    let busy = |mut stream: TcpStream| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nlater").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    };
    both("http://", "ws://server.example/", busy, |result, ()| match proxy_failure(result) {
        ProxyFailure::Refused(refusal) => assert_eq!(refusal.body(), b"later"),
        other => panic!("{other:?}"),
    });
}

#[test]
fn a_proxy_that_is_not_there_or_malformed_is_told() {
    let (listener, port) = listen();
    drop(listener);
    let proxy = format!("http://127.0.0.1:{port}");
    let unreachable = |proxy: &str| {
        let error = connect_error(blocking::Connector::new("ws://server.example/").proxy(proxy).connect());
        assert!(error.to_string().starts_with(&format!("proxy {proxy}")), "whose address it is: {error}");
        match error {
            ConnectError::Proxy { failure: ProxyFailure::Unreachable(error), .. } => *error,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(unreachable(&proxy), ConnectError::Connect { address, .. } if address.port() == port));
    let name = "http://no.such.name.invalid";
    assert!(matches!(unreachable(name), ConnectError::Resolve { host, .. } if name.ends_with(&host)));
    for url in
        ["ftp://h", "http://h:99999", "http://me:%zz@h", "http://h/path", "socks5://", "http://a%3Ab@h"]
    {
        let error = connect_error(blocking::Connector::new("ws://server.example/").proxy(url).connect());
        assert!(matches!(error, ConnectError::ProxyUrl(_)), "{url}: {error:?}");
    }
    let proxy = Proxy::parse("http://me:secret@proxy").unwrap();
    let connector =
        blocking::Connector::new("ws://server/?q=secret").header("Cookie", "secret").proxy(proxy.clone());
    assert!(!format!("{proxy} {proxy:?} {connector:?}").contains("secret"));
}

/// Both ways to say that there is none.
#[test]
fn the_environment_can_be_given_and_turned_off() {
    let settings =
        |url: String| ProxySettings::from_lookup(move |name| (name == "HTTP_PROXY").then(|| url.clone()));
    let (port, proxy) = serve(connect_proxy);
    let settings_of_proxy = settings(format!("127.0.0.1:{port}"));
    let connector = blocking::Connector::new("ws://server.example/");
    hello!(connector.clone().proxies(settings_of_proxy.clone()).connect().unwrap());
    assert!(proxy.join().unwrap().starts_with("CONNECT server.example:80 "));

    let (port, local) = server();
    let connector = blocking::Connector::new(format!("ws://127.0.0.1:{port}/"));
    hello!(connector.clone().proxies(settings_of_proxy.clone()).no_proxy().connect().unwrap());
    local.join().unwrap();
    let (port, local) = server();
    let connector = blocking::Connector::new(format!("ws://127.0.0.1:{port}/"));
    hello!(connector.proxies(settings_of_proxy).connect().unwrap());
    local.join().unwrap();
}

#[cfg(feature = "rustls")]
#[test]
fn tls_goes_to_the_proxy_and_through_it() {
    // conf: CQ-15 CQ-16
    use client_support::tls::{Authority, server_stream};
    use std::sync::Arc;

    let authority = Arc::new(Authority::new());
    let tls_server = |authority: &Authority| {
        let config = authority.server(&["server.example"]);
        serve(move |stream| echo(server_stream(config, stream)).unwrap())
    };
    for over_tokio in [false, true] {
        for secure_proxy in [false, true] {
            let config = authority.server(&["localhost"]);
            let (server_port, server) = tls_server(&authority);
            let (port, proxy) = serve(move |mut stream| {
                let response = b"HTTP/1.1 200 OK\r\n\r\n";
                let to_server = TcpStream::connect(("127.0.0.1", server_port)).unwrap();
                if !secure_proxy {
                    let head = read_head(&mut stream);
                    stream.write_all(response).unwrap();
                    relay(stream, to_server);
                    return head;
                }
                let mut stream = server_stream(config, stream);
                let head = read_head(&mut stream);
                stream.write_all(response).unwrap();
                relay_tls(stream, to_server);
                head
            });
            let scheme = if secure_proxy { "https" } else { "http" };
            let proxy_url = format!("{scheme}://localhost:{port}");
            let url = "wss://server.example/";
            if over_tokio {
                run(async {
                    let connector = ws_tokio::Connector::new(url).proxy(&proxy_url);
                    let ws = connector.tls_config(authority.client()).connect().await.unwrap();
                    assert!(ws.stream().tls().is_some());
                    hello!(ws, await);
                });
            } else {
                let connector = blocking::Connector::new(url).proxy(&proxy_url);
                hello!(connector.tls_config(authority.client()).connect().unwrap());
            }
            assert!(proxy.join().unwrap().starts_with("CONNECT server.example:443 HTTP/1.1\r\n"));
            server.join().unwrap();
        }
    }
    // The proxy's certificate counts too, and it is the proxy that fails.
    let config = authority.server(&["other.example"]);
    let (port, proxy) = serve(move |stream| server_stream(config, stream).read(&mut [0; 1]).is_err());
    let connector =
        blocking::Connector::new("ws://server.example/").proxy(format!("https://localhost:{port}"));
    let error = connect_error(connector.tls_config(authority.client()).connect());
    assert!(matches!(&error, ConnectError::Tls(error) if error.server() == "localhost"), "{error:?}");
    assert!(proxy.join().unwrap());
}

/// One thread for both directions of a TLS stream, which looks at each in turn.
#[cfg(feature = "rustls")]
fn relay_tls(mut tls: client_support::tls::ServerStream, mut plain: TcpStream) {
    let look = Some(Duration::from_millis(2));
    tls.sock.set_read_timeout(look).unwrap();
    plain.set_read_timeout(look).unwrap();
    let mut buffer = vec![0; 20_000];
    let mut open = [true; 2];
    while open != [false; 2] {
        let mut turn = |from: &mut dyn Read, to: &mut dyn Write| match from.read(&mut buffer) {
            Ok(0) => false,
            Ok(len) => to.write_all(&buffer[..len]).and_then(|()| to.flush()).is_ok(),
            Err(error) => {
                matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
            }
        };
        if open[0] {
            open[0] = turn(&mut tls, &mut plain);
            if !open[0] {
                let _ = plain.shutdown(std::net::Shutdown::Write);
            }
        }
        if open[1] {
            open[1] = turn(&mut plain, &mut tls);
            if !open[1] {
                tls.conn.send_close_notify();
                let _ = tls.flush();
                let _ = tls.sock.shutdown(std::net::Shutdown::Write);
            }
        }
    }
}
