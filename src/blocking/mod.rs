//! Connections over `std`'s streams, blocking and non-blocking.

mod accept;
mod bounded;
#[cfg(feature = "rand")]
mod connect;
mod exchange;
mod parts;
mod pipe;
mod plain;
mod transport;
mod websocket;

pub use accept::{Acceptor, Opening, PendingRequest, Undecided, accept};
#[cfg(feature = "rand")]
pub use connect::{Connecting, Connector, connect};
pub use parts::Parts;
#[cfg(feature = "rand")]
pub use pipe::pair;
pub use pipe::{Pipe, pipe};
pub use plain::{Incoming, PlainRequest};
pub use transport::{Transport, Untimed};
pub use websocket::{Sender, WebSocket};

pub use crate::stream::{Error, HandshakeError};
