//! What the tests of the blocking adapter share; each of them uses a part.
#![allow(dead_code, unreachable_pub, unused_imports)]

#[path = "../adapters/patience.rs"]
mod patience;
#[path = "../adapters/scripted.rs"]
mod scripted;
#[path = "../adapters/values.rs"]
mod values;

use core::time::Duration;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::thread;

use sansocket::blocking::{Error, Transport, WebSocket};
use sansocket::{Config, Connection};

pub use patience::{Patience, cut};
pub use scripted::{Call, Fault, Scripted, once};
pub use values::{sockets as tcp, *};

pub fn server<S: Transport>(stream: S, config: impl Into<Arc<Config>>) -> WebSocket<S> {
    WebSocket::over(stream, Connection::server(config, Duration::ZERO))
}

pub fn client<S: Transport>(stream: S, config: impl Into<Arc<Config>>) -> WebSocket<S> {
    WebSocket::over(stream, Connection::client(config, keys(), Duration::ZERO))
}

/// Sends `message` over a non-blocking stream until a part of one is stuck, however much the kernel's buffers hold
/// and however late it moves their contents; returns how many were sent.
pub fn fill<S: Transport>(ws: &mut WebSocket<S>, message: &[u8]) -> usize {
    let (mut sent, mut unmoved) = (0, 0);
    while unmoved < 5 {
        let before = ws.queued();
        if before == 0 {
            assert!(sent < 1000, "the stream takes everything");
            ws.send(message).unwrap();
            sent += 1;
        } else {
            thread::sleep(ms(2));
            let _ = ws.flush();
            unmoved = if ws.queued() == before { unmoved + 1 } else { 0 };
        }
    }
    sent
}

/// Calls again until it is not too early.
pub fn again<T>(mut call: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..100_000 {
        match call() {
            Err(error) if error.is_temporary() => {}
            done => return done,
        }
    }
    panic!("always too early");
}

impl<F: FnMut(usize, Call) -> Fault> Read for Scripted<F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let some = self.read_some(buf.len())?;
        buf[..some.len()].copy_from_slice(some);
        Ok(some.len())
    }
}

impl<F: FnMut(usize, Call) -> Fault> Write for Scripted<F> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_some(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_some(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.call(Call::Flush)
    }
}

impl<F: FnMut(usize, Call) -> Fault> Transport for Scripted<F> {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        self.call(Call::Set)
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        self.call(Call::Set)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shut_down(Call::Set)
    }
}
