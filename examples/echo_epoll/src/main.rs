//! An echo server on the bare core: one thread, a non-blocking event loop, one read buffer for all connections.
//!
//! What one read brought is answered in one write. An idle connection costs its state and no buffer.

#[path = "../../options/mod.rs"]
mod options;

use std::collections::BTreeSet;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sansocket::handshake::{Acceptance, HandshakeLimits, RefusedRequest, ServerHandshake, ServerStep};
use sansocket::{Config, Connection, Event, Input, Message, TransportAction, Unread};

const HELP: &str = "\
usage: echo_epoll [ADDR] [--max-message BYTES] [--ping SECONDS] [--deflate[=shared|dedicated]]

Echoes every message; ADDR is 127.0.0.1:9001 by default, BYTES 16777216.
A peer that is silent for SECONDS is pinged; 20 by default, 0 for never.";

const LISTENER: Token = Token(usize::MAX);
/// How many reads a connection may have before it is the others' turn.
const READS_PER_TURN: usize = 4;
/// How long to take no connections when that has failed, as it does while there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a peer that was refused may take to read why.
const LINGER: Duration = Duration::from_secs(1);
/// How much one read may bring, in bytes.
const READ_BUFFER: usize = 256 << 10;
/// Reads begin in the middle of a page, as the kernel copies up to five times as slowly on AMD's Zen 3 to a place little further
/// on in its page than what it copies; that is mostly at the start of one, and a large `Vec` begins 16 bytes behind it.
const PAGE: usize = 4096;
/// How much memory the output buffer keeps when it has grown, in bytes.
const MOST_KEPT: usize = 4 << 20;
/// From this size on the rest of a payload is read straight to its place in the message, in bytes, if the latest read brought
/// as much: the place costs memory, and an announcement is no reason to spend it.
const DIRECT_READ: usize = 64 << 10;
/// From this size on a message that nothing follows is written from where it is, in bytes.
const DIRECT_WRITE: usize = 16 << 10;

fn main() -> io::Result<()> {
    let ([addr], config, []) = options::parse(HELP, [Some("127.0.0.1:9001")], []);
    let addr = addr.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut listener = TcpListener::bind(addr)?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);

    let mut server = Server::new(config);
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, server.time_to_wait()) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => server.now = server.epoch.elapsed(),
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept_at = Some(server.now),
                Token(place) => server.note(place, event.is_read_closed()),
            }
        }
        for place in std::mem::take(&mut server.ready) {
            server.serve(place);
        }
        server.run_timers();
        if server.accept_at.is_some_and(|due| due <= server.now) {
            server.accept(&listener, &poll);
        }
    }
}

/// All connections, and what they share.
struct Server {
    config: Arc<Config>,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    /// When to look at which connection, one entry for each at the most, perhaps early.
    timers: BTreeSet<(Duration, usize)>,
    /// Who may have something to read. An event comes but once: whoever has not read it all stays in here.
    ready: BTreeSet<usize>,
    /// When to take connections: an event comes but once here too.
    accept_at: Option<Duration>,
    epoch: Instant,
    now: Duration,
    received: Vec<u8>,
    /// Where reads begin in it.
    start: usize,
    out: Vec<u8>,
}

struct Peer {
    stream: TcpStream,
    stage: Stage,
    /// What the socket has not taken yet; nothing is read while there is some.
    unsent: Vec<u8>,
    /// How much of it has left.
    sent: usize,
    timer: Option<Duration>,
    /// The end of the stream is in sight, behind what can still be read.
    read_closed: bool,
    is_shut: bool,
    /// Whether the latest read brought much.
    brings_much: bool,
}

enum Stage {
    Opening(Option<ServerHandshake>),
    Open(Connection),
    /// The response of a refusal is on its way.
    Refused(Duration),
}

impl Server {
    fn new(config: Config) -> Self {
        let received = vec![0; READ_BUFFER + PAGE];
        let start = (PAGE / 2).wrapping_sub(received.as_ptr().addr()) % PAGE;
        Self {
            config: Arc::new(config),
            peers: Vec::new(),
            free: Vec::new(),
            timers: BTreeSet::new(),
            ready: BTreeSet::new(),
            accept_at: None,
            epoch: Instant::now(),
            now: Duration::ZERO,
            received,
            start,
            out: Vec::new(),
        }
    }

