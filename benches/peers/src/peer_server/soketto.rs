//! soketto over buffered streams, as its example has them.

use std::pin::pin;
use std::task::Poll;

use futures_util::io::{BufReader, BufWriter};
use futures_util::poll;
use soketto::connection::Error as ConnectionError;
use soketto::extension::deflate::Deflate;
use soketto::handshake::{Server, server::Response};
use soketto::{Data, Mode, Receiver, Sender};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use crate::{Error, Options, runtime, unknown};

type Stream = BufReader<BufWriter<Compat<TcpStream>>>;

pub fn run(variant: &str, options: &Options) -> Result<(), Error> {
    // It compresses with level 1, and never with context takeover.
    let deflate = match options.deflate {
        Some(deflate) if !deflate.is_shared() => return unknown(),
        deflate => deflate.is_some(),
    };
    match (variant, options.broadcast) {
        ("", false) => runtime::serve(options, move |stream| async move {
            let stream = BufReader::new(BufWriter::new(stream.compat()));
            let (sender, receiver) = accept(stream, deflate).await?;
            echo(sender, receiver).await
        }),
        ("batch", false) => runtime::serve(options, move |stream| async move {
            let writer = BufWriter::with_capacity(64 << 10, stream.compat());
            let (sender, receiver) = accept(BufReader::with_capacity(64 << 10, writer), deflate).await?;
            batch(sender, receiver).await
        }),
        _ => unknown(),
    }
}

async fn accept(stream: Stream, deflate: bool) -> Result<(Sender<Stream>, Receiver<Stream>), Error> {
    let mut server = Server::new(stream);
    if deflate {
        server.add_extension(Box::new(Deflate::new(Mode::Server)));
    }
    let key = server.receive_request().await?.key();
    server.send_response(&Response::Accept { key, protocol: None }).await?;
    Ok(server.into_builder().finish())
}

async fn echo(mut sender: Sender<Stream>, mut receiver: Receiver<Stream>) -> Result<(), Error> {
    let mut message = Vec::new();
    loop {
        message.clear();
        match receiver.receive_data(&mut message).await {
            Ok(data) => answer(&mut sender, data, &mut message).await?,
            Err(ConnectionError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        sender.flush().await?;
    }
}

/// Flushes when no more has come.
async fn batch(mut sender: Sender<Stream>, mut receiver: Receiver<Stream>) -> Result<(), Error> {
    let mut message = Vec::new();
    loop {
        message.clear();
        let data = {
            let mut next = pin!(receiver.receive_data(&mut message));
            match poll!(&mut next) {
                Poll::Ready(data) => data,
                Poll::Pending => {
                    sender.flush().await?;
                    next.await
                }
            }
        };
        match data {
            Ok(data) => answer(&mut sender, data, &mut message).await?,
            Err(ConnectionError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn answer(sender: &mut Sender<Stream>, data: Data, message: &mut Vec<u8>) -> Result<(), Error> {
    match data {
        Data::Binary(_) => sender.send_binary_mut(message).await?,
        Data::Text(_) => sender.send_text(std::str::from_utf8(message)?).await?,
    }
    Ok(())
}
