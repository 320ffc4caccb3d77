//! What connections borrow for the time of a message.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;

use zlib_rs::Inflate;

use super::compressor::Compressor;
use super::settings::Deflate;
use crate::memory::{Lease, SharedPool};

/// The output of one step, in bytes: most messages whole, or the 32 KiB that the next step may refer to and what is new.
const SCRATCH: usize = 128 << 10;

pub(crate) type Scratch = Box<[u8]>;

#[derive(Debug, Default)]
pub(crate) struct Pool {
    compressors: Arc<SharedPool<Compressor>>,
    inflaters: Arc<SharedPool<Inflate>>,
    scratches: Arc<SharedPool<Scratch>>,
}

impl Deflate {
    /// A compressor that knows nothing yet, with a window of at most `bits`.
    pub(crate) fn compressor(&self, bits: u8) -> Lease<Compressor> {
        let fits = |kept: &Compressor| kept.window_bits() == bits && kept.suits(self);
        let mut compressor = self.pool.compressors.lease(fits, || Compressor::new(self, bits));
        compressor.forget();
        compressor
    }

    /// An inflater that knows nothing yet. Its window is the largest there is.
    pub(super) fn inflater(&self) -> Lease<Inflate> {
        let mut inflater = self.pool.inflaters.lease(|_| true, || Inflate::new(false, 15));
        inflater.reset(false);
        inflater
    }

    pub(super) fn scratch(&self) -> Lease<Scratch> {
        self.pool.scratches.lease(|_| true, || vec![0; SCRATCH].into_boxed_slice())
    }
}
