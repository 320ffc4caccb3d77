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
/// A number that no half has.
pub(super) const NOBODY: u64 = u64::MAX;

/// Who waits, by number. As a waker it wakes all of them: each may ask the stream in either direction, and a stream
/// remembers only one task for each.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Tasks>);

#[derive(Debug, Default)]
struct Tasks {
    wakers: Vec<(u64, Waker)>,
    /// How many halves poll the connection, or wait for its lock.
    polls: usize,
    /// All are to be woken once a poll has ended.
    wake_later: bool,
}

// Wakers run, clone and drop what belongs to others: none of that is done under this lock or that of the halves.
impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the one before, to be dropped without any lock.
    pub(super) fn set(&self, number: u64, waker: &Waker) -> Option<Waker> {
        if self.lock().knows(number, waker) {
            return None;
        }
        let waker = waker.clone();
        self.lock().set(number, waker)
    }

    /// A half is about to take the lock of the connection and to poll it. Until the result is dropped, which must
    /// happen without that lock, nobody is woken from inside the poll.
    pub(super) fn begin_poll(&self, number: u64, waker: &Waker) -> Polling<'_> {
        let mut tasks = self.lock();
        if tasks.knows(number, waker) {
            tasks.polls += 1;
        } else {
            drop(tasks);
            let waker = waker.clone();
            let mut tasks = self.lock();
            tasks.polls += 1;
            let before = tasks.set(number, waker);
            drop(tasks);
            drop(before);
        }
        Polling { waiting: self, number, has_ended: false }
    }

    /// Returns the one that waited, to be dropped without any lock.
    pub(super) fn remove(&self, number: u64) -> Option<Waker> {
        self.lock().take(|other| other == number).pop().map(|(_, waker)| waker)
    }

    pub(super) fn wake_all_but(&self, number: u64) {
        let woken = self.lock().take(|other| other != number);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl Tasks {
    /// Compares the wakers without running any code of theirs.
    fn knows(&self, number: u64, waker: &Waker) -> bool {
        self.wakers.iter().any(|(other, known)| *other == number && known.will_wake(waker))
    }

    fn set(&mut self, number: u64, waker: Waker) -> Option<Waker> {
        match self.wakers.iter_mut().find(|(other, _)| *other == number) {
            Some((_, known)) => Some(mem::replace(known, waker)),
            None => {
                self.wakers.push((number, waker));
                None
            }
        }
    }

    fn take(&mut self, which: impl Fn(u64) -> bool) -> Vec<(u64, Waker)> {
        let mut taken = Vec::new();
        let mut at = 0;
        while let Some((number, _)) = self.wakers.get(at) {
            if which(*number) { taken.push(self.wakers.swap_remove(at)) } else { at += 1 }
        }
        taken
    }
}

/// A poll of a half that goes on; wakes those that were to be woken meanwhile when it is dropped.
#[derive(Debug)]
pub(super) struct Polling<'a> {
    waiting: &'a Waiting,
    number: u64,
    /// Whether the call has ended, so that the half does not wait any more.
    pub(super) has_ended: bool,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        let mut tasks = self.waiting.lock();
        tasks.polls -= 1;
        let ended = if self.has_ended { tasks.take(|number| number == self.number) } else { Vec::new() };
        let woken = if mem::take(&mut tasks.wake_later) { tasks.take(|_| true) } else { Vec::new() };
        drop(tasks);
        drop(ended);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut tasks = self.lock();
        if tasks.polls > 0 {
            // This may be the stream inside a poll, with the lock of the halves held.
            tasks.wake_later = true;
            return;
        }
        let woken = tasks.take(|_| true);
        drop(tasks);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
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

    #[test]
    fn who_is_woken_from_inside_a_poll_runs_after_it() {
        let (waiting, woken) = (Arc::new(Waiting::default()), Arc::new(AtomicUsize::new(0)));
        let nosy = Waker::from(Arc::new(Nosy(waiting.clone(), woken.clone())));
        let polling = waiting.begin_poll(SENDER, &nosy);
        Waker::from(waiting.clone()).wake();
        assert_eq!(woken.load(Ordering::Relaxed), 0);
        drop(polling);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        let mut polling = waiting.begin_poll(SENDER, &nosy);
        Waker::from(waiting.clone()).wake();
        polling.has_ended = true;
        drop(polling);
        assert_eq!(woken.load(Ordering::Relaxed), 1, "its call has ended");
    }
}
