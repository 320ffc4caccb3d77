//! The loops that programs consist of, over anything that is a `Stream` and a `Sink` of messages.

use std::future::ready;

use futures_util::{Sink, SinkExt, Stream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use crate::Error;

/// How many messages the channel to a writer task holds, and how many such a task takes at once.
pub const QUEUE: usize = 64;

/// How a server receives and sends.
#[derive(Clone, Copy)]
pub enum Shape {
    /// One task that receives a message and sends it.
    Send,
    /// A task that receives, and one that sends what comes through a channel.
    Writer,
    /// The same, but it takes all that the channel holds, feeds it and flushes once.
    Batch,
    /// `StreamExt::forward`.
    Forward,
    /// A task that receives borrowed messages and feeds them; the library's alone.
    Lent,
}

impl Shape {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "send" => Self::Send,
            "writer" => Self::Writer,
            "batch" => Self::Batch,
            "forward" => Self::Forward,
            "lent" => Self::Lent,
            _ => return None,
        })
    }
}

/// Serves a connection, but with `forward`; its halves are those of `StreamExt::split`.
pub async fn run<W, M, E>(mut ws: W, shape: Shape, is_data: fn(&M) -> bool) -> Result<(), Error>
where
    W: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin + Send + 'static,
    M: Send + 'static,
    E: Into<Error> + Send + 'static,
{
    match shape {
        Shape::Send => {
            while let Some(message) = ws.next().await {
                let message = message.map_err(Into::into)?;
                if is_data(&message) {
                    ws.send(message).await.map_err(Into::into)?;
                }
            }
            Ok(())
        }
        Shape::Writer | Shape::Batch => {
            let (sink, mut stream) = ws.split();
            let (tx, rx) = mpsc::channel(QUEUE);
            let writing = if matches!(shape, Shape::Writer) {
                tokio::spawn(write(sink, rx))
            } else {
                tokio::spawn(write_batches(sink, rx))
            };
            while let Some(message) = stream.next().await {
                let message = message.map_err(Into::into)?;
                if is_data(&message) && tx.send(message).await.is_err() {
                    break;
                }
            }
            drop(tx);
            writing.await?.map_err(Into::into)
        }
        Shape::Forward | Shape::Lent => crate::unknown(),
    }
}

/// [`run`], and `forward` of a stream in which `is_data` tells messages from pings and other frames.
pub async fn run_filtered<W, M, E>(ws: W, shape: Shape, is_data: fn(&M) -> bool) -> Result<(), Error>
where
    W: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin + Send + 'static,
    M: Send + 'static,
    E: Into<Error> + Send + 'static,
{
    if !matches!(shape, Shape::Forward) {
        return run(ws, shape, is_data).await;
    }
    let (sink, stream) = ws.split();
    let data = stream.try_filter(|message| ready(is_data(message)));
    data.forward(sink).await.map_err(Into::into)
}

async fn write<M, E>(mut sink: impl Sink<M, Error = E> + Unpin, mut rx: mpsc::Receiver<M>) -> Result<(), E> {
    while let Some(message) = rx.recv().await {
        sink.send(message).await?;
    }
    Ok(())
}

async fn write_batches<M, E>(
    mut sink: impl Sink<M, Error = E> + Unpin,
    mut rx: mpsc::Receiver<M>,
) -> Result<(), E> {
    let mut messages = Vec::with_capacity(QUEUE);
    while rx.recv_many(&mut messages, QUEUE).await > 0 {
        for message in messages.drain(..) {
            sink.feed(message).await?;
        }
        sink.flush().await?;
    }
    Ok(())
}
