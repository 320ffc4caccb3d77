//! Connections over `std`'s streams, blocking and non-blocking.

mod buffer;
mod error;
mod link;
mod output;
mod pipe;
mod transport;
mod websocket;

pub use error::Error;
#[cfg(feature = "rand")]
pub use pipe::pair;
pub use pipe::{Pipe, pipe};
pub use transport::{Transport, Untimed};
pub use websocket::{Parts, Sender, WebSocket};
