//! An echo server with axum, over HTTP/1.1 and HTTP/2, on one thread.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{Html, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sansocket_axum::sansocket::deflate::Deflate;
use sansocket_axum::{Config, Group, GroupLayer, Origins, WebSocket, WebSocketUpgrade};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const HELP: &str = "\
usage: echo_axum [ADDR] [--tls CERT KEY] [--deflate[=shared|dedicated]] [--origin ORIGIN]... [--max-message BYTES]

Echoes every message on /; ADDR is 127.0.0.1:9001 by default, BYTES 16777216. It speaks HTTP/1.1 and HTTP/2: by ALPN with
TLS, by prior knowledge without. SIGTERM closes all connections with 1001 and ends.
  --tls CERT KEY   serves https: and wss: with a certificate chain and a private key in PEM
  --origin ORIGIN  refuses web pages of other origins; can be given several times
  /page            a page that opens a WebSocket and shows what comes back, and over which protocol";

/// The bytes that a stream may send before it is read.
const STREAM_WINDOW: u32 = 1 << 20;
/// So many WebSockets of one connection may stop reading before the others starve.
const STALLED_STREAMS: u32 = 31;

struct Options {
    addr: String,
    tls: Option<(String, String)>,
    origins: Origins,
    config: Arc<Config>,
}

fn parse_options() -> Result<Option<Options>, String> {
    let (mut addr, mut tls, mut origins) = ("127.0.0.1:9001".to_owned(), None, Vec::new());
    let mut config = Config::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" | "-h" => return Ok(None),
            "--tls" => tls = Some(args.next().zip(args.next()).ok_or("--tls takes two files")?),
            "--deflate" | "--deflate=shared" => config = config.deflate(Deflate::shared()),
            "--deflate=dedicated" => config = config.deflate(Deflate::dedicated()),
            "--origin" => origins.push(args.next().ok_or("--origin takes an origin")?),
            "--max-message" => {
                let bytes = args.next().and_then(|bytes| bytes.parse().ok());
                config = config.max_message_size(bytes.ok_or("--max-message takes a number of bytes")?);
            }
            other if other.starts_with('-') => return Err(format!("unknown option {other}")),
            _ => addr = arg,
        }
    }
    let origins = if origins.is_empty() { Origins::any() } else { Origins::list(origins) };
    Ok(Some(Options { addr, tls, origins, config: Arc::new(config) }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = match parse_options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return Ok(());
        }
        Err(error) => return Err(format!("{error}\n\n{HELP}").into()),
    };
    let tls = options.tls.as_ref().map(|(cert, key)| acceptor(cert, key)).transpose()?;
    let group = Group::new();
    // The type of the streams, so that HTTP/1.1 gives them back.
    let routes = match &tls {
        None => routes::<TcpStream>(),
        Some(_) => routes::<TlsStream<TcpStream>>(),
    };
    let app = routes
        .layer(GroupLayer::new(&group))
        .layer(Extension(options.origins))
        .layer(Extension(options.config));
    let listener = TcpListener::bind(&options.addr).await?;
    println!("listening on {}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = group.shutdown_on(async move { terminate.recv().await }, Duration::from_secs(20));
    tokio::select! {
        () = accept_connections(listener, tls, app) => {}
        () = stop => println!("closed"),
    }
    Ok(())
}

/// `axum::serve` does the same without TLS, but it sets neither the windows of HTTP/2 nor its keepalive.
async fn accept_connections(listener: TcpListener, tls: Option<TlsAcceptor>, app: Router) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .keep_alive_interval(Duration::from_secs(30))
        .max_concurrent_streams(256)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * (STALLED_STREAMS + 1));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, perhaps: some connection will end.
                eprintln!("no connection taken: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (builder, tls, app) = (builder.clone(), tls.clone(), app.clone());
        tokio::spawn(async move {
            if let Err(error) = serve(stream, builder, tls, app).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn serve(
    stream: TcpStream,
    builder: Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    app: Router,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let service = TowerToHyperService::new(app);
    match tls {
        None => builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await,
        Some(tls) => {
            let stream = timeout(Duration::from_secs(10), tls.accept(stream)).await??;
            builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await
        }
    }
}

fn acceptor(cert: &str, key: &str) -> Result<TlsAcceptor, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn routes<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>() -> Router {
    Router::new()
        // `any`, since the method is CONNECT over HTTP/2.
        .route("/", any(upgrade::<S>))
        .route("/page", get(async || Html(include_str!("page.html"))))
        .route("/page/socket", any(upgrade_page::<S>))
}

async fn upgrade<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    ws: WebSocketUpgrade<S>,
    Extension(origins): Extension<Origins>,
    Extension(config): Extension<Arc<Config>>,
) -> Response {
    ws.origins(origins)
        .config(config)
        .on_failed_upgrade(|error| eprintln!("{error}"))
        // Not `async |mut ws|`, whose future has room for the connection twice: 536 bytes more for each.
        .on_upgrade(|mut ws| async move { report(echo(&mut ws).await) })
}

/// Says first which protocol it runs over.
async fn upgrade_page<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    ws: WebSocketUpgrade<S>,
    Extension(origins): Extension<Origins>,
    Extension(config): Extension<Arc<Config>>,
) -> Response {
    let version = if ws.is_http2() { "HTTP/2" } else { "HTTP/1.1" };
    ws.origins(origins).config(config).on_failed_upgrade(|error| eprintln!("{error}")).on_upgrade(
        move |mut ws| async move {
            report(match ws.send(version).await {
                Ok(()) => echo(&mut ws).await,
                Err(error) => Err(error),
            });
        },
    )
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(ws: &mut WebSocket<S>) -> Result<(), sansocket_axum::Error> {
    loop {
        // Not `while let`: it would keep the message in three places of the future.
        let Some((message, mut tx)) = ws.recv_ref().await? else { return Ok(()) };
        tx.feed(&message).await?;
    }
}

fn report(end: Result<(), sansocket_axum::Error>) {
    if let Err(error) = end {
        eprintln!("{error}");
    }
}
