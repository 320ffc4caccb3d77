//! The client side of the Autobahn test suite over tokio: runs every case of its fuzzing server as an echo client.

mod options;

use std::sync::Arc;

use sansocket::tokio::{ClientStream, Connector, Error, WebSocket, connect};

const HELP: &str = "\
usage: autobahn_client_tokio URL AGENT [--max-message BYTES] [--ping SECONDS] [--deflate[=shared|dedicated]]

URL is the suite's fuzzing server (ws://127.0.0.1:9001), AGENT the name under which it reports.
A server that is silent for SECONDS is pinged; 20 by default, 0 for never.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let ([url, agent], config, []) = options::parse(HELP, [None, None], []);
    let config = Arc::new(config);
    let count = connect(format!("{url}/getCaseCount")).await?.recv().await?;
    let count: u32 = count.as_ref().and_then(|count| count.as_text()?.parse().ok()).unwrap_or(0);
    for case in 1..=count {
        println!("case {case} of {count}");
        let connector = Connector::new(format!("{url}/runCase?case={case}&agent={agent}"));
        let ws = connector.config(config.clone()).connect().await?;
        // Many cases make the connection fail on purpose; the suite judges how.
        if let Err(error) = echo(ws).await {
            println!("  {error}");
        }
    }
    let mut reports = connect(format!("{url}/updateReports?agent={agent}")).await?;
    while reports.recv().await?.is_some() {}
    Ok(())
}

async fn echo(mut ws: WebSocket<ClientStream>) -> Result<(), Error> {
    while let Some((message, mut tx)) = ws.recv_ref().await? {
        tx.feed(&message).await?;
    }
    Ok(())
}
