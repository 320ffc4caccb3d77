//! Neither end stops the other: input is taken while output waits, and a peer that takes output is alive.
#![cfg(feature = "rand")]

#[cfg(feature = "tokio")]
#[path = "full_queues/asynchronous.rs"]
mod asynchronous;
#[path = "blocking_adapter/support.rs"]
mod blocking_support;

use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::thread;

use blocking_support::{SECOND, ms, pattern, server, within};
use sansocket::blocking::{Error, Transport, WebSocket, pair};
use sansocket::{CloseCode, Config, Connection, Deadline, Unread};

/// Both ends have more to say than the pipe between them holds, and receive.
// conf: CT-07
#[test]
fn two_blocking_ends_that_receive_with_full_queues_both_go_on() {
    let config = Config::new().write_timeout(10 * SECOND);
    let (client, server) = pair(config);
    let talk = |mut ws: WebSocket<_>| {
        move || {
            ws.feed(pattern(200_000))?;
            ws.feed("the end")?;
            let long = ws.recv()?.map(|message| message.len());
            assert_eq!((long, ws.recv()?), (Some(200_000), Some("the end".into())));
            ws.close(CloseCode::NORMAL, "")
        }
    };
    within(8 * SECOND, move || {
        let other = thread::spawn(talk(server));
        talk(client)().unwrap();
        other.join().unwrap().unwrap();
    });
}

/// The same with more than is written while it is fed, and less than the queue takes.
#[test]
fn two_blocking_ends_that_feed_up_to_their_limits_go_on_once_they_receive() {
    let config = Config::new().write_timeout(10 * SECOND);
    let (client, server) = pair(config);
    let talk = |mut ws: WebSocket<_>| {
        move || {
            for _ in 0..15 {
                ws.feed(pattern(60_000))?;
            }
            for _ in 0..15 {
                assert_eq!(ws.recv()?.map(|message| message.len()), Some(60_000));
            }
            ws.close(CloseCode::NORMAL, "")
        }
    };
    within(8 * SECOND, move || {
        let other = thread::spawn(talk(server));
        talk(client)().unwrap();
        other.join().unwrap().unwrap();
    });
}

/// The same while both close: what they said before their Close frames is in each other's way.
// conf: CL-14
#[test]
fn two_blocking_ends_that_close_with_full_queues_end_cleanly() {
    let config = Config::new().write_timeout(10 * SECOND).close_timeout(10 * SECOND);
    let (client, server) = pair(config);
    let talk = |mut ws: WebSocket<_>| {
        move || {
            ws.feed(pattern(60_000)).unwrap();
            ws.feed(pattern(150_000)).unwrap();
            // The Close frame waits behind them.
            let end = ws.recv_timeout(ms(1)).map(drop);
            assert!(matches!(end, Ok(()) | Err(Error::TimedOut)), "{end:?}");
            let closed = ws.close(CloseCode::NORMAL, "");
            (closed.is_ok(), ws.summary().unwrap().clean)
        }
    };
    within(8 * SECOND, move || {
        let other = thread::spawn(talk(server));
        assert_eq!((talk(client)(), other.join().unwrap()), ((true, true), (true, true)));
    });
}

/// Takes a byte of each write, after a while; has a message to read.
struct Slow {
    message: Vec<u8>,
    read_timeout: Duration,
}

