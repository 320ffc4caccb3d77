//! What connections over streams cost in memory, counted by the allocator of the calling thread.
#![cfg(feature = "std")]

#[path = "blocking_adapter/support.rs"]
mod blocking_support;
#[path = "support/heap.rs"]
mod heap;

use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use blocking_support::{client, fill, keys, ms, pattern, server, tcp};
use heap::{Cost, cost, live};
use sansocket::blocking::{Error, Transport, WebSocket};
use sansocket::{CloseCode, Config, Connection, Message};

fn nonblocking() -> (TcpStream, TcpStream) {
    let (there, here) = tcp();
    there.set_nonblocking(true).unwrap();
    here.set_nonblocking(true).unwrap();
    (there, here)
}

/// Lets the thread have its spare read buffer, which it keeps.
fn warm_up() {
    let (there, here) = nonblocking();
    let (mut client, mut server) = (client(there, Config::new()), server(here, Config::new()));
    client.send("warm").unwrap();
    while !matches!(server.recv(), Ok(Some(_))) {}
    assert!(matches!(server.recv(), Err(Error::WouldBlock)));
}

#[test]
fn a_connection_with_nothing_pending_holds_nothing() {
    warm_up();
    for blocking in [true, false] {
        let (there, here) = tcp();
        there.set_nonblocking(true).unwrap();
        here.set_nonblocking(!blocking).unwrap();
        let (mut client, mut server) = (client(there, Config::new()), server(here, Config::new()));
        let idle = live();
        let is_idle = |ws: &mut WebSocket<TcpStream>| loop {
            match ws.recv_timeout(ms(1)) {
                Err(error) if error.is_temporary() => return assert_eq!(live(), idle, "{error}"),
                Ok(Some(message)) => assert_eq!(message, "hello"),
                other => panic!("{other:?}"),
            }
        };
        is_idle(&mut server);
        for _ in 0..3 {
            client.feed("hello").unwrap();
            client.ping(b"are you there").unwrap();
            client.feed("hello").unwrap();
            client.flush().unwrap();
            std::thread::sleep(ms(5));
            // A lent message holds the buffer, the call after gives it back.
            while let Ok(Some((message, mut tx))) = server.recv_ref() {
                assert_eq!(message, "hello");
                if tx.feed(message).is_err() || blocking {
                    break;
                }
            }
            is_idle(&mut server);
            is_idle(&mut client);
        }
    }
}

#[test]
fn output_that_is_stuck_holds_no_read_buffer() {
    warm_up();
    let (_raw, stream) = nonblocking();
    let mut server = server(stream, Config::new());
    fill(&mut server, &vec![7; 8 << 20]);
    let before = live();
    assert!(matches!(server.recv(), Err(Error::WouldBlock)));
    assert!(live() <= before, "{}", live() - before);
}

// conf: LM-06
#[test]
fn what_grew_for_a_large_message_is_given_back() {
    warm_up();
    let (there, here) = nonblocking();
    let (mut client, mut server) = (client(there, Config::new()), server(here, Config::new()));
    let before = live();
    let big = vec![7; 4 << 20];
    for _ in 0..2 {
        client.send(&big).unwrap();
        let message = loop {
            let _ = client.flush();
            match server.recv() {
                Ok(message) => break message.unwrap(),
                Err(error) => assert!(error.is_temporary()),
            }
        };
        client.flush().unwrap();
        assert!(message.len() == big.len());
        drop(message);
        assert!(matches!(server.recv(), Err(Error::WouldBlock)));
        assert!(live() - before <= big.len() as isize, "{} besides", live() - before);
    }
}

// conf: LM-06
#[test]
fn a_queue_that_never_runs_empty_does_not_grow() {
    const LIMIT: usize = 1 << 20;
    let (mut raw, stream) = tcp();
    stream.set_nonblocking(true).unwrap();
    let mut server = server(stream, Config::new().max_queued_output(LIMIT));
    let (message, mut buffer) = (pattern(10_000), vec![0; 256 << 10]);
    let before = live();
    let mut sent = 0;
    while sent < 64 << 20 {
        while server.feed(&message).is_ok() {
            sent += message.len();
        }
        assert!((LIMIT..LIMIT + 10_010).contains(&server.queued()), "{}", server.queued());
        assert!(live() - before < 4 * LIMIT as isize, "{} after {sent}", live() - before);
        let _ = raw.read(&mut buffer).unwrap();
    }
}

/// A few bytes that are queued, and a few that are unread, wait for as long as the application likes.
// conf: LM-06
#[test]
fn a_few_bytes_that_wait_hold_no_memory_of_earlier_batches() {
    warm_up();
    let mut busy = server(Instant::new(Vec::new()), Config::new());
    const COUNT: usize = 200;
    let mut waiting = Vec::with_capacity(COUNT);
    let mut before = 0;
    for round in 0..COUNT {
        // A queue that grows to 40 KiB, which the thread keeps for the next batch.
        (0..400).for_each(|_| busy.feed(&[7; 100][..]).unwrap());
        busy.flush().unwrap();
        if round == 0 {
            before = live();
        }
        let mut ws =
            server(Instant::new(from_client([1, 2].map(|i| Message::from(vec![i; 10])))), Config::new());
        assert_eq!(ws.recv().unwrap().unwrap().len(), 10);
        ws.feed("pong").unwrap();
        waiting.push(ws);
    }
    // A queue of the first size, and the places of `Instant`; and the read buffers of sixteen of them.
    let held = live() - before;
    let most = COUNT * ((4 << 10) + 9000) + 16 * (72 << 10);
    assert!(held <= most as isize, "{held} instead of at most {most}");
    for mut ws in waiting {
        assert_eq!(ws.recv().unwrap().unwrap().len(), 10);
    }
}

