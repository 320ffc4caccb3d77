//! Whole messages, borrowed from the input or owned (RFC 6455 §5.6).

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

use bytes::Bytes;

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
/// itself: `&str`, `String`, `&[u8]`, `Vec<u8>`, [`Bytes`], `&Message`.
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

    /// The text of a text message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
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

/// UTF-8 text that borrows the input or is shared; it dereferences to `str`.
///
/// The owned form is reference-counted: a clone costs no copy, and nothing ever validates it again.
#[derive(Clone)]
pub struct Text<'a>(TextStorage<'a>);

#[derive(Clone)]
enum TextStorage<'a> {
    Borrowed(&'a str),
    /// Copied out of the input: one allocation.
    Copied(Arc<str>),
    /// Gathered from several pieces, or given by the application: taken over as it is.
    Whole(Arc<String>),
}

impl<'a> Text<'a> {
    /// The text, for the places where dereferencing does not happen by itself.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            TextStorage::Borrowed(text) => text,
            TextStorage::Copied(text) => text,
            TextStorage::Whole(text) => text,
        }
    }

    /// The same text without a borrow; copies only if it was borrowed.
    #[must_use]
    pub fn into_owned(self) -> Text<'static> {
        Text(match self.0 {
            TextStorage::Borrowed(text) => TextStorage::Copied(text.into()),
            TextStorage::Copied(text) => TextStorage::Copied(text),
            TextStorage::Whole(text) => TextStorage::Whole(text),
        })
    }

    /// A `String` of its own, copied unless this was its only owner.
    #[must_use]
    pub fn into_string(self) -> String {
        match self.0 {
            TextStorage::Whole(text) => Arc::unwrap_or_clone(text),
            TextStorage::Copied(text) => (*text).into(),
            TextStorage::Borrowed(text) => text.into(),
        }
    }

    /// The UTF-8 bytes; copied only if the text was borrowed.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        struct Owner(Arc<String>);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }
        struct CopiedOwner(Arc<str>);
        impl AsRef<[u8]> for CopiedOwner {
            fn as_ref(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }
        match self.0 {
            TextStorage::Borrowed(text) => Bytes::copy_from_slice(text.as_bytes()),
            TextStorage::Copied(text) => Bytes::from_owner(CopiedOwner(text)),
            TextStorage::Whole(text) => match Arc::try_unwrap(text) {
                Ok(text) => Bytes::from(text),
                Err(text) => Bytes::from_owner(Owner(text)),
            },
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        self
    }
}

impl AsRef<[u8]> for Text<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl Eq for Text<'_> {}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl<'b> PartialEq<Text<'b>> for Text<'_> {
    fn eq(&self, other: &Text<'b>) -> bool {
        self.as_str() == other.as_str()
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl<'a> From<&'a str> for Text<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self(TextStorage::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(TextStorage::Whole(Arc::new(text)))
    }
}

impl From<Arc<str>> for Text<'_> {
    fn from(text: Arc<str>) -> Self {
        Self(TextStorage::Copied(text))
    }
}

/// Bytes that borrow the input or are shared ([`Bytes`]); they dereference to `[u8]`.
#[derive(Clone)]
pub struct Binary<'a>(BinaryStorage<'a>);

#[derive(Clone)]
enum BinaryStorage<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

impl<'a> Binary<'a> {
    /// The bytes, for the places where dereferencing does not happen by itself.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            BinaryStorage::Borrowed(bytes) => bytes,
            BinaryStorage::Shared(bytes) => bytes,
        }
    }

    /// The same bytes without a borrow; copies only if they were borrowed.
    #[must_use]
    pub fn into_owned(self) -> Binary<'static> {
        Binary(BinaryStorage::Shared(self.into_bytes()))
    }

    /// The bytes, reference-counted; copied only if they were borrowed.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            BinaryStorage::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            BinaryStorage::Shared(bytes) => bytes,
        }
    }
}

impl Deref for Binary<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Binary<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Binary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.as_slice().escape_ascii())
    }
}

impl Eq for Binary<'_> {}

impl Hash for Binary<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl<'b> PartialEq<Binary<'b>> for Binary<'_> {
    fn eq(&self, other: &Binary<'b>) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl PartialEq<[u8]> for Binary<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        self.as_slice() == other
    }
}

impl PartialEq<&[u8]> for Binary<'_> {
    fn eq(&self, other: &&[u8]) -> bool {
        self.as_slice() == *other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Binary<'_> {
    fn eq(&self, other: &&[u8; N]) -> bool {
        self.as_slice() == *other
    }
}

impl<'a> From<&'a [u8]> for Binary<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        Self(BinaryStorage::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Binary<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self(BinaryStorage::Shared(Bytes::from(bytes)))
    }
}

impl From<Bytes> for Binary<'_> {
    fn from(bytes: Bytes) -> Self {
        Self(BinaryStorage::Shared(bytes))
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
