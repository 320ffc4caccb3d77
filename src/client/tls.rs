//! TLS for `wss:`: root certificates and verifiers (feature `rustls`).
//!
//! By default a connector trusts the certificate authorities of the web, as Mozilla lists them (`webpki-roots`).
//! [`Connector::tls_config`](super::Connector::tls_config) takes any other
//! [`ClientConfig`]: one of this module, or one of your own, with client certificates for
//! instance. All of them use *ring*, named explicitly: nothing depends on a default of the process, and nothing panics
//! because there is none or there are two.
//!
//! ```
//! use sansocket::blocking::Connector;
//! use sansocket::client::tls;
//! use rustls::pki_types::{CertificateDer, pem::PemObject};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # let pem = tls::DOC_EXAMPLE;
//! // let pem = std::fs::read("ca.pem")?;
//! let authorities = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
//! let connector = Connector::new("wss://intern.example/").tls_config(tls::trusting(authorities)?);
//! # let _ = connector;
//! # Ok(())
//! # }
//! ```

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::io;
use std::sync::OnceLock;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use super::TlsError;

pub use rustls;

#[doc(hidden)]
pub const DOC_EXAMPLE: &[u8] = b"";

/// The cryptography that the configurations of this module use, for
/// [`ClientConfig::builder_with_provider`](rustls::ClientConfig::builder_with_provider).
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Trusts servers whose certificates go back to one of these authorities, and no others.
///
/// # Errors
///
/// A certificate cannot be read.
pub fn trusting(
    authorities: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority)?;
    }
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}

/// Trusts the certificate authorities of the web, as Mozilla lists them: the default.
///
/// # Errors
///
/// None that is known: the provider would have to lack what TLS needs.
pub fn trusting_the_web() -> Result<ClientConfig, rustls::Error> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}

/// Verifies certificates with the platform's verifier, so that authorities which a company installed are trusted too.
///
/// # Errors
///
/// The platform has no certificates, or none that can be read.
#[cfg(feature = "rustls-platform-verifier")]
pub fn trusting_the_platform() -> Result<ClientConfig, rustls::Error> {
    use rustls_platform_verifier::BuilderVerifierExt;

    Ok(builder()?.with_platform_verifier()?.with_no_client_auth())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()
}

/// The same, with the protocol that a WebSocket begins with: a server that prefers HTTP/2 would not understand it.
pub(super) fn with_alpn(config: impl Into<Arc<ClientConfig>>) -> Arc<ClientConfig> {
    let mut config = config.into();
    let http: &[u8] = b"http/1.1";
    if config.alpn_protocols != [http] {
        Arc::make_mut(&mut config).alpn_protocols = Vec::from([http.to_vec()]);
    }
    config
}

/// The configuration of connectors that were given none; shared, so that sessions are resumed.
pub(super) fn default_config() -> Result<Arc<ClientConfig>, io::Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let config = with_alpn(trusting_the_web().map_err(io::Error::other)?);
    Ok(CONFIG.get_or_init(|| config).clone())
}

/// With whom TLS is to be set up, and how.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: ServerName<'static>,
    pub(crate) config: Arc<ClientConfig>,
}

impl Peer {
    pub(super) fn new(host: &str, config: Option<&Arc<ClientConfig>>) -> Result<Self, TlsError> {
        let failed = |error| TlsError { server: host.to_string(), error };
        let name =
            ServerName::try_from(String::from(host)).map_err(|error| failed(io::Error::other(error)))?;
        let config = config.cloned().map_or_else(default_config, Ok).map_err(failed)?;
        Ok(Self { name, config })
    }

    #[cfg(feature = "hyper")]
    pub(super) fn offer_http2(&mut self) {
        Arc::make_mut(&mut self.config).alpn_protocols = Vec::from([b"h2".to_vec(), b"http/1.1".to_vec()]);
    }

    pub(crate) fn failed(&self, error: io::Error) -> TlsError {
        TlsError { server: self.name.to_str().into_owned(), error }
    }
}
