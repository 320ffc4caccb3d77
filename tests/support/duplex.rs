//! A client and a server with tiny output buffers and a tiny pipe each way, moved one operation at a time. What every
//! operation must keep true is asserted here; `exploration.rs` tries every order of operations.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use sansocket::{
    CloseCode, Config, Connection, Error, Event, Input, MaskKeys, Message, SendError, Sink, State,
    TransportAction, Unread,
};

/// An output buffer's size in bytes: the longest control frame of a client fits, and little else.
pub const CAPACITY: usize = 131;
/// How many bytes each direction of the pipe holds.
const PIPE: usize = 40;
/// Larger than the output buffer and both pipes; it is queued behind an [`Envelope`](sansocket::Envelope).
const LARGE: usize = 250;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Op {
    SendSmall,
    SendLarge,
    Ping,
    Close,
    /// Gives the connection so many bytes that the peer wrote, or the end of the stream behind them.
    Receive(usize),
    /// Writes up to so many bytes of the output to the pipe, then does what `transport_action` says.
    Write(usize),
}

pub const ALL: usize = usize::MAX;
pub const OPS: [Op; 9] = [
    Op::SendSmall,
    Op::SendLarge,
    Op::Ping,
    Op::Close,
    Op::Receive(1),
    Op::Receive(3),
    Op::Receive(ALL),
    Op::Write(20),
    Op::Write(ALL),
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    Client(Op),
    Server(Op),
    /// The next deadline of either end comes.
    Deadline,
}

/// Bytes that wait for the pipe.
#[derive(Debug, Default, Hash)]
struct Output(Vec<u8>);

impl Sink for Output {
    fn room(&self) -> usize {
        CAPACITY.saturating_sub(self.0.len())
    }

    fn push(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room(), "more than the output has room for");
        self.0.extend_from_slice(bytes);
    }

    fn last_mut(&mut self, len: usize) -> &mut [u8] {
        let start = self.0.len() - len;
        &mut self.0[start..]
    }
}

/// What decides about an end's future, apart from its connection.
#[derive(Debug, Default, Hash)]
struct Ledger {
    out: Output,
    /// Bytes on their way to the peer.
    pipe: VecDeque<u8>,
    /// Nothing more enters the pipe.
    finished: bool,
    /// The end of the stream was received.
    eof: bool,
    dropped: bool,
    /// Messages that this end accepted and the peer has still to deliver.
    accepted: VecDeque<Vec<u8>>,
    /// Pings that the peer delivered and whose pong has still to come.
    pings: VecDeque<Vec<u8>>,
    /// The number of messages and pings so far; each carries its own, so that none is taken for another.
    count: u8,
    /// Bytes received since the last event.
    partial: Vec<u8>,
    /// What happened while replies waited.
    waiting: Vec<Vec<u8>>,
    times: Times,
}

/// When the things last happened from which deadlines run.
#[derive(Debug, Default, Hash)]
struct Times {
    received: Duration,
    blocked: Option<Duration>,
    unblocked: Duration,
    closing: Option<Duration>,
    /// Deadlines that were judged here, and what they left in the output.
    judged: Vec<(Duration, usize)>,
}

#[derive(Debug)]
pub struct End {
    name: &'static str,
    pub connection: Connection,
    pub error: Option<Error>,
    /// Whether it receives as the adapters do: by `locate`, `lend`, and reads straight into a large message.
    located: bool,
    state: Ledger,
}

#[derive(Debug)]
pub struct Duplex {
    pub now: Duration,
    pub ends: [End; 2],
}

/// What `located` and `config` are in one exploration.
#[derive(Clone, Debug)]
pub struct Setting {
    pub config: Arc<Config>,
    pub located: [bool; 2],
}

