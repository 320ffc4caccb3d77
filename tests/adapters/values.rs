//! Values that the tests of the adapters share.
#![allow(dead_code, unreachable_pub, reason = "each user needs its own part")]

use core::time::Duration;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

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

/// A peer of the test's own, and the stream of the connection under test.
pub fn sockets() -> (TcpStream, TcpStream) {
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

/// Numbers without order, the same in each run.
pub fn hash(number: usize) -> usize {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) as usize
}

/// A masked frame with the key zero.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
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

/// What a client finds in all the bytes that a server sent.
pub fn events_of_server(mut bytes: Vec<u8>) -> Vec<Event<'static>> {
    let (events, error) =
        read_all(&mut Connection::client(Config::new(), keys(), Duration::ZERO), &mut bytes);
    assert_eq!(error, None);
    events
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

/// The code of a Close event.
pub fn code(event: &Event<'_>) -> u16 {
    match event {
        Event::Close(frame) => frame.code.get(),
        other => panic!("{other:?}"),
    }
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
