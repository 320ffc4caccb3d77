//! Something small to count instructions on: `counted WHAT TIMES` does one thing that often and prints nothing.
//! `benches/instructions` runs it twice and takes the difference, so that the start of the process does not count.

mod wire;

use core::hint::black_box;

use sansocket::frame::Decoder;
use sansocket::{Config, Connection, Event, Input, MaskKeys, Role};
use wire::{NOW, Payload};

/// Messages in one read.
const BATCH: usize = 1000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, times] = arguments.as_slice() else { return };
    let Ok(times) = times.parse::<usize>() else { return };
    match what.as_str() {
        "frame" => frames(times),
        "decode-binary-16" => run(Role::Server, Payload::Binary, 16, false, times),
        "decode-text-16" => run(Role::Server, Payload::Ascii, 16, false, times),
        "echo-binary-20" => run(Role::Server, Payload::Binary, 20, true, times),
        "echo-text-20" => run(Role::Server, Payload::Ascii, 20, true, times),
        "echo-multibyte-20" => run(Role::Server, Payload::MultiByte, 20, true, times),
        "echo-binary-125" => run(Role::Server, Payload::Binary, 125, true, times),
        "echo-binary-1024" => run(Role::Server, Payload::Binary, 1024, true, times),
        "client-echo-binary-20" => run(Role::Client, Payload::Binary, 20, true, times),
        _ => eprintln!("counted: nothing is called {what}"),
    }
}

/// The frame layer alone.
fn frames(times: usize) {
    let wire = wire::frames(&Payload::Binary.message(16), BATCH, Role::Server);
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
fn run(role: Role, payload: Payload, len: usize, echo: bool, times: usize) {
    let mut connection = match role {
        Role::Server => Connection::server(Config::default(), NOW),
        Role::Client => Connection::client(Config::default(), MaskKeys::thread(), NOW),
    };
    let wire = wire::frames(&payload.message(len), BATCH, role);
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
