//! Large binary messages read straight to their place: `payload_target` and `payload_read`.

mod support;

use core::time::Duration;

use sansocket::{
    CloseCode, Config, Deadline, Delivery, Error, Event, Input, Message, ProtocolError, Role, SliceSink,
    Unread,
};
use support::wire::{self, BINARY, FIN, PING, TEXT};
use support::{NOW, ROLES, Seen, Session, connection};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 256) as u8).collect()
}

/// Reads `wire` as an adapter does: straight to its place where one is offered, else through a buffer of `buffer`
/// bytes. At most `step` bytes come at once.
fn drive(session: &mut Session, mut wire: &[u8], buffer: usize, step: usize) -> Result<usize, Error> {
    let mut direct = 0;
    while !wire.is_empty() {
        let taken = match session.connection.payload_target() {
            Some(target) => {
                assert!(!target.is_empty());
                let len = target.len().min(wire.len()).min(step);
                target[..len].copy_from_slice(&wire[..len]);
                if let Some(message) = session.connection.payload_read(NOW, len, &mut session.out)? {
                    session.seen.push(Seen::message(&message));
                }
                direct += len;
                len
            }
            None => {
                let len = buffer.min(wire.len()).min(step);
                session.feed(&wire[..len])?;
                len
            }
        };
        wire = &wire[taken..];
    }
    Ok(direct)
}

#[test]
fn a_large_message_is_read_to_its_place() {
    // conf: FG-07 MK-05
    for role in ROLES {
        for len in [300, 65536, 200_001] {
            for (buffer, step) in [(16, usize::MAX), (14, 7), (200, 4093), (1, 65537)] {
                let payload = pattern(len);
                let bytes = [wire::binary(role, &payload), wire::text(role, "next")].concat();
                let mut session = Session::new(role);
                let direct = drive(&mut session, &bytes, buffer, step).unwrap();
                assert!(direct + 200 >= len, "{direct} of {len}");
                assert_eq!(
                    session.seen,
                    [Seen::Binary(payload), Seen::text("next")],
                    "{role:?} {len} {buffer} {step}"
                );
            }
        }
    }
}

#[test]
fn fragments_and_control_frames_go_on_through_it() {
    // conf: FG-01 FG-04 CT-04
    for role in ROLES {
        for (buffer, step) in [(3, usize::MAX), (2, 5), (20, 100)] {
            let payload = pattern(3000);
            let bytes = [
                wire::frame(role, BINARY, &payload[..1000]),
                wire::ping(role, b"between"),
                wire::frame(role, 0, b""),
                wire::frame(role, 0, &payload[1000..1001]),
                wire::frame(role, FIN, &payload[1001..]),
                wire::close(role, 1000, ""),
            ];
            let mut session = Session::new(role);
            drive(&mut session, &bytes.concat(), buffer, step).unwrap();
            let close = Seen::close(CloseCode::NORMAL, "");
            assert_eq!(session.seen, [Seen::ping(b"between"), Seen::Binary(payload), close]);
            assert_eq!(session.sent()[0], (FIN | 0xA, b"between".to_vec()));
        }
    }
}

#[test]
fn the_place_grows_with_what_has_arrived() {
    // conf: LM-04 LM-08
    let config = Config::new().max_message_size(usize::MAX);
    let mut session = Session::with(Role::Client, config);
    session.feed(&wire::header(Role::Client, FIN | BINARY, wire::Length::Long((1 << 63) - 1))).unwrap();
    let mut received = 0;
    for _ in 0..8 {
        let len = session.connection.payload_target().unwrap().len();
        assert!(len <= received.max(16 << 10), "{len} offered after {received}");
        assert_eq!(session.connection.payload_read(NOW, len, &mut session.out), Ok(None));
        received += len;
    }
    assert_eq!(received, 2 << 20);
}

