//! The tasks that wait for one connection.

use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::mem;
use core::task::Waker;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::State;
use crate::engine::Snapshot;

/// The number of the receiving side among those who wait.
pub(super) const RECEIVER: u64 = 0;
/// The number of the sending side, where there is only one.
pub(super) const SENDER: u64 = 1;
/// A number that no half has.
pub(super) const NOBODY: u64 = u64::MAX;

/// The sides that a change wakes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Audience {
    Receiver,
    Senders,
    All,
}

impl Audience {
    /// Returns the sides that wait for this change, `None` without one: the receiver writes what was queued, senders wait for room and
    /// for bytes to leave, and all of them for the end. A receiver that ends the connection waits for bytes too.
    pub(super) fn of(before: Snapshot, after: Snapshot) -> Option<Self> {
        if before == after {
            return None;
        }
        let is_open = before.state == State::Open && after.state == State::Open;
        if !is_open || before.output_failed != after.output_failed {
            return Some(Self::All);
        }
        match (after.has_less_than(before), before.has_less_than(after)) {
            (true, true) => Some(Self::All),
            (true, false) => Some(Self::Senders),
            (false, _) => Some(Self::Receiver),
        }
    }
}

/// The sides that wait, by number. As a waker it wakes all of them: each may ask the stream in either direction, and a stream
/// remembers only one task for each.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Tasks>);

#[derive(Debug, Default)]
struct Tasks {
    registered: Wakers,
    /// How many halves poll the connection, or wait for its lock.
    polls: usize,
    /// How often the receiver and the senders were woken. A poll during which that changed may have missed what it would
    /// wait for.
    wakes: [usize; 2],
    /// All are to be woken once a poll has ended.
    wake_later: bool,
}

/// Wakers by number, without an allocation for the receiver and the first sender.
#[derive(Debug, Default)]
struct Wakers {
    pair: [Option<Waker>; 2],
    clones: Vec<(u64, Waker)>,
}

// Wakers run, clone and drop what belongs to others: none of that is done under this lock or that of the halves.
impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the one before, to be dropped without any lock.
    pub(super) fn set(&self, number: u64, waker: &Waker) -> Option<Waker> {
        if self.lock().registered.contains(number, waker) {
            return None;
        }
        let waker = waker.clone();
        self.lock().registered.set(number, waker)
    }

    /// A half is about to take the lock of the connection and to poll it. Until the result is dropped, which must
    /// happen without that lock, nobody is woken from inside the poll.
    ///
    /// The half is registered at the end, and only if it has to wait: most polls find a message or send one.
    pub(super) fn begin_poll<'a>(&'a self, number: u64, waker: &'a Waker) -> Polling<'a> {
        let mut tasks = self.lock();
        tasks.polls += 1;
        let call = Call { number, waker, wakes: tasks.wakes_of(number) };
        Polling { waiting: self, call, has_ended: false }
    }

    /// How often those like `number` were woken.
    pub(super) fn wakes_of(&self, number: u64) -> usize {
        self.lock().wakes_of(number)
    }

    /// Ends a call that began after so many `wakes`: registers who has to wait. Call it without any lock.
    pub(super) fn end_call(&self, number: u64, waker: &Waker, wakes: usize, has_ended: bool) {
        self.end(&Call { number, waker, wakes }, has_ended, 0);
    }

    fn end(&self, call: &Call<'_>, has_ended: bool, polls: usize) {
        let &Call { number, waker, wakes } = call;
        let mut tasks = self.lock();
        let mut new = None;
        if !has_ended && tasks.wakes_of(number) == wakes && !tasks.registered.contains(number, waker) {
            drop(tasks);
            new = Some(waker.clone());
            tasks = self.lock();
        }
        tasks.polls -= polls;
        // Somebody was woken before this side was registered: it polls again, as if it had been among them.
        let has_missed = !has_ended && tasks.wakes_of(number) != wakes;
        let old = match new.take_if(|_| !has_missed) {
            Some(new) => tasks.registered.set(number, new),
            None if has_ended || has_missed => tasks.registered.remove(number),
            None => None,
        };
        let woken = mem::take(&mut tasks.wake_later).then(|| mem::take(&mut tasks.registered));
        drop(tasks);
        drop((old, new));
        if has_missed {
            waker.wake_by_ref();
        }
        if let Some(woken) = woken {
            woken.wake();
        }
    }

    /// Returns the one that waited, to be dropped without any lock.
    pub(super) fn remove(&self, number: u64) -> Option<Waker> {
        self.lock().registered.remove(number)
    }

    pub(super) fn wake_all_but(&self, number: u64) {
        self.wake_others(number, Audience::All);
    }

    /// Wakes those of `audience` but half `number`.
    pub(super) fn wake_others(&self, number: u64, audience: Audience) {
        let mut tasks = self.lock();
        tasks.count_wake(audience);
        let mut spared = [None, None];
        if audience == Audience::Senders {
            spared[0] = tasks.registered.remove(RECEIVER);
        }
        spared[1] = tasks.registered.remove(number);
        let woken = if audience == Audience::Receiver {
            Wakers { pair: [tasks.registered.remove(RECEIVER), None], ..Wakers::default() }
        } else {
            mem::take(&mut tasks.registered)
        };
        for (number, spared) in [RECEIVER, number].into_iter().zip(spared) {
            if let Some(waker) = spared {
                tasks.registered.set(number, waker);
            }
        }
        drop(tasks);
        woken.wake();
    }
}

