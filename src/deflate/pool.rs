//! What connections borrow for the time of a message.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use zlib_rs::Inflate;

use super::compressor::Compressor;
use super::settings::Deflate;

/// How many of each kind are kept while nobody needs them. There are as many at a time as messages are in the works.
const SPARES: usize = 8;
/// The output of one step, in bytes: most messages whole, or the 32 KiB that the next step may refer to and what is new.
const SCRATCH: usize = 128 << 10;

pub(crate) type Scratch = Box<[u8]>;

#[derive(Default)]
pub(crate) struct Pool {
    compressors: Mutex<Vec<Compressor>>,
    inflaters: Mutex<Vec<Inflate>>,
    scratches: Mutex<Vec<Scratch>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// Something of a pool's, which goes back when this is dropped.
pub(crate) struct Lease<T: Pooled> {
    /// There until it is dropped.
    item: Option<T>,
    pool: Arc<Pool>,
}

pub(crate) trait Pooled: Sized {
    fn spares(pool: &Pool) -> &Mutex<Vec<Self>>;
}

impl Pooled for Compressor {
    fn spares(pool: &Pool) -> &Mutex<Vec<Self>> {
        &pool.compressors
    }
}

impl Pooled for Inflate {
    fn spares(pool: &Pool) -> &Mutex<Vec<Self>> {
        &pool.inflaters
    }
}

impl Pooled for Scratch {
    fn spares(pool: &Pool) -> &Mutex<Vec<Self>> {
        &pool.scratches
    }
}

impl Deflate {
    /// A compressor that knows nothing yet, with a window of at most `bits`.
    pub(crate) fn compressor(&self, bits: u8) -> Lease<Compressor> {
        let fits = |spare: &Compressor| spare.window_bits() == bits && spare.suits(self);
        let spare = take(&self.pool, fits).map(|mut spare: Compressor| {
            spare.forget();
            spare
        });
        self.lease(spare.unwrap_or_else(|| Compressor::new(self, bits)))
    }

    /// An inflater that knows nothing yet. Its window is the largest there is.
    pub(super) fn inflater(&self) -> Lease<Inflate> {
        let spare = take(&self.pool, |_| true).map(|mut spare: Inflate| {
            spare.reset(false);
            spare
        });
        self.lease(spare.unwrap_or_else(|| Inflate::new(false, 15)))
    }

    pub(super) fn scratch(&self) -> Lease<Scratch> {
        self.lease(take(&self.pool, |_| true).unwrap_or_else(|| vec![0; SCRATCH].into_boxed_slice()))
    }

    fn lease<T: Pooled>(&self, item: T) -> Lease<T> {
        Lease { item: Some(item), pool: self.pool.clone() }
    }
}

fn take<T: Pooled>(pool: &Pool, fits: impl Fn(&T) -> bool) -> Option<T> {
    let mut spares = T::spares(pool).lock().unwrap_or_else(PoisonError::into_inner);
    // The one that was used last is warm.
    let at = spares.iter().rposition(fits)?;
    Some(spares.remove(at))
}

impl<T: Pooled> Drop for Lease<T> {
    fn drop(&mut self) {
        let Some(item) = self.item.take() else { return };
        let mut spares = T::spares(&self.pool).lock().unwrap_or_else(PoisonError::into_inner);
        let unwanted = if spares.len() < SPARES { None } else { Some(spares.remove(0)) };
        spares.push(item);
        // What is freed is freed without the lock.
        drop(spares);
        drop(unwanted);
    }
}

impl<T: Pooled> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

impl<T: Pooled> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.item {
            Some(item) => item,
            None => unreachable!("it is taken when this is dropped"),
        }
    }
}

impl<T: Pooled> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.item {
            Some(item) => item,
            None => unreachable!("it is taken when this is dropped"),
        }
    }
}
