//! No flood of a peer keeps other tasks of the thread waiting, whichever way it is received.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::task::Wake;

#[cfg(feature = "deflate")]
use sansocket::Connection;
use sansocket::client::Reconnect;
use sansocket::tokio::{Reconnecting, WebSocket};
use sansocket::{CloseCode, Config, Delivery};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, yield_now};
use tokio::time::{Instant, sleep};

use crate::support::{cut, masked, server};

/// No more frames than this may come between two turns of another task.
const MOST: usize = 600;
/// How many frames a flood has.
const FLOOD: usize = 30_000;

/// A stream that is always ready, for reads and for writes, and counts against no budget.
#[derive(Debug)]
struct Flood {
    begins: Vec<u8>,
    frame: Vec<u8>,
    /// How many frames are still to come; then it ends.
    left: usize,
    /// What is still to come of the bytes before that.
    at: Vec<u8>,
    /// The most that one read brings.
    step: usize,
    written: Arc<AtomicUsize>,
}

impl Flood {
    fn of(frame: &[u8]) -> Self {
        Self {
            begins: Vec::new(),
            frame: frame.into(),
            left: FLOOD,
            at: Vec::new(),
            step: usize::MAX,
            written: Arc::default(),
        }
    }

    fn behind(self, begins: &[u8]) -> Self {
        Self { begins: begins.into(), ..self }
    }

