//! An echo server over TLS and tokio.

mod options;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sansocket::client::tls::provider;
use sansocket::client::tls::rustls::ServerConfig;
use sansocket::client::tls::rustls::pki_types::pem::PemObject;
use sansocket::client::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sansocket::tokio::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

const HELP: &str = "\
usage: echo_tls_tokio CERTIFICATES.pem KEY.pem [ADDR] [--max-message BYTES] [--ping SECONDS] [--deflate[=shared|dedicated]]

Echoes every message of clients that come over TLS; ADDR is 127.0.0.1:9443 by default, BYTES 16777216. CERTIFICATES.pem
begins with the server's own and goes on with those between it and the authority.
A peer that is silent for SECONDS is pinged; 20 by default, 0 for never.";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let ([certificates, key, addr], config, []) =
        options::parse(HELP, [None, None, Some("127.0.0.1:9443")], []);
    let certificates = CertificateDer::pem_file_iter(certificates)?.collect::<std::result::Result<_, _>>()?;
    let mut tls = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_file(key)?)?;
    // A browser that is offered HTTP/2 may take it, and a WebSocket begins with HTTP/1.1.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (tls, acceptor) = (TlsAcceptor::from(Arc::new(tls)), Arc::new(Acceptor::new().config(config)));

    let listener = TcpListener::bind(addr.parse::<SocketAddr>()?).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (tls, acceptor) = (tls.clone(), acceptor.clone());
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, tls, acceptor).await {
                        eprintln!("{error}");
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, perhaps: some connection will end.
                eprintln!("no connection taken: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, acceptor: Arc<Acceptor>) -> Result<()> {
    stream.set_nodelay(true)?;
    // Whoever connects and says nothing is not waited for for ever.
    let stream = timeout(Duration::from_secs(10), tls.accept(stream)).await??;
    let mut ws = Box::pin(acceptor.accept(stream)).await?;
    loop {
        let Some((message, mut tx)) = ws.recv_ref().await? else { return Ok(()) };
        tx.feed(&message).await?;
    }
}
