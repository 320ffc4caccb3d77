//! Any order of calls is safe: no panic, legal frames only, none behind Close, one error for ever.

extern crate alloc;

use alloc::sync::Arc;
use core::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sansocket::{
    Config, Connection, Delivery, Error, Event, Fin, Input, MaskKeyError, MaskKeys, Role, SendError,
    SliceSink, State, TransportAction, Unread,
};

#[path = "support/cuts.rs"]
mod cuts;
#[path = "support/operations.rs"]
mod operations;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/streams.rs"]
mod streams;

use operations::{Bench, Duo, Op};

fn op(role: Role) -> impl Strategy<Value = Op> {
    let stream = || streams::stream(role).prop_map(|stream| stream.0);
    // A large message whose payload has still to come.
    let begun = oracle::frame(0x82, (role == Role::Server).then_some([1, 2, 3, 4]), &[7; 300], None);
    let len = || prop_oneof![4 => 0usize..20, 1 => 120usize..130, 1 => Just(70_000usize)];
    let fin = select(vec![Fin::More, Fin::Final]);
    let unread = select(vec![Unread::Possible, Unread::Nothing]);
    let code = select(vec![1000u16, 1001, 1010, 3000, 4999, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000]);
    let size = prop_oneof![3 => 0usize..160, 1 => Just(usize::MAX)];
    prop_oneof![
        3 => stream().prop_map(Op::Receive),
        1 => (0..begun.len()).prop_map(move |cut| Op::Receive(begun[..cut].to_vec())),
        2 => (stream(), any::<bool>()).prop_map(|(bytes, lend)| Op::Locate(bytes, lend)),
        2 => (0usize..400).prop_map(Op::Direct),
        1 => (0usize..400).prop_map(Op::PayloadRead),
        2 => (any::<bool>(), len()).prop_map(|(text, len)| Op::Send(text, len)),
        3 => (any::<bool>(), len(), fin).prop_map(|(text, len, fin)| Op::Fragment(text, len, fin)),
        1 => (any::<bool>(), len()).prop_map(|(text, len)| Op::Prepared(text, len)),
        1 => (any::<bool>(), len()).prop_map(|(text, len)| Op::Envelope(text, len)),
        1 => len().prop_map(Op::Ping),
        1 => len().prop_map(Op::Pong),
        1 => (code, len()).prop_map(|(code, len)| Op::Close(code, len)),
        1 => Just(Op::CloseWithoutCode),
        1 => Just(Op::Transmit),
        2 => size.clone().prop_map(Op::Room),
        3 => size.prop_map(Op::Write),
        1 => (0usize..3, 0usize..3).prop_map(|(written, left)| Op::HandleWritten(written, left)),
        3 => (select(vec![0u64, 1, 999, 20_000, 60_000]), unread).prop_map(|(after, unread)| Op::HandleTimeout(after, unread)),
        1 => Just(Op::HandleEof),
    ]
}

fn config() -> impl Strategy<Value = Arc<Config>> {
    (any::<bool>(), any::<bool>()).prop_map(|(chunks, idle)| {
        let delivery = if chunks { Delivery::Chunks } else { Delivery::Messages };
        let config = Config::new().delivery(delivery).max_message_size(100_000);
        Arc::new(if idle { config.idle_timeout(Duration::from_secs(50)) } else { config })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    // conf: CL-06 CL-15 CC-01 CC-03 CT-03 FG-06 FG-08 FL-02 FL-05 FL-07 MK-01 MK-03
    #[test]
    fn any_order_of_calls(
        (role, ops) in streams::role().prop_flat_map(|role| (Just(role), vec(op(role), 0..30))),
        config in config(),
        keys in prop_oneof![2 => Just(None), 1 => (0u32..8).prop_map(Some)],
    ) {
        let mut bench = Bench::new(role, &config, keys);
        ops.iter().for_each(|op| bench.apply(op));
        bench.finish();
    }

    // conf: FG-09 CT-04 CL-04 CL-14
    #[test]
    fn any_order_of_calls_on_both_ends(
        ops in vec((any::<bool>(), op(Role::Server)), 0..60),
        config in config(),
    ) {
        let mut duo = Duo::new(&config);
        ops.iter().for_each(|(second, op)| duo.apply(*second, op));
        duo.finish();
    }
}

/// Between the read and the call that tells of it, a keepalive ping begins to wait for room.
#[test]
fn a_direct_read_is_taken_also_while_a_reply_waits() {
    let now = Duration::from_secs(20);
    let mut server = Connection::server(Config::new(), Duration::ZERO);
    let mut frame = oracle::frame(0x82, Some([0; 4]), b"payload", None);
    let (head, rest) = frame.split_at_mut(8);
    let mut none = SliceSink::new(&mut []);
    let mut input = Input::new(head);
    assert_eq!(server.receive(Duration::ZERO, &mut input, &mut none), Ok(None));
    let place = server.payload_target().expect("the rest of a binary frame is next");
    place.copy_from_slice(rest);
    assert_eq!(server.handle_timeout(now, Unread::Nothing, &mut none), Ok(()));
    assert!(server.wants_write());
    let message = server.payload_read(now, rest.len(), &mut none).unwrap().expect("the message is complete");
    assert_eq!(message.as_bytes(), b"payload");
}

/// A reply that waits is lost together with the keys, and so is the connection: what follows is not sent either.
// conf: MK-09
#[test]
fn a_reply_that_finds_no_key_ends_the_connection() {
    let config = Arc::new(Config::new());
    let mut client = Connection::client(config, MaskKeys::from_fn(|| Err(MaskKeyError)), Duration::ZERO);
    let mut out = Vec::new();
    // An application can go on without a frame of its own.
    assert_eq!(client.send("never sent", &mut out), Err(SendError::MaskKey));
    assert_eq!(client.state(), State::Open);
    let mut ping = *b"\x89\x00";
    let mut input = Input::new(&mut ping);
    let mut none = SliceSink::new(&mut []);
    assert_eq!(
        client.receive(Duration::ZERO, &mut input, &mut none),
        Ok(Some(Event::Ping((&b""[..]).into())))
    );
    assert!(client.wants_write());
    assert_eq!(client.send("never sent", &mut out), Err(SendError::Closed));
    assert_eq!(client.transport_action(), TransportAction::Drop);
    assert_eq!(client.receive(Duration::ZERO, &mut input, &mut out), Err(Error::MaskKey));
    assert!(out.is_empty());
}
