//! What ends a wait is told from what ends a stream: signals, the operating system's own timeouts, and options that cannot
//! be set any more.

use std::io::{self, ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use sansocket::blocking::{Acceptor, Connector, Error, Transport, WebSocket};
use sansocket::client::{ConnectError, Step};
use sansocket::handshake::HandshakeLimits;
use sansocket::{CloseCode, Config, Connection, Deadline};

use crate::support::{SECOND, client, keys, ms, server, within};

/// How a stream behaves whose peer says nothing and takes nothing.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A signal ends each wait after 10 ms.
    Signals,
    /// Signals come faster than the shortest timeout that can be set.
    ManySignals,
    Fails(i32),
    /// It waits for as long as it may, and says so in its own words.
    Waits,
}

/// A stream that says `incoming`, and then nothing.
#[derive(Debug)]
struct Stream {
    incoming: Vec<u8>,
    act: Act,
    takes: bool,
    timeouts: [Option<Duration>; 2],
    /// Setting a timeout fails with this code of the operating system, or with `Unsupported` for zero.
    unset: Option<i32>,
}

impl Stream {
    fn new(act: Act) -> Self {
        Self { incoming: vec![], act, takes: false, timeouts: [None; 2], unset: None }
    }

    fn wait(&self, timeout: Option<Duration>) -> io::Error {
        let (pause, kind) = match (self.act, timeout) {
            (Act::Fails(code), _) => return io::Error::from_raw_os_error(code),
            (Act::Signals, Some(timeout)) if timeout < ms(10) => (timeout, ErrorKind::WouldBlock),
            (Act::Signals, _) => (ms(10), ErrorKind::Interrupted),
            (Act::Waits, timeout) => (timeout.unwrap_or(10 * SECOND), ErrorKind::TimedOut),
            (Act::ManySignals, _) => (Duration::from_micros(500), ErrorKind::Interrupted),
        };
        thread::sleep(pause);
        kind.into()
    }

