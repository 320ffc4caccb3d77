//! `Sec-WebSocket-Key` and `-Accept`: the proof that the server speaks WebSocket (RFC 6455 §1.3).

use alloc::string::String;
use core::fmt;
use core::str;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::redacted::Redacted;

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
    STANDARD.encode(accept_hash(key.as_bytes()))
}

/// [`accept_key`] in no memory but its own.
pub(super) fn accept_bytes(key: &[u8]) -> [u8; ACCEPT_BYTES] {
    let mut accept = [0; ACCEPT_BYTES];
    let written = STANDARD.encode_slice(accept_hash(key), &mut accept);
    debug_assert_eq!(written, Ok(ACCEPT_BYTES), "20 bytes in base64");
    accept
}

/// The length of what [`accept_key`] returns.
pub(super) const ACCEPT_BYTES: usize = 28;

fn accept_hash(key: &[u8]) -> [u8; 20] {
    let mut sha1 = Sha1::new();
    sha1.update(key);
    sha1.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    sha1.finalize().into()
}

/// A valid key of a client, as it was sent.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Key([u8; 24]);

impl Key {
    /// Base64 of 16 bytes: 22 characters of the alphabet and `==`.
    ///
    /// The 4 bits that encode nothing may be set, as in the RFC's own misprinted example (erratum 3150).
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let key: [u8; 24] = value.try_into().ok()?;
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        (key[..22].iter().all(is_base64) && key[22..] == *b"==").then_some(Self(key))
    }

    pub(super) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn as_str(&self) -> &str {
        // Only characters of ASCII were let in.
        str::from_utf8(&self.0).unwrap_or_default()
    }
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
impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system had no random bytes to give")
    }
}

#[cfg(feature = "rand")]
impl core::error::Error for NoRandomness {}

/// The header value of a nonce.
pub(crate) fn encode_nonce(nonce: &[u8; 16]) -> String {
    STANDARD.encode(nonce)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&Redacted::of(self.0)).finish()
    }
}
