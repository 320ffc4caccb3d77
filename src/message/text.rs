//! Text of messages, borrowed or shared.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

use bytes::Bytes;

use crate::memory;

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

    /// The bytes without a copy, unless they are borrowed.
    #[cfg(feature = "std")]
    pub(crate) fn to_shared(&self) -> Option<Bytes> {
        match &self.0 {
            TextStorage::Borrowed(_) => None,
            TextStorage::Copied(_) | TextStorage::Whole(_) => Some(self.clone().into_bytes()),
        }
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
        match self.0 {
            TextStorage::Borrowed(text) => memory::owned(text.as_bytes()),
            TextStorage::Copied(text) => Bytes::from_owner(Text(TextStorage::Copied(text))),
            TextStorage::Whole(text) => match Arc::try_unwrap(text) {
                Ok(text) => Bytes::from(text),
                Err(text) => Bytes::from_owner(Text(TextStorage::Whole(text))),
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

/// Equals everything that has the same characters: `str`, `String`, another `Text`.
impl<T: AsRef<str> + ?Sized> PartialEq<T> for Text<'_> {
    fn eq(&self, other: &T) -> bool {
        self.as_str() == other.as_ref()
    }
}

impl PartialEq<Text<'_>> for str {
    fn eq(&self, other: &Text<'_>) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Text<'_>> for &str {
    fn eq(&self, other: &Text<'_>) -> bool {
        *self == other.as_str()
    }
}

impl PartialEq<Text<'_>> for String {
    fn eq(&self, other: &Text<'_>) -> bool {
        self == other.as_str()
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

impl<'a> From<&'a String> for Text<'a> {
    #[inline]
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<Text<'_>> for String {
    fn from(text: Text<'_>) -> Self {
        text.into_string()
    }
}
