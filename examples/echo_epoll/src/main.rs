//! An echo server on the bare core: one thread and a non-blocking event loop.
//!
//! What one read brought is answered in one write. An idle connection costs its state and no buffer.

#[path = "../../options/mod.rs"]
mod options;

use std::collections::BTreeSet;
use std::io;
use std::mem;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sansocket::handshake::{Acceptance, HandshakeLimits, RefusedRequest, ServerHandshake, ServerStep};
use sansocket::{Config, Connection, Event, Input, ReadBuffer, TransportAction, Unread, WriteBuffer};

const HELP: &str = "\
usage: echo_epoll [ADDR] [--max-message BYTES] [--ping SECONDS] [--deflate[=shared|dedicated]]

Echoes every message; ADDR is 127.0.0.1:9001 by default, BYTES 16777216.
A peer that is silent for SECONDS is pinged; 20 by default, 0 for never.";

const LISTENER: Token = Token(usize::MAX);
/// How often a connection may read before the others get their turn.
const READS_PER_TURN: usize = 4;
/// How long to accept nothing after that has failed, because no file descriptors are left, for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a refused peer may take to read why.
const LINGER: Duration = Duration::from_secs(1);

fn main() -> io::Result<()> {
    let ([addr], config, []) = options::parse(HELP, [Some("127.0.0.1:9001")], []);
    let addr = addr.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut listener = TcpListener::bind(addr)?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);

    let mut server = Server {
        config: Arc::new(config),
        peers: Vec::new(),
        free: Vec::new(),
        timers: BTreeSet::new(),
        ready: Vec::new(),
        accept_at: None,
        epoch: Instant::now(),
        now: Duration::ZERO,
    };
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, server.time_to_wait()) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => server.now = server.epoch.elapsed(),
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept_at = Some(server.now),
                Token(key) => {
                    if let Some(Some(peer)) = server.peers.get_mut(key) {
                        peer.read_closed |= event.is_read_closed();
                        server.set_ready(key);
                    }
                }
            }
        }
        for key in mem::take(&mut server.ready) {
            if let Some(Some(peer)) = server.peers.get_mut(key) {
                peer.is_ready = false;
            }
            server.serve(key);
        }
        server.run_timers();
        if server.accept_at.is_some_and(|due| due <= server.now) {
            server.accept(&listener, &poll);
        }
    }
}

/// All connections.
struct Server {
    config: Arc<Config>,
    peers: Vec<Option<Peer>>,
    /// The indices of `peers` that are free.
    free: Vec<usize>,
    /// When to look at which connection: at most one entry for each, which may be early.
    timers: BTreeSet<(Duration, usize)>,
    /// The connections that may have something to read. Events are edge-triggered, so a connection stays here until it has
    /// read everything.
    ready: Vec<usize>,
    /// When to accept connections.
    accept_at: Option<Duration>,
    epoch: Instant,
    now: Duration,
}

impl Server {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) {
        self.accept_at = None;
        loop {
            let (mut stream, _) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    eprintln!("no connection accepted: {error}");
                    self.accept_at = Some(self.now + ACCEPT_PAUSE);
                    return;
                }
            };
            let key = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            let interest = Interest::READABLE | Interest::WRITABLE;
            if poll.registry().register(&mut stream, Token(key), interest).is_err() {
                self.free.push(key);
                continue;
            }
            let _ = stream.set_nodelay(true);
            self.peers[key] = Some(Peer::new(stream, self.now));
            self.set_ready(key);
        }
    }

    fn set_ready(&mut self, key: usize) {
        if let Some(Some(peer)) = self.peers.get_mut(key) {
            if !mem::replace(&mut peer.is_ready, true) {
                self.ready.push(key);
            }
        }
    }

    /// Writes and reads what is possible, and drops the connection if that is due.
    fn serve(&mut self, key: usize) {
        let Some(Some(peer)) = self.peers.get_mut(key) else { return };
        let served = peer.serve(&self.config, self.now);
        let has_more = matches!(served, Ok(true));
        if served.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) || peer.is_over() {
            if let Some(due) = peer.timer {
                self.timers.remove(&(due, key));
            }
            self.peers[key] = None;
            self.free.push(key);
        } else if let Some(due) = peer.poll_timeout().filter(|due| peer.timer.is_none_or(|set| *due < set)) {
            if let Some(later) = peer.timer.replace(due) {
                self.timers.remove(&(later, key));
            }
            self.timers.insert((due, key));
        }
        if has_more {
            self.set_ready(key);
        }
    }

    fn time_to_wait(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let due = self.timers.first().map(|(due, _)| *due).into_iter().chain(self.accept_at).min()?;
        Some(due.saturating_sub(self.epoch.elapsed()) + Duration::from_millis(1))
    }

    fn run_timers(&mut self) {
        while let Some(&(due, key)) = self.timers.first().filter(|(due, _)| *due <= self.now) {
            self.timers.pop_first();
            let is_set = |peer: &Peer| peer.timer == Some(due);
            if !self.peers.get(key).and_then(Option::as_ref).is_some_and(is_set) {
                continue;
            }
            // Read first, so that no peer is blamed for what lies unread. The timer counts as set until then, so that this
            // does not set the same one again.
            self.serve(key);
            if let Some(Some(peer)) = self.peers.get_mut(key) {
                peer.timer = None;
                peer.handle_timeout(self.now);
                self.serve(key);
            }
        }
    }
}

