//! Any way of cutting the input gives the same events, the same replies, the same error.

#[path = "support/cuts.rs"]
mod cuts;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/streams.rs"]
mod streams;

use cuts::{Narrow, WAYS, Way, assert_same, feed};
use proptest::prelude::*;
use sansocket::{Config, Delivery, Error, Role};
use streams::{Settings, Stream, settings, stream};

fn with_stream() -> impl Strategy<Value = (Settings, Stream)> {
    settings().prop_flat_map(|settings| {
        let stream = stream(settings.role);
        (Just(settings), stream)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    // conf: FR-08 FR-12 FG-04 FL-03 FL-07 LM-06 MK-05 U8-01
    #[test]
    fn no_cut_makes_a_difference((settings, Stream(bytes)) in with_stream(), cuts in streams::cuts(), narrow: bool) {
        let Settings { role, config, .. } = settings;
        let whole = feed(role, &config, &bytes, &[bytes.len()], Way::Receive, usize::MAX);
        let room = if narrow { Narrow::LEAST } else { usize::MAX };
        for way in WAYS {
            let cut = feed(role, &config, &bytes, &cuts, way, room);
            assert_same(whole.clone(), cut, &format!("{way:?}, cut at {cuts:?}"));
        }
    }

    // conf: FG-07
    #[test]
    fn chunks_join_to_the_messages(
        (role, Stream(bytes)) in streams::role().prop_flat_map(|role| (Just(role), stream(role))),
        cuts in streams::cuts(),
    ) {
        let messages = Config::new();
        let chunks = Config::new().delivery(Delivery::Chunks);
        let whole = feed(role, &messages, &bytes, &[bytes.len()], Way::Receive, usize::MAX);
        // A length over the message limit is legal for chunks.
        prop_assume!(!matches!(whole.error, Some(Error::TooBig { .. })));
        for way in WAYS {
            let mut joined = feed(role, &chunks, &bytes, &cuts, way, usize::MAX);
            joined.unfinished = None;
            assert_same(whole.clone(), joined, &format!("{way:?}, cut at {cuts:?}"));
        }
    }
}

/// Every kind of frame and every length form, twice; the second message large enough for direct reads.
fn short_stream(role: Role) -> Vec<u8> {
    let key = |i: u8| (role == Role::Server).then_some([i, 0x55, 0xAA, i ^ 0xFF]);
    let long: Vec<u8> = (0..130u8).collect();
    [
        oracle::frame(0x81, key(1), "hé€𝄞".as_bytes(), None),
        oracle::frame(0x01, key(2), b"\xe2\x82", None),
        oracle::frame(0x89, key(3), b"ping", None),
        oracle::frame(0x00, key(4), b"", None),
        oracle::frame(0x80, key(5), b"\xac!", None),
        oracle::frame(0x02, key(6), &long, None),
        oracle::frame(0x8A, key(7), b"", None),
        oracle::frame(0x80, key(8), &long[..5], None),
        oracle::frame(0x88, key(9), b"\x03\xe8bye", None),
    ]
    .concat()
}

// conf: FR-08 FR-12 FG-01 U8-01
#[test]
fn every_pair_of_cuts_gives_the_same() {
    for role in [Role::Server, Role::Client] {
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            let config = Config::new().delivery(delivery);
            let bytes = short_stream(role);
            let whole = feed(role, &config, &bytes, &[bytes.len()], Way::Receive, usize::MAX);
            assert_eq!((whole.seen.len(), whole.error), (6, None));
            for first in 1..bytes.len() {
                for second in [1, 2, 3, 4, 5, 7, 11, 14, 40, bytes.len()] {
                    let cuts = [first, second, bytes.len()];
                    for way in WAYS {
                        let cut = feed(role, &config, &bytes, &cuts, way, usize::MAX);
                        assert_same(whole.clone(), cut, &format!("{role:?} {way:?}, cut at {cuts:?}"));
                    }
                }
            }
        }
    }
}

// conf: FR-08
#[test]
fn all_cuts_of_a_short_frame_give_the_same() {
    for role in [Role::Server, Role::Client] {
        let key = (role == Role::Server).then_some([7, 6, 5, 4]);
        for opcode in [0x81, 0x82, 0x89, 0x8A] {
            let bytes = oracle::frame(opcode, key, "aß€".as_bytes(), None);
            let config = Config::new();
            let whole = feed(role, &config, &bytes, &[bytes.len()], Way::Receive, usize::MAX);
            assert_eq!(whole.seen.len(), 1);
            for pattern in 0..1u32 << (bytes.len() - 1) {
                let mut cuts = vec![1];
                for i in 0..bytes.len() - 1 {
                    if pattern >> i & 1 == 1 {
                        cuts.push(1);
                    } else if let Some(last) = cuts.last_mut() {
                        *last += 1;
                    }
                }
                let cut = feed(role, &config, &bytes, &cuts, Way::Receive, usize::MAX);
                assert_same(whole.clone(), cut, &format!("{role:?} {opcode:x}, cut at {cuts:?}"));
            }
        }
    }
}

#[test]
fn a_large_payload_goes_straight_to_its_place() {
    for role in [Role::Server, Role::Client] {
        let key = (role == Role::Server).then_some([7, 6, 5, 4]);
        let payload: Vec<u8> = (0..300_000u32).map(|i| (i / 3) as u8).collect();
        let bytes = [
            oracle::frame(0x02, key, &payload[..150_000], None),
            oracle::frame(0x89, key, b"between", None),
            oracle::frame(0x80, key, &payload[150_000..], None),
            oracle::frame(0x81, key, b"next", None),
        ]
        .concat();
        let config = Config::new();
        let whole = feed(role, &config, &bytes, &[bytes.len()], Way::Receive, usize::MAX);
        for cuts in [&[13usize, 70_000][..], &[5, 31], &[100_000]] {
            let cut = feed(role, &config, &bytes, cuts, Way::Direct, usize::MAX);
            assert!(cut.direct, "no direct read was offered, cut at {cuts:?}");
            assert_same(whole.clone(), cut, &format!("{role:?}, cut at {cuts:?}"));
        }
    }
}
