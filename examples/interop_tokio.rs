//! A server and a client over tokio for `tests/interop`, which puts other programs on the other end.

mod interop;

use std::sync::Arc;

use interop::{CLOSED_BY_CLIENT, Options, Result};
use sansocket::tokio::{Acceptor, ClientStream, Connector, WebSocket};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = interop::options();
    let done = if options.is_server { serve(options).await } else { run(&options).await };
    if let Err(error) = done {
        println!("error {error}");
    }
}

async fn serve(options: Options) -> Result<()> {
    let listener = TcpListener::bind(&options.place).await?;
    println!("listening on {}", listener.local_addr()?);
    let options = Arc::new(options);
    loop {
        let (stream, _) = listener.accept().await?;
        let options = options.clone();
        tokio::spawn(async move {
            if let Err(error) = secured(stream, &options).await {
                println!("error {error}");
            }
        });
    }
}

async fn secured(stream: TcpStream, options: &Options) -> Result<()> {
    stream.set_nodelay(true)?;
    match &options.accepting {
        None => answer(stream, options).await,
        Some(config) => answer(TlsAcceptor::from(config.clone()).accept(stream).await?, options).await,
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, options: &Options) -> Result<()> {
    let mut ws = Acceptor::new().config(options.config.clone()).accept(stream).await?;
    while let Some((message, mut tx)) = ws.recv_ref().await? {
        match interop::requested_close(&message) {
            Some((code, reason)) => tx.start_close(code.into(), reason).await?,
            None => tx.feed(&message).await?,
        }
    }
    interop::report_close("", ws.summary());
    Ok(())
}

async fn run(options: &Options) -> Result<()> {
    let mut ws = connect(options).await?;
    for (name, message) in interop::messages() {
        ws.send(&message).await?;
        match ws.recv().await? {
            Some(echo) if echo == message => println!("ok {name}"),
            Some(_) => println!("error {name} came back different"),
            None => return Err("closed too early".into()),
        }
    }
    let (code, reason) = CLOSED_BY_CLIENT;
    ws.close(code.into(), reason).await?;
    interop::report_close(" client", ws.summary());

    let mut ws = connect(options).await?;
    ws.send(interop::request_to_close()).await?;
    while ws.recv().await?.is_some() {}
    interop::report_close(" server", ws.summary());
    Ok(())
}

async fn connect(options: &Options) -> Result<WebSocket<ClientStream>> {
    let mut connector = Connector::new(&options.place).config(options.config.clone());
    if let Some(config) = &options.connecting {
        connector = connector.tls_config(config.clone());
    }
    Ok(connector.connect().await?)
}
