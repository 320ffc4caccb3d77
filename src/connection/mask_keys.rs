//! Where a client's masking keys come from (RFC 6455 §5.3, §10.3).

use alloc::boxed::Box;
use core::fmt;

use crate::error::MaskKeyError;

/// The source of a client's masking keys, one for every frame it sends.
///
/// RFC 6455 §5.3 asks for a strong source of entropy: a peer that can foretell keys controls the bytes on the wire.
/// With the default features use [`MaskKeys::thread`], elsewhere give a function over the platform's generator.
pub struct MaskKeys(
    /// `None` is the thread's generator, and what a server has, which never asks: a place that costs nothing.
    Option<Box<KeyFn>>,
);

type KeyFn = dyn FnMut() -> Result<[u8; 4], MaskKeyError> + Send + Sync;

impl MaskKeys {
    /// Keys from the calling thread's CSPRNG, which the operating system seeds. Needs no memory of its own.
    ///
    /// After `fork` the parent and the child have the same generator and would send with the same keys. A program that
    /// forks and goes on without `exec` calls [`reseed_thread`](Self::reseed_thread) in the child before the child's
    /// first connection, or uses [`from_fn`](Self::from_fn) over the operating system's generator.
    #[cfg(feature = "rand")]
    #[must_use]
    pub const fn thread() -> Self {
        Self(None)
    }

    /// Seeds the calling thread's generator anew from the operating system, for the child after a `fork`.
    ///
    /// The thread that called `fork` is the only one that goes on in the child; threads that start later have
    /// generators of their own.
    ///
    /// # Errors
    ///
    /// The operating system had no random bytes to give; then the keys are still those of the parent.
    #[cfg(feature = "rand")]
    pub fn reseed_thread() -> Result<(), MaskKeyError> {
        rand::rng().reseed().map_err(|_| MaskKeyError)
    }

    /// Keys from `source`, which is asked for each frame and may fail; then nothing is sent.
    ///
    /// ```
    /// use sansocket::{MaskKeyError, MaskKeys};
    ///
    /// fn from_hardware() -> Result<[u8; 4], MaskKeyError> {
    ///     # Ok([0; 4])
    ///     // ask the platform's true random number generator here
    /// }
    ///
    /// let keys = MaskKeys::from_fn(from_hardware);
    /// ```
    #[must_use]
    pub fn from_fn(source: impl FnMut() -> Result<[u8; 4], MaskKeyError> + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(source)))
    }

    /// For a server, which masks nothing.
    pub(super) const fn unused() -> Self {
        Self(None)
    }

    /// RFC 6455 §5.3: "When preparing a masked frame, the client MUST pick a fresh masking key from the set of
    /// allowed 32-bit values."
    #[inline]
    pub(super) fn next(&mut self) -> Result<[u8; 4], MaskKeyError> {
        match &mut self.0 {
            Some(source) => source(),
            // One word of the generator; an array would take a word for each of its bytes.
            #[cfg(feature = "rand")]
            None => Ok(rand::random::<u32>().to_ne_bytes()),
            #[cfg(not(feature = "rand"))]
            None => Err(MaskKeyError),
        }
    }
}

impl fmt::Debug for MaskKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKeys")
    }
}
