//! A client and a server against each other in simulated time. Each is driven by what its connection says and by
//! nothing else: it is never known from outside what should happen next.

#![allow(dead_code, unreachable_pub, reason = "each user needs its own part")]

extern crate alloc;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::cell::Cell;
use core::time::Duration;

use sansocket::{
    CloseCode, Config, Connection, Error, Event, Fin, Input, MaskKeys, Message, SendError, Sink, State,
    TransportAction, Unread,
};

use super::oracle::Seen;

#[path = "progress.rs"]
mod progress;

use progress::{Debts, Watch};

std::thread_local! {
    /// Whether everything that happens is printed.
    pub static TRACED: Cell<bool> = const { Cell::new(false) };
}

fn trace(now: Duration, who: &str, what: impl FnOnce() -> String) {
    if TRACED.get() {
        eprintln!("{:>12.3} s  {who}: {}", now.as_secs_f64(), what());
    }
}

/// A small generator of numbers, the same for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// One direction of the transport: a bounded pipe in which bytes travel for a while.
#[derive(Debug)]
pub struct Link {
    pub latency: Duration,
    /// How many bytes it holds; then it takes no more until some are read.
    pub capacity: usize,
    /// The longest piece in which bytes arrive.
    pub largest: usize,
    /// How many bytes a second it lets through, if it is slow.
    pub rate: Option<usize>,
    /// Takes no bytes.
    pub stalled: bool,
    /// Takes bytes and loses them, as a cut cable does.
    pub lost: bool,
    /// Breaks after this many bytes: the reader finds the end of the stream.
    pub breaks_after: Option<u64>,
    /// Damages the byte at this place.
    pub damages: Option<u64>,
    carried: u64,
    flying: VecDeque<(Duration, Vec<u8>)>,
    held: usize,
    end: Option<Duration>,
}

enum Read {
    Bytes(Vec<u8>),
    Nothing,
    End,
}

impl Link {
    fn new() -> Self {
        Self {
            latency: Duration::from_millis(50),
            capacity: 64 << 10,
            largest: 16 << 10,
            rate: None,
            stalled: false,
            lost: false,
            breaks_after: None,
            damages: None,
            carried: 0,
            flying: VecDeque::new(),
            held: 0,
            end: None,
        }
    }

    /// Breaks once it has carried `bytes` more.
    pub fn break_now_or_after(&mut self, bytes: u64) {
        self.breaks_after = Some(self.carried + bytes.max(1));
    }

    /// Breaks at once and loses what is on its way, as a reset does.
    pub fn reset(&mut self, now: Duration) {
        self.flying.clear();
        self.held = 0;
        self.end = Some(now);
    }

    fn write(&mut self, now: Duration, bytes: &[u8], rng: &mut Rng) -> usize {
        if self.end.is_some() || self.lost {
            return bytes.len();
        }
        if self.stalled {
            return 0;
        }
        let taken = bytes.len().min(self.capacity - self.held);
        let mut at = 0;
        while at < taken && self.end.is_none() {
            let mut len = (1 + rng.below(self.largest)).min(taken - at);
            if let Some(limit) = self.breaks_after {
                len = len.min((limit - self.carried) as usize);
            }
            let mut piece = bytes[at..at + len].to_vec();
            if let Some(place) = self.damages.and_then(|place| place.checked_sub(self.carried)) {
                if let Some(byte) = piece.get_mut(place as usize) {
                    *byte ^= 1 << rng.below(8);
                }
            }
            let travel =
                self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) * len as u32 / rate as u32);
            let after = self.flying.back().map_or(now, |(arrival, _)| *arrival).max(now);
            self.flying.push_back(((after + travel).max(now + self.latency), piece));
            self.held += len;
            self.carried += len as u64;
            at += len;
            if self.breaks_after == Some(self.carried) {
                self.finish(now);
            }
        }
        taken
    }

    fn read(&mut self, now: Duration, rng: &mut Rng) -> Read {
        match self.flying.front_mut() {
            _ if self.lost => Read::Nothing,
            Some((arrival, bytes)) if *arrival <= now => {
                let len = if rng.one_in(2) { bytes.len() } else { 1 + rng.below(bytes.len()) };
                let rest = bytes.split_off(len);
                let piece = core::mem::replace(bytes, rest);
                if bytes.is_empty() {
                    self.flying.pop_front();
                }
                self.held -= len;
                Read::Bytes(piece)
            }
            None if self.end.is_some_and(|end| end <= now) => Read::End,
            _ => Read::Nothing,
        }
    }

    /// The writer says no more.
    fn finish(&mut self, now: Duration) {
        let after = self.flying.back().map_or(now, |(arrival, _)| *arrival);
        self.end.get_or_insert_with(|| after.max(now + self.latency));
    }

    fn next(&self) -> Option<Duration> {
        if self.lost { None } else { self.flying.front().map(|(arrival, _)| *arrival).or(self.end) }
    }
}

