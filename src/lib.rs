#![cfg_attr(all(feature = "rand", feature = "tokio", feature = "deflate"), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(feature = "rand", feature = "tokio", feature = "deflate")),
    doc = "WebSocket (RFC 6455) as a sans-IO state machine that owns its deadlines too."
)]
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations, missing_docs, unreachable_pub)]
#![warn(clippy::alloc_instead_of_core, clippy::std_instead_of_alloc, clippy::std_instead_of_core)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "std")]
pub mod blocking;
#[cfg(feature = "std")]
pub mod client;
mod close_code;
mod config;
mod connection;
#[cfg(feature = "deflate")]
pub mod deflate;
#[cfg(feature = "std")]
mod engine;
mod error;
#[cfg(feature = "std")]
mod event_loop;
pub mod frame;
// Its examples use all of these.
#[cfg(all(doc, feature = "http", feature = "rustls", feature = "tokio"))]
pub mod guide;
pub mod handshake;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "hyper")]
pub mod hyper;
mod memory;
mod message;
#[cfg(feature = "tokio")]
pub mod poll;
mod redacted;
mod role;
mod sink;
#[cfg(feature = "tokio")]
pub mod tokio;
mod uri;
pub mod utf8;

pub use close_code::{CloseCode, CloseFrame};
pub use config::{Config, Delivery};
pub use connection::{
    Chunk, Connection, Envelope, Event, Fin, Found, Initiator, Input, Located, MaskKeys, Prepared, State,
    Summary, TransportAction, Unread,
};
pub use error::{ConfigError, Deadline, Error, InvalidUtf8, Limit, MaskKeyError, ProtocolError, SendError};
#[cfg(feature = "std")]
pub use memory::{ReadBuffer, WriteBuffer};
pub use message::{Binary, Kind, Message, Text};
pub use role::Role;
pub use sink::{Full, Sink, SliceSink};
pub use uri::{UriError, WebSocketUri};
