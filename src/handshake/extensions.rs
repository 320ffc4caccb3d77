//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 §9.1).
//!
//! ```text
//!  permessage-deflate; server_max_window_bits=10; client_max_window_bits, x-other
//!  └──────name──────┘  └────────parameter──────┘  └──────parameter─────┘  └─────┘ next extension
//! ```

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::str;
use core::str::FromStr;

use super::fields::{is_token, is_token_byte, token_len};

/// An extension with its parameters: one offer of a client, or one answer of a server (RFC 6455 §9.1).
///
/// What the parameters mean, and which of them may stand in an offer or an answer, is up to the extension.
///
/// ```
/// use sansocket::handshake::Extension;
///
/// let offer = Extension::new("permessage-deflate")?
///     .with_param("server_max_window_bits", "10")?
///     .with_flag("client_max_window_bits")?;
/// assert_eq!(offer.to_string(), "permessage-deflate; server_max_window_bits=10; client_max_window_bits");
/// assert_eq!(offer, "permessage-deflate;server_max_window_bits=\"10\";client_max_window_bits".parse()?);
/// # Ok::<(), sansocket::handshake::ExtensionError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Extension<'a> {
    /// In its shortest form: no blanks but one after each semicolon, no quotes.
    text: Cow<'a, str>,
}

impl<'a> Extension<'a> {
    /// An extension without parameters.
    ///
    /// # Errors
    ///
    /// The name is no token.
    pub fn new(name: &'a str) -> Result<Self, ExtensionError> {
        if is_token(name) { Ok(Self { text: name.into() }) } else { Err(ExtensionError::Name) }
    }

    /// Adds a parameter without a value at the end.
    ///
    /// # Errors
    ///
    /// The name is no token.
    pub fn with_flag(self, name: &str) -> Result<Self, ExtensionError> {
        if !is_token(name) {
            return Err(ExtensionError::Parameter);
        }
        let mut text = self.text.into_owned();
        text.extend(["; ", name]);
        Ok(Self { text: text.into() })
    }

    /// Adds a parameter with a value at the end.
    ///
    /// # Errors
    ///
    /// The name or the value is no token.
    pub fn with_param(self, name: &str, value: &str) -> Result<Self, ExtensionError> {
        let mut text = self.with_flag(name)?.text.into_owned();
        if !is_token(value) {
            return Err(ExtensionError::Value);
        }
        text.extend(["=", value]);
        Ok(Self { text: text.into() })
    }

    /// The name, such as `permessage-deflate`.
    #[must_use]
    pub fn name(&self) -> &str {
        name_of(&self.text)
    }

    /// The parameters in their order, with their values if they have one, out of their quotes.
    ///
    /// A parameter may be there more than once: whether that is an error is up to the extension.
    pub fn params(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.text.split("; ").skip(1).map(|param| match param.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (param, None),
        })
    }

    /// The same extension without a borrow.
    #[must_use]
    pub fn into_owned(self) -> Extension<'static> {
        Extension { text: self.text.into_owned().into() }
    }
}

impl fmt::Display for Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Extension<'static> {
    type Err = ExtensionError;

    /// Parses one extension in the form of the header.
    fn from_str(text: &str) -> Result<Self, ExtensionError> {
        let list = Extensions::parse([text.as_bytes()])?;
        let mut extensions = list.iter();
        match (extensions.next(), extensions.next()) {
            (Some(only), None) => Ok(only.into_owned()),
            _ => Err(ExtensionError::Separator),
        }
    }
}

/// Extensions in the order in which they were listed: a client's offers by preference, or a server's answer
/// in the order in which they apply to what is sent (RFC 6455 §9.1).
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Extensions {
    /// The header value, each extension in its shortest form, `, ` between them.
    text: String,
}

impl Extensions {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { text: String::new() }
    }

    /// Parses the values of all `Sec-WebSocket-Extensions` lines of a head, which together are one list.
    ///
    /// No lines give an empty list. Takes time and memory in proportion to the bytes of the lines.
    ///
    /// # Errors
    ///
    /// The lines do not obey the grammar of RFC 6455 §9.1, or name no extension at all.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, ExtensionError> {
        let mut list = Self::new();
        let mut any_line = false;
        for line in lines {
            any_line = true;
            Parser { rest: line }.list(&mut list.text)?;
        }
        if any_line && list.is_empty() { Err(ExtensionError::Empty) } else { Ok(list) }
    }

    /// Adds an extension at the end.
    pub fn push(&mut self, extension: &Extension<'_>) {
        if !self.text.is_empty() {
            self.text.push_str(", ");
        }
        self.text.push_str(&extension.text);
    }

    /// The extensions in their order.
    pub fn iter(&self) -> impl Iterator<Item = Extension<'_>> {
        self.texts().map(|text| Extension { text: text.into() })
    }

    /// Whether there is an extension of this name; names are compared exactly.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.texts().any(|text| name_of(text) == name)
    }

    /// Whether the list is empty, and there is no header line for it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The value of the header line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Finds the first name that `offers` does not have, or that stands here for the second time.
    ///
    /// Ends at that name, hence after no more steps than `offers` has names.
    pub(crate) fn check_against(&self, offers: &Self) -> Result<(), Mismatch<'_>> {
        if self.is_empty() {
            return Ok(());
        }
        let names = || self.texts().map(name_of);
        for (index, name) in names().enumerate() {
            if !offers.contains(name) {
                return Err(Mismatch::NotOffered(name));
            }
            if names().take(index).any(|earlier| earlier == name) {
                return Err(Mismatch::Repeated(name));
            }
        }
        Ok(())
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        // A token has neither comma nor blank, so that nothing else looks like the separator.
        self.text.split(", ").filter(|text| !text.is_empty())
    }
}

