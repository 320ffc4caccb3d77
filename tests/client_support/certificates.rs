//! X.509 certificates (RFC 5280) with Ed25519 keys (RFC 8410), just what rustls wants to see, so that no test needs a
//! library or a program to make them.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::SigningKey;
use sansocket::client::tls;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0C;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT: u8 = 0xA0;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

const ED25519: &[u8] = &[0x2B, 101, 112];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 29, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 29, 19];

/// A private key; every seed has its own.
pub fn private_key(seed: u8) -> PrivatePkcs8KeyDer<'static> {
    let key = der(OCTET_STRING, &[&der(OCTET_STRING, &[&[seed; 32]])]);
    PrivatePkcs8KeyDer::from(der(SEQUENCE, &[&der(INTEGER, &[&[0]]), &ed25519(), &key]))
}

/// Signs certificates.
pub struct Issuer {
    name: Vec<u8>,
    key: Arc<dyn SigningKey>,
}

impl Issuer {
    pub fn new(name: &str, seed: u8) -> Self {
        let name =
            der(SEQUENCE, &[&der(OBJECT_IDENTIFIER, &[COMMON_NAME]), &der(UTF8_STRING, &[name.as_bytes()])]);
        Self { name: der(SEQUENCE, &[&der(SET, &[&name])]), key: signing_key(seed) }
    }

    /// The certificate of the issuer itself.
    pub fn certificate(&self) -> CertificateDer<'static> {
        let is_authority = der(SEQUENCE, &[&der(BOOLEAN, &[&[0xFF]])]);
        self.sign(&self.name, &*self.key, "20990101000000Z", &extension(BASIC_CONSTRAINTS, &is_authority))
    }

    /// A certificate for servers of these names or addresses.
    pub fn issue(&self, names: &[&str], seed: u8, expired: bool) -> CertificateDer<'static> {
        let names: Vec<_> = names.iter().map(|name| alternative_name(name)).collect();
        let extension = extension(SUBJECT_ALTERNATIVE_NAME, &der(SEQUENCE, &[&names.concat()]));
        let end = if expired { "20210101000000Z" } else { "20990101000000Z" };
        self.sign(&der(SEQUENCE, &[]), &*signing_key(seed), end, &extension)
    }

    fn sign(
        &self,
        subject: &[u8],
        key: &dyn SigningKey,
        end: &str,
        extension: &[u8],
    ) -> CertificateDer<'static> {
        let version_3 = der(EXPLICIT, &[&der(INTEGER, &[&[2]])]);
        let serial = der(INTEGER, &[&[1]]);
        let begin = der(GENERALIZED_TIME, &[b"20200101000000Z"]);
        let validity = der(SEQUENCE, &[&begin, &der(GENERALIZED_TIME, &[end.as_bytes()])]);
        let key = key.public_key().unwrap();
        let extensions = der(EXPLICIT | 3, &[&der(SEQUENCE, &[extension])]);
        let to_sign = der(
            SEQUENCE,
            &[&version_3, &serial, &ed25519(), &self.name, &validity, subject, &key, &extensions],
        );
        let signature = self.key.choose_scheme(&[SignatureScheme::ED25519]).unwrap().sign(&to_sign).unwrap();
        CertificateDer::from(der(SEQUENCE, &[&to_sign, &ed25519(), &der(BIT_STRING, &[&[0], &signature])]))
    }
}

fn signing_key(seed: u8) -> Arc<dyn SigningKey> {
    tls::provider().key_provider.load_private_key(private_key(seed).into()).unwrap()
}

fn ed25519() -> Vec<u8> {
    der(SEQUENCE, &[&der(OBJECT_IDENTIFIER, &[ED25519])])
}

/// A critical one.
fn extension(identifier: &[u8], value: &[u8]) -> Vec<u8> {
    let critical = der(BOOLEAN, &[&[0xFF]]);
    der(SEQUENCE, &[&der(OBJECT_IDENTIFIER, &[identifier]), &critical, &der(OCTET_STRING, &[value])])
}

fn alternative_name(name: &str) -> Vec<u8> {
    match name.parse() {
        Ok(IpAddr::V4(address)) => der(IP_ADDRESS, &[&address.octets()]),
        Ok(IpAddr::V6(address)) => der(IP_ADDRESS, &[&address.octets()]),
        Err(_) => der(DNS_NAME, &[name.as_bytes()]),
    }
}

/// A value in DER, its length in as few bytes as possible.
fn der(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head: &[u8] = match (high, low) {
        (0, ..0x80) => &[tag, low],
        (0, _) => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [head, &content].concat()
}