/// What an application does, in order, as soon as there is room.
#[derive(Clone, Debug)]
pub enum Command {
    Send(Message<'static>),
    Fragment(Message<'static>, Fin),
    Ping(Vec<u8>),
    Close(CloseCode, &'static str),
}

/// One side: an application, a connection and the bytes between it and the transport.
#[derive(Debug)]
pub struct End {
    name: &'static str,
    pub connection: Connection,
    /// What the application saw.
    pub seen: Vec<Seen>,
    /// Why receiving failed.
    pub error: Option<Error>,
    pub todo: VecDeque<Command>,
    /// Whether the application receives at all at present.
    pub reading: bool,
    /// When the transport was dropped.
    pub dropped: Option<Duration>,
    /// The number of keepalive pings and other deadlines that were judged.
    pub judged: usize,
    /// How many messages it received.
    pub delivered: usize,
    pub debts: Debts,
    watch: Watch,
    out: Output,
    input: Vec<u8>,
    ended: bool,
    shut: bool,
}

#[derive(Debug)]
struct Output {
    bytes: Vec<u8>,
    capacity: usize,
}

impl Sink for Output {
    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len())
    }

    fn push(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room());
        self.bytes.extend_from_slice(bytes);
    }

    fn last_mut(&mut self, len: usize) -> &mut [u8] {
        let start = self.bytes.len() - len;
        &mut self.bytes[start..]
    }
}

impl End {
    fn new(name: &'static str, connection: Connection, room: usize, now: Duration) -> Self {
        Self {
            name,
            connection,
            seen: Vec::new(),
            error: None,
            todo: VecDeque::new(),
            reading: true,
            dropped: None,
            judged: 0,
            delivered: 0,
            debts: Debts::default(),
            watch: Watch::new(now),
            out: Output { bytes: Vec::new(), capacity: room },
            input: Vec::new(),
            ended: false,
            shut: false,
        }
    }

    /// The messages that arrived, in order.
    pub fn messages(&self) -> Vec<Seen> {
        self.seen.iter().filter(|seen| matches!(seen, Seen::Text(_) | Seen::Binary(_))).cloned().collect()
    }

