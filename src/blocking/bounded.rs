//! A transport whose waits end in time.

use core::fmt;
use core::mem;
use core::time::Duration;
use std::io::{self, IoSlice};
use std::time::Instant;

use super::Transport;
use crate::engine::{Stream, WRITE_SLICE, is_not_ready};
use crate::redacted::TypeName;

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
    /// The latest call moved bytes that are none of the connection's.
    moved: bool,
    next_write: Duration,
}

impl<S> Bounded<S> {
    /// Its clock shows `now` and goes on from there.
    pub(super) fn new(transport: S, now: Duration) -> Self {
        let (reads, writes) = (Bound::default(), Bound::default());
        Self {
            transport,
            began: now,
            epoch: Instant::now(),
            reads,
            writes,
            moved: false,
            next_write: Duration::ZERO,
        }
    }
}

impl<S: Transport> Bounded<S> {
    /// Makes reads end in time.
    fn bound_reads(&mut self, needed: Option<Duration>) -> io::Result<()> {
        if !self.reads.serves(needed, 2) {
            // Deadlines come nearer between two reads: a bound that leaves some room serves for many of them.
            let bound = needed.map(|needed| if needed > LONG { needed - needed / 8 } else { needed });
            self.reads.set(bound, unless_reset(self.transport.set_read_timeout(bound))?);
        }
        Ok(())
    }

    /// Makes writes look at the deadlines in time.
    fn bound_writes(&mut self, needed: Option<Duration>) -> io::Result<()> {
        let needed = Some(needed.unwrap_or(WRITE_SLICE).min(WRITE_SLICE));
        if !self.writes.serves(needed, 64) {
            self.writes.set(needed, unless_reset(self.transport.set_write_timeout(needed))?);
        }
        Ok(())
    }

    /// Makes whatever waits end in time, in a handshake below the connection.
    fn bound_both(&mut self, needed: Option<Duration>) -> io::Result<()> {
        let needed = Some(needed.unwrap_or(WRITE_SLICE).min(WRITE_SLICE));
        if self.reads != self.writes || !self.reads.serves(needed, 2) {
            self.reads.set(needed, unless_reset(self.transport.set_read_timeout(needed))?);
            self.writes.set(needed, unless_reset(self.transport.set_write_timeout(needed))?);
        }
        Ok(())
    }

    /// How long a call may wait that begins at `began`.
    fn left(began: Duration, until: Option<Duration>) -> Option<Duration> {
        until.map(|until| until.saturating_sub(began).max(SHORTEST))
    }

    /// A call that moved bytes, though not those of the caller, has more to do.
    fn moved<R>(&mut self, done: Option<R>) -> io::Result<R> {
        done.ok_or_else(|| {
            self.moved = true;
            io::ErrorKind::Interrupted.into()
        })
    }
}

impl<S: Transport> Stream for Bounded<S> {
    const WAITS: bool = true;

    fn now(&self) -> Duration {
        self.began.saturating_add(self.epoch.elapsed())
    }

    fn read(&mut self, place: &mut [u8], until: Option<Duration>) -> io::Result<usize> {
        let began = self.now();
        let left = Self::left(began, until);
        if self.transport.is_handshaking() {
            self.bound_both(left)?
        } else {
            self.bound_reads(left)?
        }
        match self.transport.read_within(place, left) {
            // A stream may claim what it likes.
            Ok(read) => self.moved(read.map(|len| len.min(place.len()))),
            Err(error) => Err(self.reads.judge(error, || self.now().saturating_sub(began))),
        }
    }

    fn write(&mut self, parts: &[IoSlice<'_>], until: Option<Duration>) -> io::Result<usize> {
        let began = self.now();
        let left = Self::left(began, until);
        if self.transport.is_handshaking() {
            self.bound_both(left)?
        } else {
            self.bound_writes(left)?
        }
        match self.transport.write_within(parts, left) {
            Ok(wrote) => self.moved(wrote),
            Err(error) => Err(self.writes.judge(error, || self.now().saturating_sub(began))),
        }
    }

    fn flush(&mut self, until: Option<Duration>) -> io::Result<()> {
        let began = self.now();
        let left = Self::left(began, until);
        if self.transport.wants_flush() {
            self.bound_writes(left)?;
        }
        match self.transport.flush_within(left) {
            Ok(flushed) => self.moved(flushed),
            Err(error) => Err(self.writes.judge(error, || self.now().saturating_sub(began))),
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        if self.writes == Bound::default() {
            self.bound_writes(None)?;
        }
        self.transport.shutdown_write()
    }

    fn moved_bytes(&mut self) -> bool {
        mem::take(&mut self.moved)
    }

    fn wants_flush(&self) -> bool {
        self.transport.wants_flush()
    }

    fn next_write(&self) -> Duration {
        self.next_write
    }

    fn set_next_write(&mut self, at: Duration) {
        self.next_write = at;
    }
}

/// Whether a timeout was set.
///
/// Some systems refuse to set it with EINVAL once the peer has reset the connection (macOS). What came before can still
/// be read, and so can the reset: no call waits any more. Other errors are those of a stream that cannot be bounded.
pub(super) fn unless_reset(set: io::Result<()>) -> io::Result<bool> {
    match set {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error().is_some() && error.kind() == io::ErrorKind::InvalidInput => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The bound that a stream has on its waits; nothing is known before the first was set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
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

    fn set(&mut self, bound: Option<Duration>, was_set: bool) {
        if was_set {
            self.0 = Some(bound);
        }
    }

    /// Streams say the same when they have waited and when they do not wait. One that came back long before its bound
    /// does not block. A signal ended a wait in which nothing came: the deadlines are judged as if that had been all of it,
    /// since the next wait may end in the same way.
    fn judge(self, error: io::Error, took: impl FnOnce() -> Duration) -> io::Error {
        if error.kind() == io::ErrorKind::Interrupted {
            return io::ErrorKind::TimedOut.into();
        }
        if !is_not_ready(&error) {
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
