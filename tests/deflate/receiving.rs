//! Compressed messages on the way in.

use sansocket::deflate::Deflate;
use sansocket::{CloseCode, Config, Connection, Delivery, Error, Event, Input, ProtocolError, Role};

use super::compress::{Compressor, Flush};
use super::support::wire::{BINARY, CONTINUATION, FIN, PING, RSV1, RSV2, RSV3, TEXT};
use super::support::wire::{fragments, frame, ping, text};
use super::support::{NOW, ROLES, Seen, Session};
use super::{dedicated, end, json, noise, shared};

fn compressor() -> Compressor {
    Compressor::new(6)
}

fn hello() -> Seen {
    Seen::text("Hello")
}

/// What both ways of delivery see of `bytes`, in pieces of several sizes.
fn see(role: Role, deflate: &Deflate, bytes: &[u8]) -> Vec<Seen> {
    let mut all = Vec::new();
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        for step in [1, 2, 3, 7, 1000, bytes.len()] {
            let config = Config::new().delivery(delivery);
            let mut session = Session::of(end(role, config, deflate.clone()));
            session.feed_cut(bytes, step).unwrap_or_else(|error| panic!("{delivery:?} by {step}: {error:?}"));
            assert!(session.unfinished.is_none());
            all.push(session.seen);
        }
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
    all.swap_remove(0)
}

/// In pieces of several sizes, alone and between valid messages: what comes before is delivered, nothing behind it.
#[track_caller]
fn fails(role: Role, deflate: &Deflate, bytes: &[u8], wanted: impl Fn(Error) -> bool, code: CloseCode) {
    let one = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
    let before = [frame(role, FIN | RSV1 | TEXT, &one), ping(role, b"p"), text(role, "ok")].concat();
    let glued = [&before, bytes, &text(role, "late")].concat();
    let mut alone = Session::of(end(role, Config::new(), deflate.clone()));
    alone.feed(bytes).expect_err("must fail");
    let seen_glued = [&[hello(), Seen::ping(b"p"), Seen::text("ok")], &alone.seen[..]].concat();
    for (bytes, expected) in [(bytes, &alone.seen), (&glued, &seen_glued)] {
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            for step in [1, 5, bytes.len()] {
                let config = Config::new().delivery(delivery);
                let mut session = Session::of(end(role, config, deflate.clone()));
                let (_, error) = session.feed_cut(bytes, step).expect_err("must fail");
                assert!(wanted(error), "{delivery:?} by {step}: {error:?}");
                assert_eq!(error.close_code(), Some(code));
                assert!(session.seen == *expected, "{delivery:?} by {step}");
                let (first, body) = session.sent().pop().expect("a close frame");
                assert_eq!((first, &body[..2]), (FIN | 8, &code.get().to_be_bytes()[..]));
            }
        }
    }
}

fn invalid(error: Error) -> bool {
    error == Error::InvalidDeflate
}

// conf: PD-23
#[test]
fn examples_of_the_rfc() {
    for role in ROLES {
        let first = FIN | RSV1 | TEXT;
        // §7.2.3.1: one block; in fragments; with a ping between them.
        let one = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
        let cut = fragments(role, RSV1 | TEXT, &[&one[..3], &one[3..]]);
        assert_eq!(see(role, &shared(), &frame(role, first, &one)), [hello()]);
        assert_eq!(see(role, &shared(), &cut), [hello()]);
        let mut between = frame(role, RSV1 | TEXT, &one[..3]);
        between.extend(ping(role, b"p"));
        between.extend(frame(role, FIN | CONTINUATION, &one[3..]));
        assert_eq!(see(role, &shared(), &between), [Seen::ping(b"p"), hello()]);
        // §7.2.3.2: the second message refers to the first, over an uncompressed one.
        let again = [0xF2, 0x00, 0x11, 0x00, 0x00];
        let mut two = frame(role, first, &one);
        two.extend(text(role, "plain"));
        two.extend(frame(role, first, &again));
        assert_eq!(see(role, &dedicated(), &two), [hello(), Seen::text("plain"), hello()]);
        // §7.2.3.3: a block without compression.
        let stored = [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00];
        assert_eq!(see(role, &shared(), &frame(role, first, &stored)), [hello()]);
        // §7.2.3.4: BFINAL.
        let last = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
        assert_eq!(see(role, &shared(), &frame(role, first, &last)), [hello()]);
        // §7.2.3.5: two blocks.
        let blocks = [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00];
        assert_eq!(see(role, &shared(), &frame(role, first, &blocks)), [hello()]);
        // §7.2.3.6: an empty fragment.
        let whole = [&one[..], &[0x00, 0x00, 0xFF, 0xFF]].concat();
        let cut = fragments(role, RSV1 | TEXT, &[&whole, &[0x00]]);
        assert_eq!(see(role, &shared(), &cut), [hello()]);
    }
}