/// To where most kernels copy fastest, whether or not its memory was used before.
#[test]
fn a_large_message_begins_in_the_middle_of_a_page() {
    for role in ROLES {
        for len in [300_000, 2 << 20, 3 << 20] {
            let payload = pattern(len);
            let frame = wire::binary(role, &payload);
            let mut session = Session::new(role);
            session.feed(&frame[..70_000]).unwrap();
            let place = session.connection.payload_target().unwrap();
            let arrived = 70_000 - (frame.len() - payload.len());
            assert_eq!((place.as_ptr().addr() - arrived) % 4096, 2048, "{role:?} {len}");
            // That of an earlier message is there at once, if it was no larger than 2 MiB.
            let is_used_again = cfg!(feature = "std") && role != ROLES[0] && len <= 2 << 20;
            let expected = if is_used_again { len - arrived } else { arrived };
            assert!((expected - 4096..=expected).contains(&place.len()), "{role:?} {len}: {}", place.len());
            drive(&mut session, &frame[70_000..], 1, usize::MAX).unwrap();
            assert_eq!(session.seen, [Seen::Binary(payload)]);
        }
    }
}

/// What was in it before is never part of a message, and a message that is kept keeps its memory.
#[test]
fn memory_of_a_large_message_is_used_again() {
    const LEN: usize = 300_000;
    let mut kept = Vec::new();
    for role in ROLES {
        for (round, len) in [LEN, LEN - 1, LEN, 270_000, 90_000, LEN + 9000].into_iter().enumerate() {
            let payload: Vec<u8> = pattern(len).iter().map(|byte| byte ^ round as u8).collect();
            let frame = wire::binary(role, &payload);
            for keep in [false, true] {
                let mut session = Session::new(role);
                session.feed(&frame[..1000]).unwrap();
                let place = session.connection.payload_target().unwrap().len();
                let is_used_again = cfg!(feature = "std") && keep;
                assert_eq!(place > 64 << 10, is_used_again, "{role:?} {len}: {place}");
                let mut rest = &frame[1000..];
                let message = loop {
                    let place = session.connection.payload_target().unwrap();
                    let count = place.len().min(rest.len()).min(100_000);
                    place[..count].copy_from_slice(&rest[..count]);
                    rest = &rest[count..];
                    let read = session.connection.payload_read(NOW, count, &mut session.out);
                    if let Some(message) = read.unwrap() {
                        break message;
                    }
                };
                assert!(message == Message::from(&payload), "{role:?} {len}");
                if keep {
                    kept.push((payload.clone(), message));
                }
            }
        }
    }
    assert!(kept.iter().all(|(payload, message)| *message == Message::from(payload)));
}

#[test]
fn no_place_is_offered_for_anything_else() {
    // conf: FG-07
    for role in ROLES {
        let long = pattern(500);
        let begun = wire::binary(role, &long)[..50].to_vec();
        let offered = |config: Config, bytes: &[u8]| {
            let mut session = Session::with(role, config);
            session.feed(bytes).unwrap();
            session.connection.payload_target().is_some()
        };
        assert!(offered(Config::new(), &begun));
        assert!(!offered(Config::new(), b""));
        assert!(!offered(Config::new(), &wire::binary(role, &long)), "nothing is missing");
        assert!(!offered(Config::new(), &begun[..3]), "the header is not there yet");
        assert!(!offered(Config::new(), &wire::frame(role, FIN | TEXT, &[b'x'; 500])[..50]));
        assert!(!offered(Config::new().delivery(Delivery::Chunks), &begun));
        let ping = wire::frame(role, FIN | PING, b"1234");
        let ping = [&wire::frame(role, BINARY, b"x"), &ping[..ping.len() - 2]].concat();
        assert!(!offered(Config::new(), &ping), "inside a ping");

        let mut failed = Session::new(role);
        failed.feed(&begun).unwrap();
        failed.connection.handle_eof().unwrap_err();
        assert!(failed.connection.payload_target().is_none());
        let read = failed.connection.payload_read(NOW, 10, &mut failed.out);
        assert_eq!(read, Err(Error::UnexpectedEof));
    }
}

#[test]
fn calls_in_between_lose_no_byte() {
    // conf: FG-01 CT-07
    for role in ROLES {
        let payload = pattern(500);
        let bytes = wire::binary(role, &payload);
        let mut session = Session::with(role, Config::new().ping_interval(Duration::from_secs(1)));
        session.feed(&bytes[..100]).unwrap();
        let rest = &bytes[100..];
        session.connection.payload_target().unwrap()[..rest.len()].copy_from_slice(rest);
        // A keepalive ping falls due before the bytes are reported, and finds no room.
        let mut none = SliceSink::new(&mut []);
        session.connection.handle_timeout(Duration::from_secs(1), Unread::Possible, &mut none).unwrap();
        assert!(session.connection.wants_write());
        let read = session.connection.payload_read(NOW, rest.len(), &mut none).unwrap();
        assert_eq!(read, Some(Message::from(payload)));
        session.feed(&wire::text(role, "in step")).unwrap();
        assert_eq!(session.seen, [Seen::text("in step")]);
    }
}

