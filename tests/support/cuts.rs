//! Feeds a connection with bytes in any cut and writes down everything it says.

#![allow(dead_code, unreachable_pub, reason = "each user needs its own part")]

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use sansocket::{
    Config, Connection, Error, Event, Input, Kind, MaskKeys, Message, Role, Sink, State, Summary,
    TransportAction, frame::Decoder,
};

use super::oracle::{Fault, Frames, Reply, Rules, Seen, frames, judge};

pub const NOW: Duration = Duration::ZERO;

/// By which calls the bytes are given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    Receive,
    LocateAndLend,
    /// `LocateAndLend`, and straight to the payload's place wherever that is offered.
    Direct,
}

pub const WAYS: [Way; 3] = [Way::Receive, Way::LocateAndLend, Way::Direct];

/// Everything that must not depend on the cut.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    pub seen: Vec<Seen>,
    /// The bytes that were sent.
    pub sent: Vec<u8>,
    pub error: Option<Error>,
    pub state: Option<State>,
    pub action: Option<TransportAction>,
    pub summary: Option<String>,
    /// Chunks of a message that has not ended.
    pub unfinished: Option<(Kind, Vec<u8>)>,
    /// Whether a direct read was offered; the only part that does depend on the cut.
    pub direct: bool,
}

/// An output with little room, emptied only when the connection waits for it.
#[derive(Debug)]
pub struct Narrow {
    pub bytes: Vec<u8>,
    pub sent: Vec<u8>,
    pub capacity: usize,
}

impl Narrow {
    /// The least in which every control frame of a client finds room: a header of 14 bytes and 125 of payload.
    pub const LEAST: usize = 139;

    pub fn new(capacity: usize) -> Self {
        Self { bytes: Vec::new(), sent: Vec::new(), capacity }
    }

    pub fn drain(&mut self) {
        self.sent.append(&mut self.bytes);
    }
}

impl Sink for Narrow {
    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len())
    }

    fn push(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room(), "pushed {} bytes into {}", bytes.len(), self.room());
        self.bytes.extend_from_slice(bytes);
    }

    fn last_mut(&mut self, len: usize) -> &mut [u8] {
        let start = self.bytes.len() - len;
        &mut self.bytes[start..]
    }
}

/// Keys that differ from frame to frame and are the same in every run.
pub fn counting_keys() -> MaskKeys {
    let next = AtomicU32::new(0x0102_0304);
    MaskKeys::from_fn(move || Ok(next.fetch_add(0x1111_1111, Ordering::Relaxed).to_be_bytes()))
}

pub fn connection(role: Role, config: &Config) -> Connection {
    match role {
        Role::Server => Connection::server(config.clone(), NOW),
        Role::Client => Connection::client(config.clone(), counting_keys(), NOW),
    }
}

/// Gives `bytes` to a new connection in pieces of the sizes `cuts`, which repeat.
pub fn feed(role: Role, config: &Config, bytes: &[u8], cuts: &[usize], way: Way, room: usize) -> Told {
    let mut feeder = Feeder {
        connection: connection(role, config),
        out: Narrow::new(room),
        told: Told::default(),
        way,
        // Each byte ends an event at the most, each of these waits for room once, and each piece ends in nothing.
        calls_left: 3 * bytes.len() + 8,
    };
    let mut cuts = cuts.iter().copied().cycle();
    let mut at = 0;
    while at < bytes.len() && feeder.told.error.is_none() {
        let cut = cuts.next().unwrap_or(bytes.len()).min(bytes.len() - at);
        feeder.calls_left += 1;
        let direct = if way == Way::Direct { feeder.direct(&bytes[at..at + cut]) } else { 0 };
        at += direct;
        if direct == 0 {
            feeder.piece(&bytes[at..at + cut]);
            at += cut;
        }
    }
    feeder.finish()
}

struct Feeder {
    connection: Connection,
    out: Narrow,
    told: Told,
    way: Way,
    calls_left: usize,
}

impl Feeder {
    /// Calls that get on are no more than the bytes allow.
    fn call(&mut self) {
        self.calls_left = self.calls_left.checked_sub(1).expect("calls that do not get on");
    }

    fn piece(&mut self, original: &[u8]) {
        let mut bytes = original.to_vec();
        let result = match self.way {
            Way::Receive => self.receive(original, &mut bytes),
            Way::LocateAndLend | Way::Direct => self.locate(original, &mut bytes),
        };
        if let Err(error) = result {
            self.told.error = Some(error);
        }
    }

