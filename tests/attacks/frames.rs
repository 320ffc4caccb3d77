//! Attacks by frames, on both roles.

use core::time::Duration;

use sansocket::{
    CloseCode, Config, Connection, Deadline, Delivery, Error, Event, Input, Limit, ProtocolError, Role,
    SliceSink, State, TransportAction, Unread,
};

use crate::meter::{assert_linear, cost};
use crate::support::wire::{self, BINARY, FIN, Length, PING, TEXT};
use crate::support::{NOW, ROLES, Seen, Session, connection};

const MIB: usize = 1 << 20;

/// Gives `bytes` until they fail or end; every call must take something, report something, or wait for room.
fn calls(connection: &mut Connection, bytes: &mut [u8], out: &mut Vec<u8>) -> (usize, Result<(), Error>) {
    let mut input = Input::new(bytes);
    let mut calls = 0;
    loop {
        let before = input.consumed();
        let step = connection.receive(NOW, &mut input, out);
        let event = match step {
            Ok(event) => event.is_some(),
            Err(error) => return (calls + 1, Err(error)),
        };
        calls += 1;
        assert!(event || input.is_empty(), "neither an event nor all of the input");
        if !event {
            return (calls, Ok(()));
        }
        assert!(input.consumed() > before, "an event out of nothing");
    }
}

/// rust-websocket allocated what a header announced; so did aiohttp for frames that were never completed.
// conf: LM-04
#[test]
fn cve_2022_35922_and_cve_2026_54274_an_announced_length_takes_no_memory() {
    for role in ROLES {
        for (limit, announced) in [(16 * MIB, 16 << 20), (usize::MAX, (1 << 63) - 1)] {
            for opcode in [TEXT, BINARY] {
                // With a beginning of what is announced, for which memory is taken.
                let begun = wire::frame_with_length(role, FIN | opcode, Length::Long(announced), b"abc");
                let config = std::sync::Arc::new(Config::new().max_message_size(limit));
                let mut connections: Vec<_> = (0..1000)
                    .map(|_| match role {
                        Role::Server => Connection::server(config.clone(), NOW),
                        Role::Client => {
                            Connection::client(config.clone(), crate::support::counting_keys(), NOW)
                        }
                    })
                    .collect();
                let (_, cost) = cost(|| {
                    for connection in &mut connections {
                        let mut bytes = begun.clone();
                        calls(connection, &mut bytes, &mut Vec::new()).1.unwrap();
                    }
                });
                assert!(cost.peak < 1000 * 400, "{cost:?} for 1000 that announce {announced}");
            }
        }
    }
}

/// Qt took frames and messages of 2 GB, and there was no way to say less; eventlet's limits were missing (CVE-2021-21419).
// conf: LM-03
#[test]
fn cve_2018_21035_there_are_limits_and_they_can_be_lower() {
    let refused = |role, config: Config, first, length| {
        let mut bytes = wire::header(role, first, length);
        calls(&mut connection(role, config), &mut bytes, &mut Vec::new()).1.err()
    };
    for role in ROLES {
        for opcode in [TEXT, BINARY] {
            for first in [opcode, FIN | opcode] {
                let limit = 16 * MIB;
                for (length, error) in [(limit, None), (limit + 1, Some(Error::TooBig { limit }))] {
                    assert_eq!(refused(role, Config::new(), first, Length::Long(length as u64)), error);
                }
                let limit = 1000;
                for (length, error) in [(limit, None), (limit + 1, Some(Error::TooBig { limit }))] {
                    let length = Length::Medium(length as u16);
                    assert_eq!(refused(role, Config::new().max_message_size(limit), first, length), error);
                    assert_eq!(refused(role, Config::new().max_frame_size(limit), first, length), error);
                }
            }
        }
    }
}

/// gorilla/websocket added lengths up to an overflow and went on with a negative limit.
// conf: FR-05 LM-02
#[test]
fn cve_2020_27813_the_sum_of_lengths_does_not_overflow() {
    for role in ROLES {
        for limit in [100, usize::MAX] {
            let mut session = Session::with(role, Config::new().max_message_size(limit));
            session.feed(&wire::frame(role, BINARY, b"x")).unwrap();
            for _ in 0..3 {
                let huge = wire::header(role, 0, Length::Long((1 << 63) - 1));
                match session.feed(&huge) {
                    Err(error) => assert_eq!(error, Error::TooBig { limit: 100 }),
                    Ok(()) => {
                        assert_eq!(limit, usize::MAX);
                        session.feed(&[7; 100]).unwrap();
                        break;
                    }
                }
            }
            assert_eq!(session.seen, []);
        }
    }
}

