//! The head of an HTTP/1.1 message, parsed by httparse (RFC 9112 §2 to §5).
//!
//! A head may arrive in any pieces, and its verdict is the same for all of them. So it is parsed only at places that
//! its own bytes determine:
//!
//! ```text
//!  GET /chat HTTP/1.1 CR LF      at the end of the first line,
//!  Host: example.com  CR LF      after 1, 2, 4, 8, 16... bytes,
//!  CR LF                         at the blank line, and at the limit
//! ```
//!
//! The doublings keep the work linear and find early what is no HTTP at all. An error is the one that the shortest
//! prefix has which is refused. httparse tolerates more than this module does; the checks around it refuse that.

use alloc::vec::Vec;
use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Range;
use core::str;

use httparse::{Header, ParserConfig};

use super::fields::{is_same, trim_blanks};
use super::limits::HandshakeLimits;

/// A head that arrives.
#[derive(Clone)]
pub(crate) struct HeadReader {
    kind: Kind,
    bytes: Vec<u8>,
    /// Where the line that arrives begins.
    line_start: usize,
    /// Where the first line ends; 0 while it is incomplete.
    first_line_end: usize,
    /// The complete lines after the first one.
    lines: usize,
    /// The length of the longest prefix that was parsed.
    parsed: usize,
    parts: Option<Parts>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Request,
    Response,
}

/// Where the parts of a complete head are.
#[derive(Clone, Eq, PartialEq)]
struct Parts {
    /// Where the first line begins: behind an empty line that was skipped.
    start: usize,
    /// Where its first two parts end: method and target, or status and reason.
    marks: [usize; 2],
    lines: Vec<Line>,
}

/// Offsets of `name: value`, without the blanks around the value.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Line {
    name: Range<usize>,
    value: Range<usize>,
}

/// No registered method is half as long.
const METHOD_BYTES: usize = 40;
/// Where the status code of a response ends.
const STATUS_END: usize = 12;
/// So many header lines are parsed on the stack.
const STACK_LINES: usize = 100;

impl HeadReader {
    pub(crate) const fn request() -> Self {
        Self::new(Kind::Request)
    }

    pub(crate) const fn response() -> Self {
        Self::new(Kind::Response)
    }

    const fn new(kind: Kind) -> Self {
        Self { kind, bytes: Vec::new(), line_start: 0, first_line_end: 0, lines: 0, parsed: 0, parts: None }
    }

    /// Whether no byte has arrived yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the blank line was there.
    pub(crate) fn is_complete(&self) -> bool {
        self.parts.is_some()
    }

    /// Takes the bytes that belong to the head and returns how many they were; all of them unless the head is
    /// [complete](Self::is_complete) now.
    pub(crate) fn read(&mut self, input: &[u8], limits: &HandshakeLimits) -> Result<usize, HeadError> {
        if self.is_complete() {
            return Ok(0);
        }
        let room = limits.max_head_bytes.saturating_sub(self.bytes.len());
        let within = &input[..input.len().min(room)];
        let (consumed, is_end) = self.scan(within);
        self.bytes.extend_from_slice(&within[..consumed]);
        let is_over_limit = !is_end && input.len() > room;
        let len = self.bytes.len();
        let doubled = len.checked_ilog2().map_or(0, |log| 1 << log);
        let due = if is_end || is_over_limit { len } else { self.first_line_end.max(doubled) };
        if due > self.parsed {
            self.parts = match self.parse(due, limits) {
                Ok(parts) => parts,
                Err(error) => return Err(self.first_error(due, limits).unwrap_or(error)),
            };
            self.parsed = due;
        }
        if is_over_limit {
            return Err(HeadError::TooLong { limit: limits.max_head_bytes });
        }
        Ok(consumed)
    }

    /// The complete head.
    pub(crate) fn finish(self) -> Head {
        debug_assert!(self.is_complete(), "only a complete head is finished");
        let parts = self.parts.unwrap_or(Parts { start: 0, marks: [0; 2], lines: Vec::new() });
        let mut head = Head { bytes: self.bytes, parts };
        if head.parts.lines.len() < self.lines {
            head.unfold();
        }
        head
    }

