//! The calls of an application in any order, and what has to hold after each of them.

#![allow(dead_code, unreachable_pub, reason = "each user needs its own part")]

extern crate alloc;

use alloc::sync::Arc;
use core::time::Duration;

use sansocket::{
    CloseCode, Config, Connection, Error, Event, Fin, Input, MaskKeyError, MaskKeys, Message, Prepared, Role,
    SendError, State, TransportAction, Unread,
};

use super::cuts::{Narrow, Told};
use super::oracle::{Rules, Seen, Verdict, judge};

/// One call, or a few that belong together. Lengths and codes may be wrong on purpose.
#[derive(Clone, Debug)]
pub enum Op {
    Receive(Vec<u8>),
    /// `locate`, and `lend` only if it is asked for.
    Locate(Vec<u8>, bool),
    /// `payload_target`, filled with this many bytes, `handle_timeout`, `payload_read`.
    Direct(usize),
    /// `payload_read` of this many bytes that nobody read.
    PayloadRead(usize),
    Send(bool, usize),
    Fragment(bool, usize, Fin),
    Prepared(bool, usize),
    Envelope(bool, usize),
    Ping(usize),
    Pong(usize),
    Close(u16, usize),
    CloseWithoutCode,
    Transmit,
    /// The output has room for this many bytes from now on.
    Room(usize),
    /// This many bytes leave the output, and the connection is told.
    Write(usize),
    HandleWritten(usize, usize),
    /// After so many milliseconds.
    HandleTimeout(u64, Unread),
    HandleEof,
}

/// A connection, the wire behind it, and what it said so far.
#[derive(Debug)]
pub struct Bench {
    pub connection: Connection,
    /// What has left.
    pub wire: Vec<u8>,
    pub told: Told,
    out: Narrow,
    now: Duration,
    state: State,
    failure: Option<Error>,
    /// The messages that the connection accepted, and the one that is being sent in fragments.
    accepted: Vec<Seen>,
    partial: Option<(bool, Vec<u8>)>,
}

fn payload(text: bool, len: usize) -> Message<'static> {
    if text { Message::from("t".repeat(len)) } else { Message::from(vec![b'b'; len]) }
}

fn seen(text: bool, payload: Vec<u8>) -> Seen {
    if text { Seen::Text(payload) } else { Seen::Binary(payload) }
}

impl Bench {
    /// `keys` is after how many masking keys the source of a client fails.
    pub fn new(role: Role, config: &Arc<Config>, keys: Option<u32>) -> Self {
        let mut given = 0u32;
        let source = move || {
            given += 1;
            if keys.is_some_and(|keys| given > keys) { Err(MaskKeyError) } else { Ok(given.to_ne_bytes()) }
        };
        let connection = match role {
            Role::Server => Connection::server(config.clone(), Duration::ZERO),
            Role::Client => Connection::client(config.clone(), MaskKeys::from_fn(source), Duration::ZERO),
        };
        Self {
            connection,
            wire: Vec::new(),
            told: Told::default(),
            out: Narrow::new(usize::MAX),
            now: Duration::ZERO,
            state: State::Open,
            failure: None,
            accepted: Vec::new(),
            partial: None,
        }
    }

    pub fn apply(&mut self, op: &Op) {
        let (before, waited) = (self.out.bytes.len(), self.connection.wants_write());
        if let Some(Err(error)) = self.command(op) {
            assert!(waited || self.out.bytes.len() == before, "{op:?} wrote something and said {error}");
            let open = self.connection.state() == State::Open;
            let about_the_message =
                matches!(error, SendError::ControlTooLong { .. } | SendError::InvalidCloseCode(_));
            assert!(open || about_the_message || error == SendError::Closed, "{op:?}: {error}");
        }
        self.event(op);
        self.check(op);
    }

    /// The operations that can send; `None` for all others.
    fn command(&mut self, op: &Op) -> Option<Result<(), SendError>> {
        let (connection, out, now) = (&mut self.connection, &mut self.out, self.now);
        let result = match *op {
            Op::Send(text, len) => connection.send(payload(text, len), out),
            Op::Fragment(text, len, fin) => connection.send_fragment(payload(text, len), fin, out),
            Op::Prepared(text, len) => connection.send_prepared(&Prepared::new(payload(text, len)), out),
            Op::Envelope(text, len) => connection.envelope(&payload(text, len)).map(|envelope| {
                let mut bytes = payload(text, len).as_bytes().to_vec();
                let (front, back) = bytes.split_at_mut(len / 3);
                envelope.mask(len / 3, back);
                envelope.mask(0, front);
                out.bytes.extend_from_slice(envelope.header());
                out.bytes.extend_from_slice(&bytes);
            }),
            Op::Ping(len) => connection.ping(&vec![1; len], out),
            Op::Pong(len) => connection.pong(&vec![2; len], out),
            Op::Close(code, len) => connection.close(now, CloseCode::new(code), &"r".repeat(len), out),
            Op::CloseWithoutCode => connection.close_without_code(now, out),
            _ => return None,
        };
        if result.is_ok() {
            self.accept(op);
        }
        Some(result)
    }