/// Tomcat did not validate the length and looped for ever on one whose highest bit was set; control frames of such
/// lengths too.
// conf: FR-04 CT-01
#[test]
fn cve_2020_13935_an_invalid_length_fails_at_its_header() {
    for role in ROLES {
        for opcode in [TEXT, BINARY, 0x8, 0x9, 0xA] {
            for length in [1 << 63, u64::MAX, i64::MIN as u64 | 5] {
                let mut bytes = wire::header(role, FIN | opcode, Length::Long(length));
                bytes.extend([0; 64]);
                let mut connection = connection(role, Config::new().max_message_size(usize::MAX));
                let (calls, result) = calls(&mut connection, &mut bytes, &mut Vec::new());
                assert_eq!(calls, 1);
                assert_eq!(result.unwrap_err().close_code(), Some(CloseCode::PROTOCOL_ERROR));
                assert_eq!(connection.state(), State::Closing);
            }
        }
        for opcode in [0x8, 0x9, 0xA] {
            for length in [Length::Medium(126), Length::Medium(65535), Length::Long(1 << 32)] {
                let mut session = Session::new(role);
                let error = session.feed(&wire::header(role, FIN | opcode, length)).unwrap_err();
                assert_eq!(error, Error::Protocol(ProtocolError::ControlTooLong));
            }
        }
    }
}

/// undici's client computed a 64-bit length in doubles and threw where nobody caught it.
// conf: LM-01
#[test]
fn cve_2026_1528_64_bit_lengths_are_exact_and_limited() {
    for role in ROLES {
        for length in
            [(16 << 20) + 1, 1 << 31, u64::from(u32::MAX), 1 << 32, 1 << 53, (1 << 53) + 1, (1 << 63) - 1]
        {
            for step in [1, 100] {
                let mut session = Session::new(role);
                let header = wire::header(role, FIN | BINARY, Length::Long(length));
                let (given, error) = session.feed_cut(&header, step).unwrap_err();
                assert_eq!((given, error), (header.len(), Error::TooBig { limit: 16 << 20 }));
                let body = wire::close_body(1009, "");
                assert!(session.sent().iter().any(|(first, sent)| *first == 0x88 && sent.starts_with(&body)));
            }
        }
    }
}

/// A crafted packet trapped libcurl in an endless loop.
// conf: LM-07
#[test]
fn cve_2025_5399_every_call_gets_on() {
    for role in ROLES {
        let parts = [
            wire::frame(role, TEXT, b""),
            wire::ping(role, b""),
            wire::frame(role, 0, b""),
            wire::pong(role, &[1; 125]),
            wire::frame(role, 0, b"x"),
            wire::frame(role, FIN, b""),
            wire::binary(role, &[3; 130]),
            wire::close(role, 1000, ""),
            wire::ping(role, b"behind"),
        ];
        let whole = parts.concat();
        for end in 0..=whole.len() {
            for flipped in 0..8 {
                let mut bytes = whole[..end].to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last ^= 1 << flipped;
                }
                let (calls, _) = calls(&mut connection(role, Config::new()), &mut bytes, &mut Vec::new());
                assert!(calls <= parts.len() + 1, "{calls} calls for {end} bytes");
            }
        }
        // Without room for the answers it goes on all the same, and keeps one of them.
        let mut bytes = [wire::ping(role, b"1"), wire::ping(role, b"2")].concat();
        let mut connection = connection(role, Config::new());
        let mut input = Input::new(&mut bytes);
        let mut none = SliceSink::new(&mut []);
        let mut events = 0;
        while let Some(Event::Ping(_)) = connection.receive(NOW, &mut input, &mut none).unwrap() {
            events += 1;
            assert!(events <= 2);
        }
        assert!(connection.wants_write() && input.is_empty());
    }
}

/// Netty and Bandit gathered a text frame and continuations without end, and so did libsoup (CVE-2025-32049).
// conf: LM-02
#[test]
fn cve_2014_0193_and_cve_2026_42786_endless_continuations_end_at_the_limit() {
    for role in ROLES {
        for opcode in [TEXT, BINARY] {
            let mut connection = connection(role, Config::new().max_message_size(MIB));
            let fragment = wire::frame(role, 0, &[b'x'; 1000]);
            let ((given, error), cost) = cost(|| {
                let mut out = Vec::new();
                calls(&mut connection, &mut wire::frame(role, opcode, b"x"), &mut out).1.unwrap();
                for given in 1.. {
                    if let (_, Err(error)) = calls(&mut connection, &mut fragment.clone(), &mut out) {
                        return (given, error);
                    }
                }
                unreachable!()
            });
            assert_eq!((given, error), (MIB / 1000 + 1, Error::TooBig { limit: MIB }));
            assert!(cost.peak <= 3 * MIB as isize, "{cost:?}");
            assert!(cost.requested <= 6 * MIB, "{cost:?}");
        }
    }
}

