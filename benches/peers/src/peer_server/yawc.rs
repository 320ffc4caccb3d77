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
use yawc::{CompressionLevel, DeflateOptions, DeflatePool, Frame, OpCode, Role, WebSocket};

use crate::runtime::{self, Room};
use crate::{Deflate, Error, Options, opening, unknown};

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
            let deflate = options.deflate.map(Extension::new);
            runtime::serve(options, move |stream| {
                let deflate = deflate.clone();
                async move { echo(accept(stream, settings(), deflate).await?).await }
            })
        }
        ("batch", false) => {
            let deflate = options.deflate.map(Extension::new);
            runtime::serve(options, move |stream| {
                // Its own benchmark's settings.
                let settings =
                    settings().with_read_buffer_capacity(128 << 10).with_backpressure_boundary(64 << 10);
                let deflate = deflate.clone();
                async move { batch(accept(stream, settings, deflate).await?).await }
            })
        }
        ("direct", true) => {
            let room = runtime::room();
            runtime::serve(options, move |stream| {
                let room = room.clone();
                async move { broadcast(accept(stream, settings(), None).await?, room).await }
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

/// What is agreed on with every client.
#[derive(Clone)]
struct Extension {
    answer: &'static str,
    settings: DeflateOptions,
}

impl Extension {
    fn new(deflate: Deflate) -> Self {
        let answer = match deflate {
            Deflate::Shared => "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            Deflate::Dedicated => "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        };
        let settings = DeflateOptions {
            level: CompressionLevel::new(Deflate::LEVEL.into()),
            pool: deflate.is_shared().then(|| DeflatePool::new(64)),
            ..DeflateOptions::default()
        };
        Self { answer, settings }
    }
}

async fn accept(
    mut stream: TcpStream,
    mut settings: yawc::Options,
    deflate: Option<Extension>,
) -> Result<WebSocket<TcpStream>, Error> {
    let answer = deflate.as_ref().map(|deflate| deflate.answer);
    settings.compression = deflate.map(|deflate| deflate.settings);
    opening::accept(&mut stream, answer).await?;
    Ok(WebSocket::from_stream_with_extensions(stream, Role::Server, answer, settings)?)
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
