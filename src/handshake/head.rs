//! The head of an HTTP/1.1 message, byte by byte (RFC 9112 §2 to §5).
//!
//! ```text
//!  GET /chat HTTP/1.1 CR LF      first line     Method · Target · Version       (a request)
//!  HTTP/1.1 101 Ok    CR LF                     StatusLine · Reason             (a response)
//!  Host: example.com  CR LF      header lines   LineStart · Name · Value
//!  CR LF                         blank line     End
//! ```
//!
//! Each byte is looked at once, whatever pieces it came in, and the first one that cannot belong to a head is
//! the error: whole or in pieces, the same head gets the same verdict. What RFC 9112 lets a recipient
//! tolerate (a bare LF as line end, folded lines) is refused, since that is what lets two readers see two
//! different messages.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use core::str;

use super::fields::{is_blank, is_same, trim_blanks};
use super::limits::HandshakeLimits;
use super::octets::{is_target_byte, is_token_byte, is_value_byte, target_len, token_len, value_len};

/// A head that arrives.
#[derive(Clone)]
pub(crate) struct HeadReader {
    bytes: Vec<u8>,
    /// Where the first line begins: behind an empty line that was skipped.
    start: usize,
    /// Where its first two parts end: method and target, or status and reason.
    marks: [usize; 2],
    lines: Vec<Line>,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Before a request one empty line is skipped.
    RequestStart,
    EmptyLineEnd,
    MethodStart,
    Method,
    Target,
    /// So many bytes of `HTTP/d.d` were seen.
    Version(usize),
    /// So many bytes of `HTTP/1.d ddd` were seen.
    StatusLine(usize),
    Reason,
    /// The LF that ends the first line or a header line.
    LineEnd,
    LineStart,
    Name,
    Value,
    /// The LF that ends the blank line.
    End,
    Complete,
}

/// Offsets of `name: value`, before blanks are trimmed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Line {
    start: usize,
    colon: usize,
    end: usize,
}

/// No registered method is half as long.
const METHOD_BYTES: usize = 40;
/// Room for the header lines of a browser.
const USUAL_LINES: usize = 16;

impl HeadReader {
    pub(crate) const fn request() -> Self {
        Self::new(State::RequestStart)
    }

    pub(crate) const fn response() -> Self {
        Self::new(State::StatusLine(0))
    }

    const fn new(state: State) -> Self {
        Self { bytes: Vec::new(), start: 0, marks: [0; 2], lines: Vec::new(), state }
    }

    /// Whether no byte has arrived yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes the bytes that belong to the head and returns how many they were; all of them unless the head is
    /// [complete](Self::is_complete) now.
    pub(crate) fn read(&mut self, input: &[u8], limits: &HandshakeLimits) -> Result<usize, HeadError> {
        let offset = self.bytes.len();
        let within = input.len().min(limits.max_head_bytes.saturating_sub(offset));
        let mut consumed = 0;
        while consumed < input.len() && !self.is_complete() {
            let (rest, at) = (&input[consumed..within], offset + consumed);
            let Some(&byte) = rest.first() else {
                return Err(HeadError::TooLong { limit: limits.max_head_bytes });
            };
            let passed = self.pass(rest, at, limits);
            if passed > 0 {
                consumed += passed;
                continue;
            }
            self.state = match self.state {
                State::LineStart | State::Name | State::Value | State::End => {
                    self.header_step(byte, at, limits)?
                }
                _ => self.first_line_step(byte, at, limits)?,
            };
            consumed += 1;
        }
        self.bytes.extend_from_slice(&input[..consumed]);
        Ok(consumed)
    }

