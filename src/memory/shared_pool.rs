//! A pool for all threads, of items that are too large for each thread to keep: compression needs them during a message.
//! A compressor of the shared class takes 294,016 bytes, and with a thread for each connection each would keep one.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// How many items are kept while nobody needs them. As many are in use at a time as messages are being processed.
const MAX_KEPT: usize = 8;

pub(crate) struct SharedPool<T>(Mutex<Vec<T>>);

impl<T> SharedPool<T> {
    /// Borrows the item that came back last, which is warm, among those that fit; else a new one.
    pub(crate) fn lease(self: &Arc<Self>, fits: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> Lease<T> {
        let kept = {
            let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            items.iter().rposition(fits).map(|at| items.remove(at))
        };
        Lease { item: Some(kept.unwrap_or_else(new)), pool: self.clone() }
    }

    fn give_back(&self, item: T) {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = if items.len() < MAX_KEPT { None } else { Some(items.remove(0)) };
        items.push(item);
        // Items are freed without the lock.
        drop(items);
        drop(oldest);
    }
}

impl<T> Default for SharedPool<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> fmt::Debug for SharedPool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPool").finish_non_exhaustive()
    }
}

/// An item of a pool, which gets it back when this is dropped.
pub(crate) struct Lease<T> {
    /// There until it is dropped.
    item: Option<T>,
    pool: Arc<SharedPool<T>>,
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            self.pool.give_back(item);
        }
    }
}

impl<T> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.item {
            Some(item) => item,
            None => unreachable!("it is taken when this is dropped"),
        }
    }
}

impl<T> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.item {
            Some(item) => item,
            None => unreachable!("it is taken when this is dropped"),
        }
    }
}

/// A whole message that was compressed, in memory of a pool.
#[derive(Debug)]
pub(crate) struct Inflated {
    pub(crate) scratch: Lease<Box<[u8]>>,
    pub(crate) len: usize,
}

impl Inflated {
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.scratch.get(..self.len).unwrap_or_default()
    }
}