/// In `ws` tiny fragments and tiny pieces of data each held a structure many times their size.
// conf: FG-12
#[test]
fn cve_2026_48779_tiny_fragments_and_pieces_hold_what_they_carry() {
    for role in ROLES {
        let fragments =
            [wire::frame(role, BINARY, b"x"), wire::frame(role, 0, b"x").repeat(100_000)].concat();
        let frame = wire::frame(role, FIN | BINARY, &[7; 100_001]);
        for (bytes, step) in [(&fragments, 4096), (&fragments, 1), (&frame, 1)] {
            let mut connection = connection(role, Config::new());
            let given = bytes.len() - 1;
            let (_, cost) = cost(|| {
                let mut piece = [0; 4096];
                for part in bytes[..given].chunks(step) {
                    let piece = &mut piece[..part.len()];
                    piece.copy_from_slice(part);
                    calls(&mut connection, piece, &mut Vec::new()).1.unwrap();
                }
            });
            assert!(cost.peak <= 3 * 100_001 + 1024, "{cost:?}");
        }
    }
}

/// undici held each fragment against the limit, but not their sum.
// conf: LM-02
#[test]
fn cve_2026_9675_fragments_count_together() {
    for role in ROLES {
        let mut session = Session::with(role, Config::new().max_message_size(1000));
        session.feed(&wire::frame(role, BINARY, &[1; 600])).unwrap();
        session.feed(&wire::ping(role, &[0; 125])).unwrap();
        let error = session.feed(&wire::header(role, 0, Length::Medium(401))).unwrap_err();
        assert_eq!(error, Error::TooBig { limit: 1000 });
        // Its neighbour fits, and the next message starts from nothing.
        let mut session = Session::with(role, Config::new().max_message_size(1000));
        for _ in 0..3 {
            session.feed(&wire::fragments(role, BINARY, &[&[1; 600], &[1; 400]])).unwrap();
        }
        assert_eq!(session.seen, vec![Seen::binary(&[1; 1000]); 3]);
    }
}

/// undici counted no fragments, and none that were empty.
// conf: FG-12
#[test]
fn cve_2026_12151_fragments_without_content_are_counted() {
    for role in ROLES {
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            for (payload, most, limit) in
                [(&b""[..], 256, Limit::EmptyFragments), (b"x", 131_072, Limit::Fragments)]
            {
                let mut connection = connection(role, Config::new().delivery(delivery));
                calls(&mut connection, &mut wire::frame(role, BINARY, b"x"), &mut Vec::new()).1.unwrap();
                let fragment = wire::frame(role, 0, payload);
                let refused = (1..200_000).find_map(|sent| {
                    let result = calls(&mut connection, &mut fragment.clone(), &mut Vec::new()).1;
                    result.err().map(|error| (sent, error))
                });
                let (sent, error) = refused.expect("it goes on for ever");
                assert_eq!(error, Error::Policy(limit));
                assert_eq!(error.close_code(), Some(CloseCode::POLICY_VIOLATION));
                assert!((most..=most + 1).contains(&sent), "{sent}");
            }
        }
    }
}

/// libcurl masked all frames of a connection with the same key, so that a page could write what it liked to the wire and
/// to caches on the way.
// conf: MK-06
#[cfg(feature = "rand")]
#[test]
fn cve_2025_10148_each_frame_has_a_mask_of_its_own() {
    use sansocket::{Fin, MaskKeys};

    let mut client = Connection::client(Config::new(), MaskKeys::thread(), NOW);
    let poison = "GET /cached.js HTTP/1.1\r\nHost: victim\r\n\r\n";
    let mut out = Vec::new();
    for _ in 0..1000 {
        client.send(poison, &mut out).unwrap();
        client.send_fragment(poison, Fin::More, &mut out).unwrap();
        client.ping(poison.as_bytes(), &mut out).unwrap();
        client.send_fragment(poison, Fin::Final, &mut out).unwrap();
        let mut ping = wire::ping(Role::Client, poison.as_bytes());
        calls(&mut client, &mut ping, &mut out).1.unwrap();
    }
    client.close(NOW, CloseCode::NORMAL, poison, &mut out).unwrap();
    assert!(!out.windows(16).any(|window| poison.as_bytes().starts_with(window)));
    let frames = wire::parse(Role::Client, &out);
    let mut keys: Vec<_> = frames.iter().map(|frame| frame.key.unwrap()).collect();
    assert_eq!(keys.len(), 5001);
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "a key of the frame before");
    keys.sort_unstable();
    keys.dedup();
    // Of 5001 random keys of 32 bits two are equal once in 340 runs.
    assert!(keys.len() >= 4998, "{} keys for 5001 frames", keys.len());
}