// conf: PD-22
#[test]
fn messages_go_on_behind_final_blocks() {
    for role in ROLES {
        let first = FIN | RSV1 | TEXT;
        let last = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
        // Refers five bytes back, to the message before, whose last block was a final one.
        let back = [0xF2, 0x00, 0x11, 0x00, 0x00];
        let mut bytes = frame(role, first, &last);
        bytes.extend(frame(role, first, &back));
        bytes.extend(frame(role, first, &last));
        bytes.extend(frame(role, first, &back));
        assert_eq!(see(role, &dedicated(), &bytes), [hello(), hello(), hello(), hello()]);
        // Inside of one message too, there without context takeover as well; three final blocks in a row.
        let inside = [&last[..7], &[0xF3, 0x00, 0x11, 0x00], &last[..7], &[0x00]].concat();
        let seen = see(role, &shared(), &frame(role, first, &inside));
        assert_eq!(seen, [Seen::text("HelloHelloHello")]);
        // The empty block at the end may be a final one as well.
        let finished = [&stored_hello()[..], &[0x01]].concat();
        let mut bytes = frame(role, first, &finished);
        bytes.extend(frame(role, first, &back));
        assert_eq!(see(role, &dedicated(), &bytes), [hello(), hello()]);
        // And nothing is missing where a final block ends the data.
        assert_eq!(see(role, &dedicated(), &frame(role, first, &last[..7])), [hello()]);
    }
}

fn stored_hello() -> [u8; 10] {
    *b"\x00\x05\x00\xFA\xFFHello"
}

/// A long message, of which the last block is final, and a short one that refers as far back as possible.
// conf: PD-22, PD-21, PD-20
#[test]
fn references_reach_32_kib_back_over_final_blocks_and_fragments() {
    let long = noise(7, 40_000);
    for role in ROLES {
        let mut compress = compressor();
        let mut data = compress.compress(&long, Flush::Finish);
        data.push(0);
        // Length 258, distance 32,768: a fixed block, last bits first.
        let mut bits = vec![0, 1, 0]; // not final, fixed
        bits.extend([1, 1, 0, 0, 0, 1, 0, 1]); // symbol 285
        bits.extend([1, 1, 1, 0, 1]); // distance code 29
        bits.extend([1; 13]);
        bits.extend([0; 7]); // end of block
        bits.extend([0, 0, 0]); // header of the empty block
        let back: Vec<u8> = bits
            .chunks(8)
            .map(|byte| byte.iter().enumerate().fold(0, |sum, (i, bit)| sum | bit << i))
            .collect();
        let parts: Vec<&[u8]> = data.chunks(9_999).collect();
        let mut bytes = fragments(role, RSV1 | BINARY, &parts);
        bytes.extend(frame(role, FIN | RSV1 | BINARY, &back));
        let start = long.len() - 32_768;
        let seen = see(role, &dedicated(), &bytes);
        assert_eq!(seen, [Seen::binary(&long), Seen::binary(&long[start..start + 258])]);
        fails(role, &shared(), &bytes, invalid, CloseCode::INVALID_PAYLOAD);
    }
}

// conf: PD-20, PD-13
#[test]
fn messages_share_a_window_over_plain_ones() {
    for role in ROLES {
        let mut compress = compressor();
        let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
        for round in 0..60 {
            let message = json(round % 7, 900 * (round as usize % 5) + 1);
            bytes.extend(frame(role, FIN | RSV1 | TEXT, &compress.payload(message.as_bytes())));
            bytes.extend(text(role, "between"));
            wanted.extend([Seen::Text(message), Seen::text("between")]);
        }
        let mut session = Session::of(end(role, Config::new(), dedicated()));
        session.feed(&bytes).unwrap();
        assert_eq!(session.seen, wanted);
    }
}

