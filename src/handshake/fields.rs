//! Header fields: tokens, lists, and the check of what an application adds (RFC 9110 §5).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// `tchar` of RFC 9110 §5.6.2: what names, methods, subprotocols and extensions are made of.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// How many bytes at the front are of a token.
pub(super) fn token_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(bytes.len())
}

/// Whether `text` is a token: not empty, no blank, no separator, nothing beyond ASCII.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && token_len(text.as_bytes()) == text.len()
}

/// Takes blanks, SP and HTAB, off both ends.
pub(crate) fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether a name is this one, in any case; fastest in the case in which it nearly always comes.
#[inline]
pub(crate) fn is_same(name: &[u8], usual: &str) -> bool {
    name == usual.as_bytes() || name.eq_ignore_ascii_case(usual.as_bytes())
}

/// The elements of a comma-separated list (RFC 9110 §5.6.1), without the empty ones that a sender may leave
/// in.
pub(crate) fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim_blanks).filter(|element| !element.is_empty())
}

/// Whether one of the lists has this element, in any case.
pub(crate) fn lists_contain<'a>(mut values: impl Iterator<Item = &'a [u8]>, element: &str) -> bool {
    let is_it = |other: &[u8]| is_same(other, element);
    // Nearly always it is the whole list.
    values.any(|value| is_it(value) || list_elements(value).any(is_it))
}

/// The only one of several values, or how it fails to be.
pub(crate) enum Single<'a> {
    Absent,
    One(&'a [u8]),
    Several,
}

impl<'a> Single<'a> {
    /// Counts one more.
    pub(crate) fn add(&mut self, value: &'a [u8]) {
        *self = if matches!(self, Self::Absent) { Self::One(value) } else { Self::Several };
    }
}

/// Tells a header that occurs once from one that is absent or repeated.
pub(crate) fn single<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Single<'a> {
    match (values.next(), values.next()) {
        (None, _) => Single::Absent,
        (Some(value), None) => Single::One(value),
        (Some(_), Some(_)) => Single::Several,
    }
}

/// The first bytes of something that the peer sent, escaped so that logs and terminals can show them.
///
/// At most 64 bytes of the original; three dots say that there were more.
#[derive(Clone, Eq, PartialEq)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let shown = &bytes[..bytes.len().min(64)];
        let mut text = shown.escape_ascii().to_string();
        if shown.len() < bytes.len() {
            text.push_str("...");
        }
        Self(text.into())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Headers that an application adds to a request or a response; checked when they are to be written.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) struct ExtraHeaders(Vec<(String, Vec<u8>)>);

impl ExtraHeaders {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, name: impl Into<String>, value: impl AsRef<[u8]>) {
        self.0.push((name.into(), value.as_ref().to_vec()));
    }

    /// Keeps the lines whose names pass.
    #[cfg(feature = "rand")]
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// Writes all lines after it has checked them: names are tokens and none of the handshake's own, values
    /// cannot end their line.
    pub(crate) fn write(
        &self,
        reserved: &'static [&'static str],
        out: &mut Vec<u8>,
    ) -> Result<(), HeaderError> {
        for (name, value) in &self.0 {
            check_header(name, value, reserved)?;
            write_header(out, name, value);
        }
        Ok(())
    }

    /// The lines, each with its verdict.
    #[cfg(feature = "http")]
    pub(crate) fn checked(
        &self,
        reserved: &'static [&'static str],
    ) -> impl Iterator<Item = Result<(&str, &[u8]), HeaderError>> {
        self.0.iter().map(move |(name, value)| {
            check_header(name, value, reserved).map(|()| (name.as_str(), value.as_slice()))
        })
    }
}

fn check_header(name: &str, value: &[u8], reserved: &[&str]) -> Result<(), HeaderError> {
    let excerpt = || Excerpt::new(name.as_bytes());
    if !is_token(name) {
        return Err(HeaderError::Name(excerpt()));
    }
    if is_reserved(name, reserved) {
        return Err(HeaderError::Reserved(excerpt()));
    }
    if !is_field_value(value) {
        return Err(HeaderError::Value(excerpt()));
    }
    Ok(())
}

/// Names only, since values hold credentials.
impl fmt::Debug for ExtraHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Whether a value stays on its line: no CR, LF, NUL nor other control characters but the tab.
pub(crate) fn is_field_value(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

pub(crate) fn write_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Headers of a request that the library alone writes.
pub(crate) const RESERVED_IN_REQUESTS: &[&str] = &[
    "Host",
    "Origin",
    "Upgrade",
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "Trailer",
    "TE",
    "Expect",
    "Keep-Alive",
    "Proxy-Connection",
];

/// Headers of a response that the library alone writes.
pub(crate) const RESERVED_IN_RESPONSES: &[&str] =
    &["Upgrade", "Connection", "Content-Length", "Transfer-Encoding", "Trailer", "Keep-Alive"];

fn is_reserved(name: &str, reserved: &[&str]) -> bool {
    const PREFIX: &str = "Sec-WebSocket-";
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
        || reserved.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// Why a header that the application added cannot be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is no token of RFC 9110 §5.6.2.
    Name(Excerpt),
    /// The value of the header with this name has a CR, an LF, a NUL or another control character.
    Value(Excerpt),
    /// The header is part of the handshake itself, which alone writes it.
    Reserved(Excerpt),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name} is no header name"),
            Self::Value(name) => write!(f, "the value of header {name} has a control character"),
            Self::Reserved(name) => write!(f, "header {name} is written by the handshake itself"),
        }
    }
}

impl core::error::Error for HeaderError {}
