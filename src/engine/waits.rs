//! What ends a wait, and what ends a stream.

use alloc::string::ToString;
use core::time::Duration;
use std::io;

use super::link::Link;
use super::{Error, Stream};

impl<S: Stream> Link<S> {
    /// A write or flush took none of the `waiting` bytes and is to be called again, within the deadlines: older ones left, one
    /// by one perhaps.
    #[cold]
    pub(super) fn wrote_below(&mut self, waiting: usize) -> Result<(), Error> {
        self.moved_below(waiting);
        let now = self.look_at_the_clock();
        self.check_writes(now)
    }

    /// A write or flush took none of the `waiting` bytes. If older ones left, the stream is not stuck.
    pub(super) fn moved_below(&mut self, waiting: usize) {
        if self.stream.moved_bytes() {
            let now = self.look_at_the_clock();
            self.connection.handle_written(now, 1, waiting);
        }
    }

    /// How long a flush may wait. It follows a write, which has looked at the clock.
    pub(super) fn bound_of_a_flush(&self, until: Option<Duration>) -> Option<Duration> {
        let stall = self.connection.config().write_timeout;
        let stall = stall.and_then(|timeout| self.now.checked_add(timeout));
        [until, self.connection.poll_timeout(), stall].into_iter().flatten().min()
    }

    /// A read brought no data. A part of a TLS record is a sign of life all the same.
    #[inline]
    pub(crate) fn read_below(&mut self) {
        if self.stream.moved_bytes() {
            let now = self.look_at_the_clock();
            self.connection.bytes_came(now);
        }
    }
}

/// The same error again, as far as that is possible.
pub(super) fn copy_of(error: &io::Error) -> io::Error {
    match (error.raw_os_error(), error.get_ref()) {
        (Some(code), _) => io::Error::from_raw_os_error(code),
        (None, Some(inner)) => io::Error::new(error.kind(), inner.to_string()),
        (None, None) => error.kind().into(),
    }
}

/// Whether the stream has only waited in vain, or does not wait.
///
/// A socket whose timeout has passed says EAGAIN (`WouldBlock`), but on Windows WSAETIMEDOUT. Elsewhere the operating
/// system's ETIMEDOUT is the end of the stream: the peer did not acknowledge anything any more.
pub(crate) fn is_not_now(error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::WouldBlock => true,
        io::ErrorKind::TimedOut => cfg!(windows) || error.raw_os_error().is_none(),
        _ => false,
    }
}

/// A stream that has waited is asked again, one that does not wait ends the call.
pub(super) fn go_on_after(error: &io::Error) -> Result<(), Error> {
    if error.kind() == io::ErrorKind::TimedOut { Ok(()) } else { Err(Error::WouldBlock) }
}