    /// Follows the lines of new bytes, up to the blank line or the first LF without a CR before it; returns how many
    /// bytes that are, and whether one of these two is there.
    fn scan(&mut self, input: &[u8]) -> (usize, bool) {
        let (before, mut from) = (self.bytes.len(), 0);
        while let Some(len) = line_len(&input[from..]) {
            let end = from + len;
            let previous = if end >= 2 { input.get(end - 2) } else { self.bytes.last() };
            if previous != Some(&b'\r') {
                return (end, true);
            }
            let line_bytes = before + end - self.line_start;
            self.line_start = before + end;
            from = end;
            match (self.first_line_end, line_bytes) {
                // Before a request one empty line is skipped: the parser finds any other.
                (0, 2) => {}
                (0, _) => self.first_line_end = self.line_start,
                (_, 2) => return (end, true),
                _ => self.lines += 1,
            }
        }
        (input.len(), false)
    }

    /// Parses the first `len` bytes. What is refused is refused with any more bytes as well.
    fn parse(&self, len: usize, limits: &HandshakeLimits) -> Result<Option<Parts>, HeadError> {
        let bytes = &self.bytes[..len];
        // RFC 9112 §2.2 lets a recipient take a bare LF for a line end: two readers could see two messages. The scan
        // stops at the first one.
        if bytes.ends_with(b"\n") && !bytes.ends_with(b"\r\n") {
            return Err(HeadError::Byte { byte: b'\n', part: HeadPart::LineEnd });
        }
        let slots = self.lines.min(limits.max_headers);
        let mut stack = [MaybeUninit::uninit(); STACK_LINES];
        let mut heap = Vec::new();
        let slots = match stack.get_mut(..slots) {
            Some(stack) => stack,
            None => {
                heap.resize(slots, MaybeUninit::uninit());
                &mut heap
            }
        };
        match self.kind {
            Kind::Request => parse_request(bytes, slots, limits),
            Kind::Response => parse_response(bytes, slots, limits),
        }
    }

    /// The error of the shortest prefix that is refused, which is the same for all cuts.
    #[cold]
    fn first_error(&self, len: usize, limits: &HandshakeLimits) -> Option<HeadError> {
        let (mut fine, mut refused) = (0, len);
        while refused - fine > 1 {
            let middle = fine.midpoint(refused);
            match self.parse(middle, limits) {
                Ok(_) => fine = middle,
                Err(_) => refused = middle,
            }
        }
        self.parse(refused, limits).err()
    }
}

/// Without the bytes, which hold credentials.
impl fmt::Debug for HeadReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadReader")
            .field("kind", &self.kind)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

fn parse_request<'b>(
    bytes: &'b [u8],
    slots: &mut [MaybeUninit<Header<'b>>],
    limits: &HandshakeLimits,
) -> Result<Option<Parts>, HeadError> {
    let start = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let rest = &bytes[start..];
    // httparse skips any number of empty lines.
    if start > 0 && rest.starts_with(b"\r") {
        return Err(HeadError::last_byte(bytes, HeadPart::RequestLine));
    }
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(rest, slots);
    let method_len = request.method.map_or(rest.len(), str::len);
    let target = match request.path {
        Some(path) => path.as_bytes(),
        None => rest.get(method_len + 1..).unwrap_or_default(),
    };
    let target_end = start + method_len + 1 + target.len();
    let is_complete = match parsed {
        Ok(status) => status.is_complete(),
        Err(httparse::Error::Version) => {
            let version = bytes.get(target_end + 1..).unwrap_or_default();
            check_version(version).ok_or_else(|| HeadError::last_byte(bytes, HeadPart::RequestLine))??;
            false
        }
        Err(error) => return Err(HeadError::of(error, bytes, HeadPart::RequestLine, limits)),
    };
    let is_refused = |byte: &u8| *byte == b'#' || !byte.is_ascii();
    if method_len > METHOD_BYTES || target.iter().any(is_refused) {
        return Err(HeadError::last_byte(bytes, HeadPart::RequestLine));
    }
    if target.len() > limits.max_target_bytes {
        return Err(HeadError::TargetTooLong { limit: limits.max_target_bytes });
    }
    let marks = [start + method_len, target_end];
    Ok(is_complete.then(|| Parts::new(bytes, start, marks, request.headers)))
}

