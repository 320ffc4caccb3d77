//! Deadlines over TCP, in real time: they are kept, and nothing waits for ever.

use std::io::{Read, Write};
use std::net::TcpStream as Raw;
use std::thread;
use std::time::Instant;

use sansocket::{CloseCode, Config, Deadline, Fin};

use crate::adapter::{Error, TcpStream, WebSocket, client, recv_within, run, server, tcp_stream};
use crate::support::{SECOND, masked, ms, sockets, within};

/// What is sent to a peer that takes nothing, as often as it takes to fill the kernel's buffers.
const BIG: usize = 8 << 20;

#[track_caller]
fn assert_overdue<T: core::fmt::Debug>(result: &Result<T, Error>, deadline: Deadline) {
    let expected = sansocket::Error::Timeout(deadline);
    assert!(matches!(result, Err(Error::Connection(error)) if *error == expected), "{result:?}");
}

/// Runs one end of a connection, which must come to an end by itself.
#[track_caller]
fn ends<T: Send + 'static>(stream: Raw, work: impl AsyncFnOnce(TcpStream) -> T + Send + 'static) -> T {
    within(20 * SECOND, move || run(async { work(tcp_stream(stream)).await }))
}

/// A peer that sends the same frame without end and reads nothing but what it is sent at first.
fn flood(mut raw: Raw, frame: Vec<u8>) {
    thread::spawn(move || {
        let mut sink = [0; 4096];
        raw.set_read_timeout(Some(ms(1))).unwrap();
        while raw.write_all(&frame.repeat(20)).is_ok() {
            let _ = raw.read(&mut sink);
        }
    });
}

// conf: CT-10
#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let config = Config::new().ping_interval(ms(40)).pong_timeout(ms(60));
    let config = config.close_timeout(ms(60)).write_timeout(ms(500));
    let (mut raw, stream) = sockets();
    ends(stream, async |stream| {
        let start = Instant::now();
        let mut ws = server(stream, config);
        assert_overdue(&ws.recv().await, Deadline::Pong);
        assert!(start.elapsed() >= ms(100), "{:?}", start.elapsed());
        let summary = ws.summary().unwrap();
        assert_eq!((summary.code, summary.clean), (CloseCode::ABNORMAL, false));
        assert_overdue(&ws.recv().await, Deadline::Pong);
    });
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard).unwrap();
    assert_eq!(heard[..2], [0x89, 4]);
    assert_eq!((heard[6], &heard[8..10]), (0x88, &1011u16.to_be_bytes()[..]));
}

// conf: CT-10
#[test]
fn a_slow_peer_that_is_alive_survives() {
    let config = Config::new().ping_interval(ms(60)).pong_timeout(SECOND).message_timeout(SECOND);
    let (mut raw, stream) = sockets();
    let slow = thread::spawn(move || {
        // No pong ever, but a byte now and then.
        for byte in *b"\x82\x8e\0\0\0\0slow but alive" {
            raw.write_all(&[byte]).unwrap();
            thread::sleep(ms(80));
        }
        raw
    });
    let mut raw = run(async {
        let mut ws = server(tcp_stream(stream), config);
        assert_eq!(ws.recv().await.unwrap(), Some(b"slow but alive".into()));
        slow.join().unwrap()
    });
    let mut pings = [0; 12];
    raw.read_exact(&mut pings).unwrap();
    assert_eq!((pings[0], pings[6]), (0x89, 0x89));
}

#[test]
fn an_idle_peer_is_told_to_go() {
    let config = Config::new().ping_interval(None).idle_timeout(ms(50)).close_timeout(ms(50));
    let (mut raw, stream) = sockets();
    let verdict = ends(stream, async |stream| server(stream, config).recv().await);
    assert_overdue(&verdict, Deadline::Idle);
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard).unwrap();
    assert_eq!((heard[0], &heard[2..4]), (0x88, &1001u16.to_be_bytes()[..]));
}

#[test]
fn pings_do_not_keep_an_unfinished_message_alive() {
    let config = Config::new().message_timeout(ms(100)).close_timeout(ms(100));
    let (mut raw, stream) = sockets();
    raw.write_all(&masked(0x02, b"!")).unwrap();
    flood(raw, masked(0x89, b""));
    let verdict = ends(stream, async |stream| server(stream, config).recv().await);
    assert_overdue(&verdict, Deadline::Message);
}

