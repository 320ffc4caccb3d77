//! What the tests over streams share; each of them uses a part.
#![allow(dead_code, unreachable_pub)]

extern crate alloc;

use alloc::sync::Arc;
use core::time::Duration;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use sansocket::blocking::{Error, Transport, WebSocket};
use sansocket::{Config, Connection, Event, Input, MaskKeys};

pub const SECOND: Duration = Duration::from_secs(1);

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Keys that repeat from run to run.
pub fn keys() -> MaskKeys {
    let mut next = 0u32;
    MaskKeys::from_fn(move || {
        next = next.wrapping_mul(0x9e37_79b9).wrapping_add(0x7f4a_7c15);
        Ok(next.to_be_bytes())
    })
}

pub fn server<S: Transport>(stream: S, config: impl Into<Arc<Config>>) -> WebSocket<S> {
    WebSocket::over(stream, Connection::server(config, Duration::ZERO))
}

pub fn client<S: Transport>(stream: S, config: impl Into<Arc<Config>>) -> WebSocket<S> {
    WebSocket::over(stream, Connection::client(config, keys(), Duration::ZERO))
}

pub fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (here, _) = listener.accept().unwrap();
    there.set_nodelay(true).unwrap();
    here.set_nodelay(true).unwrap();
    (there, here)
}

/// Bytes that differ enough for a lost or doubled piece to show.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

pub fn text(len: usize) -> String {
    "größer, länger, weiter – ".chars().cycle().take(len).collect()
}

/// All that `connection` finds in `bytes`, and its error if there is one.
pub fn read_all(
    connection: &mut Connection,
    bytes: &mut [u8],
) -> (Vec<Event<'static>>, Option<sansocket::Error>) {
    let (mut input, mut out, mut events) = (Input::new(bytes), Vec::new(), Vec::new());
    loop {
        match connection.receive(Duration::ZERO, &mut input, &mut out) {
            Ok(Some(event)) => events.push(owned(event)),
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error)),
        }
    }
}

pub fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Message(message) => Event::Message(message.into_owned()),
        Event::Ping(payload) => Event::Ping(payload.into_owned()),
        Event::Pong(payload) => Event::Pong(payload.into_owned()),
        Event::Close(frame) => Event::Close(frame.into_owned()),
        other => panic!("{other:?}"),
    }
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

/// Runs `work` in a thread of its own and fails if it takes too long, so that an endless wait shows as such.
#[track_caller]
pub fn within<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    let worker = thread::spawn(move || done.send(work()));
    match result.recv_timeout(time) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still at it after {time:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("nothing was sent"),
        },
    }
}