impl Read for Slow {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        if self.message.is_empty() {
            thread::sleep(self.read_timeout);
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = self.message.len();
        place[..len].copy_from_slice(&self.message);
        self.message.clear();
        Ok(len)
    }
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        thread::sleep(ms(2));
        Ok(bytes.len().min(1))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Slow {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = timeout.unwrap_or(SECOND);
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// No write waits for long, but they are many: what is queued would take seven minutes.
#[test]
fn a_blocking_receive_reads_and_ends_in_time_though_the_peer_takes_its_output_slowly() {
    within(5 * SECOND, || {
        let stream = Slow { message: b"\x81\x82\0\0\0\0hi".to_vec(), read_timeout: SECOND };
        let mut ws = server(stream, Config::new());
        ws.feed(pattern(200_000)).unwrap();
        assert_eq!(ws.recv().unwrap(), Some("hi".into()));
        let end = ws.recv_timeout(ms(50));
        assert!(matches!(end, Err(Error::TimedOut)), "{end:?}");
        assert!(ws.queued() > 100_000, "{} bytes", ws.queued());
    });
}

/// A stream without waits that gives the same bytes again and again.
#[derive(Debug)]
struct Endless {
    first: Vec<u8>,
    flood: Vec<u8>,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        if !self.first.is_empty() {
            let len = self.first.len().min(place.len());
            place[..len].copy_from_slice(&self.first[..len]);
            self.first.drain(..len);
            return Ok(len);
        }
        for byte in place.iter_mut() {
            *byte = self.flood[self.at % self.flood.len()];
            self.at += 1;
        }
        Ok(place.len())
    }
}

impl Write for Endless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Endless {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// Each read is filled by pings, so that more may lie unread: but none of it is the message that is overdue.
#[test]
fn a_flood_does_not_put_off_the_deadline_of_a_message() {
    within(20 * SECOND, || {
        let stream = Endless {
            first: b"\x01\x81\0\0\0\0x".to_vec(),
            flood: [&b"\x89\xfd\0\0\0\0"[..], &[b'p'; 125]].concat(),
            at: 0,
        };
        let mut ws = server(stream, Config::new().message_timeout(ms(100)).max_queued_output(1 << 30));
        let end = ws.recv();
        let overdue = sansocket::Error::Timeout(Deadline::Message);
        assert!(matches!(end, Err(Error::Connection(error)) if error == overdue), "{end:?}");
    });
}

fn silent(config: Config) -> Connection {
    Connection::server(config, Duration::ZERO)
}

/// What counts is room that the peer has made, not bytes that found some.
// conf: CT-10
#[test]
fn a_peer_that_makes_room_is_alive_and_one_that_need_not_proves_nothing() {
    let config = || Config::new().ping_interval(SECOND).pong_timeout(SECOND).idle_timeout(3 * SECOND);
    let mut out = Vec::new();
    let mut connection = silent(config());
    // The transport is full, and takes some every 0.4 s.
    connection.handle_written(Duration::ZERO, 0, 100_000);
    let mut now = Duration::ZERO;
    for left in (0..20).rev() {
        now += ms(400);
        connection.handle_timeout(now, Unread::Nothing, &mut out).unwrap();
        connection.handle_written(now, 1000, left * 1000);
        if left > 0 {
            connection.handle_written(now, 0, left * 1000);
        }
    }
    // Eight seconds were needed: as long as that the peer is presumed to take what lies in between.
    assert_eq!(connection.poll_timeout(), Some(now + 8 * SECOND + SECOND));

    // One message a second finds room each time.
    let mut connection = silent(config());
    let end = (0..60).find_map(|second| {
        let now = ms(second * 1000 + 1);
        connection.handle_written(now, 100, 0);
        connection.handle_timeout(now, Unread::Nothing, &mut out).err().map(|error| (second, error))
    });
    assert_eq!(end, Some((2, sansocket::Error::Timeout(Deadline::Pong))));
}

/// A keepalive ping can be answered only from when it found room.
// conf: CT-10
#[test]
fn a_ping_that_waits_for_room_is_not_overdue() {
    let mut none = sansocket::SliceSink::new(&mut []);
    let mut connection = silent(Config::new().ping_interval(SECOND).pong_timeout(SECOND));
    connection.handle_timeout(SECOND, Unread::Nothing, &mut none).unwrap();
    assert!(connection.wants_write());
    connection.handle_timeout(5 * SECOND, Unread::Nothing, &mut none).unwrap();
    let mut out = Vec::new();
    assert!(connection.transmit(&mut out));
    connection.handle_written(9 * SECOND, out.len(), 0);
    assert_eq!(connection.poll_timeout(), Some(10 * SECOND));
    let overdue = connection.handle_timeout(10 * SECOND, Unread::Nothing, &mut out);
    assert_eq!(overdue, Err(sansocket::Error::Timeout(Deadline::Pong)));
}
