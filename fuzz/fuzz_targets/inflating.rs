//! Compressed data as a peer might send it: in any cut the same, as a naive inflater sees it, never over the limit,
//! with heap for three times what is delivered and 512 KiB. Each call takes bytes or gives some; the replies are valid.
//! The first four bytes are the class and the way of delivery, the limit, and the sizes of the pieces; then messages,
//! each behind a byte with its length and one that says where it is cut into fragments.

#![no_main]

#[path = "../../tests/support/inflate.rs"]
mod inflate;
mod meter;
#[path = "../../tests/support/oracle.rs"]
mod oracle;

use inflate::{Bad, Oracle};
use libfuzzer_sys::fuzz_target;
use oracle::{Rules, judge};
use sansocket::deflate::Deflate;
use sansocket::handshake::Offer;
use sansocket::{Config, Connection, Delivery, Error, Event, Input, Limit, MaskKeys};

const NOW: core::time::Duration = core::time::Duration::ZERO;

fuzz_target!(|data: &[u8]| {
    let [flags, limit, first, second, rest @ ..] = data else { return };
    let takeover = flags & 1 != 0;
    let delivery = if flags & 2 == 0 { Delivery::Messages } else { Delivery::Chunks };
    let limit = if *limit == 0 { 1 << 20 } else { usize::from(*limit) * 16 };
    let messages = split(rest);
    let bytes: Vec<u8> = messages.iter().flat_map(|(payload, cut)| frames(payload, *cut)).collect();
    let metered = |cuts: &[usize]| {
        let (told, peak) = meter::peak(|| run(takeover, delivery, limit, &bytes, cuts));
        let noted = match delivery {
            Delivery::Messages => limit + told.0.iter().map(Vec::len).sum::<usize>(),
            // DEFLATE makes of a byte 1032 at the most.
            _ => 1032 * bytes.len(),
        };
        assert!(
            peak <= 3 * noted + (512 << 10),
            "{peak} bytes of heap for a limit of {limit}, {noted} noted"
        );
        told
    };
    let whole = metered(&[bytes.len().max(1)]);
    let cuts = [usize::from(*first) + 1, usize::from(*second) + 1];
    assert_eq!(whole, metered(&cuts));

    let mut oracle = Oracle::default();
    let (seen, error) = whole;
    let mut seen = seen.into_iter();
    for (payload, _) in messages {
        if !takeover {
            oracle = Oracle::default();
        }
        match (oracle.message(payload), seen.next()) {
            (Ok(message), Some(seen)) => assert_eq!(message, seen),
            (Ok(message), None) => {
                assert_eq!(error, Some(Error::TooBig { limit }));
                assert!(message.len() > limit && delivery == Delivery::Messages);
                return;
            }
            (Err(Bad::FinalBlocks), None) => {
                let limit = Error::Policy(Limit::FinalBlocks);
                assert!(error == Some(limit) || matches!(error, Some(Error::TooBig { .. })));
                return;
            }
            (Err(_), None) => {
                assert!(matches!(error, Some(Error::InvalidDeflate | Error::TooBig { .. })));
                return;
            }
            (Err(bad), Some(seen)) => panic!("{bad:?} taken as {seen:?}"),
        }
    }
    assert_eq!(error, None);
});

/// (payload, where to cut it)
fn split(mut rest: &[u8]) -> Vec<(&[u8], usize)> {
    let mut messages = Vec::new();
    while let [len, cut, behind @ ..] = rest {
        let (payload, behind) = behind.split_at(usize::from(*len).min(behind.len()));
        messages.push((payload, usize::from(*cut)));
        rest = behind;
    }
    messages
}

/// A server's frames of a binary message.
fn frames(payload: &[u8], cut: usize) -> Vec<u8> {
    let frame = |first: u8, payload: &[u8]| {
        let mut frame = vec![first, 126, 0, payload.len() as u8];
        if payload.len() < 126 {
            frame = vec![first, payload.len() as u8];
        }
        frame.extend_from_slice(payload);
        frame
    };
    if cut == 0 || cut > payload.len() {
        return frame(0xC2, payload);
    }
    [frame(0x42, &payload[..cut]), frame(0x89, b""), frame(0x80, &payload[cut..])].concat()
}

/// The messages and how it ended.
fn run(
    takeover: bool,
    delivery: Delivery,
    limit: usize,
    bytes: &[u8],
    cuts: &[usize],
) -> (Vec<Vec<u8>>, Option<Error>) {
    let deflate = if takeover { Deflate::dedicated() } else { Deflate::shared() };
    let deflate = deflate.window_bits(15).peer_window_bits(15);
    let headers: [(&str, &[u8]); 2] =
        [("sec-websocket-version", b"13"), ("sec-websocket-extensions", b"permessage-deflate")];
    let offer = Offer::from_headers(headers).expect("an offer");
    let (_, agreed) = offer.choose_deflate(&deflate).expect("an answer");
    let config = Config::new().deflate(deflate).delivery(delivery).max_message_size(limit);
    // With equal windows and the same class in both directions both ends are told the same.
    let keys = MaskKeys::from_fn(|| Ok([1, 2, 3, 4]));
    let mut connection = Connection::client(config, keys, NOW).with_deflate(agreed);
    let (mut messages, mut unfinished) = (Vec::new(), Vec::new());
    let (mut rest, mut cuts) = (bytes, cuts.iter().cycle());
    let mut replies = Vec::new();
    let mut error = None;
    while !rest.is_empty() && error.is_none() {
        let (piece, behind) = rest.split_at((*cuts.next().expect("a cycle")).min(rest.len()));
        rest = behind;
        let mut piece = piece.to_vec();
        let mut input = Input::new(&mut piece);
        loop {
            let before = input.consumed();
            match connection.receive(NOW, &mut input, &mut replies) {
                Ok(Some(Event::Message(message))) => messages.push(message.as_bytes().to_vec()),
                Ok(Some(Event::Chunk(chunk))) => {
                    let got_on = input.consumed() > before || chunk.last || !chunk.payload.is_empty();
                    assert!(got_on, "a call that got nowhere");
                    unfinished.extend_from_slice(&chunk.payload);
                    if chunk.last {
                        messages.push(core::mem::take(&mut unfinished));
                    }
                }
                Ok(Some(_)) => assert!(input.consumed() > before, "a call that got nowhere"),
                Ok(None) => {
                    assert!(input.is_empty(), "input left behind for no reason");
                    break;
                }
                Err(failure) => {
                    error = Some(failure);
                    break;
                }
            }
        }
    }
    let sent = judge(&Rules::lenient(true), &replies);
    assert_eq!((sent.fault, sent.whole), (None, replies.len()), "the replies break a rule");
    (messages, error)
}
