#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations, missing_docs, unreachable_pub)]

mod extract;
mod layer;
mod rejection;
#[cfg(feature = "testing")]
pub mod testing;

pub use extract::WebSocketUpgrade;
pub use layer::{GroupLayer, GroupService};
pub use rejection::{FailedUpgrade, WebSocketUpgradeRejection};
pub use sansocket::hyper::{Origins, Stream, UpgradeError, Upgrading};
pub use sansocket::tokio::{Error, Group};
pub use sansocket::{self, CloseCode, Config, Message};

/// The WebSocket that a route gets: the ordinary one of [`sansocket::tokio`], over the server's own stream where hyper
/// hands it over.
pub type WebSocket<S = tokio::net::TcpStream> = sansocket::tokio::WebSocket<Stream<S>>;