/// What sending without end comes to.
async fn until_stuck(ws: &mut WebSocket<TcpStream>, lane: usize) -> Result<(), Error> {
    let big = "x".repeat(BIG);
    for _ in 0..1000 {
        match lane {
            0 => ws.send(&big).await?,
            1 => ws.feed(&big).await?,
            _ => ws.send_fragment(&big, Fin::More).await?,
        }
    }
    panic!("the stream takes everything");
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_and_no_later_call_waits() {
    for lane in 0..3 {
        let (raw, stream) = sockets();
        ends(stream, async move |stream| {
            let mut ws = server(stream, Config::new().write_timeout(ms(150)));
            let start = Instant::now();
            assert_overdue(&until_stuck(&mut ws, lane).await, Deadline::Write);
            assert!(start.elapsed() >= ms(150));
            let start = Instant::now();
            for _ in 0..3 {
                assert_overdue(&ws.recv().await, Deadline::Write);
                assert_overdue(&ws.close(CloseCode::NORMAL, "").await, Deadline::Write);
                assert!(matches!(ws.send("more").await, Err(Error::Send(_))));
                assert_overdue(&ws.flush().await, Deadline::Write);
            }
            assert!(start.elapsed() < 2 * SECOND, "{:?}", start.elapsed());
            assert_eq!(ws.queued(), 0, "nobody will ever take it");
        });
        drop(raw);
    }
}

#[test]
fn two_that_only_send_end_by_the_write_deadline() {
    let config = Config::new().write_timeout(ms(200)).close_timeout(ms(200));
    let (there, here) = sockets();
    let settings = config.clone();
    let other =
        thread::spawn(move || ends(here, async |stream| until_stuck(&mut server(stream, settings), 0).await));
    let first = ends(there, async |stream| until_stuck(&mut client(stream, config), 0).await);
    let verdicts = [first, other.join().unwrap()];
    // Who is given up second may see the other one go.
    assert!(verdicts.iter().all(Result::is_err));
    let stalled = |verdict: &Result<(), Error>| {
        matches!(verdict, Err(Error::Connection(sansocket::Error::Timeout(Deadline::Write))))
    };
    assert!(verdicts.iter().any(stalled), "{verdicts:?}");
}

// conf: CL-09 CL-10
#[test]
fn close_waits_for_the_peer_but_not_for_ever() {
    let config = || Config::new().close_timeout(ms(80));
    // No answer at all.
    let (raw, stream) = sockets();
    ends(stream, async move |stream| {
        let start = Instant::now();
        let mut ws = client(stream, config());
        assert_overdue(&ws.close(CloseCode::NORMAL, "").await, Deadline::Close);
        assert!(start.elapsed() >= ms(80));
        assert_overdue(&ws.recv().await, Deadline::Close);
        assert!(!ws.summary().unwrap().clean);
    });
    drop(raw);
    // An answer, but the server never ends the stream: clean, after the deadline.
    let (mut raw, stream) = sockets();
    raw.write_all(b"\x88\x02\x03\xe8").unwrap();
    ends(stream, async move |stream| {
        let start = Instant::now();
        let mut ws = client(stream, config());
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        assert!(start.elapsed() >= ms(80));
        assert!(ws.summary().unwrap().clean);
        assert_eq!(ws.recv().await.unwrap(), None);
    });
    drop(raw);
    // Messages without end, and no answer.
    let (raw, stream) = sockets();
    flood(raw, masked(0x82, b""));
    ends(stream, async move |stream| {
        let mut ws = server(stream, config());
        ws.start_close(CloseCode::NORMAL, "").await.unwrap();
        let verdict = loop {
            match recv_within(&mut ws, SECOND).await {
                Some(Ok(Some(_))) => {}
                ended => break ended.expect("the deadline has passed"),
            }
        };
        assert_overdue(&verdict, Deadline::Close);
    });
    // An answer that is followed by bytes without end.
    let (raw, stream) = sockets();
    flood(raw, masked(0x88, b""));
    ends(stream, async move |stream| server(stream, config()).recv().await.unwrap());
}
