//! The time by which the peer's head must be there.

use core::time::Duration;

/// A point in time, or never.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Deadline(Option<Duration>);

impl Deadline {
    /// Never, if the timeout is the longest there is or reaches beyond the end of time.
    pub(super) fn new(now: Duration, timeout: Duration) -> Self {
        Self(now.checked_add(timeout).filter(|_| timeout < Duration::MAX))
    }

    pub(super) const fn at(self) -> Option<Duration> {
        self.0
    }

    pub(super) fn is_over(self, now: Duration) -> bool {
        self.0.is_some_and(|deadline| now >= deadline)
    }
}
