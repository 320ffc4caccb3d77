//! What a connection costs: sizes, and heap memory as counts. Never wall time.

extern crate alloc;

use alloc::sync::Arc;
use core::fmt::Debug;
use core::time::Duration;

use sansocket::{
    CloseCode, Config, Connection, Delivery, Error, Event, Input, InvalidUtf8, MaskKeyError, MaskKeys,
    Message, Prepared, ProtocolError, Role, SendError, Sink, SliceSink, Unread,
};

#[path = "support/heap.rs"]
mod heap;
#[path = "support/oracle.rs"]
mod oracle;

use heap::cost;

const NOW: Duration = Duration::ZERO;

fn free<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (result, taken) = cost(work);
    assert_eq!((taken.allocations, taken.held), (0, 0), "{what}");
    result
}

fn connection(role: Role, config: &Arc<Config>) -> Connection {
    match role {
        Role::Server => Connection::server(config.clone(), NOW),
        // A source without a state is not boxed either.
        Role::Client => Connection::client(config.clone(), MaskKeys::from_fn(|| Ok([1, 2, 3, 4])), NOW),
    }
}

/// A frame for an endpoint in `role`.
fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    oracle::frame(first, (role == Role::Server).then_some([4, 3, 2, 1]), payload, None)
}

/// The header of a frame that announces `len` bytes and brings none.
fn announcement(role: Role, first: u8, len: u64) -> Vec<u8> {
    let masked = role == Role::Server;
    let mut bytes = vec![first, 127 | u8::from(masked) << 7];
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(if masked { &[4, 3, 2, 1] } else { &[] });
    bytes
}

/// Takes all of `bytes`, all events thrown away; says how many there were.
fn take(connection: &mut Connection, bytes: &mut [u8], out: &mut impl Sink) -> Result<usize, Error> {
    let mut input = Input::new(bytes);
    let mut events = 0;
    while connection.receive(NOW, &mut input, out)?.is_some() {
        events += 1;
    }
    assert!(input.is_empty());
    Ok(events)
}

const ROLES: [Role; 2] = [Role::Server, Role::Client];

#[test]
fn sizes() {
    #[cfg(target_pointer_width = "64")]
    {
        let size = if cfg!(feature = "deflate") { 192 } else { 184 };
        assert_eq!(size_of::<Connection>(), size, "what README.md says");
    }
    assert!(size_of::<Error>() <= 32, "Error: {}", size_of::<Error>());
    assert!(size_of::<SendError>() <= 32, "SendError: {}", size_of::<SendError>());
    assert!(size_of::<Event<'static>>() <= 64, "Event: {}", size_of::<Event<'static>>());
    assert!(size_of::<Message<'static>>() <= 40, "Message: {}", size_of::<Message<'static>>());
}

#[test]
fn traits() {
    const fn shared<T: Send + Sync + 'static>() {}
    const fn error<T: core::error::Error + Clone + Debug + PartialEq + Send + Sync + 'static>() {}
    const {
        shared::<Connection>();
        shared::<Config>();
        shared::<Event<'static>>();
        shared::<Message<'static>>();
        shared::<Prepared>();
        error::<Error>();
        error::<SendError>();
        error::<ProtocolError>();
        error::<InvalidUtf8>();
        error::<MaskKeyError>();
        error::<sansocket::Full>();
    }
}

#[test]
fn an_idle_connection_holds_no_heap_memory() {
    let config = Arc::new(Config::new());
    for role in ROLES {
        let mut connection = free("a new connection", || connection(role, &config));
        let mut memory = [0; 300];
        let mut out = SliceSink::new(&mut memory);
        free("keepalive", || {
            for minute in 1..100 {
                let now = Duration::from_secs(60 * minute);
                connection.handle_timeout(now, Unread::Possible, &mut out).unwrap();
                out.clear();
            }
        });
        // Nor does one that was busy, once the thread has what it keeps of large messages, 4 MiB at the most.
        let mut work = || {
            out.clear();
            let mut busy = [
                frame(role, 0x02, &[7; 1000]),
                frame(role, 0x89, b"ping"),
                frame(role, 0x80, &[7; 100_000]),
                frame(role, 0x01, "text".as_bytes()),
                frame(role, 0x80, "more text".as_bytes()),
            ]
            .concat();
            for part in busy.chunks_mut(77) {
                take(&mut connection, part, &mut out).unwrap();
            }
        };
        let ((), taken) = cost(|| (0..40).for_each(|_| work()));
        assert!(taken.held <= (4 << 20) + 4096, "{role:?}: {taken:?}");
        let ((), taken) = cost(work);
        assert_eq!(taken.held, 0, "{role:?}");
    }
}