    /// Passes over what is usual in one go, and over nothing else: the steps judge each byte that it stops at.
    fn pass(&mut self, rest: &[u8], at: usize, limits: &HandshakeLimits) -> usize {
        match self.state {
            State::LineStart => self.pass_line(rest, at, limits),
            State::Name => token_len(rest),
            State::Value => value_len(rest),
            State::Target if at > self.marks[0] + 1 => {
                let most = (limits.max_target_bytes + 1).saturating_sub(at - self.marks[0]);
                target_len(&rest[..rest.len().min(most)])
            }
            State::Version(0) if rest.starts_with(b"HTTP/1.1\r\n") => {
                self.state = State::LineStart;
                10
            }
            _ => 0,
        }
    }

    /// A header line that is there to its end.
    fn pass_line(&mut self, rest: &[u8], at: usize, limits: &HandshakeLimits) -> usize {
        let colon = token_len(rest);
        if colon == 0 || rest.get(colon) != Some(&b':') || self.lines.len() >= limits.max_headers {
            return 0;
        }
        let end = colon + 1 + value_len(&rest[colon + 1..]);
        if !rest[end..].starts_with(b"\r\n") {
            return 0;
        }
        self.push(Line { start: at, colon: at + colon, end: at + end });
        end + 2
    }

    /// Whether the blank line was there.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// The complete head.
    pub(crate) fn finish(self) -> Head {
        debug_assert!(self.is_complete(), "only a complete head is finished");
        Head { bytes: self.bytes, start: self.start, marks: self.marks, lines: self.lines }
    }

    fn first_line_step(&mut self, byte: u8, at: usize, limits: &HandshakeLimits) -> Result<State, HeadError> {
        let invalid = |part| Err(HeadError::Byte { byte, at, part });
        Ok(match (self.state, byte) {
            (State::RequestStart, b'\r') => State::EmptyLineEnd,
            (State::EmptyLineEnd, b'\n') => State::MethodStart,
            (State::RequestStart | State::MethodStart, _) if is_token_byte(byte) => {
                self.start = at;
                State::Method
            }
            (State::Method, b' ') => self.mark(0, at, State::Target),
            (State::Method, _) if is_token_byte(byte) && at - self.start < METHOD_BYTES => State::Method,
            (State::RequestStart | State::MethodStart | State::Method, _) => {
                return invalid(HeadPart::Method);
            }
            (State::Target, b' ') if at > self.marks[0] + 1 => self.mark(1, at, State::Version(0)),
            (State::Target, _) if !self.is_target_byte(byte, at) => return invalid(HeadPart::Target),
            (State::Target, _) if at - self.marks[0] > limits.max_target_bytes => {
                return Err(HeadError::TargetTooLong { limit: limits.max_target_bytes });
            }
            (State::Target, _) => State::Target,
            (State::Version(8), b'\r') => State::LineEnd,
            (State::Version(seen), _) if matches_pattern(b"HTTP/0.0", seen, byte) => State::Version(seen + 1),
            (State::Version(_), _) => return invalid(HeadPart::Version),
            (State::StatusLine(12), b' ') => self.mark(0, at, State::Reason),
            (State::StatusLine(12), b'\r') => {
                self.marks = [at; 2];
                State::LineEnd
            }
            (State::StatusLine(9), b'0') => return invalid(HeadPart::StatusLine),
            (State::StatusLine(seen), _) if matches_pattern(b"HTTP/1.0 000", seen, byte) => {
                State::StatusLine(seen + 1)
            }
            (State::StatusLine(_), _) => return invalid(HeadPart::StatusLine),
            (State::Reason, b'\r') => self.mark(1, at, State::LineEnd),
            (State::Reason, b'\n') => return invalid(HeadPart::BareLf),
            (State::Reason, _) if is_value_byte(byte) => State::Reason,
            (State::Reason, _) => return invalid(HeadPart::StatusLine),
            (State::LineEnd, b'\n') => State::LineStart,
            (State::EmptyLineEnd | State::LineEnd, _) => return invalid(HeadPart::BareCr),
            (state, _) => state,
        })
    }

