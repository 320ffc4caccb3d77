//! Which proxy the environment wants.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
/// a name, which stands for its subdomains as well, with or without `.` or `*.` before it; `<local>` for all names without
/// a dot; an address; a network such as `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `10.*` or `[2001:db8::]/32`; each but those with
/// a slash with `:port` behind it where it is for one port only. An IPv4 address inside IPv6 (`::ffff:10.1.2.3`) counts as
/// both.
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
    no_proxy: Vec<NoProxyEntry>,
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
        let no_proxy = first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
        Self {
            https: proxy(&["https_proxy", "HTTPS_PROXY"]),
            http: proxy(http),
            all: proxy(&["all_proxy", "ALL_PROXY"]),
            no_proxy: no_proxy
                .split(|c: char| c == ',' || c.is_whitespace())
                .filter(|entry| !entry.is_empty())
                .map(NoProxyEntry::parse)
                .collect(),
        }
    }

    /// The proxy to reach this URL, `None` if it is reached directly.
    ///
    /// # Errors
    ///
    /// The environment variable that decides is not a valid proxy URL.
    pub fn proxy_for(&self, uri: &WebSocketUri) -> Result<Option<&Proxy>, ProxyUrlError> {
        let (host, port) = (uri.host().trim_end_matches('.'), uri.port());
        let address = host.parse::<IpAddr>().ok();
        let is_loopback = address.map_or(host == "localhost", |address| address.to_canonical().is_loopback());
        if is_loopback || self.no_proxy.iter().any(|entry| entry.matches(host, address, port)) {
            return Ok(None);
        }
        let http = if uri.is_secure() { &None } else { &self.http };
        let setting = [&self.https, http, &self.all].into_iter().find_map(Option::as_ref);
        setting.map(Result::as_ref).transpose().map_err(Clone::clone)
    }
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug)]
enum NoProxyEntry {
    All,
    /// Names without a dot.
    Local,
    Name(String, Option<u16>),
    /// The first so many bits of an address; IPv4 stands inside IPv6.
    Network(Ipv6Addr, u32, Option<u16>),
}

impl NoProxyEntry {
    fn parse(entry: &str) -> Self {
        match entry {
            "*" => return Self::All,
            _ if entry.eq_ignore_ascii_case("<local>") => return Self::Local,
            _ => {}
        }
        if let Some((address, bits)) = network(entry).or_else(|| single(entry)) {
            return Self::Network(address, bits, None);
        }
        let with_port = entry.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = with_port.map_or((entry, None), |(host, port)| (host, Some(port)));
        if let Some((address, bits)) = single(host).or_else(|| wildcard(host)) {
            return Self::Network(address, bits, port);
        }
        let name = host.strip_prefix('*').unwrap_or(host).trim_matches('.');
        Self::Name(name.to_ascii_lowercase(), port)
    }

    fn matches(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let is_port = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match self {
            Self::All => true,
            Self::Local => address.is_none() && !host.contains('.'),
            Self::Name(name, wanted) => {
                let before = host.strip_suffix(name.as_str());
                let is_below = before.is_some_and(|before| before.is_empty() || before.ends_with('.'));
                is_below && !name.is_empty() && is_port(wanted)
            }
            Self::Network(network, bits, wanted) => {
                let is_within = |address: IpAddr| {
                    let differ = network.to_bits() ^ mapped(address).to_bits();
                    let is_same = differ.checked_shr(128_u32.saturating_sub(*bits)).unwrap_or(0) == 0;
                    // A network of IPv6 around all of IPv4 does not mean addresses that are written as IPv4.
                    is_same && (*bits >= MAPPED_BITS || address.is_ipv6())
                };
                address.is_some_and(is_within) && is_port(wanted)
            }
        }
    }
}

/// The bits before an IPv4 address inside IPv6.
const MAPPED_BITS: u32 = 96;

