//! Deadlines over blocking streams, beyond what every adapter does: calls with a timeout, and a stream that spins.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use sansocket::blocking::{Error, Transport, WebSocket, pipe};
use sansocket::{CloseCode, Config, Connection, Deadline, Message, State, Unread};

use crate::support::{SECOND, fill, ms, pattern, server, tcp, within};

/// What is sent to a peer that takes nothing, as often as it takes to fill the kernel's buffers.
const BIG: usize = 8 << 20;

#[track_caller]
fn assert_overdue<T: core::fmt::Debug>(result: &Result<T, Error>, deadline: Deadline) {
    let expected = sansocket::Error::Timeout(deadline);
    assert!(matches!(result, Err(Error::Connection(error)) if *error == expected), "{result:?}");
}

/// A peer that sends pings without end and reads nothing but what it is sent at first.
fn flood(mut raw: TcpStream, frame: &'static [u8]) {
    thread::spawn(move || {
        let mut sink = [0; 4096];
        raw.set_read_timeout(Some(ms(1))).unwrap();
        while raw.write_all(&frame.repeat(20)).is_ok() {
            let _ = raw.read(&mut sink);
        }
    });
}

fn waits_for_its_time<S: Transport>(stream: S) {
    let mut ws = server(stream, Config::new());
    for time in [ms(0), ms(60), ms(5)] {
        let start = Instant::now();
        assert!(matches!(ws.recv_timeout(time), Err(Error::TimedOut)));
        assert!(start.elapsed() >= time, "{:?} instead of {time:?}", start.elapsed());
        assert!(start.elapsed() < time + 2 * SECOND);
    }
}

#[test]
fn recv_timeout_waits_for_its_time() {
    let (_raw, stream) = tcp();
    waits_for_its_time(stream);
    let (_raw, stream) = pipe();
    waits_for_its_time(stream);
    #[cfg(unix)]
    {
        let (_raw, stream) = std::os::unix::net::UnixStream::pair().unwrap();
        waits_for_its_time(stream);
    }
}

#[test]
fn a_connection_that_was_taken_apart_keeps_its_deadlines() {
    let (_raw, stream) = tcp();
    // Pings after 20 s of silence, of which 15 s pass while nobody has the connection.
    let mut parts = server(stream, Config::new()).into_parts();
    assert!(parts.now < 5 * SECOND);
    parts.now += 15 * SECOND;
    let mut ws = WebSocket::from_parts(parts);
    let left = ws.next_deadline().unwrap();
    assert!(left <= 5 * SECOND && left > SECOND, "{left:?}");
    let mut parts = ws.into_parts();
    assert!(parts.now >= 15 * SECOND, "{:?}", parts.now);
    // No clock is looked at by hand: a ping is due and leaves with the next call.
    parts.now += 5 * SECOND;
    let mut ws = WebSocket::from_parts(parts);
    assert!(matches!(ws.recv_timeout(ms(20)), Err(Error::TimedOut)));
    let left = ws.next_deadline().unwrap();
    assert!(left <= 20 * SECOND && left > 15 * SECOND, "the pong has its whole time: {left:?}");
    // What comes in now counts from now, even if no read told the time before.
    let mut parts = ws.into_parts();
    parts.unread = b"\x81\x82\x01\x02\x03\x04\x69\x6b\x01\x80\x01\x02\x03\x04".to_vec();
    let mut ws = WebSocket::from_parts(parts);
    assert_eq!(ws.recv().unwrap(), Some("hi".into()));
    assert!(matches!(ws.recv_timeout(ms(20)), Err(Error::TimedOut)));
}

// conf: FR-12
#[test]
fn a_cut_frame_survives_recv_timeout() {
    let (mut raw, stream) = tcp();
    let mut server = server(stream, Config::new());
    for byte in *b"\x01\x82\x01\x02\x03\x04\x69\x6b\x80\x81\0\0\0\0!" {
        assert!(matches!(server.recv_timeout(ms(2)), Err(Error::TimedOut)));
        raw.write_all(&[byte]).unwrap();
    }
    assert_eq!(server.recv_timeout(5 * SECOND).unwrap(), Some("hi!".into()));
    // A large one that is read straight to its place.
    raw.write_all(b"\x82\xff\0\0\0\0\0\x03\0\0\0\0\0\0").unwrap();
    let big = pattern(3 << 16);
    for part in big.chunks(40_000) {
        assert!(matches!(server.recv_timeout(ms(2)), Err(Error::TimedOut)));
        raw.write_all(part).unwrap();
    }
    assert!(server.recv_timeout(5 * SECOND).unwrap() == Some(Message::from(&big)));
}

#[test]
fn recv_timeout_ends_in_the_midst_of_pings() {
    let (raw, stream) = tcp();
    flood(raw, b"\x89\x80\0\0\0\0");
    within(10 * SECOND, move || {
        let mut server = server(stream, Config::new());
        assert!(matches!(server.recv_timeout(ms(100)), Err(Error::TimedOut)));
        assert_eq!(server.connection().state(), State::Open);
    });
}

#[test]
fn recv_timeout_ends_while_output_is_stuck() {
    let (mut raw, stream) = tcp();
    within(20 * SECOND, move || {
        stream.set_nonblocking(true).unwrap();
        let mut server = server(stream, Config::new());
        fill(&mut server, &vec![7; BIG]);
        server.transport().set_nonblocking(false).unwrap();
        let start = Instant::now();
        assert!(matches!(server.recv_timeout(ms(50)), Err(Error::TimedOut)));
        assert!(start.elapsed() >= ms(50) && start.elapsed() < 5 * SECOND, "{:?}", start.elapsed());
        // What comes is received even so.
        raw.write_all(b"\x82\x81\0\0\0\0!").unwrap();
        assert_eq!(server.recv_timeout(ms(50)).unwrap(), Some(b"!".into()));
    });
}

