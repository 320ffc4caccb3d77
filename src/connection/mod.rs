//! The open connection: the rules of both directions, control frames, the closing handshake, deadlines and limits.
//!
//! - receiving: `receive` (the general path), `incoming` and `gathered` (a message in several pieces), `input`, `event`
//! - sending: `send` (the general path and the one writer of frames), `prepared` (broadcasts), `mask_keys`
//! - both: `fast_path` (whole small messages), `replies` (control frames that wait for room in the output)
//! - `compressed` and `compressing`: permessage-deflate on the way in and out
//! - `closing` (the closing handshake), `deadlines`, `moment` (a time in 8 bytes)

mod closing;
#[cfg(feature = "deflate")]
mod compressed;
#[cfg(feature = "deflate")]
mod compressing;
mod deadlines;
mod event;
mod fast_path;
mod gathered;
mod incoming;
mod input;
mod mask_keys;
mod moment;
mod prepared;
mod receive;
mod replies;
mod send;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use crate::close_code::CloseCode;
use crate::config::Config;
#[cfg(feature = "deflate")]
use crate::deflate::Agreed;
use crate::error::Error;
use crate::frame::Decoder;
use crate::message::{Kind, Text};
use crate::role::Role;
use crate::utf8::Validator;

use crate::redacted::Redacted;
use closing::Closing;
use deadlines::Deadlines;
use incoming::Incoming;
use replies::{ControlPayload, ReplySlots};

pub use closing::{Initiator, State, Summary, TransportAction};
pub use deadlines::Unread;
pub use event::{Chunk, Event, Found, Located};
pub use input::Input;
#[cfg(feature = "tokio")]
pub(crate) use mask_keys::KeySource;
pub use mask_keys::MaskKeys;
pub use prepared::Prepared;
pub use send::{Envelope, Fin};

/// An open WebSocket connection without any I/O: bytes and times go in, events and bytes come out.
///
/// It owns no socket, no buffer, no clock. `now` is everywhere the time since a moment that the caller chose once,
/// never going back; beyond 584 years no deadline is due. Its methods are of four kinds:
///
/// - **what happened**: [`receive`](Self::receive), [`handle_eof`](Self::handle_eof),
///   [`handle_timeout`](Self::handle_timeout), [`handle_written`](Self::handle_written);
/// - **commands**: [`send`](Self::send), [`send_fragment`](Self::send_fragment), [`send_chunk`](Self::send_chunk),
///   [`send_prepared`](Self::send_prepared), [`envelope`](Self::envelope), [`ping`](Self::ping),
///   [`pong`](Self::pong), [`close`](Self::close);
/// - **what to do next**: [`wants_write`](Self::wants_write) with [`transmit`](Self::transmit),
///   [`poll_timeout`](Self::poll_timeout), [`transport_action`](Self::transport_action);
/// - **questions**: [`state`](Self::state), [`summary`](Self::summary), [`rtt`](Self::rtt).
///
/// They may be called in any order; none obliges to another. Bytes must reach the transport in the order in which
/// the calls produced them.
///
/// ```
/// use core::time::Duration;
/// use sansocket::{Config, Connection, Event, Input};
///
/// let now = Duration::ZERO;
/// let mut connection = Connection::server(Config::default(), now);
/// let mut received = *b"\x81\x82\x01\x02\x03\x04\x69\x6b"; // a masked text frame, "hi"
/// let mut out = Vec::new();
///
/// let mut input = Input::new(&mut received);
/// while let Some(event) = connection.receive(now, &mut input, &mut out)? {
///     if let Event::Message(message) = event {
///         connection.send(&message, &mut out)?;
///     }
/// }
/// assert_eq!(out, b"\x81\x02hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The duties of whoever drives it
///
/// 1. Give every byte that was read to `receive`, in order, until it returns `None`; then write what is in the
///    output. A reply that found no room in the output waits inside: `transmit` writes it once there is room.
/// 2. When a read finds the end of the stream, call `handle_eof`.
/// 3. When `poll_timeout` is due, read what is there, then call `handle_timeout`.
/// 4. After each attempt to write call `handle_written`.
/// 5. After that do to the transport what `transport_action` says.
///
/// Large reads cost least to a place in the middle of a page of memory: some processors copy up to five times as slowly to one
/// little behind the start of a page, where a large `Vec` begins. `examples/echo_epoll` shows how.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    decoder: Decoder,
    deadlines: Deadlines,
    /// Tells the pong to the latest ping of the connection's own from others.
    ping_number: u16,
    /// The latest ping of the connection's own waits, or has waited, for room in the output.
    ping_waited: bool,
    /// The transport took nothing at the latest attempt.
    transport_full: bool,
    /// A client's source of masking keys; a server uses none.
    keys: MaskKeys,
    /// The message that is being received, unless it came in one piece.
    incoming: Option<Box<Incoming>>,
    /// The control payload that is being received, unless it came in one piece.
    control: Option<Box<ControlPayload>>,
    replies: Option<Box<ReplySlots>>,
    remote_close: Option<Box<RemoteClose>>,
    failure: Option<Error>,
    closing: Closing,
    role: Role,
    /// The kind of the message that is being sent in fragments.
    outgoing: Option<Kind>,
    /// Its text, while a relayed chunk has ended inside a character.
    outgoing_cut: Option<Box<Validator>>,
    initiator: Option<Initiator>,
    /// What compression needs between messages; there from the first message that needs it.
    #[cfg(feature = "deflate")]
    session: Option<Box<compressed::Session>>,
    #[cfg(feature = "deflate")]
    agreed: Option<Agreed>,
    /// Whether messages that begin now are compressed.
    #[cfg(feature = "deflate")]
    compresses: bool,
}

