//! `Sec-WebSocket-Key` and `-Accept`: the proof that the server speaks WebSocket (RFC 6455 §1.3).

use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// What a server answers in `Sec-WebSocket-Accept` to the key of a client (RFC 6455 §4.2.2).
///
/// For handshakes that another HTTP library does; [`ServerHandshake`](super::ServerHandshake) calls it by
/// itself. The key is taken as it is, without the blanks around it; [`Offer`](super::Offer) checks it.
///
/// ```
/// use sansocket::handshake::accept_key;
///
/// assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &str) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(key);
    sha1.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(sha1.finalize())
}

/// A nonce for [`ClientRequest::start`](super::ClientRequest::start), from the operating system.
///
/// # Errors
///
/// The operating system had no random bytes to give.
#[cfg(feature = "rand")]
pub fn random_nonce() -> Result<[u8; 16], NoRandomness> {
    use rand::TryRng as _;

    let mut nonce = [0; 16];
    match rand::rngs::SysRng.try_fill_bytes(&mut nonce) {
        Ok(()) => Ok(nonce),
        Err(_) => Err(NoRandomness),
    }
}

/// The operating system had no random bytes to give.
#[cfg(feature = "rand")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NoRandomness;

#[cfg(feature = "rand")]
impl core::fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the operating system had no random bytes to give")
    }
}

#[cfg(feature = "rand")]
impl core::error::Error for NoRandomness {}

/// The header value of a nonce.
pub(crate) fn encode_nonce(nonce: &[u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Whether a key is base64 of 16 bytes: 22 characters of the alphabet and `==`.
///
/// The 4 bits that encode nothing may be set, as in the RFC's own misprinted example (erratum 3150).
pub(crate) fn is_valid_key(key: &str) -> bool {
    key.len() == 24
        && key.ends_with("==")
        && key.bytes().take(22).all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}