/// Judges a version that httparse does not know: `None` if it is malformed, no error while its line is incomplete.
fn check_version(version: &[u8]) -> Option<Result<(), HeadError>> {
    let matches = |pattern: &[u8]| {
        pattern
            .iter()
            .zip(version)
            .all(|(p, byte)| if *p == b'0' { byte.is_ascii_digit() } else { p == byte })
    };
    let digit =
        |at: usize| version.get(at).filter(|byte| byte.is_ascii_digit()).map_or(0, |byte| byte - b'0');
    // From HTTP/2 on the version has no minor number (RFC 9113 §1).
    let patterns: &[&[u8]] =
        if digit(5) < 2 { &[b"HTTP/0.0\r\n"] } else { &[b"HTTP/0.0\r\n", b"HTTP/0\r\n"] };
    let pattern = patterns.iter().find(|pattern| matches(pattern))?;
    match version.len() >= pattern.len() {
        true => Some(Err(HeadError::Version { major: digit(5), minor: digit(7) })),
        false => Some(Ok(())),
    }
}

fn parse_response<'b>(
    bytes: &'b [u8],
    slots: &mut [MaybeUninit<Header<'b>>],
    limits: &HandshakeLimits,
) -> Result<Option<Parts>, HeadError> {
    // httparse skips empty lines.
    if bytes.starts_with(b"\r") {
        return Err(HeadError::last_byte(bytes, HeadPart::StatusLine));
    }
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .parse_response_with_uninit_headers(&mut response, bytes, slots)
        .map_err(|error| HeadError::of(error, bytes, HeadPart::StatusLine, limits))?;
    if response.code.is_some_and(|code| code < 100) {
        return Err(HeadError::last_byte(bytes, HeadPart::StatusLine));
    }
    // "HTTP/1.1 101", then the reason: httparse leaves out one that is not ASCII.
    let reason_end = || bytes.iter().position(|byte| *byte == b'\r').unwrap_or(STATUS_END);
    Ok(parsed.is_complete().then(|| Parts::new(bytes, 0, [STATUS_END, reason_end()], response.headers)))
}

impl Parts {
    fn new(bytes: &[u8], start: usize, marks: [usize; 2], headers: &[Header<'_>]) -> Self {
        let range = |part: &[u8]| {
            let start = part.as_ptr().addr() - bytes.as_ptr().addr();
            start..start + part.len()
        };
        let line =
            |header: &Header<'_>| Line { name: range(header.name.as_bytes()), value: range(header.value) };
        Self { start, marks, lines: headers.iter().map(line).collect() }
    }
}

/// The length of the first line with its LF, if that is there. Eight bytes at a time: a plain loop makes the opening of a
/// browser 10 % dearer.
fn line_len(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut len = 0;
    while let Some(eight) = bytes.get(len..).and_then(|rest| rest.first_chunk()) {
        let differ = u64::from_le_bytes(*eight) ^ (ONES * 0x0a);
        let equal = differ.wrapping_sub(ONES) & !differ & (ONES * 0x80);
        if equal != 0 {
            return Some(len + equal.trailing_zeros() as usize / 8 + 1);
        }
        len += 8;
    }
    let rest = bytes.get(len..).unwrap_or_default();
    rest.iter().position(|byte| *byte == b'\n').map(|at| len + at + 1)
}

/// A complete head: the bytes as they came, and where their parts are.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    parts: Parts,
}

impl Head {
    /// A request's method.
    pub(crate) fn method(&self) -> &str {
        self.text(self.parts.start..self.parts.marks[0])
    }

    /// A request's target.
    pub(crate) fn target(&self) -> &str {
        self.text(self.target_start()..self.parts.marks[1])
    }

    /// Whether the target is in origin-form.
    pub(crate) fn has_path_only(&self) -> bool {
        self.bytes.get(self.target_start()) == Some(&b'/')
    }

