//! The code that all adapters share: it runs over a stream that may not be ready. Every call can be made again after
//! `WouldBlock` and goes on where it was.
//!
//! | file | what is in it |
//! |---|---|
//! | `driver`, `server` | the driver of all openings; the server's side of the opening handshake |
//! | `endpoint`, `buffer` | receiving: from the buffered input to a message or event |
//! | `link` | a connection and its stream: reading, deadlines, the end |
//! | `sending` | all that is sent, the authors of fragments, messages that are written piece by piece |
//! | `writing`, `output` | how queued output is written, what a flush waits for; the queue |
//! | `budget` | how much input is taken before other tasks run |
//! | `parts`, `pair`, `send_queue` | a connection taken apart; two ends in memory; messages that wait for a connection |
//! | `error`, `connect_error` | what can go wrong |

mod budget;
mod buffer;
mod connect_error;
pub(crate) mod driver;
mod endpoint;
mod error;
mod link;
mod output;
#[cfg(feature = "rand")]
mod pair;
mod parts;
#[cfg(feature = "rand")]
mod send_queue;
mod sending;
pub(crate) mod server;
mod writing;

use alloc::string::ToString;
use core::time::Duration;
use std::io::{self, IoSlice};

#[cfg(feature = "tokio")]
pub(crate) use buffer::LARGE;
pub use connect_error::{
    ConnectError, ProxyFailure, ProxyUrlError, ProxyUrlProblem, RedirectError, SocksReply, Step, TlsError,
};
pub(crate) use endpoint::{Endpoint, event};
pub use error::{Error, HandshakeError};
pub(crate) use link::Link;
#[cfg(feature = "tokio")]
pub(crate) use link::Snapshot;
#[cfg(feature = "rand")]
pub(crate) use pair::both_ends;
pub(crate) use parts::Opened;
pub use parts::Parts;
#[cfg(feature = "rand")]
pub(crate) use send_queue::SendQueue;
pub(crate) use sending::{Author, Outgoing, PartialMessage};
#[cfg(feature = "tokio")]
pub(crate) use writing::Bounds;
pub(crate) use writing::WRITE_SLICE;

/// A byte stream with a clock of its own.
///
/// Where nothing can be read or written now, a stream that does not wait says `WouldBlock`, and one that has waited, at
/// most until `until`, says `TimedOut`. `Interrupted`: read the clock and ask again.
pub(crate) trait Stream {
    /// Whether a call waits, until the time that it is given. If not, its owner waits, and brings the clock up to date
    /// when a deadline has come.
    const WAITS: bool;

    /// The time since a moment of the stream's choice, never going back.
    fn now(&self) -> Duration;

    fn read(&mut self, place: &mut [u8], until: Option<Duration>) -> io::Result<usize>;

    /// Writes from the start of `parts`, as much as goes at once.
    fn write(&mut self, parts: &[IoSlice<'_>], until: Option<Duration>) -> io::Result<usize>;

    /// Whether a write never waits and takes all its parts at once, not the first one alone.
    fn gathers(&self) -> bool {
        false
    }

    fn flush(&mut self, until: Option<Duration>) -> io::Result<()>;

    /// Lifts a budget of the task, after which its streams say `WouldBlock` though they are ready, until the call of the
    /// adapter ends. Whether that is news: then what has just said so is worth another try.
    fn lift_budget(&mut self) -> bool {
        false
    }

    /// Ends the direction to the peer; asked again after `WouldBlock`.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Whether the latest call moved bytes below this stream though it returned an error: a part of a TLS record, for
    /// instance. Asked again it says no.
    fn moved_bytes(&mut self) -> bool {
        false
    }

    /// Whether the stream holds bytes of its own that wait for a flush.
    fn wants_flush(&self) -> bool {
        false
    }

    /// When the next attempt to write is made after one that waited in vain. Only a stream that waits keeps it.
    fn next_write(&self) -> Duration {
        Duration::ZERO
    }

    fn set_next_write(&mut self, _: Duration) {}
}

/// The same error again, as far as that is possible.
fn copy_of(error: &io::Error) -> io::Error {
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
pub(crate) fn is_not_ready(error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::WouldBlock => true,
        io::ErrorKind::TimedOut => cfg!(windows) || error.raw_os_error().is_none(),
        _ => false,
    }
}

/// A stream that has waited is asked again, one that does not wait ends the call.
fn retry_after_wait(error: &io::Error) -> Result<(), Error> {
    if error.kind() == io::ErrorKind::TimedOut { Ok(()) } else { Err(Error::WouldBlock) }
}
