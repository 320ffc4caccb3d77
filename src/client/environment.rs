//! Which proxy the environment wants.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Proxy, ProxyUrlError};
use crate::WebSocketUri;

/// The proxies that environment variables name, and the hosts that none is for.
///
/// | URL | variables, the first that is set and not empty |
/// |---|---|
/// | `wss://` | `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` |
/// | `ws://` | the first two, `http_proxy`, `HTTP_PROXY`, `all_proxy`, `ALL_PROXY` |
///
/// RFC 6455 §4.1 prefers the proxy for HTTPS, as one for HTTP often gives no tunnels. `HTTP_PROXY` in upper case does
/// not count where `REQUEST_METHOD` is set: there a client of a CGI server could have set it. Loopback addresses and
/// `localhost` are reached without a proxy.
///
/// `no_proxy` or `NO_PROXY` lists hosts that are reached without one, separated by commas or blanks: `*` for all;
/// a name, which stands for its subdomains as well, with or without `.` or `*.` before it; an address; a network such as
/// `10.0.0.0/8`; each but the networks with `:port` behind it where it is for one port only.
///
/// ```
/// use sansocket::WebSocketUri;
/// use sansocket::client::ProxySettings;
///
/// let settings = ProxySettings::from_lookup(|name| match name {
///     "HTTPS_PROXY" => Some("http://proxy.example:3128".into()),
///     "NO_PROXY" => Some("intern.example, 10.0.0.0/8".into()),
///     _ => None,
/// });
/// let proxy_for = |url: &str| settings.proxy_for(&WebSocketUri::parse(url).unwrap());
/// assert_eq!(proxy_for("wss://chat.example/")?.unwrap().host(), "proxy.example");
/// assert_eq!(proxy_for("wss://www.intern.example/")?, None);
/// assert_eq!(proxy_for("wss://10.1.2.3/")?, None);
/// # Ok::<(), sansocket::client::ProxyUrlError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    https: Setting,
    http: Setting,
    all: Setting,
    without: Vec<Without>,
}

/// A bad one is an error only where it would be used.
type Setting = Option<Result<Proxy, ProxyUrlError>>;

impl ProxySettings {
    /// Reads the variables of this process, once.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Asks `lookup` for the variables, by name.
    #[must_use]
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            let set = |name: &&str| Some((name.to_string(), lookup(name)?.trim().to_string()));
            names.iter().filter_map(set).find(|(_, value)| !value.is_empty())
        };
        let proxy = |names: &[&str]| {
            let (name, url) = first(names)?;
            let name_it = |error| ProxyUrlError { variable: Some(name), ..error };
            Some(Proxy::parse(&url).map_err(name_it))
        };
        let http: &[_] = match lookup("REQUEST_METHOD") {
            Some(_) => &["http_proxy"],
            None => &["http_proxy", "HTTP_PROXY"],
        };
        let without = first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
        Self {
            https: proxy(&["https_proxy", "HTTPS_PROXY"]),
            http: proxy(http),
            all: proxy(&["all_proxy", "ALL_PROXY"]),
            without: without
                .split(|c: char| c == ',' || c.is_whitespace())
                .filter(|entry| !entry.is_empty())
                .map(Without::parse)
                .collect(),
        }
    }

    /// The proxy to reach this URL, `None` if it is reached directly.
    ///
    /// # Errors
    ///
    /// The variable that decides holds no URL of a proxy.
    pub fn proxy_for(&self, uri: &WebSocketUri) -> Result<Option<&Proxy>, ProxyUrlError> {
        let (host, port) = (uri.host().trim_end_matches('.'), uri.port());
        let address = host.parse::<IpAddr>().ok();
        let is_loopback = address.map_or(host == "localhost", |address| address.is_loopback());
        if is_loopback || self.without.iter().any(|entry| entry.matches(host, address, port)) {
            return Ok(None);
        }
        let http = if uri.is_secure() { &None } else { &self.http };
        let setting = [&self.https, http, &self.all].into_iter().find_map(Option::as_ref);
        setting.map(Result::as_ref).transpose().map_err(Clone::clone)
    }
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug)]
enum Without {
    All,
    Name(String, Option<u16>),
    Address(IpAddr, Option<u16>),
    /// The first so many bits.
    Network(IpAddr, u8),
}

