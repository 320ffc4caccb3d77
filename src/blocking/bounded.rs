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

/// The kind of a call on a stream.
#[derive(Clone, Copy)]
enum Call {
    Read,
    Write,
    Flush,
}

impl<S: Transport> Bounded<S> {
    /// Makes a call that waits no longer than `until`.
    fn call<R>(
        &mut self,
        call: Call,
        until: Option<Duration>,
        act: impl FnOnce(&mut S, Option<Duration>) -> io::Result<Option<R>>,
    ) -> io::Result<R> {
        let began = self.now();
        let left = until.map(|until| until.saturating_sub(began).max(SHORTEST));
        self.bound(call, left)?;
        match act(&mut self.transport, left) {
            Ok(Some(done)) => Ok(done),
            // It moved bytes, though not those of the caller, and has more to do.
            Ok(None) => {
                self.moved = true;
                Err(io::ErrorKind::Interrupted.into())
            }
            Err(error) => {
                let bound = if let Call::Read = call { self.reads } else { self.writes };
                Err(bound.judge(error, || self.now().saturating_sub(began)))
            }
        }
    }

    /// Bounds the waits of the next call.
    fn bound(&mut self, call: Call, left: Option<Duration>) -> io::Result<()> {
        let slice = Some(left.unwrap_or(WRITE_SLICE).min(WRITE_SLICE));
        let transport = &mut self.transport;
        match call {
            Call::Flush if !transport.wants_flush() => Ok(()),
            // Whatever is called may read and write.
            _ if transport.is_handshaking() => {
                if self.reads == self.writes && self.reads.serves(slice, 2) {
                    return Ok(());
                }
                self.reads.set(slice, transport.set_read_timeout(slice))?;
                self.writes.set(slice, transport.set_write_timeout(slice))
            }
            Call::Read if self.reads.serves(left, 2) => Ok(()),
            Call::Read => {
                // Deadlines come nearer between two reads: a bound that leaves some room serves for many of them.
                let bound = left.map(|left| if left > LONG { left - left / 8 } else { left });
                self.reads.set(bound, transport.set_read_timeout(bound))
            }
            Call::Write | Call::Flush if self.writes.serves(slice, 64) => Ok(()),
            Call::Write | Call::Flush => self.writes.set(slice, transport.set_write_timeout(slice)),
        }
    }
}

impl<S: Transport> Stream for Bounded<S> {
    const WAITS: bool = true;

    fn now(&self) -> Duration {
        self.began.saturating_add(self.epoch.elapsed())
    }

    fn read(&mut self, buf: &mut [u8], until: Option<Duration>) -> io::Result<usize> {
        let most = buf.len();
        let len = self.call(Call::Read, until, |transport, left| transport.read_within(buf, left))?;
        // A stream may claim what it likes.
        Ok(len.min(most))
    }

    fn write(&mut self, parts: &[IoSlice<'_>], until: Option<Duration>) -> io::Result<usize> {
        self.call(Call::Write, until, |transport, left| transport.write_within(parts, left))
    }

    fn flush(&mut self, until: Option<Duration>) -> io::Result<()> {
        self.call(Call::Flush, until, S::flush_within)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        if self.writes == Bound::default() {
            self.bound(Call::Write, None)?;
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

    /// Notes that `bound` was set.
    ///
    /// Some systems refuse to set it with EINVAL once the peer has reset the connection (macOS). What came before can still
    /// be read, and so can the reset: no call waits any more. Other errors are those of a stream that cannot be bounded.
    fn set(&mut self, bound: Option<Duration>, set: io::Result<()>) -> io::Result<()> {
        match set {
            Ok(()) => self.0 = Some(bound),
            Err(error) if error.raw_os_error().is_some() && error.kind() == io::ErrorKind::InvalidInput => {}
            Err(error) => return Err(error),
        }
        Ok(())
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
