//! What the tests of the adapter for tokio share; each of them uses a part.
#![allow(dead_code, unreachable_pub, unused_imports)]

#[path = "../adapters/patience.rs"]
mod patience;
#[path = "../adapters/scripted.rs"]
mod scripted;
#[path = "../adapters/values.rs"]
mod values;

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::sync::Arc;

use sansocket::tokio::WebSocket;
use sansocket::{Config, Connection, Event};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

pub(crate) use patience::insist;
pub use patience::{Patience, cut};
pub use scripted::{Call, Fault, Scripted, once, poll, reluctant};
pub use values::*;

pub fn server<S: AsyncRead + AsyncWrite + Unpin>(stream: S, config: impl Into<Arc<Config>>) -> WebSocket<S> {
    WebSocket::over(stream, Connection::server(config, Duration::ZERO))
}

pub fn client<S: AsyncRead + AsyncWrite + Unpin>(stream: S, config: impl Into<Arc<Config>>) -> WebSocket<S> {
    WebSocket::over(stream, Connection::client(config, keys(), Duration::ZERO))
}

pub async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (here, _) = listener.accept().await.unwrap();
    there.set_nodelay(true).unwrap();
    here.set_nodelay(true).unwrap();
    (there, here)
}

/// Reads what a server sends up to the end of the stream, which must be one and not a reset.
pub async fn events_to_the_end(mut raw: impl AsyncRead + Unpin) -> Vec<Event<'static>> {
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard).await.expect("no reset");
    events_of_server(heard)
}

/// Runs `future` on this thread, with a clock that jumps over every wait.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

impl<F: FnMut(usize, Call) -> Fault + Unpin> AsyncRead for Scripted<F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        place: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.assert_answers();
        poll(context, self.read_some(place.remaining())).map_ok(|some| place.put_slice(some))
    }
}

impl<F: FnMut(usize, Call) -> Fault + Unpin> AsyncWrite for Scripted<F> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll(context, self.write_some(parts))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll(context, self.call(Call::Flush))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll(context, self.shut_down(Call::Shutdown))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