/// The first Close frame of the peer.
struct RemoteClose {
    code: CloseCode,
    reason: Text<'static>,
}

impl Connection {
    /// A server's side of a connection whose opening handshake is done.
    ///
    /// What was received behind the request's head is its first input. With settings that [`Config::validate`] refuses it has
    /// failed from the start with [`Error::InvalidConfig`].
    #[must_use]
    pub fn server(config: impl Into<Arc<Config>>, now: Duration) -> Self {
        Self::new(Role::Server, config.into(), MaskKeys::unused(), now)
    }

    /// A client's side of a connection whose opening handshake is done.
    ///
    /// What was received behind the response's head is its first input. `keys` masks what is sent. With settings that
    /// [`Config::validate`] refuses it has failed from the start with [`Error::InvalidConfig`].
    #[must_use]
    pub fn client(config: impl Into<Arc<Config>>, keys: MaskKeys, now: Duration) -> Self {
        Self::new(Role::Client, config.into(), keys, now)
    }

    fn new(role: Role, config: Arc<Config>, keys: MaskKeys, now: Duration) -> Self {
        let failure = config.validate().err().map(Error::InvalidConfig);
        // Nothing is sent: the peer has done nothing wrong, and a deadline that is due at once would make a loop spin.
        let closing = Closing { failed: failure.is_some(), over: failure.is_some(), ..Closing::default() };
        Self {
            config,
            decoder: Decoder::new(role),
            deadlines: Deadlines::new(now),
            ping_number: 0,
            ping_waited: false,
            transport_full: false,
            keys,
            incoming: None,
            control: None,
            replies: None,
            remote_close: None,
            initiator: failure.map(|_| Initiator::Library),
            failure,
            closing,
            role,
            outgoing: None,
            outgoing_cut: None,
            #[cfg(feature = "deflate")]
            session: None,
            #[cfg(feature = "deflate")]
            agreed: None,
            #[cfg(feature = "deflate")]
            compresses: false,
        }
    }

    /// The configuration it was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Which end this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// How far the life of the connection has come.
    #[must_use]
    pub const fn state(&self) -> State {
        self.closing.state()
    }

    /// What to do with the transport; ask after an attempt to write all output to it (RFC 6455 §7.1.1).
    #[must_use]
    pub const fn transport_action(&self) -> TransportAction {
        self.closing.action(self.role, self.wants_write() || self.deadlines.is_blocked())
    }

    /// How the connection ended: once Close frames went both ways, it failed, or its stream ended.
    #[must_use]
    pub fn summary(&self) -> Option<Summary<'_>> {
        if !self.closing.has_ended() {
            return None;
        }
        let (code, reason) = match &self.remote_close {
            Some(close) => (close.code, close.reason.as_str()),
            None => (CloseCode::ABNORMAL, ""),
        };
        Some(Summary {
            code,
            reason: reason.into(),
            clean: self.closing.is_clean() && !self.closing.output_failed && self.failure.is_none(),
            initiator: self.initiator.unwrap_or(Initiator::Remote),
            error: self.failure,
        })
    }

    /// The transport takes no more output, so that a Close frame behind what failed never leaves.
    #[cfg(feature = "std")]
    pub(crate) const fn output_failed(&mut self) {
        self.closing.output_failed = true;
    }

    /// Whether messages may come compressed.
    #[cfg(all(feature = "std", not(feature = "deflate")))]
    pub(crate) const fn may_inflate(&self) -> bool {
        false
    }

    /// How many bytes have come out of the compressed message that is being received.
    #[cfg(all(feature = "std", not(feature = "deflate")))]
    pub(crate) const fn inflated(&self) -> u64 {
        0
    }

    /// Whether there is a [`summary`](Self::summary).
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn has_ended(&self) -> bool {
        self.closing.has_ended()
    }

    /// Whether a reply waits for room in the output; [`transmit`](Self::transmit) writes it.
    #[inline]
    #[must_use]
    pub const fn wants_write(&self) -> bool {
        self.replies.is_some()
    }

    fn replies_mut(&mut self) -> &mut ReplySlots {
        self.replies.get_or_insert_default()
    }
}

impl fmt::Debug for RemoteClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteClose")
            .field("code", &self.code)
            .field("reason", &Redacted::of(self.reason.as_str()))
            .finish()
    }
}
