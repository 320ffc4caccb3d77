//! The memory of large messages, used again: fresh memory costs more than all else that is done to such a message, as the
//! system and this library both fill it with zeros.

use alloc::vec::Vec;

use bytes::Bytes;

/// From this size on memory is kept, in bytes. A frame that announces less gets none of it.
#[cfg(feature = "std")]
const LARGE: u64 = 256 << 10;

/// The first `len` of these bytes, shared. What lies behind them is of no meaning.
pub(super) fn shared(mut bytes: Vec<u8>, len: usize) -> Bytes {
    #[cfg(feature = "std")]
    if kept::is_worth_it(&bytes) {
        return Bytes::from_owner(kept::Recycled { bytes, len });
    }
    bytes.truncate(len);
    bytes.into()
}

/// Memory of the thread's for `needed` bytes, and for not much more: the message may be kept. Each byte of it may be written over.
pub(super) fn take(needed: u64) -> Option<Vec<u8>> {
    #[cfg(feature = "std")]
    if needed >= LARGE {
        return kept::take(usize::try_from(needed).unwrap_or(usize::MAX));
    }
    let _ = needed;
    None
}

#[cfg(feature = "std")]
mod kept {
    use alloc::vec::Vec;
    use core::cell::RefCell;
    use core::mem;
    use std::thread_local;

    /// The most that a thread keeps, in bytes.
    const MOST: usize = 4 << 20;
    /// The most that one message leaves to it.
    const LARGEST: usize = 2 << 20;

    thread_local! {
        static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) struct Recycled {
        pub(super) bytes: Vec<u8>,
        pub(super) len: usize,
    }

    pub(super) fn is_worth_it(bytes: &Vec<u8>) -> bool {
        (super::LARGE as usize..=LARGEST).contains(&bytes.capacity())
    }

    pub(super) fn take(needed: usize) -> Option<Vec<u8>> {
        let fitting = |spare: &RefCell<Vec<Vec<u8>>>| {
            let mut spare = spare.borrow_mut();
            let place = spare.iter().position(|bytes| bytes.capacity() / 2 <= needed)?;
            Some(spare.swap_remove(place))
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
            // At the end of a thread there is nobody left to keep it for.
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                let kept = spare.iter().map(Vec::capacity).sum::<usize>();
                if kept + self.bytes.capacity() <= MOST {
                    spare.push(mem::take(&mut self.bytes));
                }
            });
        }
    }
}
