//! A response other than `101`, with its body (RFC 9112 §6, §7).

use alloc::vec::Vec;
use core::fmt;
use core::str;

use super::fields::list_elements;
use super::offer::is_version;
use super::opened::ResponseHead;
use crate::redacted::Redacted;

/// The server's answer when it did not open a connection: status, headers, and what came of the body.
///
/// Nothing here follows redirects: see [`location`](Self::location). The connectors of the adapters can.
#[derive(Clone, Eq, PartialEq)]
pub struct Refusal {
    head: ResponseHead,
    body: Vec<u8>,
    complete: bool,
}

impl Refusal {
    pub(crate) fn new(head: ResponseHead, body: Body) -> Self {
        Self { head, complete: body.framing == Framing::Done, body: body.bytes }
    }

    /// A refusal whose body another library received.
    #[cfg(all(feature = "hyper", feature = "rand"))]
    pub(crate) const fn with_body(head: ResponseHead, body: Vec<u8>, complete: bool) -> Self {
        Self { head, body, complete }
    }

    /// Status, reason and headers.
    #[must_use]
    pub const fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// The body without its chunks, up to
    /// [`max_refusal_body_bytes`](super::HandshakeLimits::max_refusal_body_bytes). Another transfer coding, such as
    /// gzip, is not undone.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether the whole body was received, rather than cut by the limit, the deadline or the end of the
    /// stream.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// The value of `Location`, where a redirect points to.
    ///
    /// Who follows it bounds the number of hops and sends no credentials to another origin.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.head.header("location").and_then(|value| str::from_utf8(value).ok())
    }

    /// The protocol versions that the server speaks, if it named them (RFC 6455 §4.4).
    pub fn supported_versions(&self) -> impl Iterator<Item = u8> {
        self.head
            .header_values("sec-websocket-version")
            .flat_map(list_elements)
            .filter(|version| is_version(version))
            .filter_map(|version| str::from_utf8(version).ok()?.parse().ok())
    }
}

/// The body of a refusal as it arrives.
pub(crate) struct Body {
    bytes: Vec<u8>,
    limit: usize,
    framing: Framing,
    /// How many bytes of chunk extensions there were.
    extensions: u16,
}

/// So many bytes of chunk extensions are passed over, in all; nobody needs any.
const MAX_EXTENSIONS: u16 = 4096;

/// Where the body ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Framing {
    UntilEof,
    /// So many bytes are to come.
    Length(u64),
    Chunked(Chunk),
    /// Its end was seen.
    Done,
    /// It was broken, or longer than the limit.
    Cut,
}

/// ```text
///  1a ;name=value CR    LF           ...26 bytes...  CR       LF           0 CR LF
///  Size  Extension      SizeLineEnd  Data            DataEnd  DataLineEnd
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Chunk {
    /// The size so far, and how many digits it has.
    Size(u64, u8),
    /// The rest of the line after the digits.
    Extension(u64),
    /// Only LF may come.
    SizeLineEnd(u64),
    Data(u64),
    DataEnd,
    DataLineEnd,
}

impl Body {
    pub(crate) fn of(head: &ResponseHead, limit: usize) -> Self {
        let framing = match head.status() {
            204 | 304 => Framing::Done,
            _ => Framing::of(head),
        };
        Self { bytes: Vec::new(), limit, framing, extensions: 0 }
    }

    pub(crate) fn read(&mut self, mut input: &[u8]) {
        while let Some(&byte) = input.first() {
            let taken = match self.framing {
                Framing::Done | Framing::Cut => return,
                Framing::UntilEof => self.keep(input, u64::MAX),
                Framing::Length(left) => {
                    let taken = self.keep(input, left);
                    self.go_on(Framing::after_length(left - taken as u64));
                    taken
                }
                Framing::Chunked(Chunk::Data(left)) => {
                    let taken = self.keep(input, left);
                    self.go_on(match left - taken as u64 {
                        0 => Framing::Chunked(Chunk::DataEnd),
                        left => Framing::Chunked(Chunk::Data(left)),
                    });
                    taken
                }
                Framing::Chunked(chunk) => {
                    self.framing = chunk.step(byte);
                    self.extensions += u16::from(matches!(chunk, Chunk::Extension(_)));
                    if self.extensions > MAX_EXTENSIONS {
                        self.framing = Framing::Cut;
                    }
                    1
                }
            };
            input = &input[taken..];
        }
    }

    /// Whether nothing more is to be read.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.framing, Framing::Done | Framing::Cut)
    }

    /// The stream ended.
    pub(crate) fn end(&mut self) {
        if self.framing == Framing::UntilEof {
            self.framing = Framing::Done;
        }
    }

    /// Keeps at most `most` bytes of the input, and no more than the limit in all.
    fn keep(&mut self, input: &[u8], most: u64) -> usize {
        let len = usize::try_from(most).map_or(input.len(), |most| most.min(input.len()));
        let room = self.limit - self.bytes.len();
        self.bytes.extend_from_slice(&input[..len.min(room)]);
        if len > room {
            self.framing = Framing::Cut;
        }
        len
    }

    /// Goes on unless the limit was reached meanwhile.
    fn go_on(&mut self, next: Framing) {
        if self.framing != Framing::Cut {
            self.framing = next;
        }
    }
}

impl Framing {
    fn of(head: &ResponseHead) -> Self {
        let codings = head.header_values("transfer-encoding").flat_map(list_elements);
        let mut lengths = head.header_values("content-length").flat_map(list_elements);
        let first = lengths.next();
        match (codings.last(), first) {
            (Some(coding), _) if coding.eq_ignore_ascii_case(b"chunked") => Self::Chunked(Chunk::Size(0, 0)),
            // RFC 9112 §6.3: with another final coding than chunked the body ends with the stream.
            (Some(_), _) => Self::UntilEof,
            (None, None) if head.header("content-length").is_none() => Self::UntilEof,
            (None, Some(digits))
                if digits.iter().all(u8::is_ascii_digit) && lengths.all(|other| other == digits) =>
            {
                // More than can be counted is more than will come.
                let length = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                Self::after_length(length.unwrap_or(u64::MAX))
            }
            // RFC 9112 §6.3: the user agent "MUST close the connection to the server and discard the received response":
            // nobody knows where the body ends. The head is still shown.
            (None, _) => Self::Cut,
        }
    }

    const fn after_length(left: u64) -> Self {
        if left == 0 { Self::Done } else { Self::Length(left) }
    }
}

impl Chunk {
    fn step(self, byte: u8) -> Framing {
        Framing::Chunked(match (self, byte) {
            // 15 digits cannot overflow.
            (Self::Size(size, digits @ ..15), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                Self::Size(size * 16 + u64::from(digit), digits + 1)
            }
            (Self::Size(size, 1..), b';' | b' ' | b'\t') => Self::Extension(size),
            (Self::Size(size, 1..) | Self::Extension(size), b'\r') => Self::SizeLineEnd(size),
            (Self::Extension(_), b'\n') => return Framing::Cut,
            (Self::Extension(size), _) => Self::Extension(size),
            (Self::SizeLineEnd(0), b'\n') => return Framing::Done,
            (Self::SizeLineEnd(size), b'\n') => Self::Data(size),
            (Self::DataEnd, b'\r') => Self::DataLineEnd,
            (Self::DataLineEnd, b'\n') => Self::Size(0, 0),
            _ => return Framing::Cut,
        })
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("head", &self.head)
            .field("body", &Redacted::of(&self.body))
            .field("complete", &self.complete)
            .finish()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("bytes", &Redacted::of(&self.bytes))
            .field("limit", &self.limit)
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}
