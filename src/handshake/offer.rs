//! What a client offers and what a server takes of it, without the HTTP around them (RFC 6455 §4.2).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str;

use super::error::RequestError;
use super::extensions::{Extensions, Mismatch};
use super::fields::{Excerpt, Single, is_same, is_token, list_elements};
use super::key::Key;
#[cfg(feature = "deflate")]
use crate::deflate::Agreed;
use crate::redacted::Redacted;

/// The WebSocket part of a client's request: version, key, origin, subprotocols and extensions, all checked.
///
/// [`Request`](super::Request) has one. Where another library did the HTTP (HTTP/2's extended CONNECT, a web
/// framework), it is made from that library's headers:
///
/// ```
/// use sansocket::handshake::{Extensions, Offer, accept_key};
///
/// let headers: [(&str, &[u8]); 3] = [
///     ("sec-websocket-version", b"13"),
///     ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="), // HTTP/1.1 only
///     ("sec-websocket-protocol", b"chat, superchat"),
/// ];
/// let offer = Offer::from_headers(headers)?;
/// let negotiated = offer.negotiate(offer.choose_subprotocol(["superchat"]), Extensions::new())?;
/// assert_eq!(negotiated.subprotocol.as_deref(), Some("superchat"));
/// assert_eq!(offer.key().map(accept_key).as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
/// // Answer 101 (or 200 over HTTP/2) with these, then make a `Connection::server`.
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Offer {
    key: Option<Key>,
    origin: Option<String>,
    /// Joined by commas.
    subprotocols: String,
    extensions: Extensions,
}

impl Offer {
    /// Reads and checks the WebSocket headers; names may be in any case, others are passed over.
    ///
    /// For HTTP/1.1 the caller has checked the method, `Upgrade` and `Connection`, and needs the
    /// [`key`](Self::key).
    ///
    /// # Errors
    ///
    /// The version is not 13; the key, if there is one, the origin, the subprotocols or the extensions are
    /// malformed. [`RequestError::status`] says what to answer.
    pub fn from_headers<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, RequestError> {
        Self::from_lines(headers.into_iter().map(|(name, value)| (name.as_bytes(), value)))
    }

    pub(super) fn from_lines<'a>(
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Self, RequestError> {
        let (mut version, mut key, mut origin) = (Single::Absent, Single::Absent, Single::Absent);
        let (mut subprotocols, mut extensions) = (Vec::new(), Vec::new());
        for (name, value) in headers {
            match name.len() {
                6 if is_same(name, "Origin") => origin.add(value),
                17 if is_same(name, "Sec-WebSocket-Key") => key.add(value),
                21 if is_same(name, "Sec-WebSocket-Version") => version.add(value),
                22 if is_same(name, "Sec-WebSocket-Protocol") => subprotocols.push(value),
                24 if is_same(name, "Sec-WebSocket-Extensions") => extensions.push(value),
                _ => {}
            }
        }
        check_version(version)?;
        Ok(Self {
            key: read_key(key)?,
            origin: read_origin(origin)?,
            subprotocols: read_subprotocols(&subprotocols)?,
            extensions: Extensions::parse(extensions).map_err(RequestError::Extensions)?,
        })
    }

    /// `Sec-WebSocket-Key`, for [`accept_key`](super::accept_key). There is none in HTTP/2 and HTTP/3.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_ref().map(Key::as_str)
    }

    /// [`key`](Self::key) without a look at its bytes.
    pub(super) fn key_bytes(&self) -> Option<&[u8]> {
        self.key.as_ref().map(Key::as_bytes)
    }

    /// The origin of the web page that opens the connection, in lower case for comparison (RFC 6455 §10.2).
    ///
    /// `None` if the header is absent: not a browser, or nobody knows. It may also be empty, and `null` for
    /// pages that hide their origin; neither is the same as absent.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Whether the origin is one of these, in any case; `false` if the header is absent.
    ///
    /// A server that lets browsers in and relies on cookies needs this check, else any web page can use the
    /// cookies of its visitors.
    pub fn origin_is_one_of<O: AsRef<str>>(&self, allowed: impl IntoIterator<Item = O>) -> bool {
        self.origin().is_some_and(|origin| {
            allowed.into_iter().any(|other| other.as_ref().eq_ignore_ascii_case(origin))
        })
    }

    /// The subprotocols that the client speaks, in the order of its preference, all different.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.subprotocols.split(',').filter(|name| !name.is_empty())
    }

    /// The first of `supported` that the client speaks too: the server's order decides. Names are compared
    /// exactly.
    pub fn choose_subprotocol<'s>(&self, supported: impl IntoIterator<Item = &'s str>) -> Option<&'s str> {
        supported.into_iter().find(|name| self.subprotocols().any(|offered| offered == *name))
    }

    /// The extensions that the client offers, in the order of its preference. A name may be there several
    /// times, with other parameters. Those that are unknown or unsuitable are passed over.
    #[must_use]
    pub const fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Takes a subprotocol and extensions out of the offer.
    ///
    /// # Errors
    ///
    /// Something was chosen that was not offered, or an extension twice.
    pub fn negotiate(
        &self,
        subprotocol: Option<&str>,
        extensions: Extensions,
    ) -> Result<Negotiated, NegotiationError> {
        if let Some(name) = subprotocol {
            // RFC 6455 §4.2.2: "The value chosen MUST be derived from the client's handshake, specifically by
            // selecting one of the values from the |Sec-WebSocket-Protocol| field".
            if !self.subprotocols().any(|offered| offered == name) {
                return Err(NegotiationError::SubprotocolNotOffered(Excerpt::new(name.as_bytes())));
            }
        }
        match extensions.check_against(&self.extensions) {
            Ok(()) => Ok(Negotiated {
                subprotocol: subprotocol.map(ToOwned::to_owned),
                extensions,
                #[cfg(feature = "deflate")]
                deflate: None,
            }),
            Err(Mismatch::NotOffered(name)) => {
                Err(NegotiationError::ExtensionNotOffered(Excerpt::new(name.as_bytes())))
            }
            Err(Mismatch::Repeated(name)) => {
                Err(NegotiationError::ExtensionRepeated(Excerpt::new(name.as_bytes())))
            }
        }
    }
}

