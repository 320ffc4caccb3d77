//! What bounds a handshake in memory and time (RFC 6455 §10.4).

use core::time::Duration;

/// What a peer may make a handshake cost, in memory and in time.
///
/// The defaults suit requests with large cookies. Each limit is inclusive, set by the method of its name and read as a
/// field.
///
/// ```
/// use core::time::Duration;
/// use sansocket::handshake::HandshakeLimits;
///
/// let limits = HandshakeLimits::default().max_head_bytes(4096).timeout(Duration::from_secs(3));
/// assert_eq!(limits.max_head_bytes, 4096);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HandshakeLimits {
    /// As [set](Self::max_head_bytes()).
    pub max_head_bytes: usize,
    /// As [set](Self::max_headers()).
    pub max_headers: usize,
    /// As [set](Self::max_target_bytes()).
    pub max_target_bytes: usize,
    /// As [set](Self::max_refusal_body_bytes()).
    pub max_refusal_body_bytes: usize,
    /// As [set](Self::timeout()).
    pub timeout: Duration,
}

impl HandshakeLimits {
    /// The bytes of a request or response up to and with its blank line. Default: 16384.
    #[must_use]
    pub const fn max_head_bytes(mut self, bytes: usize) -> Self {
        self.max_head_bytes = bytes;
        self
    }

    /// The number of header lines. Default: 100.
    #[must_use]
    pub const fn max_headers(mut self, lines: usize) -> Self {
        self.max_headers = lines;
        self
    }

    /// The bytes of a request's target: path and query. Default: 8192.
    #[must_use]
    pub const fn max_target_bytes(mut self, bytes: usize) -> Self {
        self.max_target_bytes = bytes;
        self
    }

    /// The bytes of a refusal's body that a client keeps; the rest is not read. Default: 65536.
    #[must_use]
    pub const fn max_refusal_body_bytes(mut self, bytes: usize) -> Self {
        self.max_refusal_body_bytes = bytes;
        self
    }

    /// The time from the first call until the head of the peer is complete. Default: 10 seconds.
    /// [`Duration::MAX`] is no limit.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self {
            max_head_bytes: 16 * 1024,
            max_headers: 100,
            max_target_bytes: 8 * 1024,
            max_refusal_body_bytes: 64 * 1024,
            timeout: Duration::from_secs(10),
        }
    }
}