fn name_of(text: &str) -> &str {
    text.split(';').next().unwrap_or_default()
}

/// How an answer does not fit the offers.
pub(crate) enum Mismatch<'a> {
    NotOffered(&'a str),
    Repeated(&'a str),
}

impl fmt::Display for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'a> FromIterator<Extension<'a>> for Extensions {
    fn from_iter<I: IntoIterator<Item = Extension<'a>>>(extensions: I) -> Self {
        let mut list = Self::new();
        extensions.into_iter().for_each(|extension| list.push(&extension));
        list
    }
}

struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    /// `#( extension )`: empty elements are skipped (RFC 9110 §5.6.1.2).
    fn list(&mut self, out: &mut String) -> Result<(), ExtensionError> {
        loop {
            self.skip_blanks();
            if !self.rest.is_empty() && self.rest[0] != b',' {
                if !out.is_empty() {
                    out.push_str(", ");
                }
                self.extension(out)?;
            }
            if self.rest.is_empty() {
                return Ok(());
            }
            if !self.eat(b',') {
                return Err(ExtensionError::Separator);
            }
        }
    }

    /// `token *( ";" token [ "=" ( token / quoted-string ) ] )`, and the blanks behind it.
    fn extension(&mut self, out: &mut String) -> Result<(), ExtensionError> {
        out.push_str(self.token().ok_or(ExtensionError::Name)?);
        while self.eat(b';') {
            self.skip_blanks();
            out.push_str("; ");
            out.push_str(self.token().ok_or(ExtensionError::Parameter)?);
            if self.eat(b'=') {
                self.skip_blanks();
                out.push('=');
                if self.rest.first() == Some(&b'"') {
                    self.quoted(out)?;
                } else {
                    out.push_str(self.token().ok_or(ExtensionError::Value)?);
                }
            }
        }
        Ok(())
    }

    /// A quoted string whose content is a token.
    fn quoted(&mut self, out: &mut String) -> Result<(), ExtensionError> {
        // RFC 6455 §9.1: "When using the quoted-string syntax variant, the value ... after quoted-string
        // unescaping MUST conform to the ... 'token' ABNF."
        let start = out.len();
        let mut bytes = self.rest.iter();
        bytes.next();
        loop {
            match bytes.next() {
                Some(b'"') if out.len() > start => break,
                Some(b'\\') => match bytes.next() {
                    Some(&byte) if is_token_byte(byte) => out.push(byte.into()),
                    _ => return Err(ExtensionError::Value),
                },
                Some(&byte) if is_token_byte(byte) => out.push(byte.into()),
                _ => return Err(ExtensionError::Value),
            }
        }
        self.rest = bytes.as_slice();
        self.skip_blanks();
        Ok(())
    }

    fn token(&mut self) -> Option<&'a str> {
        let (token, rest) = self.rest.split_at(token_len(self.rest));
        self.rest = rest;
        self.skip_blanks();
        str::from_utf8(token).ok().filter(|token| !token.is_empty())
    }

    /// Blanks may stand around the separators, which RFC 6455's ABNF takes over from RFC 2616.
    fn skip_blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }
}

/// What is wrong with an extension or a list of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExtensionError {
    /// The name of an extension is no token.
    Name,
    /// The name of a parameter is no token.
    Parameter,
    /// The value of a parameter is no token, or does not become one when its quotes are removed.
    Value,
    /// Something else than a comma or a semicolon stands between two parts.
    Separator,
    /// The list has no element.
    Empty,
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the name of an extension is no token",
            Self::Parameter => "the name of an extension parameter is no token",
            Self::Value => "the value of an extension parameter is no token",
            Self::Separator => "extensions are separated by commas, parameters by semicolons",
            Self::Empty => "the list of extensions is empty",
        })
    }
}

impl core::error::Error for ExtensionError {}
