//! Attacks by compression.

use sansocket::deflate::{Agreed, Deflate};
use sansocket::handshake::{Acceptance, Extension};
use sansocket::{CloseCode, Config, Connection, Delivery, Error, Event, Input, Limit, ProtocolError, Role};

use crate::compress::{Compressor, Flush};
use crate::http::{Connected, Lines, answer, client, connect, request};
use crate::meter::{assert_linear, cost};
use crate::support::wire::{self, BINARY, FIN, RSV1, TEXT};
use crate::support::{NOW, ROLES, Session, connection};

const MIB: usize = 1 << 20;

fn agreed() -> Agreed {
    let offered = Lines::request().add("Sec-WebSocket-Extensions: permessage-deflate");
    let acceptance = Acceptance::new().deflate(Deflate::shared());
    request(&offered).accept(&acceptance, &mut Vec::new()).unwrap().negotiated().deflate.unwrap()
}

fn end(role: Role, config: Config) -> Connection {
    connection(role, config.deflate(Deflate::shared())).with_deflate(agreed())
}

/// The payload of a message of `len` zeros.
fn bomb(len: usize) -> Vec<u8> {
    let mut compressor = Compressor::new(9);
    let mut out = Vec::with_capacity(len / 500 + 1024);
    let zeros = vec![0; MIB.min(len)];
    for at in (0..len).step_by(zeros.len()) {
        let part = &zeros[..zeros.len().min(len - at)];
        let flush = if at + part.len() == len { Flush::Sync } else { Flush::None };
        out.extend(compressor.compress(part, flush));
    }
    out.truncate(out.len() - 4);
    out
}

/// Python's websockets and undici inflated first and looked at the limit afterwards, or not at all.
// conf: LM-05 PD-26
#[test]
fn cve_2018_1000518_and_cve_2026_1526_bombs_stop_at_the_limit() {
    let bomb = bomb(256 * MIB);
    assert!(bomb.len() < MIB / 2, "{}", bomb.len());
    for role in ROLES {
        for opcode in [TEXT, BINARY] {
            let whole = wire::frame(role, FIN | RSV1 | opcode, &bomb);
            let mut cut = wire::frame(role, RSV1 | opcode, &bomb[..1]);
            bomb[1..].chunks(64).for_each(|part| cut.extend(wire::frame(role, 0, part)));
            for bytes in [whole, cut] {
                let mut session = Session::of(end(role, Config::new().max_message_size(MIB)));
                let (result, cost) = cost(|| {
                    let mut piece = [0; 1000];
                    for part in bytes.chunks(1000) {
                        let piece = &mut piece[..part.len()];
                        piece.copy_from_slice(part);
                        let mut input = Input::new(piece);
                        let event = session.connection.receive(NOW, &mut input, &mut session.out)?;
                        assert!(event.is_none());
                    }
                    Ok(())
                });
                assert_eq!(result, Err(Error::TooBig { limit: MIB }));
                let [(0x88, body)] = &session.sent()[..] else { panic!("{:?}", session.sent()) };
                assert!(body.starts_with(&CloseCode::TOO_BIG.get().to_be_bytes()));
                assert!(cost.peak <= 2 * MIB as isize + (128 << 10), "{cost:?}");
                assert!(cost.requested <= 5 * MIB, "{cost:?}");
            }
        }
    }
}

/// Delivered in chunks a message has no limit; each chunk has, and what is held does not grow.
// conf: PD-26
#[test]
fn bombs_in_chunks_hold_one_chunk() {
    let bomb = bomb(64 * MIB);
    for role in ROLES {
        let mut bytes = wire::frame(role, FIN | RSV1 | BINARY, &bomb);
        let mut connection = end(role, Config::new().delivery(Delivery::Chunks));
        let ((inflated, largest), cost) = cost(|| {
            let (mut inflated, mut largest) = (0, 0);
            let mut input = Input::new(&mut bytes);
            while let Some(event) = connection.receive(NOW, &mut input, &mut Vec::new()).unwrap() {
                let Event::Chunk(chunk) = event else { panic!("{event:?}") };
                inflated += chunk.payload.len();
                largest = largest.max(chunk.payload.len());
            }
            (inflated, largest)
        });
        assert_eq!(inflated, 64 * MIB);
        assert!(largest <= 128 << 10, "{largest}");
        assert!(cost.peak <= 512 << 10, "{cost:?}");
    }
}

