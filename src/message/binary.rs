//! Bytes of messages, borrowed or shared.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

use bytes::Bytes;

use crate::memory;

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

    /// The bytes without a copy, unless they are borrowed.
    #[cfg(feature = "std")]
    pub(crate) fn to_shared(&self) -> Option<Bytes> {
        match &self.0 {
            BinaryStorage::Borrowed(_) => None,
            BinaryStorage::Shared(bytes) => Some(bytes.clone()),
        }
    }

    /// The same bytes without a borrow; copies only if they were borrowed.
    #[must_use]
    pub fn into_owned(self) -> Binary<'static> {
        Binary(BinaryStorage::Shared(self.into_bytes()))
    }

    /// The bytes, reference-counted; copied only if they were borrowed.
    ///
    /// What was received or copied of 16 KiB to 2 MiB lies in memory that goes back to the thread for other messages, and
    /// may be up to twice as large: a `Vec` is made of it by a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            BinaryStorage::Borrowed(bytes) => memory::owned(bytes),
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

/// Equals everything that has the same bytes: slices, arrays, vectors, [`Bytes`], another `Binary`.
impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Binary<'_> {
    fn eq(&self, other: &T) -> bool {
        self.as_slice() == other.as_ref()
    }
}

impl PartialEq<Binary<'_>> for [u8] {
    fn eq(&self, other: &Binary<'_>) -> bool {
        self == other.as_slice()
    }
}

impl PartialEq<Binary<'_>> for &[u8] {
    fn eq(&self, other: &Binary<'_>) -> bool {
        *self == other.as_slice()
    }
}

impl PartialEq<Binary<'_>> for Vec<u8> {
    fn eq(&self, other: &Binary<'_>) -> bool {
        self == other.as_slice()
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

impl<'a, const N: usize> From<&'a [u8; N]> for Binary<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl From<Box<[u8]>> for Binary<'_> {
    fn from(bytes: Box<[u8]>) -> Self {
        Self(BinaryStorage::Shared(Bytes::from(bytes)))
    }
}

impl<'a> From<Cow<'a, [u8]>> for Binary<'a> {
    fn from(bytes: Cow<'a, [u8]>) -> Self {
        match bytes {
            Cow::Borrowed(bytes) => bytes.into(),
            Cow::Owned(bytes) => bytes.into(),
        }
    }
}

impl From<Binary<'_>> for Bytes {
    fn from(bytes: Binary<'_>) -> Self {
        bytes.into_bytes()
    }
}
