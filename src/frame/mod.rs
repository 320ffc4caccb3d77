//! Frames (RFC 6455 §5): header, mask, and a decoder that takes bytes in any cut.
//!
//! ```text
//!  0               1               2               3
//!  7 6 5 4 3 2 1 0 7 6 5 4 3 2 1 0 7 6 5 4 3 2 1 0 7 6 5 4 3 2 1 0
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| length      | length, if 126: 16 bits       |
//! |I|S|S|S|       |A|             |         if 127: 64 bits       |
//! |N|V|V|V|       |S|  7 bits     |                               |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! | masking key, 32 bits, if MASK is set          | payload ...   |
//! +-----------------------------------------------+---------------+
//! ```
//!
//! This layer never allocates. It is what a relay works on that must keep frame boundaries; everyone else uses
//! [`Connection`](crate::Connection), for which boundaries inside a message mean nothing (§5.4).
//!
//! `header` has the one parser and the one encoder of headers, `decoder` the frames in any cut and the messages that are
//! there whole, `mask` the masking, `opcode` what a frame is for.

mod decoder;
mod header;
mod mask;
mod opcode;

pub use decoder::{Decoder, Piece};
pub use header::{EncodedHeader, FrameHeader};
pub use mask::apply_mask;
pub use opcode::Opcode;