impl Duplex {
    pub fn new(setting: &Setting) -> Self {
        let now = Duration::from_secs(100);
        // The same key for every frame, so that equal states look equal.
        let keys = MaskKeys::from_fn(|| Ok([0x11, 0x22, 0x33, 0x44]));
        let client = Connection::client(setting.config.clone(), keys, now);
        let server = Connection::server(setting.config.clone(), now);
        let end = |name, connection, located| End {
            name,
            connection,
            error: None,
            located,
            state: Ledger { times: Times { received: now, ..Times::default() }, ..Ledger::default() },
        };
        let [client_locates, server_locates] = setting.located;
        Self { now, ends: [end("client", client, client_locates), end("server", server, server_locates)] }
    }

    /// Whether `step` can change anything.
    pub fn allows(&self, step: Step) -> bool {
        let (at, op) = match step {
            Step::Client(op) => (0, op),
            Step::Server(op) => (1, op),
            Step::Deadline => return self.next_deadline().is_some(),
        };
        let (end, peer) = (&self.ends[at], &self.ends[1 - at]);
        let (state, unread) = (&end.state, peer.state.pipe.len());
        if state.dropped {
            return false;
        }
        match op {
            Op::SendSmall | Op::Ping | Op::Close => end.connection.state() == State::Open,
            // Back-pressure: an adapter queues a message only below its limit.
            Op::SendLarge => end.connection.state() == State::Open && state.out.0.len() < CAPACITY,
            Op::Receive(ALL) => unread > 0 || (peer.state.finished && !state.eof),
            Op::Receive(len) => unread > len,
            Op::Write(ALL) => !end.is_written() || end.acts(),
            Op::Write(len) => state.out.0.len() > len,
        }
    }

    pub fn apply(&mut self, step: Step) {
        match step {
            Step::Client(op) => _ = self.operate(0, op),
            Step::Server(op) => _ = self.operate(1, op),
            Step::Deadline => {
                self.now = self.next_deadline().expect("a deadline is pending");
                self.ends.iter_mut().filter(|end| !end.state.dropped).for_each(|end| end.judge(self.now));
            }
        }
    }

    /// `true` if that moved bytes or ended something.
    fn operate(&mut self, at: usize, op: Op) -> bool {
        let [client, server] = &mut self.ends;
        let (end, peer) = if at == 0 { (client, server) } else { (server, client) };
        if end.state.dropped {
            return false;
        }
        match op {
            Op::Receive(len) => end.receive(self.now, len, &mut peer.state),
            Op::Write(len) => end.write(self.now, len, &mut peer.state),
            command => end.command(self.now, command),
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        let pending = |end: &End| end.connection.poll_timeout().filter(|_| !end.state.dropped);
        self.ends.iter().filter_map(pending).min()
    }

    /// A number that is the same for states with the same future.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.now.hash(&mut hasher);
        for end in &self.ends {
            let connection = &end.connection;
            end.state.hash(&mut hasher);
            (connection.wants_write(), connection.poll_timeout(), connection.rtt()).hash(&mut hasher);
            let seen = (
                connection.state(),
                connection.transport_action(),
                connection.summary(),
                connection.fragmenting(),
            );
            format!("{seen:?}").hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Both ends write and receive all they can without time passing.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            let moves =
                [Op::Write(ALL), Op::Receive(ALL)].map(|op| [self.operate(0, op), self.operate(1, op)]);
            if moves == [[false; 2]; 2] {
                return;
            }
        }
        panic!("the ends write and read for ever");
    }

    /// What two ends whose bytes all arrive must have done once nothing moves any more.
    pub fn assert_settled(&self) {
        if self.ends.iter().any(|end| end.error.is_some()) {
            return;
        }
        for end in &self.ends {
            let (name, state) = (end.name, &end.state);
            let left = (state.out.0.len(), state.pipe.len(), end.connection.wants_write());
            assert_eq!(
                left,
                (0, 0, false),
                "a healthy pair stands still: {name} has output, bytes under way, a reply"
            );
            assert!(state.accepted.is_empty(), "{name} accepted {:?}, which never arrived", state.accepted);
            if self.ends.iter().all(|end| end.connection.state() == State::Open) {
                assert!(state.pings.is_empty(), "{name} got no pong to {:?}", state.pings);
            }
        }
    }

