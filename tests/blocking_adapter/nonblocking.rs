//! Non-blocking TCP sockets: every call can be made again, memory is bounded on both sides.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use sansocket::blocking::{Error, WebSocket};
use sansocket::{CloseCode, Config, Deadline, Event, Fin, Message, State};

use crate::support::{SECOND, client, fill, ms, pattern, server, tcp};

type Ws = WebSocket<TcpStream>;

fn nonblocking(config: Config) -> (Ws, Ws) {
    let (there, here) = tcp();
    there.set_nonblocking(true).unwrap();
    here.set_nonblocking(true).unwrap();
    (client(there, config.clone()), server(here, config))
}

/// Calls in turn until both are done.
fn until_both<A, B>(
    mut one: impl FnMut() -> Result<A, Error>,
    mut other: impl FnMut() -> Result<B, Error>,
) -> (Result<A, Error>, Result<B, Error>) {
    let (mut first, mut second) = (None, None);
    let start = Instant::now();
    while first.is_none() || second.is_none() {
        assert!(start.elapsed() < 60 * SECOND, "no end");
        first = first.or_else(|| Some(one()).filter(is_done));
        second = second.or_else(|| Some(other()).filter(is_done));
    }
    (first.unwrap(), second.unwrap())
}

fn is_done<T>(result: &Result<T, Error>) -> bool {
    !matches!(result, Err(error) if error.is_temporary())
}

fn wait_for<T>(mut call: impl FnMut() -> Result<T, Error>) -> T {
    let start = Instant::now();
    loop {
        match call() {
            Err(error) if error.is_temporary() => assert!(start.elapsed() < 60 * SECOND, "never ready"),
            done => return done.unwrap(),
        }
        thread::yield_now();
    }
}

#[test]
fn receiving_before_anything_came_would_block_at_once() {
    let (mut client, mut server) = nonblocking(Config::new());
    let start = Instant::now();
    for _ in 0..100 {
        assert!(matches!(client.recv(), Err(Error::WouldBlock)));
        assert!(matches!(server.recv_event(), Err(Error::WouldBlock)));
        assert!(matches!(server.recv_ref(), Err(Error::WouldBlock)));
        assert!(matches!(server.recv_timeout(5 * SECOND), Err(Error::WouldBlock)));
    }
    assert!(start.elapsed() < 5 * SECOND);
    client.send("hello").unwrap();
    assert_eq!(wait_for(|| server.recv()), Some("hello".into()));
    assert!(matches!(server.recv(), Err(Error::WouldBlock)));
}

// conf: FG-09 FR-08
#[test]
fn a_frame_in_single_bytes_comes_whole() {
    let (mut raw, stream) = tcp();
    stream.set_nonblocking(true).unwrap();
    let mut server = server(stream, Config::new());
    for byte in *b"\x81\x82\x01\x02\x03\x04\x69\x6b" {
        assert!(matches!(server.recv(), Err(Error::WouldBlock)));
        raw.write_all(&[byte]).unwrap();
        thread::sleep(ms(1));
    }
    assert_eq!(wait_for(|| server.recv()), Some("hi".into()));
}

// conf: FG-09
#[test]
fn sixteen_mebibytes_both_ways_at_once() {
    let (mut client, mut server) = nonblocking(Config::new());
    let big = pattern(16 << 20);
    // Taken whole although the socket takes only a part.
    let (mut for_server, mut for_client) = (fill(&mut client, &big), fill(&mut server, &big));
    let expect_in = |ws: &mut Ws, missing: &mut usize| match ws.recv() {
        Err(Error::WouldBlock) => {}
        received => {
            assert!(received.unwrap() == Some(Message::from(&big)));
            *missing -= 1;
        }
    };
    let start = Instant::now();
    while for_server + for_client > 0 || client.queued() + server.queued() > 0 {
        assert!(start.elapsed() < 60 * SECOND, "no end");
        expect_in(&mut client, &mut for_client);
        expect_in(&mut server, &mut for_server);
    }
}