/// Inflating costs what goes in and out, and blocks without any content cost what their bytes cost.
// conf: LM-07
#[test]
fn empty_blocks_cost_their_bytes() {
    for role in ROLES {
        // The last one says to be the last of all, behind which an inflater has to be started anew.
        for block in [&b"\x00\x00\x00\xFF\xFF"[..], b"\x02\x00", b"\x03\x00"] {
            assert_linear("blocks", 2_000, |count| {
                let mut payload = block.repeat(count);
                payload.push(0);
                for opcode in [BINARY, TEXT] {
                    let bytes = wire::frame(role, FIN | RSV1 | opcode, &payload);
                    let mut session = Session::of(end(role, Config::new()));
                    _ = session.feed_cut(&bytes, 7);
                }
            });
        }
    }
}

/// A block without compression.
fn stored(content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap();
    [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), content].concat()
}

const DELIVERIES: [Delivery; 2] = [Delivery::Messages, Delivery::Chunks];

/// Behind a final block an inflater begins anew and may need 32 KiB of dictionary: `03 00` over and over stopped a
/// thread for 12 s at 3 MB/s.
// conf: LM-07 PD-22
#[test]
fn final_blocks_are_as_many_as_the_data_is_long() {
    let window = stored(&[b'a'; 33_000]);
    let blocks: [(&[u8], &[u8]); 4] = [
        (b"", b"\x03\x00"),
        (b"", &[75, 4, 0]), // a literal
        (b"", b"\x01\x01\x00\xFE\xFFa"),
        (&window, &[3, 222, 255, 15, 0]), // three bytes, from 32,768 bytes back
    ];
    for role in ROLES {
        for (before, block) in blocks {
            let taken = |count: usize| before.len() + count * block.len();
            let most = (1..).take_while(|count| *count <= 16 + taken(*count) / 64).count();
            for delivery in DELIVERIES {
                for (count, cut) in [(most, 5000), (most + 1, 5000), (most + 1, 1), (100_000, 5000)] {
                    let payload = [before, &block.repeat(count), &[0]].concat();
                    let parts: Vec<&[u8]> = payload.chunks(cut).collect();
                    let bytes = wire::fragments(role, RSV1 | BINARY, &parts);
                    let mut session = Session::of(end(role, Config::new().delivery(delivery)));
                    let fed = session.feed(&bytes);
                    if count <= most {
                        assert_eq!(fed, Ok(()), "{block:x?} {count}");
                        continue;
                    }
                    assert_eq!(fed, Err(Error::Policy(Limit::FinalBlocks)), "{block:x?} {count}");
                    let (_, body) = session.sent().pop().unwrap();
                    assert!(body.starts_with(&CloseCode::POLICY_VIOLATION.get().to_be_bytes()));
                }
            }
        }
        // One for each fragment of a usual size is no reason.
        let part = [&stored(&[b'a'; 100])[..], b"\x03\x00"].concat();
        let parts = vec![&part[..]; 1000];
        let bytes = wire::fragments(role, RSV1 | BINARY, &parts);
        for delivery in DELIVERIES {
            let mut session = Session::of(end(role, Config::new().delivery(delivery)));
            session.feed_cut(&bytes, 777).unwrap();
            assert_eq!(session.seen.len(), 1);
        }
    }
}

