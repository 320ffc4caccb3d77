//! The command line of `wscat`.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use sansocket::Config;
use sansocket::client::tls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use sansocket::client::tls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use sansocket::client::tls::rustls::pki_types::pem::PemObject;
use sansocket::client::tls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use sansocket::client::tls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sansocket::client::{Proxy, tls};
use sansocket::deflate::Deflate;
use sansocket::tokio::Connector;

const HELP: &str = "\
usage: wscat [OPTION]... URL

Sends each line of the standard input as a text message and prints what it receives, binary messages as hex; all else
goes to the standard error.
  -H 'NAME: VALUE'     adds a header
  -s SUBPROTOCOL       offers a subprotocol
  -o ORIGIN            sends an Origin
  -q                   says nothing but errors on the standard error
  -1                   ends after the first message
  -n                   goes on at the end of the input, until the server closes
  --ping SECONDS       sends a ping again and again
  --timeout SECONDS    bounds the opening, 10 by default
  --proxy URL          http://, https:// or socks5://[USER:PASSWORD@]HOST[:PORT]; by default what HTTPS_PROXY,
                       HTTP_PROXY, ALL_PROXY and NO_PROXY say
  --no-proxy           connects without one
  --commands           takes commands from an input that is no terminal
  --redirects N        follows so many redirects
  --ca FILE            trusts the authorities in this PEM file and no others
  --insecure           trusts everybody, for tests
  --deflate[=CLASS]    compresses, CLASS is shared (the default) or dedicated
  --reconnect          connects again when the connection is lost or closed with another code than 1000
Commands:
  /ping [TEXT]            sends a ping
  /binary HEX             sends a binary message
  /close [CODE [REASON]]  closes, with 1000 by default
  //TEXT                  sends a text that begins with a slash
The end of the input (ctrl-D) closes; what the server still sends before its answer is printed.
Exits with 0 after a clean close with 1000 or without a code, 1 if the connection could not be opened, 2 for a wrong
command line or an input that is not UTF-8, 3 if the connection was lost or closed with another code.";

pub struct Options {
    pub connector: Connector,
    pub ping: Option<Duration>,
    pub reconnect: bool,
    pub quiet: bool,
    /// Ends after the first message.
    pub once: bool,
    pub keep_open: bool,
    pub commands: bool,
}

type Change = Box<dyn FnOnce(Connector) -> Connector>;

/// Reads the command line; the error is for whoever typed it.
pub fn options() -> Result<Options, String> {
    let mut url = None;
    let mut changes: Vec<Change> = Vec::new();
    let mut options = Options {
        connector: Connector::new(""),
        ping: None,
        reconnect: false,
        quiet: false,
        once: false,
        keep_open: false,
        commands: std::io::stdin().is_terminal(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} takes a value"));
        match arg.as_str() {
            "--help" | "-h" => {
                println!("{HELP}");
                std::process::exit(0);
            }
            "-H" => {
                let header = value()?;
                let (name, value) = header.split_once(':').ok_or("-H takes 'NAME: VALUE'")?;
                let (name, value) = (name.to_string(), value.trim().to_string());
                changes.push(Box::new(move |connector| connector.header(&name, value)));
            }
            "-s" => {
                let name = value()?;
                changes.push(Box::new(move |connector| connector.subprotocol(&name)));
            }
            "-o" => {
                let origin = value()?;
                changes.push(Box::new(move |connector| connector.origin(origin)));
            }
            "-q" => options.quiet = true,
            "-1" => options.once = true,
            "-n" => options.keep_open = true,
            "--commands" => options.commands = true,
            "--reconnect" => options.reconnect = true,
            "--ping" => options.ping = Some(seconds(&arg, &value()?)?),
            "--timeout" => {
                let time = seconds(&arg, &value()?)?;
                changes.push(Box::new(move |connector| connector.timeout(time)));
            }
            "--proxy" => {
                let proxy = Proxy::parse(&value()?).map_err(|error| error.to_string())?;
                changes.push(Box::new(move |connector| connector.proxy(proxy)));
            }
            "--no-proxy" => changes.push(Box::new(Connector::no_proxy)),
            "--redirects" => {
                let most = value()?.parse().map_err(|_| "--redirects takes a number up to 255")?;
                changes.push(Box::new(move |connector| connector.redirects(most)));
            }
            "--ca" => {
                let config = trusting_file(&value()?)?;
                changes.push(Box::new(move |connector| connector.tls_config(config)));
            }
            "--deflate" | "--deflate=shared" => changes.push(compressing(Deflate::shared())),
            "--deflate=dedicated" => changes.push(compressing(Deflate::dedicated())),
            "--insecure" => {
                let config = trusting_everybody()?;
                changes.push(Box::new(move |connector| connector.tls_config(config)));
            }
            other if other.starts_with('-') => return Err(format!("unknown option {other}")),
            _ if url.is_some() => return Err("there is more than one URL".into()),
            _ => url = Some(arg),
        }
    }
    let connector = Connector::new(url.ok_or("the URL is missing")?);
    options.connector = changes.into_iter().fold(connector, |connector, change| change(connector));
    Ok(options)
}

fn compressing(class: Deflate) -> Change {
    Box::new(|connector| connector.config(Config::new().deflate(class)))
}

fn seconds(option: &str, value: &str) -> Result<Duration, String> {
    let time = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| !time.is_zero()).ok_or_else(|| format!("{option} takes seconds"))
}

fn trusting_file(path: &str) -> Result<ClientConfig, String> {
    let failed = |error: &dyn std::error::Error| format!("{path}: {error}");
    let authorities = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let authorities = authorities.map_err(|error| failed(&error))?;
    if authorities.is_empty() {
        return Err(format!("{path}: no certificate in it"));
    }
    tls::trusting(authorities).map_err(|error| failed(&error))
}

fn trusting_everybody() -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let everybody = Arc::new(Everybody(tls::provider()));
    Ok(builder.dangerous().with_custom_certificate_verifier(everybody).with_no_client_auth())
}

/// Whoever it is: only that they have the key of the certificate that they show.
#[derive(Debug)]
struct Everybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Everybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
