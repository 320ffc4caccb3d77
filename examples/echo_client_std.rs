//! An echo client over a blocking stream: it sends back what the server sends, until the server closes.

mod options;

use sansocket::blocking::{Connector, Error};

const HELP: &str = "\
usage: echo_client_std URL [--max-message BYTES] [--ping SECONDS] [--deflate[=shared|dedicated]]

Echoes every message of the server at URL (ws://host:port/path) until it closes; BYTES is 16777216 by default.
A server that is silent for SECONDS is pinged; 20 by default, 0 for never.
Exits with 0 after a clean close.";

fn main() -> Result<(), Error> {
    let ([url], config, []) = options::parse(HELP, [None], []);
    let mut ws = Connector::new(url).config(config).connect()?;
    while let Some((message, mut tx)) = ws.recv_ref()? {
        tx.feed(&message)?;
    }
    if let Some(summary) = ws.summary() {
        println!("closed: {summary}");
    }
    Ok(())
}
