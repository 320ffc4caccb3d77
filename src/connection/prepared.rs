//! A message encoded once for any number of receivers.

#[cfg(feature = "deflate")]
use alloc::sync::Arc;
use core::fmt;
#[cfg(feature = "deflate")]
use std::sync::OnceLock;

use bytes::Bytes;

#[cfg(feature = "deflate")]
use super::Fin;
#[cfg(feature = "deflate")]
use super::compressing::compressed_header;
#[cfg(feature = "deflate")]
use crate::deflate::Compressed;

use crate::frame::{FrameHeader, Opcode};
use crate::message::{Kind, Message};
use crate::redacted::Redacted;

/// A message whose frame is made once, to be sent on many connections.
///
/// Servers send the same bytes to everybody, so that a broadcast costs one encoding; [`frame`](Self::frame) gives
/// them without a copy to whoever writes vectored. A client masks anew for each connection, as it must.
///
/// With the feature `deflate` it is compressed once for all connections without context takeover and with windows of the
/// same size; with context takeover each connection compresses it anew, as it must.
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
#[derive(Clone)]
pub struct Prepared {
    kind: Kind,
    frame: Bytes,
    header_len: usize,
    /// The compressed forms, by the exponent of their window less 9; each is made when it is first needed.
    #[cfg(feature = "deflate")]
    compressed: Option<Arc<[OnceLock<Option<CompressedFrame>>; 7]>>,
}

/// A frame of a server with a compressed message.
#[cfg(feature = "deflate")]
pub(super) struct CompressedFrame {
    pub(super) frame: Bytes,
    header_len: usize,
}

#[cfg(feature = "deflate")]
impl CompressedFrame {
    pub(super) fn payload(&self) -> &[u8] {
        self.frame.get(self.header_len..).unwrap_or_default()
    }
}

impl Prepared {
    /// Encodes `message`; a clone of the result costs no copy.
    #[must_use]
    pub fn new<'m>(message: impl Into<Message<'m>>) -> Self {
        let message = message.into();
        let payload = message.as_bytes();
        let header = FrameHeader::new(Opcode::from(message.kind()), payload.len() as u64);
        let (frame, header_len) = frame_of(&header, payload);
        Self {
            kind: message.kind(),
            frame,
            header_len,
            #[cfg(feature = "deflate")]
            compressed: Some(Arc::default()),
        }
    }

    /// As [`new`](Self::new), but never compressed: for what is compressed already, or must not tell its content by its
    /// length.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn uncompressed<'m>(message: impl Into<Message<'m>>) -> Self {
        Self { compressed: None, ..Self::new(message) }
    }

    #[cfg(feature = "deflate")]
    pub(super) const fn may_be_compressed(&self) -> bool {
        self.compressed.is_some()
    }

    /// The form for connections without context takeover whose window has `bits`; `None` if it were not smaller.
    #[cfg(feature = "deflate")]
    pub(super) fn compressed(
        &self,
        bits: u8,
        compress: impl FnOnce(&[u8]) -> Option<Compressed>,
    ) -> Option<&CompressedFrame> {
        let forms = self.compressed.as_deref()?;
        let form = forms.get(usize::from(bits.saturating_sub(9)))?;
        if form.get().is_none() {
            // Whoever needs it meanwhile makes it as well: a thread that waited would stop all its other connections.
            let made = compress(self.payload()).map(|compressed| self.compressed_frame(&compressed));
            let _ = form.set(made);
        }
        form.get()?.as_ref()
    }

    #[cfg(feature = "deflate")]
    fn compressed_frame(&self, compressed: &Compressed) -> CompressedFrame {
        let payload = compressed.without_tail();
        let header = compressed_header(self.kind.into(), Fin::Final, payload.len());
        let (frame, header_len) = frame_of(&header, payload);
        CompressedFrame { frame, header_len }
    }

    /// Text or binary.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The whole frame as a server sends it, uncompressed.
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

/// A frame of a server, and the length of its header.
fn frame_of(header: &FrameHeader, payload: &[u8]) -> (Bytes, usize) {
    let frame = [&header.encode()[..], payload].concat();
    (frame.into(), header.encoded_len())
}

impl From<Message<'_>> for Prepared {
    fn from(message: Message<'_>) -> Self {
        Self::new(message)
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("kind", &self.kind)
            .field("payload", &Redacted::of(self.payload()))
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "deflate")]
impl fmt::Debug for CompressedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressedFrame")
            .field("payload", &Redacted::of(self.payload()))
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "deflate"))]
mod tests {
    use core::time::Duration;
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::deflate::Deflate;

    #[test]
    fn a_compression_does_not_stop_others_that_need_the_same() {
        let settings = Deflate::shared();
        let compress = |payload: &[u8]| settings.compressor(15).compress(payload, &settings, usize::MAX);
        let prepared = Prepared::new("a".repeat(1000));
        let (begin, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        thread::scope(|scope| {
            let (compress, prepared) = (&compress, &prepared);
            let slow = scope.spawn(move || {
                let slowly = |payload: &[u8]| {
                    begin.send(()).unwrap();
                    // As long as the other one takes.
                    ended.recv_timeout(Duration::from_secs(5)).expect("the other thread waits");
                    compress(payload)
                };
                prepared.compressed(15, slowly).map(|form| form.frame.clone())
            });
            begun.recv().unwrap();
            let quick = prepared.compressed(15, compress).map(|form| form.frame.clone());
            end.send(()).unwrap();
            assert!(quick.is_some());
            assert_eq!(slow.join().unwrap(), quick);
        });
    }
}
