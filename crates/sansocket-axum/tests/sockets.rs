//! WebSockets of routes, over HTTP/1.1.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use sansocket::deflate::Deflate;
use sansocket::handshake::{ClientRequest, Refusal};
use sansocket::tokio::{Connector, HandshakeError};
use sansocket::{CloseCode, Config};
use sansocket_axum::{
    Error, FailedUpgrade, Group, GroupLayer, Origins, WebSocket, WebSocketUpgrade, testing,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

const URL: &str = "ws://localhost/";

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut ws: WebSocket<S>) {
    while let Ok(Some(message)) = ws.recv().await {
        if ws.send(message).await.is_err() {
            return;
        }
    }
}

fn route<H, T>(handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    Router::new().route("/", any(handler))
}

fn refusal(result: Result<sansocket::tokio::WebSocket<DuplexStream>, Error>) -> Refusal {
    match result {
        Err(Error::Handshake(error)) => match *error {
            HandshakeError::Refusal(refusal) => refusal,
            other => panic!("{other}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_route_echoes() {
    let app = route(async |ws: WebSocketUpgrade<DuplexStream>| ws.on_upgrade(echo));
    let mut client = testing::connect(app, URL).await.unwrap();
    client.send("hello").await.unwrap();
    assert_eq!(client.recv().await.unwrap(), Some("hello".into()));
    client.close(CloseCode::NORMAL, "done").await.unwrap();
    assert!(client.summary().unwrap().clean);
}

#[tokio::test]
async fn what_is_not_for_a_websocket_is_a_proper_response() {
    let app = route(async |ws: WebSocketUpgrade| ws.on_upgrade(echo));
    let mut stream = testing::serve(app);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{response}");
    assert!(response.ends_with("the request needs the header Upgrade: websocket\n"), "{response}");
}

#[tokio::test]
async fn subprotocols_headers_and_compression_are_negotiated() {
    async fn handler(mut ws: WebSocketUpgrade<DuplexStream>, config: State<Arc<Config>>) -> Response {
        assert_eq!(ws.requested_protocols().collect::<Vec<_>>(), ["a", "b"]);
        ws = ws.protocols(["c", "b"]).header("X-Served-By", "me").config(config.0);
        assert_eq!(ws.selected_protocol(), Some("b"));
        ws.on_upgrade(echo)
    }
    let config = Arc::new(Config::new().deflate(Deflate::shared()));
    let app = Router::new().route("/", any(handler)).with_state(config.clone());
    let connector = Connector::new(URL).subprotocol("a").subprotocol("b").config(config);
    let mut client = connector.connect_over(testing::serve(app)).await.unwrap();
    assert_eq!(client.subprotocol(), Some("b"));
    let response = client.response().unwrap();
    assert_eq!(response.header("x-served-by"), Some(&b"me"[..]));
    assert!(response.header("sec-websocket-extensions").unwrap().starts_with(b"permessage-deflate"));
    let text = "compressed ".repeat(1000);
    client.send(&text).await.unwrap();
    assert_eq!(client.recv().await.unwrap(), Some(text.as_str().into()));
}

#[tokio::test]
async fn limits_have_the_names_of_axums_extractor() {
    let app = route(async |ws: WebSocketUpgrade<DuplexStream>| {
        ws.max_message_size(10).max_frame_size(20).max_write_buffer_size(1 << 16).on_upgrade(echo)
    });
    let mut client = testing::connect(app, URL).await.unwrap();
    client.send("eleven bytes").await.unwrap();
    let _ = client.recv().await;
    assert_eq!(client.summary().unwrap().code, CloseCode::TOO_BIG);
}

#[tokio::test]
async fn choices_that_do_not_fit_get_500_and_the_application_is_notified() {
    let (failed, mut failures) = mpsc::unbounded_channel();
    let app = route(async move |mut ws: WebSocketUpgrade<DuplexStream>| {
        ws.set_selected_protocol("never offered");
        ws.on_failed_upgrade(move |error| failed.send(error).unwrap()).on_upgrade(echo)
    });
    let refusal = refusal(testing::connect(app, URL).await);
    assert_eq!(refusal.head().status(), 500);
    assert_eq!(refusal.body(), b"the server cannot open a websocket\n");
    let error = failures.recv().await.unwrap();
    assert_eq!(error.to_string(), "the client did not offer subprotocol \"never offered\"");
    assert!(matches!(error, FailedUpgrade::Rejected(_)));
}

#[tokio::test]
async fn a_configuration_that_cannot_work_gets_500() {
    let app = route(async |ws: WebSocketUpgrade<DuplexStream>| {
        ws.config(Config::new().close_timeout(Duration::ZERO)).on_upgrade(echo)
    });
    assert_eq!(refusal(testing::connect(app, URL).await).head().status(), 500);
}

#[tokio::test]
async fn origins_are_checked() {
    let same = Origins::same();
    let list = Origins::list(["HTTPS://App.example/", "http://other.example:80"]);
    let sub = Origins::matching(|origin| origin.ends_with(".example"));
    // Rule, origin, allowed.
    let cases = [
        (Origins::any(), Some("http://anything"), true),
        (Origins::any(), None, true),
        (Origins::any().required(), None, false),
        (list.clone(), Some("https://app.example"), true),
        (list.clone(), Some("https://app.example:8443"), false),
        (list.clone(), Some("http://app.example"), false),
        (list.clone(), Some("http://other.example"), true),
        (list.clone(), Some("null"), false),
        (list.clone(), Some(""), false),
        (list.clone(), None, true),
        (list.required(), None, false),
        (same.clone(), Some("http://localhost"), true),
        (same.clone(), Some("https://LOCALHOST"), true),
        (same.clone(), Some("http://localhost:80"), true),
        (same.clone(), Some("http://localhost:81"), false),
        (same.clone(), Some("http://localhost.evil"), false),
        (same.clone(), Some("localhost"), false),
        // Pages of an app or an extension are not pages of the host, whatever name they have.
        (same.clone(), Some("app://localhost"), false),
        (same.clone(), Some("://localhost"), false),
        (same, Some("null"), false),
        (sub.clone(), Some("https://a.example"), true),
        (sub, Some("https://a.example.evil"), false),
    ];
    for (origins, origin, allowed) in cases {
        let shown = format!("{origins:?} {origin:?}");
        let app = route(async |ws: WebSocketUpgrade<DuplexStream>| ws.origins(origins).on_upgrade(echo));
        let mut connector = Connector::new(URL);
        if let Some(origin) = origin {
            connector = connector.origin(origin);
        }
        let result = connector.connect_over(testing::serve(app)).await;
        if allowed {
            assert!(result.is_ok(), "{shown}: {result:?}");
        } else {
            let refusal = refusal(result);
            assert_eq!(refusal.head().status(), 403, "{shown}");
            assert_eq!(refusal.body(), b"the origin is not allowed\n");
        }
    }
}

/// Reports whether the raw stream was there.
async fn raw<S: 'static + AsyncRead + AsyncWrite + Unpin + Send>(
    ws: WebSocketUpgrade<S>,
    Extension(report): Extension<mpsc::UnboundedSender<bool>>,
) -> Response {
    ws.on_upgrade(|ws| async move {
        report.send(ws.stream().raw().is_some()).unwrap();
        echo(ws).await;
    })
}

#[tokio::test]
async fn the_raw_stream_is_used_where_its_type_is_known() {
    let (report, mut reports) = mpsc::unbounded_channel();
    let app = Router::new()
        .route("/duplex", any(raw::<DuplexStream>))
        .route("/tcp", any(raw::<TcpStream>))
        .layer(Extension(report));
    for (path, is_raw) in [("duplex", true), ("tcp", false)] {
        let mut client = testing::connect(app.clone(), &format!("{URL}{path}")).await.unwrap();
        client.send("hello").await.unwrap();
        assert_eq!(client.recv().await.unwrap(), Some("hello".into()));
        assert_eq!(reports.recv().await, Some(is_raw), "{path}");
    }
    // `axum::serve` is behind another wrapper.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/tcp", listener.local_addr().unwrap());
    let serving = tokio::spawn(axum::serve(listener, app).into_future());
    let mut client = Connector::new(url).connect().await.unwrap();
    client.send("hello").await.unwrap();
    assert_eq!(client.recv().await.unwrap(), Some("hello".into()));
    assert_eq!(reports.recv().await, Some(true));
    serving.abort();
}

#[tokio::test]
async fn frames_that_come_with_the_request_are_not_lost() {
    for raw in [true, false] {
        let app = match raw {
            true => route(async |ws: WebSocketUpgrade<DuplexStream>| ws.on_upgrade(echo)),
            false => route(async |ws: WebSocketUpgrade<TcpStream>| ws.on_upgrade(echo)),
        };
        let mut stream = testing::serve(app);
        let mut bytes = Vec::new();
        let request = ClientRequest::new(URL.parse().unwrap());
        let _ = request.start([7; 16], Duration::ZERO, &mut bytes).unwrap();
        // "hi", with the mask zero.
        bytes.extend_from_slice(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        stream.write_all(&bytes).await.unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"\x81\x02hi") {
            assert!(stream.read_buf(&mut received).await.unwrap() > 0, "{received:?}");
        }
        assert!(received.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
    }
}

/// Serves `app` until `stop` is used.
async fn serve_until(
    app: Router,
    group: Group,
) -> (String, oneshot::Sender<()>, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let signal = group.shutdown_on(stopped, Duration::from_secs(60));
    let serving = tokio::spawn(axum::serve(listener, app).with_graceful_shutdown(signal).into_future());
    (addr, stop, serving)
}

#[tokio::test]
async fn a_group_closes_all_members_and_refuses_others() {
    let group = Group::new();
    let handler = async |ws: WebSocketUpgrade| ws.on_upgrade(echo);
    let app = Router::new()
        .route("/", any(handler))
        .route("/plain", get(async || "plain"))
        .layer(GroupLayer::new(&group));
    let (addr, stop, serving) = serve_until(app, group.clone()).await;
    let connector = Connector::new(format!("ws://{addr}/"));
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = connector.connect().await.unwrap();
        client.send("hello").await.unwrap();
        assert_eq!(client.recv().await.unwrap(), Some("hello".into()));
        clients.push(client);
    }
    assert_eq!(group.len(), 3);
    stop.send(()).unwrap();
    while !group.is_shutting_down() {
        tokio::task::yield_now().await;
    }
    // Members have not answered yet, so that the server still runs: another one is refused.
    match connector.connect().await {
        Err(Error::Handshake(error)) => assert!(error.to_string().contains("503"), "{error}"),
        other => panic!("{other:?}"),
    }
    for client in &mut clients {
        assert_eq!(client.recv().await.unwrap(), None);
        assert_eq!(client.summary().unwrap().code, CloseCode::GOING_AWAY);
    }
    serving.await.unwrap().unwrap();
    assert!(group.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_waits_no_longer_than_it_is_told() {
    let group = Group::new();
    let member = group.clone();
    let app = route(async move |ws: WebSocketUpgrade<DuplexStream>| {
        // It never receives, so that it cannot close.
        ws.group(&member).on_upgrade(|ws| async move {
            let _ws = ws;
            std::future::pending().await
        })
    });
    let _client = testing::connect(app, URL).await.unwrap();
    let began = tokio::time::Instant::now();
    group.shutdown_on(async {}, Duration::from_secs(7)).await;
    assert_eq!(began.elapsed().as_secs(), 7);
    assert_eq!(group.len(), 1);
}

#[tokio::test]
async fn the_application_is_notified_of_a_failed_upgrade() {
    let (failed, mut failures) = mpsc::unbounded_channel();
    let app = route(async move |ws: WebSocketUpgrade| {
        ws.on_failed_upgrade(move |error| failed.send(error).unwrap()).on_upgrade(echo)
    });
    let (client, server) = tokio::io::duplex(1 << 16);
    // The server forgets to serve it with upgrades.
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(server), TowerToHyperService::new(app));
    let serving = tokio::spawn(connection);
    let _ = Connector::new(URL).connect_over(client).await;
    let error = failures.recv().await.unwrap();
    assert!(matches!(error, FailedUpgrade::Upgrade(_)), "{error}");
    assert!(error.to_string().starts_with("hyper did not hand over the stream: "), "{error}");
    let _ = serving.await.unwrap();
}

#[tokio::test]
async fn a_rejection_can_be_handled() {
    let app = Router::new().route(
        "/",
        any(async |ws: Result<WebSocketUpgrade<DuplexStream>, sansocket_axum::WebSocketUpgradeRejection>| {
            match ws {
                Ok(ws) => ws.on_upgrade(echo),
                Err(rejection) => format!("page instead, {}", rejection.status()).into_response(),
            }
        }),
    );
    let mut stream = testing::serve(app.clone());
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.ends_with("page instead, 426 Upgrade Required"), "{response}");
    assert!(testing::connect(app, URL).await.is_ok());
}
