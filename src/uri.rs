//! `ws:` and `wss:` URIs (RFC 6455 §3, RFC 3986).

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::net::Ipv6Addr;
use core::str;
use core::str::FromStr;

/// Where a client connects to: host, port, whether over TLS, and the resource it asks for (RFC 6455 §3).
///
/// ```
/// use sansocket::WebSocketUri;
///
/// let uri = WebSocketUri::parse("wss://Example.com/chat?room=1")?;
/// assert!(uri.is_secure());
/// assert_eq!((uri.host(), uri.port()), ("example.com", 443));
/// assert_eq!(uri.resource_name(), "/chat?room=1");
/// # Ok::<(), sansocket::UriError>(())
/// ```
///
/// Displayed it is the whole URI; the debug form leaves the query out, since queries hold credentials.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct WebSocketUri {
    secure: bool,
    /// Lower case, an IPv6 address in its brackets.
    host: String,
    port: u16,
    resource_name: String,
}

impl WebSocketUri {
    /// Parses and checks every component, so that nothing in the URI can break out of the request line or the
    /// `Host` header.
    ///
    /// The scheme and the host may be in any case; `http` and `https` mean `ws` and `wss`, as in browsers. In path and
    /// query characters beyond ASCII become percent-encoded UTF-8, and the blank and ``"<>[]^`{|}`` are
    /// percent-encoded too.
    ///
    /// # Errors
    ///
    /// Other schemes than these four, a fragment, user information, a host that is empty, beyond ASCII
    /// (write it in its `xn--` form) or malformed, a port over 65535, a control character, a
    /// backslash, or a `%` without two hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        let secure = match scheme {
            _ if ["ws", "http"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) => false,
            _ if ["wss", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) => true,
            _ => return Err(UriError::Scheme),
        };
        let rest = rest.strip_prefix("//").ok_or(UriError::Scheme)?;
        // RFC 6455 §3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be
        // used on these URIs".
        if rest.contains('#') {
            return Err(UriError::Fragment);
        }
        let (authority, resource) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = Authority::parse(authority)?;
        Ok(Self {
            secure,
            host: authority.host.to_ascii_lowercase(),
            port: authority.port.unwrap_or_else(|| default_port(secure)),
            resource_name: resource_name(resource, text.len() - resource.len())?,
        })
    }

    /// Whether the connection runs inside TLS: `wss`.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The name or address to connect to, in lower case, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    /// The port to connect to: the one given, else 80 for `ws` and 443 for `wss`.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What stands in the `Host` header: the host, an IPv6 address in brackets, and the port if it is not the
    /// default one of the scheme.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == default_port(self.secure) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The path and, if there is one, `?` and the query: what stands in the request line. Never empty.
    #[must_use]
    pub fn resource_name(&self) -> &str {
        &self.resource_name
    }
}

impl FromStr for WebSocketUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}

impl fmt::Display for WebSocketUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.resource_name)
    }
}

impl fmt::Debug for WebSocketUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUri")
            .field("secure", &self.secure)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("resource_name", &WithoutQuery(&self.resource_name))
            .finish()
    }
}

/// The debug form of a target or resource name: the query is left out, since it may hold credentials.
pub(crate) struct WithoutQuery<'a>(pub(crate) &'a str);

impl fmt::Debug for WithoutQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once('?') {
            Some((path, _)) => write!(f, "\"{}?…\"", path.escape_debug()),
            None => fmt::Debug::fmt(self.0, f),
        }
    }
}

const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// `host [ ":" port ]`, in a URI or in a `Host` header.
pub(crate) struct Authority<'a> {
    /// With the brackets of an IPv6 address.
    pub(crate) host: &'a str,
    /// `None` if it is absent or empty.
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, UriError> {
        // What has user information is malformed in any case: it is looked for only to tell it.
        Self::parse_parts(text).map_err(|error| if text.contains('@') { UriError::UserInfo } else { error })
    }

    fn parse_parts(text: &'a str) -> Result<Self, UriError> {
        let find = |byte| text.bytes().position(|other| other == byte);
        let bracket = if text.starts_with('[') { find(b']') } else { None };
        let host_len = match bracket {
            Some(bracket) => bracket + 1,
            None => find(b':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at(host_len);
        check_host(host)?;
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return Err(UriError::Host),
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| UriError::Port)?)
            }
            Some(_) => return Err(UriError::Port),
        };
        Ok(Self { host, port })
    }
}

