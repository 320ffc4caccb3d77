//! Limits on size, and memory that follows what has arrived (RFC 6455 §10.4).

#[path = "support/heap.rs"]
mod heap;
mod support;

use core::time::Duration;
use std::time::Instant;

use heap::{cost, live};
use sansocket::{CloseCode, Config, Delivery, Error};
use support::wire::{self, BINARY, FIN, Length, TEXT};
use support::{ROLES, Row, Seen, Session, accept};

/// The most heap bytes that `work` held beyond those that were there before it.
fn peak(work: impl FnOnce()) -> isize {
    cost(work).1.peak
}

const TOO_BIG: CloseCode = CloseCode::TOO_BIG;

#[test]
fn a_frame_over_the_limit_is_refused_by_its_header() {
    // conf: LM-01
    for role in ROLES {
        for limit in [0, 5, 125, 126, 1000] {
            let config = Config::new().max_frame_size(limit);
            let row = |bytes: &[u8]| Row::new(role, bytes).config(config.clone());
            let fits = vec![7; limit];
            // The row's own neighbours are glued to text of two bytes.
            if limit >= 2 {
                row(&wire::binary(role, &fits)).delivers(&[Seen::binary(&fits)]).accept();
                let header = wire::header(role, FIN | BINARY, Length::shortest(limit + 1));
                assert_eq!(row(&header).reject(Error::TooBig { limit }, TOO_BIG), header.len());
                let second =
                    [wire::frame(role, TEXT, b"a"), wire::header(role, FIN, Length::shortest(limit + 1))];
                row(&second.concat()).reject(Error::TooBig { limit }, TOO_BIG);
                // Control frames have a limit of their own.
                row(&wire::ping(role, &[1; 125])).delivers(&[Seen::ping(&[1; 125])]).accept();
            } else {
                let mut session = Session::with(role, config.clone());
                assert_eq!(session.feed(&wire::binary(role, b"")), Ok(()));
                assert_eq!(session.feed(&wire::binary(role, b"x")), Err(Error::TooBig { limit }));
            }
        }
    }
}

#[test]
fn a_message_over_the_limit_is_refused_by_the_header_that_exceeds_it() {
    // conf: LM-02
    for role in ROLES {
        let config = Config::new().max_message_size(10);
        let row = |bytes: &[u8]| Row::new(role, bytes).config(config.clone()).whole_messages_only();
        let error = Error::TooBig { limit: 10 };
        row(&wire::text(role, "0123456789")).delivers(&[Seen::text("0123456789")]).accept();
        let header = wire::header(role, FIN | TEXT, Length::Short(11));
        assert_eq!(row(&header).reject(error, TOO_BIG), header.len());
        row(&wire::text(role, "0123456789a")).reject(error, TOO_BIG);

        let parts = wire::fragments(role, BINARY, &[b"0123", b"", b"45678", b"9"]);
        row(&parts).delivers(&[Seen::binary(b"0123456789")]).accept();
        let bytes = [
            wire::frame(role, BINARY, b"01234"),
            wire::frame(role, 0, b"5678"),
            wire::header(role, 0, Length::Short(2)),
        ];
        let bytes = bytes.concat();
        assert_eq!(row(&bytes).reject(error, TOO_BIG), bytes.len());
        // The sum does not overflow.
        let huge = wire::header(role, FIN, Length::Long((1 << 63) - 1));
        row(&[wire::frame(role, BINARY, b"01234"), huge].concat()).reject(error, TOO_BIG);
        // Each message counts alone.
        let seen = [Seen::text("0123456789"), Seen::text("0123456789")];
        row(&wire::text(role, "0123456789").repeat(2)).delivers(&seen).accept();
    }
}

#[test]
fn the_sum_does_not_overflow_without_limits_either() {
    // conf: LM-02 LM-08 FR-05
    for role in ROLES {
        let config = Config::new().max_message_size(usize::MAX).max_frame_size(usize::MAX);
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            let used = peak(|| {
                let mut session = Session::with(role, config.clone().delivery(delivery));
                let header = wire::header(role, FIN | BINARY, Length::Long((1 << 63) - 1));
                session.feed(&header).unwrap();
                session.feed(b"a few bytes").unwrap();
                assert_eq!(session.seen, []);
            });
            assert!(used < 4096, "{used} bytes for a length that was announced");
        }
        // Empty text between two fragments: the announced sum is what counts, and it saturates.
        let mut session = Session::with(role, config.clone());
        session.feed(&wire::frame(role, BINARY, b"x")).unwrap();
        session.feed(&wire::header(role, 0, Length::Long((1 << 63) - 1))).unwrap();
        session.feed(&[0; 100]).unwrap();
    }
}

