//! Binary messages as text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;

/// The format in which binary messages are read and printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Encoding {
    /// A line of hex digits for each message
    Hex,
    /// A line of base64 for each message
    Base64,
    /// The bytes themselves, without line ends, for pipes
    Raw,
}

impl Encoding {
    pub fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Base64 => STANDARD.encode(bytes),
            Self::Hex | Self::Raw => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// The error says what the text should be.
    pub fn decode(self, text: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::Hex => from_hex(text).ok_or_else(|| "must be pairs of hex digits".into()),
            Self::Base64 => STANDARD.decode(text.trim()).map_err(|error| format!("must be base64: {error}")),
            Self::Raw => Ok(text.as_bytes().to_vec()),
        }
    }
}

/// Pairs of hex digits; white space between the pairs is passed over.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_base64_come_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        for encoding in [Encoding::Hex, Encoding::Base64] {
            assert_eq!(encoding.decode(&encoding.encode(&bytes)).unwrap(), bytes);
        }
        assert_eq!(Encoding::Hex.decode("48 69\t21").unwrap(), b"Hi!");
        assert_eq!(Encoding::Hex.decode("").unwrap(), b"");
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in ["1", "0g", "\u{ff11}\u{ff11}"] {
            assert!(Encoding::Hex.decode(wrong).is_err(), "{wrong}");
        }
        assert!(Encoding::Base64.decode("=").is_err());
    }
}
