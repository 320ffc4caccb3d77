//! WebSocket as a sans-IO state machine.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod close_code;
mod connection;
pub mod handshake;
mod message;
mod sink;
mod uri;

pub use close_code::{CloseCode, CloseFrame};
pub use connection::{Config, Connection, MaskKeyError, MaskKeys, Role};
pub use message::{Binary, Kind, Message, Text};
pub use sink::{Full, Sink, SliceSink};
pub use uri::{UriError, WebSocketUri};
