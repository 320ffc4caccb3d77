//! What connections over tokio cost in memory: their state, their futures, and what the allocator of this thread says.
#![cfg(all(feature = "tokio", feature = "rand"))]

#[path = "support/heap.rs"]
mod heap;
#[path = "tokio_adapter/support.rs"]
mod tokio_support;

use core::mem::{size_of, size_of_val};
use core::time::Duration;

use heap::{Cost, cost_of, live};
use sansocket::tokio::{Acceptor, Connector, Error, WebSocket};
use sansocket::{CloseCode, Config, Connection, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_support::{Fault, Scripted, client, cut, keys, masked, ms, pattern, run, server, tcp};

/// Lets the thread have its spare read buffer, which it keeps.
async fn warm_up() {
    let (there, here) = duplex(1000);
    let (mut client, mut server) = (client(there, Config::new()), server(here, Config::new()));
    client.send("warm").await.unwrap();
    server.recv().await.unwrap();
    assert!(cut(server.recv(), 1).await.is_none());
}

/// Waits for a message that does not come.
async fn idle(ws: &mut WebSocket<DuplexStream>) {
    assert!(timeout(ms(5), ws.recv()).await.is_err());
}

#[test]
fn the_state_of_an_idle_connection_fits_in_512_bytes() {
    run(async {
        let (_there, here) = duplex(1000);
        let config = std::sync::Arc::new(Config::new());
        warm_up().await;
        let own = size_of::<WebSocket<TcpStream>>() - size_of::<TcpStream>();
        let waiting = async {
            let mut ws = server(here, config);
            idle(&mut ws).await;
            ws
        };
        let (ws, Cost { held, .. }) = cost_of(waiting).await;
        let timer = size_of::<tokio::time::Sleep>();
        println!(
            "a connection: {own} bytes besides its stream, {held} on the heap, {timer} of them tokio's timer"
        );
        assert!(own + held as usize - timer <= 512, "{own}, and {held} on the heap");
        drop(ws);
    });
}

/// A whole task of a server, its handshake in a box of its own.
async fn serve(stream: TcpStream, acceptor: Acceptor) -> Result<(), Error> {
    let mut ws = Box::pin(acceptor.accept(stream)).await?;
    while let Some((message, mut tx)) = ws.recv_ref().await? {
        tx.feed(&message).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_future_of_the_echo_loop_is_below_1000_bytes() {
    let state = size_of::<WebSocket<TcpStream>>();
    let mut ws = server(tcp().await.0, Config::new());
    let lent = async move {
        while let Some((message, mut tx)) = ws.recv_ref().await? {
            tx.feed(&message).await?;
        }
        Ok::<(), Error>(())
    };
    let mut ws = server(tcp().await.0, Config::new());
    let owned = async move {
        while let Some(message) = ws.recv().await? {
            ws.send(message).await?;
        }
        Ok::<(), Error>(())
    };
    let sizes = [
        ("lent", size_of_val(&lent)),
        ("owned", size_of_val(&owned)),
        ("with its handshake", size_of_val(&serve(tcp().await.0, Acceptor::new()))),
    ];
    println!("a WebSocket<TcpStream>: {state} bytes; futures: {sizes:?}");
    for (lane, size) in sizes {
        assert!(size < 1000, "{lane}: {size} bytes, {state} of them the connection");
    }
}

fn is_send<T: Send>(_: &T) {}

#[tokio::test]
async fn every_future_may_move_to_another_thread() {
    let (there, here) = duplex(1000);
    let mut ws = server(here, Config::new());
    is_send(&ws);
    is_send(&ws.recv());
    is_send(&ws.recv_ref());
    is_send(&ws.recv_event());
    is_send(&ws.send("text"));
    is_send(&ws.feed(&Message::from("text")));
    is_send(&ws.flush());
    is_send(&ws.send_fragment("text", sansocket::Fin::More));
    is_send(&ws.ping(b""));
    is_send(&ws.close(CloseCode::NORMAL, ""));
    is_send(&async {
        let (message, mut tx) = ws.recv_ref().await.unwrap().unwrap();
        tx.feed(&message).await
    });
    is_send(&Acceptor::new().accept(duplex(1).0));
    is_send(&Acceptor::new().read_request(duplex(1).0));
    is_send(&Connector::new("ws://localhost/").connect());
    is_send(&Connector::new("ws://localhost/").connect_over(there));
}

#[test]
fn a_connection_with_nothing_pending_holds_nothing() {
    run(async {
        warm_up().await;
        let (there, here) = duplex(1 << 20);
        let (mut client, mut server) = (client(there, Config::new()), server(here, Config::new()));
        idle(&mut server).await;
        idle(&mut client).await;
        for lane in 0..4 {
            let mut before = 0;
            for round in 0..3 {
                client.feed("hello").await.unwrap();
                client.ping(b"are you there").await.unwrap();
                client.feed("hello").await.unwrap();
                client.flush().await.unwrap();
                for _ in 0..2 {
                    answer(&mut server, lane).await;
                }
                idle(&mut server).await;
                while let Ok(message) = timeout(ms(5), client.recv()).await {
                    assert_eq!(message.unwrap(), Some("hello".into()));
                }
                // The stream in between grows with its first use.
                if round == 0 {
                    before = live();
                }
                assert_eq!(live(), before, "lane {lane}");
            }
        }
    });
}

async fn answer(server: &mut WebSocket<DuplexStream>, lane: usize) {
    match lane {
        0 => assert_eq!(server.recv().await.unwrap(), Some("hello".into())),
        1 => assert_eq!(server.recv_ref().await.unwrap().unwrap().0, "hello"),
        2 => {
            let message = server.recv().await.unwrap().unwrap();
            server.feed(message).await.unwrap();
        }
        _ => {
            let (message, mut tx) = server.recv_ref().await.unwrap().unwrap();
            tx.feed(&message).await.unwrap();
        }
    }
}

/// A future that is dropped leaves nothing behind either.
#[test]
fn a_dropped_receive_holds_no_buffer() {
    run(async {
        warm_up().await;
        let (mut raw, stream) = duplex(1000);
        let mut server = server(stream, Config::new().ping_interval(None));
        let before = live();
        assert!(cut(server.recv(), 1).await.is_none());
        assert!(cut(server.recv_ref(), 1).await.is_none());
        assert!(cut(server.recv_event(), 1).await.is_none());
        assert_eq!(live(), before);
        // Of a frame that has come in part as much is kept, and no read buffer.
        raw.write_all(&masked(0x82, &[7; 100])[..80]).await.unwrap();
        assert!(cut(server.recv(), 1).await.is_none());
        assert!(live() - before < 1000 + 500, "{}", live() - before);
    });
}

#[test]
fn output_that_is_stuck_holds_no_read_buffer() {
    run(async {
        warm_up().await;
        let (_raw, stream) = duplex(1000);
        let mut server = server(stream, Config::new());
        server.feed(vec![7; 100_000]).await.unwrap();
        assert!(cut(server.recv(), 1).await.is_none());
        let before = live();
        assert!(cut(server.recv(), 1).await.is_none());
        assert!(live() <= before, "{}", live() - before);
    });
}

// conf: LM-06
#[test]
fn what_grew_for_a_large_message_is_given_back() {
    run(async {
        warm_up().await;
        let (there, here) = duplex(64 << 10);
        let (mut client, mut server) = (client(there, Config::new()), server(here, Config::new()));
        idle(&mut server).await;
        idle(&mut client).await;
        let big = pattern(4 << 20);
        let mut settled = 0;
        for round in 0..3 {
            let (sent, received) = tokio::join!(client.send(&big), server.recv());
            sent.unwrap();
            let message = received.unwrap().unwrap();
            assert!(message == Message::from(&big));
            let (sent, received) = tokio::join!(server.send(message), client.recv());
            sent.unwrap();
            assert!(received.unwrap().unwrap().len() == big.len());
            idle(&mut server).await;
            idle(&mut client).await;
            // The stream in between keeps its room from the first round on.
            if round == 0 {
                settled = live();
            }
            assert_eq!(live(), settled);
        }
    });
}

// conf: LM-04 LM-08
#[test]
fn memory_grows_with_what_arrived_not_with_what_was_announced() {
    for first in [0x81, 0x82, 0x02] {
        for arrived in [0usize, 1, 3000, 40_000, 200_000] {
            run(async {
                warm_up().await;
                let mut incoming = vec![first, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0];
                incoming.extend(vec![b'a'; arrived]);
                let len = incoming.len();
                let (mut raw, stream) = duplex(len);
                raw.write_all(&incoming).await.unwrap();
                let mut ws = server(stream, Config::new().max_message_size(usize::MAX).ping_interval(None));
                let (ended, Cost { held, peak, .. }) = cost_of(cut(ws.recv(), 1)).await;
                assert!(ended.is_none());
                // The timer of the message is there too.
                assert!(held <= 4 * arrived as isize + 600, "{first:x} {arrived}: {held} are held");
                let most_allowed = 4 * arrived as isize + 600 + (64 << 10);
                assert!(peak <= most_allowed, "{first:x} {arrived}: {peak} at most");
            });
        }
    }
}

/// The lane that the documentation shows costs no allocation for a message, only the output of the batch.
#[test]
fn the_fast_lane_allocates_for_no_message() {
    run(async {
        warm_up().await;
        const MESSAGES: usize = 2000;
        let (mut incoming, mut peer) =
            (Vec::new(), Connection::client(Config::new(), keys(), Duration::ZERO));
        for number in 0..MESSAGES {
            peer.send(format!("message {number:04}"), &mut incoming).unwrap();
        }
        assert!(incoming.len() < 64 << 10);
        let mut stream = Scripted::new(incoming, 1 << 20, |_, _| Fault::None);
        stream.sent.reserve(1 << 20);
        stream.calls.reserve(100);
        let mut ws = server(stream, Config::new());
        let echo = async {
            for _ in 0..MESSAGES {
                let (message, mut tx) = ws.recv_ref().await.unwrap().unwrap();
                tx.feed(&message).await.unwrap();
            }
            ws.flush().await.unwrap();
        };
        let ((), Cost { allocations, .. }) = cost_of(echo).await;
        // The output grows by doubling.
        assert!(allocations <= 20, "{allocations}");
        assert_eq!(ws.stream().sent.len(), MESSAGES * 14);
    });
}

/// A ping and its pong leave nothing behind but the timer.
#[test]
fn an_hour_of_keepalive_costs_no_memory() {
    run(async {
        warm_up().await;
        let (mut raw, stream) = duplex(1000);
        let mut ws = server(stream, Config::new());
        let peer = tokio::spawn(async move {
            let mut ping = [0; 6];
            while raw.read_exact(&mut ping).await.is_ok() {
                sleep(ms(30)).await;
                raw.write_all(&masked(0x8a, &ping[2..])).await.unwrap();
            }
        });
        assert!(timeout(ms(60_100), ws.recv()).await.is_err());
        let before = live();
        assert!(timeout(ms(3_600_000), ws.recv()).await.is_err());
        assert!(live() - before <= 0, "{}", live() - before);
        peer.abort();
    });
}

#[test]
fn an_ended_connection_holds_nothing_but_its_summary() {
    run(async {
        warm_up().await;
        let (mut raw, stream) = duplex(100_000);
        raw.write_all(&[masked(0x81, b"hello"), vec![7; 50_000]].concat()).await.unwrap();
        drop(raw);
        let mut ws = server(stream, Config::new());
        let before = live();
        while let Ok(Some(_)) = ws.recv().await {}
        let _ = ws.close(CloseCode::NORMAL, "").await;
        assert!(ws.recv().await.is_err());
        assert!(live() - before < 500, "{}", live() - before);
    });
}

// conf: FG-09
#[test]
fn a_large_owned_message_waits_for_slow_peers_without_being_copied() {
    run(async {
        let len = 4 << 20;
        let payload = bytes::Bytes::from(pattern(len));
        let text = Message::from("ä".repeat(len / 2)).into_owned();
        let prepared = sansocket::Prepared::new(Message::from(payload.clone()));
        warm_up().await;
        let mut peers = Vec::new();
        let queueing = async {
            for _ in 0..20 {
                let (there, here) = duplex(1000);
                let config = Config::new().max_queued_output(100 << 20);
                let mut ws = server(here, config);
                ws.feed(payload.clone()).await.unwrap();
                ws.feed("small, between large ones").await.unwrap();
                assert!(timeout(ms(1), ws.send(text.clone())).await.is_err(), "the peer reads nothing");
                ws.feed_prepared(&prepared).await.unwrap();
                let (rx, tx) = ws.split();
                tx.try_feed_prepared(&prepared).unwrap();
                tx.try_feed(payload.clone()).unwrap();
                let ws = rx.reunite(tx).unwrap();
                assert!(ws.queued() > 5 * len - 1000);
                peers.push((there, ws));
            }
        };
        let (_, Cost { held, peak, .. }) = cost_of(queueing).await;
        println!("20 connections with 20 MiB queued on each: {held} bytes held, {peak} at the peak");
        assert!(peak < 20 * 16_000, "{peak}");

        let (there, mut ws) = peers.pop().unwrap();
        let mut client = client(there, Config::new().max_message_size(len));
        let sending = tokio::spawn(async move { ws.flush().await.map(|()| ws) });
        assert_eq!(client.recv().await.unwrap().unwrap().into_bytes(), payload);
        assert_eq!(client.recv().await.unwrap().unwrap(), "small, between large ones");
        assert_eq!(client.recv().await.unwrap().unwrap(), text);
        for _ in 0..3 {
            assert_eq!(client.recv().await.unwrap().unwrap().into_bytes(), payload);
        }
        assert_eq!(sending.await.unwrap().unwrap().queued(), 0);
    });
}

/// More connections than the thread keeps buffers.
#[test]
fn what_is_refused_leaves_no_buffer_behind() {
    run(async {
        warm_up().await;
        let mut connections: Vec<_> = (0..16)
            .map(|_| {
                let (there, here) = duplex(1000);
                (client(there, Config::new()), server(here, Config::new()))
            })
            .collect();
        let before = live();
        for (client, server) in &mut connections {
            client.ping(&[0; 126]).await.unwrap_err();
            server.ping(&[0; 126]).await.unwrap_err();
        }
        assert!(live() - before < 10_000, "{}", live() - before);
    });
}
