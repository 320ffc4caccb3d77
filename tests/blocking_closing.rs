//! How connections over streams end: by agreement, by a violation, by a half-closed or a vanished peer.
#![cfg(feature = "std")]

mod blocking_support;

use core::mem;
use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Instant;

use blocking_support::{SECOND, client, keys, ms, pattern, read_all, server, tcp, within};
use sansocket::blocking::{Error, Pipe, Transport, Untimed, WebSocket, pipe};
use sansocket::{CloseCode, Config, Connection, Event, Initiator, Message, ProtocolError, State};

/// A masked frame with the key zero.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// Reads to the end of the stream, which must be one and not a reset.
fn events_to_the_end(mut raw: impl Read) -> Vec<Event<'static>> {
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard).expect("no reset");
    let (events, error) =
        read_all(&mut Connection::client(Config::new(), keys(), Duration::ZERO), &mut heard);
    assert_eq!(error, None);
    events
}

fn code(event: &Event<'_>) -> u16 {
    match event {
        Event::Close(frame) => frame.code.get(),
        other => panic!("{other:?}"),
    }
}

fn echo_owned<S: Transport>(ws: &mut WebSocket<S>) -> Result<(), Error> {
    while let Some(message) = ws.recv()? {
        ws.send(message)?;
    }
    Ok(())
}

fn echo_lent<S: Transport>(ws: &mut WebSocket<S>) -> Result<(), Error> {
    while let Some((message, mut tx)) = ws.recv_ref()? {
        tx.feed(&message)?;
    }
    Ok(())
}

fn echo_events<S: Transport>(ws: &mut WebSocket<S>) -> Result<(), Error> {
    while let Some(event) = ws.recv_event()? {
        if let Event::Message(message) = event {
            let message = message.into_owned();
            ws.feed(message)?;
        }
    }
    Ok(())
}

type Echo = fn(&mut WebSocket<TcpStream>) -> Result<(), Error>;

const ECHOES: [Echo; 3] = [echo_owned, echo_lent, echo_events];

/// The peer has sent much more than the server will ever look at. Closing the socket over that would make the kernel
/// send a reset, which destroys what is on its way.
// conf: FL-01 FL-02 FL-03 CL-10
#[test]
fn what_was_valid_before_a_violation_is_answered_and_its_code_arrives() {
    let violations: [(&[u8], u16); 6] = [
        (b"\x81\x02hi", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x01\x82\0\0\0\0a\xff", 1007),
        (b"\x82\xfe\x10\x01\0\0\0\0", 1009),
        (b"\x88\x81\0\0\0\0!", 1002),
    ];
    for (violation, expected) in violations {
        for echo in ECHOES {
            let (mut raw, stream) = tcp();
            let judge = thread::spawn(move || {
                let mut ws = server(stream, Config::new().max_message_size(4096).close_timeout(5 * SECOND));
                let verdict = echo(&mut ws);
                let summary = ws.summary().unwrap();
                assert_eq!((summary.code, summary.clean), (CloseCode::ABNORMAL, false));
                assert_eq!(summary.initiator, Initiator::Library);
                let again = echo(&mut ws);
                assert_eq!(format!("{verdict:?}"), format!("{again:?}"));
                verdict
            });
            let mut said = masked(0x81, b"before");
            said.extend_from_slice(&masked(0x89, b"ping"));
            said.extend_from_slice(violation);
            raw.write_all(&said).unwrap();
            // Valid by itself, but what follows a violation is not looked at.
            raw.write_all(&masked(0x82, b"after").repeat(100_000)).unwrap();
            let events = events_to_the_end(&raw);
            assert_eq!(events.len(), 3, "{events:?}");
            assert_eq!(events[0], Event::Message("before".into()));
            assert_eq!(events[1], Event::Pong(b"ping"[..].into()));
            assert_eq!(code(&events[2]), expected);
            drop(raw);
            let verdict = judge.join().unwrap();
            assert!(matches!(verdict, Err(Error::Connection(_))), "{verdict:?}");
        }
    }
}

// conf: MK-04 FL-01
#[test]
fn a_client_fails_a_server_that_masks() {
    let (mut raw, stream) = tcp();
    raw.write_all(&masked(0x82, b"hi")).unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    let verdict = client(stream, Config::new()).recv();
    let expected = sansocket::Error::Protocol(ProtocolError::MaskUnexpected);
    assert!(matches!(verdict, Err(Error::Connection(error)) if error == expected), "{verdict:?}");
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard).unwrap();
    let (events, _) = read_all(&mut Connection::server(Config::new(), Duration::ZERO), &mut heard);
    assert_eq!(code(&events[0]), 1002);
}

