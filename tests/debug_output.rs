//! No debug form and no error shows what passes through a connection, or a credential.
//!
//! A mark is sent through everything; each form is searched for four bytes of it as text, as numbers, in hexadecimal
//! and in base64. Only the values that an application holds for their content show it: messages, events, close reasons.
#![cfg(feature = "rand")]

mod debug_support;
mod support;

use core::time::Duration;

use debug_support::{MARK, check, check_error, compressions, has_mark, mark, pair};
use sansocket::frame::{Decoder, FrameHeader, Opcode};
use sansocket::utf8::Validator;
use sansocket::{
    Chunk, Config, Connection, Delivery, Event, Fin, Input, Kind, MaskKeys, Message, Prepared, Role, Sink,
    SliceSink, Unread,
};
use support::wire;

const NOW: Duration = Duration::ZERO;

/// Both ends of connections with and without compression.
fn connections(config: &Config) -> Vec<(Connection, String)> {
    let named = |(config, what): (Config, &str)| {
        let (client, server) = pair(&config);
        [(client, format!("{what} client")), (server, format!("{what} server"))]
    };
    compressions(config).into_iter().flat_map(named).collect()
}

/// Everything in `bytes` is received, and what was sent thrown away.
fn receive(connection: &mut Connection, bytes: &mut [u8]) {
    let (mut input, mut out) = (Input::new(bytes), Vec::new());
    while let Ok(Some(_)) = connection.receive(NOW, &mut input, &mut out) {}
}

#[test]
fn values_that_an_application_holds_show_their_content() {
    let text = mark(20);
    assert!(format!("{:?}", Message::from(text.as_str())).contains(&text));
    assert!(format!("{:?}", Message::from(text.as_bytes())).contains(&text));
    assert!(format!("{:?}", Event::Message(text.as_str().into())).contains(&text));
    assert!(has_mark(&format!("{:?}", text.as_bytes())), "a search that finds nothing proves nothing");
    assert!(has_mark(&format!("{:#?}", text.as_bytes())));
    assert!(has_mark(&format!("{:02x?}", text.as_bytes())));
}

#[test]
fn a_connection_shows_nothing_of_what_it_received() {
    let text = mark(100);
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let config = Config::new().delivery(delivery);
        for at in 0..connections(&config).len() {
            for first in [0x81, 0x82, 0x01, 0x02, 0x89, 0x8A] {
                let (mut connection, what) = connections(&config).swap_remove(at);
                check(&connection, &what);
                let mut frame = wire::frame(connection.role(), first, text.as_bytes());
                for (at, piece) in frame.chunks_mut(3).enumerate() {
                    receive(&mut connection, piece);
                    check(&connection, &format!("{what}, piece {at} of a frame {first:x}"));
                }
            }
        }
    }
}

#[test]
fn a_connection_shows_nothing_of_what_it_sent() {
    let text = mark(300);
    for (mut connection, what) in connections(&Config::new()) {
        let (to, mut out) = (connection.role(), Vec::new());
        connection.send(text.as_str(), &mut out).unwrap();
        connection.send_prepared(&Prepared::new(text.as_str()), &mut out).unwrap();
        check(&connection, &format!("{what} after sending"));
        connection.send_fragment(text.as_str(), Fin::More, &mut out).unwrap();
        check(&connection, &format!("{what} amid fragments"));
        connection.send_fragment(text.as_str(), Fin::Final, &mut out).unwrap();
        let mut chunk = Chunk::new(Kind::Text, "x\u{10FFFF}".as_bytes()[..4].as_ref());
        chunk.first = true;
        connection.send_chunk(&chunk, &mut out).unwrap();
        assert!(!format!("{connection:?}").contains("244"), "{connection:?}");
        // A pong and a Close that find no room wait in the connection.
        let mut ping = wire::ping(to, &text.as_bytes()[..99]);
        _ = connection.receive(NOW, &mut Input::new(&mut ping), &mut SliceSink::new(&mut []));
        assert!(connection.wants_write());
        check(&connection, &format!("{what} with a pong that waits"));
        let mut close = wire::close(to, 4000, &text[..99]);
        _ = connection.receive(NOW, &mut Input::new(&mut close), &mut SliceSink::new(&mut [0; 200]));
        check(&connection, &format!("{what} after a Close"));
    }
}

