//! An echo server over TLS and tokio.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sansocket::client::tls;
use sansocket::client::tls::rustls::ServerConfig;
use sansocket::client::tls::rustls::pki_types::pem::PemObject;
use sansocket::client::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sansocket::tokio::accept;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

const HELP: &str = "\
usage: echo_tls_tokio CERTIFICATES.pem KEY.pem [ADDR]

Echoes every message of clients that come over TLS; ADDR is 127.0.0.1:9443 by default. CERTIFICATES.pem begins with the
server's own and goes on with those between it and the authority.";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let (certificates, key, addr) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--help" | "-h", ..] => {
            println!("{HELP}");
            return Ok(());
        }
        [certificates, key] => (certificates, key, "127.0.0.1:9443"),
        [certificates, key, addr] => (certificates, key, addr),
        _ => {
            eprintln!("{HELP}");
            std::process::exit(2);
        }
    };
    let certificates = CertificateDer::pem_file_iter(certificates)?.collect::<std::result::Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_file(key)?)?;
    // A browser that is offered HTTP/2 may take it, and a WebSocket begins with HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let listener = TcpListener::bind(addr.parse::<SocketAddr>()?).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, acceptor).await {
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

async fn serve(stream: TcpStream, acceptor: TlsAcceptor) -> Result<()> {
    stream.set_nodelay(true)?;
    // Whoever connects and says nothing is not waited for for ever.
    let stream = timeout(Duration::from_secs(10), acceptor.accept(stream)).await??;
    let mut ws = Box::pin(accept(stream)).await?;
    while let Some((message, mut tx)) = ws.recv_ref().await? {
        tx.feed(&message).await?;
    }
    Ok(())
}
