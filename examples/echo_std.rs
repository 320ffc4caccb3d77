//! An echo server over blocking streams, a thread per connection.

mod options;

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sansocket::Config;
use sansocket::blocking::{Acceptor, Error};

const HELP: &str = "\
usage: echo_std [ADDR] [--max-message BYTES] [--ping SECONDS] [--deflate[=shared|dedicated]]

Echoes every message; ADDR is 127.0.0.1:9001 by default, BYTES 16777216.
A peer that is silent for SECONDS is pinged; 20 by default, 0 for never.";

fn main() -> std::io::Result<()> {
    let ([addr], config, []) = options::parse(HELP, [Some("127.0.0.1:9001")], []);
    let config = Arc::new(config);
    let listener = TcpListener::bind(addr)?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let config = config.clone();
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                // No file descriptors are left, most likely; the next call would fail just as fast.
                eprintln!("no connection taken: {error}");
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        let spawned = thread::Builder::new().spawn(move || {
            if let Err(error) = echo(stream, config) {
                eprintln!("{error}");
            }
        });
        if let Err(error) = spawned {
            eprintln!("connection dropped, no thread for it: {error}");
        }
    }
    Ok(())
}

fn echo(stream: TcpStream, config: Arc<Config>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut ws = Acceptor::new().config(config).accept(stream)?;
    while let Some((message, mut tx)) = ws.recv_ref()? {
        tx.feed(&message)?;
    }
    Ok(())
}