/// A peer whose bytes are there at once; what is sent to it is counted only.
struct Instant {
    incoming: Vec<u8>,
    read: usize,
    sent: usize,
    /// The sizes of the places that were read into.
    places: Vec<usize>,
    writes: usize,
}

impl Instant {
    fn new(incoming: Vec<u8>) -> Self {
        Self { incoming, read: 0, sent: 0, places: Vec::with_capacity(1000), writes: 0 }
    }
}

impl Read for Instant {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // The list itself must not grow: memory is what these tests count.
        if self.places.len() < self.places.capacity() {
            self.places.push(buf.len());
        }
        let rest = &self.incoming[self.read..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = buf.len().min(rest.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.read += len;
        Ok(len)
    }
}

impl Write for Instant {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        self.sent += buf.len();
        Ok(buf.len())
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let len = parts.iter().map(|part| part.len()).sum();
        self.writes += 1;
        self.sent += len;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Instant {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn from_client(messages: impl IntoIterator<Item = Message<'static>>) -> Vec<u8> {
    let (mut out, mut peer) = (Vec::new(), Connection::client(Config::new(), keys(), Duration::ZERO));
    for message in messages {
        peer.send(message, &mut out).unwrap();
    }
    out
}

#[test]
fn an_echo_costs_one_read_and_one_write_for_what_one_read_brought_and_no_allocation_for_each() {
    warm_up();
    const MESSAGES: usize = 2000;
    let incoming = from_client((0..MESSAGES).map(|i| Message::from(format!("message {i:04}"))));
    assert!(incoming.len() < 64 << 10);
    let mut ws = server(Instant::new(incoming), Config::new());
    let (echoed, Cost { allocations, .. }) = cost(|| {
        let mut echoed = 0;
        while let Ok(Some((message, mut tx))) = ws.recv_ref() {
            tx.feed(&message).unwrap();
            echoed += 1;
        }
        echoed
    });
    assert_eq!(echoed, MESSAGES);
    // The output of the batch grows by doubling.
    assert!(allocations <= 20, "{allocations}");
    let stream = ws.transport();
    assert_eq!((stream.sent, stream.writes), (MESSAGES * 14, 1));
    // The second one finds nothing.
    assert_eq!(stream.places.len(), 2);
}

#[test]
fn a_large_binary_message_is_read_to_its_place_and_given_away() {
    warm_up();
    const LEN: usize = 8 << 20;
    let big = pattern(LEN);
    let mut ws = server(Instant::new(from_client([Message::from(big.clone())])), Config::new());
    let before = live();
    let (message, Cost { peak, allocations, .. }) = cost(|| ws.recv().unwrap().unwrap());
    assert!(message == Message::from(&big));
    // Grown by doubling, without a copy at the end.
    assert!(peak <= 2 * LEN as isize + (256 << 10), "{peak}");
    assert!(live() - before <= 2 * LEN as isize, "{}", live() - before);
    assert!(allocations <= 16, "{allocations}");
    // 64 KiB and up to a page at first, then as much again each time.
    let places = &ws.transport().places;
    assert!(places.len() <= 10 && places[1..].iter().sum::<usize>() >= LEN - (68 << 10), "{places:?}");
    // Nothing of the payload is copied on the way out either.
    let (sent, Cost { peak, .. }) = cost(|| ws.send(&message));
    sent.unwrap();
    assert!(peak <= 1024, "{peak}");
    assert_eq!((ws.transport().sent, ws.transport().writes), (LEN + 10, 1));
}

// conf: LM-04 LM-08
#[test]
fn memory_grows_with_what_arrived_not_with_what_was_announced() {
    warm_up();
    for first in [0x81, 0x82, 0x02] {
        for arrived in [0usize, 1, 3000, 16_384, 17_000, 40_000, 200_000] {
            let mut incoming = vec![first, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0];
            incoming.extend(vec![b'a'; arrived]);
            let mut ws = server(Instant::new(incoming), Config::new().max_message_size(usize::MAX));
            let before = live();
            let (result, Cost { peak, .. }) = cost(|| ws.recv());
            assert!(matches!(result, Err(Error::WouldBlock)));
            let held = live() - before;
            assert!(held <= 3 * arrived as isize + 300, "{first:x} {arrived}: {held} are held");
            assert!(peak <= 4 * arrived as isize + 300 + (68 << 10), "{first:x} {arrived}: {peak} at most");
        }
    }
}

#[test]
fn an_ended_connection_holds_nothing_but_its_summary() {
    warm_up();
    let mut incoming = from_client([Message::from("hello"), Message::from(vec![7; 100_000])]);
    incoming.truncate(60_000);
    let mut ws = server(Instant::new(incoming), Config::new().close_timeout(ms(1)));
    let before = live();
    while let Ok(Some(_)) = ws.recv() {}
    let _ = ws.close(CloseCode::NORMAL, "");
    while matches!(ws.recv(), Err(Error::WouldBlock)) {}
    assert!(live() - before < 300, "{}", live() - before);
}

/// More connections than the thread keeps buffers.
#[test]
fn what_is_refused_leaves_no_buffer_behind() {
    warm_up();
    let mut servers: Vec<_> = (0..16)
        .map(|_| {
            let (there, here) = nonblocking();
            (there, server(here, Config::new()))
        })
        .collect();
    let before = live();
    for (_, server) in &mut servers {
        server.ping(&[0; 126]).unwrap_err();
    }
    assert!(live() - before < 10_000, "{}", live() - before);
}