#[test]
fn small_messages_and_pings_take_no_memory() {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let config = Arc::new(Config::new().delivery(delivery));
        for role in ROLES {
            let mut connection = connection(role, &config);
            let mut memory = [0; 4096];
            let mut out = SliceSink::new(&mut memory);
            let text = frame(role, 0x81, "a small message".as_bytes());
            let binary = frame(role, 0x82, &[7; 1000]);
            let ping = frame(role, 0x89, &[1; 125]);
            let pong = frame(role, 0x8A, b"");
            let mut bytes = [text, binary, ping, pong].concat();
            let original = bytes.clone();
            let prepared = Prepared::new("for many");
            free("messages, pings and pongs in one piece", || {
                for _ in 0..1000 {
                    bytes.copy_from_slice(&original);
                    assert_eq!(take(&mut connection, &mut bytes, &mut out), Ok(4));
                    out.clear();
                    connection.send("an answer", &mut out).unwrap();
                    connection.send(&[7u8; 1000][..], &mut out).unwrap();
                    connection.send_prepared(&prepared, &mut out).unwrap();
                    connection.ping(b"there?", &mut out).unwrap();
                    connection.pong(b"here", &mut out).unwrap();
                    _ = connection.envelope(&Message::from("pointed at")).unwrap();
                    out.clear();
                }
            });
        }
    }
}

#[test]
fn a_reply_without_room_takes_the_same_memory_however_many_pings_come() {
    // conf: CT-07 LM-06
    let config = Arc::new(Config::new());
    for role in ROLES {
        let mut connection = connection(role, &config);
        let mut none = SliceSink::new(&mut []);
        let mut pings = frame(role, 0x89, &[1; 125]).repeat(1000);
        let (left, taken) = cost(|| {
            let mut input = Input::new(&mut pings);
            for _ in 0..2000 {
                connection.receive(NOW, &mut input, &mut none).unwrap();
            }
            input.rest().len()
        });
        assert!(left == 0 && connection.wants_write());
        assert!(taken.held <= 512 && taken.allocations <= 2, "{role:?}: {taken:?}");
    }
}

// conf: LM-04 LM-08
#[test]
fn a_length_that_is_only_announced_takes_nothing() {
    for (limit, announced) in [(16 << 20, 16 << 20), (usize::MAX, i64::MAX as u64)] {
        let config = Arc::new(Config::new().max_message_size(limit));
        for role in ROLES {
            for first in [0x81, 0x82, 0x01, 0x02] {
                let mut header = announcement(role, first, announced);
                let original = header.clone();
                let mut connections = Vec::with_capacity(1000);
                let ((), taken) = cost(|| {
                    for _ in 0..1000 {
                        let mut connection = connection(role, &config);
                        header.copy_from_slice(&original);
                        assert_eq!(take(&mut connection, &mut header, &mut Vec::new()), Ok(0));
                        connections.push(connection);
                    }
                });
                let most = if cfg!(feature = "deflate") { 288 } else { 256 };
                assert!(taken.held <= 1000 * most, "{role:?} {first:x}: {taken:?}");
                // A peer that sends on slowly gets memory for what came, twice at the most.
                let ((), taken) = cost(|| {
                    for connection in &mut connections {
                        take(connection, &mut [0; 10], &mut Vec::new()).unwrap_or_default();
                    }
                });
                assert!(taken.held <= 1000 * 64, "{role:?} {first:x}: {taken:?}");
            }
        }
    }
}

#[test]
fn a_place_for_a_direct_read_grows_with_what_came() {
    // conf: LM-04
    let config = Arc::new(Config::new().max_message_size(usize::MAX));
    for (role, begun) in ROLES.into_iter().flat_map(|role| [(role, 0), (role, 20_000), (role, 100_000)]) {
        let mut connection = connection(role, &config);
        let mut frame = announcement(role, 0x82, i64::MAX as u64);
        frame.extend(vec![7; begun]);
        let (mut arrived, mut most) = (begun, 0);
        let ((), taken) = cost(|| {
            take(&mut connection, &mut frame, &mut Vec::new()).unwrap();
            while arrived < 4 << 20 {
                let len = connection.payload_target().expect("a place").len();
                most = most.max(len);
                assert!(len <= arrived.max(16 << 10), "{len} offered after {arrived}");
                let read = len.min(9000);
                arrived += read;
                assert_eq!(connection.payload_read(NOW, read, &mut Vec::new()), Ok(None));
            }
        });
        assert!(most > 1 << 20);
        // A page more, to choose a place in.
        assert!(taken.held as usize <= 2 * arrived + (68 << 10), "{taken:?} for {arrived}");
        assert!(taken.requested <= 5 * arrived, "{taken:?} for {arrived}");
    }
}

