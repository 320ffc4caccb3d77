//! A transport whose waits end in time.

use core::fmt;
use core::time::Duration;
use std::io::{self, IoSlice};
use std::time::Instant;

use super::Transport;
use crate::redacted::TypeName;
use crate::stream::{Stream, WRITE_SLICE, is_not_now};

/// The shortest bound that streams can set.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);
/// Waits over this are split rather than bounded to the point.
const LONG: Duration = Duration::from_secs(1);

/// A [`Transport`] as a [`Stream`]: it sets the bounds, and tells a stream that has waited from one that does not.
pub(super) struct Bounded<S> {
    pub(super) transport: S,
    /// The time at the epoch: later than zero where a connection goes on that has lived before.
    began: Duration,
    epoch: Instant,
    reads: Bound,
    writes: Bound,
}

impl<S> Bounded<S> {
    /// Its clock shows `now` and goes on from there.
    pub(super) fn new(transport: S, now: Duration) -> Self {
        let (reads, writes) = (Bound::default(), Bound::default());
        Self { transport, began: now, epoch: Instant::now(), reads, writes }
    }
}

impl<S: Transport> Bounded<S> {
    /// Makes reads end in time.
    fn bound_reads(&mut self, needed: Option<Duration>) -> io::Result<()> {
        if !self.reads.serves(needed, 2) {
            // Deadlines come nearer between two reads: a bound that leaves some room serves for many of them.
            let bound = needed.map(|needed| if needed > LONG { needed - needed / 8 } else { needed });
            self.transport.set_read_timeout(bound)?;
            self.reads = Bound(Some(bound));
        }
        Ok(())
    }

    /// Makes writes look at the deadlines in time.
    fn bound_writes(&mut self, needed: Option<Duration>) -> io::Result<()> {
        let needed = Some(needed.unwrap_or(WRITE_SLICE).min(WRITE_SLICE));
        if !self.writes.serves(needed, 64) {
            self.transport.set_write_timeout(needed)?;
            self.writes = Bound(Some(needed));
        }
        Ok(())
    }
}

impl<S: Transport> Stream for Bounded<S> {
    const WAITS: bool = true;

    fn now(&self) -> Duration {
        self.began.saturating_add(self.epoch.elapsed())
    }

    fn read(&mut self, place: &mut [u8], until: Option<Duration>) -> io::Result<usize> {
        let began = self.now();
        self.bound_reads(until.map(|until| until.saturating_sub(began).max(SHORTEST)))?;
        // A stream may claim what it likes.
        let read = self.transport.read(place).map(|len| len.min(place.len()));
        read.map_err(|error| self.reads.judge(error, || self.now().saturating_sub(began)))
    }

    fn write(&mut self, parts: &[IoSlice<'_>], until: Option<Duration>) -> io::Result<usize> {
        let began = self.now();
        self.bound_writes(until.map(|until| until.saturating_sub(began).max(SHORTEST)))?;
        let wrote = match parts {
            [only] => self.transport.write(only),
            _ => self.transport.write_vectored(parts),
        };
        wrote.map_err(|error| self.writes.judge(error, || self.now().saturating_sub(began)))
    }

    fn flush(&mut self) -> io::Result<()> {
        let began = self.now();
        let flushed = self.transport.flush();
        flushed.map_err(|error| self.writes.judge(error, || self.now().saturating_sub(began)))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.transport.shutdown_write()
    }
}

/// The bound that a stream has on its waits; nothing is known before the first was set.
#[derive(Clone, Copy, Debug, Default)]
struct Bound(Option<Option<Duration>>);

impl Bound {
    /// Whether it can stay when `needed` is asked for: one that is shorter, down to one `part`th, costs looks at the
    /// clock where a new one costs a call.
    fn serves(self, needed: Option<Duration>, part: u32) -> bool {
        match (self.0, needed) {
            (Some(Some(bound)), Some(needed)) => bound <= needed && needed / part <= bound,
            (Some(None), None) => true,
            _ => false,
        }
    }

    /// Streams say the same when they have waited and when they do not wait. One that came back long before its bound
    /// does not block.
    fn judge(self, error: io::Error, took: impl FnOnce() -> Duration) -> io::Error {
        if !is_not_now(&error) {
            return error;
        }
        let waited = self.0.flatten().is_some_and(|bound| took() >= bound / 2);
        if waited { io::ErrorKind::TimedOut.into() } else { io::ErrorKind::WouldBlock.into() }
    }
}

impl<S> fmt::Debug for Bounded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded")
            .field("transport", &TypeName::of(&self.transport))
            .field("reads", &self.reads)
            .field("writes", &self.writes)
            .finish_non_exhaustive()
    }
}
