//! Closing ends in time, however slowly the peer takes what is queued.
#![cfg(feature = "std")]

#[path = "blocking_adapter/support.rs"]
mod blocking_support;

use core::time::Duration;
use std::io::{self, Read, Write};
use std::thread;
use std::time::Instant;

use blocking_support::within;
use sansocket::blocking::{Error as StreamError, Transport, WebSocket};
use sansocket::{
    CloseCode, Config, Connection, Deadline, Error, Input, MaskKeys, Role, State, TransportAction, Unread,
};

const NOW: Duration = Duration::ZERO;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn connection(role: Role) -> Connection {
    match role {
        Role::Client => Connection::client(Config::new(), MaskKeys::from_fn(|| Ok([1; 4])), NOW),
        Role::Server => Connection::server(Config::new(), NOW),
    }
}

/// Until when a connection lives whose output loses a byte each second, the last one of all at `emptied`.
fn life(connection: &mut Connection, emptied: u64) -> u64 {
    let mut out = Vec::new();
    for second in 1..1000 {
        if connection.poll_timeout().is_some_and(|due| due <= secs(second)) {
            _ = connection.handle_timeout(secs(second), Unread::Nothing, &mut out);
        }
        if connection.transport_action() == TransportAction::Drop {
            return second;
        }
        if second <= emptied {
            connection.handle_written(secs(second), 1, usize::try_from(emptied - second).unwrap());
        }
    }
    panic!("it never ends");
}

// conf: CL-09
#[test]
fn a_byte_now_and_then_does_not_put_off_the_end() {
    for role in [Role::Client, Role::Server] {
        for (emptied, ends) in [(1, 11), (5, 15), (9, 19), (500, 10)] {
            let mut closing = connection(role);
            closing.close(NOW, CloseCode::NORMAL, "", &mut Vec::new()).unwrap();
            assert_eq!(life(&mut closing, emptied), ends, "{role:?}, the output is empty after {emptied} s");
            assert_eq!(closing.summary().unwrap().error, Some(Error::Timeout(Deadline::Close)));
        }
        // The same where the library or the peer began.
        let mut failed = connection(role);
        _ = failed.receive(NOW, &mut Input::new(&mut [0x83, 0]), &mut Vec::new());
        assert_eq!(failed.state(), State::Closing);
        assert_eq!(life(&mut failed, 500), 10);
        let mut asked = connection(role);
        let mut close = if role == Role::Server { vec![0x88, 0x80, 1, 2, 3, 4] } else { vec![0x88, 0] };
        asked.receive(NOW, &mut Input::new(&mut close), &mut Vec::new()).unwrap();
        assert_eq!(life(&mut asked, 500), 10);
    }
}

#[test]
fn the_answer_to_a_close_does_not_begin_another_wait() {
    let mut client = connection(Role::Client);
    let mut out = Vec::new();
    client.close(NOW, CloseCode::NORMAL, "", &mut out).unwrap();
    client.handle_written(NOW, out.len(), 0);
    client.receive(secs(9), &mut Input::new(&mut [0x88, 0]), &mut out).unwrap();
    assert_eq!(client.poll_timeout(), Some(secs(10)));
    assert_eq!(client.handle_timeout(secs(10), Unread::Nothing, &mut out), Ok(()));
    assert_eq!(client.transport_action(), TransportAction::Drop);
    assert!(client.summary().unwrap().clean);
}

#[test]
fn a_peer_that_has_ended_its_direction_does_not_put_off_the_end() {
    for role in [Role::Client, Role::Server] {
        let mut ended = connection(role);
        assert_eq!(ended.handle_eof(), Err(Error::UnexpectedEof));
        ended.handle_written(NOW, 0, 500);
        assert_eq!(life(&mut ended, 500), 10);
        assert_eq!(ended.summary().unwrap().error, Some(Error::UnexpectedEof));
        let mut ended = connection(role);
        _ = ended.handle_eof();
        assert_eq!((ended.poll_timeout(), ended.transport_action()), (None, TransportAction::Drop));
    }
}

/// Takes a byte of each write, after a while; brings nothing, or the end at once.
struct Slow {
    ended: bool,
    read_timeout: Duration,
}

