//! `wss:` over both adapters, with certificates that are made here.
#![cfg(all(feature = "rustls", feature = "tokio"))]

mod client_support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use client_support::tls::{Authority, server_stream};
use client_support::{connect_error, echo, listen, run, serve, timed_out_step};
use rustls::{CertificateError, ClientConfig, ProtocolVersion, ServerConfig};
use sansocket::client::{ConnectError, Step, TlsError, tls};
use sansocket::{CloseCode, blocking, tokio as ws_tokio};

/// What a server saw of one connection.
#[derive(Debug, PartialEq)]
struct Seen {
    /// Why TLS did not come about.
    failure: Option<String>,
    /// The bytes inside TLS.
    request: usize,
    name: Option<String>,
    protocol: Option<Vec<u8>>,
}

/// A server that echoes, if TLS comes about.
fn echo_server(config: Arc<ServerConfig>) -> (u16, thread::JoinHandle<Seen>) {
    serve(move |stream| {
        let mut stream = server_stream(config, stream);
        let failure = loop {
            if !stream.conn.is_handshaking() {
                break None;
            }
            if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
                break Some(error.to_string());
            }
        };
        let name = stream.conn.server_name().map(String::from);
        let protocol = stream.conn.alpn_protocol().map(<[u8]>::to_vec);
        let mut request = 0;
        if failure.is_some() {
            request = stream.read(&mut [0; 1]).unwrap_or(0);
        } else {
            echo(stream).unwrap();
        }
        Seen { failure, request, name, protocol }
    })
}

fn open(port: u16, config: ClientConfig) -> blocking::Connector {
    blocking::Connector::new(format!("wss://localhost:{port}/")).tls_config(config)
}

fn open_tokio(port: u16, config: ClientConfig) -> ws_tokio::Connector {
    ws_tokio::Connector::new(format!("wss://localhost:{port}/")).tls_config(config)
}

#[test]
fn both_versions_of_tls_carry_a_connection() {
    // conf: CQ-16 SA-10 CL-10
    let authority = Authority::new();
    for (version, expected) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let config = authority.server_with(&["localhost"], &[version], false);
        let seen = Seen {
            failure: None,
            request: 0,
            name: Some("localhost".into()),
            protocol: Some(b"http/1.1".to_vec()),
        };
        let (port, server) = echo_server(config.clone());
        let ws = open(port, authority.client()).connect().unwrap();
        assert_eq!(ws.transport().tls().unwrap().protocol_version(), Some(expected));
        assert!(ws.transport().tcp().nodelay().unwrap());
        hello!(ws);
        assert_eq!(server.join().unwrap(), seen);

        let (port, server) = echo_server(config);
        run(async {
            let ws = open_tokio(port, authority.client()).connect().await.unwrap();
            assert_eq!(ws.stream().tls().unwrap().protocol_version(), Some(expected));
            assert!(ws.stream().tcp().nodelay().unwrap());
            hello!(ws, await);
        });
        assert_eq!(server.join().unwrap(), seen);
    }
}

#[test]
fn large_messages_go_both_ways() {
    let authority = Authority::new();
    let config = authority.server(&["localhost"]);
    let message: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 251) as u8).collect();
    let (port, server) = echo_server(config.clone());
    let mut ws = open(port, authority.client()).connect().unwrap();
    for _ in 0..3 {
        ws.send(&message[..]).unwrap();
        assert_eq!(ws.recv().unwrap(), Some(message.clone().into()));
    }
    ws.close(client_support::NORMAL, "").unwrap();
    server.join().unwrap();
    let (port, server) = echo_server(config);
    run(async {
        let mut ws = open_tokio(port, authority.client()).connect().await.unwrap();
        for _ in 0..3 {
            ws.send(message.clone()).await.unwrap();
            assert_eq!(ws.recv().await.unwrap(), Some(message.clone().into()));
        }
        ws.close(client_support::NORMAL, "").await.unwrap();
    });
    server.join().unwrap();
}

/// Both clients against the same server; what they say must be the same.
#[track_caller]
fn refused(server: &Arc<ServerConfig>, client: impl Fn() -> ClientConfig) -> TlsError {
    let errors = [true, false].map(|over_tokio| {
        let (port, seen) = echo_server(server.clone());
        let error = if over_tokio {
            connect_error(run(open_tokio(port, client()).connect()))
        } else {
            connect_error(open(port, client()).connect())
        };
        let seen = seen.join().unwrap();
        assert!(seen.failure.is_some() && seen.request == 0, "{seen:?}");
        assert_eq!(error.close_code(), CloseCode::TLS_HANDSHAKE);
        match error {
            ConnectError::Tls(error) => error,
            other => panic!("{other:?}"),
        }
    });
    let [one, other] = &errors;
    assert_eq!(one.to_string(), other.to_string());
    assert_eq!(one.server(), "localhost");
    let [one, _] = errors;
    one
}

