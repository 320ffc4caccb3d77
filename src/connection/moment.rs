//! Times since the caller's epoch, as a connection keeps them.

use core::num::NonZeroU64;
use core::time::Duration;

/// A time in half the memory of a [`Duration`], and a missing one in no more: nanoseconds since the epoch, plus one.
///
/// It ends 584 years after the epoch. There time stands still, and no deadline is due any more.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Moment(NonZeroU64);

impl Moment {
    /// The moment when `timeout` has passed, unless that never comes.
    #[inline]
    pub(super) fn after(self, timeout: Duration) -> Option<Self> {
        self.0.checked_add(nanoseconds(timeout)).map(Self)
    }

    /// How long ago `earlier` was.
    pub(super) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    #[inline]
    pub(super) const fn since_epoch(self) -> Duration {
        self.since(Self(NonZeroU64::MIN))
    }
}

impl From<Duration> for Moment {
    #[inline]
    fn from(time: Duration) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanoseconds(time)))
    }
}

impl From<Moment> for Duration {
    #[inline]
    fn from(moment: Moment) -> Self {
        moment.since_epoch()
    }
}

#[inline]
const fn nanoseconds(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_and_those_that_are_too_far_away_do_not_wrap() {
        for time in [Duration::ZERO, Duration::from_nanos(1), Duration::new(1_700_000_000, 999_999_999)] {
            assert_eq!(Duration::from(Moment::from(time)), time);
        }
        let last = Moment::from(Duration::MAX);
        assert_eq!(last.after(Duration::from_nanos(1)), None);
        assert_eq!(Moment::from(Duration::ZERO).after(Duration::MAX), None);
        assert_eq!(Moment::from(Duration::ZERO).since(last), Duration::ZERO);
        assert_eq!(last.after(Duration::ZERO), Some(last));
    }
}