impl Read for Slow {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        thread::sleep(self.read_timeout);
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        thread::sleep(Duration::from_millis(2));
        Ok(bytes.len().min(1))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Slow {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = timeout.unwrap_or(secs(1));
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Half a MiB is queued, which would take 17 minutes.
fn slow(role: Role, ended: bool) -> WebSocket<Slow> {
    let config = Config::new().close_timeout(Duration::from_millis(200));
    let connection = match role {
        Role::Client => Connection::client(config, MaskKeys::from_fn(|| Ok([1; 4])), NOW),
        Role::Server => Connection::server(config, NOW),
    };
    let mut ws = WebSocket::over(Slow { ended, read_timeout: secs(1) }, connection);
    // Copied, and in pieces.
    ws.feed(vec![7; 10_000]).unwrap();
    for _ in 0..5 {
        ws.feed(bytes::Bytes::from(vec![7; 40_000])).unwrap();
    }
    ws
}

#[test]
fn a_blocking_close_ends_in_time() {
    for role in [Role::Client, Role::Server] {
        within(secs(20), move || {
            let mut ws = slow(role, false);
            let begun = Instant::now();
            let error = ws.close(CloseCode::NORMAL, "").unwrap_err();
            assert!(matches!(error, StreamError::Connection(Error::Timeout(Deadline::Close))), "{error:?}");
            assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
        });
    }
}

#[test]
fn a_blocking_receive_ends_in_time_after_the_peer_ended_its_direction() {
    for role in [Role::Client, Role::Server] {
        within(secs(20), move || {
            let error = slow(role, true).close(CloseCode::NORMAL, "").unwrap_err();
            assert!(matches!(error, StreamError::Connection(Error::UnexpectedEof)), "{error:?}");
        });
    }
}

#[cfg(all(feature = "rand", feature = "tokio"))]
mod with_tokio {
    use sansocket::client::Reconnect;
    use sansocket::tokio::{Group, Reconnecting, WebSocket};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// A connection with 100 kB queued for a peer that takes a byte each second.
    async fn slow(role: Role, ended: bool) -> WebSocket<DuplexStream> {
        let mut ws = idle(role, ended);
        ws.feed(vec![7; 10_000]).await.unwrap();
        ws.feed(bytes::Bytes::from(vec![7; 90_000])).await.unwrap();
        ws
    }

    fn idle(role: Role, ended: bool) -> WebSocket<DuplexStream> {
        let (here, mut there) = duplex(64);
        tokio::spawn(async move {
            if ended {
                there.shutdown().await.unwrap();
            }
            loop {
                sleep(secs(1)).await;
                if there.read(&mut [0]).await.unwrap_or(0) == 0 {
                    return;
                }
            }
        });
        WebSocket::over(here, connection(role))
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_ends_in_time() {
        for (role, ended) in
            [(Role::Client, false), (Role::Server, false), (Role::Client, true), (Role::Server, true)]
        {
            let mut ws = slow(role, ended).await;
            let begun = Instant::now();
            let error = ws.close(CloseCode::NORMAL, "").await.unwrap_err();
            let took = begun.elapsed();
            assert!(took >= secs(9) && took <= secs(12), "{role:?} took {took:?}: {error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_of_many_ends_in_time() {
        let group = Group::new();
        for role in [Role::Client, Role::Server] {
            let mut ws = slow(role, false).await;
            ws.join(&group);
            tokio::spawn(async move { while let Ok(Some(_)) = ws.recv().await {} });
        }
        let begun = Instant::now();
        assert_eq!(group.shutdown(secs(100_000)).await, 0);
        assert!(begun.elapsed() <= secs(21), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_connects_again_closes_in_time() {
        let open = || async { Ok(idle(Role::Client, false)) };
        let mut ws = Reconnecting::new(Reconnect::new(), open);
        ws.connected().await.unwrap();
        ws.feed(vec![7; 100_000]).await.unwrap();
        let begun = Instant::now();
        assert!(ws.close(CloseCode::NORMAL, "").await.is_err());
        assert!(begun.elapsed() <= secs(21), "{:?}", begun.elapsed());
    }
}