    fn receive(&mut self, original: &[u8], bytes: &mut [u8]) -> Result<(), Error> {
        let mut input = Input::new(bytes);
        loop {
            self.call();
            let event = self.connection.receive(NOW, &mut input, &mut self.out)?;
            assert_eq!(input.rest(), &original[input.consumed()..], "bytes behind the consumed ones changed");
            match event {
                Some(event) => {
                    self.told.note(event);
                    self.make_room();
                }
                None => {
                    assert!(input.is_empty(), "input left behind");
                    return Ok(());
                }
            }
        }
    }

    fn locate(&mut self, original: &[u8], bytes: &mut [u8]) -> Result<(), Error> {
        let mut at = 0;
        loop {
            self.call();
            let located = self.connection.locate(NOW, &mut bytes[at..], &mut self.out)?;
            let taken = &bytes[at..at + located.consumed];
            at += located.consumed;
            assert_eq!(bytes[at..], original[at..], "bytes behind the consumed ones changed");
            match located.found {
                Some(found) => {
                    let data = found.is_data();
                    let event = self.connection.lend(NOW, found, taken, &mut self.out)?;
                    assert_eq!(data, matches!(event, Event::Message(_) | Event::Chunk(_)));
                    self.told.note(event);
                    self.make_room();
                }
                None => {
                    assert_eq!(at, bytes.len(), "input left behind");
                    return Ok(());
                }
            }
        }
    }

    /// Lets an answer leave that waits, before another one takes its place.
    fn make_room(&mut self) {
        if self.connection.wants_write() {
            self.out.drain();
            self.connection.transmit(&mut self.out);
        }
    }

    /// Puts bytes into the place that the connection offers for them; says how many.
    fn direct(&mut self, bytes: &[u8]) -> usize {
        let Some(target) = self.connection.payload_target() else { return 0 };
        let len = target.len().min(bytes.len());
        assert_ne!(target.len(), 0, "an empty place was offered");
        target[..len].copy_from_slice(&bytes[..len]);
        self.told.direct = true;
        match self.connection.payload_read(NOW, len, &mut self.out) {
            Ok(Some(message)) => self.told.note(Event::Message(message)),
            Ok(None) => {}
            Err(error) => self.told.error = Some(error),
        }
        len
    }

