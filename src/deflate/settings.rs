//! What an application can set.

use alloc::sync::Arc;
use std::sync::OnceLock;

use super::pool::Pool;

/// How messages are compressed: the class of the connections, and what a compressor may cost.
///
/// Clones share one pool of compressors and inflaters, and so do all connections of one [`Config`](crate::Config).
/// Values outside a range count as its nearest end.
///
/// # Memory
///
/// What a connection holds in bytes between messages, as `tests/deflate_memory.rs` measures it; each direction from its
/// first compressed message on:
///
/// | class | window bits | memory level | to send | to receive |
/// |---|---:|---:|---:|---:|
/// | shared | any | any | 0 | 0 |
/// | dedicated, least | 9 | 1 | 137,408 | 704 |
/// | dedicated, default | 12 | 5 | 165,184 | 4,288 |
/// | dedicated | 15 | 5 | 279,872 | 32,960 |
/// | dedicated, most usual elsewhere | 15 | 8 | 380,224 | 32,960 |
///
/// A client of any class holds up to 32,960 bytes to receive if the server takes its [fallback](Self::offer_fallback).
///
/// While a call inflates or compresses, and while a compressed message is borrowed from the connection, it takes 128 KiB
/// of the pool; a compressor of the shared class takes 294,016 bytes more by default. The pool keeps up to eight of each
/// while nobody needs them.
///
/// A received message that is unfinished holds, besides what it has inflated to:
///
/// | delivery | compressed bytes that have arrived | holds |
/// |---|---:|---|
/// | messages | up to 4,096 | those bytes, not yet inflated |
/// | messages | more | an inflater, 47 KiB, and the last 32 KiB that it inflated to |
/// | chunks | any | the same |
///
/// ```
/// use sansocket::Config;
/// use sansocket::deflate::Deflate;
///
/// let config = Config::new().deflate(Deflate::shared());
/// let few_connections = Config::new().deflate(Deflate::dedicated().window_bits(15).level(6));
/// # let _ = (config, few_connections);
/// ```
#[derive(Clone, Debug)]
pub struct Deflate {
    context: Context,
    level: u8,
    memory_level: u8,
    window_bits: u8,
    peer_window_bits: u8,
    offer_fallback: bool,
    threshold: usize,
    pub(super) pool: Arc<Pool>,
}

/// Whether messages refer back to earlier ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Context {
    /// No: no context takeover in either direction.
    Shared,
    /// Yes, as far as the peer agrees.
    Dedicated,
}

impl Eq for Deflate {}

impl PartialEq for Deflate {
    /// Whether the settings are the same; the pools may be two.
    fn eq(&self, other: &Self) -> bool {
        self.settings() == other.settings()
    }
}

impl Deflate {
    /// Each message stands for itself: nothing is held between messages, and equal messages give equal bytes.
    ///
    /// A server answers with `server_no_context_takeover` and `client_no_context_takeover`; a client asks for the first
    /// and announces the second. A server that cannot grant what a client asks for may take its
    /// [fallback](Self::offer_fallback).
    #[must_use]
    pub fn shared() -> Self {
        Self {
            context: Context::Shared,
            level: 3,
            memory_level: 6,
            window_bits: 15,
            peer_window_bits: 15,
            offer_fallback: true,
            threshold: 256,
            pool: Arc::default(),
        }
    }

    /// Messages refer back to earlier ones (context takeover): small messages that are alike shrink most.
    ///
    /// A peer that wants no context takeover gets none.
    #[must_use]
    pub fn dedicated() -> Self {
        Self {
            context: Context::Dedicated,
            level: 3,
            memory_level: 5,
            window_bits: 12,
            peer_window_bits: 12,
            offer_fallback: true,
            threshold: 32,
            pool: Arc::default(),
        }
    }