    fn set(&mut self, way: usize, timeout: Option<Duration>) -> io::Result<()> {
        match self.unset {
            None => self.timeouts[way] = timeout,
            Some(0) => return Err(ErrorKind::Unsupported.into()),
            Some(code) => return Err(io::Error::from_raw_os_error(code)),
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(self.wait(self.timeouts[0]));
        }
        let len = buf.len().min(self.incoming.len());
        buf[..len].copy_from_slice(&self.incoming[..len]);
        self.incoming.drain(..len);
        Ok(len)
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.takes { Ok(buf.len()) } else { Err(self.wait(self.timeouts[1])) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Stream {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.set(0, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.set(1, timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const SIGNALS: [Act; 2] = [Act::Signals, Act::ManySignals];

#[track_caller]
fn ended_by(error: &Error, deadline: Deadline) {
    assert!(
        matches!(error, Error::Connection(sansocket::Error::Timeout(it)) if *it == deadline),
        "{error:?}"
    );
}

#[test]
fn signals_do_not_prolong_an_opening() {
    for act in SIGNALS {
        let error = within(5 * SECOND, move || {
            let limits = HandshakeLimits::default().timeout(ms(200));
            Acceptor::new().limits(limits).accept(Stream::new(act)).unwrap_err()
        });
        assert!(matches!(error, Error::Handshake(_)), "{error:?}");
        for takes in [true, false] {
            let error = within(5 * SECOND, move || {
                let stream = Stream { takes, ..Stream::new(act) };
                Connector::new("ws://localhost/").timeout(ms(200)).connect_over(stream).unwrap_err()
            });
            let step = match &error {
                Error::Connect(error) => match &**error {
                    ConnectError::TimedOut { step } => Some(*step),
                    _ => None,
                },
                _ => None,
            };
            assert_eq!(step, Some(Step::Handshake), "{error:?}");
        }
    }
}

#[test]
fn signals_do_not_put_off_the_deadlines_of_a_connection() {
    let config = Config::new().ping_interval(ms(100)).pong_timeout(ms(100));
    let config = config.write_timeout(ms(200)).close_timeout(ms(200));
    for act in SIGNALS {
        let (timed_out, silent) = within(5 * SECOND, {
            let config = config.clone();
            move || {
                let mut ws = server(Stream { takes: true, ..Stream::new(act) }, config);
                (ws.recv_timeout(ms(50)), ws.recv().unwrap_err())
            }
        });
        assert!(matches!(timed_out, Err(Error::TimedOut)), "{timed_out:?}");
        ended_by(&silent, Deadline::Pong);
        let (stuck, closing) = within(5 * SECOND, {
            let config = config.clone();
            move || {
                let mut ws = client(Stream::new(act), config.clone());
                let stuck = ws.send("hello").unwrap_err();
                let mut ws = client(Stream { takes: true, ..Stream::new(act) }, config);
                (stuck, ws.close(CloseCode::NORMAL, "").unwrap_err())
            }
        });
        ended_by(&stuck, Deadline::Write);
        ended_by(&closing, Deadline::Close);
    }
}

/// The peer vanished, and the kernel gave up on it: keepalive probes or retransmissions went unanswered.
#[cfg(target_os = "linux")]
#[test]
fn the_systems_own_timeout_is_the_end_of_the_stream_and_its_cause() {
    const ETIMEDOUT: i32 = 110;
    fn is_cause(error: &Error) -> bool {
        matches!(error, Error::Io(error) if error.raw_os_error() == Some(ETIMEDOUT))
    }
    let quiet = || Config::new().ping_interval(None).message_timeout(None).write_timeout(None);
    let silent = || Stream::new(Act::Fails(ETIMEDOUT));
    let errors = within(5 * SECOND, move || {
        let mut reading = server(Stream { takes: true, ..silent() }, quiet());
        let mut timed = server(Stream { takes: true, ..silent() }, quiet());
        let mut writing = client(silent(), quiet());
        let accepting = Acceptor::new().accept(silent()).unwrap_err();
        let asking = Connector::new("ws://localhost/").connect_over(silent()).unwrap_err();
        [
            reading.recv().unwrap_err(),
            reading.recv().unwrap_err(),
            timed.recv_timeout(SECOND).unwrap_err(),
            writing.send("hello").unwrap_err(),
            accepting,
            asking,
        ]
    });
    for error in &errors {
        assert!(is_cause(error), "{error:?}");
    }
    // A wrapper's own timeout is not the system's.
    let mut ws = server(Stream { takes: true, ..Stream::new(Act::Waits) }, quiet());
    assert!(matches!(ws.recv_timeout(ms(10)), Err(Error::TimedOut)));
}

/// After a reset macOS takes no options any more.
#[cfg(unix)]
#[test]
fn what_came_before_a_reset_is_received_though_no_timeout_can_be_set() {
    const EINVAL: i32 = 22;
    #[cfg(target_os = "linux")]
    const ECONNRESET: i32 = 104;
    #[cfg(not(target_os = "linux"))]
    const ECONNRESET: i32 = 54;
    let mut incoming = Vec::new();
    Connection::client(Config::new(), keys(), Duration::ZERO).send("hello", &mut incoming).unwrap();
    let reset = |unset| Stream {
        incoming: incoming.clone(),
        takes: true,
        unset: Some(unset),
        ..Stream::new(Act::Fails(ECONNRESET))
    };
    let mut ws = server(reset(EINVAL), Config::new());
    assert_eq!(ws.recv_timeout(SECOND).unwrap(), Some("hello".into()));
    let error = ws.recv_timeout(SECOND).unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::ConnectionReset), "{error:?}");

    let request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let stream = Stream { incoming: request.to_vec(), ..reset(EINVAL) };
    let mut ws: WebSocket<_> = Acceptor::new().accept(stream).unwrap();
    assert!(matches!(ws.recv(), Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset));

    // A stream whose waits cannot be bounded at all says so.
    let mut ws = server(reset(0), Config::new());
    let began = Instant::now();
    let error = ws.recv_timeout(SECOND).unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::Unsupported), "{error:?}");
    assert!(began.elapsed() < SECOND);
}
