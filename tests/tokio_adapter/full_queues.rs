//! Queues that are full over tokio, in simulated time: halves, slow and vanished peers.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;

use sansocket::tokio::{Error, ReceiveHalf, SendHalf, WebSocket, pair};
use sansocket::{CloseCode, Config, Connection, Deadline, MaskKeys};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{SECOND, ms, pattern, run};

type Halves = (ReceiveHalf<DuplexStream>, SendHalf<DuplexStream>);

/// Each has pinged the other and has no room for its pong.
// conf: CT-07
#[test]
fn two_ends_that_pinged_each_other_with_full_queues_go_on() {
    run(async {
        let (client, server) = pair(Config::new());
        let began = Instant::now();
        let talk = async |(mut receiver, mut sender): Halves| {
            sender.ping(b"alive?").await?;
            let mut fed = 0;
            while sender.try_feed(pattern(200_000)).is_ok() {
                fed += 1;
            }
            for _ in 0..fed {
                assert_eq!(receiver.recv().await?.unwrap().len(), 200_000);
            }
            sender.flush().await?;
            Ok::<_, Error>(receiver)
        };
        let (client, server) = tokio::join!(talk(client.split()), talk(server.split()));
        assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
        let pings = [client.unwrap(), server.unwrap()];
        drop(pings);
    });
}

/// Both ends feed without pause through one half, receive through the other, and ping often.
// conf: CT-07
#[test]
fn two_ends_that_feed_without_pause_and_ping_never_stand_still() {
    run(async {
        let (client, server) = pair(Config::new());
        let began = Instant::now();
        let message = pattern(60_000);
        let both_are_done = tokio::sync::Barrier::new(2);
        let talk = async |(mut receiver, mut sender): Halves| {
            let mut pinger = sender.clone();
            let send = async {
                for number in 0..300_u32 {
                    sender.feed(&message).await?;
                    if number % 10 == 0 {
                        pinger.ping(b"alive?").await?;
                    }
                }
                sender.flush().await
            };
            let receive = async {
                for _ in 0..300 {
                    assert_eq!(receiver.recv().await?.unwrap().len(), 60_000);
                }
                // What is left are this end's own messages.
                tokio::select! {
                    biased;
                    _ = both_are_done.wait() => Ok(()),
                    rest = receiver.recv() => panic!("{rest:?}"),
                }
            };
            tokio::try_join!(send, receive).map(drop)
        };
        let (client, server) = tokio::join!(talk(client.split()), talk(server.split()));
        assert!(matches!((&client, &server), (Ok(()), Ok(()))), "{client:?} {server:?}");
        assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    });
}

/// What they said before their Close frames is in each other's way.
// conf: CL-14
#[test]
fn two_ends_that_close_with_full_queues_end_cleanly() {
    run(async {
        let (client, server) = pair(Config::new());
        let began = Instant::now();
        let talk = async |mut ws: WebSocket<DuplexStream>| {
            let early = timeout(ms(1), async {
                for _ in 0..4 {
                    ws.feed(pattern(250_000)).await?;
                }
                ws.flush().await
            });
            assert!(early.await.is_err(), "the pipe takes everything");
            let closed = ws.close(CloseCode::NORMAL, "").await;
            (closed.is_ok(), ws.summary().unwrap().clean)
        };
        assert_eq!(tokio::join!(talk(client), talk(server)), ((true, true), (true, true)));
        assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    });
}

/// Reads a stream at 1 MB/s.
struct Slow(DuplexStream, Pin<Box<tokio::time::Sleep>>);

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        place: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.1.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        let mut part = place.take(10_000);
        let read = Pin::new(&mut self.0).poll_read(context, &mut part);
        let len = part.filled().len();
        // Its memory is the place's.
        place.set_filled(place.filled().len() + len);
        if read.is_ready() {
            self.1.as_mut().reset(Instant::now() + ms(10));
        }
        read
    }
}

impl AsyncWrite for Slow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

fn impatient() -> Config {
    Config::new().ping_interval(ms(500)).pong_timeout(ms(500)).idle_timeout(ms(1500))
}