    fn finish(mut self) -> Told {
        let Self { connection, out, told, .. } = &mut self;
        while connection.wants_write() {
            out.drain();
            connection.transmit(out);
        }
        // What is over stays over: the same answer, and nothing is sent.
        let sent = out.bytes.len();
        if told.error.is_some() || matches!(told.seen.last(), Some(Seen::Close(..))) {
            for _ in 0..2 {
                let mut more = *b"\x81\x85\x01\x02\x03\x04\x05\x06\x07\x08\x09";
                let mut input = Input::new(&mut more);
                match (connection.receive(NOW, &mut input, out), told.error) {
                    (Err(again), Some(error)) => assert_eq!(again, error, "another error than before"),
                    (Ok(None), None) => assert!(input.is_empty()),
                    (other, _) => panic!("after the end: {other:?}"),
                }
                assert!(connection.payload_target().is_none());
            }
        }
        assert_eq!(out.bytes.len(), sent, "something was sent after the end");
        told.state = Some(connection.state());
        told.action = Some(connection.transport_action());
        told.summary = connection.summary().map(|summary: Summary<'_>| format!("{summary:?}"));
        out.drain();
        told.sent = core::mem::take(&mut out.sent);
        self.told
    }
}

impl Told {
    pub fn note(&mut self, event: Event<'_>) {
        match event {
            Event::Message(Message::Text(text)) => self.seen.push(Seen::Text(text.as_bytes().to_vec())),
            Event::Message(Message::Binary(bytes)) => self.seen.push(Seen::Binary(bytes.to_vec())),
            Event::Chunk(chunk) => {
                assert_eq!(chunk.first, self.unfinished.is_none(), "a wrong mark for the first chunk");
                let (kind, mut joined) = self.unfinished.take().unwrap_or((chunk.kind, Vec::new()));
                assert_eq!(kind, chunk.kind);
                assert!(chunk.last || !chunk.payload.is_empty(), "an empty chunk that is not the last");
                joined.extend_from_slice(&chunk.payload);
                match (chunk.last, kind) {
                    (false, _) => self.unfinished = Some((kind, joined)),
                    (true, Kind::Text) => self.seen.push(Seen::Text(joined)),
                    (true, Kind::Binary) => self.seen.push(Seen::Binary(joined)),
                }
            }
            Event::Ping(payload) => self.seen.push(Seen::Ping(payload.to_vec())),
            Event::Pong(payload) => self.seen.push(Seen::Pong(payload.to_vec())),
            Event::Close(frame) => {
                self.seen.push(Seen::Close(frame.code.get(), frame.reason.as_bytes().to_vec()));
            }
            other => panic!("an event that nobody knows: {other:?}"),
        }
    }
}

/// The replies as the peer reads them; whatever is sent has to be valid and whole.
pub fn replies(role: Role, told: &Told) -> Vec<Reply> {
    let sent = judge(&Rules::lenient(role == Role::Client), &told.sent);
    assert_eq!(sent.fault, None, "the replies break a rule: {:02x?}", told.sent);
    assert_eq!(sent.whole, told.sent.len(), "half a frame, or one behind Close: {:02x?}", told.sent);
    let reply = |(fin, opcode, payload): (bool, u8, Vec<u8>)| match (fin, opcode, told.error) {
        (true, 10, _) => Reply::Pong(payload),
        (true, 8, None) => Reply::Close(payload),
        (true, 8, Some(error)) => {
            assert_eq!(String::from_utf8_lossy(&payload[2..]), error.to_string());
            Reply::Fail(u16::from_be_bytes([payload[0], payload[1]]))
        }
        other => panic!("no reply to anything: {other:?}"),
    };
    sent.frames.into_iter().map(reply).collect()
}

/// A failed text message may have been passed on in part; the parts may end at different bytes.
#[track_caller]
pub fn assert_same(mut whole: Told, mut cut: Told, context: &str) {
    if matches!(whole.error, Some(Error::InvalidUtf8(_))) {
        let shorter = |told: &mut Told| told.unfinished.take().map(|(_, bytes)| bytes).unwrap_or_default();
        let (a, b) = (shorter(&mut whole), shorter(&mut cut));
        assert!(a.starts_with(&b) || b.starts_with(&a), "{context}: parts of different messages");
    }
    cut.direct = whole.direct;
    assert!(whole == cut, "{context}\n whole: {whole:?}\n cut: {cut:?}");
}

/// Decodes the frames in `bytes`, given in pieces of the sizes `cuts`, and compares them with the oracle's.
pub fn decode(role: Role, bytes: &[u8], cuts: &[usize]) {
    let mut decoder = Decoder::new(role);
    let mut found = Frames::default();
    let mut payload = Vec::new();
    let mut cuts = cuts.iter().copied().cycle();
    let mut at = 0;
    'cuts: while at < bytes.len() {
        let end = (at + cuts.next().unwrap_or(1)).min(bytes.len());
        let mut part = bytes[at..end].to_vec();
        let mut taken = 0;
        while taken < part.len() {
            let piece = match decoder.decode(&mut part[taken..]) {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    found.fault = Some(fault_of(error.into()));
                    break 'cuts;
                }
            };
            payload.extend_from_slice(&part[taken..][piece.payload.clone()]);
            assert_eq!(decoder.remaining(), piece.header.len - payload.len() as u64);
            taken += piece.payload.end;
            assert_eq!(part[taken..], bytes[at + taken..end], "bytes behind the consumed ones changed");
            if piece.last {
                let payload = core::mem::take(&mut payload);
                found.frames.push((piece.header.fin, piece.header.opcode.bits(), payload));
                found.whole = at + taken;
            }
        }
        at = end;
    }
    assert_eq!(found, frames(role == Role::Server, bytes));
}

/// The oracle's name for an error of the crate.
pub fn fault_of(error: Error) -> Fault {
    use sansocket::{Limit, ProtocolError as P};
    match error {
        Error::InvalidUtf8(error) => Fault::InvalidUtf8(error.valid_up_to),
        Error::TooBig { limit } => Fault::TooBig(limit as u64),
        Error::Policy(Limit::Fragments) => Fault::Fragments,
        Error::Policy(Limit::EmptyFragments) => Fault::EmptyFragments,
        Error::Protocol(error) => match error {
            P::MaskMissing => Fault::MaskMissing,
            P::MaskUnexpected => Fault::MaskUnexpected,
            P::ReservedBits(bits) => Fault::ReservedBits(bits),
            P::ReservedOpcode(opcode) => Fault::ReservedOpcode(opcode),
            P::LengthNotMinimal => Fault::LengthNotMinimal,
            P::LengthOutOfRange => Fault::LengthOutOfRange,
            P::UnexpectedContinuation => Fault::UnexpectedContinuation,
            P::UnfinishedMessage => Fault::UnfinishedMessage,
            P::ControlTooLong => Fault::ControlTooLong,
            P::ControlFragmented => Fault::ControlFragmented,
            P::CloseBodyTooShort => Fault::CloseBodyTooShort,
            P::InvalidCloseCode(code) => Fault::InvalidCloseCode(code.get()),
            other => panic!("an error that the oracle does not know: {other}"),
        },
        other => panic!("no fault of the bytes: {other}"),
    }
}
