//! The buffers that a thread keeps for whichever of its connections needs one next.
//!
//! So an idle connection holds none, and none is allocated for a read: borrowing one and reading 1 KiB takes 0.1 µs, allocating
//! 260 KiB of zeros for it 15 µs.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use std::thread_local;

use super::recycled::Messages;

/// How many buffers of one sort a thread keeps.
const MAX_KEPT: usize = 4;

thread_local! {
    static POOL: BufferPool = const {
        BufferPool {
            read_buffers: Stack::new(),
            queues: Stack::new(),
            large_queue: Cell::new(None),
            messages: RefCell::new(Messages::new()),
        }
    };
}

pub(super) struct BufferPool {
    pub(super) read_buffers: Stack<Box<[u8]>>,
    /// Empty queues of up to [`MODEST`](super::queue::MODEST) bytes.
    pub(super) queues: Stack<Vec<u8>>,
    /// The latest larger one: it grew with one batch, so that the next batch of any connection need not grow another.
    pub(super) large_queue: Cell<Option<Vec<u8>>>,
    pub(super) messages: RefCell<Messages>,
}

impl BufferPool {
    /// Runs `act` on the pool of this thread. At the end of a thread there is none any more: then `None`.
    #[inline]
    pub(super) fn with<R>(act: impl FnOnce(&Self) -> R) -> Option<R> {
        POOL.try_with(act).ok()
    }
}

/// Hands out the buffer that came back last, which may still be in a cache. One slot stands apart, because nearly always no
/// other buffer is kept, and a `Cell` needs no check.
pub(super) struct Stack<T> {
    latest: Cell<Option<T>>,
    others: RefCell<Vec<T>>,
}

impl<T> Stack<T> {
    const fn new() -> Self {
        Self { latest: Cell::new(None), others: RefCell::new(Vec::new()) }
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<T> {
        self.latest.take().or_else(|| self.pop_other())
    }

    #[inline]
    pub(super) fn push(&self, buffer: T) {
        if let Some(before) = self.latest.replace(Some(buffer)) {
            self.push_other(before);
        }
    }

    #[cold]
    fn pop_other(&self) -> Option<T> {
        self.others.borrow_mut().pop()
    }

    #[cold]
    fn push_other(&self, buffer: T) {
        let mut others = self.others.borrow_mut();
        if others.len() < MAX_KEPT - 1 {
            others.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_comes_first_and_no_more_than_four_are_kept() {
        let buffers = Stack::new();
        assert_eq!(buffers.pop(), None);
        (1..=6).for_each(|buffer| buffers.push(buffer));
        assert_eq!([(); 5].map(|()| buffers.pop()), [Some(6), Some(3), Some(2), Some(1), None]);
    }
}
