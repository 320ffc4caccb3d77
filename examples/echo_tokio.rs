//! An echo server over tokio, on one thread.

mod options;

use std::sync::Arc;
use std::time::Duration;

use sansocket::tokio::{Acceptor, Error, WebSocket};
use sansocket::{CloseCode, Prepared};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::TryRecvError};

const HELP: &str = "\
usage: echo_tokio [ADDR] [--max-message BYTES] [--ping SECONDS] [--deflate[=shared|dedicated]] [--easy] [--broadcast]

Echoes every message; ADDR is 127.0.0.1:9001 by default, BYTES 16777216.
A peer that is silent for SECONDS is pinged; 20 by default, 0 for never.
  --easy       receives owned messages instead of messages that are lent
  --broadcast  sends every message to all connections, the sender included; who falls 65536 messages behind is
               closed with 1008, so that a slow reader neither stops the others nor takes memory";

/// Every connection's queue is a place in this one, which holds each message once.
const MAX_BEHIND: usize = 1 << 16;

#[derive(Clone)]
enum Mode {
    Fast,
    Easy,
    Broadcast(broadcast::Sender<Prepared>),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let ([addr], config, flags) = options::parse(HELP, [Some("127.0.0.1:9001")], ["--easy", "--broadcast"]);
    let mode = match flags {
        [_, true] => Mode::Broadcast(broadcast::Sender::new(MAX_BEHIND)),
        [true, _] => Mode::Easy,
        _ => Mode::Fast,
    };
    let acceptor = Arc::new(Acceptor::new().config(config));
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (acceptor, mode) = (acceptor.clone(), mode.clone());
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, acceptor, mode).await {
                        eprintln!("{error}");
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, perhaps: some connection will end.
                eprintln!("no connection taken: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, acceptor: Arc<Acceptor>, mode: Mode) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    // In a box, as a task keeps room for its largest future as long as it lives.
    let mut ws = Box::pin(acceptor.accept(stream)).await?;
    drop(acceptor);
    match mode {
        Mode::Fast => echo(&mut ws).await,
        Mode::Easy => echo_owned(&mut ws).await,
        Mode::Broadcast(room) => Box::pin(broadcast(&mut ws, room)).await,
    }
}

async fn echo(ws: &mut WebSocket<TcpStream>) -> Result<(), Error> {
    loop {
        // Not `while let`: it would keep the message in three places of the future.
        let Some((message, mut tx)) = ws.recv_ref().await? else { return Ok(()) };
        tx.feed(&message).await?;
    }
}

async fn echo_owned(ws: &mut WebSocket<TcpStream>) -> Result<(), Error> {
    loop {
        let Some(message) = ws.recv().await? else { return Ok(()) };
        ws.feed(message).await?;
    }
}

async fn broadcast(ws: &mut WebSocket<TcpStream>, room: broadcast::Sender<Prepared>) -> Result<(), Error> {
    let mut queue = room.subscribe();
    loop {
        let mut next = tokio::select! {
            message = ws.recv_ref() => {
                let Some((message, _)) = message? else { return Ok(()) };
                // It fails only if nobody listens, and this connection does.
                let _ = room.send(Prepared::new(&message));
                continue;
            }
            next = queue.recv() => next.ok(),
        };
        // All that waits is queued; the next receive writes it at once before it sleeps.
        loop {
            let Some(prepared) = next else {
                return ws.close(CloseCode::POLICY_VIOLATION, "too slow").await;
            };
            ws.feed_prepared(&prepared).await?;
            next = match queue.try_recv() {
                Err(TryRecvError::Empty) => break,
                next => next.ok(),
            };
        }
    }
}
