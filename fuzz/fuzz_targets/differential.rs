//! tungstenite and this crate see the same messages in the same bytes and refuse the same streams, but for what
//! [`Judgement::agrees`] lists; and each takes what the other one sends.
//! The first byte is the role and what the rest is: frames of a peer, or messages to send.

#![no_main]

#[path = "../../tests/support/cuts.rs"]
mod cuts;
#[path = "../../tests/support/oracle.rs"]
mod oracle;

use std::io::{self, Read, Write};

use cuts::{Told, Way, counting_keys, feed};
use libfuzzer_sys::fuzz_target;
use oracle::Seen;
use sansocket::{Config, Connection, Error, Message, ProtocolError, Role};
use tungstenite::protocol::{Role as TheirRole, WebSocket, WebSocketConfig};

const LIMIT: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((flags, bytes)) = data.split_first() else { return };
    let role = if flags & 1 == 0 { Role::Server } else { Role::Client };
    match flags & 6 {
        0 => ours_reads_theirs(role, bytes),
        2 => theirs_reads_ours(role, bytes),
        _ => Judgement::of(role, bytes).agrees(),
    }
});

fn config() -> Config {
    Config::new().max_message_size(LIMIT).max_fragments(u32::MAX).max_empty_fragments(u32::MAX)
}

/// What both make of the same bytes.
#[derive(Debug)]
struct Judgement {
    ours: Told,
    theirs: Vec<Seen>,
    /// Why it refused, if it did.
    refused: Option<String>,
}

impl Judgement {
    fn of(role: Role, bytes: &[u8]) -> Self {
        let ours = feed(role, &config(), bytes, &[bytes.len().max(1)], Way::Receive, usize::MAX);
        let mut peer = theirs(role, bytes);
        let (mut seen, mut refused) = (Vec::new(), None);
        loop {
            match peer.read() {
                Ok(message) => seen.push(from_theirs(message)),
                // All bytes are read.
                Err(tungstenite::Error::Io(_)) => break,
                Err(tungstenite::Error::ConnectionClosed) => break,
                Err(error) => {
                    refused = Some(error.to_string());
                    break;
                }
            }
            if matches!(seen.last(), Some(Seen::Close(..))) {
                break;
            }
        }
        Self { ours, theirs: seen, refused }
    }

    fn agrees(self) {
        let Self { ours, theirs, refused } = &self;
        match ours.error {
            // Both refuse, or both go on.
            Some(_) if refused.is_some() && ours.seen == *theirs => return,
            None if refused.is_none() && ours.seen == *theirs => return,
            // It takes lengths that are not in their shortest form (RFC 6455 §5.2), and goes on.
            Some(Error::Protocol(ProtocolError::LengthNotMinimal)) if theirs.starts_with(&ours.seen) => {
                return;
            }
            // Those of control frames too, where this crate calls each that needs more than 7 bits too long (§5.5).
            Some(Error::Protocol(ProtocolError::ControlTooLong))
                if theirs.starts_with(&ours.seen) && theirs.get(ours.seen.len()).is_some_and(is_control) =>
            {
                return;
            }
            // It shows another Close in the place of one with a code that may not be sent.
            Some(Error::Protocol(ProtocolError::InvalidCloseCode(_))) => {
                assert_eq!(theirs.split_last().map(|(_, before)| before), Some(&ours.seen[..]));
                assert_eq!(theirs.last(), Some(&Seen::Close(1002, b"Protocol violation".to_vec())));
                return;
            }
            // This crate judges each byte of a header and of text as soon as it is there, tungstenite a whole frame.
            Some(_) if refused.is_none() && ours.seen == *theirs => return,
            // It does not know 1014, which was registered with IANA after RFC 6455.
            None if matches!(ours.seen.last(), Some(Seen::Close(1014, _))) => {
                let before = ours.seen.len() - 1;
                assert_eq!(theirs[..before], ours.seen[..before]);
                assert_eq!(theirs[before..], [Seen::Close(1002, b"Protocol violation".to_vec())]);
                return;
            }
            _ => {}
        }
        panic!("{self:?}");
    }
}

fn is_control(seen: &Seen) -> bool {
    matches!(seen, Seen::Ping(_) | Seen::Pong(_) | Seen::Close(..))
}

