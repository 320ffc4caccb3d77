//! DEFLATE by another library than the crate's, with its own choice of blocks and matches.

#![allow(dead_code, unreachable_pub, reason = "each user needs its own part")]

use miniz_oxide::deflate::core::CompressorOxide;
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush};

pub use miniz_oxide::MZFlush as Flush;

pub struct Compressor(CompressorOxide);

impl Compressor {
    /// `level` is 0 for stored blocks alone to 9 for the smallest output.
    pub fn new(level: u8) -> Self {
        let mut compressor = CompressorOxide::default();
        compressor.set_format_and_level(DataFormat::Raw, level);
        Self(compressor)
    }

    /// What the message adds to the output, up to the flush.
    pub fn compress(&mut self, message: &[u8], flush: Flush) -> Vec<u8> {
        let mut out = vec![0; 2 * message.len() + 1024];
        let result = deflate(&mut self.0, message, &mut out, flush);
        assert!(result.status.is_ok(), "{:?}", result.status);
        assert!(result.bytes_consumed == message.len() && result.bytes_written < out.len());
        out.truncate(result.bytes_written);
        out
    }

    /// The payload of a message (RFC 7692 §7.2.1).
    pub fn payload(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = self.compress(message, Flush::Sync);
        assert_eq!(out.split_off(out.len() - 4), [0, 0, 0xFF, 0xFF]);
        out
    }

    /// Forgets the window.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

pub struct Decompressor(Box<InflateState>);

impl Decompressor {
    pub fn new() -> Self {
        Self(InflateState::new_boxed(DataFormat::Raw))
    }

    /// The message of a payload (RFC 7692 §7.2.2), which must be shorter than `limit`.
    pub fn message(&mut self, payload: &[u8], limit: usize) -> Vec<u8> {
        let data = [payload, &[0, 0, 0xFF, 0xFF]].concat();
        let mut out = vec![0; limit];
        let result = inflate(&mut self.0, &data, &mut out, MZFlush::Sync);
        assert!(result.status.is_ok(), "{:?}", result.status);
        assert!(result.bytes_consumed == data.len() && result.bytes_written < limit);
        out.truncate(result.bytes_written);
        out
    }
}
