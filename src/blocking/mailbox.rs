//! Values from threads that nobody joins.
//!
//! The standard library's channels are three queues in one, compiled anew for each type: the two of [`dial`](super::dial) were a
//! twelfth of what the compiler had to optimize in this crate.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::clock::Clock;

/// A channel for few values.
pub(super) fn mailbox<T>() -> (Sender<T>, Receiver<T>) {
    let mail = Mail { values: Vec::new(), senders: 1, is_open: true };
    let shared = Arc::new(Shared { mail: Mutex::new(mail), changed: Condvar::new() });
    (Sender(shared.clone()), Receiver(shared))
}

struct Shared<T> {
    mail: Mutex<Mail<T>>,
    changed: Condvar,
}

struct Mail<T> {
    values: Vec<T>,
    senders: usize,
    is_open: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Mail<T>> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Missing {
    TimedOut,
    /// No sender is left.
    Disconnected,
}

pub(super) struct Sender<T>(Arc<Shared<T>>);

impl<T> Sender<T> {
    /// Drops the value if the receiver is gone.
    pub(super) fn send(&self, value: T) {
        let mut mail = self.0.lock();
        if mail.is_open {
            mail.values.push(value);
            drop(mail);
            self.0.changed.notify_one();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lock().senders -= 1;
        self.0.changed.notify_one();
    }
}

pub(super) struct Receiver<T>(Arc<Shared<T>>);

impl<T> Receiver<T> {
    /// Waits for the next value.
    pub(super) fn receive(&self, clock: Clock, until: Option<Duration>) -> Result<T, Missing> {
        let mut mail = self.0.lock();
        loop {
            if !mail.values.is_empty() {
                return Ok(mail.values.remove(0));
            }
            if mail.senders == 0 {
                return Err(Missing::Disconnected);
            }
            let Some(until) = until else {
                mail = self.0.changed.wait(mail).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_sub(clock.now());
            if left.is_zero() {
                return Err(Missing::TimedOut);
            }
            mail = self.0.changed.wait_timeout(mail, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut mail = self.0.lock();
        mail.is_open = false;
        let late = mem::take(&mut mail.values);
        drop(mail);
        drop(late); // may close connections, which takes its time
    }
}