/// Whether these bytes are an authority; nearly always a look at each is enough to tell.
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    let name = bytes.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(bytes.len());
    match bytes.split_at(name) {
        ([_, ..], []) => true,
        // Four digits are always a port.
        ([_, ..], [b':', port @ ..]) if port.len() <= 4 => port.iter().all(u8::is_ascii_digit),
        _ => str::from_utf8(bytes).is_ok_and(|text| Authority::parse(text).is_ok()),
    }
}

/// A registered name without percent-encoding (which stands for characters beyond ASCII only, RFC 3986
/// §3.2.2), an IPv4 address, or an IPv6 address in brackets.
fn check_host(host: &str) -> Result<(), UriError> {
    let valid = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(is_name_byte),
    };
    match valid {
        true => Ok(()),
        false if host.is_ascii() => Err(UriError::Host),
        false => Err(UriError::HostNotAscii),
    }
}

/// `unreserved` and `sub-delims` of RFC 3986.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'..=b',' | b';' | b'=')
}

/// What browsers escape, or send as it is although RFC 3986 has no place for it.
const fn is_escaped(byte: u8) -> bool {
    matches!(byte, b' ' | b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{'..=b'}' | 0x80..)
}

/// Path and query, percent-encoded where the characters are not those of RFC 3986; `offset` is where they begin in the
/// URI.
fn resource_name(resource: &str, offset: usize) -> Result<String, UriError> {
    // The exact size: a name that grows could take three times the memory of the URI.
    let escaped = resource.bytes().filter(|&byte| is_escaped(byte)).count();
    let mut name = String::with_capacity(resource.len() + 1 + 2 * escaped);
    // RFC 6455 §3: the resource name is "/" if the path component is empty.
    if !resource.starts_with('/') {
        name.push('/');
    }
    let bytes = resource.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'%' => {
                let hex = bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
                if !hex {
                    return Err(UriError::PercentEncoding { at: offset + at });
                }
                name.push('%');
            }
            b'/' | b'?' | b':' | b'@' => name.push(byte.into()),
            _ if is_name_byte(byte) => name.push(byte.into()),
            _ if is_escaped(byte) => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                name.extend(['%', HEX[usize::from(byte >> 4)].into(), HEX[usize::from(byte & 15)].into()]);
            }
            _ => return Err(UriError::Character { at: offset + at }),
        }
    }
    Ok(name)
}

/// Why a text is no WebSocket URI.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum UriError {
    /// It does not begin with `ws://` or `wss://`, nor with `http://` or `https://`, which mean the same.
    Scheme,
    /// It has a fragment; a `#` that belongs to the path is written `%23`.
    Fragment,
    /// It has user information; credentials belong into a header.
    UserInfo,
    /// The host is empty or malformed.
    Host,
    /// The host has characters beyond ASCII.
    HostNotAscii,
    /// The port is no number up to 65535.
    Port,
    /// A control character or a backslash in path or query.
    Character {
        /// Its offset in bytes.
        at: usize,
    },
    /// A `%` without two hexadecimal digits.
    PercentEncoding {
        /// Its offset in bytes.
        at: usize,
    },
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "a websocket uri begins with ws:// or wss://",
            Self::Fragment => "a websocket uri has no fragment: write a # of the path as %23",
            Self::UserInfo => "a websocket uri has no user information: send credentials in a header",
            Self::Host => "the host of the uri is empty or malformed",
            Self::HostNotAscii => "the host of the uri is not ascii: write it in its xn-- form",
            Self::Port => "the port of the uri is no number up to 65535",
            Self::Character { at } => {
                return write!(f, "the character at offset {at} of the uri must be percent-encoded");
            }
            Self::PercentEncoding { at } => {
                return write!(f, "the % at offset {at} of the uri needs two hexadecimal digits after it");
            }
        })
    }
}

impl core::error::Error for UriError {}