#[test]
fn bytes_that_nobody_read_are_not_taken() {
    // conf: FL-05
    for role in ROLES {
        let (payload, now) = (pattern(500), Duration::from_secs(1));
        let bytes = wire::binary(role, &payload);
        let mut session = Session::new(role);
        let read = |session: &mut Session, len| {
            assert_eq!(
                session.connection.payload_read(now, len, &mut session.out),
                Ok(None),
                "{role:?} {len}"
            );
        };
        read(&mut session, 10);
        session.feed(&bytes[..50]).unwrap();
        let due = session.connection.poll_timeout();
        read(&mut session, 10);
        for wrong in [0, bytes.len() - 50 + 1, usize::MAX] {
            assert_eq!(session.connection.payload_target().unwrap().len(), bytes.len() - 50);
            read(&mut session, wrong);
            read(&mut session, 10);
        }
        assert_eq!(session.connection.poll_timeout(), due, "no sign of life either");
        session.connection.payload_target().unwrap();
        session.feed(&bytes[50..60]).unwrap();
        read(&mut session, 10);
        session.connection.payload_target().unwrap()[..10].copy_from_slice(&bytes[60..70]);
        read(&mut session, 10);
        read(&mut session, 10);
        session.feed(&bytes[70..]).unwrap();
        session.feed(&wire::text(role, "in step")).unwrap();
        assert_eq!(session.seen, [Seen::Binary(payload), Seen::text("in step")]);
    }
}

#[test]
fn an_event_whose_bytes_are_not_lent_is_no_event() {
    let close = CloseCode::INTERNAL_ERROR.get().to_be_bytes();
    for role in ROLES {
        let cases =
            [wire::binary(role, b"data"), wire::text(role, "text"), wire::frame(role, FIN | PING, b"ping")];
        for mut bytes in cases {
            let (mut connection, mut out) = (connection(role, Config::new()), Vec::new());
            let located = connection.locate(NOW, &mut bytes, &mut out).unwrap();
            let short = &bytes[..located.consumed - 1];
            out.clear();
            let lent = connection.lend(NOW, located.found.unwrap(), short, &mut out);
            assert_eq!(lent, Err(Error::BytesNotLent), "{role:?}");
            assert_eq!(wire::parse(role, &out)[0].payload[..2], close);
            assert_eq!(connection.receive(NOW, &mut Input::new(&mut []), &mut out), Err(Error::BytesNotLent));
        }
    }
}

#[test]
fn a_violation_behind_it_is_found() {
    // conf: FL-03
    for role in ROLES {
        let bytes = [wire::frame(role, BINARY, &pattern(300)), wire::text(role, "x")].concat();
        let mut session = Session::new(role);
        let error = Error::from(ProtocolError::UnfinishedMessage);
        assert_eq!(drive(&mut session, &bytes, 20, usize::MAX), Err(error));
        assert_eq!(session.seen, []);
        support::row::stays_failed(&mut session, error);
    }
}

#[test]
fn bytes_read_to_their_place_are_signs_of_life() {
    // conf: CT-10
    let second = Duration::from_secs(1);
    let config = Config::new().message_timeout(2 * second).ping_interval(None);
    let mut server = connection(Role::Server, config);
    let mut out = Vec::new();
    let mut bytes = wire::binary(Role::Server, &pattern(300))[..50].to_vec();
    let mut input = Input::new(&mut bytes);
    assert_eq!(server.receive(NOW, &mut input, &mut out), Ok(None::<Event<'_>>));
    server.payload_target().unwrap();
    server.payload_read(second, 1, &mut out).unwrap();
    assert_eq!(server.poll_timeout(), Some(3 * second));
    let late = server.handle_timeout(3 * second, Unread::Nothing, &mut out);
    assert_eq!(late, Err(Error::Timeout(Deadline::Message)));
}
