//! What a client that connects again makes of refusals: it stops where the next attempt would fail in the same way, and waits
//! as long as it is asked to.
#![cfg(all(feature = "tokio", feature = "rand"))]

mod client_support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use client_support::{listen, read_head, run};
use sansocket::client::{Reconnect, ReconnectEvent};
use sansocket::handshake::Response;
use sansocket::{Config, Delivery, blocking, tokio as ws_tokio};
use tokio::io::duplex;
use tokio::time::{Instant, sleep, timeout};
use ws_tokio::{Acceptor, Connector, Error, Reconnecting};

/// Three attempts at the most, so that a test ends.
fn three_attempts() -> Reconnect {
    Reconnect::new()
        .first_delay(Duration::from_millis(1))
        .longest_delay(Duration::from_millis(1))
        .max_failures(3)
}

/// How often a client asks over each adapter, until it stops.
fn attempts(url: &str, proxy: Option<&str>) -> [usize; 2] {
    [false, true].map(|over_tokio| {
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = attempts.clone();
        let policy = three_attempts().observe(move |event| {
            if let ReconnectEvent::Connecting { .. } = event {
                counted.fetch_add(1, SeqCst);
            }
        });
        if over_tokio {
            let mut connector = Connector::new(url).timeout(Duration::from_secs(10));
            if let Some(proxy) = proxy {
                connector = connector.proxy(proxy);
            }
            run(async { Reconnecting::with_connector(policy, connector).recv().await }).unwrap_err();
        } else {
            let mut connector = blocking::Connector::new(url).timeout(Duration::from_secs(10));
            if let Some(proxy) = proxy {
                connector = connector.proxy(proxy);
            }
            blocking::Reconnecting::with_connector(policy, connector).recv().unwrap_err();
        }
        attempts.load(SeqCst)
    })
}

/// A server that answers every connection in this way; its port.
fn proxy(answer: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let (listener, port) = listen();
    thread::spawn(move || {
        // It ends with the process.
        while let Ok((stream, _)) = listener.accept() {
            answer(stream);
        }
    });
    port
}

#[test]
fn a_proxy_that_refuses_for_good_is_not_asked_again() {
    // 403 and 404 of a proxy say that it does not want to go there; 502 to 504 that it cannot now.
    for (status, expected) in [(407, 1), (401, 1), (403, 1), (404, 1), (408, 3), (429, 3), (502, 3), (503, 3)]
    {
        let port = proxy(move |mut stream| {
            read_head(&mut stream);
            let _ = write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        });
        let proxy = format!("http://me:wrong@127.0.0.1:{port}");
        assert_eq!(attempts("ws://server.example/", Some(&proxy)), [expected; 2], "{status}");
    }
}

#[test]
fn a_socks_proxy_that_refuses_for_good_is_not_asked_again() {
    const REPLY: &[u8] = &[5, 2, 1, 0, 5];
    for (answer, expected) in [
        // Neither method, and wrong credentials.
        (vec![5, 0xFF], 1),
        (vec![5, 2, 1, 1], 1),
        // Its rules, its commands, its addresses; and what may be different the next time.
        ([REPLY, &[2, 0, 1, 0, 0, 0, 0, 0, 0]].concat(), 1),
        ([REPLY, &[7, 0, 1, 0, 0, 0, 0, 0, 0]].concat(), 1),
        ([REPLY, &[8, 0, 1, 0, 0, 0, 0, 0, 0]].concat(), 1),
        ([REPLY, &[1, 0, 1, 0, 0, 0, 0, 0, 0]].concat(), 3),
        ([REPLY, &[5, 0, 1, 0, 0, 0, 0, 0, 0]].concat(), 3),
    ] {
        let shown = format!("{answer:?}");
        let port = proxy(move |mut stream| {
            let mut greeting = [0; 4];
            let _ = stream.read_exact(&mut greeting);
            let _ = stream.write_all(&answer);
            let _ = stream.read(&mut [0; 100]);
        });
        let proxy = format!("socks5://me:wrong@127.0.0.1:{port}");
        assert_eq!(attempts("ws://server.example/", Some(&proxy)), [expected; 2], "{shown}");
    }
    // A name that SOCKS5 has no room for.
    let url = format!("ws://{}/", "a".repeat(256));
    assert_eq!(attempts(&url, Some("socks5://127.0.0.1:1")), [1; 2]);
}

#[test]
fn what_cannot_be_asked_for_is_asked_for_once() {
    for url in ["ftp://localhost/", "ws://", "ws://me:secret@localhost/"] {
        assert_eq!(attempts(url, None), [1; 2], "{url}");
    }
    assert_eq!(attempts("ws://localhost/", Some("ftp://localhost/")), [1; 2]);
    // No certificate can have such a name.
    #[cfg(feature = "rustls")]
    assert_eq!(attempts("wss://-.invalid../", None), [1; 2]);
}