    fn accept(&mut self, listener: &TcpListener, poll: &Poll) {
        self.accept_at = None;
        loop {
            let (mut stream, _) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    eprintln!("no connection taken: {error}");
                    self.accept_at = Some(self.now + ACCEPT_PAUSE);
                    return;
                }
            };
            let place = self.free.pop().unwrap_or(self.peers.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            if poll.registry().register(&mut stream, Token(place), interest).is_err() {
                self.free.push(place);
                continue;
            }
            let _ = stream.set_nodelay(true);
            let stage = Stage::Opening(Some(ServerHandshake::new(HandshakeLimits::default(), self.now)));
            if place == self.peers.len() {
                self.peers.push(None);
            }
            self.peers[place] = Some(Peer::new(stream, stage));
            self.ready.insert(place);
        }
    }

    fn note(&mut self, place: usize, read_closed: bool) {
        if let Some(peer) = self.peers.get_mut(place).and_then(Option::as_mut) {
            peer.read_closed |= read_closed;
            self.ready.insert(place);
        }
    }

    /// Writes and reads what is possible in one turn, and ends the connection if that is due.
    fn serve(&mut self, place: usize) {
        let Some(mut peer) = self.peers.get_mut(place).and_then(Option::take) else { return };
        let alive =
            peer.write(&mut self.out, self.now) && (!peer.unsent.is_empty() || self.read(place, &mut peer));
        if !alive || peer.is_over() {
            self.ready.remove(&place);
            if let Some(due) = peer.timer {
                self.timers.remove(&(due, place));
            }
            self.free.push(place);
            return;
        }
        if let Some(due) = peer.poll_timeout().filter(|due| peer.timer.is_none_or(|timer| *due < timer)) {
            if let Some(overtaken) = peer.timer.replace(due) {
                self.timers.remove(&(overtaken, place));
            }
            self.timers.insert((due, place));
        }
        self.peers[place] = Some(peer);
    }

    /// `false` once the stream has failed.
    fn read(&mut self, place: usize, peer: &mut Peer) -> bool {
        for _ in 0..READS_PER_TURN {
            let direct = if peer.brings_much { peer.stage.payload_target() } else { None };
            let is_direct = direct.is_some();
            let place = direct.unwrap_or_else(|| &mut self.received[self.start..][..READ_BUFFER]);
            let room = place.len();
            let len = match peer.stream.read(place) {
                Ok(0) => {
                    peer.handle_eof();
                    return true;
                }
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            };
            peer.brings_much = len >= DIRECT_READ;
            if is_direct {
                peer.payload_read(self.now, len, &mut self.out);
            } else {
                peer.receive(&self.config, self.now, &mut self.received[self.start..][..len], &mut self.out);
            }
            if !peer.write(&mut self.out, self.now) {
                return false;
            }
            // A read that did not fill the buffer has emptied the socket.
            if !peer.unsent.is_empty() || len < room && !peer.read_closed {
                return true;
            }
        }
        self.ready.insert(place);
        true
    }

    fn time_to_wait(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let due = self.timers.first().map(|(due, _)| *due).into_iter().chain(self.accept_at).min()?;
        Some(due.saturating_sub(self.epoch.elapsed()) + Duration::from_millis(1))
    }

    fn run_timers(&mut self) {
        while let Some(&(due, place)) = self.timers.first().filter(|(due, _)| *due <= self.now) {
            self.timers.pop_first();
            let peer = self.peers.get(place).and_then(Option::as_ref);
            if peer.is_none_or(|peer| peer.timer != Some(due)) {
                continue;
            }
            // What is there is read first, so that nobody is blamed for what lies unread. The timer that is due is still
            // set, so that this does not set the same one again.
            self.serve(place);
            let unread = if self.ready.contains(&place) { Unread::Possible } else { Unread::Nothing };
            if let Some(peer) = self.peers.get_mut(place).and_then(Option::as_mut) {
                peer.timer = None;
                peer.handle_timeout(self.now, unread, &mut self.out);
                self.serve(place);
            }
        }
    }
}

impl Stage {
    /// Where the next bytes go if they are the rest of a large message.
    fn payload_target(&mut self) -> Option<&mut [u8]> {
        let Self::Open(connection) = self else { return None };
        connection.payload_target().filter(|place| place.len() >= DIRECT_READ)
    }
}

impl Peer {
    const fn new(stream: TcpStream, stage: Stage) -> Self {
        Self {
            stream,
            stage,
            unsent: Vec::new(),
            sent: 0,
            timer: None,
            read_closed: false,
            is_shut: false,
            brings_much: false,
        }
    }

    /// What one read brought.
    fn receive(&mut self, config: &Arc<Config>, now: Duration, received: &mut [u8], out: &mut Vec<u8>) {
        match &mut self.stage {
            Stage::Open(connection) => echo(connection, now, received, &mut self.stream, out),
            Stage::Refused(_) => {}
            Stage::Opening(handshake) => {
                match handshake.take().map(|handshake| handshake.receive(now, received)) {
                    Some(Ok(ServerStep::NeedMore(again))) => *handshake = Some(again),
                    Some(Ok(ServerStep::Request { request, consumed })) => {
                        if let Ok(accepted) = request.accept(&Acceptance::new().with_config(config), out) {
                            let (mut connection, _) = accepted.into_connection(config.clone(), now);
                            echo(&mut connection, now, &mut received[consumed..], &mut self.stream, out);
                            self.stage = Stage::Open(connection);
                        }
                    }
                    Some(Err(refused)) => self.refuse(&refused, now, out),
                    None => {}
                }
            }
        }
    }

