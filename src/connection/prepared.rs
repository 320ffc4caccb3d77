//! A message encoded once for any number of receivers.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::frame::{FrameHeader, Opcode};
use crate::message::{Kind, Message};

/// A message whose frame is made once, to be sent on many connections.
///
/// Servers send the same bytes to everybody, so that a broadcast costs one encoding; [`frame`](Self::frame) gives
/// them without a copy to whoever writes vectored. A client masks anew for each connection, as it must.
///
/// ```
/// use core::time::Duration;
/// use sansocket::{Config, Connection, Prepared};
///
/// let price = Prepared::new("BTC 43");
/// let config = std::sync::Arc::new(Config::default());
/// for _ in 0..3 {
///     let (mut connection, mut out) = (Connection::server(config.clone(), Duration::ZERO), Vec::new());
///     connection.send_prepared(&price, &mut out)?;
///     assert_eq!(out, b"\x81\x06BTC 43");
/// }
/// # Ok::<(), sansocket::SendError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Prepared {
    kind: Kind,
    frame: Bytes,
    header_len: usize,
}

impl Prepared {
    /// Encodes `message`; a clone of the result costs no copy.
    #[must_use]
    pub fn new<'m>(message: impl Into<Message<'m>>) -> Self {
        let message = message.into();
        let payload = message.as_bytes();
        let header = FrameHeader::new(Opcode::from(message.kind()), payload.len() as u64).encode();
        let mut frame = Vec::with_capacity(header.len() + payload.len());
        frame.extend_from_slice(&header);
        frame.extend_from_slice(payload);
        Self { kind: message.kind(), frame: frame.into(), header_len: header.len() }
    }

    /// Text or binary.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The whole frame as a server sends it.
    ///
    /// Write it yourself only on a server's connection and after
    /// [`Connection::send_prepared`](super::Connection::send_prepared) would have been allowed to.
    #[must_use]
    pub const fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// The payload alone.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.frame.get(self.header_len..).unwrap_or_default()
    }
}

impl From<Message<'_>> for Prepared {
    fn from(message: Message<'_>) -> Self {
        Self::new(message)
    }
}
