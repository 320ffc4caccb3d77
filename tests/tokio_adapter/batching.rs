//! What leaves when, over tokio: one write for what one read brought, nothing earlier, and never more than fits.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;

use sansocket::tokio::WebSocket;
use sansocket::{CloseCode, Config, Connection, Event, Message};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{SECOND, client, cut, keys, masked, ms, pattern, read_all, run, server, tcp};

/// An in-memory stream that counts the calls that moved something, and all others.
struct Counted {
    stream: DuplexStream,
    reads: usize,
    writes: usize,
    in_vain: usize,
    /// Whether a write takes several parts.
    gathers: bool,
}

impl Counted {
    const fn new(stream: DuplexStream) -> Self {
        Self { stream, reads: 0, writes: 0, in_vain: 0, gathers: false }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        place: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(context, place);
        *(if done.is_ready() { &mut self.reads } else { &mut self.in_vain }) += 1;
        done
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        *(if done.is_ready() { &mut self.writes } else { &mut self.in_vain }) += 1;
        done
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.gathers {
            let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
            return self.poll_write(context, first);
        }
        let all = parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<_>>();
        self.poll_write(context, &all)
    }

    fn is_write_vectored(&self) -> bool {
        self.gathers
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[derive(Clone, Copy, Debug)]
enum Lane {
    Lent,
    Owned,
    Poll,
}

/// Receives a message and feeds it back.
async fn echo_one(ws: &mut WebSocket<Counted>, lane: Lane) {
    match lane {
        Lane::Lent => {
            let (message, mut tx) = ws.recv_ref().await.unwrap().unwrap();
            tx.feed(&message).await.unwrap();
        }
        Lane::Owned => {
            let message = ws.recv().await.unwrap().unwrap();
            ws.feed(message).await.unwrap();
        }
        Lane::Poll => {
            let message = poll_fn(|context| ws.poll_recv(context)).await.unwrap().unwrap();
            ws.feed(message).await.unwrap();
        }
    }
}

async fn echo_all(ws: &mut WebSocket<Counted>, lane: Lane) {
    loop {
        echo_one(ws, lane).await;
    }
}

#[test]
fn what_one_read_brought_is_answered_in_one_write() {
    const MESSAGES: usize = 500;
    for lane in [Lane::Lent, Lane::Owned, Lane::Poll] {
        run(async {
            let (mut raw, stream) = duplex(1 << 20);
            let mut ws = server(Counted::new(stream), Config::new());
            for round in 1..4 {
                let mut said = masked(0x81, b"twenty bytes of text").repeat(MESSAGES);
                said.extend(masked(0x89, b"ping"));
                raw.write_all(&said).await.unwrap();
                for _ in 0..MESSAGES {
                    echo_one(&mut ws, lane).await;
                }
                // Nothing has left before the receiver sleeps, and then everything has.
                assert_eq!(ws.stream().writes, round - 1, "{lane:?}");
                assert!(ws.queued() >= MESSAGES * 22);
                assert!(cut(ws.recv(), 1).await.is_none());
                assert_eq!((ws.stream().writes, ws.queued()), (round, 0), "{lane:?}");
                assert_eq!(ws.stream().reads, round, "{lane:?}");
                let mut heard = vec![0; MESSAGES * 22 + 6];
                timeout(ms(1), raw.read_exact(&mut heard)).await.unwrap().unwrap();
                assert!(heard.ends_with(b"\x8a\x04ping"));
            }
            // One look for each sleep, none besides.
            assert!(ws.stream().in_vain <= 4, "{}", ws.stream().in_vain);
        });
    }
}

#[test]
fn send_is_out_and_feed_waits_for_a_flush_or_for_256_kib() {
    run(async {
        let (_raw, stream) = duplex(1 << 20);
        let mut ws = server(Counted::new(stream), Config::new());
        ws.send("out").await.unwrap();
        assert_eq!((ws.stream().writes, ws.queued()), (1, 0));
        ws.feed("waits").await.unwrap();
        ws.feed("waits").await.unwrap();
        assert_eq!((ws.stream().writes, ws.queued()), (1, 14));
        ws.flush().await.unwrap();
        assert_eq!((ws.stream().writes, ws.queued()), (2, 0));
        ws.feed("waits").await.unwrap();
        ws.send("out with it").await.unwrap();
        assert_eq!((ws.stream().writes, ws.queued()), (3, 0));
        let part = [7; 1000];
        for _ in 0..261 {
            ws.feed(&part).await.unwrap();
        }
        assert_eq!((ws.stream().writes, ws.queued()), (3, 261 * 1004));
        ws.feed(&part).await.unwrap();
        assert_eq!((ws.stream().writes, ws.queued()), (4, 0));
    });
}

const LARGE: usize = 20_000;

/// A masked binary message of that size.
fn large() -> Vec<u8> {
    [&[0x82, 0xfe, 0x4e, 0x20, 0, 0, 0, 0][..], &pattern(LARGE)].concat()
}

/// It is written from where it lies, with its header, which not every stream can; with more behind it, it waits for the
/// others.
#[test]
fn the_answer_to_a_large_message_that_comes_alone_leaves_at_once() {
    for (lane, gathers, at_once) in
        [(Lane::Lent, true, true), (Lane::Lent, false, false), (Lane::Owned, true, true)]
    {
        run(async {
            let (mut raw, stream) = duplex(1 << 20);
            let mut ws = server(Counted { gathers, ..Counted::new(stream) }, Config::new());
            let mut expected = vec![0x82, 126, 0x4e, 0x20];
            expected.extend(pattern(LARGE));
            for (before, behind) in [(0, 0), (2, 0), (0, 1), (1, 3)] {
                let small = masked(0x81, b"small");
                raw.write_all(&[small.repeat(before), large(), small.repeat(behind)].concat()).await.unwrap();
                let writes = ws.stream().writes;
                for _ in 0..=before + behind {
                    echo_one(&mut ws, lane).await;
                }
                let alone = before + behind == 0;
                assert_eq!(
                    ws.stream().writes - writes,
                    usize::from(alone && at_once),
                    "{lane:?} {before} {behind}"
                );
                assert!(cut(ws.recv(), 1).await.is_none());
                assert_eq!((ws.stream().writes - writes, ws.queued()), (1, 0));
                let said = b"\x81\x05small";
                let expected = [said.repeat(before), expected.clone(), said.repeat(behind)].concat();
                let mut heard = vec![0; expected.len()];
                raw.read_exact(&mut heard).await.unwrap();
                assert!(heard == expected, "{lane:?} {before} {behind}");
            }
        });
    }
}

/// The answer to a large message fails with the stream, but what the peer had said before that is heard first.
#[test]
fn an_answer_that_leaves_at_once_and_fails_hides_nothing() {
    run(async {
        let (mut raw, stream) = duplex(1 << 20);
        let mut ws = server(Counted { gathers: true, ..Counted::new(stream) }, Config::new());
        raw.write_all(&large()).await.unwrap();
        let (message, mut tx) = ws.recv_ref().await.unwrap().unwrap();
        raw.write_all(&[masked(0x81, b"last"), masked(0x88, &[3, 232])].concat()).await.unwrap();
        drop(raw);
        tx.feed(&message).await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("last")));
        assert!(ws.recv().await.unwrap().is_none());
        assert_eq!(ws.summary().unwrap().code, CloseCode::NORMAL);
    });
}

