//! The engine under wakers and budgets: what the adapters for asynchronous runtimes share.
//!
//! | file | what is in it |
//! |---|---|
//! | `websocket`, `split`, `message_writer`, `tunnel`, `futures` | the open connection, its halves and its other views |
//! | `accept`, `plain`, `exchange` | the server's opening handshake |
//! | `reconnect`, `group`, `pair` | a client that connects again, many connections, both ends in memory |
//! | `polled` | the stream, its wakers and its timer |
//! | `drive`, `turn`, `lending`, `feeding` | one call, polled; the fast paths of receiving and feeding |
//! | `waiting`, `keys`, `below` | who waits for the connection; masking keys outside the lock; bytes below TLS |

mod accept;
pub(crate) mod below;
mod drive;
pub(crate) mod exchange;
mod feeding;
#[cfg(any(feature = "futures-core", feature = "futures-sink"))]
mod futures;
mod group;
mod keys;
mod lending;
mod message_writer;
#[cfg(feature = "rand")]
mod pair;
mod plain;
pub(crate) mod polled;
#[cfg(feature = "rand")]
mod reconnect;
mod split;
mod tunnel;
mod turn;
mod waiting;
mod websocket;

pub use accept::{Acceptor, PendingRequest, Undecided, accept};
pub use group::Group;
#[cfg(feature = "hyper")]
pub(crate) use group::Member;
pub use message_writer::MessageWriter;
#[cfg(feature = "rand")]
pub use pair::pair;
pub use plain::{Incoming, PlainRequest};
#[cfg(feature = "rand")]
pub use reconnect::Reconnecting;
pub use split::{ReceiveHalf, SendHalf};
pub use tunnel::Tunnel;
pub use websocket::{Sender, WebSocket};

pub(crate) use crate::engine::{Error, HandshakeError, Parts};
