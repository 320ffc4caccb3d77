//! A short tour through everything that the core does, for interpreters such as Miri (`tests/miri/run`), which are too slow
//! for the tests that try every cut.

extern crate alloc;

#[path = "support/cuts.rs"]
mod cuts;
#[path = "support/operations.rs"]
mod operations;
#[path = "support/oracle.rs"]
mod oracle;

use alloc::sync::Arc;
use core::time::Duration;

use cuts::{WAYS, assert_same, feed};
use operations::{Bench, Duo, Op};
use sansocket::handshake::{
    Acceptance, ClientRequest, ClientStep, Extension, HandshakeLimits, ServerHandshake, ServerStep,
};
use sansocket::{Config, Delivery, Fin, Role, Unread, WebSocketUri, utf8};

const NOW: Duration = Duration::ZERO;

/// One call after the other, each of every kind.
fn ops(role: Role) -> Vec<Op> {
    let frame = |first, payload: &[u8]| {
        oracle::frame(first, (role == Role::Server).then_some([1, 2, 3, 4]), payload, None)
    };
    vec![
        Op::Send(true, 7),
        Op::Receive(frame(0x81, "größer".as_bytes())),
        Op::Fragment(false, 3, Fin::More),
        Op::Ping(125),
        Op::Fragment(false, 200, Fin::Final),
        Op::Locate(frame(0x82, &[9; 70]), true),
        Op::Room(20),
        Op::Receive(frame(0x89, b"a ping whose answer has to wait")),
        Op::Write(10),
        Op::Transmit,
        Op::Room(100_000),
        Op::Receive(frame(0x02, &[1; 300])[..40].to_vec()),
        Op::Direct(100),
        Op::Prepared(true, 130),
        Op::Envelope(false, 33),
        Op::HandleTimeout(20_000, Unread::Nothing),
        Op::Pong(3),
        Op::Write(100_000),
        Op::Close(1000, 20),
        Op::Receive(frame(0x88, &[3, 0xE8, b'x'])),
        Op::HandleTimeout(30_000, Unread::Nothing),
        Op::HandleEof,
    ]
}

#[test]
fn every_call_on_each_role() {
    for role in [Role::Client, Role::Server] {
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            for skipped in [0, 6, 11] {
                let config = Arc::new(Config::new().delivery(delivery));
                let mut bench = Bench::new(role, &config, None);
                ops(role)[skipped..].iter().for_each(|op| bench.apply(op));
                bench.finish();
            }
        }
    }
    let mut duo = Duo::new(&Arc::new(Config::new()));
    for (at, op) in ops(Role::Server).iter().enumerate() {
        duo.apply(at % 3 == 0, op);
    }
    duo.finish();
}

#[test]
fn every_way_of_arriving() {
    for role in [Role::Client, Role::Server] {
        let key = (role == Role::Server).then_some([0xA5, 0x5A, 0xFF, 0x01]);
        let frame = |first, payload: &[u8]| oracle::frame(first, key, payload, None);
        let bytes = [
            frame(0x01, "ein €".as_bytes()),
            frame(0x89, b"?"),
            frame(0x80, "𝄞 mehr".as_bytes()),
            frame(0x82, &[7; 150]),
            frame(0x88, &[3, 0xE8]),
        ]
        .concat();
        let config = Config::new();
        let whole = feed(role, &config, &bytes, &[bytes.len()], WAYS[0], usize::MAX);
        assert_eq!(whole.seen.len(), 4);
        for way in WAYS {
            for cuts in [&[1][..], &[3, 8], &[17]] {
                assert_same(whole.clone(), feed(role, &config, &bytes, cuts, way, usize::MAX), "cut");
            }
        }
    }
}

/// Lengths and places of every alignment, for the word-wise mask.
#[test]
fn masks_of_every_alignment() {
    for len in [0, 1, 3, 4, 7, 8, 9, 16, 17, 33] {
        for start in 0..4 {
            let plain: Vec<u8> = (0..len).collect();
            let frame = oracle::frame(0x82, Some([1, 2, 4, 8]), &plain, None);
            let mut shifted = [0x8A, 0x80, 0, 0, 0, 0].repeat(start);
            shifted.extend(frame);
            let told = feed(Role::Server, &Config::new(), &shifted, &[shifted.len()], WAYS[0], usize::MAX);
            assert_eq!(told.seen.last(), Some(&oracle::Seen::Binary(plain)));
        }
    }
}

#[test]
fn text_at_every_edge() {
    let text = "aß€𝄞\u{7ff}\u{800}\u{ffff}\u{10ffff}, and more than a word of ASCII";
    for end in 0..text.len() {
        let bytes = &text.as_bytes()[..end];
        assert_eq!(utf8::validate(bytes).is_ok(), core::str::from_utf8(bytes).is_ok());
        let mut validator = utf8::Validator::new();
        bytes.chunks(3).for_each(|piece| _ = validator.push(piece).unwrap());
        assert_eq!(validator.finish().is_ok(), core::str::from_utf8(bytes).is_ok());
    }
    for wrong in [&b"\xC0\x80"[..], b"\xED\xA0\x80", b"\xF4\x90", b"\xFF", b"a\x80"] {
        assert!(utf8::validate(wrong).is_err());
    }
}

#[test]
fn both_sides_of_a_handshake() {
    let uri = WebSocketUri::parse("ws://[::1]:8080/chat?room=1").unwrap();
    let extension = Extension::new("x-a").unwrap().with_param("p", "1").unwrap();
    let client = ClientRequest::new(uri).subprotocol("chat").extension(&extension).header("X-Token", "t");
    let mut sent = Vec::new();
    let mut opening = client.start([7; 16], NOW, &mut sent).unwrap();
    let mut handshake = ServerHandshake::new(HandshakeLimits::default(), NOW);
    let (last, front) = sent.split_last().unwrap();
    for piece in front.chunks(50) {
        handshake = match handshake.receive(NOW, piece).unwrap() {
            ServerStep::NeedMore(next) => next,
            other => panic!("{other:?}"),
        };
    }
    let Ok(ServerStep::Request { request, .. }) = handshake.receive(NOW, &[*last]) else {
        panic!("no request")
    };
    let acceptance = Acceptance::new().subprotocol("chat").extension(&extension);
    let mut answer = Vec::new();
    request.accept(&acceptance, &mut answer).unwrap();
    let (last, front) = answer.split_last().unwrap();
    for piece in front.chunks(50) {
        opening = match opening.receive(NOW, piece).unwrap() {
            ClientStep::NeedMore(next) => next,
            other => panic!("{other:?}"),
        };
    }
    let Ok(ClientStep::Open { opened, .. }) = opening.receive(NOW, &[*last]) else { panic!("not open") };
    assert_eq!(opened.negotiated().subprotocol.as_deref(), Some("chat"));
}