// conf: LM-06 FG-09
#[test]
fn a_peer_that_does_not_read_stops_the_sender_and_takes_nothing_of_the_refused() {
    const LIMIT: usize = 300_000;
    for lane in 0..3 {
        let config = Config::new().max_queued_output(LIMIT);
        let (mut client, mut server) = nonblocking(config);
        let mut taken = 0u32;
        let give = |server: &mut Ws, number: u32| {
            let mut payload = pattern(if lane == 2 { 40_000 } else { 1000 });
            payload[..4].copy_from_slice(&number.to_be_bytes());
            match lane {
                0 => server.feed(&payload),
                1 if number % 2 == 0 => server.send_fragment(&payload, Fin::More),
                1 => server.send_fragment(&payload, Fin::Final),
                _ => server.send(&payload),
            }
        };
        // The sockets take a little more now and then: it is full once two calls in a row say so.
        loop {
            match give(&mut server, taken) {
                Ok(()) => taken += 1,
                Err(Error::WouldBlock) if matches!(server.flush(), Err(Error::WouldBlock)) => break,
                Err(error) => assert!(matches!(error, Error::WouldBlock), "{error:?}"),
            }
            assert!(server.queued() <= LIMIT + 41_000, "queue of {}", server.queued());
            assert!(taken < 1_000_000, "the sockets take everything");
        }
        // Everything taken arrives, in order and once; then there is room again.
        let mut expected = 0;
        let per_message = if lane == 1 { 2 } else { 1 };
        while expected + per_message <= taken {
            let message = wait_for(|| {
                let _ = server.flush();
                client.recv()
            });
            let message = message.unwrap().into_bytes();
            assert_eq!(message[..4], expected.to_be_bytes());
            expected += per_message;
        }
        wait_for(|| server.flush());
        assert_eq!(server.queued(), 0);
        give(&mut server, taken).unwrap();
    }
}

// conf: LM-06
#[test]
fn a_peer_that_sends_pings_and_does_not_read_fills_the_queue_to_its_limit() {
    const LIMIT: usize = 200_000;
    let (mut raw, stream) = tcp();
    raw.set_nonblocking(true).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut server = server(stream, Config::new().max_queued_output(LIMIT));
    // Pings of 125 bytes, and now and then a message.
    let mut flood = Vec::new();
    for _ in 0..64 {
        flood.extend_from_slice(b"\x89\xfd\0\0\0\0");
        flood.extend_from_slice(&[b'p'; 125]);
    }
    flood.extend_from_slice(b"\x82\x80\0\0\0\0");
    let (mut offset, mut most, mut accepted, mut received) = (0, 0, 0usize, 0usize);
    let start = Instant::now();
    while accepted < 64 << 20 {
        if let Ok(len) = raw.write(&flood[offset..]) {
            offset = (offset + len) % flood.len();
            accepted += len;
        }
        while let Ok(message) = server.recv() {
            assert!(message.is_some());
            received += 1;
        }
        most = most.max(server.queued());
        assert!(start.elapsed() < 25 * SECOND, "stopped after {accepted} bytes");
    }
    assert!(most > LIMIT && most <= LIMIT + 4096, "queue of {most}");
    assert!(received > 1000, "messages come while pongs find no room: {received}");
    // Once the peer reads, what was queued leaves, and behind it the pong to the latest ping.
    let mut pongs = 0usize;
    let mut buffer = vec![0; 1 << 20];
    while pongs < LIMIT || server.queued() > 0 || server.connection().wants_write() {
        assert!(start.elapsed() < 60 * SECOND, "{pongs} bytes of pongs");
        pongs += raw.read(&mut buffer).unwrap_or(0);
        let _ = server.recv();
    }
    assert_eq!(server.connection().state(), State::Open);
}