    /// The transport takes or gives nothing more from here on.
    pub fn summary(&self) -> sansocket::Summary<'_> {
        self.connection.summary().expect("an end has a summary")
    }

    /// Does everything that can be done at `now`; `false` if that was nothing.
    fn turn(&mut self, now: Duration, from: &mut Link, to: &mut Link, rng: &mut Rng) -> bool {
        if self.dropped.is_some() {
            return false;
        }
        let mut busy = false;
        let unread = self.read(now, from, rng, &mut busy);
        self.command(now, to.held, &mut busy);
        if self.connection.poll_timeout().is_some_and(|due| due <= now) {
            let result = self.connection.handle_timeout(now, unread, &mut self.out);
            trace(now, self.name, || format!("a deadline is due: {result:?}"));
            if let Err(error) = result {
                self.fail(error);
            }
            let next = self.connection.poll_timeout();
            assert!(
                next.is_none_or(|due| due > now),
                "a deadline is still due at {now:?} after it was judged"
            );
            self.judged += 1;
            busy = true;
        }
        self.write(now, to, rng, &mut busy);
        match self.connection.transport_action() {
            TransportAction::Drop => {
                trace(now, self.name, || format!("drops the stream: {}", self.summary()));
                to.finish(now);
                from.held = 0;
                from.lost = true;
                self.dropped = Some(now);
                busy = true;
            }
            TransportAction::ShutdownWrite if !self.shut && self.out.bytes.is_empty() => {
                assert!(!self.connection.wants_write());
                trace(now, self.name, || "writes no more".into());
                to.finish(now);
                self.shut = true;
                busy = true;
            }
            _ => {}
        }
        busy
    }

    fn read(&mut self, now: Duration, from: &mut Link, rng: &mut Rng, busy: &mut bool) -> Unread {
        loop {
            if !self.take(now, busy) {
                return Unread::Possible;
            }
            if self.ended {
                return Unread::Nothing;
            }
            match from.read(now, rng) {
                Read::Nothing => return Unread::Nothing,
                Read::Bytes(bytes) => {
                    trace(now, self.name, || format!("reads {bytes:02x?}"));
                    self.input.extend_from_slice(&bytes);
                }
                Read::End => {
                    trace(now, self.name, || "reads the end".into());
                    self.ended = true;
                    if let Err(error) = self.connection.handle_eof() {
                        self.fail(error);
                    }
                }
            }
            *busy = true;
        }
    }

    /// Gives the connection what was read; `false` if some of it has to wait.
    fn take(&mut self, now: Duration, busy: &mut bool) -> bool {
        if self.error.is_some() {
            self.input.clear();
            return true;
        }
        if !self.reading {
            self.watch.received(now);
            return false;
        }
        let mut input = Input::new(&mut self.input);
        let result = loop {
            match self.connection.receive(now, &mut input, &mut self.out) {
                Ok(Some(event)) => {
                    trace(now, self.name, || format!("sees {event:?}"));
                    match &event {
                        Event::Message(_) => self.delivered += 1,
                        Event::Pong(payload) => self.debts.take_pong(payload),
                        Event::Close(_) => self.watch.closes(now, true),
                        _ => {}
                    }
                    self.seen.push(seen(event));
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let taken = input.consumed();
        if taken > 0 {
            self.watch.received(now);
            *busy = true;
        }
        self.input.drain(..taken);
        if let Err(error) = result {
            trace(now, self.name, || format!("fails: {error}"));
            self.fail(error);
            self.input.clear();
        }
        self.input.is_empty()
    }

    fn command(&mut self, now: Duration, held: usize, busy: &mut bool) {
        while let Some(command) = self.todo.front() {
            let result = match command {
                Command::Send(message) => self.connection.send(message, &mut self.out),
                Command::Fragment(part, fin) => self.connection.send_fragment(part, *fin, &mut self.out),
                Command::Ping(payload) => self.connection.ping(payload, &mut self.out),
                Command::Close(code, reason) => self.connection.close(now, *code, reason, &mut self.out),
            };
            if result.is_ok() {
                trace(now, self.name, || format!("does {command:?}"));
            }
            let ahead = self.out.bytes.len() + held;
            match result {
                Ok(()) => {
                    match command {
                        Command::Send(_) | Command::Fragment(_, Fin::Final) => {
                            self.debts.accept_message(now, ahead)
                        }
                        Command::Ping(payload) => self.debts.accept_ping(now, ahead, payload),
                        _ => {}
                    }
                    self.todo.pop_front();
                }
                Err(SendError::Full { .. }) => return,
                Err(SendError::Closed) => self.todo.clear(),
                Err(other) => panic!("{command:?}: {other}"),
            }
            *busy = true;
        }
    }

    fn write(&mut self, now: Duration, to: &mut Link, rng: &mut Rng, busy: &mut bool) {
        loop {
            self.connection.transmit(&mut self.out);
            if self.out.bytes.is_empty() {
                self.watch.wrote(now, 0, 0);
                return;
            }
            let written = to.write(now, &self.out.bytes, rng);
            if written > 0 {
                trace(now, self.name, || format!("writes {:02x?}", &self.out.bytes[..written]));
            }
            self.out.bytes.drain(..written);
            self.connection.handle_written(now, written, self.out.bytes.len());
            self.watch.wrote(now, written, self.out.bytes.len());
            if written == 0 {
                return;
            }
            *busy = true;
        }
    }

    /// What it owes and what is owed to it is in time.
    fn check(&mut self, now: Duration, to: &Link, peer: &Self, from: &Link) {
        let open = [&*self, peer].iter().all(|end| end.connection.state() == State::Open);
        let failed = [&*self, peer].iter().any(|end| end.error.is_some() || end.dropped.is_some());
        self.debts.forgive(open, failed);
        self.debts.check_messages(now, peer.delivered, to);
        self.debts.check_pings(now, to, peer.out.capacity, from);
        if self.connection.state() != State::Open {
            self.watch.closes(now, false);
        }
        if self.dropped.is_none() {
            let open = self.connection.state() == State::Open;
            self.watch.check(now, open, self.ended, self.connection.config());
        }
    }

    fn fail(&mut self, error: Error) {
        assert_eq!(*self.error.get_or_insert(error), error, "another error than before");
    }
}

fn seen(event: Event<'_>) -> Seen {
    match event {
        Event::Message(Message::Text(text)) => Seen::Text(text.as_bytes().to_vec()),
        Event::Message(Message::Binary(bytes)) => Seen::Binary(bytes.to_vec()),
        Event::Ping(payload) => Seen::Ping(payload.to_vec()),
        Event::Pong(payload) => Seen::Pong(payload.to_vec()),
        Event::Close(frame) => Seen::Close(frame.code.get(), frame.reason.as_bytes().to_vec()),
        other => panic!("not in this simulation: {other:?}"),
    }
}

/// Both ends, the two links between them, and the time.
#[derive(Debug)]
pub struct Pair {
    pub now: Duration,
    pub client: End,
    pub server: End,
    /// From the client to the server.
    pub up: Link,
    /// From the server to the client.
    pub down: Link,
    pub rng: Rng,
    /// The time that has been played; `now` is another one after a jump of the clock.
    played: Duration,
}

impl Pair {
    pub fn new(client: Config, server: Config, seed: u64) -> Self {
        // Not at zero, so that nobody takes zero for a time without meaning.
        let now = Duration::from_secs(1000);
        let mut keys = Rng(seed);
        let keys = MaskKeys::from_fn(move || Ok((keys.next() as u32).to_be_bytes()));
        Self {
            now,
            client: End::new("client", Connection::client(Arc::new(client), keys, now), 64 << 10, now),
            server: End::new("server", Connection::server(Arc::new(server), now), 64 << 10, now),
            up: Link::new(),
            down: Link::new(),
            rng: Rng(seed ^ 0xABCD),
            played: now,
        }
    }

    pub fn with_defaults() -> Self {
        Self::new(Config::new(), Config::new(), 1)
    }

    /// How many bytes of output each end may queue; a message has to fit.
    pub fn room(&mut self, bytes: usize) {
        self.client.out.capacity = bytes;
        self.server.out.capacity = bytes;
    }

    /// Both transports are dropped.
    pub fn is_over(&self) -> bool {
        self.client.dropped.is_some() && self.server.dropped.is_some()
    }

    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Until both transports are dropped; fails if that takes more than a day.
    pub fn run_to_the_end(&mut self) {
        self.run_until(self.now + Duration::from_secs(86_400));
        assert!(self.is_over(), "hangs: {self:#?}");
    }

    fn run_until(&mut self, end: Duration) {
        self.pass(self.now.saturating_sub(self.played), true);
        while !self.is_over() {
            self.settle();
            let next = [self.due(&self.client, &self.down), self.due(&self.server, &self.up)];
            match next.into_iter().flatten().min() {
                Some(next) if next <= end => {
                    assert!(next > self.now, "spins: {next:?} is due again");
                    self.pass(next - self.now, false);
                    self.now = next;
                }
                _ => break,
            }
        }
        if !self.is_over() {
            self.pass(end - self.now, false);
            self.now = end;
            self.settle();
        }
        self.played = self.now;
    }

    /// Time passes, and counts against those who are late only where something can arrive.
    fn pass(&mut self, time: Duration, jump: bool) {
        let up = !jump && self.server.reading && self.up.is_healthy();
        let down = !jump && self.client.reading && self.down.is_healthy();
        for (end, arrives) in [(&mut self.client, up), (&mut self.server, down)] {
            if !arrives {
                end.debts.paused += time;
            }
            if !(up && down) {
                end.debts.paused_trip += time;
            }
            if jump && !time.is_zero() {
                end.watch.jumped(self.now);
            }
        }
    }

    /// When something happens at this end by itself.
    fn due(&self, end: &End, from: &Link) -> Option<Duration> {
        if end.dropped.is_some() {
            return None;
        }
        let arrival = from.next().filter(|at| *at > self.now && !end.ended);
        [arrival, end.connection.poll_timeout()].into_iter().flatten().min()
    }

    /// Turn by turn until neither end has anything to do at this time.
    fn settle(&mut self) {
        for _ in 0..200_000 {
            let client = self.client.turn(self.now, &mut self.down, &mut self.up, &mut self.rng);
            let server = self.server.turn(self.now, &mut self.up, &mut self.down, &mut self.rng);
            if !client && !server {
                self.client.check(self.now, &self.up, &self.server, &self.down);
                self.server.check(self.now, &self.down, &self.client, &self.up);
                return;
            }
        }
        panic!("spins at {:?}", self.now);
    }
}
