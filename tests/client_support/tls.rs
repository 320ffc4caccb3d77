//! An authority, its certificates, and servers that show them.
#![cfg(feature = "rustls")]

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use sansocket::client::tls;

use super::certificates::{Issuer, private_key};

pub struct Authority {
    pub certificate: CertificateDer<'static>,
    issuer: Issuer,
}

impl Authority {
    /// Each has a name and a key of its own.
    pub fn new() -> Self {
        static LAST: AtomicU8 = AtomicU8::new(0);
        let number = 1 + LAST.fetch_add(1, Ordering::Relaxed);
        let issuer = Issuer::new(&format!("authority {number}"), number);
        Self { certificate: issuer.certificate(), issuer }
    }

    /// A server with a certificate for these names, of all versions of TLS, that expects HTTP/1.1 or HTTP/2.
    pub fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        self.server_with(names, rustls::ALL_VERSIONS, false)
    }

    pub fn server_with(
        &self,
        names: &[&str],
        versions: &[&'static SupportedProtocolVersion],
        expired: bool,
    ) -> Arc<ServerConfig> {
        let certificate = self.issuer.issue(names, 0, expired);
        let mut config = ServerConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], private_key(0).into())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// A client that trusts this authority only.
    pub fn client(&self) -> ClientConfig {
        tls::trusting([self.certificate.clone()]).unwrap()
    }
}

pub type ServerStream = StreamOwned<ServerConnection, TcpStream>;

pub fn server_stream(config: Arc<ServerConfig>, stream: TcpStream) -> ServerStream {
    StreamOwned::new(ServerConnection::new(config).unwrap(), stream)
}