    /// How hard to compress: 0 (not at all) to 9. Default 3.
    ///
    /// What a message like those of JSON interfaces costs to echo, in µs, and comes to, in bytes, by `benches/deflate.rs` with memory level 8:
    ///
    /// | level | 1 KiB, shared | 1 KiB, dedicated | 16 KiB, shared |
    /// |---:|---:|---:|---:|
    /// | 1 | 4.8, 375 B | 2.9, 289 B | 44, 4,501 B |
    /// | 2 | 12.4, 288 B | 9.7, 218 B | 67, 3,150 B |
    /// | 3 | 13.8, 284 B | 10.7, 205 B | 91, 3,059 B |
    /// | 6 | 14.2, 280 B | 11.4, 197 B | 117, 2,932 B |
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = level.min(9);
        self
    }

    /// How much memory a compressor takes for its tables: 1 to 9. Default 6 for the shared class, 5 for the dedicated one;
    /// more helps large messages only.
    #[must_use]
    pub fn memory_level(mut self, level: u8) -> Self {
        self.memory_level = level.clamp(1, 9);
        self
    }

    /// How far back a message that is sent may refer, as the exponent of two: 9 (512 bytes) to 15 (32 KiB). Default
    /// 15 for the shared class, 12 for the dedicated one. The peer may ask for less.
    #[must_use]
    pub fn window_bits(mut self, bits: u8) -> Self {
        self.window_bits = bits.clamp(9, 15);
        self
    }

    /// How far back the peer's messages may refer, as the exponent of two: 9 to 15. Default as
    /// [`window_bits`](Self::window_bits).
    ///
    /// It bounds what a dedicated connection holds of what it has received. A server can ask only those clients that
    /// announce `client_max_window_bits`, as browsers do, and accepts 15 of all others. A client asks each server; one that
    /// cannot do with less than 15 may take the client's [fallback](Self::offer_fallback).
    #[must_use]
    pub fn peer_window_bits(mut self, bits: u8) -> Self {
        self.peer_window_bits = bits.clamp(9, 15);
        self
    }

    /// Whether a client offers compression without its wishes too, as its second choice (RFC 7692 §7.1.3). Default `true`.
    ///
    /// The wishes are window bits below 15, and no context takeover in the shared class. A server that cannot grant them
    /// must decline the offer, and some servers then refuse the whole handshake: Node's `ws` with `serverMaxWindowBits: 14`
    /// does. With the fallback such a server opens a connection, on which receiving costs a window of up to 32 KiB.
    ///
    /// With `false` the bound on what receiving costs always holds; at such a server the connection opens without compression
    /// or not at all. Servers ignore this setting.
    #[must_use]
    pub const fn offer_fallback(mut self, on: bool) -> Self {
        self.offer_fallback = on;
        self
    }

    /// Messages of fewer bytes are sent uncompressed. Default 256 for the shared class, 32 for the dedicated one.
    #[must_use]
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// The class.
    #[must_use]
    pub const fn context(&self) -> Context {
        self.context
    }

    /// Where nobody has set anything.
    pub(crate) fn fallback() -> &'static Self {
        static FALLBACK: OnceLock<Deflate> = OnceLock::new();
        FALLBACK.get_or_init(Self::shared)
    }

    pub(crate) const fn own_window_bits(&self) -> u8 {
        self.window_bits
    }

    pub(crate) const fn wanted_peer_window_bits(&self) -> u8 {
        self.peer_window_bits
    }

    pub(crate) const fn offers_fallback(&self) -> bool {
        self.offer_fallback
    }

    pub(crate) const fn compresses_from(&self) -> usize {
        self.threshold
    }

    pub(super) const fn zlib_level(&self) -> i32 {
        self.level as i32
    }

    pub(super) const fn zlib_memory_level(&self) -> i32 {
        self.memory_level as i32
    }

    fn settings(&self) -> (Context, [u8; 4], bool, usize) {
        let numbers = [self.level, self.memory_level, self.window_bits, self.peer_window_bits];
        (self.context, numbers, self.offer_fallback, self.threshold)
    }
}