fn certificate(error: &TlsError) -> CertificateError {
    match error.rustls() {
        Some(rustls::Error::InvalidCertificate(error)) => error.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bad_certificates_are_refused_and_the_error_says_why() {
    // conf: CQ-16
    let authority = Authority::new();
    let wrong_name = refused(&authority.server(&["other.example"]), || authority.client());
    assert!(matches!(certificate(&wrong_name), CertificateError::NotValidForNameContext { .. }));
    assert!(wrong_name.to_string().contains("other.example"), "{wrong_name}");

    let expired = authority.server_with(&["localhost"], rustls::ALL_VERSIONS, true);
    let expired = refused(&expired, || authority.client());
    assert!(matches!(certificate(&expired), CertificateError::ExpiredContext { .. }), "{expired}");
    assert!(expired.to_string().contains("expired"), "{expired}");

    let good = authority.server(&["localhost"]);
    let unknown = refused(&good, || Authority::new().client());
    assert_eq!(certificate(&unknown), CertificateError::UnknownIssuer);
    let default = refused(&good, || tls::trusting_the_web().unwrap());
    assert_eq!(certificate(&default), CertificateError::UnknownIssuer);
    assert_eq!(default.to_string(), "tls with localhost failed: invalid peer certificate: UnknownIssuer");
    #[cfg(feature = "rustls-platform-verifier")]
    if let Ok(config) = tls::trusting_the_platform() {
        let platform = refused(&good, || config.clone());
        assert!(matches!(platform.rustls(), Some(rustls::Error::InvalidCertificate(_))));
    }
}

/// The clients of Tomcat and of Java-WebSocket took any certificate that is trusted, whomever it was for; that of faye took
/// any at all (CVE-2020-15133).
#[test]
fn cve_2018_8034_and_cve_2020_11050_a_certificate_is_for_the_host() {
    // conf: CQ-16
    let authority = Authority::new();
    for name in ["other.example", "localhost.example", "local", "*.localhost", "127.0.0.1"] {
        let error = refused(&authority.server(&[name]), || authority.client());
        assert!(matches!(certificate(&error), CertificateError::NotValidForNameContext { .. }), "{name}");
    }
    let error = refused(&Authority::new().server(&["localhost"]), || authority.client());
    assert_eq!(certificate(&error), CertificateError::UnknownIssuer);
    let (port, server) = echo_server(authority.server(&["other.example", "localhost"]));
    hello!(open(port, authority.client()).connect().unwrap());
    assert_eq!(server.join().unwrap().failure, None);
}

#[test]
fn without_a_configuration_the_web_is_trusted() {
    let authority = Authority::new();
    let (port, server) = echo_server(authority.server(&["localhost"]));
    let error = connect_error(blocking::connect(format!("wss://localhost:{port}/")));
    assert!(matches!(&error, ConnectError::Tls(error) if error.rustls().is_some()), "{error:?}");
    server.join().unwrap();
}

#[test]
fn addresses_have_certificates_too() {
    let authority = Authority::new();
    let (port, server) = echo_server(authority.server(&["127.0.0.1"]));
    let connector = blocking::Connector::new(format!("wss://127.0.0.1:{port}/"));
    hello!(connector.tls_config(authority.client()).connect().unwrap());
    assert_eq!(server.join().unwrap().name, None, "an address is no server name");
}

/// A server that ends, hangs, or speaks something else instead of TLS.
#[test]
fn what_is_no_tls_fails_as_tls_and_in_time() {
    // conf: CQ-16 CQ-17
    type Act = fn(TcpStream) -> Option<TcpStream>;
    let ends: Act = |mut stream| {
        let _ = stream.read(&mut [0; 1000]);
        None
    };
    let garbage: Act = |mut stream| {
        let _ = stream.read(&mut [0; 1000]);
        let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        None
    };
    for act in [ends, garbage] {
        let config = || Authority::new().client();
        let (port, server) = serve(act);
        let error = connect_error(open(port, config()).connect());
        assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
        server.join().unwrap();
        let (port, server) = serve(act);
        let error = connect_error(run(open_tokio(port, config()).connect()));
        assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
        server.join().unwrap();
    }
    let (_listener, port) = listen();
    let began = Instant::now();
    let time = Duration::from_millis(100);
    assert_eq!(timed_out_step(open(port, Authority::new().client()).timeout(time).connect()), Step::Tls);
    let hangs = open_tokio(port, Authority::new().client()).timeout(time);
    assert_eq!(timed_out_step(run(hangs.connect())), Step::Tls);
    assert!(began.elapsed() >= 2 * time && began.elapsed() < Duration::from_secs(5));
}

/// Each read would be in time.
#[test]
fn a_server_that_drips_does_not_hold_a_client_for_ever() {
    let drip = |mut stream: TcpStream| {
        // A handshake record that is long and comes slowly.
        let mut record = vec![0x16, 3, 3, 0x20, 0, 2, 0, 0x1f, 0xfc];
        record.resize(500, 0);
        for byte in record {
            if std::io::Write::write_all(&mut stream, &[byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
    };
    let time = Duration::from_millis(200);
    let (port, server) = serve(drip);
    let began = Instant::now();
    assert_eq!(timed_out_step(open(port, Authority::new().client()).timeout(time).connect()), Step::Tls);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    server.join().unwrap();
}

/// A large record that comes slowly brings no data before its end, but shows that the server is there.
#[test]
fn a_record_byte_by_byte_is_a_sign_of_life() {
    let authority = Authority::new();
    let message: Vec<u8> = (0..1000).map(|n: u32| (n % 251) as u8).collect();
    let config = sansocket::Config::new()
        .ping_interval(Duration::from_millis(300))
        .pong_timeout(Duration::from_millis(300))
        .close_timeout(Duration::from_millis(100));
    let (tls, expected) = (authority.server(&["localhost"]), message.clone());
    let (port, server) = serve(move |stream| {
        let parts = blocking::accept(server_stream(tls, stream)).unwrap().into_parts();
        let (mut frames, mut stream, mut frame, mut record) =
            (parts.connection, parts.transport, Vec::new(), Vec::new());
        frames.send(message, &mut frame).unwrap();
        std::io::Write::write_all(&mut stream.conn.writer(), &frame).unwrap();
        while stream.conn.wants_write() {
            stream.conn.write_tls(&mut record).unwrap();
        }
        let (slow, rest) = record.split_at(30);
        for byte in slow {
            std::io::Write::write_all(&mut stream.sock, &[*byte]).unwrap();
            thread::sleep(Duration::from_millis(50));
        }
        std::io::Write::write_all(&mut stream.sock, rest).unwrap();
        // From now on it is silent, until the client has given up.
        while matches!(stream.sock.read(&mut [0; 100]), Ok(1..)) {}
    });
    run(async {
        let connector = open_tokio(port, authority.client()).config(config);
        let mut ws = connector.connect().await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(expected.into()));
        let error = ws.recv().await.unwrap_err();
        let silent = sansocket::Error::Timeout(sansocket::Deadline::Pong);
        assert!(matches!(error, blocking::Error::Connection(error) if error == silent), "{error:?}");
    });
    server.join().unwrap();
}

#[test]
fn servers_over_tokio_accept_over_tls() {
    // conf: SA-10
    let authority = Authority::new();
    run(async {
        let acceptor = tokio_rustls::TlsAcceptor::from(authority.server(&["localhost"]));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut ws = ws_tokio::accept(acceptor.accept(stream).await.unwrap()).await.unwrap();
            while let Some((message, mut tx)) = ws.recv_ref().await.unwrap() {
                tx.feed(&message).await.unwrap();
            }
        });
        hello!(open_tokio(port, authority.client()).connect().await.unwrap(), await);
        server.await.unwrap();
    });
}

/// What both adapters say when they connect to a server that acts like this.
fn both_errors(scheme: &str, config: &ClientConfig, act: fn(TcpStream)) -> [String; 2] {
    let (port, server) = serve(act);
    let url = format!("{scheme}://localhost:{port}/path?query");
    let blocking = blocking::Connector::new(&url).tls_config(config.clone()).connect().unwrap_err();
    server.join().unwrap();
    let (port, server) = serve(act);
    let url = format!("{scheme}://localhost:{port}/path?query");
    let connector = ws_tokio::Connector::new(&url).tls_config(config.clone());
    let tokio = run(async { connector.connect().await.unwrap_err() });
    server.join().unwrap();
    [blocking.to_string(), tokio.to_string()]
}

#[test]
fn a_server_of_another_protocol_is_named() {
    let authority = Authority::new();
    let config = authority.client();
    // A TLS server answers a plain request with an alert: unexpected_message, or decode_error.
    let errors = both_errors("ws", &config, |stream| {
        let mut stream = server_stream(Authority::new().server(&["localhost"]), stream);
        while stream.conn.complete_io(&mut stream.sock).is_ok() {}
    });
    for error in errors {
        assert!(error.ends_with("the server speaks tls: wss:// may be meant instead of ws://"), "{error}");
    }
    let errors = both_errors("ws", &config, |stream| write(stream, b"SSH-2.0-OpenSSH_9.6\r\n"));
    for error in errors {
        assert!(error.contains("does not speak http, its first bytes are \"SSH-2.0-OpenSSH_9.6"), "{error}");
    }
    let errors = both_errors("wss", &config, |stream| write(stream, b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    for error in errors {
        assert_eq!(error, "localhost does not speak tls on this port");
    }
}

fn write(mut stream: TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    // The client may have gone already.
    let _ = stream.read(&mut [0; 4096]);
}