/// A peer that sends byte by byte while a place for much is offered again and again.
#[test]
fn a_place_that_is_not_used_is_offered_again() {
    // conf: LM-04
    let config = Arc::new(Config::new());
    for role in ROLES {
        let mut connection = connection(role, &config);
        take(&mut connection, &mut announcement(role, 0x82, 131_071), &mut Vec::new()).unwrap();
        let ((), taken) = cost(|| {
            for arrived in 0..60_000 {
                let place = connection.payload_target().expect("a place").len();
                let end = (arrived + 1_usize).next_power_of_two().max(16 << 10);
                assert_eq!(place, end - arrived, "{role:?}");
                take(&mut connection, &mut [7], &mut Vec::new()).unwrap();
            }
        });
        assert!(taken.held <= 65 << 10, "{role:?}: {taken:?}");
    }
}

/// Memory of earlier messages is lent to those that are announced, but peers that announce and send no more do not hold
/// ever more of it.
#[test]
#[cfg(feature = "std")]
fn announcements_hold_a_bounded_part_of_what_earlier_messages_left() {
    // conf: LM-04
    let config = Arc::new(Config::new());
    let mut large = frame(Role::Client, 0x82, &vec![7; 1 << 20]);
    let mut stalled = Vec::with_capacity(100);
    let ((), taken) = cost(|| {
        for _ in 0..100 {
            let mut honest = connection(Role::Client, &config);
            for part in large.chunks_mut(100_000) {
                take(&mut honest, part, &mut Vec::new()).unwrap();
            }
            let mut connection = connection(Role::Client, &config);
            let mut begun = announcement(Role::Client, 0x82, 1 << 20);
            begun.push(1);
            take(&mut connection, &mut begun, &mut Vec::new()).unwrap();
            stalled.push(connection);
        }
    });
    assert!((17 << 20..21 << 20).contains(&taken.held), "{taken:?}");
    stalled.clear();
    let mut connection = connection(Role::Client, &config);
    take(&mut connection, &mut large[..1000], &mut Vec::new()).unwrap();
    assert!(connection.payload_target().unwrap().len() > 1_000_000, "what they held is lent again");
}

// conf: FG-12 LM-07
#[test]
fn tiny_and_empty_fragments_take_memory_for_their_bytes_only() {
    let config = Arc::new(Config::new());
    for role in ROLES {
        for first in [0x01, 0x02] {
            let mut connection = connection(role, &config);
            take(&mut connection, &mut frame(role, first, b"a"), &mut Vec::new()).unwrap();
            let tiny = frame(role, 0x00, b"b");
            let mut fragments = [tiny.repeat(50_000), frame(role, 0x00, b"").repeat(256)].concat();
            let ((), taken) = cost(|| {
                assert_eq!(take(&mut connection, &mut fragments, &mut Vec::new()), Ok(0));
            });
            assert!(taken.held <= 2 * 50_000 + 64, "{role:?} {first:x}: {taken:?}");
            assert!(taken.requested <= 4 * 50_000 + 256, "{role:?} {first:x}: {taken:?}");
            assert!(taken.allocations <= 20, "{role:?} {first:x}: {taken:?}");
            let mut one_more = frame(role, 0x00, b"");
            let error = take(&mut connection, &mut one_more, &mut Vec::new()).unwrap_err();
            assert_eq!(error.close_code(), Some(CloseCode::POLICY_VIOLATION));
        }
    }
}

// conf: LM-07
#[test]
fn byte_by_byte_takes_as_much_as_whole() {
    let config = Arc::new(Config::new());
    for role in ROLES {
        for first in [0x81, 0x82] {
            let mut bytes = frame(role, first, &[b'x'; 200_000]);
            let mut connection = connection(role, &config);
            let (events, taken) = cost(|| {
                bytes
                    .chunks_mut(1)
                    .map(|byte| take(&mut connection, byte, &mut Vec::new()).unwrap())
                    .sum::<usize>()
            });
            assert_eq!(events, 1);
            assert!(taken.requested <= 4 * 200_000, "{role:?} {first:x}: {taken:?}");
            assert!(taken.allocations <= 40, "{role:?} {first:x}: {taken:?}");
        }
    }
}

#[test]
fn failing_gives_back_what_was_gathered() {
    let config = Arc::new(Config::new());
    for role in ROLES {
        let mut connection = connection(role, &config);
        let ((), taken) = cost(|| {
            let mut bytes = [frame(role, 0x02, &[7; 50_000]), frame(role, 0x83, b"")].concat();
            take(&mut connection, &mut bytes, &mut Vec::new()).unwrap_err();
        });
        assert_eq!(taken.held, 0, "{role:?}");
    }
}
