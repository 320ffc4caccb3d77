//! UTF-8, whole or piece by piece, failing at the first byte that no continuation can mend (RFC 6455 §8.1).
//!
//! This layer never allocates.

use crate::error::InvalidUtf8;
use crate::redacted::Redacted;
use core::fmt;

/// Validates text that is there as a whole.
///
/// # Errors
///
/// [`InvalidUtf8`], also for text that ends inside a character.
#[inline]
pub fn validate(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    from_utf8(bytes).ok_or_else(|| InvalidUtf8 { valid_up_to: valid_up_to(bytes) as u64 })
}

#[cfg(feature = "simdutf8")]
#[inline]
fn from_utf8(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

#[cfg(not(feature = "simdutf8"))]
#[inline]
fn from_utf8(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok()
}

#[cold]
fn valid_up_to(bytes: &[u8]) -> usize {
    core::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len)
}

/// Validates text that comes in pieces, which may be cut inside a character.
///
/// ```
/// use sansocket::utf8::Validator;
///
/// let mut validator = Validator::new();
/// let piece = validator.push(b"gr\xC3")?;
/// assert_eq!((piece.carried, piece.text), (None, "gr"));
/// let piece = validator.push(b"\xBC\xC3\x9Fe")?;
/// assert_eq!((piece.carried, piece.text), (Some('ü'), "ße"));
/// assert!(validator.push(b"\xF4\x90").is_err()); // above U+10FFFF, whatever follows
/// # Ok::<(), sansocket::InvalidUtf8>(())
/// ```
#[derive(Clone, Default)]
pub struct Validator {
    /// The bytes of a character of which more is to come.
    pending: [u8; 4],
    pending_len: u8,
    /// Bytes of complete characters that have passed.
    passed: u64,
}

/// What [`Validator::push`] found to be complete text: `carried`, then `text`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ValidPiece<'a> {
    /// The character that began in an earlier piece and ended in this one.
    pub carried: Option<char>,
    /// The complete characters behind it.
    pub text: &'a str,
}

impl Validator {
    /// Starts at the beginning of a text.
    #[must_use]
    pub const fn new() -> Self {
        Self { pending: [0; 4], pending_len: 0, passed: 0 }
    }

    /// Validates the next bytes of the text and returns the characters that they complete.
    ///
    /// # Errors
    ///
    /// [`InvalidUtf8`] at the first byte that no continuation can make valid. The validator is then of no use.
    pub fn push<'a>(&mut self, bytes: &'a [u8]) -> Result<ValidPiece<'a>, InvalidUtf8> {
        let (carried, rest) = self.complete_pending(bytes)?;
        let (whole, cut) = rest.split_at(rest.len() - incomplete_tail(rest));
        let text = validate(whole).map_err(|error| self.error(error.valid_up_to))?;
        self.passed += whole.len() as u64;
        for &byte in cut {
            self.append(byte)?;
        }
        Ok(ValidPiece { carried, text })
    }

    /// Checks that the text does not end inside a character.
    ///
    /// # Errors
    ///
    /// [`InvalidUtf8`] if it does.
    pub const fn finish(&self) -> Result<(), InvalidUtf8> {
        if self.pending_len == 0 { Ok(()) } else { Err(InvalidUtf8 { valid_up_to: self.passed }) }
    }

    fn complete_pending<'a>(&mut self, bytes: &'a [u8]) -> Result<(Option<char>, &'a [u8]), InvalidUtf8> {
        let mut rest = bytes;
        while self.pending_len != 0 {
            let Some((&byte, behind)) = rest.split_first() else { break };
            rest = behind;
            if let Some(carried) = self.append(byte)? {
                return Ok((Some(carried), rest));
            }
        }
        Ok((None, rest))
    }

    /// Appends to the pending character and returns it once it is complete.
    fn append(&mut self, byte: u8) -> Result<Option<char>, InvalidUtf8> {
        let len = usize::from(self.pending_len);
        let Some(place) = self.pending.get_mut(len) else { return Err(self.error(0)) };
        *place = byte;
        self.pending_len += 1;
        match core::str::from_utf8(&self.pending[..=len]) {
            Ok(text) => {
                self.passed += text.len() as u64;
                self.pending_len = 0;
                Ok(text.chars().next())
            }
            Err(error) if error.error_len().is_none() => Ok(None),
            Err(_) => Err(self.error(0)),
        }
    }

    const fn error(&self, further: u64) -> InvalidUtf8 {
        InvalidUtf8 { valid_up_to: self.passed + further }
    }
}

/// How many bytes at the end begin a character of which more is to come.
fn incomplete_tail(bytes: &[u8]) -> usize {
    for (back, &byte) in bytes.iter().rev().take(3).enumerate() {
        let needed = match byte {
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            _ => 1,
        };
        return if needed > back + 1 { back + 1 } else { 0 };
    }
    0
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validator")
            .field("pending", &Redacted::len(usize::from(self.pending_len)))
            .field("passed", &self.passed)
            .finish()
    }
}