    fn header_step(&mut self, byte: u8, at: usize, limits: &HandshakeLimits) -> Result<State, HeadError> {
        let invalid = |part| Err(HeadError::Byte { byte, at, part });
        Ok(match (self.state, byte) {
            (State::LineStart, b'\r') => State::End,
            (State::End, b'\n') => State::Complete,
            (State::End, _) => return invalid(HeadPart::BareCr),
            // RFC 9112 §5.2: "A server that receives an obs-fold in a request message that is not within a
            // "message/http" container MUST either reject the message by sending a 400 (Bad Request) ..., or
            // replace".
            (State::LineStart, b' ' | b'\t') => return invalid(HeadPart::FoldedLine),
            (State::LineStart, _) if is_token_byte(byte) => {
                if self.lines.len() >= limits.max_headers {
                    return Err(HeadError::TooManyHeaders { limit: limits.max_headers });
                }
                self.push(Line { start: at, colon: at, end: at });
                State::Name
            }
            (State::Name, b':') => {
                self.line().colon = at;
                State::Value
            }
            (_, b'\n') => return invalid(HeadPart::BareLf),
            // RFC 9112 §5.1: "A server MUST reject, with a response status code of 400 (Bad Request), any
            // received request message that contains whitespace between a header field name and colon."
            (State::LineStart | State::Name, _) => return invalid(HeadPart::HeaderName),
            (_, b'\r') => {
                self.line().end = at;
                State::LineEnd
            }
            // What a value can hold was passed over.
            _ => return invalid(HeadPart::HeaderValue),
        })
    }

    fn push(&mut self, line: Line) {
        if self.lines.is_empty() {
            // Growing costs more than the room.
            self.lines.reserve(USUAL_LINES);
        }
        self.lines.push(line);
    }

    fn mark(&mut self, index: usize, at: usize, next: State) -> State {
        self.marks[index] = at;
        next
    }

    fn line(&mut self) -> &mut Line {
        self.lines.last_mut().expect("a line was pushed when its name began")
    }

    /// Origin-form begins with a slash, absolute-form with a letter; a fragment has no place in either.
    fn is_target_byte(&self, byte: u8, at: usize) -> bool {
        let first = at == self.marks[0] + 1;
        is_target_byte(byte) && (!first || byte == b'/' || byte.is_ascii_alphabetic())
    }
}

/// Without the bytes, which hold credentials.
impl fmt::Debug for HeadReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadReader").field("state", &self.state).field("bytes", &self.bytes.len()).finish()
    }
}

/// Whether `byte` fits at offset `at` of a pattern in which `0` stands for any digit.
fn matches_pattern(pattern: &[u8], at: usize, byte: u8) -> bool {
    match pattern.get(at) {
        Some(b'0') => byte.is_ascii_digit(),
        Some(&expected) => byte == expected,
        None => false,
    }
}

/// A complete head: the bytes as they came, and where their parts are.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    start: usize,
    marks: [usize; 2],
    lines: Vec<Line>,
}

impl Head {
    /// A request's method.
    pub(crate) fn method(&self) -> &str {
        self.text(self.start..self.marks[0])
    }

    /// A request's target.
    pub(crate) fn target(&self) -> &str {
        self.text(self.target_start()..self.marks[1])
    }

    /// Whether the target is in origin-form.
    pub(crate) fn has_path_only(&self) -> bool {
        self.bytes.get(self.target_start()) == Some(&b'/')
    }

    /// Where the target begins.
    pub(crate) const fn target_start(&self) -> usize {
        self.marks[0] + 1
    }

    /// The digits of a request's `HTTP/major.minor`.
    pub(crate) fn request_version(&self) -> (u8, u8) {
        (self.digit(self.marks[1] + 6), self.digit(self.marks[1] + 8))
    }

    /// The digit after `HTTP/1.` of a response.
    pub(crate) fn response_minor_version(&self) -> u8 {
        self.digit(7)
    }

    /// A response's status code, 100 to 999.
    pub(crate) fn status(&self) -> u16 {
        self.text(9..12).parse().unwrap_or(0)
    }

