//! The opening handshake over tokio, beyond what every adapter does.

use core::time::Duration;

use sansocket::tokio::{Acceptor, ClientStream, Connector, Error, HandshakeError, WebSocket, accept};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::{Call, Fault, Scripted, cut, run};

const REQUEST: &[u8] =
    b"GET /chat?room=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: v1.chat, v2.chat\r\nOrigin: https://app.example\r\n\r\n";

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/chat?room=1", listener.local_addr().unwrap());
    (listener, url)
}

/// A server that answers one connection in its own way.
async fn serve<F>(act: impl FnOnce(TcpStream) -> F + Send + 'static) -> (String, JoinHandle<F::Output>)
where
    F: Future<Output: Send + 'static> + Send,
{
    let (listener, url) = listen().await;
    (url, tokio::spawn(async move { act(listener.accept().await.unwrap().0).await }))
}

#[track_caller]
fn handshake_error<T: core::fmt::Debug>(result: Result<T, Error>) -> HandshakeError {
    match result {
        Err(Error::Handshake(error)) => *error,
        other => panic!("{other:?}"),
    }
}

/// The end of the time is the end of the body; what came before it is shown.
#[tokio::test]
async fn a_refusal_whose_body_does_not_end_is_shown() {
    let (url, server) = serve(|mut stream| async {
        stream.write_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\nlater").await.unwrap();
        stream
    })
    .await;
    let connector = Connector::new(url).timeout(Duration::from_millis(100));
    // Connecting takes a part of the time.
    let busy = async { std::thread::sleep(Duration::from_millis(10)) };
    let (refused, ()) = tokio::join!(connector.connect(), busy);
    match handshake_error(refused) {
        HandshakeError::Refusal(refusal) => {
            assert_eq!(refusal.head().status(), 503);
            assert_eq!(refusal.head().header("retry-after"), Some(&b"7"[..]));
            assert_eq!(refusal.body(), b"later");
        }
        other => panic!("{other:?}"),
    }
    drop(server.await.unwrap());
}

/// Where the stream fails under the answer to a valid request, the first call on the connection says so.
#[test]
fn an_answer_that_does_not_leave_shows_in_the_first_call() {
    use std::io::ErrorKind;
    for at in [1, 2] {
        run(async {
            let fault = Fault::Dead(ErrorKind::ConnectionReset);
            let broken = |call, _: Call| if call == at { fault } else { Fault::None };
            let mut ws = accept(Scripted::new(REQUEST.to_vec(), 4096, broken)).await.unwrap();
            for _ in 0..2 {
                let lost = ws.recv().await;
                assert!(
                    matches!(&lost, Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset),
                    "{at}: {lost:?}"
                );
            }
        });
    }
}

/// An attempt that is dropped takes its stream along, so that the peer sees the end.
#[test]
fn an_opening_that_is_dropped_ends_its_stream() {
    run(async {
        for polls in [0, 1] {
            let (mut raw, stream) = duplex(1000);
            assert!(cut(accept(stream), polls).await.is_none());
            assert_eq!(raw.read(&mut [0]).await.unwrap(), 0);
            let (mut raw, stream) = duplex(1000);
            let connector = Connector::new("ws://localhost/");
            assert!(cut(connector.connect_over(stream), polls).await.is_none());
            let mut request = Vec::new();
            raw.read_to_end(&mut request).await.unwrap();
            assert!(request.is_empty() == (polls == 0) && (polls == 0 || request.ends_with(b"\r\n\r\n")));
            let (mut raw, stream) = duplex(1000);
            raw.write_all(REQUEST).await.unwrap();
            drop(Acceptor::new().read_request(stream).await.unwrap());
            assert_eq!(raw.read(&mut [0]).await.unwrap(), 0);
        }
    });
}

/// Over a stream that is encrypted already, `wss` is as good.
#[test]
fn a_secure_url_opens_over_a_stream_of_the_callers() {
    run(async {
        let (there, here) = duplex(1000);
        let connector = Connector::new("wss://localhost/");
        let (client, server) = tokio::join!(connector.connect_over(there), accept(here));
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        client.send("hi").await.unwrap();
        assert_eq!(server.recv().await.unwrap(), Some("hi".into()));
    });
}

/// Whoever connects by URL pays for TLS only where there is TLS, and for the way there only on the way.
#[test]
fn connecting_by_url_costs_little() {
    let (plain, by_url) = (size_of::<WebSocket<TcpStream>>(), size_of::<WebSocket<ClientStream>>());
    assert!(by_url <= plain + 8, "{by_url} bytes, {plain} over tcp");
    let connector = Connector::new("ws://localhost/");
    let future = size_of_val(&connector.connect());
    println!("WebSocket<ClientStream>: {by_url} bytes, connect: {future}");
    assert!(future <= 2048, "{future} bytes");
}

/// Tokio itself would panic, in the middle of the opening.
#[test]
fn outside_of_a_runtime_an_opening_fails_before_anything_happens() {
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    fn poll<T>(future: impl Future<Output = Result<T, Error>>) -> Error {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(error)) => error,
            _ => panic!("it goes on"),
        }
    }
    let (stream, mut other) = duplex(4096);
    let errors = [
        poll(Connector::new("ws://127.0.0.1:9/").connect()),
        poll(Connector::new("ws://127.0.0.1:9/").connect_over(stream)),
        poll(accept(duplex(4096).0)),
    ];
    #[cfg(feature = "hyper")]
    let errors = errors.into_iter().chain(over_http2().map(poll));
    for error in errors {
        assert!(matches!(error, Error::NoRuntime), "{error:?}");
        assert_eq!(error.to_string(), "no tokio runtime: poll this inside of one, as #[tokio::main] does");
    }
    let sent = run(async { other.read(&mut [0; 1]).await });
    assert_eq!(sent.unwrap(), 0);
}

#[cfg(feature = "hyper")]
type Opening = core::pin::Pin<Box<dyn Future<Output = Result<sansocket::hyper::Http2, Error>>>>;

#[cfg(feature = "hyper")]
fn over_http2() -> [Opening; 2] {
    use sansocket::hyper::Http2;

    [
        Box::pin(async { Ok(Http2::connect(&Connector::new("ws://127.0.0.1:9/")).await?) }),
        Box::pin(async { Ok(Http2::builder().connect_over(duplex(4096).0).await?) }),
    ]
}
