//! web-socket over a buffered stream: it reads a frame's header and payload from the stream as it needs them.

use std::pin::pin;
use std::task::Poll;

use futures_util::poll;
use tokio::io::{AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use web_socket::{CloseCode, DataType, Event, MessageType, WebSocket};

use crate::{Error, Options, opening, runtime, unknown};

pub fn run(variant: &str, options: &Options) -> Result<(), Error> {
    match (variant, options.broadcast) {
        ("", false) => runtime::serve(options, |mut stream| async move {
            opening::accept(&mut stream, None).await?;
            echo(stream).await
        }),
        ("batch", false) => runtime::serve(options, |mut stream| async move {
            opening::accept(&mut stream, None).await?;
            batch(stream).await
        }),
        _ => unknown(),
    }
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let mut ws = WebSocket::server(BufReader::new(stream));
    loop {
        match ws.recv_event().await? {
            Event::Data { ty: DataType::Complete(MessageType::Text), data } => {
                ws.send(std::str::from_utf8(&data)?).await?;
            }
            Event::Data { ty: DataType::Complete(MessageType::Binary), data } => ws.send(&data[..]).await?,
            Event::Data { .. } => return Err("fragments are not sent".into()),
            Event::Ping(data) => ws.send_pong(data).await?,
            Event::Pong(_) => {}
            Event::Error(_) => return Ok(ws.close(CloseCode::ProtocolError).await?),
            Event::Close { .. } => return Ok(ws.close(()).await?),
        }
    }
}

/// Flushes when no more has come.
async fn batch(stream: TcpStream) -> Result<(), Error> {
    let (reader, writer) = stream.into_split();
    let mut reader = WebSocket::server(BufReader::with_capacity(64 << 10, reader));
    let mut writer = WebSocket::server(BufWriter::with_capacity(64 << 10, writer));
    loop {
        let event = {
            let mut next = pin!(reader.recv_event());
            match poll!(&mut next) {
                Poll::Ready(event) => event?,
                Poll::Pending => {
                    writer.stream.flush().await?;
                    next.await?
                }
            }
        };
        match event {
            Event::Data { ty: DataType::Complete(MessageType::Text), data } => {
                writer.send(std::str::from_utf8(&data)?).await?;
            }
            Event::Data { ty: DataType::Complete(MessageType::Binary), data } => {
                writer.send(&data[..]).await?
            }
            Event::Data { .. } => return Err("fragments are not sent".into()),
            Event::Ping(data) => writer.send_pong(data).await?,
            Event::Pong(_) => {}
            Event::Error(_) => return Ok(writer.close(CloseCode::ProtocolError).await?),
            Event::Close { .. } => return Ok(writer.close(()).await?),
        }
    }
}
