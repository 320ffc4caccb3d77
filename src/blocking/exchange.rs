//! Reads and writes of an opening handshake, all within one deadline.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::io;

use super::bounded::SHORTEST;
use super::clock::Clock;
use super::{Error, Transport};
use crate::redacted::TypeName;
use crate::stream::is_not_now;

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

    /// One read; `None` when nothing came until `until`.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        until: Option<Duration>,
    ) -> Result<Option<usize>, Error> {
        let began = self.now();
        let bound = until.map(|until| until.saturating_sub(began).max(SHORTEST));
        self.transport.set_read_timeout(bound)?;
        loop {
            return match self.transport.read(buffer) {
                // A stream may claim what it likes.
                Ok(len) => Ok(Some(len.min(buffer.len()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_not_now(&error) => self.not_now(began, bound, until).map(|()| None),
                Err(error) => Err(Error::Io(error)),
            };
        }
    }

    /// Writes `bytes` and takes off what has left.
    pub(super) fn write(&mut self, bytes: &mut Vec<u8>, until: Option<Duration>) -> Result<(), Error> {
        while !bytes.is_empty() {
            let began = self.now();
            let bound = until.map(|until| until.saturating_sub(began).max(SHORTEST));
            self.transport.set_write_timeout(bound)?;
            match self.transport.write(bytes) {
                Ok(0) => return Err(Error::Io(io::ErrorKind::WriteZero.into())),
                Ok(len) => drop(bytes.drain(..len.min(bytes.len()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A stream that is still connecting is not ready either.
                Err(error) if is_not_now(&error) || error.kind() == io::ErrorKind::NotConnected => {
                    self.not_now(began, bound, until)?;
                    return Err(Error::TimedOut);
                }
                Err(error) => return Err(Error::Io(error)),
            }
        }
        let began = self.now();
        loop {
            return match self.transport.flush() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // TLS takes more than the stream below it.
                Err(error) if is_not_now(&error) => {
                    let bound = until.map(|until| until.saturating_sub(began).max(SHORTEST));
                    self.not_now(began, bound, until)?;
                    Err(Error::TimedOut)
                }
                flushed => Ok(flushed?),
            };
        }
    }

    /// Sends the last words and waits a moment, so that no reset destroys them before the peer has read them.
    ///
    /// An error says that they have not left, or not all of them.
    pub(super) fn end(mut self, mut last: Vec<u8>) -> Result<(), Error> {
        let until = Some(self.now() + LINGER);
        // Neither can be made good by another call: the stream is gone.
        self.write(&mut last, until).map_err(|error| Error::Io(error.into()))?;
        if self.transport.shutdown_write().is_err() {
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

    /// The stream came back without a byte: its time was up, or it does not block at all.
    fn not_now(
        &self,
        began: Duration,
        bound: Option<Duration>,
        until: Option<Duration>,
    ) -> Result<(), Error> {
        let now = self.now();
        let waited = bound.is_some_and(|bound| now.saturating_sub(began) >= bound / 2);
        if waited || until.is_some_and(|until| until <= now) { Ok(()) } else { Err(Error::WouldBlock) }
    }
}

impl<S> fmt::Debug for Exchange<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("transport", &TypeName::of(&self.transport))
            .field("clock", &self.clock)
            .finish()
    }
}
