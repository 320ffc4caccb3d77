//! What the fail loops of both adapters share: who talks how, what the peer says, and a strict reader of what was sent
//! that shares no code with the crate.
#![allow(dead_code, unreachable_pub, reason = "each user needs its own part")]

#[path = "../support/inflate.rs"]
mod inflate;
#[path = "../support/oracle.rs"]
mod oracle;

use core::time::Duration;

use sansocket::handshake::{Acceptance, HandshakeLimits, ServerHandshake, ServerStep};
use sansocket::{CloseCode, Config, Connection, Event, Fin, Message, Role};

pub use oracle::Seen;

use crate::support::{keys, pattern, text};

const NOW: Duration = Duration::ZERO;

/// Whether messages are compressed, and whether each of them alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coding {
    Plain,
    Alone,
    Takeover,
}

#[cfg(feature = "deflate")]
const CODINGS: &[Coding] = &[Coding::Plain, Coding::Alone, Coding::Takeover];
#[cfg(not(feature = "deflate"))]
const CODINGS: &[Coding] = &[Coding::Plain];

/// One end of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    pub role: Role,
    pub coding: Coding,
}

impl Talk {
    pub fn all() -> impl Iterator<Item = Self> {
        let both = |coding: &Coding| [Role::Client, Role::Server].map(|role| Self { role, coding: *coding });
        CODINGS.iter().flat_map(both)
    }

    /// The end under test.
    pub fn connection(self, config: Config) -> Connection {
        self.end(self.role, config)
    }

    /// The other end.
    pub fn peer(self) -> Connection {
        let role = if self.role == Role::Server { Role::Client } else { Role::Server };
        self.end(role, Config::new())
    }

    fn end(self, role: Role, config: Config) -> Connection {
        let config = self.coding.config(config);
        let connection = match role {
            Role::Client => Connection::client(config, keys(), NOW),
            Role::Server => Connection::server(config, NOW),
        };
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(self.coding.agree(role));
        connection
    }

    /// What the peer says in a whole conversation: of everything something, and at the end a Close.
    pub fn script(self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut peer = self.peer();
        peer.send("hello", &mut out).unwrap();
        peer.send(pattern(90_000), &mut out).unwrap();
        peer.ping(b"alive?", &mut out).unwrap();
        peer.send_fragment("gr", Fin::More, &mut out).unwrap();
        peer.ping(b"in between", &mut out).unwrap();
        peer.send_fragment("üße", Fin::Final, &mut out).unwrap();
        peer.send(text(3000), &mut out).unwrap();
        peer.send_fragment(pattern(5000), Fin::More, &mut out).unwrap();
        peer.send_fragment(pattern(300), Fin::Final, &mut out).unwrap();
        peer.send(b"", &mut out).unwrap();
        peer.close(NOW, CloseCode::new(3456), "bye", &mut out).unwrap();
        out
    }

    /// The messages of [`script`](Self::script).
    pub fn said() -> Vec<Message<'static>> {
        vec![
            "hello".into(),
            pattern(90_000).into(),
            "grüße".into(),
            text(3000).into(),
            [pattern(5000), pattern(300)].concat().into(),
            b"".into(),
        ]
    }

    /// Whether both say the same to the peer, but for pongs that a newer one replaced while they found no room.
    pub fn says_the_same(self, sent: &[u8], reference: &[u8]) -> bool {
        if sent == reference {
            return true;
        }
        let split = |bytes| -> (Vec<Seen>, Vec<Seen>) {
            self.heard(bytes).into_iter().partition(|seen| matches!(seen, Seen::Pong(_)))
        };
        let ((pongs, others), (all_pongs, all_others)) = (split(sent), split(reference));
        let mut left = all_pongs.iter();
        let are_in_order = pongs.iter().all(|pong| left.any(|other| other == pong));
        others == all_others && are_in_order && pongs.last() == all_pongs.last()
    }

    /// What the peer of this end finds in `sent`. Panics unless all of it is whole and legal.
    pub fn heard(self, sent: &[u8]) -> Vec<Seen> {
        strict(self.role == Role::Client, self.coding, sent)
    }
}

