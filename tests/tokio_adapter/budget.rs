//! A task that has used up its cooperative budget is told by every stream of tokio's to wait. That is no silence of the
//! peer, and no stalled write.

use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use std::io;

use sansocket::handshake::HandshakeLimits;
use sansocket::tokio::{Acceptor, WebSocket};
use sansocket::{Config, Message, State};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio::time::{advance, timeout};

use crate::support::{SECOND, client, masked, ms, run, server};

/// Polls `future` in a task whose budget is used up, and then as always.
async fn without_budget<T>(future: impl Future<Output = T>) -> T {
    let (tx, mut rx) = mpsc::unbounded_channel();
    for _ in 0..1000 {
        tx.send(()).unwrap();
    }
    let (mut future, mut is_used_up) = (pin!(future), false);
    poll_fn(|context| {
        while !is_used_up {
            is_used_up = rx.poll_recv(context).is_pending();
        }
        future.as_mut().poll(context)
    })
    .await
}

#[test]
fn a_peer_whose_bytes_lie_unread_is_not_silent() {
    run(async {
        for config in [
            Config::new().ping_interval(None).idle_timeout(30 * SECOND),
            Config::new().ping_interval(10 * SECOND).pong_timeout(20 * SECOND),
        ] {
            let (mut raw, stream) = duplex(1 << 16);
            let mut ws = server(stream, config);
            assert!(timeout(29 * SECOND, ws.recv()).await.is_err());
            raw.write_all(&masked(0x82, b"here")).await.unwrap();
            advance(2 * SECOND).await;
            assert_eq!(without_budget(ws.recv()).await.unwrap(), Some(b"here".into()));
            assert_eq!(ws.connection().state(), State::Open);
        }
    });
}

#[test]
fn a_message_whose_rest_lies_unread_has_not_stopped() {
    run(async {
        let (mut raw, stream) = duplex(1 << 16);
        let mut ws = server(stream, Config::new().ping_interval(None).message_timeout(30 * SECOND));
        raw.write_all(&masked(0x02, b"be")).await.unwrap();
        assert!(timeout(29 * SECOND, ws.recv_ref()).await.is_err());
        raw.write_all(&masked(0x80, b"gun")).await.unwrap();
        advance(2 * SECOND).await;
        let received = without_budget(async { ws.recv_ref().await.unwrap().unwrap().0.into_owned() }).await;
        assert_eq!(received.as_bytes(), b"begun");
    });
}

/// Writes a message of which the stream takes only the beginning, then lets the peer read that.
async fn stalled(write: WebSocket<DuplexStream>, raw: &mut DuplexStream) -> WebSocket<DuplexStream> {
    let mut ws = write;
    assert!(timeout(29 * SECOND, ws.send(&[7; 1000][..])).await.is_err());
    raw.read_exact(&mut [0; 64]).await.unwrap();
    advance(2 * SECOND).await;
    ws
}

#[test]
fn a_write_is_not_stalled_where_the_stream_has_room() {
    run(async {
        let config = || Config::new().ping_interval(None).write_timeout(30 * SECOND);
        for is_client in [false, true] {
            let (mut raw, stream) = duplex(64);
            let ws = if is_client { client(stream, config()) } else { server(stream, config()) };
            let mut ws = stalled(ws, &mut raw).await;
            let reading = async {
                let mut rest = vec![0; 1000 - 64];
                raw.read_exact(&mut rest).await.unwrap();
            };
            let flushing = async { tokio::join!(without_budget(ws.flush()), reading).0 };
            timeout(SECOND, flushing).await.expect("the peer takes it").unwrap();
        }
    });
}

#[test]
fn an_opening_handshake_that_lies_unread_is_in_time() {
    run(async {
        let (mut raw, stream) = duplex(1 << 16);
        let mut limits = HandshakeLimits::default();
        limits.timeout = 10 * SECOND;
        let acceptor = Acceptor::new().limits(limits);
        let mut accepting = pin!(acceptor.accept(stream));
        assert!(timeout(9 * SECOND, accepting.as_mut()).await.is_err());
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        raw.write_all(request).await.unwrap();
        advance(2 * SECOND).await;
        assert!(without_budget(accepting).await.is_ok());
    });
}

/// No budget is lifted for good: the connection still leaves others their turn.
#[test]
fn silence_is_still_found_without_budget() {
    run(async {
        let (_raw, stream) = duplex(1 << 16);
        let mut ws = server(stream, Config::new().ping_interval(None).idle_timeout(30 * SECOND));
        assert!(timeout(29 * SECOND, ws.recv()).await.is_err());
        advance(2 * SECOND).await;
        assert!(timeout(20 * SECOND, without_budget(ws.recv())).await.unwrap().is_err());
        assert!(timeout(ms(1), ws.recv()).await.is_ok(), "the same again");
    });
}

/// Brings eight bytes at a time.
struct Sips(DuplexStream);

impl AsyncRead for Sips {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        place: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 8];
        let mut sip = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut self.0).poll_read(context, &mut sip);
        place.put_slice(sip.filled());
        read
    }
}

impl AsyncWrite for Sips {
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

/// The runtime makes a task wait that has done much in one go. No timer may be taken for set that was asked just then.
#[test]
fn a_task_that_has_used_up_its_turn_keeps_its_deadlines() {
    run(async {
        for messages in [100, 127, 128, 129, 200, 400] {
            let (mut raw, stream) = duplex(1 << 16);
            let mut ws = server(Sips(stream), Config::new());
            raw.write_all(&masked(0x81, b"hi").repeat(messages)).await.unwrap();
            let heard = tokio::spawn(async move {
                for _ in 0..messages {
                    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("hi")));
                }
                ws.recv().await
            });
            let mut ping = [0; 6];
            timeout(25 * SECOND, raw.read_exact(&mut ping)).await.expect("a ping").unwrap();
            assert_eq!(ping[0], 0x89);
            heard.abort();
        }
    });
}
