//! The closing handshake as a table (RFC 6455 §5.5.1, §7.1).
//!
//! ```text
//!  Close sent | Close received | end of stream | role   | transport
//! ------------+----------------+---------------+--------+--------------------------------------------
//!  no         | no             | no            | both   | keep: open
//!  no         | yes            | no            | both   | keep: the answer waits for room in the output
//!  yes        | no             | no            | both   | keep: data may still come, until the deadline
//!  yes        | yes            | no            | server | shut the write side: the server ends first
//!  yes        | yes            | no            | client | keep: the server ends first, until the deadline
//!  any        | any            | yes           | both   | keep while output waits, until the deadline; then drop
//!  failed     |                | no            | both   | shut the write side, so that the Close arrives
//!  over       |                |               | both   | drop: a deadline passed, nothing can be said
//! ```

use core::fmt;

use crate::close_code::CloseCode;
use crate::error::Error;
use crate::message::Text;
use crate::role::Role;

/// What to do with the transport, after an attempt to write all output to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TransportAction {
    /// Nothing: go on reading and writing.
    Keep,
    /// Once no output is left, shut down the write side, then read and throw away what comes until the end of the
    /// stream or until [`poll_timeout`](super::Connection::poll_timeout) is due. Dropping the transport at once
    /// could make the kernel send a reset, which destroys what was just sent (RFC 6455 §7.1.1).
    ShutdownWrite,
    /// Close it now. Output that is still left could not leave in time.
    Drop,
}

/// How far the life of a connection has come (RFC 6455 §4.1, §7.1). It only ever moves forward.
///
/// Exhaustive on purpose: the RFC has these stages and no others once a connection is open.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// Messages flow in both directions.
    Open,
    /// A Close frame was sent or received, or the connection failed: nothing more can be sent.
    Closing,
    /// The stream ended or is to be dropped.
    Closed,
}

/// Who began the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Initiator {
    /// The application, by closing.
    Local,
    /// This library, because a rule was broken or a deadline passed.
    Library,
    /// The peer, by a Close frame or by ending the stream.
    Remote,
}

/// How a connection ended.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Summary<'a> {
    /// The code of the peer's Close frame, 1005 if it had none, 1006 if there was no Close frame (RFC 6455 §7.1.5).
    pub code: CloseCode,
    /// The reason in the peer's Close frame, or empty (RFC 6455 §7.1.6).
    pub reason: Text<'a>,
    /// Whether Close frames went both ways before the stream ended, and no error came between (RFC 6455 §7.1.4). Over
    /// the adapters also not if the stream failed under this side's Close frame.
    pub clean: bool,
    /// Who began.
    pub initiator: Initiator,
    /// The error that ended it, if one did.
    pub error: Option<Error>,
}

impl Summary<'_> {
    /// Returns the same summary without a borrow, to be kept or sent to another task; copies the reason if it was
    /// borrowed.
    #[must_use]
    pub fn into_owned(self) -> Summary<'static> {
        Summary { reason: self.reason.into_owned(), ..self }
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, " \"{}\"", self.reason.escape_debug())?;
        }
        f.write_str(if self.clean { ", clean" } else { ", not clean" })?;
        f.write_str(match self.initiator {
            Initiator::Local => ", begun by this side",
            Initiator::Library => ", begun by this side's library",
            Initiator::Remote => ", begun by the peer",
        })?;
        self.error.map_or(Ok(()), |error| write!(f, ": {error}"))
    }
}

/// The columns of the table above. A Close frame that waits for room in the output is not sent yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Closing {
    pub(super) sent: bool,
    pub(super) received: bool,
    pub(super) eof: bool,
    pub(super) failed: bool,
    pub(super) over: bool,
    /// The transport failed under the output: what was sent last did not leave.
    pub(super) output_failed: bool,
}

impl Closing {
    #[inline]
    pub(super) const fn is_open(self) -> bool {
        !(self.sent | self.received | self.eof | self.failed)
    }

    #[inline]
    pub(super) const fn is_untouched(self) -> bool {
        !(self.sent | self.received | self.eof | self.failed | self.over)
    }

    /// After the peer's Close frame everything is ignored (RFC 6455 §5.5.1).
    #[inline]
    pub(super) const fn takes_input(self) -> bool {
        !(self.received | self.eof | self.over)
    }

    pub(super) const fn state(self) -> State {
        if self.eof || self.over {
            State::Closed
        } else if self.is_open() {
            State::Open
        } else {
            State::Closing
        }
    }

    pub(super) const fn is_clean(self) -> bool {
        self.sent && self.received && !self.failed
    }

    #[inline]
    pub(super) const fn has_ended(self) -> bool {
        self.is_clean() || self.failed || self.eof || self.over
    }

    pub(super) const fn action(self, role: Role, output_waits: bool) -> TransportAction {
        match (self.sent, self.received, role) {
            _ if self.over => TransportAction::Drop,
            // A peer that has only shut its write side still reads.
            _ if self.eof && output_waits => TransportAction::Keep,
            _ if self.eof => TransportAction::Drop,
            _ if self.failed => TransportAction::ShutdownWrite,
            // RFC 6455 §5.5.1: "The server MUST close the underlying TCP connection immediately; the client SHOULD
            // wait for the server to close the connection".
            (true, true, Role::Server) => TransportAction::ShutdownWrite,
            _ => TransportAction::Keep,
        }
    }
}
