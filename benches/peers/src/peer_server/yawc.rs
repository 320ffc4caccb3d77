//! yawc over hyper, as its documentation shows it, and over the bare stream; text is checked, as the others do.

use futures_util::{FutureExt, SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use yawc::{Frame, OpCode, Role, WebSocket};

use crate::runtime::{self, Room};
use crate::{Error, Options, opening, unknown};

/// How many messages are answered before a flush, as in its own benchmark.
const MOST_IN_BATCH: usize = 32;

pub fn run(variant: &str, options: &Options) -> Result<(), Error> {
    match (variant, options.broadcast) {
        ("", false) => runtime::serve(options, |stream| async move {
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(upgraded));
            Ok(connection.with_upgrades().await?)
        }),
        ("direct", false) => {
            runtime::serve(options, |stream| async move { echo(accept(stream, settings()).await?).await })
        }
        ("batch", false) => runtime::serve(options, |stream| async move {
            // Its own benchmark's settings.
            let settings =
                settings().with_read_buffer_capacity(128 << 10).with_backpressure_boundary(64 << 10);
            batch(accept(stream, settings).await?).await
        }),
        ("direct", true) => {
            let room = runtime::room();
            runtime::serve(options, move |stream| {
                let room = room.clone();
                async move { broadcast(accept(stream, settings()).await?, room).await }
            })
        }
        _ => unknown(),
    }
}

fn settings() -> yawc::Options {
    yawc::Options::default().with_utf8().with_limits(16 << 20, 16 << 20)
}

async fn upgraded(mut request: Request<Incoming>) -> yawc::Result<Response<Empty<Bytes>>> {
    let (response, upgraded) = WebSocket::upgrade_with_options(&mut request, settings())?;
    tokio::spawn(async move {
        if let Ok(ws) = upgraded.await {
            let _ = echo(ws).await;
        }
    });
    Ok(response)
}

async fn accept(mut stream: TcpStream, settings: yawc::Options) -> Result<WebSocket<TcpStream>, Error> {
    opening::accept(&mut stream).await?;
    Ok(WebSocket::from_stream(stream, Role::Server, settings)?)
}

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}

async fn echo(mut ws: WebSocket<impl AsyncRead + AsyncWrite + Unpin>) -> Result<(), Error> {
    while let Some(frame) = ws.next().await {
        if is_data(&frame) {
            ws.send(frame).await?;
        }
    }
    Ok(())
}

/// Answers what has come before it flushes.
async fn batch(mut ws: WebSocket<TcpStream>) -> Result<(), Error> {
    while let Some(frame) = ws.next().await {
        let (mut next, mut count) = (Some(frame), 0);
        while let Some(frame) = next {
            if is_data(&frame) {
                ws.feed(frame).await?;
            }
            count += 1;
            next = if count < MOST_IN_BATCH { ws.next().now_or_never().flatten() } else { None };
        }
        ws.flush().await?;
    }
    Ok(())
}

async fn broadcast(mut ws: WebSocket<TcpStream>, room: Room<Bytes>) -> Result<(), Error> {
    let mut queue = room.subscribe();
    loop {
        tokio::select! {
            frame = ws.next() => match frame {
                Some(frame) if is_data(&frame) => _ = room.send(frame.into_payload()),
                Some(_) => {}
                None => return Ok(()),
            },
            first = queue.recv() => {
                for message in runtime::waiting(first?, &mut queue) {
                    ws.feed(Frame::binary(message?)).await?;
                }
                ws.flush().await?;
            }
        }
    }
}
