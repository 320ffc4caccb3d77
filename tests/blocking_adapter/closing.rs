//! How connections over blocking streams end, beyond what every adapter does.

use core::mem;
use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;

use sansocket::blocking::{Error, Pipe, Transport, Untimed, WebSocket, pipe};
use sansocket::{CloseCode, Config, Event};

use crate::support::{SECOND, client, masked, server, tcp, within};

fn echo_owned<S: Transport>(ws: &mut WebSocket<S>) -> Result<(), Error> {
    while let Some(message) = ws.recv()? {
        ws.send(message)?;
    }
    Ok(())
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

#[test]
fn a_stream_that_is_taken_back_has_no_timeouts_and_takes_another_layer() {
    let (mut raw, stream) = tcp();
    raw.write_all(&[masked(0x81, b"one"), masked(0x81, b"two")].concat()).unwrap();
    let mut ws = server(stream, Config::new());
    assert_eq!(ws.recv_timeout(8 * SECOND).unwrap(), Some("one".into()));
    ws.feed("unsent").unwrap();
    let parts = ws.into_parts();
    assert_eq!(parts.transport.read_timeout().unwrap(), None);
    assert_eq!(parts.transport.write_timeout().unwrap(), None);
    let mut ws = WebSocket::from_parts(parts.map_transport(Box::new));
    assert_eq!(ws.recv().unwrap(), Some("two".into()));
    ws.flush().unwrap();
    let mut heard = [0; 8];
    raw.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"\x81\x06unsent");
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