// conf: CL-10
#[test]
fn closing_with_much_unread_still_delivers_the_code() {
    let (mut raw, stream) = tcp();
    let flood = thread::spawn(move || {
        for _ in 0..40 {
            raw.write_all(&masked(0x82, b"unread").repeat(5000)).unwrap();
        }
        raw.write_all(&masked(0x88, &1000u16.to_be_bytes())).unwrap();
        events_to_the_end(raw)
    });
    let mut ws = server(stream, Config::new());
    ws.close(CloseCode::TRY_AGAIN_LATER, "too busy").unwrap();
    let summary = ws.summary().unwrap();
    assert_eq!((summary.code, summary.clean), (CloseCode::NORMAL, true));
    assert_eq!(summary.initiator, Initiator::Local);
    drop(ws);
    let events = flood.join().unwrap();
    assert_eq!((events.len(), code(&events[0])), (1, 1013));
}

// conf: CL-04 CL-08 CL-11 CL-12 CL-13
#[test]
fn the_server_ends_the_stream_first() {
    let (mut raw, stream) = tcp();
    let ended = thread::spawn(move || {
        let mut ws = server(stream, Config::new());
        let end = ws.recv();
        assert!(ws.summary().unwrap().clean);
        assert_eq!(ws.summary().unwrap().reason, "done");
        (end, ws.summary().unwrap().code)
    });
    raw.write_all(&masked(0x88, b"\x0f\xa0done")).unwrap();
    // Its end comes although ours has not.
    assert_eq!(code(&events_to_the_end(&raw)[0]), 4000);
    drop(raw);
    let (end, code) = ended.join().unwrap();
    assert_eq!((end.unwrap(), code), (None, CloseCode::new(4000)));
}

/// A stream whose end finds no room at first, as that of TLS may.
struct LateEnd(Pipe, bool);

impl Read for LateEnd {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        self.0.read(place)
    }
}

impl Write for LateEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for LateEnd {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        if !mem::replace(&mut self.1, true) {
            return Err(ErrorKind::TimedOut.into());
        }
        self.0.shutdown_write()
    }
}

#[test]
fn an_end_that_finds_no_room_at_first_is_not_put_off_until_the_close_timeout() {
    let (client, server) = pipe();
    let patient = Config::new().close_timeout(60 * SECOND);
    let mut server = self::server(LateEnd(server, false), patient.clone());
    let client = thread::spawn(move || self::client(client, patient).close(CloseCode::NORMAL, ""));
    within(20 * SECOND, move || assert_eq!(server.recv().unwrap(), None));
    client.join().unwrap().unwrap();
}

