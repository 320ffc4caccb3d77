//! What the tests of clients share: servers that answer in their own way, and certificates.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sansocket::CloseCode;
use sansocket::blocking::{self, Error, Transport};
use sansocket::client::{ConnectError, Step};

#[cfg(feature = "rustls")]
mod certificates;
pub mod tls;

/// A listener, and its port.
pub fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A server that answers one connection in its own way; its port.
pub fn serve<R: Send + 'static>(act: impl FnOnce(TcpStream) -> R + Send + 'static) -> (u16, JoinHandle<R>) {
    let (listener, port) = listen();
    (port, thread::spawn(move || act(listener.accept().unwrap().0)))
}

/// Opens a WebSocket and echoes until the end.
pub fn echo(stream: impl Transport) -> Result<(), Error> {
    let mut ws = blocking::accept(stream)?;
    while let Some((message, mut tx)) = ws.recv_ref()? {
        tx.feed(&message)?;
    }
    Ok(())
}

/// Up to and with the blank line.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Reads one request and answers it with these bytes; the request.
pub fn answer(mut stream: TcpStream, response: &[u8]) -> String {
    let head = read_head(&mut stream);
    stream.write_all(response).unwrap();
    head
}

/// Both directions, until both have ended.
pub fn relay(one: TcpStream, other: TcpStream) {
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        })
    };
    let there = copy(one.try_clone().unwrap(), other.try_clone().unwrap());
    let back = copy(other, one);
    there.join().unwrap();
    back.join().unwrap();
}

/// Runs a future of a client on this thread, for at most 20 s.
#[cfg(feature = "tokio")]
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), future).await.expect("in time") })
}

/// Says hello over both adapters alike, and closes.
#[macro_export]
macro_rules! hello {
    ($ws:expr $(, $await:tt)?) => {{
        let mut ws = $ws;
        ws.send("hello")$(.$await)?.unwrap();
        assert_eq!(ws.recv()$(.$await)?.unwrap(), Some("hello".into()));
        ws.close(sansocket::CloseCode::NORMAL, "")$(.$await)?.unwrap();
    }};
}

pub fn connect_error<T: std::fmt::Debug>(result: Result<T, Error>) -> ConnectError {
    match result {
        Err(Error::Connect(error)) => *error,
        other => panic!("{other:?}"),
    }
}

pub fn timed_out_step<T: std::fmt::Debug>(result: Result<T, Error>) -> Step {
    match connect_error(result) {
        ConnectError::TimedOut { step } => step,
        other => panic!("{other:?}"),
    }
}

pub const NORMAL: CloseCode = CloseCode::NORMAL;
