//! A peer that takes output slowly, or floods, over blocking streams.

use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::thread;

use sansocket::blocking::{Error, Transport};
use sansocket::{Config, Deadline};

use crate::support::{SECOND, ms, pattern, server, within};

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