/// 8 MiB through buffers like a kernel's, of which the last ones lie there with a ping behind them.
// conf: CT-10
#[test]
fn a_peer_that_takes_8_mib_slowly_is_alive() {
    for buffer in [64 << 10, 3 << 20] {
        run(async {
            let (there, here) = duplex(buffer);
            let slow = Slow(there, Box::pin(sleep(ms(1))));
            let keys = MaskKeys::thread();
            let mut client = WebSocket::over(slow, Connection::client(Config::new(), keys, ms(0)));
            let mut server = WebSocket::over(here, Connection::server(impatient(), ms(0)));
            let serve = async {
                server.send(pattern(8 << 20)).await?;
                server.recv().await
            };
            let ask = async {
                assert_eq!(client.recv().await?.unwrap().len(), 8 << 20);
                client.send("got it").await?;
                Ok::<_, Error>(client)
            };
            let (served, client) = tokio::join!(serve, ask);
            assert_eq!(served.expect("not given up"), Some("got it".into()), "{buffer}");
            drop(client);
        });
    }
}

/// Bytes that find room in a buffer prove nothing.
// conf: CT-10
#[test]
fn a_peer_that_vanished_is_given_up_in_time_however_much_is_sent() {
    run(async {
        let (peer, here) = duplex(1 << 20);
        let (mut receiver, sender) = WebSocket::over(here, Connection::server(impatient(), ms(0))).split();
        let began = Instant::now();
        let talk = async {
            loop {
                sleep(ms(100)).await;
                if sender.try_feed("news").is_err() {
                    break;
                }
            }
        };
        let (end, ()) = tokio::join!(receiver.recv(), talk);
        let overdue = sansocket::Error::Timeout(Deadline::Pong);
        assert!(matches!(end, Err(Error::Connection(error)) if error == overdue), "{end:?}");
        // The rest of the time is that in which the peer could read the Close frame.
        assert!(began.elapsed() < 12 * SECOND, "{:?}", began.elapsed());
        drop(peer);
    });
}

/// At most 100 bytes a read, as pipes and TLS may do it.
struct Short(DuplexStream);

impl AsyncRead for Short {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        place: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut part = place.take(100);
        let read = Pin::new(&mut self.0).poll_read(context, &mut part);
        let len = part.filled().len();
        place.set_filled(place.filled().len() + len);
        read
    }
}

impl AsyncWrite for Short {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// A read that brings less than it has room for does not prove that nothing is left.
#[test]
fn the_rest_of_a_message_that_lies_behind_short_reads_is_found_before_it_is_overdue() {
    run(async {
        let (mut peer, here) = duplex(1 << 20);
        let config = Config::new().message_timeout(SECOND);
        let mut ws = WebSocket::over(Short(here), Connection::server(config, ms(0)));
        peer.write_all(b"\x01\x84\0\0\0\0half").await.unwrap();
        assert!(timeout(ms(1), ws.recv()).await.is_err());
        // The application is busy; meanwhile pings and the rest come.
        let ping = [&b"\x89\xfd\0\0\0\0"[..], &[b'p'; 125]].concat();
        peer.write_all(&ping.repeat(20)).await.unwrap();
        peer.write_all(b"\x80\x84\0\0\0\0half").await.unwrap();
        sleep(2 * SECOND).await;
        assert_eq!(ws.recv().await.unwrap(), Some("halfhalf".into()));
    });
}

/// With a limit of zero each message waits until all before it have left: one that finds nothing before it need not wait.
#[test]
fn a_limit_of_zero_lets_a_hub_feed_while_nothing_waits() {
    run(async {
        let (client, mut server) = pair(Config::new().max_queued_output(0));
        let (_receiver, mut sender) = client.split();
        sender.try_feed("first").unwrap();
        assert!(matches!(sender.try_feed("second"), Err(Error::WouldBlock)));
        sender.flush().await.unwrap();
        sender.try_feed("second").unwrap();
        sender.flush().await.unwrap();
        for expected in ["first", "second"] {
            assert_eq!(server.recv().await.unwrap(), Some(expected.into()));
        }
    });
}
