//! What each end has sent, and what of it may, must and must not arrive.

use std::sync::{Arc, Mutex, PoisonError};

use sansocket::{Event, Kind, Message};

/// The length of the name at the start of each part: its sender, number and length in hexadecimal digits.
const NAME: usize = 12;

/// A small generator, the same on every machine.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Another generator, for a part that must not depend on how the others take turns.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

/// What the sender knows of a part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// The call has not ended, or was dropped: it may arrive, whole or not at all.
    Open,
    Taken,
    Refused,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum What {
    /// A whole message or a fragment; `last` completes the message.
    Part { kind: Kind, len: usize, last: bool },
    /// Completes the message without a byte.
    End,
}

#[derive(Debug)]
struct Entry {
    what: What,
    fate: Fate,
    arrived: bool,
}

#[derive(Debug, Default)]
struct Sender {
    entries: Vec<Entry>,
    /// What lies before this one has arrived, or must not arrive any more.
    passed: usize,
}

#[derive(Debug, Default)]
struct State {
    senders: Vec<Sender>,
    finished: bool,
    messages: u64,
    operations: u64,
    /// What the end that sends is doing.
    stage: &'static str,
}

/// One direction of a connection.
#[derive(Clone, Debug, Default)]
pub struct Lane(Arc<Mutex<State>>);

/// A part that is being sent.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Ticket {
    sender: usize,
    at: usize,
}

impl Lane {
    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins to send a part of the length `len`, which is at least that of its name.
    pub fn begin(&self, sender: usize, kind: Kind, len: usize, last: bool) -> (Ticket, Message<'static>) {
        let len = len.max(NAME);
        let ticket = self.enter(sender, What::Part { kind, len, last });
        let bytes = part(sender, ticket.at, kind, len);
        let message = match kind {
            Kind::Text => Message::from(String::from_utf8(bytes).unwrap()),
            Kind::Binary => Message::from(bytes),
        };
        (ticket, message)
    }

    /// Begins to complete a message that has been sent in parts.
    pub fn begin_end(&self, sender: usize) -> Ticket {
        self.enter(sender, What::End)
    }

    fn enter(&self, sender: usize, what: What) -> Ticket {
        self.with(|state| {
            state.operations += 1;
            while state.senders.len() <= sender {
                state.senders.push(Sender::default());
            }
            let entries = &mut state.senders[sender].entries;
            assert!(entries.len() < 0xffff, "no end of it");
            entries.push(Entry { what, fate: Fate::Open, arrived: false });
            Ticket { sender, at: entries.len() - 1 }
        })
    }

    /// The call that sent it has ended.
    pub fn settle(&self, ticket: Ticket, fate: Fate) {
        self.with(|state| {
            let sender = &mut state.senders[ticket.sender];
            let entry = &mut sender.entries[ticket.at];
            entry.fate = fate;
            match fate {
                Fate::Taken => {
                    assert!(entry.arrived || sender.passed <= ticket.at, "lost: {ticket:?} {:?}", entry.what);
                }
                Fate::Refused => assert!(!entry.arrived, "refused and sent: {ticket:?} {:?}", entry.what),
                Fate::Open => {}
            }
        });
    }

    /// Whether it is a part behind which its message goes on.
    pub fn is_fragment(&self, ticket: Ticket) -> bool {
        self.with(|state| {
            let sender = &state.senders[ticket.sender];
            matches!(sender.entries[ticket.at].what, What::Part { last: false, .. })
        })
    }

    /// A message has arrived.
    pub fn arrive(&self, message: &Message<'_>) {
        self.arrive_as(message.kind(), message.as_bytes());
    }

    pub fn arrive_as(&self, kind: Kind, bytes: &[u8]) {
        // Nothing says whose an empty message is: a writer that wrote nothing sends one.
        self.with(|state| {
            state.messages += 1;
            let mut rest = bytes;
            let mut from = None;
            while !rest.is_empty() {
                let (sender, at, len) = named(rest);
                assert_eq!(*from.get_or_insert(sender), sender, "parts of two senders in one message");
                let whole = rest.len() >= len && rest[..len] == part(sender, at, kind, len);
                let before = bytes.len() - rest.len();
                assert!(
                    whole,
                    "altered: part {at} of sender {sender}, {kind:?}, {len} bytes behind {before} of {}",
                    bytes.len()
                );
                let is_end = rest.len() == len;
                let is_begin = rest.len() == bytes.len();
                state.senders[sender].arrive(at, kind, len, is_begin, is_end);
                rest = &rest[len..];
            }
        });
    }

    /// The end that sends will send nothing more.
    pub fn finish(&self) {
        self.with(|state| state.finished = true);
    }

    /// Counts an operation that sends no part.
    pub fn count(&self) {
        self.with(|state| state.operations += 1);
    }

    /// The end that sends begins something else, for reports of failures.
    pub fn stage(&self, stage: &'static str) {
        self.with(|state| state.stage = stage);
    }

    /// What a failure should say.
    pub fn report(&self) -> String {
        self.with(|state| {
            format!("{}, finished: {}, missing: {:?}", state.stage, state.finished, state.missing())
        })
    }

    /// How many operations and messages there were.
    pub fn figures(&self) -> (u64, u64) {
        self.with(|state| (state.operations, state.messages))
    }

