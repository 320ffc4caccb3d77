//! Connections over `std`'s streams, blocking and non-blocking.

mod accept;
mod buffer;
#[cfg(feature = "rand")]
mod connect;
mod error;
mod exchange;
mod link;
mod output;
mod pipe;
mod transport;
mod websocket;

pub use accept::{Acceptor, Opening, PendingRequest, Undecided, accept};
#[cfg(feature = "rand")]
pub use connect::{Connecting, Connector, connect};
pub use error::{Error, HandshakeError};
#[cfg(feature = "rand")]
pub use pipe::pair;
pub use pipe::{Pipe, pipe};
pub use transport::{Transport, Untimed};
pub use websocket::{Parts, Sender, WebSocket};