/// What is fed when a large message was not the last thing that came waits like all else.
#[test]
fn a_large_message_that_answers_no_large_one_waits() {
    run(async {
        let (mut raw, stream) = duplex(1 << 20);
        let mut ws = server(Counted { gathers: true, ..Counted::new(stream) }, Config::new());
        raw.write_all(&large()).await.unwrap();
        assert_eq!(ws.recv().await.unwrap().unwrap().len(), LARGE);
        raw.write_all(&masked(0x81, b"small").repeat(3)).await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("small")));
        ws.feed(&pattern(LARGE)).await.unwrap();
        assert_eq!((ws.stream().writes, ws.queued()), (0, 4 + LARGE));
    });
}

/// A frame that has come in part is no reason to hold the answers back.
#[test]
fn answers_leave_although_a_message_has_begun() {
    run(async {
        let (mut raw, stream) = duplex(1 << 20);
        let mut ws = server(Counted::new(stream), Config::new());
        raw.write_all(&[masked(0x81, b"whole"), vec![0x81, 0x85, 0]].concat()).await.unwrap();
        echo_one(&mut ws, Lane::Lent).await;
        assert!(cut(ws.recv_ref(), 1).await.is_none());
        let mut heard = [0; 7];
        timeout(ms(1), raw.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(&heard, b"\x81\x05whole");
    });
}

// conf: LM-06
#[test]
fn a_peer_that_does_not_read_makes_us_stop_taking() {
    const LIMIT: usize = 100_000;
    const MESSAGES: usize = 200;
    for lane in [Lane::Lent, Lane::Owned] {
        run(async {
            let (raw, stream) = duplex(1000);
            let (mut reader, mut writer) = tokio::io::split(raw);
            let config = Config::new().max_queued_output(LIMIT).write_timeout(None).ping_interval(None);
            let mut ws = server(Counted::new(stream), config);
            // Sends far more than the queue holds, and takes none of its echo.
            let message = pattern(5000);
            let mut frame = vec![];
            let mut peer = Connection::client(Config::new(), keys(), Duration::ZERO);
            peer.send(&message, &mut frame).unwrap();
            let talk = tokio::spawn(async move {
                for _ in 0..MESSAGES {
                    writer.write_all(&frame).await.unwrap();
                }
                writer
            });
            assert!(timeout(100 * SECOND, echo_all(&mut ws, lane)).await.is_err());
            assert!((LIMIT..LIMIT + 5010).contains(&ws.queued()), "{}", ws.queued());
            assert!(!talk.is_finished(), "its messages are not taken");
            let calls = ws.stream().in_vain;
            assert!(calls < 1000, "{calls}");
            // Once it reads, everything goes on; what is missing is the one answer that was dropped with the loop.
            let listen = tokio::spawn(async move {
                let mut heard = Vec::new();
                while heard.len() < (MESSAGES - 1) * 5004 {
                    assert!(reader.read_buf(&mut heard).await.unwrap() > 0);
                }
                heard
            });
            assert!(timeout(SECOND, echo_all(&mut ws, lane)).await.is_err());
            let (mut heard, _writer) = (listen.await.unwrap(), talk.await.unwrap());
            let (events, error) =
                read_all(&mut Connection::client(Config::new(), keys(), Duration::ZERO), &mut heard);
            assert_eq!((events.len(), error), (MESSAGES - 1, None));
            for event in events {
                assert!(matches!(event, Event::Message(echoed) if echoed == Message::from(&message)));
            }
        });
    }
}

/// Pings of a peer that reads no pongs fill no queue either, and what it says behind them is received.
// conf: LM-06
#[test]
fn pings_of_a_peer_that_does_not_read_are_taken_and_one_answer_waits() {
    const LIMIT: usize = 10_000;
    run(async {
        let (mut raw, stream) = duplex(1000);
        let config = Config::new().max_queued_output(LIMIT).write_timeout(None).ping_interval(None);
        let mut ws = server(Counted::new(stream), config);
        let flood = async {
            for _ in 0..2000 {
                raw.write_all(&masked(0x89, &[7; 100])).await.unwrap();
            }
            raw.write_all(&masked(0x82, b"behind")).await.unwrap();
        };
        let both = timeout(10 * SECOND, async { tokio::join!(ws.recv(), flood) });
        let (message, ()) = both.await.unwrap();
        assert_eq!(message.unwrap(), Some(b"behind".into()));
        assert!((LIMIT..=LIMIT + 4096).contains(&ws.queued()), "{}", ws.queued());
        assert!(ws.connection().wants_write());
    });
}

/// The peer may be waiting for the same as we are: messages are still taken while output is stuck.
#[test]
fn a_receiver_whose_output_is_stuck_goes_on_receiving() {
    run(async {
        let (mut raw, stream) = duplex(1000);
        let mut ws = server(Counted::new(stream), Config::new());
        ws.feed(pattern(50_000)).await.unwrap();
        let talk = async {
            for _ in 0..100 {
                raw.write_all(&masked(0x82, &[7; 100])).await.unwrap();
            }
        };
        let take = async {
            for _ in 0..100 {
                assert_eq!(ws.recv().await.unwrap().unwrap().len(), 100);
            }
        };
        let start = Instant::now();
        tokio::join!(take, talk);
        assert!(start.elapsed() < SECOND, "it waits for nothing");
    });
}

/// A poll that finds nothing to do leaves a waker and no work behind.
#[test]
fn sleeping_is_not_polling() {
    run(async {
        let (mut raw, stream) = duplex(1000);
        let mut ws = server(Counted::new(stream), Config::new().ping_interval(None));
        let task = tokio::spawn(async move {
            let mut polls = 0;
            let mut receive = Box::pin(async {
                ws.feed(pattern(10_000)).await.unwrap();
                ws.recv().await.unwrap()
            });
            let got = poll_fn(|context| {
                polls += 1;
                receive.as_mut().poll(context)
            })
            .await;
            drop(receive);
            (polls, got, ws)
        });
        sleep(10 * SECOND).await;
        // Eleven writes of a thousand bytes at the most.
        let mut heard = vec![0; 10_004];
        raw.read_exact(&mut heard).await.unwrap();
        sleep(1000 * SECOND).await;
        raw.write_all(&masked(0x81, b"hi")).await.unwrap();
        let (polls, got, ws) = task.await.unwrap();
        assert_eq!(got, Some("hi".into()));
        assert!(polls <= 15, "{polls}");
        assert!(ws.stream().in_vain <= 30, "{}", ws.stream().in_vain);
    });
}

/// Whoever asked last is woken, by the stream and by the clock.
#[test]
fn a_connection_that_moves_to_another_task_wakes_that_one() {
    run(async {
        let (mut raw, stream) = duplex(1000);
        let mut ws = server(Counted::new(stream), Config::new());
        assert!(cut(ws.recv(), 1).await.is_none());
        let task = tokio::spawn(async move {
            let message = ws.recv().await.unwrap();
            (message, ws)
        });
        sleep(SECOND).await;
        raw.write_all(&masked(0x81, b"hi")).await.unwrap();
        let (message, mut ws) = task.await.unwrap();
        assert_eq!(message, Some("hi".into()));
        assert!(cut(ws.recv(), 1).await.is_none());
        let task = tokio::spawn(async move { ws.recv().await });
        let mut ping = [0; 6];
        timeout(21 * SECOND, raw.read_exact(&mut ping)).await.unwrap().unwrap();
        assert_eq!(ping[0], 0x89);
        task.abort();
    });
}

/// The usual loop that sends by itself and drops its receive for that each time, over real sockets.
#[tokio::test]
async fn a_loop_with_select_loses_and_doubles_nothing() {
    const MESSAGES: u32 = 500;
    let numbered = |number: u32| {
        let mut message = pattern(if number % 50 == 0 { 100_000 } else { 40 });
        message[..4].copy_from_slice(&number.to_be_bytes());
        message
    };
    let both_ways = async move |mut ws: WebSocket<TcpStream>| {
        let mut tick = tokio::time::interval(Duration::from_micros(100));
        let (mut sent, mut received) = (0, 0);
        while sent < MESSAGES || received < MESSAGES {
            tokio::select! {
                message = ws.recv() => {
                    assert!(message.unwrap() == Some(Message::from(numbered(received))), "{received}");
                    received += 1;
                }
                _ = tick.tick(), if sent < MESSAGES => {
                    ws.feed(numbered(sent)).await.unwrap();
                    sent += 1;
                }
            }
        }
        ws.close(CloseCode::NORMAL, "").await.unwrap();
    };
    let (there, here) = tcp().await;
    let (there, here) = (client(there, Config::new()), server(here, Config::new()));
    timeout(20 * SECOND, async { tokio::join!(both_ways(there), both_ways(here)) }).await.unwrap();
}
