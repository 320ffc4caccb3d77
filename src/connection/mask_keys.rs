//! Where a client's masking keys come from (RFC 6455 §5.3, §10.3).

use alloc::boxed::Box;
#[cfg(feature = "tokio")]
use alloc::collections::VecDeque;
use core::fmt;
#[cfg(feature = "tokio")]
use core::mem;

use crate::error::{MaskKeyError, SendError};

/// The source of a client's masking keys, one for every frame it sends.
///
/// RFC 6455 §5.3 asks for a strong source of entropy: a peer that can foretell keys controls the bytes on the wire.
/// With the default features use [`MaskKeys::thread`], elsewhere give a function over the platform's generator.
pub struct MaskKeys(
    /// `None` is the thread's generator, and what a server has, which never asks: a place that costs nothing.
    Option<Box<dyn KeySource>>,
);

/// A source other than the thread's generator.
pub(crate) trait KeySource: Send + Sync {
    /// Returns the next key; [`SendError::Full`] if the caller must refill the stock first.
    fn next(&mut self) -> Result<[u8; 4], SendError>;

    #[cfg(feature = "tokio")]
    fn stock(&mut self) -> Option<&mut KeyStock> {
        None
    }

    /// Whether the stock must be refilled before anything is sent.
    #[cfg(feature = "tokio")]
    fn is_low(&self) -> bool {
        false
    }
}

impl<F: FnMut() -> Result<[u8; 4], MaskKeyError> + Send + Sync> KeySource for F {
    fn next(&mut self) -> Result<[u8; 4], SendError> {
        Ok(self()?)
    }
}

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
    pub(super) fn next(&mut self) -> Result<[u8; 4], SendError> {
        match &mut self.0 {
            Some(source) => source.next(),
            // One word of the generator; an array would take a word for each of its bytes.
            #[cfg(feature = "rand")]
            None => Ok(rand::random::<u32>().to_ne_bytes()),
            #[cfg(not(feature = "rand"))]
            None => Err(SendError::MaskKey),
        }
    }
}

/// Keys that were drawn ahead of their use.
///
/// The application's source may do anything, even use the connection again, so that it must not run under the lock of
/// a connection's halves. They draw the keys outside of the lock, and under the lock the connection uses only these.
#[cfg(feature = "tokio")]
pub(crate) struct KeyStock {
    keys: VecDeque<[u8; 4]>,
    /// The source failed behind these keys.
    failed: bool,
    /// Where further keys come from; `None` while the halves have the source.
    source: Option<Box<dyn KeySource>>,
}

#[cfg(feature = "tokio")]
impl KeyStock {
    const SIZE: usize = 8;
    /// One step of a connection sends at most a pong, a ping, a Close frame and one frame of the application.
    const LOW: usize = 4;

    /// How many keys the stock lacks.
    pub(crate) fn lacking(&self) -> usize {
        if self.failed { 0 } else { Self::SIZE.saturating_sub(self.keys.len()) }
    }

    /// Adds what the source returned. A failure is reported behind the keys that were drawn before it.
    pub(crate) fn add(&mut self, drawn: Result<[u8; 4], SendError>) {
        match drawn {
            Ok(key) => self.keys.push_back(key),
            Err(_) => self.failed = true,
        }
    }
}

#[cfg(feature = "tokio")]
impl KeySource for KeyStock {
    fn next(&mut self) -> Result<[u8; 4], SendError> {
        if let Some(key) = self.keys.pop_front() {
            return Ok(key);
        }
        match &mut self.source {
            _ if mem::take(&mut self.failed) => Err(SendError::MaskKey),
            Some(source) => source.next(),
            None => Err(SendError::Full { needed: 0 }),
        }
    }

    fn stock(&mut self) -> Option<&mut KeyStock> {
        Some(self)
    }

    fn is_low(&self) -> bool {
        self.source.is_none() && !self.failed && self.keys.len() < Self::LOW
    }
}

#[cfg(feature = "tokio")]
impl MaskKeys {
    /// Takes the application's source out, if there is one, and leaves a stock for its keys.
    pub(super) fn detach(&mut self) -> Option<Box<dyn KeySource>> {
        if let Some(stock) = self.0.as_mut()?.stock() {
            return stock.source.take();
        }
        let stock = KeyStock { keys: VecDeque::new(), failed: false, source: None };
        self.0.replace(Box::new(stock))
    }

    /// Puts back what [`detach`](Self::detach) took out. Keys that are left in the stock are used first.
    pub(super) fn attach(&mut self, source: Box<dyn KeySource>) {
        if let Some(stock) = self.stock() {
            stock.source = Some(source);
        }
    }

    pub(super) fn stock(&mut self) -> Option<&mut KeyStock> {
        self.0.as_mut()?.stock()
    }

    #[inline]
    pub(super) fn is_low(&self) -> bool {
        self.0.as_ref().is_some_and(|source| source.is_low())
    }
}

impl fmt::Debug for MaskKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKeys")
    }
}