    /// Closes, unless something has begun to end, and runs until both transports are dropped; returns how long that took.
    pub fn close(&mut self, at: usize) -> Duration {
        let begun = self.now;
        if self.ends.iter().all(|end| end.connection.state() == State::Open) {
            assert!(self.operate(at, Op::Close), "there is room for a Close, and yet it is refused");
        }
        self.settle();
        while !self.ends.iter().all(|end| end.state.dropped) {
            assert!(
                self.next_deadline().is_some(),
                "a closing that never ends: no byte moves and no deadline is pending"
            );
            self.apply(Step::Deadline);
            self.settle();
        }
        let failed = self.ends.iter().any(|end| end.error.is_some());
        for end in &mut self.ends {
            let summary = end.connection.summary().expect("a closed connection has a summary");
            assert_eq!(summary.error, end.error);
            assert!(failed || summary.clean, "{summary}");
            end.assert_stays_closed(self.now);
        }
        self.now - begun
    }

    /// Neither end hears from the other again. Returns how long both took to notice, `None` where nobody asked for it.
    pub fn cut(&mut self) -> Option<Duration> {
        let begun = self.now;
        self.ends.iter_mut().for_each(End::assert_one_reply_each);
        loop {
            for end in self.ends.iter_mut().filter(|end| !end.state.dropped) {
                end.write(self.now, ALL, &mut Ledger::default());
            }
            if self.ends.iter().all(|end| end.state.dropped) {
                self.ends.iter_mut().for_each(|end| end.assert_stays_closed(self.now));
                return Some(self.now - begun);
            }
            if self.next_deadline().is_none() {
                let waits = |end: &End| !end.state.dropped && (end.acts() || !end.is_written());
                assert!(!self.ends.iter().any(waits), "output waits for ever");
                let open = |end: &End| end.state.dropped || end.connection.state() == State::Open;
                assert!(self.ends.iter().all(open), "a closing that never ends: the peer has gone");
                return None;
            }
            self.apply(Step::Deadline);
        }
    }
}

impl End {
    fn is_written(&self) -> bool {
        self.state.out.0.is_empty() && !self.connection.wants_write()
    }

    /// Whether `transport_action` asks for what has not been done.
    fn acts(&self) -> bool {
        match self.connection.transport_action() {
            TransportAction::Drop => !self.state.dropped,
            TransportAction::ShutdownWrite => self.is_written() && !self.state.finished,
            _ => false,
        }
    }

    fn command(&mut self, now: Duration, command: Op) -> bool {
        let (connection, state) = (&mut self.connection, &mut self.state);
        let mut payload = vec![state.count];
        let result = match command {
            Op::SendSmall => connection.send(&payload[..], &mut state.out),
            Op::SendLarge => {
                payload.resize(LARGE, 7);
                connection.transmit(&mut state.out);
                connection.envelope(&Message::from(&payload[..])).map(|envelope| {
                    state.out.0.extend_from_slice(envelope.header());
                    state.out.0.extend_from_slice(&payload);
                    envelope.mask(0, state.out.last_mut(LARGE));
                })
            }
            Op::Ping => connection.ping(&payload, &mut state.out),
            _ => connection.close(now, CloseCode::NORMAL, "", &mut state.out),
        };
        match result {
            Ok(()) if command == Op::Close => {}
            Ok(()) => {
                state.count += 1;
                if command != Op::Ping {
                    state.accepted.push_back(payload);
                }
            }
            Err(SendError::Full { needed }) => {
                assert!(state.out.room() < needed, "refused for want of room: {command:?}");
            }
            Err(error) => panic!("{command:?} is refused: {error}"),
        }
        self.note(now);
        result.is_ok()
    }