// conf: CL-08 CL-09 CL-10 CL-14
#[test]
fn closing_can_be_called_again_until_it_is_done() {
    let (mut client, mut server) = nonblocking(Config::new());
    server.send("last words").unwrap();
    assert!(matches!(client.close(CloseCode::NORMAL, "enough"), Err(Error::WouldBlock)));
    assert!(matches!(client.close(CloseCode::NORMAL, "enough"), Err(Error::WouldBlock)));
    assert_eq!(client.connection().state(), State::Closing);
    // The server ends the stream first: the client is not done before.
    let event = wait_for(|| server.recv_event().map(|event| matches!(event, Some(Event::Close(_)))));
    assert!(event);
    assert!(matches!(client.close(CloseCode::NORMAL, ""), Err(Error::WouldBlock)));
    let (closed, ended) = until_both(|| client.close(CloseCode::NORMAL, ""), || server.recv());
    closed.unwrap();
    assert_eq!(ended.unwrap(), None);
    assert_eq!(server.summary().unwrap().reason, "enough");
    assert!(client.summary().unwrap().clean && server.summary().unwrap().clean);

    let (mut client, mut server) = nonblocking(Config::new());
    assert!(matches!(client.close(CloseCode::NORMAL, "me"), Err(Error::WouldBlock)));
    assert!(matches!(server.close(CloseCode::GOING_AWAY, "you"), Err(Error::WouldBlock)));
    let (left, right) = until_both(|| client.recv(), || server.close(CloseCode::NORMAL, "again"));
    assert_eq!(left.unwrap(), None);
    right.unwrap();
    assert_eq!(client.summary().unwrap().code, CloseCode::GOING_AWAY);
    assert_eq!(server.summary().unwrap().code, CloseCode::NORMAL);
}

// conf: CL-05 CL-06
#[test]
fn a_close_waits_behind_the_queue_and_nothing_follows_it() {
    let (mut client, mut server) = nonblocking(Config::new());
    let big = pattern(8 << 20);
    let sent = fill(&mut server, &big);
    server.start_close(CloseCode::GOING_AWAY, "restart").unwrap();
    assert!(server.queued() > 0);
    assert!(matches!(server.send("more"), Err(Error::Send(_))));
    assert!(matches!(server.ping(b"more"), Err(Error::Send(_))));
    for _ in 0..sent {
        let message = wait_for(|| {
            let _ = server.flush();
            client.recv()
        });
        assert!(message == Some(Message::from(&big)));
    }
    let (end, closed) = until_both(|| client.recv(), || server.recv());
    assert_eq!((end.unwrap(), closed.unwrap()), (None, None));
    assert_eq!(client.summary().unwrap().reason, "restart");
}

// conf: CT-10
#[test]
fn the_next_deadline_drives_an_event_loop() {
    let config = Config::new().ping_interval(ms(30)).pong_timeout(ms(40)).close_timeout(ms(100));
    let (mut raw, stream) = tcp();
    stream.set_nonblocking(true).unwrap();
    let mut server = server(stream, config);
    let start = Instant::now();
    let mut turns = 0;
    let verdict = loop {
        match server.recv() {
            Err(Error::WouldBlock) => {}
            ended => break ended,
        }
        // Looking at the clock twice must not make the peer look alive.
        let _ = server.next_deadline();
        let wait = server.next_deadline().expect("a deadline runs");
        thread::sleep(wait);
        let _ = server.next_deadline();
        turns += 1;
        assert!(turns < 100, "spins");
    };
    // The Close frame has left, and the end of the stream is awaited: not for ever either.
    assert!(
        matches!(verdict, Err(Error::Connection(sansocket::Error::Timeout(Deadline::Pong)))),
        "{verdict:?}"
    );
    assert!(start.elapsed() >= ms(70));
    drop(server);
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard).unwrap();
    assert_eq!(heard[..2], [0x89, 4]);
    assert_eq!(heard[6], 0x88);
    assert_eq!(heard[8..10], 1011u16.to_be_bytes());
}

/// A keepalive ping that falls due while the peer takes only a part of a large message stays out of its frame.
#[test]
fn a_ping_never_gets_into_the_middle_of_a_frame() {
    let config = Config::new().ping_interval(ms(20)).pong_timeout(None);
    let (there, here) = tcp();
    here.set_nonblocking(true).unwrap();
    let mut server = server(here, config);
    let mut client = client(there, Config::new());
    let big = pattern(8 << 20);
    for _ in 0..3 {
        // Due, and not yet judged.
        thread::sleep(ms(40));
        let mut missing = fill(&mut server, &big);
        while missing > 0 {
            match client.recv_timeout(ms(1)) {
                Ok(message) => {
                    assert!(message == Some(Message::from(&big)));
                    missing -= 1;
                }
                Err(error) => assert!(error.is_temporary(), "{error}"),
            }
            let _ = server.recv();
        }
        wait_for(|| server.flush());
    }
}