// conf: CL-09
#[test]
fn the_client_waits_for_the_servers_end() {
    let (mut raw, stream) = tcp();
    let ended = thread::spawn(move || {
        let mut ws = client(stream, Config::new());
        (ws.recv(), Instant::now())
    });
    raw.write_all(b"\x88\x02\x03\xe8").unwrap();
    let mut answer = [0; 8];
    raw.read_exact(&mut answer).unwrap();
    assert_eq!(answer[0], 0x88);
    raw.set_read_timeout(Some(ms(60))).unwrap();
    let early = raw.read(&mut answer).unwrap_err();
    assert!(matches!(early.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    let dropped = Instant::now();
    drop(raw);
    let (end, returned) = ended.join().unwrap();
    assert_eq!(end.unwrap(), None);
    assert!(returned >= dropped);
}

// conf: CL-14
#[test]
fn both_close_at_once() {
    let (there, here) = tcp();
    let other = thread::spawn(move || {
        let mut ws = client(there, Config::new());
        ws.close(CloseCode::new(3001), "client").map(|()| ws.summary().unwrap().code)
    });
    let mut ws = server(here, Config::new());
    ws.close(CloseCode::new(3002), "server").unwrap();
    assert!(ws.summary().unwrap().clean);
    let (seen_here, seen_there) = (ws.summary().unwrap().code, other.join().unwrap().unwrap());
    // Unless one was quicker: then it is answered with its own code.
    assert!([3001, 3002].contains(&seen_here.get()) && [3001, 3002].contains(&seen_there.get()));
    assert!(seen_here.get() == 3001 || seen_there.get() == 3002);
}

/// What the peer did before it ended its direction, and what comes of it.
// conf: FR-13 CL-11 CL-12 CL-16
#[test]
fn a_peer_that_ends_its_direction_is_told_what_is_due() {
    let cases: [(&[u8], bool, usize); 5] = [
        (b"", false, 0),
        (b"\x81\x80\0\0\0\0", false, 1),
        (b"\x81\x80\0\0\0\0\x81\x85\0\0", false, 1),
        (b"\x01\x81\0\0\0\0!", false, 0),
        (b"\x82\x80\0\0\0\0\x88\x80\0\0\0\0", true, 1),
    ];
    for (said, clean, messages) in cases {
        let (mut raw, stream) = tcp();
        raw.write_all(said).unwrap();
        raw.shutdown(Shutdown::Write).unwrap();
        let mut ws = server(stream, Config::new());
        ws.feed("queued before").unwrap();
        for _ in 0..messages {
            assert!(ws.recv().unwrap().unwrap().is_empty());
            ws.feed("queued after").unwrap();
        }
        for _ in 0..3 {
            match ws.recv() {
                Ok(None) => assert!(clean),
                Err(Error::Connection(sansocket::Error::UnexpectedEof)) => assert!(!clean),
                other => panic!("{other:?}"),
            }
        }
        let summary = ws.summary().unwrap();
        assert_eq!(summary.clean, clean);
        assert_eq!(summary.code, if clean { CloseCode::NO_STATUS_RECEIVED } else { CloseCode::ABNORMAL });
        assert_eq!(ws.connection().state(), State::Closed);
        // The whole queue has left, and the end was passed on, before the socket is dropped.
        let events = events_to_the_end(&raw);
        assert_eq!(events.len(), 1 + messages + usize::from(clean), "{events:?}");
        drop(ws);
    }
}

// conf: CL-11 CL-16
#[test]
fn a_peer_that_ends_after_our_close_without_its_own_is_not_clean() {
    for half in [true, false] {
        let (raw, stream) = tcp();
        let mut ws = client(stream, Config::new());
        ws.start_close(CloseCode::NORMAL, "").unwrap();
        if half {
            raw.shutdown(Shutdown::Write).unwrap();
        } else {
            reset(raw);
        }
        for _ in 0..2 {
            match ws.close(CloseCode::NORMAL, "") {
                Err(Error::Connection(sansocket::Error::UnexpectedEof)) => assert!(half),
                Err(Error::Io(error)) => {
                    assert!(!half && error.kind() == ErrorKind::ConnectionReset, "{error}")
                }
                other => panic!("{other:?}"),
            }
        }
        let summary = ws.summary().unwrap();
        assert_eq!((summary.code, summary.clean), (CloseCode::ABNORMAL, false));
        assert_eq!(summary.initiator, Initiator::Local);
    }
}

/// A socket with something to read that is dropped resets its peer.
fn reset(raw: TcpStream) {
    raw.peek(&mut [0]).unwrap();
    drop(raw);
    thread::sleep(ms(20));
}

// conf: CL-16
#[test]
fn a_reset_is_an_error_that_names_it_unless_a_close_came_before() {
    // In the open state.
    let (raw, stream) = tcp();
    let mut ws = server(stream, Config::new());
    ws.send("unread").unwrap();
    reset(raw);
    for _ in 0..3 {
        match ws.recv() {
            Err(Error::Io(error)) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                assert!(error.raw_os_error().is_some(), "the operating system's words are kept");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ws.summary().unwrap().code, CloseCode::ABNORMAL);
    assert!(matches!(ws.send("late"), Err(Error::Send(_))));
    // Behind its Close frame.
    let (mut raw, stream) = tcp();
    let mut ws = server(stream, Config::new());
    ws.send("unread").unwrap();
    raw.write_all(&masked(0x88, &1001u16.to_be_bytes())).unwrap();
    reset(raw);
    if cfg!(target_os = "linux") {
        assert_eq!(ws.recv().unwrap(), None);
        assert_eq!(ws.summary().unwrap().code, CloseCode::GOING_AWAY);
    }
}

/// A server that refuses says why and goes; the client is in the middle of sending then.
#[test]
fn a_sender_whose_peer_has_gone_still_hears_why() {
    let (mut raw, stream) = pipe();
    let mut ws = server(stream, Config::new());
    raw.write_all(&masked(0x82, b"bye")).unwrap();
    raw.write_all(&masked(0x88, b"\x03\xf1too big")).unwrap();
    drop(raw);
    assert!(matches!(ws.send("more"), Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe));
    assert!(matches!(ws.send("more"), Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe));
    assert_eq!(ws.recv().unwrap(), Some(b"bye".into()));
    assert_eq!(ws.recv().unwrap(), None);
    assert_eq!(ws.summary().unwrap().reason, "too big");
    assert_eq!(ws.close(CloseCode::NORMAL, "").map_err(|error| error.to_string()), Ok(()));

    // The same found by closing.
    let (mut raw, stream) = pipe();
    let mut ws = server(stream, Config::new());
    raw.write_all(&masked(0x88, b"\x03\xf1too big")).unwrap();
    drop(raw);
    ws.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(ws.summary().unwrap().code, CloseCode::TOO_BIG);
}

// conf: CL-12 CL-16
#[test]
fn dropping_without_a_close_is_abnormal_for_the_peer() {
    let (there, here) = tcp();
    drop(client(there, Config::new()));
    let mut ws = server(here, Config::new());
    assert!(matches!(ws.recv(), Err(Error::Connection(sansocket::Error::UnexpectedEof))));
    let summary = ws.summary().unwrap();
    assert_eq!((summary.code, summary.initiator), (CloseCode::ABNORMAL, Initiator::Remote));
}

// conf: FR-12
#[test]
fn bytes_read_together_with_the_handshake_come_first() {
    for size in [0, 10, 70_000, 300_000] {
        let mut unread = masked(0x81, b"early");
        let mut peer = Connection::client(Config::new(), keys(), Duration::ZERO);
        peer.send(pattern(size), &mut unread).unwrap();
        let cut = unread.len() - 3;
        let (mut raw, stream) = tcp();
        let connection = Connection::server(Config::new(), Duration::ZERO);
        let mut ws = WebSocket::with_unread(stream, connection, &unread[..cut]);
        assert_eq!(ws.recv().unwrap(), Some("early".into()));
        raw.write_all(&unread[cut..]).unwrap();
        assert!(ws.recv().unwrap() == Some(Message::from(pattern(size))), "{size}");
    }
}

#[test]
fn taking_the_stream_back_loses_no_byte() {
    let (mut raw, stream) = tcp();
    let mut said = masked(0x81, b"one");
    said.extend_from_slice(&masked(0x02, b"begun "));
    said.extend_from_slice(&masked(0x89, b"ping"));
    let rest = [masked(0x80, b"and done"), masked(0x81, b"two")].concat();
    said.extend_from_slice(&rest);
    raw.write_all(&said).unwrap();
    let mut ws = server(stream, Config::new());
    let first = ws.recv_event().unwrap();
    assert!(matches!(first, Some(Event::Message(message)) if message == "one"));
    assert!(matches!(ws.recv_event().unwrap(), Some(Event::Ping(_))));
    ws.feed("unsent").unwrap();
    let parts = ws.into_parts();
    assert_eq!(parts.unread, rest);
    assert_eq!(parts.unsent, b"\x8a\x04ping\x81\x06unsent");
    assert_eq!(parts.transport.read_timeout().unwrap(), None);
    assert_eq!(parts.transport.write_timeout().unwrap(), None);
    // It goes on where it was.
    let mut ws = WebSocket::from_parts(parts.map_transport(Box::new));
    assert_eq!(ws.recv().unwrap(), Some(b"begun and done".into()));
    assert_eq!(ws.recv().unwrap(), Some("two".into()));
    ws.flush().unwrap();
    let mut heard = [0; 14];
    raw.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"\x8a\x04ping\x81\x06unsent");
}

/// Without a half-close neither end must wait for the other one's end of the stream.
#[test]
fn untimed_streams_close_without_waiting_for_each_other() {
    within(8 * SECOND, || {
        let (there, here) = tcp();
        let echo = thread::spawn(move || echo_owned(&mut server(Untimed(here), Config::new())));
        let mut ws = client(Untimed(there), Config::new());
        ws.send("hello").unwrap();
        assert_eq!(ws.recv().unwrap(), Some("hello".into()));
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert!(ws.summary().unwrap().clean);
        echo.join().unwrap().unwrap();
        // A violation.
        let (mut raw, here) = tcp();
        raw.write_all(b"\x81\x02hi").unwrap();
        let mut ws = server(Untimed(here), Config::new());
        assert!(matches!(ws.recv(), Err(Error::Connection(sansocket::Error::Protocol(_)))));
        let mut heard = [0; 4];
        raw.read_exact(&mut heard).unwrap();
        assert_eq!((heard[0], &heard[2..]), (0x88, &1002u16.to_be_bytes()[..]));
    });
}

#[test]
fn a_close_without_code_is_empty() {
    for lane in 0..3 {
        let (mut raw, stream) = tcp();
        let mut ws = server(stream, Config::new());
        raw.write_all(&[masked(0x81, b"bye"), masked(0x88, b"")].concat()).unwrap();
        raw.shutdown(Shutdown::Write).unwrap();
        match lane {
            0 => ws.close_without_code().unwrap(),
            1 => {
                ws.start_close_without_code().unwrap();
                assert_eq!(ws.recv().unwrap(), Some("bye".into()));
                assert_eq!(ws.recv().unwrap(), None);
            }
            _ => {
                let (_, mut tx) = ws.recv_ref().unwrap().unwrap();
                tx.send_prepared(&sansocket::Prepared::new("hi")).unwrap();
                tx.pong(b"me").unwrap();
                tx.start_close_without_code().unwrap();
                assert_eq!(ws.recv().unwrap(), None);
            }
        }
        let summary = ws.summary().unwrap();
        assert!(summary.clean && summary.code == CloseCode::NO_STATUS_RECEIVED, "{summary}");
        drop(ws);
        let mut heard = Vec::new();
        raw.read_to_end(&mut heard).unwrap();
        let expected: &[u8] = if lane == 2 { b"\x81\x02hi\x8a\x02me\x88\x00" } else { b"\x88\x00" };
        assert_eq!(heard, expected, "{lane}");
    }
}

#[test]
fn an_event_is_waited_for_no_longer_than_asked_and_prepared_messages_leave_at_once() {
    let (mut raw, stream) = tcp();
    let mut ws = server(stream, Config::new());
    let short = Duration::from_millis(20);
    assert!(matches!(ws.recv_event_timeout(short), Err(Error::TimedOut)));
    raw.write_all(&masked(0x8a, b"pong")).unwrap();
    assert!(matches!(ws.recv_event_timeout(8 * SECOND), Ok(Some(Event::Pong(_)))));
    ws.send_prepared(&sansocket::Prepared::new("hi")).unwrap();
    let mut heard = [0; 4];
    raw.set_read_timeout(Some(8 * SECOND)).unwrap();
    raw.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"\x81\x02hi");
}
