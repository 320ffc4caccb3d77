//! tokio-websockets with its defaults.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_websockets::{Message, ServerBuilder, WebSocketStream};

use crate::runtime::{self, Room};
use crate::shapes;
use crate::{Error, Options, unknown};

pub fn run(variant: &str, options: &Options) -> Result<(), Error> {
    if let (Some(shape), "") = (options.shape, variant) {
        return runtime::serve(options, move |stream| async move {
            shapes::run_filtered(accept(stream).await?, shape, is_data).await
        });
    }
    match (variant, options.broadcast) {
        ("", false) => runtime::serve(options, |stream| async move { echo(accept(stream).await?).await }),
        ("batch", false) => {
            runtime::serve(options, |stream| async move { batch(accept(stream).await?).await })
        }
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

async fn accept(stream: TcpStream) -> Result<WebSocketStream<TcpStream>, Error> {
    Ok(ServerBuilder::new().accept(stream).await?.1)
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}

async fn echo(mut ws: WebSocketStream<TcpStream>) -> Result<(), Error> {
    while let Some(message) = ws.next().await {
        let message = message?;
        if is_data(&message) {
            ws.send(message).await?;
        }
    }
    Ok(())
}

/// Takes all that has come before it answers, as its `poll_next` flushes what has been fed.
async fn batch(mut ws: WebSocketStream<TcpStream>) -> Result<(), Error> {
    let mut messages = Vec::new();
    while let Some(message) = ws.next().await {
        let mut next = Some(message);
        while let Some(message) = next {
            messages.push(message?);
            next = ws.next().now_or_never().flatten();
        }
        for message in messages.drain(..).filter(is_data) {
            ws.feed(message).await?;
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
