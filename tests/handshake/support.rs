//! Heads to send, an independent parser (httparse) for what comes back, and every way of cutting the input.

use core::time::Duration;

use sansocket::WebSocketUri;
use sansocket::handshake::{
    ClientHandshake, ClientRequest, ClientStep, HandshakeLimits, Opened, Refusal, RefusedRequest, Request,
    RequestError, ResponseError, ServerHandshake, ServerStep, accept_key,
};

pub(crate) const NOW: Duration = Duration::from_secs(1000);
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// A masked text frame "Hi", to be glued to a handshake.
pub(crate) const FRAME: &[u8] = b"\x81\x82\x01\x02\x03\x04\x49\x6b";

/// A head as lines that a test exchanges one by one.
#[derive(Clone)]
pub(crate) struct Lines(Vec<Vec<u8>>);

impl Lines {
    /// The request of RFC 6455 §1.2 without its optional headers.
    pub(crate) fn request() -> Self {
        Self::of(&[
            "GET /chat HTTP/1.1",
            "Host: server.example.com",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ])
    }

    pub(crate) fn of(lines: &[&str]) -> Self {
        Self(lines.iter().map(|line| line.as_bytes().to_vec()).collect())
    }

    pub(crate) fn first(mut self, line: impl AsRef<[u8]>) -> Self {
        self.0[0] = line.as_ref().to_vec();
        self
    }

    pub(crate) fn add(mut self, line: impl AsRef<[u8]>) -> Self {
        self.0.push(line.as_ref().to_vec());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        let start = format!("{}:", name.to_ascii_lowercase());
        let before = self.0.len();
        self.0.retain(|line| !line.to_ascii_lowercase().starts_with(start.as_bytes()));
        assert!(self.0.len() < before, "no line {name}");
        self
    }

