//! From messages to compressed payloads (RFC 7692 §7.2.1).

use alloc::vec::Vec;
use core::fmt;

use zlib_rs::{DeflateConfig, DeflateFlush, Status};

use super::pool::Scratch;
use super::settings::Deflate;
use crate::memory::Lease;
use crate::redacted::Redacted;

/// What stands at the end of everything that is flushed: an empty block without compression, but for its first bits.
pub(super) const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// A compressor, which knows the latest bytes that it was given, as far as its window goes.
pub(crate) struct Compressor {
    zlib: zlib_rs::Deflate,
    window_bits: u8,
    level: i32,
    memory_level: i32,
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("window_bits", &self.window_bits).finish_non_exhaustive()
    }
}

impl Compressor {
    /// `window_bits` from 9 to 15.
    pub(super) fn new(settings: &Deflate, window_bits: u8) -> Self {
        let (level, memory_level) = (settings.zlib_level(), settings.zlib_memory_level());
        let config = DeflateConfig {
            level,
            mem_level: memory_level,
            // No header and no checksum around the blocks.
            window_bits: -i32::from(window_bits.clamp(9, 15)),
            ..DeflateConfig::default()
        };
        Self { zlib: zlib_rs::Deflate::new_with_config(config), window_bits, level, memory_level }
    }

    pub(super) const fn window_bits(&self) -> u8 {
        self.window_bits
    }

    pub(super) fn suits(&self, settings: &Deflate) -> bool {
        (self.level, self.memory_level) == (settings.zlib_level(), settings.zlib_memory_level())
    }

    /// Starts with an empty window. It may do so at any time: the peer's window only holds more than is needed.
    pub(crate) fn forget(&mut self) {
        if self.zlib.total_in() != 0 {
            self.zlib.reset();
        }
    }

    /// Compresses the next part of a message up to a byte edge; `None` once that takes more than `most` bytes.
    ///
    /// After `None` the compressor knows bytes that the peer will not: let it forget them.
    pub(crate) fn compress(&mut self, part: &[u8], settings: &Deflate, most: usize) -> Option<Compressed> {
        let mut compressed = Compressed { scratch: settings.scratch(), len: 0, overflow: Vec::new() };
        let mut rest = part;
        loop {
            let room = compressed.room();
            let room_len = room.len();
            let (read, written) = (self.zlib.total_in(), self.zlib.total_out());
            let status = self.zlib.compress(rest, room, DeflateFlush::SyncFlush);
            let (read, written) = (self.zlib.total_in() - read, self.zlib.total_out() - written);
            rest = rest.get(read as usize..).unwrap_or_default();
            compressed.len += written as usize;
            if compressed.total_len() > most {
                return None;
            }
            match status {
                // With room left, all that there is has come out.
                Ok(Status::Ok | Status::BufError) if rest.is_empty() && (written as usize) < room_len => {
                    return Some(compressed.finish());
                }
                Ok(Status::Ok) if read != 0 || written != 0 => {}
                // What zlib says of a stream that is not in order, which this one always is.
                _ => return None,
            }
        }
    }
}

/// Compressed bytes, in memory of the pool as far as that goes.
pub(crate) struct Compressed {
    scratch: Lease<Scratch>,
    len: usize,
    /// Everything, once that is more than the scratch memory holds; until then nothing.
    overflow: Vec<u8>,
}

impl Compressed {
    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.overflow.is_empty() { &self.scratch[..self.len] } else { &self.overflow }
    }

    /// The payload of a message, or the end of one.
    ///
    /// RFC 7692 §7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
    pub(crate) fn without_tail(&self) -> &[u8] {
        // RFC 7692 §7.2.3.6: where there was nothing to flush, "an empty uncompressed DEFLATE block can be built".
        self.as_slice().strip_suffix(&TAIL).unwrap_or(&[0])
    }

    fn total_len(&self) -> usize {
        self.overflow.len() + self.len
    }

    fn room(&mut self) -> &mut [u8] {
        if self.len == self.scratch.len() || !self.overflow.is_empty() {
            self.overflow.extend_from_slice(&self.scratch[..self.len]);
            self.len = 0;
        }
        &mut self.scratch[self.len..]
    }

    /// Moves what is in the scratch memory behind the rest, if there is a rest.
    fn finish(mut self) -> Self {
        if !self.overflow.is_empty() {
            self.room();
        }
        self
    }
}

impl fmt::Debug for Compressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressed").field("bytes", &Redacted::of(self.as_slice())).finish_non_exhaustive()
    }
}
