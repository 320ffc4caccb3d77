//! The memory of large messages, used again: fresh memory costs more than all else that is done to such a message, as the
//! system and this library both fill it with zeros, and an allocator gives it back as soon as a batch has left.

use alloc::vec::Vec;

use bytes::Bytes;

/// Memory of the thread's for `needed` bytes, and for not much more: the message may be kept. Each byte of it may be
/// written over.
pub(crate) fn take(needed: u64) -> Option<Vec<u8>> {
    #[cfg(feature = "std")]
    return kept::take(usize::try_from(needed).unwrap_or(usize::MAX));
    #[cfg(not(feature = "std"))]
    return None.filter(|_| needed > 0);
}

/// The first `len` of these bytes, shared. What lies behind them is of no meaning.
pub(crate) fn shared(mut bytes: Vec<u8>, len: usize) -> Bytes {
    #[cfg(feature = "std")]
    if kept::is_worth_it(bytes.capacity()) {
        return Bytes::from_owner(kept::Recycled { bytes, len });
    }
    bytes.truncate(len);
    bytes.into()
}

#[cfg(feature = "std")]
mod kept {
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;
    use core::cell::RefCell;
    use core::mem;
    use std::thread_local;

    /// The most that a thread keeps, in bytes.
    const MOST: usize = 4 << 20;
    /// The least and the most that one message leaves to it.
    const SMALLEST: usize = 16 << 10;
    const LARGEST: usize = 2 << 20;

    thread_local! {
        static SPARE: RefCell<Spare> = const { RefCell::new(Spare { memory: VecDeque::new(), size: 0 }) };
    }

    struct Spare {
        /// What came last is at the front: it may still be in a cache.
        memory: VecDeque<Vec<u8>>,
        size: usize,
    }

    pub(super) struct Recycled {
        pub(super) bytes: Vec<u8>,
        pub(super) len: usize,
    }

    pub(super) fn is_worth_it(capacity: usize) -> bool {
        (SMALLEST..=LARGEST).contains(&capacity)
    }

    pub(super) fn take(needed: usize) -> Option<Vec<u8>> {
        if !is_worth_it(needed) {
            return None;
        }
        let fitting = |spare: &RefCell<Spare>| {
            let mut spare = spare.borrow_mut();
            let fits = |bytes: &Vec<u8>| (needed..=2 * needed).contains(&bytes.capacity());
            let place = spare.memory.iter().position(fits)?;
            let bytes = spare.memory.remove(place)?;
            spare.size -= bytes.capacity();
            Some(bytes)
        };
        SPARE.try_with(fitting).ok().flatten()
    }

    impl AsRef<[u8]> for Recycled {
        fn as_ref(&self) -> &[u8] {
            self.bytes.get(..self.len).unwrap_or_default()
        }
    }

    impl Drop for Recycled {
        fn drop(&mut self) {
            let bytes = mem::take(&mut self.bytes);
            // At the end of a thread there is nobody left to keep it for.
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                spare.size += bytes.capacity();
                spare.memory.push_front(bytes);
                while spare.size > MOST {
                    spare.size -= spare.memory.pop_back().map_or(spare.size, |oldest| oldest.capacity());
                }
            });
        }
    }
}