    /// A response's reason phrase.
    pub(crate) fn reason(&self) -> &[u8] {
        self.bytes.get(self.marks[0] + 1..self.marks[1]).unwrap_or_default()
    }

    /// The header lines in their order, blanks around the values removed.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        self.lines.iter().map(|line| (self.text(line.start..line.colon), self.bytes(self.place_of(line))))
    }

    /// [`headers`](Self::headers) with the names as bytes.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (self.bytes(line.start..line.colon), self.bytes(self.place_of(line))))
    }

    /// The values of all lines with this name, in any case.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.places(name).map(|place| self.bytes(place))
    }

    /// Where these values stand.
    pub(crate) fn places<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Range<usize>> + Clone {
        let has_name = move |line: &&Line| {
            line.colon - line.start == name.len() && is_same(self.bytes(line.start..line.colon), name)
        };
        self.lines.iter().filter(has_name).map(|line| self.place_of(line))
    }

    /// A value without the blanks around it.
    fn place_of(&self, line: &Line) -> Range<usize> {
        let value = self.bytes(line.colon + 1..line.end);
        let before = value.iter().take_while(|byte| is_blank(**byte)).count();
        let start = line.colon + 1 + before;
        start..start + trim_blanks(&value[before..]).len()
    }

    pub(crate) fn bytes(&self, place: Range<usize>) -> &[u8] {
        self.bytes.get(place).unwrap_or_default()
    }

    fn digit(&self, at: usize) -> u8 {
        self.bytes.get(at).map_or(0, |byte| byte.wrapping_sub(b'0'))
    }

    /// A part of which only ASCII was let in.
    pub(crate) fn text(&self, place: Range<usize>) -> &str {
        str::from_utf8(self.bytes(place)).unwrap_or_default()
    }
}

/// Why bytes are no head of an HTTP/1.1 message, or more of one than is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HeadError {
    /// A byte that cannot stand where it stands.
    Byte {
        /// The byte.
        byte: u8,
        /// Its offset from the first byte of the head.
        at: usize,
        /// What was being read.
        part: HeadPart,
    },
    /// More bytes than [`max_head_bytes`](HandshakeLimits::max_head_bytes) without a blank line.
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// More header lines than [`max_headers`](HandshakeLimits::max_headers).
    TooManyHeaders {
        /// The limit in lines.
        limit: usize,
    },
    /// A longer target than [`max_target_bytes`](HandshakeLimits::max_target_bytes).
    TargetTooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

/// The part of a head in which an impossible byte was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HeadPart {
    /// The method of a request.
    Method,
    /// The target of a request.
    Target,
    /// The HTTP version of a request.
    Version,
    /// The status line of a response.
    StatusLine,
    /// The name of a header, or the colon after it.
    HeaderName,
    /// The value of a header.
    HeaderValue,
    /// A header line that begins with a blank.
    FoldedLine,
    /// A CR without the LF that belongs to it; the byte is the one that came instead.
    BareCr,
    /// An LF without the CR that belongs to it.
    BareLf,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte { byte, at, part } => {
                let part = match part {
                    HeadPart::Method => "in a method",
                    HeadPart::Target => "in a request target",
                    HeadPart::Version => "in an http version",
                    HeadPart::StatusLine => "in a status line",
                    HeadPart::HeaderName => "in a header name",
                    HeadPart::HeaderValue => "in a header value",
                    HeadPart::FoldedLine => "at the start of a header line: folded lines are not accepted",
                    HeadPart::BareCr => "after a CR where only LF can follow",
                    HeadPart::BareLf => "as line end without a CR before it",
                };
                write!(f, "byte 0x{byte:02x} at offset {at} cannot stand {part}")
            }
            Self::TooLong { limit } => write!(f, "the head has more than {limit} bytes"),
            Self::TooManyHeaders { limit } => write!(f, "the head has more than {limit} header lines"),
            Self::TargetTooLong { limit } => write!(f, "the request target has more than {limit} bytes"),
        }
    }
}

impl core::error::Error for HeadError {}
