//! Any cut of the input gives the same events, replies and error as the whole, and as a naive endpoint; what is sent is
//! valid and whole for that one; no more calls are made than the bytes allow. Heap, with all that this target notes: at most
//! 16 times the input and 96 KiB, of which 64 are the place for a direct read.
//! The first six bytes are the role, the limits, and the sizes of the pieces.

#![no_main]

#[path = "../../tests/support/cuts.rs"]
mod cuts;
mod meter;
#[path = "../../tests/support/oracle.rs"]
mod oracle;

use cuts::{Narrow, WAYS, Way, assert_same, fault_of, feed, replies};
use libfuzzer_sys::fuzz_target;
use oracle::{Rules, judge};
use sansocket::{Config, Delivery, Role};

fuzz_target!(|data: &[u8]| {
    let [flags, message, fragments, empty, first, second, bytes @ ..] = data else { return };
    let role = if flags & 1 == 0 { Role::Server } else { Role::Client };
    let delivery = if flags & 2 == 0 { Delivery::Messages } else { Delivery::Chunks };
    let room = if flags & 4 == 0 { usize::MAX } else { Narrow::LEAST };
    let max_message = if *message == 0 { 1 << 20 } else { usize::from(*message) * 4 };
    let config = Config::new()
        .delivery(delivery)
        .max_message_size(max_message)
        .max_fragments(u32::from(*fragments))
        .max_empty_fragments(u32::from(*empty));
    let rules = Rules {
        max_message: (delivery == Delivery::Messages).then_some(max_message as u64),
        max_frame: usize::MAX as u64,
        max_fragments: u64::from(*fragments),
        max_empty_fragments: u64::from(*empty),
        ..Rules::lenient(role == Role::Server)
    };
    let most = 16 * bytes.len() + (96 << 10);
    let whole =
        meter::within(most, || feed(role, &config, bytes, &[bytes.len().max(1)], Way::Receive, usize::MAX));
    let expected = judge(&rules, bytes);
    assert_eq!(whole.seen, expected.seen);
    assert_eq!(replies(role, &whole), expected.replies);
    assert_eq!(whole.error.map(fault_of), expected.fault);
    let sizes = [usize::from(*first) + 1, usize::from(*second)];
    for way in WAYS {
        let cut = meter::within(most, || feed(role, &config, bytes, &sizes, way, room));
        assert_same(whole.clone(), cut, "cut");
    }
});