#[test]
fn the_defaults_are_finite_and_inclusive() {
    // conf: LM-03
    let limit = 16 << 20;
    for role in ROLES {
        let mut session = Session::new(role);
        session.feed(&wire::header(role, FIN | BINARY, Length::Long(limit))).unwrap();
        for opcode in [TEXT, BINARY] {
            let mut session = Session::new(role);
            let over = session.feed(&wire::header(role, FIN | opcode, Length::Long(limit + 1)));
            assert_eq!(over, Err(Error::TooBig { limit: limit as usize }));
            let mut session = Session::new(role);
            session.feed(&wire::frame(role, opcode, b"x")).unwrap();
            let over = session.feed(&wire::header(role, 0, Length::Long(limit)));
            assert_eq!(over, Err(Error::TooBig { limit: limit as usize }));
        }
    }
    assert_eq!(Config::default(), Config::new(), "one place for the defaults");
}

#[test]
fn announced_lengths_take_no_memory() {
    // conf: LM-04
    for role in ROLES {
        let idle = peak(|| _ = Session::new(role)); // a config, and a client's keys
        for opcode in [TEXT, BINARY] {
            for first in [opcode, FIN | opcode] {
                let header = wire::header(role, first, Length::Long(16 << 20));
                let used = peak(|| {
                    let sessions: Vec<_> = (0..10)
                        .map(|_| {
                            let mut session = Session::new(role);
                            session.feed(&header).unwrap();
                            session
                        })
                        .collect();
                    drop(sessions);
                });
                let each = used / 10 - idle - size_of::<Session>() as isize;
                assert!(each < 512, "{each} bytes for each connection that announces 16 MiB");
            }
        }
    }
}

#[test]
fn memory_follows_what_has_arrived() {
    // conf: LM-04 FG-12
    for role in ROLES {
        for opcode in [TEXT, BINARY] {
            let mut bytes = wire::header(role, FIN | opcode, Length::Long(16 << 20));
            let header = bytes.len();
            bytes.resize(header + 300_000, 0);
            if role == sansocket::Role::Server {
                let key: [u8; 4] = bytes[header - 4..header].try_into().unwrap();
                bytes[header..].iter_mut().enumerate().for_each(|(i, byte)| *byte = b'x' ^ key[i % 4]);
            }
            for step in [1000, 65_536, 4096] {
                let mut session = Session::new(role);
                let mut given = 0;
                for piece in bytes.chunks(step) {
                    given += piece.len();
                    session.feed(piece).unwrap();
                }
                let held = {
                    let with = live();
                    drop(session);
                    with - live()
                };
                let most = 5 * given as isize / 2 + 1024;
                assert!(held <= most, "{held} bytes held for {given} received in steps of {step}");
            }
        }
    }
}

#[test]
fn tiny_fragments_cost_no_more_than_their_bytes() {
    // conf: FG-12 LM-04 LM-07
    for role in ROLES {
        for opcode in [TEXT, BINARY] {
            let mut session = Session::new(role);
            session.feed(&wire::frame(role, opcode, b"x")).unwrap();
            let fragments = wire::frame(role, 0, b"x").repeat(50_000);
            for piece in fragments.chunks(4096) {
                session.feed(piece).unwrap();
            }
            let with = live();
            drop(session);
            let held = with - live();
            assert!(held <= 2 * 50_001 + 1024, "{held} bytes held for 50,001");
        }
    }
}

#[test]
fn replies_to_a_flood_do_not_pile_up_inside() {
    // conf: LM-06 CT-07
    use sansocket::{Input, SliceSink};
    for role in ROLES {
        let mut connection = support::connection(role, Config::default());
        let mut flood = wire::ping(role, &[7; 125]).repeat(1000);
        let used = peak(|| {
            let mut input = Input::new(&mut flood);
            for _ in 0..1000 {
                _ = connection.receive(support::NOW, &mut input, &mut SliceSink::new(&mut []));
            }
            assert!(input.is_empty() && connection.wants_write());
        });
        assert!(used < 1024, "{used} bytes");
    }
}

