//! An echo server with hyper alone, over HTTP/1.1 and HTTP/2 by prior knowledge, on one thread.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use sansocket::handshake::Acceptance;
use sansocket::hyper::{Stream, upgrade};
use sansocket::tokio::{Error, WebSocket};
use tokio::net::TcpListener;

const HELP: &str = "\
usage: echo_hyper [ADDR]

Echoes every message; ADDR is 127.0.0.1:9001 by default. It speaks HTTP/1.1, and HTTP/2 to clients that begin with it.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let addr = match std::env::args().nth(1) {
        Some(option) if option.starts_with('-') => {
            println!("{HELP}");
            std::process::exit(i32::from(option != "--help"));
        }
        addr => addr.unwrap_or_else(|| "127.0.0.1:9001".into()),
    };
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http2().enable_connect_protocol();
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
        let builder = builder.clone();
        tokio::spawn(async move {
            let service = service_fn(answer);
            if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let answer = upgrade(&mut request).and_then(|upgrade| {
        upgrade.on_upgrade(&Acceptance::new(), async |opened| {
            let end = match opened {
                Ok(mut ws) => echo(&mut ws).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = end {
                eprintln!("{error}");
            }
        })
    });
    Ok(answer.unwrap_or_else(|rejection| rejection.into_response()).map(Full::new))
}

async fn echo(ws: &mut WebSocket<Stream>) -> Result<(), Error> {
    loop {
        let Some((message, mut tx)) = ws.recv_ref().await? else { return Ok(()) };
        tx.feed(&message).await?;
    }
}