/// What tungstenite writes is legal and complete for this crate, and comes as it was sent.
fn ours_reads_theirs(role: Role, bytes: &[u8]) {
    let peer_role = if role == Role::Server { Role::Client } else { Role::Server };
    let mut peer = theirs(peer_role, &[]);
    let messages = messages(bytes);
    for message in &messages {
        let message = match message {
            Seen::Text(text) => tungstenite::Message::text(String::from_utf8_lossy(text).into_owned()),
            Seen::Binary(bytes) => tungstenite::Message::binary(bytes.clone()),
            Seen::Ping(payload) => tungstenite::Message::Ping(payload.clone().into()),
            Seen::Pong(payload) => tungstenite::Message::Pong(payload.clone().into()),
            Seen::Close(..) => continue,
        };
        peer.send(message).expect("it can be sent");
    }
    let wire = core::mem::take(&mut peer.get_mut().written);
    let cut = (wire.len() / 256).max(bytes.first().map_or(1, |first| usize::from(*first) + 1));
    for way in cuts::WAYS {
        let told = feed(role, &config(), &wire, &[cut], way, usize::MAX);
        assert_eq!((told.error, &told.seen), (None, &messages));
    }
}

/// And the other way round.
fn theirs_reads_ours(role: Role, bytes: &[u8]) {
    let mut connection = match role {
        Role::Server => Connection::server(config(), cuts::NOW),
        Role::Client => Connection::client(config(), counting_keys(), cuts::NOW),
    };
    let messages = messages(bytes);
    let mut wire = Vec::new();
    for message in &messages {
        match message {
            Seen::Text(text) => connection.send(&*String::from_utf8_lossy(text), &mut wire),
            Seen::Binary(bytes) => connection.send(Message::from(bytes), &mut wire),
            Seen::Ping(payload) => connection.ping(payload, &mut wire),
            Seen::Pong(payload) => connection.pong(payload, &mut wire),
            Seen::Close(..) => Ok(()),
        }
        .expect("it can be sent");
    }
    let mut peer = theirs(if role == Role::Server { Role::Client } else { Role::Server }, &wire);
    for message in &messages {
        assert_eq!(&from_theirs(peer.read().expect("they take it")), message);
    }
    assert!(matches!(peer.read(), Err(tungstenite::Error::Io(_))), "all is read");
}

/// A kind, a length and what fills it, again and again.
fn messages(bytes: &[u8]) -> Vec<Seen> {
    let triples = bytes.chunks_exact(3).take(8);
    triples
        .map(|triple| {
            // Long ones, which are slow, are on both sides of 65,536.
            let short = usize::from(triple[1]);
            let long = if short < 250 { 4 * short } else { 65_283 + short };
            let fill = |len: usize| vec![triple[2]; len];
            match triple[0] % 6 {
                0 => Seen::Text("ä€𝄞x".repeat(short).into_bytes()),
                1 => Seen::Text("x".repeat(long).into_bytes()),
                2 => Seen::Binary(fill(short)),
                3 => Seen::Binary(fill(long)),
                4 => Seen::Ping(fill(short.min(125))),
                _ => Seen::Pong(fill(short.min(125))),
            }
        })
        .collect()
}

fn theirs(role: Role, bytes: &[u8]) -> WebSocket<Pipe> {
    let role = if role == Role::Server { TheirRole::Server } else { TheirRole::Client };
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(LIMIT))
        .max_frame_size(Some(LIMIT));
    WebSocket::from_raw_socket(
        Pipe { incoming: bytes.to_vec(), read: 0, written: Vec::new() },
        role,
        Some(config),
    )
}

fn from_theirs(message: tungstenite::Message) -> Seen {
    match message {
        tungstenite::Message::Text(text) => Seen::Text(text.as_bytes().to_vec()),
        tungstenite::Message::Binary(bytes) => Seen::Binary(bytes.to_vec()),
        tungstenite::Message::Ping(payload) => Seen::Ping(payload.to_vec()),
        tungstenite::Message::Pong(payload) => Seen::Pong(payload.to_vec()),
        tungstenite::Message::Close(None) => Seen::Close(1005, Vec::new()),
        tungstenite::Message::Close(Some(frame)) => {
            Seen::Close(frame.code.into(), frame.reason.as_bytes().to_vec())
        }
        tungstenite::Message::Frame(_) => unreachable!("it is never read"),
    }
}

/// All bytes are there at once, and nothing behind them.
#[derive(Debug)]
struct Pipe {
    incoming: Vec<u8>,
    read: usize,
    written: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let rest = &self.incoming[self.read..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = rest.len().min(place.len());
        place[..len].copy_from_slice(&rest[..len]);
        self.read += len;
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
