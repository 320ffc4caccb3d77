//! A connection with its output and everything it has reported.

use sansocket::{CloseCode, Config, Connection, Error, Event, Input, Kind, Message, Role};

use super::{NOW, connection, wire};

/// An event without borrows; chunks show as the messages that they make up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
}

impl Seen {
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    pub fn binary(bytes: &[u8]) -> Self {
        Self::Binary(bytes.into())
    }

    pub fn ping(payload: &[u8]) -> Self {
        Self::Ping(payload.into())
    }

    pub fn pong(payload: &[u8]) -> Self {
        Self::Pong(payload.into())
    }

    pub fn close(code: CloseCode, reason: &str) -> Self {
        Self::Close(code.get(), reason.into())
    }

    /// The frame that answers this event, by its first byte and payload.
    pub fn answer(&self) -> Option<(u8, Vec<u8>)> {
        match self {
            Self::Ping(payload) => Some((wire::FIN | wire::PONG, payload.clone())),
            Self::Close(1005, _) => Some((wire::FIN | wire::CLOSE, Vec::new())),
            Self::Close(code, _) => Some((wire::FIN | wire::CLOSE, code.to_be_bytes().to_vec())),
            _ => None,
        }
    }

    pub fn message(message: &Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::text(text),
            Message::Binary(bytes) => Self::binary(bytes),
        }
    }
}

#[derive(Debug)]
pub struct Session {
    pub connection: Connection,
    /// What waits to be written to the transport.
    pub out: Vec<u8>,
    pub seen: Vec<Seen>,
    /// The chunks so far of an unfinished message.
    pub unfinished: Option<(Kind, Vec<u8>)>,
}

impl Session {
    pub fn new(role: Role) -> Self {
        Self::with(role, Config::default())
    }

    pub fn with(role: Role, config: Config) -> Self {
        Self::of(connection(role, config))
    }

    pub fn of(connection: Connection) -> Self {
        Self { connection, out: Vec::new(), seen: Vec::new(), unfinished: None }
    }

    pub fn role(&self) -> Role {
        self.connection.role()
    }

    /// Gives `bytes` in one piece.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        while let Some(event) = self.connection.receive(NOW, &mut input, &mut self.out)? {
            note(event, &mut self.seen, &mut self.unfinished);
        }
        assert!(input.is_empty(), "with room in the output all input is taken");
        Ok(())
    }

    /// Gives `bytes` in pieces of `step`; on failure says how many had been given.
    pub fn feed_cut(&mut self, bytes: &[u8], step: usize) -> Result<(), (usize, Error)> {
        let mut given = 0;
        for piece in bytes.chunks(step) {
            given += piece.len();
            self.feed(piece).map_err(|error| (given, error))?;
        }
        Ok(())
    }

    /// The frames in the output, by first byte and payload.
    pub fn sent(&self) -> Vec<(u8, Vec<u8>)> {
        wire::plain(self.role(), &self.out)
    }

    /// As [`sent`](Self::sent), leaving the output empty.
    pub fn take_sent(&mut self) -> Vec<(u8, Vec<u8>)> {
        let sent = self.sent();
        self.out.clear();
        sent
    }
}

fn note(event: Event<'_>, seen: &mut Vec<Seen>, unfinished: &mut Option<(Kind, Vec<u8>)>) {
    seen.push(match event {
        Event::Message(message) => Seen::message(&message),
        Event::Chunk(chunk) => {
            assert_eq!(chunk.first, unfinished.is_none(), "the first mark is on the first chunk alone");
            let (kind, mut bytes) = unfinished.take().unwrap_or((chunk.kind, Vec::new()));
            assert_eq!(kind, chunk.kind);
            assert!(chunk.last || !chunk.payload.is_empty(), "an empty chunk only ends a message");
            bytes.extend_from_slice(&chunk.payload);
            if !chunk.last {
                *unfinished = Some((kind, bytes));
                return;
            }
            match kind {
                Kind::Text => Seen::Text(String::from_utf8(bytes).expect("text is UTF-8 in sum")),
                Kind::Binary => Seen::Binary(bytes),
            }
        }
        Event::Ping(payload) => Seen::ping(&payload),
        Event::Pong(payload) => Seen::pong(&payload),
        Event::Close(frame) => Seen::close(frame.code, &frame.reason),
        other => panic!("unknown event {other:?}"),
    });
}