impl Coding {
    pub fn config(self, config: Config) -> Config {
        #[cfg(feature = "deflate")]
        if let Some(deflate) = self.deflate() {
            return config.deflate(deflate);
        }
        config
    }

    #[cfg(feature = "deflate")]
    fn deflate(self) -> Option<sansocket::deflate::Deflate> {
        use sansocket::deflate::Deflate;
        match self {
            Self::Plain => None,
            Self::Alone => Some(Deflate::shared().threshold(0)),
            Self::Takeover => Some(Deflate::dedicated().threshold(0)),
        }
    }

    /// What the end of this role is told after a handshake between two such ends.
    #[cfg(feature = "deflate")]
    fn agree(self, role: Role) -> Option<sansocket::deflate::Agreed> {
        use sansocket::WebSocketUri;
        use sansocket::handshake::{ClientRequest, ClientStep};
        let config = Config::new().deflate(self.deflate()?);
        let (mut request, mut response) = (Vec::new(), Vec::new());
        let uri = WebSocketUri::parse("ws://localhost/").unwrap();
        let client = ClientRequest::new(uri).with_config(&config).start([3; 16], NOW, &mut request).unwrap();
        let step = ServerHandshake::new(HandshakeLimits::default(), NOW).receive(NOW, &request);
        let Ok(ServerStep::Request { request, .. }) = step else { panic!("{step:?}") };
        let acceptance = Acceptance::new().with_config(&config);
        let accepted = request.accept(&acceptance, &mut response).unwrap();
        let step = client.receive(NOW, &response);
        let Ok(ClientStep::Open { opened, .. }) = step else { panic!("{step:?}") };
        let agreed = match role {
            Role::Client => opened.negotiated().deflate,
            Role::Server => accepted.negotiated().deflate,
        };
        assert!(agreed.is_some());
        agreed
    }
}