    /// What was read to its place in a large message.
    fn payload_read(&mut self, now: Duration, len: usize, out: &mut Vec<u8>) {
        let Stage::Open(connection) = &mut self.stage else { return };
        if let Ok(Some(message)) = connection.payload_read(now, len, out) {
            if !answer(connection, &message, now, &mut self.stream, out) {
                let _ = connection.send(&message, out);
            }
        }
    }

    fn refuse(&mut self, refused: &RefusedRequest, now: Duration, out: &mut Vec<u8>) {
        let _ = refused.write_response(out);
        self.stage = Stage::Refused(now + LINGER);
    }

    /// Writes what waits and then what is new, at once; `false` once the stream has failed.
    fn write(&mut self, out: &mut Vec<u8>, now: Duration) -> bool {
        if !self.unsent.is_empty() {
            self.unsent.append(out);
            std::mem::swap(&mut self.unsent, out);
        } else if out.is_empty() {
            return true;
        }
        let (before, mut alive) = (self.sent, true);
        while self.sent < out.len() {
            match self.stream.write(&out[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    alive = error.kind() == io::ErrorKind::WouldBlock;
                    break;
                }
            }
        }
        let left = out.len() - self.sent;
        if let Stage::Open(connection) = &mut self.stage {
            connection.handle_written(now, self.sent - before, left);
        }
        if left == 0 {
            self.sent = 0;
            out.clear();
            out.shrink_to(MOST_KEPT);
        } else {
            std::mem::swap(&mut self.unsent, out);
        }
        alive
    }

    fn handle_eof(&mut self) {
        match &mut self.stage {
            Stage::Open(connection) => _ = connection.handle_eof(),
            _ => self.stage = Stage::Refused(Duration::ZERO),
        }
    }

    fn handle_timeout(&mut self, now: Duration, unread: Unread, out: &mut Vec<u8>) {
        let unread = if self.unsent.is_empty() { unread } else { Unread::Possible };
        match &mut self.stage {
            Stage::Open(connection) => _ = connection.handle_timeout(now, unread, out),
            Stage::Opening(handshake) => {
                match handshake.take().map(|handshake| handshake.handle_timeout(now)) {
                    Some(Ok(early)) => *handshake = Some(early),
                    Some(Err(refused)) => self.refuse(&refused, now, out),
                    None => {}
                }
            }
            Stage::Refused(_) => self.stage = Stage::Refused(Duration::ZERO),
        }
    }

    fn poll_timeout(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Opening(handshake) => handshake.as_ref()?.poll_timeout(),
            Stage::Open(connection) => connection.poll_timeout(),
            Stage::Refused(until) => Some(*until),
        }
    }

    /// Does to the stream what is due; `true` if it is to be dropped.
    fn is_over(&mut self) -> bool {
        let action = match &self.stage {
            Stage::Opening(Some(_)) => TransportAction::Keep,
            Stage::Open(connection) => connection.transport_action(),
            Stage::Opening(None) | Stage::Refused(Duration::ZERO) => TransportAction::Drop,
            Stage::Refused(_) => TransportAction::ShutdownWrite,
        };
        if action == TransportAction::ShutdownWrite && self.unsent.is_empty() && !self.is_shut {
            self.is_shut = true;
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        action == TransportAction::Drop
    }
}

/// The whole of the application.
fn echo(
    connection: &mut Connection,
    now: Duration,
    received: &mut [u8],
    stream: &mut TcpStream,
    out: &mut Vec<u8>,
) {
    let mut input = Input::new(received);
    // An error needs no handling here: the Close frame that tells it is in `out`.
    while let Ok(Some(event)) = connection.receive(now, &mut input, out) {
        if let Event::Message(message) = event {
            let is_last = input.is_empty() && message.len() >= DIRECT_WRITE;
            if !(is_last && answer(connection, &message, now, stream, out)) {
                // Refused only while closing, when nobody waits for an echo.
                let _ = connection.send(&message, out);
            }
        }
    }
}

/// Sends a large message from where it is, as far as the stream takes it at once; `false` if it is better queued.
fn answer(
    connection: &mut Connection,
    message: &Message<'_>,
    now: Duration,
    stream: &mut TcpStream,
    out: &mut Vec<u8>,
) -> bool {
    if !out.is_empty() || connection.compresses(message.len()) {
        return false;
    }
    let Ok(envelope) = connection.envelope(message) else { return false };
    let (header, payload) = (envelope.header(), message.as_bytes());
    // What ails the stream shows again when the rest is written.
    let written = stream.write_vectored(&[IoSlice::new(header), IoSlice::new(payload)]).unwrap_or(0);
    out.extend_from_slice(header.get(written..).unwrap_or_default());
    out.extend_from_slice(&payload[written.saturating_sub(header.len())..]);
    connection.handle_written(now, written, out.len());
    true
}
