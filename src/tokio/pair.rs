//! A connection without a network, for tests.

use alloc::sync::Arc;

use ::tokio::io::{DuplexStream, duplex};

use super::WebSocket;
use crate::Config;
use crate::engine::both_ends;

/// How many bytes wait in one direction before a write does.
const CAPACITY: usize = 64 << 10;

/// A client and a server that are connected to each other in memory, for tests of code that uses them.
///
/// The opening handshake is done already; 64 KiB wait in each direction before a write does. Call it inside a runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), sansocket::tokio::Error> {
/// let (mut client, mut server) = sansocket::tokio::pair(sansocket::Config::default());
/// client.send("hello").await?;
/// assert_eq!(server.recv().await?, Some("hello".into()));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn pair(config: impl Into<Arc<Config>>) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (there, here) = duplex(CAPACITY);
    let (client, server) = both_ends(config.into());
    (WebSocket::over(there, client), WebSocket::over(here, server))
}
