//! A client that opens several WebSockets over one connection of HTTP/2 and checks what comes back.

use std::error::Error;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sansocket::CloseCode;
use sansocket::client::tls;
use sansocket::hyper::{Http2, Http2Stream};
use sansocket::tokio::{Connector, WebSocket};

const HELP: &str = "\
usage: echo_client_http2 URL [--number NUMBER] [--ca CERT]

Opens NUMBER WebSockets (10 by default) over one connection of HTTP/2, sends a message of each of several sizes over each of
them, and checks the echoes. URL begins with wss: (ALPN chooses HTTP/2) or ws: (prior knowledge). If the server has no
WebSockets over HTTP/2, it connects over HTTP/1.1 and says so.
  --ca CERT  trusts the authorities in this file, in PEM, in place of those of the web";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut url, mut number, mut ca) = (None, 10, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--number" => number = args.next().and_then(|number| number.parse().ok()).ok_or(HELP)?,
            "--ca" => ca = Some(args.next().ok_or(HELP)?),
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(());
            }
            _ => url = Some(arg),
        }
    }
    let mut connector = Connector::new(url.ok_or(HELP)?);
    if let Some(ca) = ca {
        let authorities = CertificateDer::pem_file_iter(ca)?.collect::<Result<Vec<_>, _>>()?;
        connector = connector.tls_config(tls::trusting(authorities)?);
    }
    match Http2::connect(&connector).await {
        Ok(connection) => {
            let mut sockets = Vec::new();
            for _ in 0..number {
                sockets.push(connection.open(&connector).await?);
            }
            for ws in &mut sockets {
                check(ws).await?;
            }
            println!("{number} WebSockets over one connection of HTTP/2");
        }
        Err(error) if error.needs_http1() => {
            let mut ws = connector.connect().await?;
            ws.send("hello").await?;
            ws.recv().await?;
            ws.close(CloseCode::NORMAL, "").await?;
            println!("over HTTP/1.1: {error}");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn check(ws: &mut WebSocket<Http2Stream>) -> Result<(), Box<dyn Error>> {
    for len in [0, 1, 125, 126, 1000, 60_000] {
        let text = "x".repeat(len);
        ws.send(&text).await?;
        if ws.recv().await? != Some(text.as_str().into()) {
            return Err(format!("a message of {len} bytes came back otherwise").into());
        }
    }
    ws.close(CloseCode::NORMAL, "").await?;
    match ws.summary() {
        Some(summary) if summary.clean => Ok(()),
        other => Err(format!("no clean end: {other:?}").into()),
    }
}
