//! What both interop examples have in common: the command line, the messages and what is printed.

use std::sync::Arc;

use sansocket::client::tls::rustls::pki_types::pem::PemObject;
use sansocket::client::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sansocket::client::tls::rustls::{ClientConfig, ServerConfig};
use sansocket::client::tls::{provider, trusting};
use sansocket::deflate::Deflate;
use sansocket::{Config, Message, Summary};

const HELP: &str = "\
server [OPTION]... ADDR
client [OPTION]... URL

The server echoes every message; to the text \"close CODE REASON\" it answers by closing. The client sends messages of many
sizes, then closes, then lets the server close. Both print a line for everything that tests/interop/run looks at.
  --deflate=shared|dedicated  turns compression on
  --tls CERTIFICATES KEY      the server's PEM files
  --ca FILE                   whom the client trusts, in a PEM file";

pub const CLOSED_BY_CLIENT: (u16, &str) = (4001, "à bientôt");
const CLOSED_BY_SERVER: (u16, &str) = (4002, "à plus tard");

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub struct Options {
    pub is_server: bool,
    /// An address to listen on or a URL.
    pub place: String,
    pub config: Arc<Config>,
    pub accepting: Option<Arc<ServerConfig>>,
    pub connecting: Option<Arc<ClientConfig>>,
}

pub fn options() -> Options {
    let mut args = std::env::args();
    let name = args.next().unwrap_or_default();
    let (mut config, mut accepting, mut connecting, mut words) = (Config::new(), None, None, Vec::new());
    while let Some(arg) = args.next() {
        let mut file = || args.next().unwrap_or_else(|| usage(&name, 2));
        match arg.as_str() {
            "--help" | "-h" => usage(&name, 0),
            "--deflate=shared" => config = config.deflate(Deflate::shared()),
            "--deflate=dedicated" => config = config.deflate(Deflate::dedicated()),
            "--tls" => accepting = Some(server_config(&file(), &file())),
            "--ca" => connecting = Some(client_config(&file())),
            _ => words.push(arg),
        }
    }
    let [role, place] = <[String; 2]>::try_from(words).unwrap_or_else(|_| usage(&name, 2));
    let read = |error| -> ! {
        eprintln!("{error}");
        std::process::exit(2);
    };
    Options {
        is_server: role == "server" || (role != "client" && usage(&name, 2)),
        place,
        config: Arc::new(config),
        accepting: accepting.transpose().unwrap_or_else(|error| read(error)),
        connecting: connecting.transpose().unwrap_or_else(|error| read(error)),
    }
}

fn usage(name: &str, status: i32) -> ! {
    for line in HELP.lines() {
        let is_form = line.starts_with("server") || line.starts_with("client");
        println!("{}{line}", if is_form { format!("usage: {name} ") } else { String::new() });
    }
    std::process::exit(status);
}

fn server_config(certificates: &str, key: &str) -> Result<Arc<ServerConfig>> {
    let certificates = CertificateDer::pem_file_iter(certificates)?.collect::<std::result::Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn client_config(authorities: &str) -> Result<Arc<ClientConfig>> {
    let authorities =
        CertificateDer::pem_file_iter(authorities)?.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(Arc::new(trusting(authorities)?))
}

/// Text that compresses well, bytes that do not, in all sizes where the form of a frame changes.
pub fn messages() -> impl Iterator<Item = (String, Message<'static>)> {
    [0, 1, 125, 126, 65_535, 65_536, 1 << 20].into_iter().flat_map(|size| {
        let text = "aé€𝄞".repeat(size / 10) + &"x".repeat(size % 10);
        let mut state: u32 = 1;
        let bytes = (0..size).map(|_| {
            state = state.wrapping_mul(69_069).wrapping_add(1);
            state.to_be_bytes()[0]
        });
        let bytes: Vec<u8> = bytes.collect();
        [(format!("text {size}"), text.into()), (format!("binary {size}"), bytes.into())]
    })
}

/// What asks the server to close, with this code and reason.
pub fn request_to_close() -> String {
    let (code, reason) = CLOSED_BY_SERVER;
    format!("close {code} {reason}")
}

pub fn requested_close<'a>(message: &'a Message<'_>) -> Option<(u16, &'a str)> {
    let (code, reason) = message.as_text()?.strip_prefix("close ")?.split_once(' ')?;
    Some((code.parse().ok()?, reason))
}

/// Prints what the other side said in its Close frame; `began` tells the client's two connections apart.
pub fn report_close(began: &str, summary: Option<Summary<'_>>) {
    match summary {
        Some(summary) if summary.clean => {
            println!("closed{began} {} {}", u16::from(summary.code), summary.reason)
        }
        Some(summary) => println!("error closed{began} {summary}"),
        None => println!("error not closed"),
    }
}
