//! What one WebSocket or opening over HTTP/2 must not do to the others, and what a server may do to it.

use std::time::Duration;

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use sansocket::Config;
use sansocket::hyper::{Http2, Http2Error, Http2Stream};
use sansocket::tokio::{Connector, Error, WebSocket as ClientSocket};
use sansocket_axum::{WebSocket, WebSocketUpgrade};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{sleep, timeout};

const URL: &str = "ws://localhost/";

async fn echo(mut ws: WebSocket) {
    while let Ok(Some(message)) = ws.recv().await {
        if ws.send(message).await.is_err() {
            return;
        }
    }
}

async fn check_echo(ws: &mut ClientSocket<Http2Stream>) {
    ws.send("hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
}

/// A connection to a server that allows so many streams at the same time.
async fn connect(max_streams: u32) -> Http2 {
    let app = Router::new().route("/", any(async |ws: WebSocketUpgrade| ws.on_upgrade(echo)));
    let (client, server) = duplex(1 << 16);
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(max_streams).enable_connect_protocol();
    tokio::spawn(builder.serve_connection(TokioIo::new(server), TowerToHyperService::new(app)));
    Http2::builder().connect_over(client).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn openings_that_give_up_before_a_stream_is_free_leave_nothing_behind() {
    let connection = connect(2).await;
    let connector = Connector::new(URL).timeout(Duration::from_secs(1));
    let first = connection.open(&connector).await.unwrap();
    let mut second = connection.open(&connector).await.unwrap();
    for _ in 0..300 {
        let connector = Connector::new(URL).timeout(Duration::from_millis(10));
        let error = connection.open(&connector).await.unwrap_err();
        assert!(matches!(error, Http2Error::Open(Error::Connect(_))), "{error:?}");
    }
    // If they all were sent and reset now, the server would end the connection.
    drop(first);
    check_echo(&mut connection.open(&connector).await.unwrap()).await;
    check_echo(&mut second).await;
    check_echo(&mut connection.open(&connector).await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_gave_up_does_not_take_the_next_free_stream() {
    let connection = connect(1).await;
    let connector = Connector::new(URL).timeout(Duration::from_secs(1));
    for _ in 0..5 {
        let mut ws = connection.open(&connector).await.unwrap();
        connection.open(&connector).await.unwrap_err();
        check_echo(&mut ws).await;
        // The one that gave up opens, and is reset without anybody's help.
        drop(ws);
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn openings_that_wait_get_streams_one_after_another() {
    let connection = connect(2).await;
    let mut openings = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let connection = connection.clone();
        openings.spawn(async move {
            let connector = Connector::new(URL).timeout(Duration::from_secs(60));
            let mut ws = connection.open(&connector).await.unwrap();
            check_echo(&mut ws).await;
            sleep(Duration::from_secs(1)).await;
        });
    }
    while let Some(done) = openings.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_server_whose_first_bytes_are_not_http2_needs_http1() {
    let (client, mut server) = duplex(1 << 16);
    let serving = tokio::spawn(async move {
        let mut preface = [0; 24];
        server.read_exact(&mut preface).await.unwrap();
        server.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        let _ = server.read_to_end(&mut rest).await;
    });
    let error = Http2::builder().connect_over(client).await.unwrap_err();
    assert!(matches!(error, Http2Error::NotHttp2), "{error:?}");
    assert!(error.needs_http1());
    serving.await.unwrap();
}

type Server = h2::server::Connection<DuplexStream, Bytes>;

/// A server that speaks HTTP/2 by hand, with the windows of the RFC.
async fn by_hand() -> (Http2, Server) {
    let (client, server) = duplex(1 << 20);
    let connecting = tokio::spawn(Http2::builder().connect_over(client));
    let mut builder = h2::server::Builder::new();
    let mut server = builder.enable_connect_protocol().handshake(server).await.unwrap();
    let client = tokio::select! {
        client = connecting => client.unwrap().unwrap(),
        _ = server.accept() => panic!("no request yet"),
    };
    (client, server)
}

/// Accepts a request, and returns both directions of its stream.
async fn accept(server: &mut Server) -> (h2::RecvStream, h2::SendStream<Bytes>) {
    let (request, mut respond) = server.accept().await.unwrap().unwrap();
    (request.into_body(), respond.send_response(http::Response::new(()), false).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_send_that_was_given_up_does_not_stop_other_websockets() {
    let (client, mut server) = by_hand().await;
    let connector = Connector::new(URL).config(Config::new().max_queued_output(1 << 20));
    let serving = tokio::spawn(async move {
        let (mut first, _first) = accept(&mut server).await;
        let (mut second, _second) = accept(&mut server).await;
        // The connection's window is used up by the first WebSocket when the server begins to read.
        let read = async {
            sleep(Duration::from_secs(10)).await;
            let mut first_read = 0;
            loop {
                tokio::select! {
                    Some(Ok(data)) = first.data() => {
                        first_read += data.len();
                        first.flow_control().release_capacity(data.len()).unwrap();
                    }
                    Some(Ok(_)) = second.data() => return first_read,
                }
            }
        };
        tokio::select! {
            first_read = read => first_read,
            _ = async { while server.accept().await.is_some() {} } => 0,
        }
    });
    let mut first = client.open(&connector).await.unwrap();
    let mut second = client.open(&connector).await.unwrap();
    // It reserves what comes, and does not come for it.
    timeout(Duration::from_secs(1), first.send(vec![0u8; 512 << 10])).await.unwrap_err();
    sleep(Duration::from_secs(20)).await;
    timeout(Duration::from_secs(5), second.send("hello")).await.expect("the second may send").unwrap();
    assert_eq!(timeout(Duration::from_secs(5), serving).await.unwrap().unwrap(), 65_535);
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn a_send_on_a_stream_that_was_reset_says_why() {
    let cases = [
        (h2::Reason::INTERNAL_ERROR, "the http/2 stream was reset: unexpected internal error encountered"),
        (h2::Reason::CANCEL, "broken pipe"),
    ];
    for (reason, text) in cases {
        let (client, mut server) = by_hand().await;
        let serving = tokio::spawn(async move {
            let (_body, mut stream) = accept(&mut server).await;
            let reset = async {
                sleep(Duration::from_secs(1)).await;
                stream.send_reset(reason);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = reset => {}
                _ = async { while server.accept().await.is_some() {} } => {}
            }
        });
        let mut ws = client.open(&Connector::new(URL)).await.unwrap();
        sleep(Duration::from_secs(2)).await;
        let Err(Error::Io(error)) = ws.send("hello").await else { panic!("sent") };
        assert_eq!(error.to_string(), text);
        drop((ws, client));
        serving.await.unwrap();
    }
}
