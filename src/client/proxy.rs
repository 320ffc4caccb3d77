//! Proxies, given by URL.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::{ProxyUrlError, ProxyUrlProblem};
use crate::handshake::ExtraHeaders;
use crate::uri::Authority;

/// A proxy that connections go through: HTTP with `CONNECT`, the same inside TLS, or SOCKS5.
///
/// The name of the server is resolved by the proxy. The forms with the password in them are not shown: neither the debug
/// form nor `Display` has user and password.
///
/// ```
/// use sansocket::client::Proxy;
///
/// let proxy = Proxy::parse("http://me:s%20cret@proxy.example:3128")?;
/// assert_eq!(proxy.to_string(), "http://proxy.example:3128");
/// assert_eq!(Proxy::parse("socks5://[::1]")?.to_string(), "socks5://[::1]:1080");
/// # Ok::<(), sansocket::client::ProxyUrlError>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Proxy {
    pub(super) kind: ProxyKind,
    /// With the brackets of an IPv6 address.
    host: String,
    port: u16,
    pub(super) credentials: Option<Credentials>,
    pub(super) headers: ExtraHeaders,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ProxyKind {
    /// HTTP/1.1 with the method `CONNECT` (RFC 9110 §9.3.6).
    Http,
    /// The same inside TLS.
    Https,
    /// SOCKS5 (RFC 1928), with user and password (RFC 1929) if they are given.
    Socks5,
}

#[derive(Clone, Eq, PartialEq)]
pub(super) struct Credentials {
    pub(super) user: Vec<u8>,
    pub(super) password: Vec<u8>,
}

impl Proxy {
    /// Parses `[scheme://][user[:password]@]host[:port]`.
    ///
    /// The schemes are `http` (the default, port 80), `https` (port 443), `socks5`, `socks5h` and `socks` (with port 1080;
    /// all of them let the proxy resolve names). What user and password cannot hold is percent-encoded.
    ///
    /// # Errors
    ///
    /// The URL is malformed, or has more than that. The error does not repeat it.
    pub fn parse(url: &str) -> Result<Self, ProxyUrlError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => ProxyKind::Http,
            "https" => ProxyKind::Https,
            "socks5" | "socks5h" | "socks" => ProxyKind::Socks5,
            _ => return Err(ProxyUrlProblem::Scheme.into()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user_info, authority) = match rest.rsplit_once('@') {
            Some((user_info, authority)) => (Some(user_info), authority),
            None => (None, rest),
        };
        if authority.contains(['/', '?', '#']) {
            return Err(ProxyUrlProblem::Path.into());
        }
        let authority = Authority::parse(authority).map_err(ProxyUrlProblem::Authority)?;
        let port = authority.port.unwrap_or_else(|| kind.default_port());
        let host = authority.host.to_ascii_lowercase();
        let proxy = Self { kind, host, port, credentials: None, headers: ExtraHeaders::new() };
        let Some(user_info) = user_info else { return Ok(proxy) };
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        proxy.with_credentials(decode(user)?, decode(password)?)
    }

    /// Authenticates with user and password: HTTP proxies with the basic scheme (RFC 7617), SOCKS5 as in RFC 1929.
    ///
    /// # Errors
    ///
    /// A user for an HTTP proxy has a colon.
    pub fn credentials(
        self,
        user: impl AsRef<[u8]>,
        password: impl AsRef<[u8]>,
    ) -> Result<Self, ProxyUrlError> {
        self.with_credentials(user.as_ref().to_owned(), password.as_ref().to_owned())
    }

    /// Adds a header line to the `CONNECT` request, such as `User-Agent`, or `Proxy-Authorization` with another scheme than
    /// basic. SOCKS5 has no headers and gets none.
    ///
    /// It is checked when connecting. `Host`, and `Proxy-Authorization` beside [`credentials`](Self::credentials), are
    /// refused: the request has them already. So are headers of bodies and upgrades.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// How the proxy is spoken to.
    #[must_use]
    pub const fn kind(&self) -> ProxyKind {
        self.kind
    }

    /// Its name or address, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is spoken to inside TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.kind == ProxyKind::Https
    }

    fn with_credentials(mut self, user: Vec<u8>, password: Vec<u8>) -> Result<Self, ProxyUrlError> {
        // RFC 7617 §2: "a user-id containing a colon character is invalid".
        if self.kind != ProxyKind::Socks5 && user.contains(&b':') {
            return Err(ProxyUrlProblem::User.into());
        }
        self.credentials = Some(Credentials { user, password });
        Ok(self)
    }
}

impl ProxyKind {
    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 => 1080,
        }
    }
}

/// Without user and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Https => "https",
            ProxyKind::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// Without user, password and headers.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&format!("{self}")).finish()
    }
}

impl FromStr for Proxy {
    type Err = ProxyUrlError;

    fn from_str(url: &str) -> Result<Self, ProxyUrlError> {
        Self::parse(url)
    }
}

impl TryFrom<&str> for Proxy {
    type Error = ProxyUrlError;

    fn try_from(url: &str) -> Result<Self, ProxyUrlError> {
        Self::parse(url)
    }
}

impl TryFrom<&String> for Proxy {
    type Error = ProxyUrlError;

    fn try_from(url: &String) -> Result<Self, ProxyUrlError> {
        Self::parse(url)
    }
}

impl TryFrom<String> for Proxy {
    type Error = ProxyUrlError;

    fn try_from(url: String) -> Result<Self, ProxyUrlError> {
        Self::parse(&url)
    }
}

fn decode(text: &str) -> Result<Vec<u8>, ProxyUrlError> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let value = digit().and_then(|high| Some(high << 4 | digit()?));
                value.and_then(|value| u8::try_from(value).ok()).ok_or(ProxyUrlProblem::PercentEncoding)?
            }
            _ => byte,
        });
    }
    Ok(decoded)
}