/// What both ends agreed on.
#[derive(Clone, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The value of `Sec-WebSocket-Protocol` in the answer; without one there is no such header.
    pub subprotocol: Option<String>,
    /// The value of `Sec-WebSocket-Extensions` in the answer, in the order in which they apply to what is
    /// sent; without any there is no such header.
    pub extensions: Extensions,
    /// What the connection needs to know where messages are compressed.
    #[cfg(feature = "deflate")]
    pub deflate: Option<Agreed>,
}

impl Negotiated {
    /// The header lines of the answer.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let extensions = Some(self.extensions.as_str()).filter(|list| !list.is_empty());
        let subprotocol = self.subprotocol.as_deref().map(|name| ("Sec-WebSocket-Protocol", name));
        subprotocol.into_iter().chain(extensions.map(|list| ("Sec-WebSocket-Extensions", list)))
    }
}

/// Why an application's choice does not fit the client's offer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The client did not offer this subprotocol.
    SubprotocolNotOffered(Excerpt),
    /// The client did not offer this extension.
    ExtensionNotOffered(Excerpt),
    /// This extension was chosen twice.
    ExtensionRepeated(Excerpt),
}

impl fmt::Display for NegotiationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubprotocolNotOffered(name) => write!(f, "the client did not offer subprotocol {name}"),
            Self::ExtensionNotOffered(name) => write!(f, "the client did not offer extension {name}"),
            Self::ExtensionRepeated(name) => write!(f, "extension {name} is chosen twice"),
        }
    }
}

impl core::error::Error for NegotiationError {}

fn check_version(version: Single<'_>) -> Result<(), RequestError> {
    match version {
        Single::One(b"13") => Ok(()),
        // RFC 6455 §4.2.2: "If this version does not match a version understood by the server, the server
        // MUST abort the WebSocket handshake described in this section and instead send an appropriate HTTP
        // error code (such as 426 Upgrade Required) and a |Sec-WebSocket-Version| header field".
        Single::One(value) if is_version(value) => Err(RequestError::UnsupportedVersion(Excerpt::new(value))),
        _ => Err(RequestError::Version),
    }
}

/// A number from 0 to 255 without leading zeros (RFC 6455 §4.3).
pub(crate) fn is_version(value: &[u8]) -> bool {
    let canonical = matches!(value, [b'0'] | [b'1'..=b'9', ..]) && value.iter().all(u8::is_ascii_digit);
    canonical && str::from_utf8(value).is_ok_and(|digits| digits.parse::<u8>().is_ok())
}

fn read_key(key: Single<'_>) -> Result<Option<Key>, RequestError> {
    match key {
        Single::Absent => Ok(None),
        Single::One(value) => Key::parse(value).map(Some).ok_or(RequestError::Key),
        // RFC 6455 §11.3.1: "The |Sec-WebSocket-Key| header field MUST NOT appear more than once in an HTTP
        // request."
        Single::Several => Err(RequestError::Key),
    }
}

fn read_origin(origin: Single<'_>) -> Result<Option<String>, RequestError> {
    match origin {
        Single::Absent => Ok(None),
        Single::One(value) => match str::from_utf8(value) {
            Ok(origin) if origin.is_ascii() => Ok(Some(origin.to_ascii_lowercase())),
            _ => Err(RequestError::Origin),
        },
        Single::Several => Err(RequestError::Origin),
    }
}

/// `1#token` over all lines, each once.
fn read_subprotocols(lines: &[&[u8]]) -> Result<String, RequestError> {
    let mut names = Vec::new();
    for line in lines {
        for element in list_elements(line) {
            match str::from_utf8(element) {
                Ok(name) if is_token(name) => names.push(name),
                _ => return Err(RequestError::Subprotocols),
            }
        }
    }
    if names.is_empty() && !lines.is_empty() {
        return Err(RequestError::Subprotocols);
    }
    let joined = names.join(",");
    // Sorted, so that many names cost no quadratic time.
    names.sort_unstable();
    // RFC 6455 §4.1: "The elements that comprise this value MUST be non-empty strings ... and MUST all be
    // unique".
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(RequestError::Subprotocols);
    }
    Ok(joined)
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("key", &self.key)
            .field("origin", &self.origin.as_ref().map(Redacted::of))
            .field("subprotocols", &Redacted::of(&self.subprotocols))
            .field("extensions", &self.extensions)
            .finish()
    }
}

impl fmt::Debug for Negotiated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut form = f.debug_struct("Negotiated");
        form.field("subprotocol", &self.subprotocol.as_ref().map(Redacted::of));
        form.field("extensions", &self.extensions);
        #[cfg(feature = "deflate")]
        form.field("deflate", &self.deflate);
        form.finish()
    }
}
