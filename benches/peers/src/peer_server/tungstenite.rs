//! tungstenite over blocking streams, a thread for each connection.

use std::net::{TcpListener, TcpStream};

use crate::{Error, Options, unknown};

pub fn run(variant: &str, options: &Options) -> Result<(), Error> {
    if !variant.is_empty() || options.broadcast {
        return unknown();
    }
    let listener = TcpListener::bind(&options.addr)?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::Builder::new().spawn(move || {
            if let Err(error) = echo(stream) {
                eprintln!("{error}");
            }
        })?;
    }
    Ok(())
}

fn echo(stream: TcpStream) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut ws = tungstenite::accept(stream)?;
    loop {
        let message = ws.read()?;
        if message.is_text() || message.is_binary() {
            ws.send(message)?;
        }
    }
}
