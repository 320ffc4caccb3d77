//! A blocking client that sends each line of its input and prints the answer.

use std::error::Error;
use std::io::BufRead;

use sansocket::client::tls;
use sansocket::client::tls::rustls::pki_types::CertificateDer;
use sansocket::client::tls::rustls::pki_types::pem::PemObject;
use sansocket::{CloseCode, Message, blocking::Connector};

const HELP: &str = "\
usage: roundtrip_std [--ca FILE] [--proxy URL] URL

Sends each line of the standard input as a text message and prints the message that comes back. --ca trusts the
authorities in a PEM file; --proxy is http://, https:// or socks5://[USER:PASSWORD@]HOST[:PORT], by default what the
environment says.";

fn main() -> Result<(), Box<dyn Error>> {
    let (mut url, mut authorities, mut proxy) = (None, None, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(());
            }
            "--ca" => authorities = args.next(),
            "--proxy" => proxy = args.next(),
            _ => url = Some(arg),
        }
    }
    let Some(url) = url else {
        eprintln!("{HELP}");
        std::process::exit(2);
    };
    let mut connector = Connector::new(url);
    if let Some(path) = authorities {
        let authorities = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
        connector = connector.tls_config(tls::trusting(authorities)?);
    }
    if let Some(proxy) = proxy {
        connector = connector.proxy(proxy);
    }
    let mut ws = connector.connect()?;
    for line in std::io::stdin().lock().lines() {
        ws.send(line?)?;
        match ws.recv()? {
            Some(Message::Text(text)) => println!("{text}"),
            Some(Message::Binary(bytes)) => println!("{} bytes", bytes.len()),
            None => return Err("the server closed".into()),
        }
    }
    Ok(ws.close(CloseCode::NORMAL, "")?)
}
