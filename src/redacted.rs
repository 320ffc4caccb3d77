//! What stands in debug forms for what logs must not hold: payloads, headers, credentials, keys.

use core::fmt;
#[cfg(feature = "std")]
use core::{any::type_name, marker::PhantomData};

/// Shows how many bytes there are and none of them: `<17 bytes>`.
pub(crate) struct Redacted(usize);

impl Redacted {
    pub(crate) fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(bytes.as_ref().len())
    }

    /// For bytes that do not lie in one piece.
    pub(crate) const fn len(len: usize) -> Self {
        Self(len)
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0)
    }
}

/// Shows the length of each of several texts.
pub(crate) struct RedactedList<'a, T>(pub(crate) &'a [T]);

impl<T: AsRef<[u8]>> fmt::Debug for RedactedList<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(Redacted::of)).finish()
    }
}

/// Shows the name of the type in place of a value whose own debug form may show what passes through it: that of
/// tokio's `DuplexStream` does.
#[cfg(feature = "std")]
pub(crate) struct TypeName<T>(PhantomData<fn() -> T>);

#[cfg(feature = "std")]
impl<T> TypeName<T> {
    pub(crate) const fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}

#[cfg(feature = "std")]
impl<T> fmt::Debug for TypeName<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(type_name::<T>())
    }
}
