//! What compression costs in memory, counted by the allocator of the calling thread.
#![cfg(all(feature = "deflate", feature = "rand"))]

#[path = "support/compress.rs"]
mod compress;
#[path = "support/heap.rs"]
mod heap;

use core::time::Duration;

use compress::Compressor;
use heap::{Cost, cost};
use sansocket::deflate::{Agreed, Deflate};
use sansocket::handshake::{Acceptance, HandshakeLimits, ServerHandshake, ServerStep};
use sansocket::{Config, Connection, Delivery, Error, Event, Input, Prepared, blocking};

const NOW: Duration = Duration::ZERO;

/// What a server of this class agrees on with a client that leaves it every choice.
fn agreed(deflate: &Deflate) -> Agreed {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let step = ServerHandshake::new(HandshakeLimits::default(), NOW).receive(NOW, request);
    let Ok(ServerStep::Request { request, .. }) = step else { panic!("{step:?}") };
    let acceptance = Acceptance::new().deflate(deflate.clone());
    request.accept(&acceptance, &mut Vec::new()).unwrap().negotiated().deflate.unwrap()
}

fn payload(message: &[u8], level: u8) -> Vec<u8> {
    Compressor::new(level).payload(message)
}

/// A frame of a client; the key is all zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0xFF];
    frame.extend((payload.len() as u64).to_be_bytes());
    if payload.len() < 0x1_0000 {
        frame = vec![first, 0xFE];
        frame.extend((payload.len() as u16).to_be_bytes());
    }
    if payload.len() < 126 {
        frame = vec![first, 0x80 | payload.len() as u8];
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

fn take(connection: &mut Connection, bytes: &mut [u8]) -> Result<usize, Error> {
    let mut input = Input::new(bytes);
    let mut events = 0;
    while connection.receive(NOW, &mut input, &mut Vec::new())?.is_some() {
        events += 1;
    }
    Ok(events)
}

fn text(len: usize) -> String {
    let mut text: String = (0..len / 10 + 1).map(|number| format!("{number:9},")).collect();
    text.truncate(len);
    text
}

// conf: PD-33
#[test]
fn an_idle_connection_of_the_shared_class_holds_nothing() {
    let deflate = Deflate::shared();
    let config = std::sync::Arc::new(Config::new().deflate(deflate.clone()));
    let agreed = agreed(&deflate);
    let talk = |connection: &mut Connection| {
        let mut bytes = frame(0xC1, &payload(text(3000).as_bytes(), 6));
        assert_eq!(take(connection, &mut bytes), Ok(1));
        let mut out = Vec::new();
        connection.send(text(3000), &mut out).unwrap();
        connection.send_fragment(text(300), sansocket::Fin::More, &mut out).unwrap();
        connection.send_fragment(text(300), sansocket::Fin::Final, &mut out).unwrap();
    };
    // The pool has what one message needs.
    talk(&mut Connection::server(config.clone(), NOW).with_deflate(agreed));
    let (_, Cost { held, .. }) = cost(|| {
        let mut connections: Vec<_> =
            (0..10).map(|_| Connection::server(config.clone(), NOW).with_deflate(agreed)).collect();
        let (_, Cost { held, .. }) = cost(|| connections.iter_mut().for_each(talk));
        assert_eq!(held, 0);
    });
    assert_eq!(held, 0);
}

/// The figures that the documentation of `Deflate` states.
// conf: PD-33
#[test]
fn what_a_dedicated_connection_holds() {
    for (bits, memory, sender, receiver) in [
        (9, 1, 137_408, 704),
        (12, 5, 165_184, 4288),
        (12, 8, 265_536, 4288),
        (15, 5, 279_872, 32_960),
        (15, 8, 380_224, 32_960),
    ] {
        let deflate = Deflate::dedicated().window_bits(bits).peer_window_bits(bits).memory_level(memory);
        let config = std::sync::Arc::new(Config::new().deflate(deflate.clone()));
        let agreed = agreed(&deflate);
        let mut connection = Connection::server(config.clone(), NOW).with_deflate(agreed);
        let small = frame(0x81, b"nothing is set up for this");
        let (_, Cost { held, .. }) = cost(|| take(&mut connection, &mut small.clone()));
        assert_eq!(held, 0, "before the first use");
        // The pool gets what is borrowed for a message only.
        let warm = |connection: &mut Connection| {
            let mut bytes = frame(0xC1, &payload(text(100_000).as_bytes(), 6));
            take(connection, &mut bytes).unwrap();
        };
        warm(&mut Connection::server(config.clone(), NOW).with_deflate(agreed));
        let (_, Cost { held: received, .. }) = cost(|| warm(&mut connection));
        let mut other = Connection::server(config.clone(), NOW).with_deflate(agreed);
        let (_, Cost { held: sent, .. }) = cost(|| other.send(text(5000), &mut Vec::new()).unwrap());
        println!("{bits} bits, memory level {memory}: sends {sent}, receives {received}");
        // Another version of the library may take a little more or less.
        let near = sent.abs_diff(sender) < 4096;
        assert!(near && received == receiver, "{bits} {memory}: {sent} {received}");
    }
}

// conf: PD-26, LM-05
#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    let zeros = vec![b'0'; 64 << 20];
    let bomb = payload(&zeros, 9);
    drop(zeros);
    assert!(bomb.len() < 70_000, "{}", bomb.len());
    for limit in [64 << 10, 1 << 20, 16 << 20] {
        for opcode in [1, 2] {
            for parts in [1, 2, 50] {
                let deflate = Deflate::shared();
                let config = Config::new().deflate(deflate.clone()).max_message_size(limit);
                let mut connection = Connection::server(config, NOW).with_deflate(agreed(&deflate));
                let parts: Vec<_> = bomb.chunks(bomb.len().div_ceil(parts)).collect();
                // Fragments that never end.
                let mut bytes: Vec<u8> = Vec::new();
                for (at, part) in parts.iter().enumerate() {
                    let first =
                        if at == 0 { 0x40 | opcode } else { 0 } | if parts.len() == 1 { 0x80 } else { 0 };
                    bytes.extend(frame(first, part));
                }
                let (outcome, Cost { held, peak, .. }) = cost(|| take(&mut connection, &mut bytes));
                assert_eq!(outcome, Err(Error::TooBig { limit }));
                assert_eq!(outcome.unwrap_err().close_code().map(|code| code.get()), Some(1009));
                // An inflater, its output, what a block may refer back to, and the message.
                let borrowed = (48 << 10) + (128 << 10) + (32 << 10) + 4096;
                assert!(peak <= limit as isize + borrowed, "{limit} {opcode}: {peak}");
                assert!(held <= borrowed, "{held}");
            }
        }
    }
}

