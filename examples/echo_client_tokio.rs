//! An echo client over tokio: it sends back what the server sends, until the server closes.

mod options;

use sansocket::tokio::{Connector, Error};

const HELP: &str = "\
usage: echo_client_tokio URL [--max-message BYTES] [--ping SECONDS] [--deflate[=shared|dedicated]]

Echoes every message of the server at URL (ws://host:port/path) until it closes; BYTES is 16777216 by default.
A server that is silent for SECONDS is pinged; 20 by default, 0 for never.
Exits with 0 after a clean close.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let ([url], config, []) = options::parse(HELP, [None], []);
    let mut ws = Connector::new(url).config(config).connect().await?;
    while let Some((message, mut tx)) = ws.recv_ref().await? {
        tx.feed(&message).await?;
    }
    if let Some(summary) = ws.summary() {
        println!("closed: {summary}");
    }
    Ok(())
}