// conf: PD-27
#[test]
fn empty_messages() {
    for role in ROLES {
        let mut bytes = frame(role, FIN | RSV1 | TEXT, b"");
        bytes.extend(frame(role, FIN | RSV1 | BINARY, b"\0"));
        bytes.extend(fragments(role, RSV1 | TEXT, &[b"", b"", b""]));
        bytes.extend(fragments(role, RSV1 | TEXT, &[b"", b"\0", b""]));
        let wanted = [Seen::text(""), Seen::binary(b""), Seen::text(""), Seen::text("")];
        assert_eq!(see(role, &shared(), &bytes), wanted);
        assert_eq!(see(role, &dedicated(), &bytes), wanted);
    }
}

// conf: PD-14, PD-15, EX-04
#[test]
fn reserved_bits_fail_where_they_have_no_meaning() {
    let protocol = |bits| move |error| error == Error::Protocol(ProtocolError::ReservedBits(bits));
    for role in ROLES {
        let begun = frame(role, RSV1 | TEXT, &[0xF2, 0x48, 0xCD]);
        for first in [RSV1 | CONTINUATION, FIN | RSV1 | CONTINUATION, FIN | RSV1 | PING, FIN | RSV1 | 8] {
            let bytes = [&begun[..], &frame(role, first, b"")].concat();
            fails(role, &shared(), &bytes, protocol(4), CloseCode::PROTOCOL_ERROR);
        }
        for (bits, number) in [(RSV2, 2), (RSV3, 1), (RSV1 | RSV2, 6), (RSV1 | RSV3, 5)] {
            let bytes = frame(role, FIN | bits | TEXT, b"");
            fails(role, &shared(), &bytes, protocol(number), CloseCode::PROTOCOL_ERROR);
        }
        // Where nothing was agreed on, also at the start of a message, by its first byte.
        let mut session = Session::with(role, Config::new().deflate(shared()));
        let (given, error) = session.feed_cut(&frame(role, FIN | RSV1 | TEXT, b""), 1).unwrap_err();
        assert_eq!((given, error), (1, Error::Protocol(ProtocolError::ReservedBits(4))));
        let mut session = Session::of(end(role, Config::new(), shared()));
        let (given, _) = session.feed_cut(&frame(role, FIN | RSV1 | PING, b""), 1).unwrap_err();
        assert_eq!(given, 1);
    }
}

// conf: PD-24, PD-28, CC-09
#[test]
fn data_that_is_no_deflate_fails_with_1007() {
    let good = compressor().payload(json(1, 3000).as_bytes());
    let bad: [&[u8]; 17] = [
        b"\x06",                                         // block type 11
        b"\x00\x05\x00\xFA\xFE\x48\x65\x6C\x6C\x6F\x00", // LEN is not the complement of NLEN
        b"\x00\x05\x00\xFA\xFF\x48\x65",                 // a block without compression, cut short
        b"\x00\x05\x00\xFA\xFF\x48",                     // takes what is appended for its content
        b"\xF2\x48\xCD\xC9\xC9\x07",                     // no empty block at the end
        b"\xF2\x48\xCD\xC9",                             // inside of a block
        b"\x02\x32\x00\x00",                             // refers to what never was
        b"\x1A\x03\x00",                                 // length codes that there are not, 286
        b"\x1A\x07\x00",                                 // and 287
        b"\xF2\x00\x3E\x00",                             // distance codes that there are not, 30
        b"\xF2\x00\x7E\x00",                             // and 31
        b"\xFC\x00\x00\x00\x00\x00",                     // announces more codes than there are
        b"\x04\x00\x92\x04\x00\x00\x00\x00\x00",         // more codes than their lengths have room for
        b"\x04\x00\x82\x00\x00\x00\x00\x00\x00",         // the first length is that of the one before
        b"\xF3\x48\xCD\xC9\xC9\x07\x00\x06",             // behind a final block something that is none
        &good[..good.len() / 2],
        &good[..good.len() - 1],
    ];
    for role in ROLES {
        for data in bad {
            for deflate in [shared(), dedicated()] {
                fails(
                    role,
                    &deflate,
                    &frame(role, FIN | RSV1 | BINARY, data),
                    invalid,
                    CloseCode::INVALID_PAYLOAD,
                );
            }
        }
        // The one that is cut short, and is not.
        let whole = frame(role, FIN | RSV1 | TEXT, &good);
        assert_eq!(see(role, &shared(), &whole), [Seen::Text(json(1, 3000))]);
    }
}

