//! The memory of large messages, used again: fresh memory costs more than all else that is done to such a message, as the
//! system and this library both fill it with zeros, and an allocator gives it back as soon as a batch has left.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::redacted::Redacted;
use bytes::Bytes;

/// Memory of an earlier message, for one that is being gathered. Each byte of it may be written over.
pub(crate) struct Recycled {
    pub(crate) bytes: Vec<u8>,
    pub(crate) loan: Loan,
}

/// What is lent to a message that has not ended, in bytes: until then it may be no more than announced.
#[derive(Debug, Default)]
pub(crate) struct Loan(#[cfg(feature = "std")] usize);

/// Memory for a message of which `needed` bytes are announced: not much more, as the message may be kept.
pub(crate) fn lend(needed: u64) -> Option<Recycled> {
    #[cfg(feature = "std")]
    return kept::lend(usize::try_from(needed).unwrap_or(usize::MAX));
    #[cfg(not(feature = "std"))]
    return None.filter(|_| needed > 0);
}

/// Memory for `needed` bytes that are there.
pub(crate) fn take(needed: usize) -> Option<Vec<u8>> {
    #[cfg(feature = "std")]
    return kept::take(needed);
    #[cfg(not(feature = "std"))]
    return None.filter(|_| needed > 0);
}

/// A part of these bytes, shared. What lies around it is of no meaning.
pub(crate) fn shared(mut bytes: Vec<u8>, part: Range<usize>) -> Bytes {
    #[cfg(feature = "std")]
    if kept::is_worth_it(bytes.capacity()) {
        return Bytes::from_owner(kept::Returning { bytes, part });
    }
    bytes.truncate(part.end);
    Bytes::from(bytes).split_off(part.start)
}

/// Frees what this thread keeps.
#[cfg(feature = "std")]
pub(crate) use kept::free;

#[cfg(feature = "std")]
mod kept {
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;
    use core::cell::RefCell;
    use core::mem;
    use core::ops::Range;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::thread_local;

    use super::{Loan, Recycled};
    use crate::copy::PAGE;

    /// The most that a thread keeps, in bytes.
    const MOST: usize = 4 << 20;
    /// The least and the most that one message leaves to it.
    const SMALLEST: usize = 16 << 10;
    const LARGEST: usize = (2 << 20) + PAGE;
    /// The most that all unfinished messages of the process together have been lent, in bytes.
    const MOST_LENT: usize = 16 << 20;

    static LENT: AtomicUsize = AtomicUsize::new(0);

    thread_local! {
        static SPARE: RefCell<Spare> =
            const { RefCell::new(Spare { memory: VecDeque::new(), size: 0, is_used: false }) };
    }

    struct Spare {
        /// What came last is at the front: it may still be in a cache.
        memory: VecDeque<Vec<u8>>,
        size: usize,
        /// Whether this thread ever needs any. One that only drops messages keeps nothing.
        is_used: bool,
    }

    pub(super) struct Returning {
        pub(super) bytes: Vec<u8>,
        pub(super) part: Range<usize>,
    }

    pub(super) fn is_worth_it(capacity: usize) -> bool {
        (SMALLEST..=LARGEST).contains(&capacity)
    }

    pub(super) fn lend(needed: usize) -> Option<Recycled> {
        let bytes = take(needed)?;
        let Some(loan) = Loan::of(bytes.capacity()) else {
            // For those that have arrived.
            drop(Returning { bytes, part: 0..0 });
            return None;
        };
        Some(Recycled { bytes, loan })
    }

    impl Loan {
        fn of(size: usize) -> Option<Self> {
            let before = LENT.fetch_add(size, Ordering::Relaxed);
            let loan = Self(size);
            (before + size <= MOST_LENT).then_some(loan)
        }
    }

    impl Drop for Loan {
        fn drop(&mut self) {
            if self.0 > 0 {
                LENT.fetch_sub(self.0, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn take(needed: usize) -> Option<Vec<u8>> {
        if !is_worth_it(needed) {
            return None;
        }
        let fitting = |spare: &RefCell<Spare>| {
            let mut spare = spare.borrow_mut();
            spare.is_used = true;
            let fits = |bytes: &Vec<u8>| (needed..=2 * needed).contains(&bytes.capacity());
            let place = spare.memory.iter().position(fits)?;
            let bytes = spare.memory.remove(place)?;
            spare.size -= bytes.capacity();
            Some(bytes)
        };
        SPARE.try_with(fitting).ok().flatten()
    }

    pub(crate) fn free() {
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.size > 0 {
                spare.size = 0;
                spare.memory = VecDeque::new();
            }
        });
    }

    impl AsRef<[u8]> for Returning {
        fn as_ref(&self) -> &[u8] {
            self.bytes.get(self.part.clone()).unwrap_or_default()
        }
    }

    impl Drop for Returning {
        fn drop(&mut self) {
            let bytes = mem::take(&mut self.bytes);
            // At the end of a thread there is nobody left to keep it for.
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                if !spare.is_used {
                    return;
                }
                spare.size += bytes.capacity();
                spare.memory.push_front(bytes);
                while spare.size > MOST {
                    spare.size -= spare.memory.pop_back().map_or(spare.size, |oldest| oldest.capacity());
                }
            });
        }
    }
}

impl fmt::Debug for Recycled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recycled")
            .field("bytes", &Redacted::of(&self.bytes))
            .field("loan", &self.loan)
            .finish()
    }
}