    fn by(self, step: usize) -> Self {
        Self { step, ..self }
    }
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        place: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.at.append(&mut this.begins);
        let room = place.remaining().min(this.step);
        while this.at.len() < room && this.left > 0 {
            this.at.extend_from_slice(&this.frame);
            this.left -= 1;
        }
        let len = this.at.len().min(room);
        place.put_slice(&this.at[..len]);
        this.at.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.fetch_add(bytes.len(), Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// How many turns another task of the thread gets until `flooded` ends.
async fn turns_beside(flooded: impl Future<Output = ()>) -> usize {
    let turns = Arc::new(AtomicUsize::new(0));
    let counter = turns.clone();
    let other = tokio::spawn(async move {
        loop {
            counter.fetch_add(1, Relaxed);
            yield_now().await;
        }
    });
    yield_now().await;
    flooded.await;
    other.abort();
    turns.load(Relaxed)
}

#[track_caller]
fn assert_fair(what: &str, frames: usize, flooded: impl Future<Output = ()>) {
    let turns = runtime().block_on(turns_beside(flooded));
    assert!(turns >= frames / MOST, "{what}: {turns} turns of the other task in {frames} frames");
    assert!(turns < frames, "{what}: {turns} turns, one for each frame");
}

fn empty_message() -> Vec<u8> {
    masked(0x82, b"")
}

async fn receive_all(mut ws: WebSocket<Flood>) -> usize {
    let mut count = 0;
    while let Ok(Some(_)) = ws.recv().await {
        count += 1;
    }
    count
}

async fn all_events(mut ws: WebSocket<Flood>) -> usize {
    let mut count = 0;
    while let Ok(Some(_)) = ws.recv_event().await {
        count += 1;
    }
    count
}

#[test]
fn messages_leave_others_their_turn_whichever_way_they_are_received() {
    let flood = || server(Flood::of(&empty_message()), Config::new());
    assert_fair("recv", FLOOD, async { assert_eq!(receive_all(flood()).await, FLOOD) });
    assert_fair("recv_ref", FLOOD, async {
        let mut ws = flood();
        while let Ok(Some((message, mut tx))) = ws.recv_ref().await {
            tx.feed(&message).await.unwrap();
        }
    });
    assert_fair("recv_event", FLOOD, async { assert_eq!(all_events(flood()).await, FLOOD) });
    assert_fair("the receiving half", FLOOD, async {
        let (mut rx, _tx) = flood().split();
        while let Ok(Some(_)) = rx.recv().await {}
    });
    assert_fair("events of the receiving half", FLOOD, async {
        let (mut rx, _tx) = flood().split();
        while let Ok(Some(_)) = rx.recv_event().await {}
    });
    assert_fair("close", FLOOD, async {
        let _ = flood().close(CloseCode::NORMAL, "").await;
    });
    assert_fair("a tunnel", FLOOD, async {
        let _ = flood().into_tunnel().read_to_end(&mut Vec::new()).await;
    });
    assert_fair("reconnecting", FLOOD, async {
        let open = move || async move { Ok(server(Flood::of(&empty_message()), Config::new())) };
        let mut ws = Reconnecting::new(Reconnect::new().stop_when(|_| true), open);
        while let Ok(Some(_)) = ws.recv().await {}
    });
}

#[cfg(feature = "futures-core")]
#[test]
fn messages_leave_others_their_turn_as_a_stream() {
    use futures_util::StreamExt;
    assert_fair("Stream", FLOOD, async {
        let mut ws = server(Flood::of(&empty_message()), Config::new());
        while let Some(Ok(_)) = ws.next().await {}
    });
    assert_fair("Stream of the half", FLOOD, async {
        let (mut rx, _tx) = server(Flood::of(&empty_message()), Config::new()).split();
        while let Some(Ok(_)) = rx.next().await {}
    });
}

#[test]
fn a_reader_of_single_bytes_leaves_others_their_turn() {
    assert_fair("a tunnel read byte by byte", 100 * 125, async {
        let mut flood = Flood::of(&masked(0x82, &[7; 125]));
        flood.left = 100;
        let mut tunnel = server(flood, Config::new()).into_tunnel();
        let mut byte = [0];
        while tunnel.read_exact(&mut byte).await.is_ok() {}
    });
}

/// Of none of these hears the application.
#[test]
fn what_is_not_returned_leaves_others_their_turn() {
    for (what, frame) in [("pings", masked(0x89, b"")), ("pongs", masked(0x8a, b"longer"))] {
        let flood = || server(Flood::of(&frame), Config::new());
        assert_fair(what, FLOOD, async { assert_eq!(receive_all(flood()).await, 0) });
        assert_fair(what, FLOOD, async {
            let _ = flood().close(CloseCode::NORMAL, "").await;
        });
        assert_fair(what, FLOOD, async { assert_eq!(all_events(flood()).await, FLOOD) });
    }
    assert_fair("trickled pings", 2000 * 6, async {
        let mut flood = Flood::of(&masked(0x89, b"")).by(1);
        flood.left = 2000;
        receive_all(server(flood, Config::new())).await;
    });
    assert_fair("bytes behind a violation", FLOOD, async {
        let flood = Flood::of(b"?").behind(&[0xff, 0xff]).by(1);
        let _ = server(flood, Config::new()).recv().await;
    });
}

#[test]
fn fragments_leave_others_their_turn() {
    let chunks = Config::new().delivery(Delivery::Chunks);
    assert_fair("chunks", FLOOD, async {
        let ws = server(Flood::of(&masked(0, b"!")).behind(&masked(2, b"")), chunks);
        assert_eq!(all_events(ws).await, FLOOD);
    });
    // One read brings 37,000 of them, which are decoded without a pause.
    let config = Config::new().max_fragments(u32::MAX);
    assert_fair("fragments", 7 * MOST, async {
        let mut flood = Flood::of(&masked(0, b"!")).behind(&masked(2, b""));
        flood.left = 600_000;
        assert_eq!(receive_all(server(flood, config)).await, 0);
    });
}

#[cfg(feature = "deflate")]
#[path = "../support/compress.rs"]
mod compress;

#[cfg(feature = "deflate")]
mod compressed {
    use super::*;
    use sansocket::deflate::{Agreed, Deflate};
    use sansocket::handshake::{Acceptance, HandshakeLimits, ServerHandshake, ServerStep};

    fn agreed(deflate: &Deflate) -> Agreed {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
        let step =
            ServerHandshake::new(HandshakeLimits::default(), Duration::ZERO).receive(Duration::ZERO, request);
        let Ok(ServerStep::Request { request, .. }) = step else { panic!("{step:?}") };
        let acceptance = Acceptance::new().deflate(deflate.clone());
        request.accept(&acceptance, &mut Vec::new()).unwrap().negotiated().deflate.unwrap()
    }

    fn server(flood: Flood, delivery: Delivery) -> WebSocket<Flood> {
        let deflate = Deflate::shared();
        let config = Config::new().deflate(deflate.clone()).delivery(delivery);
        WebSocket::over(flood, Connection::server(config, Duration::ZERO).with_deflate(agreed(&deflate)))
    }

    /// Zeros as the payload of a message.
    fn zeros(len: usize) -> Vec<u8> {
        compress::Compressor::new(9).payload(&vec![0; len])
    }

    #[test]
    fn compressed_messages_leave_others_their_turn() {
        // RFC 7692 §7.2.3.6: "an empty uncompressed DEFLATE block" stands for an empty message.
        let empty = masked(0xc2, &[0]);
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            let flood = || server(Flood::of(&empty), delivery);
            assert_fair("compressed and empty", FLOOD, async {
                assert_eq!(all_events(flood()).await, FLOOD)
            });
            assert_fair("compressed and empty", FLOOD, async {
                let _ = flood().close(CloseCode::NORMAL, "").await;
            });
        }
    }

    /// What costs time is what comes out.
    #[test]
    fn messages_that_inflate_to_much_leave_others_their_turn() {
        let payload = zeros(1 << 20);
        let len = (payload.len() as u16).to_be_bytes();
        let frame = [&[0xc2, 0x80 | 126, len[0], len[1], 0, 0, 0, 0], &payload[..]].concat();
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            let flood = || {
                let mut flood = Flood::of(&frame);
                flood.left = 60;
                server(flood, delivery)
            };
            // A turn for every 2 MiB at the least.
            assert_fair("zeros", 30 * MOST, async {
                all_events(flood()).await;
            });
            assert_fair("zeros", 30 * MOST, async {
                let _ = flood().close(CloseCode::NORMAL, "").await;
            });
        }
    }
}

