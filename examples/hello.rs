//! The main job in one command: a server and a client on this machine talk and close cleanly.

use std::net::TcpListener;
use std::thread;

use sansocket::blocking::{self, Error};
use sansocket::{CloseCode, Event};

fn main() -> Result<(), Error> {
    if std::env::args().any(|arg| arg == "--help") {
        println!(
            "usage: hello\n\nA server and a client on loopback exchange text, binary and a ping, then close."
        );
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("ws://{}/hello", listener.local_addr()?);
    let server = thread::spawn(move || serve(&listener));

    let mut ws = blocking::connect(url.as_str())?;
    println!("client: connected to {url}");
    ws.send("hello, wörld")?;
    ws.send(&[1, 2, 3])?;
    ws.ping(b"there?")?;
    for _ in 0..3 {
        println!("client: received {:?}", ws.recv_event()?);
    }
    ws.close(CloseCode::NORMAL, "bye")?;
    println!("client: closed, {}", ws.summary().expect("it was closed"));
    server.join().expect("the server does not panic")
}

fn serve(listener: &TcpListener) -> Result<(), Error> {
    let mut ws = blocking::accept(listener.accept()?.0)?;
    while let Some(event) = ws.recv_event()? {
        println!("server: received {event:?}");
        if let Event::Message(message) = event {
            let message = message.into_owned();
            ws.send(message)?;
        }
    }
    println!("server: closed, {}", ws.summary().expect("receiving ended"));
    Ok(())
}