// conf: PD-25
#[test]
fn inflated_text_must_be_utf8_as_early_as_it_shows() {
    let invalid_text = |error| matches!(error, Error::InvalidUtf8(_));
    for role in ROLES {
        let data = compressor().payload(b"good\xFFbad");
        fails(
            role,
            &shared(),
            &frame(role, FIN | RSV1 | TEXT, &data),
            invalid_text,
            CloseCode::INVALID_PAYLOAD,
        );
        // A character in two blocks is one, and one that stays unfinished is none.
        let two = |end: &[u8]| {
            let mut compress = compressor();
            let parts = [compress.compress(b"\xE2\x82", Flush::Sync), compress.payload(end)];
            fragments(role, RSV1 | TEXT, &[&parts[0], &parts[1]])
        };
        assert_eq!(see(role, &shared(), &two(b"\xAC")), [Seen::text("\u{20AC}")]);
        fails(role, &shared(), &two(b""), invalid_text, CloseCode::INVALID_PAYLOAD);
        // Long before the message ends. The first 4 KiB are inflated when there is more or the message ends: an
        // inflater is twelve times as large.
        let mut session = Session::of(end(role, Config::new(), shared()));
        let letters: Vec<u8> = noise(5, 9000).iter().map(|byte| b' ' + byte % 64).collect();
        let early = compressor().compress(&[&letters[..], b"\xFFbad"].concat(), Flush::Sync);
        let fed = session.feed(&frame(role, RSV1 | TEXT, &early));
        assert!(early.len() > 4096 && matches!(fed, Err(Error::InvalidUtf8(_))), "{fed:?}");
        let mut session = Session::of(end(role, Config::new(), shared()));
        let early = compressor().compress(b"good\xFFbad", Flush::Sync);
        session.feed(&frame(role, RSV1 | TEXT, &early)).unwrap();
        let fed = session.feed(&frame(role, FIN | CONTINUATION, &[0]));
        assert!(matches!(fed, Err(Error::InvalidUtf8(_))));
    }
}

// conf: PD-26, LM-05
#[test]
fn the_limit_holds_for_what_a_message_inflates_to() {
    for limit in [0, 1, 100, 5000, 131_072, 131_073, 300_000] {
        for over in [0, 1, 2] {
            for kind in [TEXT, BINARY] {
                for parts in [1, 3] {
                    let message = vec![b'a'; limit + over];
                    let data = compressor().payload(&message);
                    let parts: Vec<&[u8]> = data.chunks(data.len().div_ceil(parts)).collect();
                    let bytes = fragments(Role::Server, RSV1 | kind, &parts);
                    let config = Config::new().max_message_size(limit);
                    let mut session = Session::of(end(Role::Server, config, shared()));
                    let fed = session.feed(&bytes);
                    if over == 0 {
                        assert_eq!((fed, session.seen.len()), (Ok(()), 1), "{limit}");
                    } else {
                        assert_eq!(fed, Err(Error::TooBig { limit }), "{limit} + {over}");
                        assert_eq!(session.sent().pop().unwrap().1[..2], 1009_u16.to_be_bytes());
                    }
                }
            }
        }
    }
}

/// Incompressible data may be longer compressed than plain; only what it inflates to counts. Frames have a limit of their own.
// conf: PD-26
#[test]
fn the_limit_does_not_hold_for_compressed_data_but_that_on_frames_does() {
    let message = noise(3, 10_000);
    let data = Compressor::new(0).payload(&message);
    assert!(data.len() > message.len());
    let bytes = frame(Role::Server, FIN | RSV1 | BINARY, &data);
    let config = Config::new().max_message_size(message.len());
    let mut session = Session::of(end(Role::Server, config.clone(), shared()));
    session.feed(&bytes).unwrap();
    assert_eq!(session.seen, [Seen::binary(&message)]);
    let config = config.max_frame_size(data.len() - 1);
    let mut session = Session::of(end(Role::Server, config, shared()));
    assert_eq!(session.feed(&bytes), Err(Error::TooBig { limit: data.len() - 1 }));
}

