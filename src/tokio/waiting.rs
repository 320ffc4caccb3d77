//! The tasks that wait for one connection.

use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::mem;
use core::task::Waker;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The number of the receiving side among those who wait.
pub(super) const RECEIVER: u64 = 0;
/// The number of the sending side, where there is only one.
pub(super) const SENDER: u64 = 1;

/// Who waits, by number. As a waker it wakes all of them: each may ask the stream in either direction, and a stream
/// remembers only one task for each.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Vec<(u64, Waker)>>);

// Wakers run and drop what belongs to others: none of that is done under the lock.
impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Waker)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the one before, to be dropped without any lock.
    pub(super) fn set(&self, number: u64, waker: &Waker) -> Option<Waker> {
        let mut waiting = self.lock();
        match waiting.iter_mut().find(|(other, _)| *other == number) {
            Some((_, known)) if known.will_wake(waker) => None,
            Some((_, known)) => Some(mem::replace(known, waker.clone())),
            None => {
                waiting.push((number, waker.clone()));
                None
            }
        }
    }

    /// Returns the one that waited, to be dropped without any lock.
    pub(super) fn remove(&self, number: u64) -> Option<Waker> {
        self.take(|other| other == number).pop().map(|(_, waker)| waker)
    }

    pub(super) fn wake_all_but(&self, number: u64) {
        self.take(|other| other != number).into_iter().for_each(|(_, waker)| waker.wake());
    }

    fn take(&self, which: impl Fn(u64) -> bool) -> Vec<(u64, Waker)> {
        let mut waiting = self.lock();
        let mut taken = Vec::new();
        let mut at = 0;
        while let Some((number, _)) = waiting.get(at) {
            if which(*number) { taken.push(waiting.swap_remove(at)) } else { at += 1 }
        }
        taken
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.take(|_| true).into_iter().for_each(|(_, waker)| waker.wake());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering};

    /// Asks for the lock whenever it is woken or dropped.
    struct Nosy(Arc<Waiting>, Arc<AtomicUsize>);

    impl Wake for Nosy {
        fn wake(self: Arc<Self>) {
            drop(self.0.remove(9));
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Drop for Nosy {
        fn drop(&mut self) {
            drop(self.0.remove(9));
        }
    }

    #[test]
    fn wakers_may_come_back_while_they_are_woken_replaced_and_dropped() {
        let (waiting, woken) = (Arc::new(Waiting::default()), Arc::new(AtomicUsize::new(0)));
        let nosy = || Waker::from(Arc::new(Nosy(waiting.clone(), woken.clone())));
        assert!(waiting.set(RECEIVER, &nosy()).is_none());
        assert!(waiting.set(RECEIVER, &nosy()).is_some());
        assert!(waiting.set(SENDER, &nosy()).is_none());
        assert!(waiting.remove(SENDER).is_some());
        assert!(waiting.set(SENDER, &nosy()).is_none());
        waiting.wake_all_but(RECEIVER);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        Waker::from(waiting.clone()).wake();
        assert_eq!(woken.load(Ordering::Relaxed), 2, "who was woken has to wait again");
    }
}
