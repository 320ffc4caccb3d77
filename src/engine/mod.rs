//! What the adapters share: a connection over a stream that may not be ready.

mod budget;
mod buffer;
mod connect_error;
pub(crate) mod driver;
mod endpoint;
mod error;
#[cfg(feature = "tokio")]
mod flush;
mod fragments;
mod link;
mod output;
#[cfg(feature = "rand")]
mod pair;
mod parts;
#[cfg(feature = "rand")]
mod send_queue;
mod sending;
pub(crate) mod server;
mod waits;

use core::time::Duration;
use std::io::{self, IoSlice};

#[cfg(feature = "tokio")]
pub(crate) use buffer::LARGE;
pub use connect_error::{
    ConnectError, ProxyFailure, ProxyUrlError, ProxyUrlProblem, RedirectError, SocksReply, Step, TlsError,
};
pub(crate) use endpoint::{Endpoint, lend};
pub use error::{Error, HandshakeError};
#[cfg(feature = "tokio")]
pub(crate) use flush::FlushBound;
pub(crate) use fragments::Author;
pub(crate) use link::{Link, WRITE_SLICE};
#[cfg(feature = "rand")]
pub(crate) use pair::both_ends;
pub(crate) use parts::Opened;
pub use parts::Parts;
#[cfg(feature = "rand")]
pub(crate) use send_queue::SendQueue;
pub(crate) use sending::MAX_PART;
pub(crate) use waits::is_not_now;

/// A byte stream with a clock of its own.
///
/// Where nothing can be read or written now, a stream that does not wait says `WouldBlock`, and one that has waited, at
/// most until `until`, says `TimedOut`. `Interrupted`: look at the clock and ask again.
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
}
