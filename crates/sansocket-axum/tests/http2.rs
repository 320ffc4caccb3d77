//! WebSockets over HTTP/2 (RFC 8441): our client, axum as the server.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::{any, get};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use sansocket::deflate::Deflate;
use sansocket::hyper::{Http2, Http2Error, Http2Stream};
use sansocket::tokio::{Connector, HandshakeError, WebSocket as ClientSocket};
use sansocket::{CloseCode, Config};
use sansocket_axum::{Error, Group, GroupLayer, Origins, WebSocket, WebSocketUpgrade, testing};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

const URL: &str = "ws://localhost/";

async fn echo(mut ws: WebSocket) {
    while let Ok(Some(message)) = ws.recv().await {
        if ws.send(message).await.is_err() {
            return;
        }
    }
}

fn echo_app() -> Router {
    Router::new().route("/", any(async |ws: WebSocketUpgrade| ws.on_upgrade(echo)))
}

async fn connect(app: Router) -> Http2 {
    Http2::builder().connect_over(testing::serve(app)).await.unwrap()
}

async fn check_echo(ws: &mut ClientSocket<Http2Stream>, text: &str) {
    ws.send(text).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(text.into()));
}

fn refusal(result: Result<ClientSocket<Http2Stream>, Http2Error>) -> (u16, String) {
    match result {
        Err(Http2Error::Open(Error::Handshake(error))) => match *error {
            HandshakeError::Refusal(refusal) => {
                assert!(refusal.is_complete());
                (refusal.head().status(), String::from_utf8(refusal.body().to_vec()).unwrap())
            }
            other => panic!("{other}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_connection_carries_many_websockets() {
    let connection = connect(echo_app()).await;
    let mut sockets = Vec::new();
    for _ in 0..100 {
        sockets.push(connection.open(&Connector::new(URL)).await.unwrap());
    }
    for (number, ws) in sockets.iter_mut().enumerate() {
        check_echo(ws, &format!("number {number}")).await;
    }
    for mut ws in sockets {
        ws.close(CloseCode::NORMAL, "done").await.unwrap();
        assert!(ws.summary().unwrap().clean);
    }
    // The connection goes on.
    check_echo(&mut connection.open(&Connector::new(URL)).await.unwrap(), "again").await;
}

#[tokio::test]
async fn subprotocols_headers_and_compression_are_negotiated() {
    async fn handler(ws: WebSocketUpgrade) -> Response {
        assert!(ws.is_http2());
        assert_eq!(ws.key(), None);
        let config = Config::new().deflate(Deflate::dedicated());
        ws.protocols(["b"]).header("X-Served-By", "me").config(config).on_upgrade(echo)
    }
    let connection = connect(Router::new().route("/", any(handler))).await;
    let connector = Connector::new(URL)
        .subprotocol("a")
        .subprotocol("b")
        .config(Config::new().deflate(Deflate::dedicated()));
    let mut ws = connection.open(&connector).await.unwrap();
    assert_eq!(ws.subprotocol(), Some("b"));
    let response = ws.response().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.header("x-served-by"), Some(&b"me"[..]));
    assert!(response.header("sec-websocket-extensions").unwrap().starts_with(b"permessage-deflate"));
    assert_eq!(response.header("sec-websocket-accept"), None);
    check_echo(&mut ws, &"compressed ".repeat(1000)).await;
}

#[tokio::test]
async fn large_messages_pass() {
    let connection = connect(
        Router::new()
            .route("/", any(async |ws: WebSocketUpgrade| ws.max_message_size(16 << 20).on_upgrade(echo))),
    )
    .await;
    let connector = Connector::new(URL).config(Config::new().max_message_size(16 << 20));
    let mut ws = connection.open(&connector).await.unwrap();
    let large = vec![7u8; 16 << 20];
    // The echo comes back while the message is still being sent.
    ws.send(large.as_slice()).await.unwrap();
    let back = ws.recv().await.unwrap().unwrap();
    assert!(back.as_bytes() == large);
}

#[tokio::test]
async fn refusals_show_status_headers_and_body() {
    let app = Router::new()
        .route("/", any(async |ws: WebSocketUpgrade| ws.origins(Origins::same()).on_upgrade(echo)))
        .route("/get", get(async |ws: WebSocketUpgrade| ws.on_upgrade(echo)))
        .route("/plain", any(async || "no websocket here"));
    let connection = connect(app).await;
    let other = Connector::new(URL).origin("http://evil.example");
    assert_eq!(refusal(connection.open(&other).await), (403, "the origin is not allowed\n".into()));
    // The scheme counts: it is known over HTTP/2.
    let secure = Connector::new(URL).origin("https://localhost");
    assert_eq!(refusal(connection.open(&secure).await).0, 403);
    let same = Connector::new(URL).origin("http://localhost");
    check_echo(&mut connection.open(&same).await.unwrap(), "same").await;
    assert_eq!(refusal(connection.open(&Connector::new("ws://localhost/none")).await).0, 404);
    // A route for `get` only does not see the CONNECT of HTTP/2.
    assert_eq!(refusal(connection.open(&Connector::new("ws://localhost/get")).await).0, 405);
}

#[tokio::test]
async fn a_response_that_opens_no_websocket_is_an_error() {
    // Answers 200 to a CONNECT, with a subprotocol that nobody offered.
    let app = Router::new().route("/", any(async || [("Sec-WebSocket-Protocol", "chat")]));
    let connection = connect(app).await;
    let error = connection.open(&Connector::new(URL)).await.unwrap_err();
    assert!(error.to_string().contains("chose subprotocol \"chat\", which was not offered"), "{error}");
}

/// Serves without extended CONNECT.
fn serve_plain_http2(app: Router) -> DuplexStream {
    let (client, server) = duplex(1 << 16);
    tokio::spawn(
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(server), TowerToHyperService::new(app)),
    );
    client
}

#[tokio::test]
async fn a_server_without_websockets_over_http2_is_a_typed_error() {
    let stream = serve_plain_http2(echo_app());
    let error = Http2::builder().connect_over(stream).await.unwrap_err();
    assert!(matches!(error, Http2Error::NoExtendedConnect), "{error}");
    assert!(error.needs_http1());
}

/// Delays what the server sends.
fn delay(mut server: DuplexStream, by: Duration) -> DuplexStream {
    let (client, mut middle) = duplex(1 << 16);
    tokio::spawn(async move {
        let (mut from, mut to) = ([0; 4096], [0; 4096]);
        let mut late = true;
        loop {
            tokio::select! {
                len = middle.read(&mut from) => {
                    let len = len.unwrap_or(0);
                    if len == 0 || server.write_all(&from[..len]).await.is_err() { return }
                }
                len = server.read(&mut to) => {
                    let len = len.unwrap_or(0);
                    if late {
                        tokio::time::sleep(by).await;
                        late = false;
                    }
                    if len == 0 || middle.write_all(&to[..len]).await.is_err() { return }
                }
            }
        }
    });
    client
}

#[tokio::test(start_paused = true)]
async fn late_settings_are_waited_for() {
    let late = Duration::from_millis(500);
    let began = tokio::time::Instant::now();
    let with = Http2::builder().connect_over(delay(testing::serve(echo_app()), late)).await.unwrap();
    assert!(began.elapsed() >= late);
    check_echo(&mut with.open(&Connector::new(URL)).await.unwrap(), "late").await;
    let without = Http2::builder().connect_over(delay(serve_plain_http2(echo_app()), late)).await;
    assert!(matches!(without, Err(Http2Error::NoExtendedConnect)), "{without:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_times_out() {
    let (client, _server) = duplex(1 << 16);
    let error = Http2::builder().timeout(Duration::from_secs(3)).connect_over(client).await.unwrap_err();
    assert!(matches!(error, Http2Error::Open(Error::Connect(_))), "{error}");
    // Nor a route that never answers.
    let app = Router::new().route("/", any(async || std::future::pending::<()>().await));
    let connection = connect(app).await;
    let error = connection.open(&Connector::new(URL).timeout(Duration::from_secs(2))).await.unwrap_err();
    assert!(error.to_string().contains("the opening handshake"), "{error}");
}

/// A server that speaks HTTP/2 by hand.
async fn by_hand() -> (Http2, h2::server::Connection<DuplexStream, bytes::Bytes>) {
    let (client, server) = duplex(1 << 16);
    let connecting = tokio::spawn(Http2::builder().connect_over(client));
    let mut builder = h2::server::Builder::new();
    let mut connection = builder.enable_connect_protocol().handshake(server).await.unwrap();
    // Polled, so that the settings leave and the ping is answered.
    let http2 = tokio::select! {
        http2 = connecting => http2.unwrap().unwrap(),
        _ = connection.accept() => panic!("no request yet"),
    };
    (http2, connection)
}

#[tokio::test]
async fn resets_are_typed_in_every_state() {
    for (reason, open) in [
        (h2::Reason::REFUSED_STREAM, false),
        (h2::Reason::INTERNAL_ERROR, true),
        (h2::Reason::CANCEL, true),
        (h2::Reason::NO_ERROR, true),
    ] {
        let (client, mut server) = by_hand().await;
        let connector = Connector::new(URL);
        let (opened, serving) = tokio::join!(client.open(&connector), async {
            let (_, mut respond) = server.accept().await.unwrap().unwrap();
            if open {
                let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
                stream.send_reset(reason);
            } else {
                respond.send_reset(reason);
            }
            // It goes on, so that what was decided leaves.
            tokio::spawn(async move { while server.accept().await.is_some() {} }).abort_handle()
        });
        match (opened, open) {
            (Err(Http2Error::Reset { code }), false) => assert_eq!(code, u32::from(reason)),
            // A reset overtakes the response of its stream.
            (Err(Http2Error::Reset { code }), true) => assert_eq!(code, u32::from(reason)),
            (Ok(mut ws), true) => {
                let error = ws.recv().await.unwrap_err();
                match reason {
                    h2::Reason::INTERNAL_ERROR => {
                        let Error::Io(error) = error else { panic!("{error}") };
                        let inner = error.get_ref().unwrap().downcast_ref::<Http2Error>().unwrap();
                        assert!(matches!(inner, Http2Error::Reset { code: 2 }), "{inner:?}");
                    }
                    _ => assert!(
                        matches!(error, Error::Connection(sansocket::Error::UnexpectedEof)),
                        "{error}"
                    ),
                }
                assert_eq!(ws.summary().unwrap().code, CloseCode::ABNORMAL);
            }
            (other, _) => panic!("{other:?}"),
        }
        drop(client);
        serving.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn goaway_is_typed_for_streams_that_were_not_processed() {
    let (client, mut server) = by_hand().await;
    let serving = tokio::spawn(async move {
        let (_, mut respond) = server.accept().await.unwrap().unwrap();
        let stream = respond.send_response(http::Response::new(()), false).unwrap();
        // The response leaves; the second request is not taken.
        tokio::select! {
            biased;
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            _ = async { while server.accept().await.is_some() {} } => {}
        }
        server.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
        while server.accept().await.is_some() {}
        drop(stream);
    });
    let mut ws = client.open(&Connector::new(URL)).await.unwrap();
    let error = ws.recv().await.unwrap_err();
    assert!(matches!(error, Error::Io(_)), "{error}");
    assert_eq!(ws.summary().unwrap().code, CloseCode::ABNORMAL);
    let error = client.open(&Connector::new(URL)).await.unwrap_err();
    assert!(matches!(error, Http2Error::GoAway { code: 11 }), "{error:?}");
    serving.await.unwrap();
}

/// Sends one request by hand: status, headers and body of the response.
async fn ask(request: http::Request<()>, protocol: Option<&str>) -> (u16, http::HeaderMap, String) {
    let stream = testing::serve(echo_app());
    let (send, mut connection) = h2::client::handshake(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    tokio::spawn(connection);
    pings.ping(h2::Ping::opaque()).await.unwrap();
    let mut request = request;
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(h2::ext::Protocol::from(protocol));
    }
    let mut send = send.ready().await.unwrap();
    let (response, _stream) = send.send_request(request, false).unwrap();
    let (parts, mut body) = response.await.unwrap().into_parts();
    let mut text = Vec::new();
    if parts.status != 200 {
        while let Some(Ok(data)) = body.data().await {
            text.extend_from_slice(&data);
        }
    }
    (parts.status.as_u16(), parts.headers, String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn requests_are_checked_as_over_http1() {
    let connect = || http::Request::connect("http://localhost/").header("sec-websocket-version", "13");
    let valid = connect().body(()).unwrap();
    assert_eq!(ask(valid.clone(), Some("websocket")).await.0, 200);
    // RFC 8441 §5: the key is not used.
    let with_key = connect().header("sec-websocket-key", "nonsense").body(()).unwrap();
    assert_eq!(ask(with_key, Some("websocket")).await.0, 200);

    let (status, _, text) = ask(valid.clone(), Some("connect-udp")).await;
    assert_eq!((status, text.as_str()), (501, "the :protocol is \"connect-udp\", not websocket\n"));
    let get = http::Request::get("http://localhost/").header("sec-websocket-version", "13").body(()).unwrap();
    let (status, headers, _) = ask(get, None).await;
    assert_eq!((status, headers["allow"].as_bytes()), (405, &b"CONNECT"[..]));

    let without = http::Request::connect("http://localhost/").body(()).unwrap();
    let (status, headers, text) = ask(without, Some("websocket")).await;
    assert_eq!((status, headers["sec-websocket-version"].as_bytes()), (400, &b"13"[..]));
    assert_eq!(text, "a request has one Sec-WebSocket-Version header with the number 13\n");
    assert!(!headers.contains_key("upgrade"));
    // Header, value, status.
    let cases = [
        ("sec-websocket-version", "8", 400),
        ("sec-websocket-protocol", "a, a", 400),
        ("sec-websocket-extensions", "a;;b", 400),
        ("origin", "http://a\u{e4}", 400),
        ("host", "elsewhere", 400),
        ("host", "LOCALHOST", 200),
        ("content-length", "0", 400),
        ("expect", "100-continue", 417),
        ("sec-websocket-protocol", "a, b", 200),
    ];
    for (name, value, status) in cases {
        let request = connect().header(name, value).body(()).unwrap();
        let (got, _, text) = ask(request, Some("websocket")).await;
        assert_eq!(got, status, "{name}: {value}: {text}");
    }
    let version =
        http::Request::connect("http://localhost/").header("sec-websocket-version", "8").body(()).unwrap();
    let (status, headers, _) = ask(version, Some("websocket")).await;
    assert_eq!((status, headers["sec-websocket-version"].as_bytes()), (400, &b"13"[..]));
    let scheme =
        http::Request::connect("ftp://localhost/").header("sec-websocket-version", "13").body(()).unwrap();
    assert_eq!(ask(scheme, Some("websocket")).await.0, 400);
}

#[tokio::test]
async fn a_graceful_shutdown_closes_the_websockets_of_a_connection() {
    let group = Group::new();
    let app = echo_app().layer(GroupLayer::new(&group));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let signal = group.shutdown_on(stopped, Duration::from_secs(60));
    let serving = tokio::spawn(axum::serve(listener, app).with_graceful_shutdown(signal).into_future());
    let url = format!("ws://{addr}/");
    let connection = Http2::connect(&Connector::new(&url)).await.unwrap();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut ws = connection.open(&Connector::new(&url)).await.unwrap();
        check_echo(&mut ws, "hello").await;
        sockets.push(ws);
    }
    assert_eq!(group.len(), 3);
    stop.send(()).unwrap();
    while !group.is_shutting_down() {
        tokio::task::yield_now().await;
    }
    let refused = refusal(connection.open(&Connector::new(&url)).await);
    assert_eq!(refused, (503, "the server is shutting down\n".into()));
    for ws in &mut sockets {
        assert_eq!(ws.recv().await.unwrap(), None);
        assert_eq!(ws.summary().unwrap().code, CloseCode::GOING_AWAY);
    }
    drop((sockets, connection));
    serving.await.unwrap().unwrap();
}

/// Sends without end to a client, on request.
fn flood_app(go: Arc<Semaphore>) -> Router {
    Router::new().route("/", any(async |ws: WebSocketUpgrade| ws.on_upgrade(echo))).route(
        "/flood",
        any(async move |ws: WebSocketUpgrade| {
            ws.on_upgrade(async move |mut ws: WebSocket| {
                let _permit = go.acquire().await;
                while ws.send(vec![0u8; 16 << 10]).await.is_ok() {}
            })
        }),
    )
}

/// Whether an echo passes beside so many WebSockets that do not read; the client tolerates 3.
async fn passes_beside(stalled: u32) -> bool {
    let go = Arc::new(Semaphore::new(1000));
    let stream = testing::serve(flood_app(go));
    let builder = Http2::builder().stream_window(1 << 16).stalled_streams(3);
    let connection = builder.connect_over(stream).await.unwrap();
    let mut ws = connection.open(&Connector::new(URL)).await.unwrap();
    check_echo(&mut ws, "before").await;
    let mut stalling = Vec::new();
    for _ in 0..stalled {
        stalling.push(connection.open(&Connector::new("ws://localhost/flood")).await.unwrap());
    }
    // Time is simulated: it passes when nobody can go on, so that the windows are full.
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokio::time::timeout(Duration::from_secs(5), check_echo(&mut ws, "after")).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn websockets_that_do_not_read_do_not_delay_others_up_to_the_number_set() {
    assert!(passes_beside(3).await);
    // Beyond it the window of the connection is used up: the others wait until one of these reads or ends.
    assert!(!passes_beside(4).await);
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_without_end_leave_nothing_behind() {
    let group = Group::new();
    let stream = testing::serve(echo_app().layer(GroupLayer::new(&group)));
    let (send, mut connection) = h2::client::handshake(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    let running = tokio::spawn(connection);
    pings.ping(h2::Ping::opaque()).await.unwrap();
    let handle = send;
    for _ in 0..1000 {
        let Ok(mut send) = handle.clone().ready().await else { break };
        let mut request = http::Request::connect("http://localhost/")
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        let Ok((_, mut stream)) = send.send_request(request, false) else { break };
        stream.send_reset(h2::Reason::CANCEL);
        tokio::task::yield_now().await;
        assert!(group.len() <= 1000, "{} members", group.len());
    }
    drop(handle);
    let _ = running.await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(group.len(), 0);
}

#[tokio::test]
async fn a_dropped_future_resets_its_stream() {
    let (entered, mut entries) = mpsc::unbounded_channel();
    let app = Router::new()
        .route(
            "/slow",
            any(async move |_: WebSocketUpgrade| {
                entered.send(()).unwrap();
                std::future::pending::<()>().await;
            }),
        )
        .merge(echo_app());
    let connection = connect(app).await;
    let connector = Connector::new("ws://localhost/slow");
    tokio::select! {
        _ = connection.open(&connector) => panic!("opened"),
        _ = entries.recv() => {}
    }
    check_echo(&mut connection.open(&Connector::new(URL)).await.unwrap(), "others go on").await;
}

#[tokio::test]
async fn dropping_all_handles_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        builder.http2().enable_connect_protocol();
        let service = TowerToHyperService::new(echo_app());
        builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await.is_ok()
    });
    let stream = TcpStream::connect(addr).await.unwrap();
    let connection = Http2::builder().connect_over(stream).await.unwrap();
    let mut ws = connection.open(&Connector::new(URL)).await.unwrap();
    drop(connection);
    check_echo(&mut ws, "still open").await;
    drop(ws);
    assert!(serving.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_opening_waits_for_a_free_stream() {
    let (client, server) = duplex(1 << 16);
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(1).enable_connect_protocol();
    tokio::spawn(builder.serve_connection(TokioIo::new(server), TowerToHyperService::new(echo_app())));
    let connection = Http2::builder().connect_over(client).await.unwrap();
    let connector = Connector::new(URL).timeout(Duration::from_secs(5));
    let mut first = connection.open(&connector).await.unwrap();
    // It gives up in time, and takes nothing with it.
    let error = connection.open(&connector).await.unwrap_err();
    assert!(matches!(error, Http2Error::Open(Error::Connect(_))), "{error:?}");
    let (second, closed) = tokio::join!(connection.open(&connector), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        first.close(CloseCode::NORMAL, "").await
    });
    closed.unwrap();
    check_echo(&mut second.unwrap(), "second").await;
}

/// Whether an echo passes beside so many WebSockets that the server does not read; its windows tolerate 3.
async fn passes_beside_unread(stalled: u32) -> bool {
    let app = echo_app().route(
        "/stall",
        any(async |ws: WebSocketUpgrade| {
            ws.on_upgrade(async |ws: WebSocket| {
                let _ws = ws;
                std::future::pending::<()>().await;
            })
        }),
    );
    let (client, server) = duplex(1 << 16);
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .enable_connect_protocol()
        .initial_stream_window_size(1 << 16)
        .initial_connection_window_size(4 << 16);
    tokio::spawn(builder.serve_connection(TokioIo::new(server), TowerToHyperService::new(app)));
    let connection = Http2::builder().connect_over(client).await.unwrap();
    let mut ws = connection.open(&Connector::new(URL)).await.unwrap();
    check_echo(&mut ws, "before").await;
    for _ in 0..stalled {
        let mut stalling = connection.open(&Connector::new("ws://localhost/stall")).await.unwrap();
        tokio::spawn(async move { while stalling.send(vec![0u8; 16 << 10]).await.is_ok() {} });
    }
    // Time is simulated: it passes when nobody can go on, so that the windows are full.
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokio::time::timeout(Duration::from_secs(5), check_echo(&mut ws, "after")).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn websockets_that_a_server_does_not_read_do_not_delay_others_up_to_its_window() {
    assert!(passes_beside_unread(3).await);
    assert!(!passes_beside_unread(4).await);
}