/// What of a message has arrived is all that it holds, until that is worth an inflater.
// conf: LM-04 LM-08 PD-33
#[test]
fn an_unfinished_message_holds_what_has_arrived() {
    const INFLATER: isize = 48 << 10;
    const WINDOW: isize = 32 << 10;
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..200_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b' ' + (state >> 33) as u8 % 64
        })
        .collect();
    let data = payload(&noise, 6);
    for new in [Deflate::shared, Deflate::dedicated] {
        for (opcode, limit) in [(1, 1 << 10), (1, 16 << 20), (2, 16 << 20)] {
            for delivery in [Delivery::Messages, Delivery::Chunks] {
                for arrived in [0, 1, 7, 1000, 4096, 4097, 20_000, 100_000] {
                    if arrived > limit {
                        continue;
                    }
                    // A frame that goes on, and as many fragments.
                    let mut cut = frame(0x40 | opcode, &data[..arrived]);
                    cut.extend(frame(0, b""));
                    let mut whole = frame(0xC0 | opcode, &data[..data.len().min(limit)]);
                    let header = whole.len() - data.len().min(limit);
                    whole.truncate(header + arrived);
                    for mut bytes in [cut, whole] {
                        let deflate = new();
                        let config = Config::new().deflate(deflate.clone()).delivery(delivery);
                        let config = std::sync::Arc::new(config.max_message_size(limit));
                        // What is there for all connections counts once, not for each: the pool has it, but no inflater.
                        let mut other = Config::new().deflate(deflate.clone()).delivery(Delivery::Chunks);
                        other.max_message_size = limit;
                        let mut other = Connection::server(other, NOW).with_deflate(agreed(&deflate));
                        take(&mut other, &mut frame(0x42, &data[..10])).unwrap();
                        let mut connection =
                            Connection::server(config.clone(), NOW).with_deflate(agreed(&deflate));
                        let (_, Cost { held, peak, .. }) =
                            cost(|| take(&mut connection, &mut bytes).unwrap());
                        let is_held = arrived == 0 || arrived <= 4096 && delivery == Delivery::Messages;
                        let state = if is_held { 0 } else { INFLATER + WINDOW.min(2 * arrived as isize) };
                        // What letters of 64 sorts inflate to, in memory that grew by doubling.
                        let message = if delivery == Delivery::Messages { 3 * arrived as isize } else { 0 };
                        let most = state + message + 1024;
                        assert!(held <= most, "{delivery:?} {opcode} {arrived}: {held} of {most}");
                        assert!(peak <= 2 * most + if is_held { 0 } else { 200 << 10 }, "{arrived}: {peak}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_bomb_in_chunks_costs_little() {
    let bomb = payload(&vec![0; 64 << 20], 9);
    let deflate = Deflate::shared();
    let config = Config::new().deflate(deflate.clone()).delivery(Delivery::Chunks);
    let mut connection = Connection::server(config, NOW).with_deflate(agreed(&deflate));
    let mut bytes = frame(0xC2, &bomb);
    let (total, Cost { peak, .. }) = cost(|| {
        let (mut input, mut total) = (Input::new(&mut bytes), 0);
        while let Some(Event::Chunk(chunk)) = connection.receive(NOW, &mut input, &mut Vec::new()).unwrap() {
            total += chunk.payload.len();
        }
        total
    });
    assert_eq!(total, 64 << 20);
    assert!(peak <= 512 << 10, "{peak}");
}

/// However many messages were in the works at once, what they borrowed is freed but for some of each.
#[test]
fn the_pool_keeps_eight_of_each() {
    let deflate = Deflate::shared();
    let config = std::sync::Arc::new(Config::new().deflate(deflate.clone()));
    let agreed = agreed(&deflate);
    let ((), Cost { held, peak, .. }) = cost(|| {
        let mut connections: Vec<_> =
            (0..50).map(|_| Connection::server(config.clone(), NOW).with_deflate(agreed)).collect();
        for connection in &mut connections {
            assert_eq!(take(connection, &mut frame(0x42, &payload(b"begun", 6))), Ok(0));
            connection.send_fragment(text(300), sansocket::Fin::More, &mut Vec::new()).unwrap();
        }
    });
    let each = (128 << 10) + 294_016 + (48 << 10);
    assert!(peak > 50 * (128 << 10) && held <= 8 * each, "{held} of {peak}");
}

/// The lane that lends: what a message inflated to is not copied, only found by way of a small box.
#[test]
fn lent_messages_take_no_memory_of_their_own() {
    for deflate in [Deflate::shared(), Deflate::dedicated()] {
        let (mut client, mut server) = blocking::pair(Config::new().deflate(deflate));
        let message = text(2000);
        let mut lent = |count: bool| {
            client.send(&message).unwrap();
            let (_, Cost { peak, allocations, .. }) = cost(|| {
                let (received, _) = server.recv_ref().unwrap().unwrap();
                assert_eq!(received, message.as_str());
            });
            assert!(!count || (allocations <= 1 && peak <= 64), "{allocations} {peak}");
        };
        for round in 0..20 {
            lent(round > 8);
        }
    }
}

#[test]
fn a_broadcast_is_compressed_once() {
    let deflate = Deflate::shared();
    let config = std::sync::Arc::new(Config::new().deflate(deflate.clone()));
    let agreed = agreed(&deflate);
    let prepared = Prepared::new(text(10_000));
    let mut out = Vec::with_capacity(1 << 20);
    let mut send = || {
        let mut connection = Connection::server(config.clone(), NOW).with_deflate(agreed);
        connection.send_prepared(&prepared, &mut out).unwrap();
    };
    send();
    let (_, Cost { allocations, .. }) = cost(|| (0..100).for_each(|_| send()));
    assert_eq!(allocations, 0);
}