/// The CPU time of this thread where the system tells it, which other work on the machine does not touch.
fn clock(since: Instant) -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = schedstat.as_deref().and_then(|line| line.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

/// The best of three times.
fn time(work: impl Fn()) -> Duration {
    let since = Instant::now();
    let once = || {
        let start = clock(since);
        work();
        clock(since) - start
    };
    once().min(once()).min(once())
}

#[test]
fn time_is_linear_in_the_bytes_whatever_the_cut() {
    // conf: LM-07
    for role in ROLES {
        let cut = |count: usize| {
            let bytes = wire::frame(role, FIN | TEXT, &vec![b'x'; count]);
            time(|| {
                let mut session = Session::new(role);
                session.feed_cut(&bytes, 1).unwrap();
                assert_eq!(session.seen.len(), 1);
            })
        };
        let fragmented = |count: usize| {
            let bytes =
                [wire::frame(role, BINARY, b"x").to_vec(), wire::frame(role, 0, b"x").repeat(count)].concat();
            time(|| Session::new(role).feed(&bytes).unwrap())
        };
        for (name, few, many) in
            [("cut", cut(16_000), cut(256_000)), ("fragmented", fragmented(7_000), fragmented(112_000))]
        {
            // 16 times the bytes: quadratic work would take 256 times as long.
            let most = 64 * few.max(Duration::from_millis(4));
            assert!(many < most, "{name} for {role:?}: {few:?} and 16 times the bytes {many:?}");
        }
    }
}

#[test]
fn limits_do_not_touch_what_is_within_them() {
    // conf: LM-01 LM-02
    for role in ROLES {
        let payload = vec![b'x'; 5000];
        let bytes = wire::fragments(role, BINARY, &[&payload[..2500], &payload[2500..]]);
        accept(role, &bytes, &[Seen::Binary(payload)]);
    }
}

/// What users read about the limits is what they get.
#[test]
fn the_document_on_security_names_the_defaults() {
    use sansocket::handshake::HandshakeLimits;

    let document = include_str!("../SECURITY.md");
    let (config, limits) = (Config::default(), HandshakeLimits::default());
    let seconds = |time: Option<Duration>| time.expect("it is on").as_secs();
    let kib = |bytes: usize| bytes >> 10;
    let thousands = |number: u32| format!("{},{:03}", number / 1000, number % 1000);
    for row in [
        format!(
            "| head of a request or response | {} KiB, {} headers, target {} KiB |",
            kib(limits.max_head_bytes),
            limits.max_headers,
            kib(limits.max_target_bytes)
        ),
        format!("| opening handshake | {} s in all |", limits.timeout.as_secs()),
        format!("| body of a refusal that is kept | {} KiB |", kib(limits.max_refusal_body_bytes)),
        format!(
            "| message, after inflating; not with chunk delivery | {} MiB |",
            config.max_message_size >> 20
        ),
        format!(
            "| fragments of a message | {}, of them {} empty |",
            thousands(config.max_fragments),
            config.max_empty_fragments
        ),
        format!("| output that an adapter queues | {} MiB,", config.max_queued_output >> 20),
        format!(
            "| ping after silence, a sign of life after it | {} s, {} s |",
            seconds(config.ping_interval),
            seconds(config.pong_timeout)
        ),
        format!("| silence inside a message | {} s |", seconds(config.message_timeout)),
        format!("| output that is not taken | {} s |", seconds(config.write_timeout)),
        format!("| closing handshake | {} s for what is queued to leave,", seconds(config.close_timeout)),
    ] {
        assert!(document.contains(&row), "{row}");
    }
    assert!(document.contains("| frame | as the message |") && config.max_frame_size == usize::MAX);
    assert!(document.contains("| a peer that sends nothing but pongs | no limit |"));
    assert_eq!(config.idle_timeout, None);
    #[cfg(feature = "deflate")]
    assert!(document.contains("| compression | off |") && config.deflate.is_none());
}