struct Peer {
    stream: TcpStream,
    stage: Stage,
    /// Output that the socket has not taken yet; nothing is read meanwhile.
    out: WriteBuffer,
    timer: Option<Duration>,
    /// The end of the stream follows what can still be read.
    read_closed: bool,
    /// It is in the server's list of those that may have something to read.
    is_ready: bool,
    is_shut: bool,
}

enum Stage {
    Opening(ServerHandshake),
    Open(Connection),
    /// A refusal is on its way, until then at the latest.
    Refused(Duration),
}

impl Peer {
    fn new(stream: TcpStream, now: Duration) -> Self {
        let stage = Stage::Opening(ServerHandshake::new(HandshakeLimits::default(), now));
        let out = WriteBuffer::new();
        Self { stream, stage, out, timer: None, read_closed: false, is_ready: false, is_shut: false }
    }

    /// Returns whether there may be more to read.
    fn serve(&mut self, config: &Arc<Config>, now: Duration) -> io::Result<bool> {
        let mut buffer = ReadBuffer::new();
        self.write(now)?;
        for _ in 0..READS_PER_TURN {
            if !self.out.is_empty() {
                return Ok(false);
            }
            let input = if let Stage::Open(connection) = &mut self.stage {
                let input = buffer.read_for(connection, &mut self.stream)?;
                if input.is_empty() {
                    let _ = connection.handle_eof();
                    return Ok(false);
                }
                input
            } else {
                if buffer.read_from(&mut self.stream)? == 0 {
                    self.stage = Stage::Refused(Duration::ZERO);
                    return Ok(false);
                }
                self.open(config, now, &mut buffer);
                buffer.input()
            };
            if let Stage::Open(connection) = &mut self.stage {
                echo(connection, now, input, &mut self.stream, &mut self.out);
            }
            self.write(now)?;
            if buffer.has_drained() && !self.read_closed {
                return Ok(false);
            }
        }
        Ok(self.out.is_empty())
    }

    fn write(&mut self, now: Duration) -> io::Result<()> {
        match &mut self.stage {
            Stage::Open(connection) => self.out.write_for(connection, now, &mut self.stream),
            _ => self.out.write_to(&mut self.stream).map(drop),
        }
    }

    /// Goes on with the opening handshake, and leaves in `buffer` what follows it.
    fn open(&mut self, config: &Arc<Config>, now: Duration, buffer: &mut ReadBuffer) {
        self.stage = match mem::replace(&mut self.stage, Stage::Refused(Duration::ZERO)) {
            Stage::Opening(handshake) => match handshake.receive(now, buffer.unread()) {
                Ok(ServerStep::NeedMore(handshake)) => Stage::Opening(handshake),
                Ok(ServerStep::Request { request, consumed }) => {
                    buffer.consume(consumed);
                    let acceptance = Acceptance::new().with_config(config);
                    let Ok(accepted) = request.accept(&acceptance, &mut self.out) else { return };
                    Stage::Open(accepted.into_connection(config.clone(), now).0)
                }
                Err(refused) => refuse(&refused, now, &mut self.out),
            },
            refused => refused,
        };
    }

    fn handle_timeout(&mut self, now: Duration) {
        let has_all = self.out.is_empty() && !self.is_ready;
        let unread = if has_all { Unread::Nothing } else { Unread::Possible };
        if let Stage::Open(connection) = &mut self.stage {
            let _ = connection.handle_timeout(now, unread, &mut self.out);
            return;
        }
        self.stage = match mem::replace(&mut self.stage, Stage::Refused(Duration::ZERO)) {
            Stage::Opening(handshake) => match handshake.handle_timeout(now) {
                Ok(handshake) => Stage::Opening(handshake),
                Err(refused) => refuse(&refused, now, &mut self.out),
            },
            _ => Stage::Refused(Duration::ZERO),
        };
    }

    fn poll_timeout(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Opening(handshake) => handshake.poll_timeout(),
            Stage::Open(connection) => connection.poll_timeout(),
            Stage::Refused(until) => Some(*until),
        }
    }

    /// Does to the stream what is due; `true` if it must be dropped.
    fn is_over(&mut self) -> bool {
        let action = match &self.stage {
            Stage::Opening(_) => TransportAction::Keep,
            Stage::Open(connection) => connection.transport_action(),
            Stage::Refused(Duration::ZERO) => TransportAction::Drop,
            Stage::Refused(_) => TransportAction::ShutdownWrite,
        };
        if action == TransportAction::ShutdownWrite && self.out.is_empty() && !self.is_shut {
            self.is_shut = true;
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        action == TransportAction::Drop
    }
}

fn refuse(refused: &RefusedRequest, now: Duration, out: &mut WriteBuffer) -> Stage {
    let _ = refused.write_response(out);
    Stage::Refused(now + LINGER)
}

/// The application.
fn echo(
    connection: &mut Connection,
    now: Duration,
    mut input: Input<'_>,
    stream: &mut TcpStream,
    out: &mut WriteBuffer,
) {
    // An error needs no handling here: the Close frame that tells it is in `out`.
    while let Ok(Some(event)) = connection.receive(now, &mut input, out) {
        let Event::Message(message) = event else { continue };
        // A message is refused only while closing, when nobody waits for an echo.
        let _ = if input.is_empty() {
            out.send_direct(connection, now, &message, stream)
        } else {
            connection.send(&message, out)
        };
    }
}
