//! fastwebsockets, as its example does over hyper, and over the bare stream.

use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocket, WebSocketError,
    WebSocketWrite, after_handshake_split, upgrade,
};
use futures_util::poll;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::pin::pin;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::runtime::{self, Room};
use crate::{Error, Options, opening, unknown};

pub fn run(variant: &str, options: &Options) -> Result<(), Error> {
    match (variant, options.broadcast) {
        ("", false) => runtime::serve(options, |stream| async move {
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(upgraded));
            Ok(connection.with_upgrades().await?)
        }),
        ("direct", false) => runtime::serve(options, |mut stream| async move {
            opening::accept(&mut stream, None).await?;
            echo(WebSocket::after_handshake(stream, Role::Server)).await
        }),
        ("batch", false) => runtime::serve(options, |stream| async move {
            let (reader, writer) = split(stream).await?;
            batch(reader, writer).await
        }),
        ("batch", true) => {
            let room = runtime::room();
            runtime::serve(options, move |stream| {
                let room = room.clone();
                async move {
                    let (reader, writer) = split(stream).await?;
                    tokio::spawn(deliver(writer, room.clone()));
                    collect(reader, room).await
                }
            })
        }
        _ => unknown(),
    }
}

async fn upgraded(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, upgraded) = upgrade::upgrade(&mut request)?;
    tokio::spawn(tokio::task::unconstrained(async move {
        if let Ok(ws) = upgraded.await {
            let _ = echo(ws).await;
        }
    }));
    Ok(response)
}

async fn echo(ws: WebSocket<impl AsyncRead + AsyncWrite + Unpin>) -> Result<(), Error> {
    let mut ws = FragmentCollector::new(ws);
    loop {
        let frame = ws.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => ws.write_frame(frame).await?,
            _ => {}
        }
    }
}

type Reader = FragmentCollectorRead<OwnedReadHalf>;
type Writer = WebSocketWrite<BufWriter<OwnedWriteHalf>>;

/// Two halves, the writer with a buffer: it has none of its own.
async fn split(mut stream: TcpStream) -> Result<(Reader, Writer), Error> {
    opening::accept(&mut stream, None).await?;
    let (reader, writer) = stream.into_split();
    let writer = BufWriter::with_capacity(64 << 10, writer);
    let (mut reader, mut writer) = after_handshake_split(reader, writer, Role::Server);
    // They want to write while the writer is lent; the loops answer instead.
    reader.set_auto_close(false);
    reader.set_auto_pong(false);
    writer.set_writev(false);
    Ok((FragmentCollectorRead::new(reader), writer))
}

/// Flushes when no more has come.
async fn batch(mut reader: Reader, mut writer: Writer) -> Result<(), Error> {
    loop {
        let frame = {
            let mut no_reply = |_| async { Ok::<_, Error>(()) };
            let mut next = pin!(reader.read_frame(&mut no_reply));
            match poll!(&mut next) {
                Poll::Ready(frame) => frame?,
                Poll::Pending => {
                    writer.flush().await?;
                    next.await?
                }
            }
        };
        match frame.opcode {
            OpCode::Text | OpCode::Binary => writer.write_frame(frame).await?,
            OpCode::Ping => writer.write_frame(Frame::pong(frame.payload)).await?,
            OpCode::Close => {
                writer.write_frame(Frame::close_raw(frame.payload)).await?;
                return Ok(writer.flush().await?);
            }
            _ => {}
        }
    }
}

/// Tells the room what comes.
async fn collect(mut reader: Reader, room: Room<Bytes>) -> Result<(), Error> {
    loop {
        let frame = reader.read_frame(&mut |_| async { Ok::<_, Error>(()) }).await?;
        match frame.opcode {
            OpCode::Binary => _ = room.send(Bytes::copy_from_slice(&frame.payload)),
            OpCode::Close => return Ok(()),
            _ => {}
        }
    }
}

/// Tells the connection what the room hears.
async fn deliver(mut writer: Writer, room: Room<Bytes>) -> Result<(), Error> {
    let mut queue = room.subscribe();
    loop {
        for message in runtime::waiting(queue.recv().await?, &mut queue) {
            writer.write_frame(Frame::binary(Payload::Borrowed(&message?))).await?;
        }
        writer.flush().await?;
    }
}