/// The loop looks at the clock before each read, and is mostly busy elsewhere.
// conf: CT-10
#[test]
fn a_silent_peer_is_pinged_and_then_given_up_by_a_loop_of_short_waits() {
    let config = Config::new().ping_interval(ms(40)).pong_timeout(ms(60));
    let config = config.close_timeout(ms(60)).write_timeout(ms(500));
    let receive = |ws: &mut WebSocket<TcpStream>| loop {
        match ws.recv_timeout(ms(1)) {
            Err(Error::TimedOut) => thread::sleep(ms(15)),
            ended => return ended,
        }
    };
    let (mut raw, stream) = tcp();
    within(20 * SECOND, move || {
        let start = Instant::now();
        let mut server = server(stream, config);
        assert_overdue(&receive(&mut server), Deadline::Pong);
        assert!(start.elapsed() >= ms(100), "{:?}", start.elapsed());
        let summary = server.summary().unwrap();
        assert_eq!((summary.code, summary.clean), (CloseCode::ABNORMAL, false));
        assert_overdue(&receive(&mut server), Deadline::Pong);
    });
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard).unwrap();
    assert_eq!(heard[..2], [0x89, 4]);
    assert_eq!((heard[6], &heard[8..10]), (0x88, &1011u16.to_be_bytes()[..]));
}

/// The peer closes and takes nothing, so that neither the queue nor the answer leaves.
#[test]
fn an_answer_to_a_close_that_never_leaves_is_given_up() {
    let config = Config::new().close_timeout(ms(80)).write_timeout(30 * SECOND);
    let (mut raw, stream) = tcp();
    within(20 * SECOND, move || {
        stream.set_nonblocking(true).unwrap();
        let mut server = server(stream, config);
        fill(&mut server, &vec![7; BIG]);
        server.transport().set_nonblocking(false).unwrap();
        raw.write_all(b"\x88\x80\0\0\0\0").unwrap();
        let verdict = loop {
            match server.recv_timeout(SECOND) {
                Err(Error::TimedOut) => {}
                ended => break ended,
            }
        };
        assert_overdue(&verdict, Deadline::Close);
        let summary = server.summary().unwrap();
        assert_eq!((summary.code, summary.clean), (CloseCode::NO_STATUS_RECEIVED, false));
        assert_overdue(&server.recv(), Deadline::Close);
    });
}

// conf: CL-09
#[test]
fn a_close_behind_a_queue_has_its_time_from_when_it_left() {
    let config = Config::new().close_timeout(10 * SECOND).ping_interval(None);
    let mut connection = Connection::server(config, ms(0));
    let mut out = Vec::new();
    connection.close(ms(0), CloseCode::NORMAL, "", &mut out).unwrap();
    // The queue before it moves, slowly: that puts nothing off, or a peer could go on for ever.
    for at in [2, 4, 6] {
        connection.handle_written(at * SECOND, 1000, 1000);
        connection.handle_timeout((at + 1) * SECOND, Unread::Nothing, &mut out).unwrap();
        connection.handle_written((at + 1) * SECOND, 0, 1000);
        assert_eq!(connection.poll_timeout(), Some(10 * SECOND));
    }
    connection.handle_written(9 * SECOND, 1000, 0);
    connection.handle_timeout(18 * SECOND, Unread::Nothing, &mut out).unwrap();
    let overdue = sansocket::Error::Timeout(Deadline::Close);
    assert_eq!(connection.handle_timeout(19 * SECOND, Unread::Nothing, &mut out), Err(overdue));
}

/// Deadlines that are due while the stream gives and takes nothing cost a call now and then.
#[test]
fn waiting_is_not_spinning() {
    let config = Config::new().ping_interval(ms(20)).pong_timeout(ms(150)).write_timeout(ms(200));
    let config = config.close_timeout(ms(100));
    // A silent peer: pings, the verdict, the wait for its end.
    let (_raw, stream) = tcp();
    let settings = config.clone();
    let calls = within(10 * SECOND, move || {
        let mut ws = server(Counted { stream, calls: 0 }, settings);
        assert_overdue(&ws.recv(), Deadline::Pong);
        ws.transport().calls
    });
    assert!(calls < 60, "{calls} calls");
    // A peer that takes nothing while pings are due.
    let (_raw, stream) = pipe();
    let calls = within(10 * SECOND, move || {
        let mut ws = server(Counted { stream, calls: 0 }, config);
        assert_overdue(&ws.send(vec![7; BIG]), Deadline::Write);
        let filling = ws.transport().calls;
        assert_overdue(&ws.recv(), Deadline::Write);
        assert!(ws.transport().calls < filling + 5);
        filling
    });
    assert!(calls < 200, "{calls} calls");
}

struct Counted<S> {
    stream: S,
    calls: usize,
}

impl<S: Transport> Read for Counted<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        self.stream.read(buf)
    }
}

impl<S: Transport> Write for Counted<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Transport> Transport for Counted<S> {
    fn set_read_timeout(&mut self, timeout: Option<core::time::Duration>) -> io::Result<()> {
        self.calls += 1;
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<core::time::Duration>) -> io::Result<()> {
        self.calls += 1;
        self.stream.set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown_write()
    }
}