/// Pings whose answers nobody takes: one answer waits, and what is inside does not grow.
// conf: CT-07 LM-06
#[test]
fn ping_floods_without_room_leave_one_answer() {
    for role in ROLES {
        let mut flood = wire::ping(role, &[7; 125]).repeat(10_000);
        let mut connection = connection(role, Config::new());
        let ((), cost) = cost(|| {
            let mut room = [0; 300];
            let mut out = SliceSink::new(&mut room);
            let mut input = Input::new(&mut flood);
            let mut events = 0;
            while connection.receive(NOW, &mut input, &mut out).unwrap().is_some() {
                events += 1;
            }
            assert_eq!((events, input.is_empty(), connection.wants_write()), (10_000, true, true));
        });
        assert!(cost.peak < 1024, "{cost:?}");
    }
}

/// With room for the answers each ping costs the same, and a connection whose peer takes none is given up.
// conf: LM-07
#[test]
fn ping_floods_cost_what_they_carry() {
    for role in ROLES {
        assert_linear("pings", 4_000, |count| {
            let mut flood = wire::ping(role, &[7; 125]).repeat(count);
            let mut out = Vec::new();
            let (calls, result) = calls(&mut connection(role, Config::new()), &mut flood, &mut out);
            assert_eq!((calls, result), (count + 1, Ok(())));
        });
        let mut connection = connection(role, Config::new());
        let mut ping = wire::ping(role, b"");
        calls(&mut connection, &mut ping, &mut Vec::new()).1.unwrap();
        let mut now = NOW;
        connection.handle_written(now, 0, 2);
        let error = loop {
            now += Duration::from_secs(1);
            let mut more = wire::ping(role, b"");
            let mut input = Input::new(&mut more);
            while let Ok(Some(_)) = connection.receive(now, &mut input, &mut Vec::new()) {}
            if let Err(error) = connection.handle_timeout(now, Unread::Nothing, &mut Vec::new()) {
                break error;
            }
            assert!(now < Duration::from_secs(60));
        };
        assert_eq!((error, now), (Error::Timeout(Deadline::Write), Duration::from_secs(30)));
        assert_eq!(connection.transport_action(), TransportAction::Drop);
    }
}

/// Undertow lost the buffer of each pong.
// conf: CT-08
#[test]
fn cve_2021_3690_pongs_hold_nothing() {
    for role in ROLES {
        for asked in [false, true] {
            let mut flood = wire::pong(role, &[7; 125]).repeat(20_000);
            let mut connection = connection(role, Config::new());
            if asked {
                connection.ping(&[7; 125], &mut Vec::new()).unwrap();
            }
            let mut out = Vec::new();
            let ((calls, result), cost) = cost(|| calls(&mut connection, &mut flood, &mut out));
            assert_eq!((calls, result, out.len()), (20_001, Ok(()), 0));
            assert!(cost.peak < 1024 && cost.requested < 1024, "{cost:?}");
            // A piece at a time a pong is put together; that is gone too when it is whole.
            let (_, cost) = cost_of_pieces(&mut connection, &flood);
            assert!(cost.peak < 1024, "{cost:?}");
        }
    }
}

fn cost_of_pieces(connection: &mut Connection, bytes: &[u8]) -> ((), crate::meter::Cost) {
    cost(|| {
        let mut piece = [0; 100];
        for part in bytes.chunks(piece.len()) {
            let piece = &mut piece[..part.len()];
            piece.copy_from_slice(part);
            calls(connection, piece, &mut Vec::new()).1.unwrap();
        }
    })
}

