//! The library itself, in all shapes that programs have.

use futures_util::StreamExt;
use sansocket::Message;
use sansocket::tokio::{Acceptor, Error as ConnectionError, ReceiveHalf, SendHalf, WebSocket};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::shapes::{self, QUEUE, Shape};
use crate::{Error, Options, runtime, unknown};

type Sending = SendHalf<TcpStream>;

/// With the library's own halves; the variant `futures` has those that `StreamExt::split` makes of a `Stream` and `Sink`.
pub fn run(variant: &str, options: &Options) -> Result<(), Error> {
    let shape = options.shape.unwrap_or(Shape::Lent);
    match (variant, options.broadcast) {
        ("", false) => runtime::serve(options, move |stream| async move {
            let ws = Box::pin(Acceptor::new().accept(stream)).await?;
            match shape {
                Shape::Send => Ok(send(ws).await?),
                Shape::Lent => Ok(lent(ws).await?),
                _ => halves(ws, shape).await,
            }
        }),
        ("futures", false) => runtime::serve(options, move |stream| async move {
            let ws = Box::pin(Acceptor::new().accept(stream)).await?;
            if matches!(shape, Shape::Forward) {
                let (sink, stream) = StreamExt::split(ws);
                return Ok(stream.forward(sink).await?);
            }
            shapes::run(ws, shape, |_: &Message| true).await
        }),
        _ => unknown(),
    }
}

async fn send(mut ws: WebSocket<TcpStream>) -> Result<(), ConnectionError> {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

async fn lent(mut ws: WebSocket<TcpStream>) -> Result<(), ConnectionError> {
    loop {
        let Some((message, mut tx)) = ws.recv_ref().await? else { return Ok(()) };
        tx.feed(&message).await?;
    }
}

async fn halves(ws: WebSocket<TcpStream>, shape: Shape) -> Result<(), Error> {
    let (mut rx, tx): (ReceiveHalf<TcpStream>, Sending) = ws.split();
    let (queue, queued) = mpsc::channel(QUEUE);
    let writing = match shape {
        Shape::Writer => tokio::spawn(write(tx, queued)),
        Shape::Batch => tokio::spawn(write_batches(tx, queued)),
        _ => return Ok(rx.forward(tx).await?),
    };
    while let Some(message) = rx.recv().await? {
        if queue.send(message).await.is_err() {
            break;
        }
    }
    drop(queue);
    Ok(writing.await??)
}

async fn write(mut tx: Sending, mut queued: mpsc::Receiver<Message<'static>>) -> Result<(), ConnectionError> {
    while let Some(message) = queued.recv().await {
        tx.send(message).await?;
    }
    Ok(())
}

async fn write_batches(
    mut tx: Sending,
    mut queued: mpsc::Receiver<Message<'static>>,
) -> Result<(), ConnectionError> {
    let mut messages = Vec::with_capacity(QUEUE);
    while queued.recv_many(&mut messages, QUEUE).await > 0 {
        for message in messages.drain(..) {
            tx.feed(message).await?;
        }
        tx.flush().await?;
    }
    Ok(())
}
