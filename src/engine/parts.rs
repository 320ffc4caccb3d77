//! A connection over a stream, in its pieces.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::Connection;
use crate::handshake::ResponseHead;
use crate::redacted::{Redacted, TypeName};

/// The pieces of a `WebSocket` that was taken apart.
///
/// ```
/// use sansocket::{Config, blocking::{self, WebSocket}};
///
/// # #[cfg(feature = "rand")] {
/// let (client, mut server) = blocking::pair(Config::default());
/// // The stream gets another layer, below the same connection.
/// let parts = client.into_parts().map_transport(Box::new);
/// let mut client = WebSocket::from_parts(parts);
/// client.send("hello")?;
/// assert_eq!(server.recv()?, Some("hello".into()));
/// # }
/// # Ok::<(), blocking::Error>(())
/// ```
#[non_exhaustive]
pub struct Parts<S> {
    /// The stream.
    pub transport: S,
    /// The state of the protocol, with the parts of a message that is not complete yet.
    pub connection: Connection,
    /// The time on the connection's clock when it was taken apart, as [`Connection`]'s methods take it.
    ///
    /// Time that passes until it is put together again does not count, unless it is added here.
    pub now: Duration,
    /// What was read from the stream and not taken by the connection, in order.
    pub unread: Vec<u8>,
    /// What the stream has not taken yet, in order.
    pub unsent: Vec<u8>,
    /// The subprotocol that both ends agreed on, if any.
    pub subprotocol: Option<String>,
    /// The server's response to a client; `None` on a server.
    pub response: Option<ResponseHead>,
}

impl<S> Parts<S> {
    /// Replaces the stream by what `change` makes of it and keeps all else.
    #[must_use]
    pub fn map_transport<T>(self, change: impl FnOnce(S) -> T) -> Parts<T> {
        let Self { transport, connection, now, unread, unsent, subprotocol, response } = self;
        Parts { transport: change(transport), connection, now, unread, unsent, subprotocol, response }
    }
}

/// What the opening handshake brought.
pub(crate) struct Opened {
    pub(crate) subprotocol: Option<String>,
    /// A client's only.
    pub(crate) response: Option<ResponseHead>,
}

impl Opened {
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        (self.subprotocol.is_some() || self.response.is_some()).then(|| Box::new(self))
    }
}

impl<S> fmt::Debug for Parts<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("transport", &TypeName::of(&self.transport))
            .field("connection", &self.connection)
            .field("now", &self.now)
            .field("unread", &Redacted::of(&self.unread))
            .field("unsent", &Redacted::of(&self.unsent))
            .field("subprotocol", &self.subprotocol.as_ref().map(Redacted::of))
            .field("response", &self.response)
            .finish()
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("subprotocol", &self.subprotocol.as_ref().map(Redacted::of))
            .field("response", &self.response)
            .finish()
    }
}
