//! Any messages, any parameters, any cuts, in both directions; other libraries are the judges.

use proptest::collection::vec;
use proptest::prelude::*;
use sansocket::deflate::Deflate;
use sansocket::{Config, Delivery, Fin, Kind, Message, Role};

use super::compress::{Compressor, Decompressor, Flush};
use super::support::wire::{BINARY, CONTINUATION, FIN, RSV1, TEXT};
use super::support::wire::{frame, ping};
use super::support::{Seen, Session};
use super::{agree, inflate::Oracle, json, noise, open};

#[derive(Clone, Debug)]
struct Sample {
    kind: Kind,
    bytes: Vec<u8>,
}

fn sample() -> impl Strategy<Value = Sample> {
    let text = (any::<u32>(), 0..6000_usize).prop_map(|(seed, len)| json(seed % 4, len).into_bytes());
    let words = "[a-cé漢😀]{0,300}".prop_map(String::into_bytes);
    let text = prop_oneof![text, words].prop_map(|bytes| Sample { kind: Kind::Text, bytes });
    let noise = (any::<u32>(), 0..3000_usize).prop_map(|(seed, len)| noise(seed, len));
    let runs = (any::<u8>(), 0..70_000_usize).prop_map(|(byte, len)| vec![byte; len]);
    let binary = prop_oneof![noise, runs].prop_map(|bytes| Sample { kind: Kind::Binary, bytes });
    prop_oneof![3 => text, 1 => binary]
}

fn class() -> impl Strategy<Value = Deflate> {
    (any::<bool>(), 9..=15_u8, 9..=15_u8, 0..=9_u8, 1..=9_u8, 0..200_usize).prop_map(
        |(shared, own, peer, level, memory, threshold)| {
            let class = if shared { Deflate::shared() } else { Deflate::dedicated() };
            class
                .window_bits(own)
                .peer_window_bits(peer)
                .level(level)
                .memory_level(memory)
                .threshold(threshold)
        },
    )
}

fn seen(sample: &Sample) -> Seen {
    match sample.kind {
        Kind::Text => Seen::text(core::str::from_utf8(&sample.bytes).unwrap()),
        Kind::Binary => Seen::binary(&sample.bytes),
    }
}

fn message(sample: &Sample) -> Message<'_> {
    match sample.kind {
        Kind::Text => Message::from(core::str::from_utf8(&sample.bytes).unwrap()),
        Kind::Binary => Message::from(&sample.bytes),
    }
}