    /// Whether nothing is sent any more.
    pub fn is_finished(&self) -> bool {
        self.with(|state| state.finished)
    }

    /// Whether nothing is sent any more and all that must arrive has arrived.
    pub fn is_done(&self) -> bool {
        self.with(|state| state.finished && state.missing().is_none())
    }

    /// What must arrive and has not.
    pub fn missing(&self) -> Option<String> {
        self.with(|state| state.missing())
    }
}

/// The receiving side of a lane, where messages may come in chunks.
#[derive(Debug)]
pub struct Gathered {
    lane: Lane,
    chunks: Option<(Kind, Vec<u8>)>,
}

impl Gathered {
    pub fn new(lane: Lane) -> Self {
        Self { lane, chunks: None }
    }

    /// Takes what came; whether that was the end.
    pub fn event(&mut self, event: Option<Event<'_>>) -> bool {
        match event {
            None => return true,
            Some(Event::Message(message)) => self.lane.arrive(&message),
            Some(Event::Chunk(chunk)) => {
                assert_eq!(chunk.first, self.chunks.is_none());
                let (kind, bytes) = self.chunks.get_or_insert((chunk.kind, Vec::new()));
                assert_eq!(*kind, chunk.kind);
                bytes.extend_from_slice(&chunk.payload);
                if chunk.last {
                    let (kind, bytes) = self.chunks.take().unwrap();
                    self.lane.arrive_as(kind, &bytes);
                }
            }
            Some(_) => {}
        }
        false
    }

    /// Takes what came; whether that was the end.
    pub fn message(&mut self, message: Option<Message<'_>>) -> bool {
        let Some(message) = message else { return true };
        self.lane.arrive(&message);
        false
    }
}

impl State {
    fn missing(&self) -> Option<String> {
        self.senders.iter().enumerate().find_map(|(number, sender)| {
            let missing = sender.missing()?;
            Some(format!("sender {number}, part {missing}: {:?}", sender.entries[missing]))
        })
    }
}

impl Sender {
    fn arrive(&mut self, at: usize, kind: Kind, len: usize, is_begin: bool, is_end: bool) {
        assert!(at >= self.passed, "doubled or out of order: {at}, {} had passed", self.passed);
        let what = self.entries[at].what;
        assert!(
            matches!(what, What::Part { kind: k, len: l, .. } if (k, l) == (kind, len)),
            "{what:?} is no such"
        );
        assert_ne!(self.entries[at].fate, Fate::Refused, "refused and sent: {what:?}");
        for skipped in &self.entries[self.passed..at] {
            let End(ends) = End::of(skipped);
            assert!(skipped.fate != Fate::Taken || (ends && is_begin), "lost before {at}: {skipped:?}");
        }
        self.entries[at].arrived = true;
        self.passed = at + 1;
        let What::Part { last, .. } = what else { return };
        assert!(is_end || !last, "a message goes on behind its last part");
        if is_end && !last {
            // Something without a byte has completed it.
            let rest = &self.entries[at + 1..];
            let end = rest.iter().position(|entry| entry.what == What::End && entry.fate != Fate::Refused);
            let end = at + 1 + end.expect("a message ends that nobody has completed");
            let skipped = self.entries[at + 1..end].iter().find(|entry| entry.fate == Fate::Taken);
            assert!(skipped.is_none(), "lost before the end of a message: {skipped:?}");
            self.entries[end].arrived = true;
            self.passed = end + 1;
        }
    }

    /// The first part that must arrive and has not: a message counts once it is complete.
    fn missing(&self) -> Option<usize> {
        let is_last = |entry: &Entry| End::of(entry).0 || matches!(entry.what, What::Part { last: true, .. });
        let complete = self.entries.iter().rposition(|entry| entry.fate == Fate::Taken && is_last(entry))?;
        self.entries[..=complete].iter().position(|entry| {
            entry.fate == Fate::Taken && !entry.arrived && matches!(entry.what, What::Part { .. })
        })
    }
}

/// Whether an entry completes a message without a byte.
struct End(bool);

impl End {
    fn of(entry: &Entry) -> Self {
        Self(entry.what == What::End)
    }
}

/// The bytes of a part, the same each time.
fn part(sender: usize, at: usize, kind: Kind, len: usize) -> Vec<u8> {
    let mut bytes = format!("{sender:02x}{at:04x}{len:06x}").into_bytes();
    let mut rng = Rng((sender as u64) << 48 | (at as u64) << 24 | len as u64);
    while bytes.len() < len {
        match (kind, len - bytes.len()) {
            (Kind::Text, 3..) => bytes.extend_from_slice(["€", "ßa", "abc", "eee"][rng.below(4)].as_bytes()),
            (Kind::Text, _) => bytes.push(b'x'),
            (Kind::Binary, left) => {
                let more = if rng.one_in(4) { [0; 8] } else { rng.next().to_le_bytes() };
                bytes.extend_from_slice(&more[..left.min(8)]);
            }
        }
    }
    bytes
}

fn named(bytes: &[u8]) -> (usize, usize, usize) {
    let name = bytes.get(..NAME).and_then(|name| core::str::from_utf8(name).ok()).expect("a part has a name");
    let number = |range: core::ops::Range<usize>| usize::from_str_radix(&name[range], 16).expect("a name");
    (number(0..2), number(2..6), number(6..12))
}
