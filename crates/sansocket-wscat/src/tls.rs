//! Certificates: which servers are trusted, and the client's own.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use sansocket::client::tls;
use sansocket::client::tls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use sansocket::client::tls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use sansocket::client::tls::rustls::pki_types::pem::{self, PemObject};
use sansocket::client::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use sansocket::client::tls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use sansocket::client::tls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::args::Args;

/// Returns what the command line asks for; `None` is the default of the library.
pub fn config(args: &Args) -> Result<Option<ClientConfig>, String> {
    let say = |error: Error| error.to_string();
    let mut config = match &args.ca {
        Some(path) => trusting_file(path)?,
        None if args.insecure => trusting_everybody().map_err(say)?,
        None if args.system_ca => tls::trusting_the_platform().map_err(say)?,
        None if args.cert.is_none() => return Ok(None),
        None => tls::trusting_the_web().map_err(say)?,
    };
    if let Some(cert) = &args.cert {
        let identity = identity(cert, args.key.as_deref().unwrap_or(cert))?;
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity));
    }
    Ok(Some(config))
}

fn failed(path: &Path, error: &dyn StdError) -> String {
    format!("{}: {error}", path.display())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| failed(path, &error))?;
    if certificates.is_empty() {
        return Err(format!("{}: contains no certificate", path.display()));
    }
    Ok(certificates)
}

fn trusting_file(path: &Path) -> Result<ClientConfig, String> {
    tls::trusting(certificates(path)?).map_err(|error| failed(path, &error))
}

fn identity(cert: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let chain = certificates(cert)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            format!("{}: contains no unencrypted private key; decrypt it with openssl pkey", key.display())
        }
        error => failed(key, &error),
    })?;
    CertifiedKey::from_der(chain, secret, &tls::provider()).map_err(|error| failed(key, &error))
}

fn trusting_everybody() -> Result<ClientConfig, Error> {
    let builder =
        ClientConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions()?;
    let everybody = Arc::new(Everybody(tls::provider()));
    Ok(builder.dangerous().with_custom_certificate_verifier(everybody).with_no_client_auth())
}

/// Accepts every certificate; checks only that the server has its key.
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