    fn receive(&mut self, now: Duration, most: usize, peer: &mut Ledger) -> bool {
        let len = most.min(peer.pipe.len());
        if len == 0 {
            if !peer.finished || self.state.eof {
                return false;
            }
            self.state.eof = true;
            let result = self.connection.handle_eof();
            self.outcome(result);
            return true;
        }
        let read: Vec<u8> = peer.pipe.drain(..len).collect();
        let mut bytes = read.clone();
        self.state.times.received = now;
        let mut at = 0;
        while at < len && self.error.is_none() {
            let (replied, queued) = (!self.connection.wants_write(), self.state.out.0.len());
            let open = self.connection.state() == State::Open;
            match self.take(now, &mut bytes[at..]) {
                Ok((taken, event)) => {
                    self.state.partial.extend_from_slice(&read[at..at + taken]);
                    at += taken;
                    let Some(event) = event else { break };
                    let is_ping = matches!(event, Event::Ping(_));
                    self.deliver(event, peer);
                    let needed = if self.name == "client" { 6 } else { 2 } + 4;
                    if is_ping && open && replied && CAPACITY.saturating_sub(queued) >= needed {
                        assert!(
                            self.state.out.0.len() > queued,
                            "there is room for a pong, and none is sent"
                        );
                    }
                }
                Err(error) => self.outcome(Err(error)),
            }
        }
        self.note(now);
        if self.error.is_some() {
            return true;
        }
        read[at..].iter().rev().for_each(|&byte| peer.pipe.push_front(byte));
        assert_eq!(at, len, "`receive` says that all input was taken, and leaves some: {}", self.name);
        at > 0
    }