/// An IPv4 address as one of IPv6.
fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// An address, with or without brackets, as a network of its own.
fn single(address: &str) -> Option<(Ipv6Addr, u32)> {
    Some((mapped(address.trim_matches(['[', ']']).parse().ok()?), 128))
}

/// `10.0.0.0/8`, `10.0.0.0/255.0.0.0` or `[2001:db8::]/32`.
fn network(entry: &str) -> Option<(Ipv6Addr, u32)> {
    let (address, bits) = entry.split_once('/')?;
    let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
    let bits = match bits.parse().map(Ipv4Addr::to_bits) {
        Ok(mask) if mask.leading_ones() == mask.count_ones() => mask.leading_ones(),
        Ok(_) => return None,
        Err(_) => bits.parse::<u8>().ok()?.into(),
    };
    Some((mapped(address), if address.is_ipv4() { MAPPED_BITS + bits } else { bits }))
}

/// `192.168.*`.
fn wildcard(host: &str) -> Option<(Ipv6Addr, u32)> {
    let octets = host.trim_end_matches(".*");
    let count = octets.split('.').count();
    if octets.len() == host.len() || count > 3 {
        return None;
    }
    let address: Ipv4Addr = format!("{octets}{}", ".0".repeat(4 - count)).parse().ok()?;
    Some((address.to_ipv6_mapped(), MAPPED_BITS + 8 * u32::try_from(count).ok()?))
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
            ("all_proxy", "socks://e"),
            ("ALL_PROXY", "f"),
        ];
        let wss: Vec<_> = (0..7).map(|from| choice(&all[from..], "wss://host/")).collect();
        assert_eq!(wss, ["a", "b", "e", "e", "e", "f", "none"]);
        let ws: Vec<_> = (0..7).map(|from| choice(&all[from..], "ws://host/")).collect();
        assert_eq!(ws, ["a", "b", "c", "d", "e", "f", "none"]);
        let cgi = [("HTTP_PROXY", "evil"), ("REQUEST_METHOD", "GET")];
        assert_eq!(choice(&cgi, "ws://host/"), "none");
        assert_eq!(choice(&[("https_proxy", " "), ("HTTPS_PROXY", "b")], "wss://host/"), "b");
        for local in ["ws://127.0.0.1/", "ws://localhost./", "ws://[::1]/", "ws://[::ffff:127.0.0.1]/"] {
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
            ("[2001:db8::]/32", "[2001:db8:1::1]", true),
            ("[2001:db8::]/32", "[2001:db9::1]", false),
            ("192.168.*", "192.168.77.1", true),
            ("192.168.*.*", "192.168.77.1", true),
            ("192.168.*", "192.169.0.1", false),
            ("192.168.*:81", "192.168.77.1", false),
            ("192.168.*:81", "192.168.77.1:81", true),
            ("192.*.1", "192.168.0.1", false),
            ("1.2.3.4.*", "1.2.3.4", false),
            ("10.0.0.0/255.0.0.0", "10.1.2.3", true),
            ("10.0.0.0/255.0.0.0", "11.1.2.3", false),
            ("0.0.0.0/0.0.0.0", "8.8.8.8", true),
            ("10.0.0.0/255.0.255.0", "10.0.0.0", false),
            ("<local>", "intranet", true),
            ("<LOCAL>", "intranet.", true),
            ("<local>", "intranet.example", false),
            ("<local>", "8.8.8.8", false),
            ("<local>", "[2001:db8::1]", false),
            ("10.0.0.0/8", "[::ffff:10.1.2.3]", true),
            ("10.1.2.3", "[::ffff:10.1.2.3]", true),
            ("::ffff:10.1.2.3", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "11.1.2.3", false),
            ("::/0", "[::ffff:10.1.2.3]", true),
            ("10.0.0.0/8", "[2001:db8::1]", false),
        ] {
            let chosen =
                choice(&[("ALL_PROXY", "proxy"), ("no_proxy", list)], &alloc::format!("ws://{host}/"));
            assert_eq!(chosen, if direct { "none" } else { "proxy" }, "{list} {host}");
        }
    }
}
