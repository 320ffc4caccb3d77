//! The types behind the asynchronous adapters, generic over the runtime `R`.
//!
//! You need not name them: each adapter has an alias for every one of them, such as
//! [`tokio::WebSocket<S>`](crate::tokio::WebSocket) for `WebSocket<S, Tokio>`. A runtime is chosen by the adapter; other
//! crates cannot supply one yet.
//!
//! | file | what is in it |
//! |---|---|
//! | `websocket`, `sender`, `split`, `message_writer`, `tunnel`, `futures` | the open connection, its halves and its other views |
//! | `accept`, `plain`, `opening` | the server's opening handshake; the driver of all openings, polled |
//! | `reconnect`, `group` | a client that connects again, many connections |
//! | `runtime` | what a runtime supplies: I/O, a clock, a timer, yielding |
//! | `polled` | the stream, its wakers and its timer |
//! | `call`, `fast` | one call, polled; the fast paths of receiving and feeding |
//! | `waiting`, `keys`, `below` | who waits for the connection; masking keys outside the lock; bytes below TLS |

mod accept;
pub(crate) mod below;
mod call;
mod fast;
#[cfg(any(feature = "futures-core", feature = "futures-sink"))]
mod futures;
mod group;
mod keys;
mod message_writer;
pub(crate) mod opening;
mod plain;
pub(crate) mod polled;
#[cfg(feature = "rand")]
mod reconnect;
pub(crate) mod runtime;
mod sender;
mod split;
mod tunnel;
mod waiting;
mod websocket;

pub use accept::{PendingRequest, Undecided};
pub use group::Group;
pub use message_writer::MessageWriter;
pub use plain::{Incoming, PlainRequest};
#[cfg(feature = "rand")]
pub use reconnect::Reconnecting;
pub use sender::Sender;
pub use split::{ReceiveHalf, SendHalf};
pub use tunnel::Tunnel;
pub use websocket::WebSocket;

pub use crate::engine::server::Acceptor;
pub(crate) use crate::engine::{Error, Parts};