impl Tasks {
    const fn wakes_of(&self, number: u64) -> usize {
        self.wakes[(number != RECEIVER) as usize]
    }

    const fn count_wake(&mut self, audience: Audience) {
        let [receiver, senders] = &mut self.wakes;
        if !matches!(audience, Audience::Senders) {
            *receiver = receiver.wrapping_add(1);
        }
        if !matches!(audience, Audience::Receiver) {
            *senders = senders.wrapping_add(1);
        }
    }
}

impl Wakers {
    /// Compares the wakers without running any code of theirs.
    fn contains(&self, number: u64, waker: &Waker) -> bool {
        let known = match self.pair.get(number as usize) {
            Some(known) => known.as_ref(),
            None => self.clones.iter().find(|(other, _)| *other == number).map(|(_, known)| known),
        };
        known.is_some_and(|known| known.will_wake(waker))
    }

    fn set(&mut self, number: u64, waker: Waker) -> Option<Waker> {
        if let Some(known) = self.pair.get_mut(number as usize) {
            return known.replace(waker);
        }
        match self.clones.iter_mut().find(|(other, _)| *other == number) {
            Some((_, known)) => Some(mem::replace(known, waker)),
            None => {
                self.clones.push((number, waker));
                None
            }
        }
    }

    fn remove(&mut self, number: u64) -> Option<Waker> {
        if let Some(known) = self.pair.get_mut(number as usize) {
            return known.take();
        }
        let at = self.clones.iter().position(|(other, _)| *other == number)?;
        Some(self.clones.swap_remove(at).1)
    }

    fn wake(self) {
        self.pair.into_iter().flatten().for_each(Waker::wake);
        self.clones.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// A call of one side.
#[derive(Debug)]
struct Call<'a> {
    number: u64,
    waker: &'a Waker,
    /// How often those like it had been woken when it began.
    wakes: usize,
}

/// A poll of a half that goes on; wakes those that were to be woken meanwhile when it is dropped.
#[derive(Debug)]
pub(super) struct Polling<'a> {
    waiting: &'a Waiting,
    call: Call<'a>,
    /// Whether the call has ended, so that the half does not wait any more.
    pub(super) has_ended: bool,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.waiting.end(&self.call, self.has_ended, 1);
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut tasks = self.lock();
        tasks.count_wake(Audience::All);
        if tasks.polls > 0 {
            // This may be the stream inside a poll, with the lock of the halves held.
            tasks.wake_later = true;
            return;
        }
        let woken = mem::take(&mut tasks.registered);
        drop(tasks);
        woken.wake();
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
