//! Blocking streams that do what streams may do: little at a time, with signals, in narrow pipes, under TLS.

use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use sansocket::blocking::Transport;

use crate::model::Rng;

pub type Wire = Box<dyn Transport + Send>;

/// What lies below a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Below {
    /// In memory, with room for so many bytes.
    Pipe(usize),
    Tcp,
    /// rustls's stream over TCP.
    Tls,
    /// The same over a pipe.
    TlsInPipe(usize),
}

/// How an unsteady stream behaves.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// A call moves this many bytes at most.
    pub step: usize,
    /// A signal ends one in so many calls.
    pub signals: usize,
}

/// The two ends of what `below` says, with `habits` above TLS and below it. They wait unless `nonblocking`.
pub fn wires(below: Below, habits: Habits, nonblocking: bool, rng: &mut Rng) -> [Wire; 2] {
    let mut unsteady = |wire: Wire| Box::new(Unsteady { wire, habits, rng: rng.fork() }) as Wire;
    match below {
        Below::Pipe(room) => pipe(room, nonblocking).map(|end| unsteady(Box::new(end))),
        Below::Tcp => tcp().map(|stream| {
            stream.set_nonblocking(nonblocking).unwrap();
            unsteady(Box::new(stream))
        }),
        Below::Tls => {
            let streams = tcp();
            let controls = streams.each_ref().map(|stream| stream.try_clone().unwrap());
            let ends = tls(streams.map(|stream| unsteady(Box::new(stream))));
            controls.iter().for_each(|stream| stream.set_nonblocking(nonblocking).unwrap());
            ends.map(unsteady)
        }
        Below::TlsInPipe(room) => {
            // What TLS says after the handshake has room until somebody reads.
            let pipes = pipe(64 << 10, false);
            let modes = pipes.each_ref().map(|end| end.mode.clone());
            let ends = tls(pipes.map(|end| unsteady(Box::new(end))));
            modes.iter().for_each(|mode| *mode.lock().unwrap() = Mode { room, nonblocking });
            ends.map(unsteady)
        }
    }
}

fn tcp() -> [TcpStream; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (here, _) = listener.accept().unwrap();
    for stream in [&there, &here] {
        stream.set_nodelay(true).unwrap();
    }
    [there, here]
}

#[cfg(feature = "rustls")]
fn tls([there, here]: [Wire; 2]) -> [Wire; 2] {
    use crate::client_support::tls::Authority;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConnection, ServerConnection, StreamOwned};
    use std::sync::OnceLock;

    static AUTHORITY: OnceLock<(Authority, Arc<rustls::ServerConfig>)> = OnceLock::new();
    let (authority, server) = AUTHORITY.get_or_init(|| {
        let authority = Authority::new();
        let server = authority.server(&["localhost"]);
        (authority, server)
    });
    let mut config = authority.client();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), there);
    let mut server = StreamOwned::new(ServerConnection::new(server.clone()).unwrap(), here);
    let client = std::thread::spawn(move || {
        while client.conn.is_handshaking() || client.conn.wants_write() {
            unless_signal(client.conn.complete_io(&mut client.sock));
        }
        client
    });
    while server.conn.is_handshaking() || server.conn.wants_write() {
        unless_signal(server.conn.complete_io(&mut server.sock));
    }
    [Box::new(client.join().unwrap()), Box::new(server)]
}

#[cfg(feature = "rustls")]
fn unless_signal<R>(result: io::Result<R>) {
    if let Err(error) = result {
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    }
}

#[cfg(not(feature = "rustls"))]
fn tls(plain: [Wire; 2]) -> [Wire; 2] {
    plain
}

/// A stream whose calls do little, or are ended by a signal.
struct Unsteady {
    wire: Wire,
    habits: Habits,
    rng: Rng,
}

impl Unsteady {
    fn step(&mut self) -> io::Result<usize> {
        if self.rng.one_in(self.habits.signals) {
            return Err(ErrorKind::Interrupted.into());
        }
        Ok(1 + self.rng.below(self.habits.step))
    }
}