    /// Where the target begins.
    pub(crate) const fn target_start(&self) -> usize {
        self.parts.marks[0] + 1
    }

    /// The digit after `HTTP/1.` of a request.
    pub(crate) fn request_minor_version(&self) -> u8 {
        self.digit(self.parts.marks[1] + 8)
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
        self.bytes.get(self.parts.marks[0] + 1..self.parts.marks[1]).unwrap_or_default()
    }

    /// The header lines in their order, blanks around the values removed.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        self.parts.lines.iter().map(|line| (self.text(line.name.clone()), self.bytes(line.value.clone())))
    }

    /// [`headers`](Self::headers) with the names as bytes.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.parts.lines.iter().map(|line| (self.bytes(line.name.clone()), self.bytes(line.value.clone())))
    }

    /// The values of all lines with this name, in any case.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.places(name).map(|place| self.bytes(place))
    }

    /// Where these values stand.
    pub(crate) fn places<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Range<usize>> + Clone {
        let has_name =
            move |line: &&Line| line.name.len() == name.len() && is_same(self.bytes(line.name.clone()), name);
        self.parts.lines.iter().filter(has_name).map(|line| line.value.clone())
    }

    /// RFC 9112 §5.2: "A user agent that receives an obs-fold in a response message ... MUST replace each received
    /// obs-fold with one or more SP octets prior to interpreting the field value."
    fn unfold(&mut self) {
        for line in &mut self.parts.lines {
            let value = &mut self.bytes[line.value.clone()];
            let parts = value.split(|byte| *byte == b'\n');
            let trimmed = parts.map(|part| trim_blanks(part.strip_suffix(b"\r").unwrap_or(part)));
            let unfolded = trimmed.collect::<Vec<_>>().join(&b' ');
            value[..unfolded.len()].copy_from_slice(&unfolded);
            line.value.end = line.value.start + unfolded.len();
        }
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
        /// The part of the head in which it was found.
        part: HeadPart,
    },
    /// A request in another version than HTTP/1.0 and HTTP/1.1; told as
    /// [`RequestError::HttpVersion`](super::RequestError::HttpVersion).
    Version {
        /// The digit before the dot.
        major: u8,
        /// The digit behind it.
        minor: u8,
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
    /// The first line of a request: method, target and version.
    RequestLine,
    /// The first line of a response.
    StatusLine,
    /// The name of a header, or the colon after it.
    HeaderName,
    /// The value of a header.
    HeaderValue,
    /// The end of a line, which is CR and LF.
    LineEnd,
}

impl HeadError {
    /// At the last byte of the shortest prefix that is refused.
    fn last_byte(prefix: &[u8], part: HeadPart) -> Self {
        Self::Byte { byte: prefix.last().copied().unwrap_or_default(), part }
    }

    fn of(error: httparse::Error, prefix: &[u8], first_line: HeadPart, limits: &HandshakeLimits) -> Self {
        let part = match error {
            httparse::Error::TooManyHeaders => {
                return Self::TooManyHeaders { limit: limits.max_headers };
            }
            httparse::Error::HeaderName => HeadPart::HeaderName,
            httparse::Error::HeaderValue => HeadPart::HeaderValue,
            httparse::Error::NewLine => HeadPart::LineEnd,
            httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => first_line,
        };
        Self::last_byte(prefix, part)
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte { byte, part } => {
                let part = match part {
                    HeadPart::RequestLine => "in a request line",
                    HeadPart::StatusLine => "in a status line",
                    HeadPart::HeaderName => "in a header name",
                    HeadPart::HeaderValue => "in a header value",
                    HeadPart::LineEnd => "at the end of a line",
                };
                write!(f, "byte 0x{byte:02x} is not allowed {part}")
            }
            Self::Version { major, minor } => write!(f, "http/{major}.{minor} is not supported"),
            Self::TooLong { limit } => write!(f, "the head has more than {limit} bytes"),
            Self::TooManyHeaders { limit } => write!(f, "the head has more than {limit} header lines"),
            Self::TargetTooLong { limit } => write!(f, "the request target has more than {limit} bytes"),
        }
    }
}

impl core::error::Error for HeadError {}