fn cut(session: &mut Session, bytes: &[u8], cuts: &[usize]) -> Result<(), sansocket::Error> {
    let mut rest = bytes;
    for len in cuts.iter().cycle() {
        if rest.is_empty() {
            return Ok(());
        }
        let (piece, behind) = rest.split_at((*len).clamp(1, rest.len()));
        session.feed(piece)?;
        rest = behind;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Both ends are this crate's.
    // conf: PD-17
    #[test]
    fn two_connections_understand_each_other(
        classes in (class(), class()),
        chunks in any::<bool>(),
        samples in vec((sample(), 0..4_usize), 1..8),
        cuts in vec(1..5000_usize, 1..5),
    ) {
        let delivery = if chunks { Delivery::Chunks } else { Delivery::Messages };
        let (client, server) = classes;
        let ends = open(
            Config::new().deflate(client).delivery(delivery),
            Config::new().deflate(server).delivery(delivery),
        );
        let (mut client, mut server) = (Session::of(ends.0), Session::of(ends.1));
        for from_client in [true, false] {
            let (sender, receiver) = if from_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
            let mut wanted = Vec::new();
            sender.out.clear();
            for (sample, parts) in &samples {
                let Session { connection, out, .. } = &mut *sender;
                match (parts, sample.kind) {
                    (0, _) | (_, Kind::Text) => connection.send(message(sample), out).unwrap(),
                    (parts, Kind::Binary) => {
                        let step = sample.bytes.len() / parts + 1;
                        for part in sample.bytes.chunks(step) {
                            connection.send_fragment(part, Fin::More, out).unwrap();
                        }
                        connection.send_fragment(&b""[..], Fin::Final, out).unwrap();
                    }
                }
                wanted.push(seen(sample));
            }
            let bytes = core::mem::take(&mut sender.out);
            receiver.seen.clear();
            cut(receiver, &bytes, &cuts).unwrap();
            prop_assert_eq!(&receiver.seen, &wanted);
        }
    }

    /// What is sent is read by two inflaters that are not this crate's, one of which knows how far back it refers.
    // conf: PD-17, PD-18, PD-19
    #[test]
    fn others_understand_what_is_sent(
        deflate in class(), role in prop_oneof![Just(Role::Client), Just(Role::Server)],
        samples in vec(sample(), 1..8),
    ) {
        let (client, server) = agree(&deflate, &deflate);
        let agreed = if role == Role::Client { client } else { server };
        let config = Config::new().deflate(deflate);
        let mut connection = super::support::connection(role, config).with_deflate(agreed);
        let (mut oracle, mut other) = (Oracle::default(), Decompressor::new());
        for sample in &samples {
            let mut out = Vec::new();
            connection.send(message(sample), &mut out).unwrap();
            let compressed = out[0] & RSV1 != 0;
            out[0] &= !RSV1;
            let frames = super::support::wire::plain(role, &out);
            let payload = &frames[0].1;
            if !compressed {
                prop_assert_eq!(payload, &sample.bytes);
                continue;
            }
            prop_assert!(payload.len() < sample.bytes.len());
            if !agreed.send_takeover() {
                (oracle, other) = (Oracle::default(), Decompressor::new());
            }
            prop_assert_eq!(&oracle.message(payload).unwrap(), &sample.bytes);
            prop_assert!(oracle.farthest <= 1 << agreed.send_window_bits());
            prop_assert_eq!(&other.message(payload, sample.bytes.len() + 64), &sample.bytes);
        }
    }

    /// What another library compressed is received, in any fragments with control frames between them, in any cuts.
    // conf: PD-20, PD-22
    #[test]
    fn what_others_send_is_understood(
        takeover in any::<bool>(), chunks in any::<bool>(), level in 0..10_u8,
        samples in vec((sample(), vec(0..3000_usize, 0..4), any::<bool>()), 1..6),
        cuts in vec(1..5000_usize, 1..5),
    ) {
        let deflate = if takeover { super::dedicated() } else { super::shared() };
        let delivery = if chunks { Delivery::Chunks } else { Delivery::Messages };
        let mut session = Session::of(super::end(Role::Server, Config::new().delivery(delivery), deflate));
        let mut compressor = Compressor::new(level);
        let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
        for (sample, parts, finish) in &samples {
            let data = if *finish {
                [compressor.compress(&sample.bytes, Flush::Finish), vec![0]].concat()
            } else {
                compressor.payload(&sample.bytes)
            };
            if *finish || !takeover {
                compressor.reset();
            }
            let opcode = RSV1 | if sample.kind == Kind::Text { TEXT } else { BINARY };
            let mut rest = &data[..];
            let mut first = opcode;
            for len in parts {
                let (part, behind) = rest.split_at((*len).min(rest.len()));
                bytes.extend(frame(Role::Server, first, part));
                bytes.extend(ping(Role::Server, b"between"));
                wanted.push(Seen::ping(b"between"));
                (first, rest) = (CONTINUATION, behind);
            }
            bytes.extend(frame(Role::Server, FIN | first, rest));
            wanted.push(seen(sample));
        }
        cut(&mut session, &bytes, &cuts).unwrap();
        prop_assert_eq!(session.seen, wanted);
    }

    /// Whatever comes as compressed data, it makes the same of it in any cut, and never goes over the limit.
    #[test]
    fn any_data_in_any_cut_ends_alike(
        data in vec(any::<u8>(), 0..200), flips in vec((any::<usize>(), 0..8_u8), 0..4), seed in any::<u32>(),
        cuts in vec(1..40_usize, 1..4), raw in any::<bool>(), takeover in any::<bool>(),
    ) {
        let mut data = data;
        if !raw {
            data = Compressor::new(6).payload(json(seed, 1500).as_bytes());
            for (at, bit) in flips {
                let at = at % data.len();
                data[at] ^= 1 << bit;
            }
        }
        let bytes = frame(Role::Server, FIN | RSV1 | BINARY, &data);
        let deflate = if takeover { super::dedicated() } else { super::shared() };
        let run = |delivery, cuts: &[usize]| {
            let config = Config::new().delivery(delivery).max_message_size(2000);
            let mut session = Session::of(super::end(Role::Server, config, deflate.clone()));
            let outcome = cut(&mut session, &bytes, cuts);
            (outcome, session.seen)
        };
        let whole = run(Delivery::Messages, &[bytes.len()]);
        prop_assert_eq!(&whole, &run(Delivery::Messages, &cuts));
        prop_assert_eq!(run(Delivery::Chunks, &[bytes.len()]), run(Delivery::Chunks, &cuts));
        let mut oracle = Oracle::default();
        match (oracle.message(&data), whole) {
            (Ok(message), (Ok(()), seen)) => prop_assert_eq!(seen, [Seen::Binary(message)]),
            (Ok(message), (outcome, _)) => {
                prop_assert!(message.len() > 2000, "{:?} for {} bytes", outcome, message.len());
            }
            (Err(_), (outcome, _)) => prop_assert!(outcome.is_err()),
        }
    }
}
