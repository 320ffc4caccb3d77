//! Whole messages, borrowed from the input or owned (RFC 6455 §5.6).

mod binary;
mod text;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

pub use binary::Binary;
pub use text::Text;

/// What the payload of a message is (RFC 6455 §5.6). Exhaustive on purpose: a message is one or the other.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Bytes whose meaning is up to the application.
    Binary,
}

/// A message, to be received or to be sent.
///
/// Received messages borrow the input where they arrived in one piece; [`into_owned`](Self::into_owned) makes one
/// that can be kept, sent to another thread and sent back. Everything that `send` takes turns into a message by
/// itself: `&str`, `String`, `Arc<str>`, `&[u8]`, `Vec<u8>`, `Cow`s, [`Bytes`], `&Message`.
///
/// ```
/// use sansocket::Message;
///
/// match Message::from("hello") {
///     Message::Text(text) => assert_eq!(text, "hello"),
///     Message::Binary(bytes) => unreachable!("{} bytes", bytes.len()),
/// }
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Message<'a> {
    /// UTF-8 text, validated when it was received.
    Text(Text<'a>),
    /// Any bytes.
    Binary(Binary<'a>),
}

impl<'a> Message<'a> {
    /// Text or binary.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// The payload, whatever its kind.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload without a copy, unless it is borrowed.
    #[cfg(feature = "std")]
    pub(crate) fn to_shared(&self) -> Option<Bytes> {
        match self {
            Self::Text(text) => text.to_shared(),
            Self::Binary(bytes) => bytes.to_shared(),
        }
    }

    /// The text of a text message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The text of a text message, to be kept; a binary message is given back.
    ///
    /// ```
    /// use sansocket::Message;
    ///
    /// assert_eq!(Message::from("hello").into_text().unwrap(), "hello");
    /// assert_eq!(Message::from(&[1, 2]).into_text(), Err(Message::from(&[1, 2])));
    /// ```
    ///
    /// # Errors
    ///
    /// The message, if it is binary.
    pub fn into_text(self) -> Result<Text<'a>, Self> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Binary(_) => Err(self),
        }
    }

    /// The length of the payload in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty, which is legal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The same message without a borrow: cheap to clone, free to be kept or sent to another task.
    ///
    /// Copies the payload only if it was borrowed.
    #[must_use]
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(text.into_owned()),
            Self::Binary(bytes) => Message::Binary(bytes.into_owned()),
        }
    }

    /// The payload as [`Bytes`], copied only if it was borrowed.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes.into_bytes(),
        }
    }
}

impl<'a> From<Text<'a>> for Message<'a> {
    #[inline]
    fn from(text: Text<'a>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Binary<'a>> for Message<'a> {
    #[inline]
    fn from(bytes: Binary<'a>) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a> From<&'a str> for Message<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a String> for Message<'a> {
    #[inline]
    fn from(text: &'a String) -> Self {
        Self::Text(text.as_str().into())
    }
}

impl From<String> for Message<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes.into())
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Binary(bytes.as_slice().into())
    }
}

impl<'a> From<&'a Vec<u8>> for Message<'a> {
    #[inline]
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Binary(bytes.as_slice().into())
    }
}

impl From<Vec<u8>> for Message<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<Bytes> for Message<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes.into())
    }
}

impl<'a> From<&'a Bytes> for Message<'a> {
    #[inline]
    fn from(bytes: &'a Bytes) -> Self {
        Self::Binary(bytes.as_ref().into())
    }
}

impl<'a> From<&'a Message<'_>> for Message<'a> {
    #[inline]
    fn from(message: &'a Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.as_str().into()),
            Message::Binary(bytes) => Self::Binary(bytes.as_slice().into()),
        }
    }
}

impl From<Arc<str>> for Message<'_> {
    fn from(text: Arc<str>) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Message<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text.into())
    }
}

impl From<Box<[u8]>> for Message<'_> {
    fn from(bytes: Box<[u8]>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl<'a> From<Cow<'a, [u8]>> for Message<'a> {
    fn from(bytes: Cow<'a, [u8]>) -> Self {
        Self::Binary(bytes.into())
    }
}

/// A binary message equals no text.
impl PartialEq<str> for Message<'_> {
    fn eq(&self, other: &str) -> bool {
        self.as_text() == Some(other)
    }
}

impl PartialEq<&str> for Message<'_> {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}
