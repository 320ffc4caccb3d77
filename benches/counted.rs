//! Something small to count instructions on: `counted WHAT KIND LENGTH TIMES` does one thing that often and prints
//! nothing. `benches/instructions` runs it and takes differences, so that neither the start of the process nor the
//! copy that brings the bytes counts.

mod wire;

use core::hint::black_box;

use sansocket::frame::Decoder;
use sansocket::{Config, Connection, Event, Input, MaskKeys, Message, Role};
use wire::{NOW, Payload};

/// Messages in one read.
const BATCH: usize = 1000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [what, kind, len, times] = arguments[..] else { return };
    let payload = match kind {
        "binary" => Payload::Binary,
        "ascii" => Payload::Ascii,
        _ => Payload::MultiByte,
    };
    let message = payload.message(len.parse().expect("a length"));
    let times: usize = times.parse().expect("a number");
    match what {
        "read" => read(&message, times),
        "frame" => frames(&message, times),
        "decode" => run(Role::Server, &message, false, times),
        "echo" => run(Role::Server, &message, true, times),
        "locate-echo" => locate(&message, times),
        "client-echo" => run(Role::Client, &message, true, times),
        _ => panic!("nothing is called {what}"),
    }
}

/// The copy that stands for the read, as in all others.
fn read(message: &Message<'_>, times: usize) {
    let wire = wire::frames(message, BATCH, Role::Server);
    let mut buffer = wire.clone();
    for _ in 0..times / BATCH {
        buffer.copy_from_slice(&wire);
        black_box(&mut buffer);
    }
}

/// The frame layer alone.
fn frames(message: &Message<'_>, times: usize) {
    let wire = wire::frames(message, BATCH, Role::Server);
    let mut buffer = wire.clone();
    let mut decoder = Decoder::new(Role::Server);
    for _ in 0..times / BATCH {
        buffer.copy_from_slice(&wire);
        let mut rest = &mut buffer[..];
        while let Some(piece) = decoder.decode(rest).expect("valid frames") {
            rest = &mut rest[black_box(piece.payload.end)..];
        }
    }
}

/// A connection, which echoes or only receives.
fn run(role: Role, message: &Message<'_>, echo: bool, times: usize) {
    let mut connection = match role {
        Role::Server => Connection::server(Config::default(), NOW),
        Role::Client => Connection::client(Config::default(), MaskKeys::thread(), NOW),
    };
    let wire = wire::frames(message, BATCH, role);
    let mut buffer = wire.clone();
    let mut out = Vec::with_capacity(2 * wire.len());
    for _ in 0..times / BATCH {
        buffer.copy_from_slice(&wire);
        let mut input = Input::new(&mut buffer);
        while let Some(event) = connection.receive(NOW, &mut input, &mut out).expect("valid frames") {
            let Event::Message(message) = event else { continue };
            if echo {
                connection.send(&message, &mut out).expect("an open connection");
            } else {
                black_box(message.as_bytes());
            }
        }
        black_box(&mut out).clear();
    }
}

/// An echo by a server's connection through the pair of calls that adapters use.
fn locate(message: &Message<'_>, times: usize) {
    let mut connection = Connection::server(Config::default(), NOW);
    let wire = wire::frames(message, BATCH, Role::Server);
    let mut buffer = wire.clone();
    let mut out = Vec::with_capacity(2 * wire.len());
    for _ in 0..times / BATCH {
        buffer.copy_from_slice(&wire);
        let mut rest = &mut buffer[..];
        while !rest.is_empty() {
            let taken = step(&mut connection, rest, &mut out).expect("valid frames");
            rest = &mut rest[taken..];
        }
        black_box(&mut out).clear();
    }
}

fn step(connection: &mut Connection, bytes: &mut [u8], out: &mut Vec<u8>) -> Result<usize, sansocket::Error> {
    let located = connection.locate(NOW, bytes, out)?;
    if let Some(found) = located.found {
        if let Event::Message(message) = connection.lend(NOW, found, bytes, out)? {
            connection.send(&message, out).expect("an open connection");
        }
    }
    Ok(located.consumed)
}
