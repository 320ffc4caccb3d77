//! wtx, as its own server over tokio does, without a pool of buffers.

use tokio::net::TcpStream;
use wtx::collection::Vector;
use wtx::rng::Xorshift64;
use wtx::web_socket::compression::{Flate2, NegotiatedCompression};
use wtx::web_socket::{
    DeflateConfig, OpCode, WebSocketAcceptor, WebSocketBuffer, WebSocketOwned, WebSocketPayloadOrigin,
};

use crate::{Deflate, Error, Options, runtime, unknown};

pub fn run(variant: &str, options: &Options) -> Result<(), Error> {
    if !variant.is_empty() || options.broadcast {
        return unknown();
    }
    match options.deflate {
        None => runtime::serve(options, |stream| async move {
            echo(WebSocketAcceptor::default().wsb(WebSocketBuffer::new()).accept::<_>(stream).await?).await
        }),
        // It knows no context takeover.
        Some(deflate) if deflate.is_shared() => runtime::serve(options, move |stream| async move {
            let settings = DeflateConfig {
                client_max_window_bits: deflate.window_bits().try_into()?,
                compression_level: Deflate::LEVEL.try_into()?,
                server_max_window_bits: deflate.window_bits().try_into()?,
            };
            let acceptor = WebSocketAcceptor::default().compression(Flate2::from(settings));
            echo(acceptor.wsb(WebSocketBuffer::new()).accept::<_>(stream).await?).await
        }),
        Some(_) => unknown(),
    }
}

async fn echo(
    mut ws: WebSocketOwned<impl NegotiatedCompression, Xorshift64, TcpStream, false>,
) -> Result<(), Error> {
    let (mut common, mut reader, mut writer) = ws.split_mut();
    let mut buffer = Vector::new();
    loop {
        let mut frame = reader.read_frame(&mut buffer, &mut common, WebSocketPayloadOrigin::Adaptive).await?;
        match frame.op_code() {
            OpCode::Binary | OpCode::Text => writer.write_frame(&mut common, &mut frame).await?,
            OpCode::Close => return Ok(()),
            _ => {}
        }
        buffer.clear();
    }
}
