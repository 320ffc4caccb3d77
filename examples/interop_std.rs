//! A server and a client over blocking streams for `tests/interop`, which puts other programs on the other end.

mod interop;

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use interop::{CLOSED_BY_CLIENT, Options, Result};
use sansocket::blocking::{Acceptor, ClientStream, Connector, Transport, WebSocket};
use sansocket::client::tls::rustls::{ServerConnection, StreamOwned};

fn main() {
    let options = interop::options();
    let done = if options.is_server { serve(options) } else { run(&options) };
    if let Err(error) = done {
        println!("error {error}");
    }
}

fn serve(options: Options) -> Result<()> {
    let listener = TcpListener::bind(&options.place)?;
    println!("listening on {}", listener.local_addr()?);
    let options = Arc::new(options);
    for stream in listener.incoming() {
        let (stream, options) = (stream?, options.clone());
        thread::spawn(move || {
            let done = secured(stream, &options).and_then(|stream| answer(stream, &options));
            done.inspect_err(|error| println!("error {error}"))
        });
    }
    Ok(())
}

fn secured(stream: TcpStream, options: &Options) -> Result<Box<dyn Transport>> {
    stream.set_nodelay(true)?;
    Ok(match &options.accepting {
        None => Box::new(stream),
        Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config.clone())?, stream)),
    })
}

fn answer(stream: Box<dyn Transport>, options: &Options) -> Result<()> {
    let mut ws = Acceptor::new().config(options.config.clone()).accept(stream)?;
    while let Some((message, mut tx)) = ws.recv_ref()? {
        match interop::requested_close(&message) {
            Some((code, reason)) => tx.start_close(code.into(), reason)?,
            None => tx.feed(&message)?,
        }
    }
    interop::report_close("", ws.summary());
    Ok(())
}

fn run(options: &Options) -> Result<()> {
    let mut ws = connect(options)?;
    for (name, message) in interop::messages() {
        ws.send(&message)?;
        match ws.recv()? {
            Some(echo) if echo == message => println!("ok {name}"),
            Some(_) => println!("error {name} came back different"),
            None => return Err("closed too early".into()),
        }
    }
    let (code, reason) = CLOSED_BY_CLIENT;
    ws.close(code.into(), reason)?;
    interop::report_close(" client", ws.summary());

    let mut ws = connect(options)?;
    ws.send(interop::request_to_close())?;
    while ws.recv()?.is_some() {}
    interop::report_close(" server", ws.summary());
    Ok(())
}

fn connect(options: &Options) -> Result<WebSocket<ClientStream>> {
    let mut connector = Connector::new(&options.place).config(options.config.clone());
    if let Some(config) = &options.connecting {
        connector = connector.tls_config(config.clone());
    }
    Ok(connector.connect()?)
}
