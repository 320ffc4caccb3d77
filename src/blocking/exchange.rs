//! Reads and writes of an opening handshake, all within one deadline.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::io::{self, IoSlice};

use super::bounded::{SHORTEST, unless_reset};
use super::clock::Clock;
use super::{Error, Transport};
use crate::engine::is_not_ready;
use crate::redacted::TypeName;

/// How long a refused peer may take to read why.
const LINGER: Duration = Duration::from_secs(1);
/// How much such a peer may send meanwhile, in bytes.
const LINGER_BYTES: usize = 256 << 10;

/// A stream whose connection is not open yet.
pub(super) struct Exchange<S> {
    pub(super) transport: S,
    clock: Clock,
}

impl<S: Transport> Exchange<S> {
    /// The exchange began with `clock`, perhaps before there was a stream.
    pub(super) const fn since(transport: S, clock: Clock) -> Self {
        Self { transport, clock }
    }

    /// The time since the exchange began.
    pub(super) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// One read that brings data; `None` when nothing came until `until`.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        until: Option<Duration>,
    ) -> Result<Option<usize>, Error> {
        loop {
            // The peer may be waiting for the end of a TLS handshake.
            let step = if self.transport.wants_flush() {
                match self.wait(until, Way::Write, S::flush_within)? {
                    Step::Over => Step::Over,
                    _ => Step::Again,
                }
            } else {
                self.wait(until, Way::Read, |transport, left| transport.read_within(buffer, left))?
            };
            match step {
                // A stream may claim what it likes.
                Step::Done(len) => return Ok(Some(len.min(buffer.len()))),
                Step::Again => {}
                Step::Over => return Ok(None),
            }
        }
    }

    /// Writes `bytes` and takes off what has left.
    pub(super) fn write(&mut self, bytes: &mut Vec<u8>, until: Option<Duration>) -> Result<(), Error> {
        while !bytes.is_empty() {
            let step = self.wait(until, Way::Write, |transport, left| {
                match transport.write_within(&[IoSlice::new(bytes)], left) {
                    // A stream that is still connecting is not ready either.
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                        Err(io::ErrorKind::WouldBlock.into())
                    }
                    wrote => wrote,
                }
            })?;
            match step {
                Step::Done(0) => return Err(Error::Io(io::ErrorKind::WriteZero.into())),
                Step::Done(len) => drop(bytes.drain(..len.min(bytes.len()))),
                Step::Again => {}
                Step::Over => return Err(Error::TimedOut),
            }
        }
        self.finish(until, S::flush_within)
    }

    /// Does `act` until it is done.
    fn finish(
        &mut self,
        until: Option<Duration>,
        mut act: impl FnMut(&mut S, Option<Duration>) -> io::Result<Option<()>>,
    ) -> Result<(), Error> {
        loop {
            match self.wait(until, Way::Write, &mut act)? {
                Step::Done(()) => return Ok(()),
                Step::Again => {}
                Step::Over => return Err(Error::TimedOut),
            }
        }
    }

    /// One wait, which ends in time.
    ///
    /// The next one begins at the clock, whatever ended this one: a signal, or a piece of something larger.
    fn wait<R>(
        &mut self,
        until: Option<Duration>,
        way: Way,
        act: impl FnOnce(&mut S, Option<Duration>) -> io::Result<Option<R>>,
    ) -> Result<Step<R>, Error> {
        let began = self.now();
        let left = until.map(|until| until.saturating_sub(began).max(SHORTEST));
        let crosses = self.transport.is_handshaking();
        if way == Way::Read || crosses {
            unless_reset(self.transport.set_read_timeout(left))?;
        }
        if way == Way::Write || crosses {
            unless_reset(self.transport.set_write_timeout(left))?;
        }
        let waited = match act(&mut self.transport, left) {
            Ok(Some(done)) => return Ok(Step::Done(done)),
            Ok(None) => true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(error) if is_not_ready(&error) => {
                let took = self.now().saturating_sub(began);
                left.is_some_and(|left| took >= left / 2)
            }
            Err(error) => return Err(Error::Io(error)),
        };
        match until {
            Some(until) if until <= self.now() => Ok(Step::Over),
            _ if waited => Ok(Step::Again),
            // It does not block at all.
            _ => Err(Error::WouldBlock),
        }
    }

    /// Sends the last words and waits a moment, so that no reset destroys them before the peer has read them.
    ///
    /// An error says that they have not left, or not all of them.
    pub(super) fn end(mut self, mut last: Vec<u8>) -> Result<(), Error> {
        if self.transport.is_handshaking() {
            // There is nobody yet to whom it could be said, and a slow handshake would take the time of both.
            return Err(Error::Io(io::ErrorKind::NotConnected.into()));
        }
        let until = Some(self.now() + LINGER);
        // Neither can be made good by another call: the stream is gone.
        self.write(&mut last, until).map_err(|error| Error::Io(error.into()))?;
        if self.finish(until, |transport, _| transport.shutdown_write().map(Some)).is_err() {
            return Ok(());
        }
        let (mut scratch, mut seen) = ([0; 4096], 0);
        while let Ok(Some(len @ 1..)) = self.read(&mut scratch, until) {
            seen += len;
            if seen > LINGER_BYTES || Some(self.now()) >= until {
                break;
            }
        }
        Ok(())
    }
}

/// How a wait ended.
enum Step<R> {
    Done(R),
    /// There is time for another one.
    Again,
    /// The time is up.
    Over,
}

/// Which of the two timeouts a call needs.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Way {
    Read,
    Write,
}

impl<S> fmt::Debug for Exchange<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("transport", &TypeName::of(&self.transport))
            .field("clock", &self.clock)
            .finish()
    }
}