#[cfg(feature = "deflate")]
#[test]
fn a_connection_shows_nothing_of_compressed_messages() {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        for (config, what) in compressions(&Config::new().delivery(delivery)) {
            let (client, server) = pair(&config);
            let (mut other_client, mut other_server) = pair(&config);
            for (sender, mut receiver) in [(&mut other_client, server), (&mut other_server, client)] {
                let mut bytes = Vec::new();
                sender.send(mark(5000), &mut bytes).unwrap();
                sender.send_fragment(mark(5000), Fin::More, &mut bytes).unwrap();
                sender.send_fragment(mark(5000), Fin::Final, &mut bytes).unwrap();
                let step = bytes.len().div_ceil(40);
                for (at, piece) in bytes.chunks_mut(step).enumerate() {
                    receive(&mut receiver, piece);
                    check(&receiver, &format!("{what}, piece {at}"));
                    check(sender, what);
                }
            }
        }
    }
}

#[test]
fn a_failed_connection_and_its_errors_show_nothing() {
    let text = mark(100);
    for (mut connection, what) in connections(&Config::new().max_message_size(50)) {
        let to = connection.role();
        let mut bytes =
            [wire::frame(to, 0x01, &text.as_bytes()[..40]), wire::frame(to, 0x00, &[0xFF; 3])].concat();
        let mut out = Vec::new();
        let error = connection.receive(NOW, &mut Input::new(&mut bytes), &mut out).unwrap_err();
        check_error(&error, &what);
        check(&connection, &what);
        let error = connection.handle_timeout(NOW, Unread::Nothing, &mut out).unwrap_err();
        check_error(&error, &what);
        check_error(&connection.send(text.as_str(), &mut out).unwrap_err(), &what);
    }
}

#[test]
fn what_the_core_lends_and_borrows_shows_nothing() {
    let text = mark(64);
    let mut memory = text.clone().into_bytes();
    check(&Input::new(&mut memory), "input");
    let mut sink = SliceSink::new(&mut memory);
    sink.push(mark(40).as_bytes());
    check(&sink, "sink");
    check(&Prepared::new(text.as_str()), "prepared");
    let mut client = Connection::client(Config::new(), MaskKeys::from_fn(|| Ok(*MARK)), NOW);
    check(&client.envelope(&Message::from(text.as_str())).unwrap(), "envelope");
    let mut header = FrameHeader::new(Opcode::Text, 5);
    header.mask = Some(*MARK);
    check(&header, "header");
    check(&header.encode(), "encoded header");
    let mut decoder = Decoder::new(Role::Server);
    let piece = decoder.decode(&mut [0x81, 0x85, MARK[0], MARK[1], MARK[2], MARK[3], 1]).unwrap();
    check(&piece, "piece");
    check(&decoder, "decoder amid a payload");
    let mut decoder = Decoder::new(Role::Server);
    decoder.decode(&mut [0x81, 0x85, MARK[0], MARK[1], MARK[2]]).unwrap();
    check(&decoder, "decoder amid a header");
    let mut validator = Validator::new();
    validator.push("\u{10FFFF}".as_bytes()[..3].as_ref()).unwrap();
    assert!(!format!("{validator:?}").contains("244"), "{validator:?}");
}

#[test]
fn what_was_found_shows_nothing_until_it_is_lent() {
    let text = mark(90);
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        for (first, cut) in [0x81, 0x82, 0x88, 0x89, 0x8A].into_iter().flat_map(|it| [(it, 0), (it, 20)]) {
            for (mut connection, what) in connections(&Config::new().delivery(delivery)) {
                let payload = [b"\x0f\xa0", text.as_bytes()].concat();
                let payload = if first == 0x88 { &payload } else { text.as_bytes() };
                let mut frame = wire::frame(connection.role(), first, payload);
                receive(&mut connection, &mut frame[..cut]);
                let located = connection.locate(NOW, &mut frame[cut..], &mut Vec::new()).unwrap();
                assert!(located.found.is_some());
                check(&located, &format!("{what} found {first:x} cut at {cut}"));
            }
        }
    }
    let chunk = Chunk::new(Kind::Binary, text.as_bytes());
    assert!(format!("{chunk:?}").contains(&text), "a chunk is a value that an application holds");
}
