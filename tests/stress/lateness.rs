//! How much of a flood a connection handles while another task of its thread is due.

use core::cell::Cell;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::rc::Rc;

use futures_util::StreamExt;
use sansocket::tokio::WebSocket;
use sansocket::{Config, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Whether connections give other tasks their turn.
const TURNS_ARE_BOUNDED: bool = true;
/// What may be handled while another task is ready: 10 ms, where each frame costs 1 µs.
const MOST: u64 = 10_000;
/// How many turns of the other task each flood lasts.
const TURNS: u32 = 100;

/// How the application receives.
#[derive(Clone, Copy, Debug)]
enum How {
    Recv,
    RecvRef,
    RecvEvent,
    Next,
    Half,
    Close,
}

/// How many bytes were read since the other task had its turn, and the most that one read brought.
#[derive(Default)]
struct Handled {
    bytes: Cell<u64>,
    longest: Cell<u64>,
}

impl Handled {
    fn read(&self, len: usize) {
        self.bytes.set(self.bytes.get() + len as u64);
        self.longest.set(self.longest.get().max(len as u64));
    }
}

/// A stream that brings the same frame for ever and takes everything, and knows of no other tasks.
struct Flood {
    frame: Vec<u8>,
    at: usize,
    handled: Rc<Handled>,
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        place: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = place.remaining();
        for _ in 0..len {
            let byte = self.frame[self.at % self.frame.len()];
            place.put_slice(&[byte]);
            self.at += 1;
        }
        self.handled.read(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn receive(how: How, mut ws: WebSocket<Flood>) {
    match how {
        How::Recv => while let Ok(Some(_)) = ws.recv().await {},
        How::RecvRef => while let Ok(Some(_)) = ws.recv_ref().await {},
        How::RecvEvent => while let Ok(Some(_)) = ws.recv_event().await {},
        How::Next => while let Some(Ok(_)) = ws.next().await {},
        How::Half => {
            let (mut half, _tx) = ws.split();
            while let Ok(Some(_)) = half.recv().await {}
        }
        How::Close => drop(ws.close(sansocket::CloseCode::NORMAL, "").await),
    }
}

/// The most frames that were handled between two turns of a task that is always ready, besides one read.
fn worst(how: How, frame: &[u8]) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    let handled = Rc::new(Handled::default());
    let flood = Flood { frame: frame.to_vec(), at: 0, handled: handled.clone() };
    let worst = tasks.block_on(&runtime, async move {
        let ws = WebSocket::over(flood, Connection::server(Config::new(), Duration::ZERO));
        let receiving = tokio::task::spawn_local(receive(how, ws));
        let mut worst = 0;
        for _ in 0..TURNS {
            handled.bytes.set(0);
            tokio::task::yield_now().await;
            worst = worst.max(handled.bytes.get().saturating_sub(handled.longest.get()));
        }
        receiving.abort();
        worst
    });
    worst / frame.len() as u64
}

#[test]
fn a_flood_leaves_other_tasks_their_turn() {
    if !TURNS_ARE_BOUNDED {
        return;
    }
    let ways = [How::Recv, How::RecvRef, How::RecvEvent, How::Next, How::Half, How::Close];
    let floods: [(&str, &[u8]); 4] = [
        ("messages", &[0x82, 0x81, 0, 0, 0, 0, 7]),
        ("pings", &[0x89, 0x80, 0, 0, 0, 0]),
        ("pongs", &[0x8a, 0x80, 0, 0, 0, 0]),
        ("a message and pings", &[0x82, 0x80, 0, 0, 0, 0, 0x89, 0x81, 0, 0, 0, 0, 1]),
    ];
    for how in ways {
        for (name, frame) in floods {
            let worst = worst(how, frame);
            eprintln!("{how:?}, {name}: {worst} and a read between two turns of another task");
            assert!(worst <= MOST, "{how:?}, {name}: {worst}");
        }
    }
}
