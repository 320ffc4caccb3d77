//! What the tests over tokio's streams share; each of them uses a part.
#![allow(dead_code, unreachable_pub)]

extern crate alloc;

use alloc::sync::Arc;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{self, IoSlice};

use sansocket::tokio::WebSocket;
use sansocket::{Config, Connection, Event};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::blocking_support::{keys, read_all};

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

/// A masked frame with the key zero.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// Reads what a server sends up to the end of the stream, which must be one and not a reset.
pub async fn events_to_the_end(mut raw: impl AsyncRead + Unpin) -> Vec<Event<'static>> {
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard).await.expect("no reset");
    let (events, error) =
        read_all(&mut Connection::client(Config::new(), keys(), Duration::ZERO), &mut heard);
    assert_eq!(error, None);
    events
}

pub fn code(event: &Event<'_>) -> u16 {
    match event {
        Event::Close(frame) => frame.code.get(),
        other => panic!("{other:?}"),
    }
}

/// Polls `future` so often at most, each time after it was woken, and drops it.
pub async fn cut<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut polled = 0;
    core::future::poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polled == polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Runs `future` on this thread, with a clock that jumps over every wait.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

/// What becomes of one I/O call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The stream does it as it should.
    None,
    /// One byte is read or written.
    Short,
    /// Not now; the caller is woken at once.
    Pending,
    /// The call fails, and so does every later one.
    Dead(io::ErrorKind),
    /// The call fails, and so does every later one but reads.
    Deaf(io::ErrorKind),
    /// Reads find the end of the stream, writes take nothing.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call {
    Read,
    Write,
    Flush,
    Shutdown,
}

/// The call of this number goes wrong, all others go well.
pub fn once(fault: Fault, at: usize) -> impl FnMut(usize, Call) -> Fault + Unpin {
    move |call, _| if call == at { fault } else { Fault::None }
}

/// Of each kind of call the first one of so many is not ready.
pub fn reluctant(period: usize) -> impl FnMut(usize, Call) -> Fault + Unpin {
    let mut turns = [0; 4];
    move |_, call| {
        let turn = &mut turns[call as usize];
        *turn += 1;
        if *turn % period == 1 { Fault::Pending } else { Fault::None }
    }
}

/// What a peer says once it has heard this; `None` while it waits for more.
pub type Answer = fn(&[u8]) -> Option<Vec<u8>>;

/// A stream whose peer has said everything already; it takes note of every call.
#[derive(Debug)]
pub struct Scripted<F> {
    incoming: Vec<u8>,
    read: usize,
    pub sent: Vec<u8>,
    pub calls: Vec<Call>,
    pub shut: bool,
    answer: Option<Answer>,
    fault: F,
    dead: Option<Fault>,
    /// At most so much for each read and write.
    step: usize,
}

impl<F: FnMut(usize, Call) -> Fault + Unpin> Scripted<F> {
    pub fn new(incoming: Vec<u8>, step: usize, fault: F) -> Self {
        let (sent, calls) = (Vec::new(), Vec::new());
        Self { incoming, read: 0, sent, calls, shut: false, answer: None, fault, dead: None, step }
    }

    /// A peer that makes up its answer once it has heard enough.
    pub fn answering(answer: Answer, step: usize, fault: F) -> Self {
        Self { answer: Some(answer), ..Self::new(Vec::new(), step, fault) }
    }

    /// How many calls of one kind there were.
    pub fn count(&self, kind: Call) -> usize {
        self.calls.iter().filter(|&&call| call == kind).count()
    }

    /// How many bytes the next call may move; `None` at the end of the stream.
    fn next(&mut self, context: &Context<'_>, call: Call) -> Poll<io::Result<Option<usize>>> {
        let number = self.calls.len();
        self.calls.push(call);
        assert!(number < 1_000_000, "spins");
        let fault = match self.dead {
            Some(Fault::Deaf(_)) if call == Call::Read => (self.fault)(number, call),
            Some(fault) => fault,
            None => (self.fault)(number, call),
        };
        if matches!(fault, Fault::Dead(_) | Fault::Deaf(_) | Fault::End) {
            self.dead = Some(fault);
        }
        Poll::Ready(match fault {
            Fault::None => Ok(Some(self.step)),
            Fault::Short => Ok(Some(1)),
            Fault::Pending => {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Fault::Deaf(_) if call == Call::Read => Ok(Some(self.step)),
            Fault::Dead(kind) | Fault::Deaf(kind) => Err(io::Error::new(kind, "scripted")),
            Fault::End => Ok(None),
        })
    }
}

impl<F: FnMut(usize, Call) -> Fault + Unpin> AsyncRead for Scripted<F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        place: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(place.remaining() > 0, "a read into nothing looks like the end");
        if self.incoming.is_empty()
            && let Some(answer) = self.answer
        {
            self.incoming = answer(&self.sent).unwrap_or_default();
            assert!(!self.incoming.is_empty(), "waits for an answer to nothing");
        }
        self.next(context, Call::Read).map_ok(|step| {
            let Some(step) = step else { return };
            let this = &mut *self;
            let rest = &this.incoming[this.read..];
            let len = place.remaining().min(step).min(rest.len());
            place.put_slice(&rest[..len]);
            this.read += len;
        })
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
        assert!(!self.shut, "a write behind the end");
        self.next(context, Call::Write).map_ok(|step| {
            let Some(step) = step else { return 0 };
            let before = self.sent.len();
            for part in parts {
                let left = step - (self.sent.len() - before);
                self.sent.extend_from_slice(&part[..part.len().min(left)]);
            }
            assert!(self.sent.len() > before, "wrote nothing at all");
            self.sent.len() - before
        })
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.next(context, Call::Flush).map_ok(drop)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = self.next(context, Call::Shutdown).map_ok(drop);
        self.shut |= matches!(done, Poll::Ready(Ok(())));
        done
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