/// A bar as generous as this holds on a busy machine, too. Without a yield the timer goes off after 600 ms.
#[test]
fn timers_of_other_tasks_go_off_while_messages_cost_work() {
    let late = runtime().block_on(async {
        let timer = tokio::spawn(async {
            let mut latest = Duration::ZERO;
            for _ in 0..20 {
                let before = Instant::now();
                sleep(Duration::from_millis(1)).await;
                latest = latest.max(before.elapsed());
            }
            latest
        });
        yield_now().await;
        let mut ws = server(Flood::of(&empty_message()), Config::new());
        while let Ok(Some((message, mut tx))) = ws.recv_ref().await {
            let before = std::time::Instant::now();
            while before.elapsed() < Duration::from_micros(20) {}
            tx.feed(&message).await.unwrap();
        }
        assert!(timer.is_finished(), "the timer waits for the end of the flood");
        timer.await.unwrap()
    });
    assert!(late < Duration::from_millis(500), "{late:?} instead of a millisecond");
}

#[test]
fn what_is_queued_leaves_before_others_get_their_turn() {
    runtime().block_on(async {
        let flood = Flood::of(&empty_message());
        let (written, fed) = (flood.written.clone(), Arc::new(AtomicUsize::new(0)));
        let count = fed.clone();
        let echo = tokio::spawn(async move {
            let mut ws = server(flood, Config::new());
            while let Ok(Some((message, mut tx))) = ws.recv_ref().await {
                tx.feed(&message).await.unwrap();
                count.fetch_add(1, Relaxed);
            }
        });
        while !echo.is_finished() {
            yield_now().await;
            let (fed, written) = (fed.load(Relaxed), written.load(Relaxed));
            assert!(written >= 2 * fed, "{fed} answers, {written} bytes");
        }
        assert_eq!(fed.load(Relaxed), FLOOD);
    });
}

#[test]
fn futures_dropped_where_they_yield_lose_nothing() {
    runtime().block_on(async {
        let (mut raw, stream) = duplex(1 << 20);
        let mut ws = server(stream, Config::new());
        for number in 0..10_000u32 {
            raw.write_all(&masked(0x82, &number.to_be_bytes())).await.unwrap();
        }
        let mut yields = 0;
        for number in 0..10_000u32 {
            let message = loop {
                if let Some(message) = cut(ws.recv(), 1).await {
                    break message.unwrap().unwrap();
                }
                yields += 1;
            };
            assert_eq!(message.as_bytes(), number.to_be_bytes());
        }
        assert!((10_000 / MOST..200).contains(&yields), "{yields} times");
    });
}

#[test]
fn all_runtimes_go_on_after_a_yield() {
    let flood = || receive_all(server(Flood::of(&empty_message()), Config::new()));
    let local = async {
        let here = std::rc::Rc::new(());
        let tasks = LocalSet::new();
        let flood = flood();
        let counted = tasks.spawn_local(async move {
            let _here = here;
            flood.await
        });
        tasks.await;
        assert_eq!(counted.await.unwrap(), FLOOD);
    };
    runtime().block_on(local);
    let threads = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    threads.block_on(async {
        assert_eq!(flood().await, FLOOD);
        assert_eq!(tokio::spawn(flood()).await.unwrap(), FLOOD);
        let (one, other) = tokio::join!(flood(), flood());
        assert_eq!((one, other), (FLOOD, FLOOD));
    });
}

/// Woken as often as it says.
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn without_a_runtime_around_the_poll_a_yield_wakes_at_once() {
    let runtime = runtime();
    let mut ws = {
        let _guard = runtime.enter();
        server(Flood::of(&empty_message()), Config::new())
    };
    let wakes = Arc::new(Counting(AtomicUsize::new(0)));
    let waker = Waker::from(wakes.clone());
    let mut receiving = pin!(async { while let Ok(Some(_)) = ws.recv().await {} });
    let mut yields = 0;
    while receiving.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        yields += 1;
        assert_eq!(wakes.0.load(Relaxed), yields);
    }
    assert!(yields >= FLOOD / MOST, "{yields}");
}

/// Others of the same task, too.
#[test]
fn a_task_that_does_two_things_at_a_time_gets_round_to_both() {
    runtime().block_on(async {
        let mut ws = server(Flood::of(&empty_message()), Config::new());
        let turns = core::cell::Cell::new(0);
        let mut other = pin!(async {
            loop {
                yield_now().await;
                turns.set(turns.get() + 1);
            }
        });
        let mut flood = pin!(async { while let Ok(Some(_)) = ws.recv().await {} });
        poll_fn(|context| {
            let _: Poll<()> = other.as_mut().poll(context);
            flood.as_mut().poll(context)
        })
        .await;
        assert!(turns.get() >= FLOOD / MOST, "{turns:?}");
    });
}
