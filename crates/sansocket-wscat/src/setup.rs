//! From the command line to what the rest needs.

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use etcetera::BaseStrategy;
use percent_encoding::percent_decode_str;
use sansocket::client::Proxy;
use sansocket::deflate::Deflate;
use sansocket::handshake::{ClientRequest, random_nonce};
use sansocket::tokio::Connector;
use sansocket::{Config, WebSocketUri};

use crate::args::Args;
use crate::data::Encoding;
use crate::tls;

/// The command line, checked.
pub struct Options {
    pub connector: Connector,
    /// Host and port, for the user.
    pub server: String,
    /// The head of the request, without its key.
    pub request_head: String,
    pub ping: Option<Duration>,
    pub reconnect: bool,
    pub once: bool,
    pub keep_open: bool,
    pub commands: bool,
    pub binary: Option<Encoding>,
    pub history: Option<PathBuf>,
}

/// Additions to the request. [`add_extras`] adds them to a connector and to a request, whose methods have the same names.
struct Extras {
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
    origin: Option<String>,
    host: Option<String>,
}

macro_rules! add_extras {
    ($target:expr, $extras:expr) => {{
        let (mut target, extras) = ($target, $extras);
        for (name, value) in &extras.headers {
            target = target.header(name, value);
        }
        for name in &extras.subprotocols {
            target = target.subprotocol(name.as_str());
        }
        if let Some(origin) = &extras.origin {
            target = target.origin(origin);
        }
        match &extras.host {
            Some(host) => target.host(host.as_str()),
            None => target,
        }
    }};
}

impl Options {
    /// Checks the whole command line before anything is sent; the error is a text for the user.
    pub fn new(args: &Args) -> Result<Self, String> {
        let (url, user_info) = split_user_info(&args.url);
        let uri = WebSocketUri::parse(&url).map_err(|error| format!("URL: {error}"))?;
        let extras = Extras {
            headers: headers(args, user_info)?,
            subprotocols: args.subprotocol.clone(),
            origin: args.origin.clone(),
            host: args.host.clone(),
        };
        let config = config(args);
        config.validate().map_err(|error| error.to_string())?;
        let server = uri.authority();
        let request = add_extras!(ClientRequest::new(uri).with_config(&config), &extras);
        let request_head = head_of(&request)?;
        Ok(Self {
            connector: add_extras!(connector(args, &url, config)?, &extras),
            server,
            request_head,
            ping: args.ping,
            reconnect: args.reconnect,
            once: args.once,
            keep_open: args.keep_open,
            commands: args.commands || (std::io::stdin().is_terminal() && args.binary != Some(Encoding::Raw)),
            binary: args.binary,
            history: if args.no_history { None } else { history_file() },
        })
    }
}

fn config(args: &Args) -> Config {
    let config = Config::new().max_message_size(args.max_message).close_timeout(args.close_timeout);
    match args.deflate.as_deref() {
        None => config,
        Some("dedicated") => config.deflate(Deflate::dedicated()),
        Some(_) => config.deflate(Deflate::shared()),
    }
}

fn connector(args: &Args, url: &str, config: Config) -> Result<Connector, String> {
    let redirects = if args.location { 10 } else { args.redirects.unwrap_or(0) };
    let mut connector = Connector::new(url).config(config).timeout(args.connect_timeout).redirects(redirects);
    if let Some(proxy) = &args.proxy {
        connector = connector.proxy(Proxy::parse(proxy).map_err(|error| error.to_string())?);
    }
    if args.no_proxy {
        connector = connector.no_proxy();
    }
    Ok(match tls::config(args)? {
        Some(config) => connector.tls_config(config),
        None => connector,
    })
}

/// Encodes the request once, which also finds headers and subprotocols that cannot be sent.
fn head_of(request: &ClientRequest) -> Result<String, String> {
    let nonce = random_nonce().map_err(|error| error.to_string())?;
    let mut head = Vec::new();
    request.start(nonce, Duration::ZERO, &mut head).map_err(|error| error.to_string())?;
    let head = String::from_utf8_lossy(&head);
    // The connector draws another key for each attempt.
    let shown = head.lines().map(|line| match line.split_once(": ") {
        Some((name @ "Sec-WebSocket-Key", _)) => format!("{name}: (random)"),
        _ => line.into(),
    });
    Ok(shown.collect::<Vec<String>>().join("\n"))
}

fn headers(args: &Args, user_info: Option<String>) -> Result<Vec<(String, String)>, String> {
    let mut headers = Vec::new();
    for header in &args.header {
        match header.strip_prefix('@') {
            None => headers.push(header_line(header)?),
            Some(path) => {
                let lines = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
                for line in lines.lines().filter(|line| !line.trim().is_empty()) {
                    headers.push(header_line(line).map_err(|error| format!("{path}: {error}"))?);
                }
            }
        }
    }
    let credentials = match &args.user {
        Some(user) if !user.contains(':') => return Err("--user takes USER:PASSWORD".into()),
        Some(user) => Some(user.clone()),
        None => user_info,
    };
    if let Some(token) = &args.bearer {
        headers.push(("Authorization".into(), format!("Bearer {token}")));
    } else if let Some(credentials) = credentials {
        headers.push(("Authorization".into(), format!("Basic {}", STANDARD.encode(credentials))));
    }
    Ok(headers)
}

/// The value is not repeated in the error, since it may be a secret.
fn header_line(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or("a header must be 'NAME: VALUE'")?;
    Ok((name.trim().into(), value.trim().into()))
}

/// Takes `user:password@` out of a URL, decoded.
fn split_user_info(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.into(), None) };
    let (authority, resource) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let Some((user_info, host)) = authority.rsplit_once('@') else { return (url.into(), None) };
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
    let credentials = format!("{}:{}", decoded(user), decoded(password));
    (format!("{scheme}://{host}{resource}"), Some(credentials))
}

fn history_file() -> Option<PathBuf> {
    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(folders.data_dir().join("wscat").join("history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_taken_out_of_the_url() {
        let (url, user_info) = split_user_info("wss://me:s%40c%3Aret@a.example:9/p?q=x@y");
        assert_eq!(url, "wss://a.example:9/p?q=x@y");
        assert_eq!(user_info.as_deref(), Some("me:s@c:ret"));
        for without in ["ws://a/?x=me:s@b", "nonsense", "ws://a"] {
            assert_eq!(split_user_info(without), (without.into(), None));
        }
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        assert_eq!(header_line("X-A: b: c ").unwrap(), ("X-A".into(), "b: c".into()));
        assert!(header_line("secret").is_err_and(|error| !error.contains("secret")));
    }
}
