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
const KEPT: usize = 8;
/// The output of one step, in bytes: most messages whole, or the 32 KiB that the next step may refer to and what is new.
const SCRATCH: usize = 128 << 10;

pub(crate) type Scratch = Box<[u8]>;

#[derive(Default)]
pub(crate) struct Pool {
    compressors: Arc<Shelf<Compressor>>,
    inflaters: Arc<Shelf<Inflate>>,
    scratches: Arc<Shelf<Scratch>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// Items that nobody needs now; the one that was used last, and is warm, at the end.
struct Shelf<T>(Mutex<Vec<T>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Shelf<T> {
    /// The last item that fits, or a new one.
    fn lease(self: &Arc<Self>, fits: impl Fn(&T) -> bool, make: impl FnOnce(Option<T>) -> T) -> Lease<T> {
        let kept = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.iter().rposition(fits).map(|at| kept.remove(at))
        };
        Lease { item: Some(make(kept)), shelf: self.clone() }
    }
}

/// Something of a pool's, which goes back when this is dropped.
pub(crate) struct Lease<T> {
    /// There until it is dropped.
    item: Option<T>,
    shelf: Arc<Shelf<T>>,
}

impl Deflate {
    /// A compressor that knows nothing yet, with a window of at most `bits`.
    pub(crate) fn compressor(&self, bits: u8) -> Lease<Compressor> {
        let fits = |kept: &Compressor| kept.window_bits() == bits && kept.suits(self);
        self.pool.compressors.lease(fits, |kept| match kept {
            Some(mut kept) => {
                kept.forget();
                kept
            }
            None => Compressor::new(self, bits),
        })
    }

    /// An inflater that knows nothing yet. Its window is the largest there is.
    pub(super) fn inflater(&self) -> Lease<Inflate> {
        self.pool.inflaters.lease(
            |_| true,
            |kept| match kept {
                Some(mut kept) => {
                    kept.reset(false);
                    kept
                }
                None => Inflate::new(false, 15),
            },
        )
    }

    pub(super) fn scratch(&self) -> Lease<Scratch> {
        let make = || vec![0; SCRATCH].into_boxed_slice();
        self.pool.scratches.lease(|_| true, |kept| kept.unwrap_or_else(make))
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        let Some(item) = self.item.take() else { return };
        let mut kept = self.shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unwanted = if kept.len() < KEPT { None } else { Some(kept.remove(0)) };
        kept.push(item);
        // What is freed is freed without the lock.
        drop(kept);
        drop(unwanted);
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