    /// Takes bytes up to the next event.
    fn take<'a>(&mut self, now: Duration, bytes: &'a mut [u8]) -> Result<(usize, Option<Event<'a>>), Error> {
        let (connection, out) = (&mut self.connection, &mut self.state.out);
        if !self.located {
            let mut input = Input::new(bytes);
            let event = connection.receive(now, &mut input, out)?;
            return Ok((input.consumed(), event));
        }
        if let Some(target) = connection.payload_target() {
            let len = target.len().min(bytes.len());
            target[..len].copy_from_slice(&bytes[..len]);
            if let Some(message) = connection.payload_read(now, len, out)? {
                return Ok((len, Some(Event::Message(message))));
            }
            if len == bytes.len() {
                return Ok((len, None));
            }
            let (taken, event) = self.take(now, &mut bytes[len..])?;
            return Ok((len + taken, event));
        }
        let located = connection.locate(now, bytes, out)?;
        match located.found {
            Some(found) => Ok((located.consumed, Some(connection.lend(now, found, bytes, out)?))),
            None => Ok((located.consumed, None)),
        }
    }

    fn deliver(&mut self, event: Event<'_>, peer: &mut Ledger) {
        self.state.partial.clear();
        match event {
            Event::Message(message) => {
                let accepted = peer.accepted.pop_front();
                let got = Some(message.as_bytes());
                assert_eq!(got, accepted.as_deref(), "{} delivers what is not the next message", self.name);
            }
            Event::Ping(payload) => {
                peer.pings.push_back(payload.to_vec());
                self.state.waiting.push(payload.to_vec());
            }
            Event::Pong(payload) => {
                let asked = self.state.pings.iter().position(|ping| **ping == *payload);
                let asked =
                    asked.unwrap_or_else(|| panic!("a pong to no ping, or a second one: {payload:?}"));
                self.state.pings.drain(..=asked);
            }
            Event::Close(_) => self.state.waiting.push(Vec::new()),
            other => panic!("not in this exploration: {other:?}"),
        }
    }

    fn write(&mut self, now: Duration, most: usize, peer: &mut Ledger) -> bool {
        let (connection, state) = (&mut self.connection, &mut self.state);
        let before = connection.wants_write();
        connection.transmit(&mut state.out);
        let mut moved = before && !connection.wants_write();
        let room = if peer.dropped { ALL } else { PIPE - state.pipe.len() };
        let written = most.min(room).min(state.out.0.len());
        let taken = state.out.0.drain(..written);
        if peer.dropped {
            drop(taken)
        } else {
            state.pipe.extend(taken)
        }
        let left = state.out.0.len();
        connection.handle_written(now, written, left);
        moved |= written > 0;
        let times = &mut state.times;
        match (times.blocked, left) {
            (Some(_), 0) => (times.blocked, times.unblocked) = (None, now),
            (None, 1..) => times.blocked = Some(now),
            (Some(_), _) if written > 0 => times.blocked = Some(now),
            _ => {}
        }
        match connection.transport_action() {
            TransportAction::Drop => {
                (state.dropped, state.finished) = (true, true);
                peer.pipe.clear();
                moved = true;
            }
            TransportAction::ShutdownWrite if left == 0 && !connection.wants_write() && !state.finished => {
                state.finished = true;
                moved = true;
            }
            _ => {}
        }
        self.note(now);
        moved
    }

    /// Its deadlines are judged.
    fn judge(&mut self, now: Duration) {
        let is_due = self.connection.poll_timeout().is_some_and(|due| due <= now);
        let (open, queued) = (self.connection.state() == State::Open, self.state.out.0.len());
        let result = self.connection.handle_timeout(now, Unread::Nothing, &mut self.state.out);
        self.outcome(result);
        if is_due && open && result.is_ok() {
            let pinged = self.connection.wants_write() || self.state.out.0.len() > queued;
            assert!(
                pinged,
                "a deadline of an open connection passes, and neither a ping nor an error follows"
            );
        }
        let next = self.connection.poll_timeout();
        assert!(
            next.is_none_or(|due| due > now),
            "a deadline is still due after it was judged: {}",
            self.name
        );
        let left = self.state.out.0.len();
        self.state.times.judged.push((now, left));
        self.note(now);
    }

    fn note(&mut self, now: Duration) {
        if !self.connection.wants_write() {
            self.state.waiting.clear();
        }
        if self.connection.state() != State::Open {
            self.state.times.closing.get_or_insert(now);
        }
    }

    fn outcome(&mut self, result: Result<(), Error>) {
        match (result, self.error) {
            (Ok(()), None) => {}
            (Err(error), None) => self.error = Some(error),
            (result, Some(error)) => assert_eq!(result, Err(error), "not the error of before"),
        }
    }

    /// What waits leaves in at most one frame of each kind, a Close last.
    fn assert_one_reply_each(&mut self) {
        let mut out = Vec::new();
        assert!(self.connection.transmit(&mut out) && !self.connection.wants_write());
        let mask = if self.name == "client" { 4 } else { 0 };
        let (mut at, mut opcodes) = (0, Vec::new());
        while at < out.len() {
            opcodes.push(out[at] & 0x0F);
            at += 2 + mask + usize::from(out[at + 1] & 0x7F);
        }
        let order = |opcode: &u8| [0xA, 0x9, 0x8].iter().position(|other| other == opcode);
        assert!(
            opcodes.is_sorted_by(|a, b| order(a) < order(b)),
            "more than one reply of a kind: {opcodes:?}"
        );
        self.state.out.0.extend(out);
    }

    fn assert_stays_closed(&mut self, now: Duration) {
        let end = self.error.map_or(Ok(()), Err);
        let (connection, out) = (&mut self.connection, &mut Vec::new());
        assert_eq!(connection.state(), State::Closed);
        for _ in 0..2 {
            let mut bytes = *b"\x81\x01x";
            let mut input = Input::new(&mut bytes);
            assert_eq!(connection.receive(now, &mut input, out).map(|event| assert_eq!(event, None)), end);
            assert_eq!(
                connection.locate(now, &mut [0x81], out).map(|located| assert!(located.found.is_none())),
                end
            );
            assert_eq!(connection.handle_timeout(now, Unread::Nothing, out), end);
            assert_eq!(connection.handle_eof(), end);
            assert_eq!(connection.send("x", out), Err(SendError::Closed));
            assert_eq!(connection.ping(b"x", out), Err(SendError::Closed));
            assert_eq!(connection.close(now, CloseCode::NORMAL, "", out), Err(SendError::Closed));
            assert!(out.is_empty() && connection.poll_timeout().is_none());
        }
    }
}