    /// Exchanges the header of this name.
    pub(crate) fn set(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let line = [name.as_bytes(), b": ", value.as_ref()].concat();
        self.without(name).add(line)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.join(&b"\r\n"[..]);
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Served {
    Request(Request, Vec<u8>),
    Refused(RefusedRequest),
    NeedMore,
}

pub(crate) fn serve_pieces<'a>(
    limits: HandshakeLimits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Served {
    let mut pieces = pieces.into_iter();
    let mut handshake = ServerHandshake::new(limits, NOW);
    while let Some(piece) = pieces.next() {
        match handshake.receive(NOW, piece) {
            Ok(ServerStep::NeedMore(next)) => handshake = next,
            Ok(ServerStep::Request { request, consumed }) => {
                let rest = piece[consumed..].iter().chain(pieces.flatten()).copied().collect();
                return Served::Request(request, rest);
            }
            Err(refused) => return Served::Refused(refused),
        }
    }
    Served::NeedMore
}

/// Whole, byte by byte, in two pieces cut anywhere, and with a frame glued on: always the same outcome.
pub(crate) fn serve_limited(limits: HandshakeLimits, bytes: &[u8]) -> Served {
    let whole = serve_pieces(limits, [bytes]);
    assert_eq!(serve_pieces(limits, bytes.chunks(1)), whole, "byte by byte");
    for cut in 0..bytes.len().min(400) {
        let (left, right) = bytes.split_at(cut);
        assert_eq!(serve_pieces(limits, [left, right]), whole, "cut at {cut}");
    }
    let glued = [bytes, FRAME].concat();
    match (&whole, serve_pieces(limits, [&glued[..]])) {
        (Served::Request(request, rest), Served::Request(other, other_rest)) => {
            assert_eq!(request, &other);
            assert_eq!([rest, FRAME].concat(), other_rest, "frames glued to the request");
        }
        (Served::Refused(refused), other) => assert_eq!(Served::Refused(refused.clone()), other),
        (Served::NeedMore, _) => {}
        (whole, glued) => panic!("{whole:?}, but with a frame behind it {glued:?}"),
    }
    // What may stand before a request changes nothing, but that an unfinished head is parsed at other places.
    let behind = [b"\r\n", bytes].concat();
    match (&whole, serve_pieces(limits, [&behind[..]])) {
        (Served::Request(request, rest), Served::Request(other, other_rest)) => {
            assert_eq!((format!("{request:?}"), rest), (format!("{other:?}"), &other_rest));
            assert!(request.head().headers().eq(other.head().headers()), "behind an empty line");
        }
        (Served::Refused(refused), Served::Refused(other)) if !bytes.starts_with(b"\r") => {
            assert_eq!(refused.error().status(), other.error().status(), "behind an empty line");
        }
        // The empty line counts, and there is only one.
        (Served::NeedMore | Served::Request(..), Served::Refused(other))
            if other.error().status() == 431 || bytes.starts_with(b"\r") => {}
        (Served::Refused(_), _) if bytes.starts_with(b"\r") => {}
        (Served::NeedMore, Served::NeedMore) => {}
        (Served::NeedMore, Served::Refused(_)) | (Served::Refused(_), Served::NeedMore)
            if !bytes.windows(4).any(|four| four == b"\r\n\r\n") => {}
        (whole, other) => panic!("{whole:?}, but behind an empty line {other:?}"),
    }
    whole
}

pub(crate) fn serve(bytes: &[u8]) -> Served {
    serve_limited(HandshakeLimits::default(), bytes)
}

#[track_caller]
pub(crate) fn request(lines: &Lines) -> Request {
    match serve(&lines.bytes()) {
        Served::Request(request, rest) => {
            assert!(rest.is_empty());
            request
        }
        other => panic!("{}: {other:?}", lines.bytes().escape_ascii()),
    }
}

/// The request is refused with this status, in a response that stands up to an independent parser.
#[track_caller]
pub(crate) fn refused(bytes: &[u8], status: u16) -> (RequestError, ParsedResponse) {
    match serve(bytes) {
        Served::Refused(refused) => {
            let response = written(&refused);
            assert_eq!(response.status, status, "{}: {refused}", bytes.escape_ascii());
            assert_eq!(refused.error().status(), status);
            (refused.error().clone(), response)
        }
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

#[track_caller]
pub(crate) fn written(refused: &RefusedRequest) -> ParsedResponse {
    let mut out = Vec::new();
    refused.write_response(&mut out).unwrap();
    let response = ParsedResponse::parse(&out);
    response.check_refusal();
    response
}

/// A response as httparse reads it.
#[derive(Debug)]
pub(crate) struct ParsedResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl ParsedResponse {
    #[track_caller]
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let head = response.parse(bytes).expect("a valid response").unwrap();
        assert_eq!(response.version, Some(1));
        assert!(bytes[..head].is_ascii());
        for (at, byte) in bytes[..head].iter().enumerate() {
            assert!(*byte != b'\n' || bytes[at - 1] == b'\r', "a bare LF");
        }
        let headers = response
            .headers
            .iter()
            .map(|header| {
                (header.name.to_ascii_lowercase(), String::from_utf8(header.value.to_vec()).unwrap())
            })
            .collect();
        Self { status: response.code.unwrap(), headers, body: bytes[head..].to_vec() }
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
    }

    /// What every refusal is: closed, framed right, and nothing like a `101`.
    #[track_caller]
    pub(crate) fn check_refusal(&self) {
        assert_eq!(self.all("content-length"), [self.body.len().to_string()]);
        assert_eq!(self.all("transfer-encoding"), [""; 0]);
        let connection = self.all("connection");
        assert_eq!(connection.len(), 1);
        assert!(connection[0].split(", ").any(|option| option == "close"));
        assert_eq!(connection[0].contains("Upgrade"), !self.all("upgrade").is_empty());
        for name in ["accept", "protocol", "extensions", "key"] {
            assert!(self.all(&format!("sec-websocket-{name}")).is_empty());
        }
    }
}

pub(crate) fn client() -> ClientRequest {
    ClientRequest::new(WebSocketUri::parse("ws://server.example.com/chat").unwrap())
}

/// The nonce whose key is [`KEY`].
pub(crate) const NONCE: [u8; 16] = *b"the sample nonce";

pub(crate) fn start(request: &ClientRequest) -> ClientHandshake {
    let mut out = Vec::new();
    request.start(NONCE, NOW, &mut out).unwrap()
}

pub(crate) fn answer() -> Lines {
    assert_eq!(accept_key(KEY), ACCEPT);
    Lines::of(&[
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ])
}

#[derive(Debug, PartialEq)]
pub(crate) enum Connected {
    Open(Opened, Vec<u8>),
    Refused(Refusal),
    NeedMore,
    Error(ResponseError),
}

pub(crate) fn connect_pieces<'a>(
    request: &ClientRequest,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Connected {
    let mut pieces = pieces.into_iter();
    let mut handshake = start(request);
    while let Some(piece) = pieces.next() {
        match handshake.receive(NOW, piece) {
            Ok(ClientStep::NeedMore(next)) => handshake = next,
            Ok(ClientStep::Open { opened, consumed }) => {
                let rest = piece[consumed..].iter().chain(pieces.flatten()).copied().collect();
                return Connected::Open(opened, rest);
            }
            Ok(ClientStep::Refused(refusal)) => return Connected::Refused(refusal),
            Err(error) => return Connected::Error(error),
        }
    }
    Connected::NeedMore
}

/// Whole, byte by byte, and in two pieces cut anywhere: always the same outcome.
pub(crate) fn connect(request: &ClientRequest, bytes: &[u8]) -> Connected {
    let whole = connect_pieces(request, [bytes]);
    assert_eq!(connect_pieces(request, bytes.chunks(1)), whole, "byte by byte");
    for cut in 0..bytes.len().min(400) {
        let (left, right) = bytes.split_at(cut);
        assert_eq!(connect_pieces(request, [left, right]), whole, "cut at {cut}");
    }
    whole
}

#[track_caller]
pub(crate) fn opened(request: &ClientRequest, lines: &Lines) -> Opened {
    match connect(request, &lines.bytes()) {
        Connected::Open(opened, rest) => {
            assert!(rest.is_empty());
            // Between other valid data it is the same.
            let between = [INTERIM, &lines.bytes(), FRAME].concat();
            for pieces in [vec![&between[..]], between.chunks(1).collect()] {
                let again = connect_pieces(request, pieces);
                assert!(matches!(&again, Connected::Open(same, rest) if *same == opened && rest == FRAME));
            }
            opened
        }
        other => panic!("{}: {other:?}", lines.bytes().escape_ascii()),
    }
}

/// What may stand before the response.
const INTERIM: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";

#[track_caller]
pub(crate) fn failed(request: &ClientRequest, bytes: &[u8]) -> ResponseError {
    match connect(request, bytes) {
        Connected::Error(error) => {
            // What is behind the fault changes nothing.
            assert_eq!(
                connect_pieces(request, [&[bytes, FRAME].concat()[..]]),
                Connected::Error(error.clone())
            );
            // Nor what is valid before it.
            let behind = [INTERIM, bytes].concat();
            for pieces in [vec![&behind[..]], behind.chunks(1).collect()] {
                assert_eq!(
                    connect_pieces(request, pieces),
                    Connected::Error(error.clone()),
                    "behind another"
                );
            }
            error
        }
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}