impl Read for Unsteady {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = self.step()?.min(buf.len());
        self.wire.read(&mut buf[..most])
    }
}

impl Write for Unsteady {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let most = self.step()?.min(buf.len());
        self.wire.write(&buf[..most])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.step()?;
        self.wire.flush()
    }
}

impl Transport for Unsteady {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.wire.set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.wire.set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.wire.shutdown_write()
    }

    fn read_within(&mut self, buf: &mut [u8], timeout: Option<Duration>) -> io::Result<Option<usize>> {
        let most = self.step()?.min(buf.len());
        self.wire.read_within(&mut buf[..most], timeout)
    }

    fn write_within(&mut self, bufs: &[IoSlice<'_>], timeout: Option<Duration>) -> io::Result<Option<usize>> {
        let mut most = self.step()?;
        let mut parts = Vec::new();
        for buf in bufs {
            parts.push(IoSlice::new(&buf[..buf.len().min(most)]));
            most -= buf.len().min(most);
        }
        self.wire.write_within(&parts, timeout)
    }

    fn flush_within(&mut self, timeout: Option<Duration>) -> io::Result<Option<()>> {
        self.step()?;
        self.wire.flush_within(timeout)
    }

    fn wants_flush(&self) -> bool {
        self.wire.wants_flush()
    }

    fn is_handshaking(&self) -> bool {
        self.wire.is_handshaking()
    }
}

/// One direction of a pipe.
#[derive(Debug, Default)]
struct Way {
    state: Mutex<WayState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct WayState {
    bytes: VecDeque<u8>,
    ended: bool,
}

/// One end of a pipe that is as narrow as it is told.
struct End {
    incoming: Arc<Way>,
    outgoing: Arc<Way>,
    mode: Arc<Mutex<Mode>>,
    timeouts: [Option<Duration>; 2],
}

#[derive(Clone, Copy)]
struct Mode {
    room: usize,
    nonblocking: bool,
}

fn pipe(room: usize, nonblocking: bool) -> [End; 2] {
    let ways = [Arc::new(Way::default()), Arc::new(Way::default())];
    [0, 1].map(|end| End {
        incoming: ways[end].clone(),
        outgoing: ways[1 - end].clone(),
        mode: Arc::new(Mutex::new(Mode { room, nonblocking })),
        timeouts: [None; 2],
    })
}

impl End {
    fn act<R>(
        &self,
        way: &Way,
        timeout: Option<Duration>,
        mut act: impl FnMut(&mut WayState) -> Option<io::Result<R>>,
    ) -> io::Result<R> {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let nonblocking = self.mode.lock().unwrap().nonblocking;
        let mut state = way.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(done) = act(&mut state) {
                drop(state);
                way.changed.notify_all();
                return done;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if nonblocking || left == Some(Duration::ZERO) {
                return Err(ErrorKind::WouldBlock.into());
            }
            state = way.changed.wait_timeout(state, left.unwrap_or(Duration::from_secs(1))).unwrap().0;
        }
    }
}

impl Read for End {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.act(&self.incoming, self.timeouts[0], |way| {
            (way.ended || !way.bytes.is_empty() || buf.is_empty()).then(|| way.bytes.read(buf))
        })
    }
}

impl Write for End {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let room = self.mode.lock().unwrap().room;
        self.act(&self.outgoing, self.timeouts[1], |way| {
            if way.ended {
                return Some(Err(ErrorKind::BrokenPipe.into()));
            }
            let len = buf.len().min(room.saturating_sub(way.bytes.len()));
            way.bytes.extend(&buf[..len]);
            (len > 0).then_some(Ok(len))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for End {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.timeouts[0] = timeout;
        Ok(())
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.timeouts[1] = timeout;
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.act(&self.outgoing, None, |way| {
            way.ended = true;
            Some(Ok(()))
        })
    }
}

impl Drop for End {
    fn drop(&mut self) {
        for way in [&self.outgoing, &self.incoming] {
            way.state.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
            way.changed.notify_all();
        }
    }
}