    fn accept(&mut self, op: &Op) {
        match *op {
            Op::Send(text, len) | Op::Prepared(text, len) | Op::Envelope(text, len) => {
                assert!(self.partial.is_none(), "{op:?} inside a message");
                self.accepted.push(seen(text, payload(text, len).as_bytes().to_vec()));
            }
            Op::Fragment(text, len, fin) => {
                let (kind, mut joined) = self.partial.take().unwrap_or((text, Vec::new()));
                assert_eq!(kind, text, "the kind changed inside a message");
                joined.extend_from_slice(payload(text, len).as_bytes());
                match fin {
                    Fin::More => self.partial = Some((text, joined)),
                    Fin::Final => self.accepted.push(seen(text, joined)),
                }
            }
            Op::Ping(len) | Op::Pong(len) => assert!(len <= 125),
            Op::Close(code, len) => assert!(CloseCode::new(code).is_sendable() && len <= 123),
            _ => {}
        }
    }

    /// The operations that do not send.
    fn event(&mut self, op: &Op) {
        let failed = self.failure.is_some();
        let result = match op {
            Op::Receive(bytes) => self.receive(&mut bytes.clone()),
            Op::Locate(bytes, lend) => self.locate(&mut bytes.clone(), *lend),
            Op::Direct(len) => self.direct(*len),
            Op::PayloadRead(len) => match self.connection.payload_read(self.now, *len, &mut self.out) {
                Ok(message) => {
                    assert_eq!(message, None, "of bytes that nobody read");
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Op::HandleTimeout(after, unread) => {
                self.now += Duration::from_millis(*after);
                let result = self.connection.handle_timeout(self.now, *unread, &mut self.out);
                let next = self.connection.poll_timeout();
                assert!(next.is_none_or(|due| due > self.now), "due at {next:?}, which is judged already");
                result
            }
            Op::HandleEof => self.connection.handle_eof(),
            Op::Transmit => {
                assert_eq!(self.connection.transmit(&mut self.out), !self.connection.wants_write());
                return;
            }
            Op::Room(room) => return self.out.capacity = *room,
            Op::Write(len) => return self.write(*len),
            Op::HandleWritten(written, left) => {
                return self.connection.handle_written(self.now, *written, *left);
            }
            _ => return,
        };
        assert!(!failed || result.is_err(), "{op:?} forgot the error");
        assert_eq!(result.err(), self.connection.summary().and_then(|summary| summary.error), "{op:?}");
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        // Each byte ends an event at the most, and what waited from before may add one.
        let mut calls_left = bytes.len() + 2;
        let mut input = Input::new(bytes);
        while let Some(event) = self.connection.receive(self.now, &mut input, &mut self.out)? {
            note(&mut self.told, event);
            calls_left = calls_left.checked_sub(1).expect("calls that do not get on");
        }
        assert!(input.is_empty(), "input left behind");
        Ok(())
    }

    fn locate(&mut self, bytes: &mut [u8], lend: bool) -> Result<(), Error> {
        let located = self.connection.locate(self.now, bytes, &mut self.out)?;
        assert!(located.consumed <= bytes.len());
        if let (Some(found), true) = (located.found, lend) {
            let taken = &bytes[..located.consumed];
            note(&mut self.told, self.connection.lend(self.now, found, taken, &mut self.out)?);
        }
        Ok(())
    }

    fn direct(&mut self, len: usize) -> Result<(), Error> {
        let Some(target) = self.connection.payload_target() else { return self.failure.map_or(Ok(()), Err) };
        let len = len.min(target.len());
        target[..len].fill(7);
        // A ping may become due, and wait for room, between the read and this.
        self.now += Duration::from_millis(len as u64);
        self.connection.handle_timeout(self.now, Unread::Possible, &mut self.out)?;
        if let Some(message) = self.connection.payload_read(self.now, len, &mut self.out)? {
            note(&mut self.told, Event::Message(message));
        }
        Ok(())
    }

    /// Bytes leave for the wire.
    pub fn write(&mut self, len: usize) {
        let len = len.min(self.out.bytes.len());
        self.wire.extend(self.out.bytes.drain(..len));
        self.connection.handle_written(self.now, len, self.out.bytes.len());
    }

    fn check(&mut self, op: &Op) {
        let state = self.connection.state();
        assert!(state >= self.state, "{op:?} went back from {:?} to {state:?}", self.state);
        self.state = state;
        let summary = self.connection.summary();
        let error = summary.as_ref().and_then(|summary| summary.error);
        assert!(state != State::Open || summary.is_none(), "{op:?}: open, and over: {summary:?}");
        assert!(state != State::Closed || summary.is_some(), "{op:?}: over without a summary");
        assert!(self.failure.is_none() || error == self.failure, "{op:?}: another error than before");
        assert!(
            summary.is_none_or(|summary| !(summary.clean && error.is_some())),
            "{op:?}: clean with an error"
        );
        self.failure = error;
        if state == State::Open {
            assert_eq!(self.connection.transport_action(), TransportAction::Keep, "{op:?}");
        }
        let fragmenting = state == State::Open && self.partial.is_some();
        assert_eq!(self.connection.fragmenting().is_some(), fragmenting, "{op:?}");
        if error.is_some() {
            assert!(self.connection.payload_target().is_none(), "{op:?}");
        }
    }

    /// Lets everything out that is due, and judges all that ever went out as the peer would.
    pub fn finish(mut self) -> (Verdict, Told) {
        self.out.capacity = usize::MAX;
        self.connection.transmit(&mut self.out);
        assert!(!self.connection.wants_write());
        self.write(usize::MAX);
        let verdict = judge(&Rules::lenient(self.connection.role() == Role::Client), &self.wire);
        assert_eq!(verdict.fault, None, "what was sent breaks a rule: {:02x?}", self.wire);
        assert_eq!(verdict.whole, self.wire.len(), "half a frame, or one behind Close: {:02x?}", self.wire);
        let messages = verdict.seen.iter().filter(|seen| matches!(seen, Seen::Text(_) | Seen::Binary(_)));
        assert!(messages.eq(self.accepted.iter()), "not what was accepted");
        let partial = verdict.unfinished.as_ref().map(|(opcode, payload)| (*opcode == 1, payload.clone()));
        assert_eq!(partial, self.partial, "not what was accepted");
        (verdict, self.told)
    }
}

/// Chunks are not joined here: parts of them may have been skipped.
fn note(told: &mut Told, event: Event<'_>) {
    match event {
        Event::Chunk(chunk) => assert!(chunk.last || !chunk.payload.is_empty()),
        event => told.note(event),
    }
}

/// Both ends on one wire.
#[derive(Debug)]
pub struct Duo {
    ends: [Bench; 2],
    /// How much of each end's wire the other has got.
    delivered: [usize; 2],
}

impl Duo {
    pub fn new(config: &Arc<Config>) -> Self {
        let ends = [Bench::new(Role::Client, config, None), Bench::new(Role::Server, config, None)];
        Self { ends, delivered: [0, 0] }
    }

    /// Applies `op` to one end. What it would receive is replaced by as much of what the other one sent.
    pub fn apply(&mut self, second: bool, op: &Op) {
        let (to, from) = (usize::from(second), usize::from(!second));
        match op {
            Op::Receive(bytes) | Op::Locate(bytes, _) => self.deliver(from, to, bytes.len()),
            // Bytes that the peer did not send would be a fault of this test.
            Op::Direct(_) | Op::PayloadRead(_) => {}
            op => self.ends[to].apply(op),
        }
    }

    fn deliver(&mut self, from: usize, to: usize, len: usize) {
        let mut bytes = self.ends[from].wire[self.delivered[from]..].to_vec();
        bytes.truncate(len);
        let end = &mut self.ends[to];
        let mut input = Input::new(&mut bytes);
        while let Ok(Some(event)) = end.connection.receive(end.now, &mut input, &mut end.out) {
            end.told.note(event);
        }
        self.delivered[from] += input.consumed();
        end.check(&Op::Receive(Vec::new()));
    }

    /// Delivers the rest and compares what each end saw with what the other sent.
    pub fn finish(mut self) {
        for _ in 0..3 {
            for (from, to) in [(0, 1), (1, 0)] {
                self.ends[from].out.capacity = usize::MAX;
                self.ends[from].connection.transmit(&mut self.ends[from].out);
                self.ends[from].write(usize::MAX);
                self.deliver(from, to, usize::MAX);
            }
        }
        let failed: Vec<_> = self.ends.iter().map(|end| end.failure).collect();
        let [client, server] = self.ends.map(Bench::finish);
        for ((sent, _), (_, told), failure) in [(&client, &server, failed[1]), (&server, &client, failed[0])]
        {
            assert!(!matches!(failure, Some(Error::Protocol(_) | Error::InvalidUtf8(_))), "{failure:?}");
            assert!(sent.seen.starts_with(&told.seen), "saw {:?} of {:?}", told.seen, sent.seen);
            if failure.is_none() {
                assert_eq!(told.seen, sent.seen, "something did not arrive");
            }
        }
    }
}