/// Tomcat held connections whose peers did not finish the closing handshake for ever.
// conf: CL-08 CL-09
#[test]
fn cve_2024_23672_an_unfinished_close_ends_in_time() {
    let close = |role| wire::close(role, 1000, "");
    for role in ROLES {
        // What the peer says after which it says nothing more, before and after the Close of this side.
        let whole = close(role);
        let unfinished = [
            ("nothing", vec![], true),
            ("half a Close", whole[..whole.len() - 1].to_vec(), true),
            ("half a message", wire::frame(role, TEXT, b"x"), true),
            ("a Close, and not the end of the stream", whole.clone(), true),
            ("a Close first", whole, false),
            ("a violation", vec![0xFF, 0xFF], false),
        ];
        for (what, mut said, closes) in unfinished {
            let mut connection = connection(role, Config::new());
            let mut out = Vec::new();
            if closes {
                connection.close(NOW, CloseCode::NORMAL, "", &mut out).unwrap();
            }
            let mut input = Input::new(&mut said);
            while let Ok(Some(_)) = connection.receive(NOW, &mut input, &mut out) {}
            let due = connection.poll_timeout().expect("a deadline");
            assert_eq!(due, Duration::from_secs(10), "{role:?}: {what}");
            // A byte or a ping now and then changes nothing.
            let mut ping = wire::ping(role, b"wait");
            let mut input = Input::new(&mut ping);
            _ = connection.receive(due / 2, &mut input, &mut out);
            assert_eq!(connection.poll_timeout(), Some(due), "{role:?}: {what}");
            _ = connection.handle_timeout(due, Unread::Possible, &mut out);
            assert_eq!(connection.transport_action(), TransportAction::Drop, "{role:?}: {what}");
            assert_eq!(connection.state(), State::Closed, "{role:?}: {what}");
        }
    }
}

/// Close upon Close is answered once, what follows is dropped, and nobody waits for ever.
// conf: CL-04 CL-06 CL-14
#[test]
fn close_loops_end() {
    for role in ROLES {
        let mut session = Session::new(role);
        let close = wire::close(role, 1000, "again");
        for _ in 0..1000 {
            session.feed(&close).unwrap();
        }
        assert_eq!(session.seen.len(), 1);
        assert_eq!(session.sent().len(), 1);
        // The other way round: it began, and the peer answers with anything but Close until the deadline.
        let mut connection = connection(role, Config::new());
        let mut out = Vec::new();
        connection.close(NOW, CloseCode::NORMAL, "", &mut out).unwrap();
        let sent = out.len();
        let mut now = NOW;
        while connection.transport_action() != TransportAction::Drop {
            now += Duration::from_millis(500);
            let mut flood = [wire::ping(role, b"no"), wire::text(role, "not yet")].concat();
            let mut input = Input::new(&mut flood);
            while let Ok(Some(_)) = connection.receive(now, &mut input, &mut out) {}
            _ = connection.handle_timeout(now, Unread::Nothing, &mut out);
            assert!(now <= Duration::from_secs(10), "hangs");
        }
        assert_eq!((connection.state(), out.len()), (State::Closed, sent), "something behind Close");
    }
    // Two ends that close at once.
    let mut ends = ROLES.map(|role| Session::of(connection(role, Config::new())));
    for end in &mut ends {
        end.connection.close(NOW, CloseCode::NORMAL, "", &mut end.out).unwrap();
    }
    for _ in 0..10 {
        let sent = ends.each_mut().map(|end| core::mem::take(&mut end.out));
        ends[0].feed(&sent[1]).unwrap();
        ends[1].feed(&sent[0]).unwrap();
    }
    assert!(ends.iter().all(|end| end.out.is_empty() && end.seen.len() == 1));
}

/// The cut decides nothing: neither what a byte costs nor what is kept of it.
// conf: LM-07
#[test]
fn one_byte_at_a_time_costs_what_the_bytes_cost() {
    for role in ROLES {
        for opcode in [TEXT, BINARY] {
            assert_linear("bytes of a frame", 20_000, |count| {
                let bytes = wire::frame(role, FIN | opcode, &vec![b'x'; count]);
                let mut connection = connection(role, Config::new());
                for mut byte in bytes {
                    calls(&mut connection, core::slice::from_mut(&mut byte), &mut Vec::new()).1.unwrap();
                }
            });
        }
        // By `locate` and `lend`, and without room for answers.
        let bytes = [wire::frame(role, TEXT, b"half"), wire::frame(role, FIN | PING, &[1; 125])].concat();
        let mut connection = connection(role, Config::new());
        let (_, cost) = cost(|| {
            let mut none = SliceSink::new(&mut []);
            for byte in bytes {
                let mut piece = [byte];
                let located = connection.locate(NOW, &mut piece, &mut none).unwrap();
                if let Some(found) = located.found {
                    connection.lend(NOW, found, &piece[..located.consumed], &mut none).unwrap();
                }
            }
        });
        assert!(cost.peak < 1024, "{cost:?}");
    }
}