impl Without {
    fn parse(entry: &str) -> Self {
        if entry == "*" {
            return Self::All;
        }
        if let Some((address, bits)) = entry.split_once('/') {
            if let (Ok(address), Ok(bits)) = (address.parse(), bits.parse()) {
                return Self::Network(address, bits);
            }
        }
        if let Ok(address) = entry.trim_matches(['[', ']']).parse() {
            return Self::Address(address, None);
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (entry, None),
            },
            None => (entry, None),
        };
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) => Self::Address(address, port),
            Err(_) => {
                let name = host.strip_prefix('*').unwrap_or(host).trim_matches('.');
                Self::Name(name.to_ascii_lowercase(), port)
            }
        }
    }

    fn matches(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let is_port = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match self {
            Self::All => true,
            Self::Name(name, wanted) => {
                let before = host.strip_suffix(name.as_str());
                let is_below = before.is_some_and(|before| before.is_empty() || before.ends_with('.'));
                is_below && !name.is_empty() && is_port(wanted)
            }
            Self::Address(other, wanted) => address == Some(*other) && is_port(wanted),
            Self::Network(network, bits) => match (network, address) {
                (IpAddr::V4(network), Some(IpAddr::V4(address))) => {
                    let shift = 32_u32.saturating_sub((*bits).into());
                    let differ = network.to_bits() ^ address.to_bits();
                    differ.checked_shr(shift).unwrap_or(0) == 0
                }
                (IpAddr::V6(network), Some(IpAddr::V6(address))) => {
                    let shift = 128_u32.saturating_sub((*bits).into());
                    let differ = network.to_bits() ^ address.to_bits();
                    differ.checked_shr(shift).unwrap_or(0) == 0
                }
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(variables: &[(&str, &str)], url: &str) -> String {
        let lookup = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string())
        };
        let settings = ProxySettings::from_lookup(lookup);
        match settings.proxy_for(&WebSocketUri::parse(url).unwrap()) {
            Ok(proxy) => proxy.map_or_else(|| "none".into(), |proxy| proxy.host().into()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_variable_that_fits_best_decides() {
        let all = [
            ("https_proxy", "http://a"),
            ("HTTPS_PROXY", "b:3128"),
            ("http_proxy", "c"),
            ("HTTP_PROXY", "d"),
            ("all_proxy", "socks5h://e"),
            ("ALL_PROXY", "f"),
        ];
        let wss: Vec<_> = (0..7).map(|from| choice(&all[from..], "wss://host/")).collect();
        assert_eq!(wss, ["a", "b", "e", "e", "e", "f", "none"]);
        let ws: Vec<_> = (0..7).map(|from| choice(&all[from..], "ws://host/")).collect();
        assert_eq!(ws, ["a", "b", "c", "d", "e", "f", "none"]);
        let cgi = [("HTTP_PROXY", "evil"), ("REQUEST_METHOD", "GET")];
        assert_eq!(choice(&cgi, "ws://host/"), "none");
        assert_eq!(choice(&[("https_proxy", " "), ("HTTPS_PROXY", "b")], "wss://host/"), "b");
        for local in ["ws://127.0.0.1/", "ws://localhost./", "ws://[::1]/"] {
            assert_eq!(choice(&all, local), "none", "{local}");
        }
    }

    #[test]
    fn a_bad_variable_is_named_and_its_value_is_not() {
        let error = choice(&[("HTTPS_PROXY", "ftp://me:secret@proxy")], "wss://host/");
        assert!(error.contains("HTTPS_PROXY") && !error.contains("secret"), "{error}");
        let unused = [("HTTP_PROXY", "ftp://proxy"), ("ALL_PROXY", "good")];
        assert_eq!(choice(&unused, "wss://host/"), "good");
    }

    #[test]
    fn no_proxy_lists_names_addresses_and_networks() {
        for (list, host, direct) in [
            ("*", "any.example", true),
            ("example.com", "example.com", true),
            ("EXAMPLE.com", "www.Example.COM", true),
            ("example.com", "badexample.com", false),
            (".example.com", "www.example.com", true),
            (".example.com", "example.com", true),
            ("*.example.com", "www.example.com", true),
            ("www.example.com", "example.com", false),
            ("example.com.", "example.com", true),
            ("example.com:81", "example.com:81", true),
            ("example.com:81", "example.com", false),
            ("other, example.com", "example.com", true),
            ("other example.com", "example.com", true),
            (",,.,", "example.com", false),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7:81", "192.168.1.7", false),
            ("192.168.1.7:81", "192.168.1.7:81", true),
            ("192.168.0.0/16", "192.168.77.1", true),
            ("192.168.0.0/16", "192.169.0.1", false),
            ("192.168.0.0/33", "192.168.0.0", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("::/0", "8.8.8.8", false),
            ("::/0", "[2001:db8::1]", true),
            ("2001:db8::/32", "[2001:db8:1::1]", true),
            ("2001:db8::/32", "[2001:db9::1]", false),
            ("2001:db8::1", "[2001:db8::1]", true),
            ("[2001:db8::1]:81", "[2001:db8::1]:81", true),
            ("[2001:db8::1]:81", "[2001:db8::1]", false),
        ] {
            let chosen =
                choice(&[("ALL_PROXY", "proxy"), ("no_proxy", list)], &alloc::format!("ws://{host}/"));
            assert_eq!(chosen, if direct { "none" } else { "proxy" }, "{list} {host}");
        }
    }
}