/// A TLS server whose certificate nobody trusts, as a proxy.
#[cfg(feature = "rustls")]
#[test]
fn a_proxy_whose_certificate_is_not_valid_is_not_asked_again() {
    let port = {
        let (listener, port) = listen();
        let config = client_support::tls::Authority::new().server(&["localhost"]);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let connection = rustls::ServerConnection::new(config.clone()).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream);
                let _ = stream.read(&mut [0; 100]);
            }
        });
        port
    };
    let proxy = format!("https://localhost:{port}");
    assert_eq!(attempts("ws://server.example/", Some(&proxy)), [1; 2]);
}

/// A session that cannot be set up, whatever the server does.
#[tokio::test(start_paused = true)]
async fn a_session_that_the_application_cannot_set_up_is_set_up_once() {
    for chunks in [false, true] {
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = attempts.clone();
        let mut ws = Reconnecting::new(three_attempts(), move || {
            counted.fetch_add(1, SeqCst);
            async move {
                let (here, there) = duplex(1000);
                tokio::spawn(async move { ws_tokio::accept(there).await?.recv().await });
                let delivery = if chunks { Delivery::Chunks } else { Delivery::Messages };
                let connector = Connector::new("ws://localhost/").config(Config::new().delivery(delivery));
                let mut ws = connector.connect_over(here).await?;
                if chunks {
                    ws.recv().await?;
                }
                ws.ping(&[0; 126]).await?;
                Ok(ws)
            }
        });
        let error = ws.recv().await.unwrap_err();
        assert!(matches!(error, Error::ChunkDelivery | Error::Send(_)), "{error:?}");
        assert_eq!(attempts.load(SeqCst), 1, "{chunks}");
    }
}

/// The delay before the second attempt, after a refusal with these headers.
async fn delay_after(policy: Reconnect, status: u16, headers: &[(&'static str, &str)]) -> Duration {
    let begun = Arc::new(Mutex::new(Vec::new()));
    let begins = begun.clone();
    let mut response = Response::new(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let mut ws = Reconnecting::new(policy, move || {
        begins.lock().unwrap().push(Instant::now());
        let response = response.clone();
        async move {
            let (here, there) = duplex(1000);
            tokio::spawn(async move {
                let request = Acceptor::new().read_request(there).await.unwrap();
                let _ = request.reject(&response).await;
            });
            Connector::new("ws://localhost/").connect_over(here).await
        }
    });
    while begun.lock().unwrap().len() < 2 {
        if timeout(Duration::from_secs(1), ws.recv()).await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    }
    let begun = begun.lock().unwrap();
    begun[1] - begun[0]
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_to_come_back_is_not_asked_before() {
    let secs = |delay: Duration| delay.as_secs();
    for status in [503, 429, 408, 500, 302, 307] {
        let delay = delay_after(Reconnect::new(), status, &[("Retry-After", "120")]).await;
        assert!((120..=125).contains(&secs(delay)), "{status}: {delay:?}");
    }
    // A date counts from the date of the response.
    let date = [("Date", "Sat, 28 Nov 2026 23:59:00 GMT"), ("Retry-After", "Sun, 29 Nov 2026 00:01:00 GMT")];
    let delay = delay_after(Reconnect::new(), 503, &date).await;
    assert!((120..=125).contains(&secs(delay)), "{delay:?}");
    // Without one, from now; and so far away that the bound is reached.
    let delay = delay_after(Reconnect::new(), 503, &[("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT")]).await;
    assert!((3600..=3605).contains(&secs(delay)), "{delay:?}");
    for (value, least) in [("3600", 3600), ("3601", 3600), ("18446744073709551616", 3600), ("0", 0)] {
        let delay = delay_after(Reconnect::new(), 503, &[("Retry-After", value)]).await;
        assert!((least..=least + 5).contains(&secs(delay)), "{value}: {delay:?}");
    }
    // What is none, or in the past, or less than the client would wait anyway.
    for value in [
        "",
        "-1",
        "+120",
        "120s",
        "1e3",
        "12 0",
        "Sunday, 29-Nov-26 00:01:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT",
    ] {
        let delay = delay_after(Reconnect::new(), 503, &[("Retry-After", value)]).await;
        assert!(secs(delay) <= 5, "{value}: {delay:?}");
    }
    let ignores = Reconnect::new().longest_retry_after(Duration::ZERO);
    assert!(secs(delay_after(ignores, 503, &[("Retry-After", "120")]).await) <= 5);
    let bounds = Reconnect::new().longest_retry_after(Duration::from_secs(60));
    assert!((60..=65).contains(&secs(delay_after(bounds, 503, &[("Retry-After", "120")]).await)));
}