pub fn messages(events: &[Event<'static>]) -> Vec<Message<'static>> {
    let data = events.iter().filter_map(|event| match event {
        Event::Message(message) => Some(message.clone()),
        _ => None,
    });
    data.collect()
}

pub fn seen(message: &Message<'_>) -> Seen {
    match message {
        Message::Text(text) => Seen::Text(text.as_bytes().to_vec()),
        Message::Binary(bytes) => Seen::Binary(bytes.to_vec()),
    }
}

/// Cuts `bytes` into frames by the oracle, which knows no extension: the bit of compression is taken off before.
fn strict(from_client: bool, coding: Coding, bytes: &[u8]) -> Vec<Seen> {
    let (plain, compressed) = without_rsv1(bytes);
    let found = oracle::frames(from_client, &plain);
    assert_eq!((found.fault, found.whole), (None, bytes.len()), "illegal, or not whole");
    assert_eq!(found.frames.len(), compressed.len());
    let mut inflater = inflate::Oracle::default();
    let mut message: Option<(u8, bool, Vec<u8>)> = None;
    let mut seen = Vec::new();
    for ((fin, opcode, payload), compressed) in found.frames.into_iter().zip(compressed) {
        assert!(!seen.iter().any(|seen| matches!(seen, Seen::Close(..))), "something behind Close");
        assert!(!compressed || (coding != Coding::Plain && (opcode == 1 || opcode == 2)), "RSV1");
        match opcode {
            8 => seen.push(close(&payload)),
            9 => seen.push(Seen::Ping(payload)),
            10 => seen.push(Seen::Pong(payload)),
            _ => {
                let (_, _, whole) = message.get_or_insert((opcode, compressed, Vec::new()));
                whole.extend(payload);
            }
        }
        if let (true, 0..=2) = (fin, opcode) {
            let (opcode, compressed, mut whole) = message.take().expect("a message");
            if compressed {
                whole = inflater.message(&whole).expect("DEFLATE");
                if coding == Coding::Alone {
                    inflater = inflate::Oracle::default();
                }
            }
            assert!(opcode == 2 || oracle::utf8(&whole) == oracle::Utf8::Valid, "not UTF-8");
            seen.push(if opcode == 1 { Seen::Text(whole) } else { Seen::Binary(whole) });
        }
    }
    assert!(message.is_none(), "half a message");
    seen
}

fn close(body: &[u8]) -> Seen {
    match body {
        [] => Seen::Close(1005, Vec::new()),
        [high, low, reason @ ..] => {
            assert_eq!(oracle::utf8(reason), oracle::Utf8::Valid);
            Seen::Close(u16::from_be_bytes([*high, *low]), reason.to_vec())
        }
        [_] => panic!("half a code"),
    }
}

/// The same frames with RSV1 not set, and for each whether it was.
fn without_rsv1(bytes: &[u8]) -> (Vec<u8>, Vec<bool>) {
    let (mut plain, mut compressed, mut at) = (bytes.to_vec(), Vec::new(), 0);
    while at + 1 < bytes.len() {
        compressed.push(bytes[at] & 0x40 != 0);
        plain[at] &= !0x40;
        let digits = match bytes[at + 1] & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let len = match digits {
            0 => usize::from(bytes[at + 1] & 0x7F),
            _ => bytes[at + 2..at + 2 + digits].iter().fold(0, |len, digit| len << 8 | usize::from(*digit)),
        };
        at += 2 + digits + if bytes[at + 1] & 0x80 == 0 { 0 } else { 4 } + len;
    }
    assert_eq!(at, bytes.len(), "half a frame");
    (plain, compressed)
}

const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// What a short-spoken peer says behind the handshake.
fn few_words(peer: &mut Connection) -> Vec<u8> {
    let mut out = Vec::new();
    peer.ping(b"?", &mut out).unwrap();
    peer.send("hi", &mut out).unwrap();
    peer.close(NOW, CloseCode::NORMAL, "", &mut out).unwrap();
    out
}

/// A whole client: its request and, glued to it, all that it has to say.
pub fn request_and_talk() -> Vec<u8> {
    let mut client = Connection::client(Config::new(), keys(), NOW);
    [REQUEST, &few_words(&mut client)].concat()
}

/// A whole server, once the request is there.
pub fn answer_and_talk(request: &[u8]) -> Option<Vec<u8>> {
    let step = ServerHandshake::new(HandshakeLimits::default(), NOW).receive(NOW, request);
    match step {
        Ok(ServerStep::Request { request, .. }) => {
            let mut out = Vec::new();
            request.accept(&Acceptance::new(), &mut out).unwrap();
            out.extend(few_words(&mut Connection::server(Config::new(), NOW)));
            Some(out)
        }
        Ok(ServerStep::NeedMore(_)) => None,
        other => panic!("{other:?}"),
    }
}

/// What stands behind the only request in `sent`, which another parser finds valid.
pub fn accepted_request(sent: &[u8]) -> &[u8] {
    let mut headers = [httparse::EMPTY_HEADER; 20];
    let mut request = httparse::Request::new(&mut headers);
    let len = request.parse(sent).unwrap().unwrap();
    assert_eq!((request.method, request.path), (Some("GET"), Some("/chat")));
    &sent[len..]
}

/// What stands behind the only response in `sent`, which another parser finds valid; its accept value is the RFC's.
pub fn strict_response(sent: &[u8]) -> &[u8] {
    let mut headers = [httparse::EMPTY_HEADER; 20];
    let mut response = httparse::Response::new(&mut headers);
    let len = response.parse(sent).unwrap().unwrap();
    assert_eq!(response.code, Some(101));
    let accept =
        response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-accept"));
    assert_eq!(accept.unwrap().value, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    &sent[len..]
}
