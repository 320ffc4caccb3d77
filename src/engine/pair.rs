//! Both ends of a connection without a handshake.

use alloc::sync::Arc;
use core::time::Duration;

use crate::{Config, Connection, MaskKeys};

/// A client and a server that agree on all that a handshake between them would agree on.
pub(crate) fn both_ends(config: Arc<Config>) -> (Connection, Connection) {
    #[cfg(feature = "deflate")]
    let agreed = config.deflate.as_ref().and_then(crate::handshake::agreed_between_equals);
    let client = Connection::client(config.clone(), MaskKeys::thread(), Duration::ZERO);
    let server = Connection::server(config, Duration::ZERO);
    #[cfg(feature = "deflate")]
    let (client, server) = match agreed {
        Some((at_client, at_server)) => (client.with_deflate(at_client), server.with_deflate(at_server)),
        None => (client, server),
    };
    (client, server)
}
