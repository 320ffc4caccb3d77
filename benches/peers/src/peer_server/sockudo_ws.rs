//! sockudo-ws: its stream with `send`, with `feed` (its reader flushes before it waits), with a batch by hand, and the
//! raw frames of its own benchmark, which checks no text.

use std::io::IoSlice;

use bytes::{Buf, BytesMut};
use futures_util::{FutureExt, Sink, SinkExt, StreamExt};
use sockudo_ws::deflate::{DeflateConfig, negotiate_server_deflate};
use sockudo_ws::frame::encode_frame_header;
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::protocol::{Message, Protocol};
use sockudo_ws::{CompressedWebSocketStream, Config, OpCode, RawMessage, Role, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::runtime::{self, Room};
use crate::{Deflate, Error, Options, unknown};

/// What may be queued before it is written.
const HIGH_WATER_MARK: usize = 256 << 10;

pub fn run(variant: &str, options: &Options) -> Result<(), Error> {
    if let Some(deflate) = options.deflate {
        return match variant {
            "" => runtime::serve(options, move |stream| async move {
                echo(accept_compressed(stream, deflate).await?).await
            }),
            "feed" => runtime::serve(options, move |stream| async move {
                feed(accept_compressed(stream, deflate).await?).await
            }),
            "batch" => runtime::serve(options, move |stream| async move {
                batch(accept_compressed(stream, deflate).await?).await
            }),
            _ => unknown(),
        };
    }
    match (variant, options.broadcast) {
        ("", false) => runtime::serve(options, |stream| async move { echo(accept(stream).await?).await }),
        ("feed", false) => {
            runtime::serve(options, |stream| async move { feed(accept_to_batch(stream).await?).await })
        }
        ("batch", false) => {
            runtime::serve(options, |stream| async move { batch(accept_to_batch(stream).await?).await })
        }
        ("raw", false) => runtime::serve(options, raw),
        ("", true) => {
            let room = runtime::room();
            runtime::serve(options, move |stream| {
                let room = room.clone();
                async move { broadcast(accept(stream).await?, room).await }
            })
        }
        _ => unknown(),
    }
}

/// The opening handshake; returns what `deflate` agrees on if it is there.
async fn open(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    deflate: Option<&DeflateConfig>,
) -> Result<Option<DeflateConfig>, Error> {
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err("no request".into());
        }
        if let Some((request, consumed)) = parse_request(buffer)? {
            let offers = request.extensions.unwrap_or_default();
            let agreed = deflate.and_then(|deflate| negotiate_server_deflate(offers, deflate));
            let answer = agreed.as_ref().map(|agreed| agreed.to_response_header());
            let response = build_response(&generate_accept_key(request.key), None, answer.as_deref());
            stream.write_all(&response).await?;
            buffer.advance(consumed);
            return Ok(agreed.map(|agreed| agreed.config));
        }
    }
}

async fn accept(mut stream: TcpStream) -> Result<WebSocketStream<TcpStream>, Error> {
    open(&mut stream, &mut BytesMut::with_capacity(4096), None).await?;
    Ok(WebSocketStream::server(stream, Config::default()))
}

async fn accept_to_batch(stream: TcpStream) -> Result<WebSocketStream<TcpStream>, Error> {
    let mut ws = accept(stream).await?;
    ws.set_high_water_mark(HIGH_WATER_MARK);
    Ok(ws)
}

/// Its high-water mark cannot be set.
async fn accept_compressed(
    mut stream: TcpStream,
    deflate: Deflate,
) -> Result<CompressedWebSocketStream<TcpStream>, Error> {
    let settings = DeflateConfig {
        server_max_window_bits: deflate.window_bits().try_into()?,
        client_max_window_bits: deflate.window_bits().try_into()?,
        server_no_context_takeover: deflate.is_shared(),
        client_no_context_takeover: deflate.is_shared(),
        compression_level: Deflate::LEVEL.into(),
        ..DeflateConfig::default()
    };
    let agreed = open(&mut stream, &mut BytesMut::with_capacity(4096), Some(&settings)).await?;
    let agreed = agreed.ok_or("no compression was agreed on")?;
    Ok(CompressedWebSocketStream::server(stream, Config::default(), agreed))
}

/// The plain stream and the compressed one.
trait Stream:
    futures_util::Stream<Item = sockudo_ws::Result<Message>> + Sink<Message, Error = sockudo_ws::Error> + Unpin
{
}
impl Stream for WebSocketStream<TcpStream> {}
impl Stream for CompressedWebSocketStream<TcpStream> {}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}

async fn echo(mut ws: impl Stream) -> Result<(), Error> {
    while let Some(message) = ws.next().await {
        let message = message?;
        if is_data(&message) {
            ws.send(message).await?;
        }
    }
    Ok(())
}

async fn feed(mut ws: impl Stream) -> Result<(), Error> {
    while let Some(message) = ws.next().await {
        let message = message?;
        if is_data(&message) {
            ws.feed(message).await?;
        }
    }
    Ok(())
}

/// Answers all that has come before it flushes.
async fn batch(mut ws: impl Stream) -> Result<(), Error> {
    while let Some(message) = ws.next().await {
        let mut next = Some(message);
        while let Some(message) = next {
            let message = message?;
            if is_data(&message) {
                ws.feed(message).await?;
            }
            next = ws.next().now_or_never().flatten();
        }
        ws.flush().await?;
    }
    Ok(())
}

async fn broadcast(mut ws: WebSocketStream<TcpStream>, room: Room<Message>) -> Result<(), Error> {
    let mut queue = room.subscribe();
    loop {
        tokio::select! {
            message = ws.next() => match message.transpose()? {
                Some(message) if is_data(&message) => _ = room.send(message),
                Some(_) => {}
                None => return Ok(()),
            },
            first = queue.recv() => {
                for message in runtime::waiting(first?, &mut queue) {
                    ws.feed(message?).await?;
                }
                ws.flush().await?;
            }
        }
    }
}

async fn raw(mut stream: TcpStream) -> Result<(), Error> {
    let mut received = BytesMut::with_capacity(sockudo_ws::RECV_BUFFER_SIZE);
    open(&mut stream, &mut received, None).await?;
    let config = Config::default();
    let mut protocol = Protocol::new(Role::Server, config.max_frame_size, config.max_message_size);
    let (mut messages, mut header) = (Vec::new(), BytesMut::with_capacity(sockudo_ws::MAX_FRAME_HEADER_SIZE));
    loop {
        protocol.process_raw_into(&mut received, &mut messages)?;
        for message in messages.drain(..) {
            let (opcode, payload) = match &message {
                RawMessage::Text(payload) => (OpCode::Text, payload.as_ref()),
                RawMessage::Binary(payload) => (OpCode::Binary, payload.as_ref()),
                RawMessage::Ping(payload) => (OpCode::Pong, payload.as_ref()),
                RawMessage::Close(_) => (OpCode::Close, &[][..]),
                RawMessage::Pong(_) => continue,
            };
            header.clear();
            encode_frame_header(&mut header, opcode, payload.len(), true, None);
            write(&mut stream, &header, payload).await?;
            if opcode == OpCode::Close {
                return Ok(());
            }
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

/// Both in one call if the socket takes them.
async fn write(stream: &mut TcpStream, header: &[u8], payload: &[u8]) -> Result<(), Error> {
    let written = stream.write_vectored(&[IoSlice::new(header), IoSlice::new(payload)]).await?;
    if written < header.len() {
        stream.write_all(&header[written..]).await?;
    }
    stream.write_all(&payload[written.saturating_sub(header.len())..]).await?;
    Ok(())
}