/// Feeds everything that a peer might send in one piece; with chunks the events have to stay small all the same.
// conf: PD-26
#[test]
fn a_bomb_comes_in_chunks_of_bounded_size() {
    let bomb = Compressor::new(9).payload(&vec![0; 64 << 20]);
    assert!(bomb.len() < 100_000);
    let mut bytes = frame(Role::Server, FIN | RSV1 | BINARY, &bomb);
    let mut connection = end(Role::Server, Config::new().delivery(Delivery::Chunks), shared());
    let (mut total, mut longest, mut lasts) = (0, 0, 0);
    let mut input = Input::new(&mut bytes);
    while let Some(event) = connection.receive(NOW, &mut input, &mut Vec::new()).unwrap() {
        let Event::Chunk(chunk) = event else { panic!("{event:?}") };
        assert_eq!(chunk.first, total == 0);
        assert!(chunk.payload.iter().all(|byte| *byte == 0));
        total += chunk.payload.len();
        longest = longest.max(chunk.payload.len());
        lasts += usize::from(chunk.last);
    }
    assert_eq!((total, lasts), (64 << 20, 1));
    assert!(longest <= 256 << 10, "{longest}");
}

#[test]
fn what_was_received_before_a_violation_is_delivered() {
    let mut session = Session::of(end(Role::Server, Config::new(), shared()));
    let mut bytes = frame(Role::Server, FIN | RSV1 | TEXT, &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]);
    bytes.extend(frame(Role::Server, FIN | RSV1 | TEXT, b"\x06"));
    assert_eq!(session.feed(&bytes), Err(Error::InvalidDeflate));
    assert_eq!(session.seen, [hello()]);
    assert_eq!(session.feed(b"more"), Err(Error::InvalidDeflate));
}

#[test]
fn agreement_without_settings_still_inflates() {
    let (_, server) = super::agree(&dedicated(), &dedicated());
    let connection: Connection = super::support::connection(Role::Server, Config::new());
    let mut session = Session::of(connection.with_deflate(server));
    session
        .feed(&frame(Role::Server, FIN | RSV1 | TEXT, &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]))
        .unwrap();
    assert_eq!(session.seen, [hello()]);
}

/// One piece of data can break several rules: in every cut the first of them is told.
#[test]
fn the_first_fault_is_told_in_any_cut() {
    let stored = |text: &[u8]| {
        let len = text.len() as u8;
        [&[0, len, 0, !len, 0xFF], text].concat()
    };
    let bad = [0x06];
    for (opcode, parts, wanted) in [
        (BINARY, [stored(&[7; 20]), bad.to_vec()], Error::TooBig { limit: 16 }),
        (BINARY, [stored(&[7; 16]), bad.to_vec()], Error::InvalidDeflate),
        (TEXT, [stored(b"good\xFFbad"), bad.to_vec()], invalid_utf8_at(4)),
        (TEXT, [stored(b"good\xFFbad, and much too long"), bad.to_vec()], invalid_utf8_at(4)),
        (TEXT, [stored(b"too long before it is \xFFbad"), bad.to_vec()], Error::TooBig { limit: 16 }),
        (TEXT, [stored(b"good\xFFbad"), Vec::new()], invalid_utf8_at(4)),
    ] {
        let bytes = frame(Role::Server, FIN | RSV1 | opcode, &parts.concat());
        for step in [1, 4, bytes.len()] {
            let config = Config::new().max_message_size(16);
            let mut session = Session::of(end(Role::Server, config, shared()));
            assert_eq!(session.feed_cut(&bytes, step).unwrap_err().1, wanted, "by {step}");
        }
    }
}

fn invalid_utf8_at(valid_up_to: u64) -> Error {
    let mut validator = sansocket::utf8::Validator::new();
    let good = vec![b'a'; valid_up_to as usize];
    validator.push(&good).unwrap();
    validator.push(b"\xFF").unwrap_err().into()
}
