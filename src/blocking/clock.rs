//! The time since an opening began.

use core::time::Duration;
use std::time::Instant;

use super::bounded::{Bounded, SHORTEST};

/// Counts from one moment on, perhaps before there is a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> Duration {
        self.0.elapsed()
    }

    /// A stream of the opening, whose clock is this one.
    pub(super) fn bound<S>(self, transport: S) -> Bounded<S> {
        Bounded::new(transport, self.now())
    }

    /// What a stream or a channel may be told to wait at most until then; `None` once that has come.
    pub(super) fn left(self, until: Duration) -> Option<Duration> {
        let left = until.checked_sub(self.now()).filter(|left| !left.is_zero())?;
        Some(left.max(SHORTEST))
    }
}
