//! Whatever call of the transport fails, is late or takes few bytes: no panic, no task and no member is left behind.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use sansocket::hyper::Http2;
use sansocket::tokio::Connector;
use sansocket_axum::{Group, GroupLayer, WebSocket, WebSocketUpgrade};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::time::timeout;

const URL: &str = "ws://localhost/";

/// The outcome of a call.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// This one fails.
    Error,
    /// This one and all after it find the end of the stream.
    End,
    /// All calls move one byte at most, and every second one is not ready at first.
    Slow,
}

/// A stream with a fault at its N-th call.
struct Faulty {
    stream: DuplexStream,
    fault: Fault,
    calls_left: u32,
    /// Whether the latest read and the latest write were not ready.
    late: [bool; 2],
}

impl Faulty {
    /// Whether this call has the fault, or is not ready.
    fn call(&mut self, context: &mut Context<'_>, direction: usize) -> Poll<io::Result<bool>> {
        if let Fault::Slow = self.fault {
            self.late[direction] = !self.late[direction];
            if self.late[direction] {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(Ok(false));
        }
        if self.calls_left > 0 {
            self.calls_left -= 1;
            return Poll::Ready(Ok(false));
        }
        match self.fault {
            Fault::Error => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ => Poll::Ready(Ok(true)),
        }
    }
}

impl AsyncRead for Faulty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.call(context, 0) {
            Poll::Ready(Ok(true)) => Poll::Ready(Ok(())),
            Poll::Ready(Ok(false)) if matches!(self.fault, Fault::Slow) && buffer.remaining() > 0 => {
                let mut byte = [0; 1];
                let mut one = ReadBuf::new(&mut byte);
                let read = Pin::new(&mut self.stream).poll_read(context, &mut one);
                buffer.put_slice(one.filled());
                read
            }
            Poll::Ready(Ok(false)) => Pin::new(&mut self.stream).poll_read(context, buffer),
            other => other.map_ok(|_| ()),
        }
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.call(context, 1) {
            Poll::Ready(Ok(true)) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Poll::Ready(Ok(false)) => {
                let most = if matches!(self.fault, Fault::Slow) { 1 } else { bytes.len() };
                Pin::new(&mut self.stream).poll_write(context, &bytes[..bytes.len().min(most)])
            }
            other => other.map_ok(|_| 0),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut ws: WebSocket<S>) {
    while let Ok(Some(message)) = ws.recv().await {
        if ws.send(message).await.is_err() {
            return;
        }
    }
}

/// A conversation over HTTP/1.1 or HTTP/2 on streams of which one is faulty. Returns whether the echo came.
async fn converse(is_http2: bool, at_server: bool, fault: Fault, calls_left: u32) -> bool {
    let faulty = |stream, fault| Faulty { stream, fault, calls_left, late: [false; 2] };
    let sound = |stream| Faulty { stream, fault: Fault::Error, calls_left: u32::MAX, late: [false; 2] };
    let (client, server) = duplex(1 << 16);
    let (client, server) = match at_server {
        true => (sound(client), faulty(server, fault)),
        false => (faulty(client, fault), sound(server)),
    };
    let group = Group::new();
    let app: Router = Router::new()
        .route("/", any(async |ws: WebSocketUpgrade<Faulty>| ws.on_upgrade(echo)))
        .layer(GroupLayer::new(&group));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http2().enable_connect_protocol();
    let service = TowerToHyperService::new(app);
    let serving =
        tokio::spawn(
            async move { builder.serve_connection_with_upgrades(TokioIo::new(server), service).await },
        );
    let talk = async {
        let connector = Connector::new(URL);
        if is_http2 {
            let connection = Http2::builder().connect_over(client).await.ok()?;
            let mut ws = connection.open(&connector).await.ok()?;
            ws.send("hello").await.ok()?;
            ws.recv().await.ok()?.filter(|message| *message == "hello")
        } else {
            let mut ws = connector.connect_over(client).await.ok()?;
            ws.send("hello").await.ok()?;
            ws.recv().await.ok()?.filter(|message| *message == "hello")
        }
    };
    let came = timeout(Duration::from_secs(60), talk).await.expect("the client ends").is_some();
    let _ = timeout(Duration::from_secs(60), serving).await.expect("the server's connection ends");
    // The last one leaves once its deadlines have passed.
    assert_eq!(
        group.shutdown(Duration::from_secs(60)).await,
        0,
        "{is_http2} {at_server} {fault:?} {calls_left}"
    );
    came
}

#[tokio::test(start_paused = true)]
async fn any_call_may_fail() {
    for is_http2 in [false, true] {
        for at_server in [false, true] {
            for fault in [Fault::Error, Fault::End] {
                let mut calls = 0;
                while !converse(is_http2, at_server, fault, calls).await {
                    calls += 1;
                    assert!(calls < 500, "the echo never comes");
                }
                assert!(calls > 3);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn streams_may_be_slow() {
    for is_http2 in [false, true] {
        for at_server in [false, true] {
            assert!(converse(is_http2, at_server, Fault::Slow, 0).await);
        }
    }
}

/// Drops the client's future after any number of polls.
#[tokio::test(start_paused = true)]
async fn openings_may_be_dropped_at_any_await() {
    for is_http2 in [false, true] {
        for polls in 0..60 {
            let group = Group::new();
            let app: Router = Router::new()
                .route("/", any(async |ws: WebSocketUpgrade<DuplexStream>| ws.on_upgrade(echo)))
                .layer(GroupLayer::new(&group));
            let stream = sansocket_axum::testing::serve(app);
            let opening = async {
                let connector = Connector::new(URL);
                if is_http2 {
                    let connection = Http2::builder().connect_over(stream).await.unwrap();
                    drop(connection.open(&connector).await.unwrap());
                } else {
                    drop(connector.connect_over(stream).await.unwrap());
                }
            };
            poll_times(opening, polls).await;
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            assert_eq!(group.shutdown(Duration::from_secs(60)).await, 0, "{is_http2} {polls}");
        }
    }
}

/// Polls a future at most so often, one time in each turn of the runtime.
async fn poll_times(future: impl Future<Output = ()>, times: u32) {
    let mut future = std::pin::pin!(future);
    for _ in 0..times {
        let done =
            std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
        if done {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// hyper drops the service's future when the client is gone: nothing may be left then either.
#[tokio::test]
async fn a_service_future_may_be_dropped() {
    let group = Group::new();
    let member = group.clone();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let group = member.clone();
        async move {
            let upgrade = sansocket::hyper::upgrade(&mut request).unwrap().group(&group);
            let (response, upgrading) = upgrade.accept(&sansocket::handshake::Acceptance::new()).unwrap();
            std::future::pending::<()>().await;
            drop(upgrading);
            Ok::<_, Infallible>(response.map(http_body_util::Full::new))
        }
    });
    let (client, server) = duplex(1 << 16);
    let serving = tokio::spawn(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(server), service)
            .with_upgrades(),
    );
    let connector = Connector::new(URL);
    let mut opening = std::pin::pin!(connector.connect_over(client));
    while group.is_empty() {
        tokio::select! {
            biased;
            _ = &mut opening => panic!("opened"),
            () = tokio::task::yield_now() => {}
        }
    }
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    assert_eq!(group.len(), 0);
}
