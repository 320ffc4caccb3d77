//! Compression of messages: the extension permessage-deflate (RFC 7692).
//!
//! ```text
//!  message    {"symbol":"BTC","bid":43.1, …}                                  compressed by zlib-rs
//!  payload    aa 56 2a ae cc 4d ca cf 51 … 00 │ 00 00 ff ff                   the last four bytes stay at home
//!  frame      c1 │ length │ payload           RSV1 = 1: this message is compressed, the next one may not be
//! ```
//!
//! It is off unless [`Config::deflate`](crate::Config::deflate) turns it on, for servers and clients alike; what both
//! ends agree on is decided in the opening handshake, and a peer that does not want it gets plain messages. There are
//! two classes of it:
//!
//! | | [`Deflate::shared`] | [`Deflate::dedicated`] |
//! |---|---|---|
//! | context | each message stands for itself | messages refer back to earlier ones: far smaller where they are alike |
//! | an idle connection holds | nothing | 165 KiB by default, see [the table](Deflate#memory) |
//! | for | many connections, large messages, broadcasts | few connections, small messages that are alike |
//!
//! Compressors and inflaters of the shared class belong to a pool in the configuration and are borrowed for the time of
//! one message. A dedicated connection keeps its compressor from the first message that it sends compressed, and the
//! latest bytes that it received compressed; for the time of a message it borrows an inflater too.
//!
//! # Security
//!
//! Where a message mixes a secret with text that an attacker chooses, its compressed length tells about the secret
//! (CRIME, BREACH; RFC 7692 §8): encryption does not hide lengths. Turn compression off for such messages with
//! [`Connection::set_compression`](crate::Connection::set_compression) or
//! [`Prepared::uncompressed`](crate::Prepared::uncompressed); with context takeover also *earlier* messages count.
//!
//! A small message can inflate to a large one. The limit on messages holds for the inflated size and while inflating, so
//! that a message which exceeds it costs no more memory than one which does not.

mod agreed;
mod compressor;
mod history;
mod inflater;
mod pool;
mod settings;

pub use agreed::Agreed;
pub(crate) use agreed::Direction;
pub(crate) use compressor::{Compressed, Compressor};
pub(crate) use history::History;
pub(crate) use inflater::{InflateError, Inflating};
pub use settings::{Context, Deflate};