/// Blocks that inflate to nothing never reach the limit on messages.
// conf: LM-05 LM-07
#[test]
fn compressed_data_that_comes_to_nothing_ends() {
    let nothing = b"\x00\x00\x00\xFF\xFF".repeat(200);
    for role in ROLES {
        let mut session = Session::of(end(role, Config::new().max_message_size(1000)));
        let mut fed = session.feed(&wire::frame(role, RSV1 | BINARY, &nothing[..1000]));
        let mut count = 1_u64;
        while fed.is_ok() {
            count += 1;
            assert!(count < 1000);
            fed = session.feed(&wire::frame(role, 0, &nothing));
        }
        assert_eq!(fed, Err(Error::Policy(Limit::CompressedBytes)));
        assert_eq!(count, (12 * 1000 + (64 << 10) + 16 * count) / 1000 + 1);
    }
}

/// The least that can be said for each byte of compressed data: a compressor that is flushed behind every byte of a
/// message, which takes 7 bytes for it, or 11 without compression.
// conf: PD-26
#[test]
fn messages_that_are_flushed_behind_each_byte_come_through() {
    for level in [0, 6] {
        for parts in [1, 300] {
            let message: Vec<u8> = (0..20_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
            let mut compressor = Compressor::new(level);
            let mut data = Vec::with_capacity(1 << 21);
            for byte in &message {
                data.extend(compressor.compress(&[*byte], Flush::Sync));
            }
            data.truncate(data.len() - 4);
            assert!(data.len() >= 6 * message.len());
            let data: Vec<&[u8]> = data.chunks(parts).collect();
            let bytes = wire::fragments(Role::Server, RSV1 | BINARY, &data);
            let config = Config::new().max_message_size(message.len()).max_fragments(u32::MAX);
            let mut session = Session::of(end(Role::Server, config));
            session.feed(&bytes).unwrap();
            assert_eq!(session.seen.len(), 1);
        }
    }
}

/// undici handed a number of window bits that zlib does not know to zlib, which threw.
// conf: PD-03 PD-06
#[test]
fn cve_2026_2229_window_bits_outside_8_to_15() {
    let config = Config::new().deflate(Deflate::dedicated().peer_window_bits(15));
    let offering = client().with_config(&config);
    for name in ["server_max_window_bits", "client_max_window_bits"] {
        for bits in [
            "0",
            "7",
            "16",
            "1000",
            "-1",
            "08",
            "15.0",
            "+9",
            "9 9",
            "4294967303",
            "0x9",
            "\"\"",
            "é",
            "true",
        ] {
            let line = format!("Sec-WebSocket-Extensions: permessage-deflate; {name}={bits}");
            let connected = connect(&offering, &answer().add(&line).bytes());
            assert!(matches!(connected, Connected::Error(_)), "{line}: {connected:?}");
            // A server declines such an offer, or refuses a request that breaks the grammar.
            if let crate::http::Served::Request(request, _) =
                crate::http::serve(&Lines::request().add(&line).bytes())
            {
                let acceptance = Acceptance::new().with_config(&config);
                let accepted = request.accept(&acceptance, &mut Vec::new()).unwrap();
                assert_eq!(accepted.negotiated().deflate, None, "{line}");
            }
        }
    }
    for bits in 8..=15 {
        let line = format!("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits={bits}");
        let connected = connect(&offering, &answer().add(&line).bytes());
        assert!(matches!(connected, Connected::Open(..)), "{line}: {connected:?}");
    }
}

/// aiohttp's client inflated frames though compression had not been agreed on.
// conf: FR-06
#[test]
fn cve_2026_59881_compressed_frames_that_were_not_agreed_on() {
    for role in ROLES {
        for config in [Config::new(), Config::new().deflate(Deflate::shared())] {
            let mut session = Session::with(role, config);
            let error = session.feed(&wire::frame(role, FIN | RSV1 | TEXT, &bomb(MIB))).unwrap_err();
            assert!(matches!(error, Error::Protocol(ProtocolError::ReservedBits(_))), "{error:?}");
        }
    }
    // Nor does a client open whose server agrees to what was not offered.
    let line = "Sec-WebSocket-Extensions: permessage-deflate";
    assert!(matches!(connect(&client(), &answer().add(line).bytes()), Connected::Error(_)));
    let other = client().extension(&Extension::new("x-other").unwrap());
    assert!(matches!(connect(&other, &answer().add(line).bytes()), Connected::Error(_)));
}
