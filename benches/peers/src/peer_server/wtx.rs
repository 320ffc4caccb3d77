//! wtx, as its own server over tokio does, without a pool of buffers.

use tokio::net::TcpStream;
use wtx::collection::Vector;
use wtx::web_socket::{OpCode, WebSocketAcceptor, WebSocketBuffer, WebSocketPayloadOrigin};

use crate::{Error, Options, runtime, unknown};

pub fn run(variant: &str, options: &Options) -> Result<(), Error> {
    if !variant.is_empty() || options.broadcast {
        return unknown();
    }
    runtime::serve(options, echo)
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let mut ws = WebSocketAcceptor::default().wsb(WebSocketBuffer::new()).accept::<_>(stream).await?;
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
