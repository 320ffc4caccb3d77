//! Connections over `std`'s streams, blocking and non-blocking.
//!
//! # Sending while receiving
//!
//! A [`WebSocket`] belongs to one thread and has no halves: pongs, the answer to a Close frame and the messages of the
//! application leave in one order, and a call that sends does not receive meanwhile. To send at any time what other
//! threads have to say, hand it to the thread of the connection and let that look for it between two calls of
//! [`WebSocket::recv_timeout`], which loses nothing when its time is over:
//!
//! ```no_run
//! use std::{net::TcpStream, sync::mpsc::Receiver, time::Duration};
//! use sansocket::blocking::{Error, WebSocket};
//!
//! fn run(mut ws: WebSocket<TcpStream>, outgoing: Receiver<String>) -> Result<(), Error> {
//!     loop {
//!         for text in outgoing.try_iter() {
//!             ws.feed(text)?; // leaves before the wait
//!         }
//!         match ws.recv_timeout(Duration::from_millis(20)) {
//!             Ok(Some(message)) => println!("{message:?}"),
//!             Ok(None) => return Ok(()),
//!             Err(error) if error.is_temporary() => {}
//!             Err(error) => return Err(error),
//!         }
//!     }
//! }
//! ```
//!
//! Where 20 ms of delay, or a thread for each connection, cost too much, run an event loop on the core, as
//! `examples/echo_epoll` does. Over tokio there are halves for both (feature `tokio`).

mod accept;
mod bounded;
#[cfg(feature = "rand")]
mod client_stream;
#[cfg(feature = "rand")]
mod clock;
#[cfg(feature = "rand")]
mod connect;
#[cfg(feature = "rand")]
mod dial;
#[cfg(feature = "rand")]
mod mailbox;
mod message_writer;
mod pipe;
mod plain;
#[cfg(feature = "rand")]
mod reconnect;
#[cfg(feature = "rustls")]
mod tls;
mod transport;
mod websocket;

pub use accept::{Acceptor, Blocking, Opening, PendingRequest, Undecided, accept};
#[cfg(feature = "rand")]
pub use client_stream::ClientStream;
#[cfg(feature = "rand")]
pub use connect::{Connecting, Connector, connect};
pub use message_writer::MessageWriter;
#[cfg(feature = "rand")]
pub use pipe::pair;
pub use pipe::{Pipe, pipe};
pub use plain::{Incoming, PlainRequest};
#[cfg(feature = "rand")]
pub use reconnect::Reconnecting;
pub use transport::{Transport, Untimed};
pub use websocket::{Sender, WebSocket};

pub use crate::engine::{ConnectError, Error, HandshakeError, Parts};
