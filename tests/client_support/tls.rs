//! An authority, its certificates, and servers that show them.
#![cfg(feature = "rustls")]

use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use sansocket::client::tls;

pub struct Authority {
    pub certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // Each has a name of its own.
        let name = format!("authority {:?}", &key.der_bytes()[1..5]);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
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
        let names: Vec<_> = names.iter().map(|name| String::from(*name)).collect();
        let mut params = CertificateParams::new(names).unwrap();
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut config = ServerConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
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
