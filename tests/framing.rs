//! Frames on the wire: lengths, reserved bits, opcodes, and any cut of the bytes (RFC 6455 §5.2, §5.7).

mod support;

use sansocket::frame::{Decoder, FrameHeader, Opcode, apply_mask};
use sansocket::{CloseCode, Config, Error, Initiator, Kind, ProtocolError, Role, State, TransportAction};
use support::wire::{self, BINARY, CLOSE, CONTINUATION, FIN, Length, PING, PONG, RSV1, RSV2, RSV3, TEXT};
use support::{ROLES, Row, Seen, Session, accept, connection, reject};

const PROTOCOL_ERROR: CloseCode = CloseCode::PROTOCOL_ERROR;

#[test]
fn lengths_are_written_in_their_shortest_form() {
    // conf: FR-01
    for role in ROLES {
        let mask = if role == Role::Client { 4 } else { 0 };
        for (len, header_len) in [(0, 2), (1, 2), (125, 2), (126, 4), (127, 4), (65535, 4), (65536, 10)] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut out = Vec::new();
            connection(role, Config::default()).send(&payload, &mut out).unwrap();
            let frames = wire::parse(role, &out);
            assert_eq!(frames.len(), 1);
            assert_eq!(frames[0].header_len, header_len + mask, "{role:?} {len}");
            assert_eq!(frames[0].first, FIN | BINARY);
            assert_eq!(frames[0].payload, payload);
        }
    }
}

#[test]
fn lengths_are_read_in_network_order() {
    // conf: FR-01
    for role in ROLES {
        for len in [0, 1, 125, 126, 0x0102, 65535, 65536, 0x01_0203] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            for step in [usize::MAX, 1, 4096] {
                let mut session = Session::new(role);
                session.feed_cut(&wire::binary(role, &payload), step).unwrap();
                assert_eq!(
                    session.seen,
                    [Seen::Binary(payload.clone())],
                    "{role:?} {len} in steps of {step}"
                );
            }
        }
    }
}

#[test]
fn a_length_of_16_bits_is_at_least_126() {
    // conf: FR-02 FR-11
    for role in ROLES {
        for len in [0, 1, 124, 125] {
            let bytes =
                wire::frame_with_length(role, FIN | BINARY, Length::Medium(len), &vec![7; len.into()]);
            assert_eq!(reject(role, &bytes, ProtocolError::LengthNotMinimal, PROTOCOL_ERROR), 4);
        }
        let bytes = wire::frame_with_length(role, FIN | BINARY, Length::Medium(126), &[7; 126]);
        accept(role, &bytes, &[Seen::binary(&[7; 126])]);
    }
}

#[test]
fn a_length_of_64_bits_is_at_least_65536() {
    // conf: FR-03 FR-11
    for role in ROLES {
        for len in [0, 125, 126, 65535] {
            let bytes = wire::header(role, FIN | BINARY, Length::Long(len));
            assert_eq!(reject(role, &bytes, ProtocolError::LengthNotMinimal, PROTOCOL_ERROR), 10);
        }
        let mut session = Session::new(role);
        session.feed(&wire::frame_with_length(role, FIN | BINARY, Length::Long(65536), &[7; 65536])).unwrap();
        assert_eq!(session.seen, [Seen::binary(&[7; 65536])]);
    }
}

#[test]
fn a_length_has_at_most_63_bits() {
    // conf: FR-04 FR-05 FR-11
    for role in ROLES {
        for len in [1 << 63, (1 << 63) + 5, u64::MAX] {
            let bytes = wire::header(role, FIN | BINARY, Length::Long(len));
            assert_eq!(reject(role, &bytes, ProtocolError::LengthOutOfRange, PROTOCOL_ERROR), 10);
        }
        // The longest legal length is too big for the default limit, and no more than that.
        let bytes = wire::header(role, FIN | BINARY, Length::Long((1 << 63) - 1));
        let too_big = Error::TooBig { limit: 16 << 20 };
        let taken = Row::new(role, &bytes).whole_messages_only().reject(too_big, CloseCode::TOO_BIG);
        assert_eq!(taken, bytes.len());
    }
}

#[test]
fn reserved_bits_are_refused_from_the_first_byte() {
    // conf: FR-06 FR-11 EX-04
    for role in ROLES {
        for bits in 1..8 {
            for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
                let bytes = wire::frame(role, FIN | bits << 4 | opcode, b"\x03\xe8");
                assert_eq!(reject(role, &bytes, ProtocolError::ReservedBits(bits), PROTOCOL_ERROR), 1);
            }
            let start = wire::frame(role, TEXT, b"a");
            let bytes = [start.clone(), wire::frame(role, FIN | bits << 4 | CONTINUATION, b"b")].concat();
            assert_eq!(
                reject(role, &bytes, ProtocolError::ReservedBits(bits), PROTOCOL_ERROR),
                start.len() + 1
            );
        }
        accept(role, &wire::frame(role, FIN | PING, b"\x03\xe8"), &[Seen::ping(b"\x03\xe8")]);
    }
    assert_eq!([RSV1 >> 4, RSV2 >> 4, RSV3 >> 4], [4, 2, 1], "the numbering of FrameHeader::rsv");
}

#[test]
fn reserved_opcodes_are_refused_from_the_first_byte() {
    // conf: FR-07 FR-11
    for role in ROLES {
        for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
            for first in [FIN | opcode, opcode] {
                for payload in [&b""[..], b"abc", &[7; 126]] {
                    let bytes = wire::frame(role, first, payload);
                    assert_eq!(
                        reject(role, &bytes, ProtocolError::ReservedOpcode(opcode), PROTOCOL_ERROR),
                        1
                    );
                }
                // Inside a message as well.
                let bytes = [wire::frame(role, TEXT, b"a"), wire::frame(role, first, b"")].concat();
                reject(role, &bytes, ProtocolError::ReservedOpcode(opcode), PROTOCOL_ERROR);
            }
        }
        let valid = [BINARY, PONG].map(|opcode| wire::frame(role, FIN | opcode, b"abc")).concat();
        accept(role, &valid, &[Seen::binary(b"abc"), Seen::pong(b"abc")]);
    }
}

#[test]
fn every_split_of_short_frames_is_the_same() {
    // conf: FR-08
    for role in ROLES {
        let bytes = [wire::text(role, "hé"), wire::ping(role, b"p"), wire::binary(role, b"")].concat();
        let bytes = &bytes[..bytes.len().min(17)]; // 2^16 splits; for a server the last header stays open
        let mut expected = vec![Seen::text("hé"), Seen::ping(b"p")];
        if role == Role::Client {
            expected.push(Seen::binary(b""));
        }
        for cuts in 0_u32..1 << (bytes.len() - 1) {
            let mut session = Session::new(role);
            let mut start = 0;
            for end in 1..=bytes.len() {
                if end == bytes.len() || cuts >> (end - 1) & 1 == 1 {
                    session.feed(&bytes[start..end]).unwrap();
                    start = end;
                }
            }
            assert_eq!(session.seen, expected, "cuts {cuts:b}");
        }
    }
}

#[test]
fn every_single_cut_of_long_frames_is_the_same() {
    // conf: FR-08
    for role in ROLES {
        for len in [126, 300, 65536] {
            let payload: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let bytes = wire::binary(role, &payload);
            let near_the_ends = (1..bytes.len()).filter(|cut| *cut < 320 || cut + 20 > bytes.len());
            for cut in near_the_ends.chain([bytes.len() / 2]) {
                let mut session = Session::new(role);
                session.feed(&bytes[..cut]).unwrap();
                assert_eq!(session.seen, [], "nothing before the last byte");
                session.feed(&bytes[cut..]).unwrap();
                assert_eq!(session.seen, [Seen::Binary(payload.clone())], "{len} cut at {cut}");
            }
        }
    }
}

#[test]
fn empty_frames_are_valid() {
    // conf: FR-09
    for role in ROLES {
        let frames = [
            wire::text(role, ""),
            wire::binary(role, b""),
            wire::ping(role, b""),
            wire::pong(role, b""),
            wire::fragments(role, TEXT, &[b"", b"", b""]),
            wire::fragments(role, BINARY, &[b"", b"x", b""]),
        ];
        let seen = [
            Seen::text(""),
            Seen::binary(b""),
            Seen::ping(b""),
            Seen::pong(b""),
            Seen::text(""),
            Seen::binary(b"x"),
        ];
        accept(role, &frames.concat(), &seen);
    }
}

/// The examples of RFC 6455 §5.7: receiver, header fields, mask, payload and the bytes before it, or all of them.
fn examples() -> [(Role, FrameHeader, &'static [u8], Vec<u8>); 8] {
    let header = |fin, opcode, len, mask| {
        let mut header = FrameHeader::new(opcode, len);
        (header.fin, header.mask) = (fin, mask);
        header
    };
    let key = Some([0x37, 0xfa, 0x21, 0x3d]);
    static BIG: [u8; 65536] = [0xAB; 65536];
    let (mut kib, mut big) = (vec![0x82, 0x7E, 0x01, 0x00], vec![0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
    kib.extend(&BIG[..256]);
    big.extend(&BIG);
    [
        (
            Role::Client,
            header(true, Opcode::Text, 5, None),
            b"Hello",
            b"\x81\x05\x48\x65\x6c\x6c\x6f".to_vec(),
        ),
        (
            Role::Server,
            header(true, Opcode::Text, 5, key),
            b"Hello",
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
        ),
        (Role::Client, header(false, Opcode::Text, 3, None), b"Hel", b"\x01\x03\x48\x65\x6c".to_vec()),
        (Role::Client, header(true, Opcode::Continuation, 2, None), b"lo", b"\x80\x02\x6c\x6f".to_vec()),
        (
            Role::Client,
            header(true, Opcode::Ping, 5, None),
            b"Hello",
            b"\x89\x05\x48\x65\x6c\x6c\x6f".to_vec(),
        ),
        (
            Role::Server,
            header(true, Opcode::Pong, 5, key),
            b"Hello",
            b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
        ),
        (Role::Client, header(true, Opcode::Binary, 256, None), &BIG[..256], kib),
        (Role::Client, header(true, Opcode::Binary, 65536, None), &BIG, big),
    ]
}

#[test]
fn the_examples_of_the_rfc_encode_and_decode() {
    // conf: FR-10
    let mut client = Decoder::new(Role::Client);
    let mut server = Decoder::new(Role::Server);
    for (to, header, payload, bytes) in examples() {
        let mut encoded = header.encode().to_vec();
        encoded.extend_from_slice(payload);
        if let Some(key) = header.mask {
            let start = header.encode().len();
            apply_mask(key, 0, &mut encoded[start..]);
        }
        assert_eq!(encoded, bytes);

        let mut input = bytes;
        let decoder = if to == Role::Client { &mut client } else { &mut server };
        let piece = decoder.decode(&mut input).unwrap().expect("all of it is there");
        assert_eq!(piece.header, header);
        assert_eq!((piece.first, piece.last, piece.payload.end), (true, true, input.len()));
        assert_eq!(&input[piece.payload], payload);
    }
}

#[test]
fn the_connection_takes_the_examples_of_the_rfc() {
    // conf: FR-10
    let of = |role| examples().into_iter().filter(move |row| row.0 == role).flat_map(|row| row.3);
    let big = vec![0xAB; 65536];
    let seen = [
        Seen::text("Hello"),
        Seen::text("Hello"),
        Seen::ping(b"Hello"),
        Seen::binary(&big[..256]),
        Seen::binary(&big),
    ];
    accept(Role::Client, &of(Role::Client).collect::<Vec<_>>(), &seen);
    let seen = [Seen::text("Hello"), Seen::pong(b"Hello")];
    accept(Role::Server, &of(Role::Server).collect::<Vec<_>>(), &seen);
}

#[test]
fn the_second_byte_is_judged_alone() {
    // conf: FR-11
    let (server, client) = (Role::Server, Role::Client);
    let taken = |role, bytes: &[u8], error| reject(role, bytes, error, PROTOCOL_ERROR);
    assert_eq!(taken(server, &[FIN | TEXT, 0x01], ProtocolError::MaskMissing), 2);
    assert_eq!(taken(client, &[FIN | TEXT, 0x81], ProtocolError::MaskUnexpected), 2);
    assert_eq!(taken(server, &[FIN | PING, 0xFE], ProtocolError::ControlTooLong), 2);
    assert_eq!(taken(client, &[FIN | PONG, 0x7F], ProtocolError::ControlTooLong), 2);
    assert_eq!(taken(server, &[PING, 0x80], ProtocolError::ControlFragmented), 2);
    assert_eq!(taken(client, &[FIN | CONTINUATION], ProtocolError::UnexpectedContinuation), 1);
    // One byte less, and nothing is wrong yet.
    for (role, bytes) in [(server, [FIN | TEXT]), (client, [FIN | PING]), (server, [PING])] {
        let mut session = Session::new(role);
        assert_eq!(session.feed(&bytes), Ok(()));
        assert_eq!((session.connection.state(), session.out.len()), (State::Open, 0));
    }
}

#[test]
fn frames_in_one_read_come_in_order_and_a_partial_one_waits() {
    // conf: FR-12
    for role in ROLES {
        let mut bytes: Vec<u8> = (0..50).flat_map(|i| wire::text(role, &format!("message {i}"))).collect();
        let expected: Vec<_> = (0..50).map(|i| Seen::Text(format!("message {i}"))).collect();
        let last = wire::text(role, "the last");
        for cut in 1..last.len() {
            let mut session = Session::new(role);
            bytes.extend(&last[..cut]);
            session.feed(&bytes).unwrap();
            assert_eq!(session.seen, expected);
            session.feed(&last[cut..]).unwrap();
            assert_eq!(session.seen.last(), Some(&Seen::text("the last")));
            bytes.truncate(bytes.len() - cut);
        }
    }
}

#[test]
fn a_stream_that_ends_without_close_is_an_abnormal_end() {
    // conf: FR-13 CL-12 CL-16
    for role in ROLES {
        let bytes = [wire::text(role, "x"), wire::fragments(role, TEXT, &[b"abc", &[b'x'; 130]])].concat();
        for cut in 0..=bytes.len() {
            let mut session = Session::new(role);
            session.feed(&bytes[..cut]).unwrap();
            assert_eq!(session.connection.handle_eof(), Err(Error::UnexpectedEof), "cut at {cut}");
            assert_eq!(session.connection.handle_eof(), Err(Error::UnexpectedEof));
            assert_eq!(session.feed(&bytes[cut..]), Err(Error::UnexpectedEof));
            let summary = session.connection.summary().unwrap();
            assert_eq!((summary.code, summary.clean), (CloseCode::ABNORMAL, false));
            assert_eq!((summary.initiator, &*summary.reason), (Initiator::Remote, ""));
            assert_eq!(session.connection.state(), State::Closed);
            assert_eq!(session.connection.transport_action(), TransportAction::Drop);
            assert_eq!(session.out, b"", "a Close would have no reader");
        }
        let mut session = Session::new(role);
        session.feed(&wire::close(role, 1000, "")).unwrap();
        assert_eq!(session.connection.handle_eof(), Ok(()), "with a Close it is the clean end");
        assert_eq!(session.connection.poll_timeout(), None);
        assert!(session.connection.summary().unwrap().clean);
    }
}

#[test]
fn a_relay_can_keep_frame_boundaries_and_unknown_bits() {
    // conf: FG-10
    let frames = [
        wire::frame(Role::Server, RSV1 | TEXT, b"one"),
        wire::frame(Role::Server, FIN | PING, &[7; 125]),
        wire::frame(Role::Server, RSV3 | CONTINUATION, b""),
        wire::frame(Role::Server, FIN | CONTINUATION, &[8; 300]),
    ];
    let relayed = [
        wire::frame(Role::Client, RSV1 | TEXT, b"one"),
        wire::frame(Role::Client, FIN | PING, &[7; 125]),
        wire::frame(Role::Client, RSV3 | CONTINUATION, b""),
        wire::frame(Role::Client, FIN | CONTINUATION, &[8; 300]),
    ];
    for step in [usize::MAX, 1, 5] {
        let mut decoder = Decoder::new(Role::Server).allow_rsv(7);
        let mut out = Vec::new();
        for bytes in frames.concat().chunks_mut(step.min(1000)) {
            let mut rest = bytes;
            while let Some(piece) = decoder.decode(rest).unwrap() {
                if piece.first {
                    let mut header = piece.header;
                    header.mask = None;
                    out.extend_from_slice(&header.encode());
                }
                out.extend_from_slice(&rest[piece.payload.clone()]);
                rest = &mut rest[piece.payload.end..];
            }
        }
        assert_eq!(out, relayed.concat(), "in steps of {step}");
    }
    let header = FrameHeader::new(Opcode::from(Kind::Binary), 3);
    assert_eq!(&*header.encode(), [FIN | BINARY, 3]);
}

#[test]
fn a_decoder_that_failed_stays_failed() {
    for role in ROLES {
        let (good, bad) = match role {
            Role::Server => (&b"\x82\x81\0\0\0\0x"[..], &b"\x82\x01"[..]),
            Role::Client => (&b"\x82\x01x"[..], &b"\x82\x81"[..]),
        };
        let refused = [b"\x83".as_slice(), b"\xC1", b"\x80", bad];
        for wrong in refused {
            for step in [1, 2] {
                let mut decoder = Decoder::new(role);
                let mut wrong = wrong.to_vec();
                let error = wrong.chunks_mut(step).find_map(|part| decoder.decode(part).err()).unwrap();
                for next in [b"".as_slice(), good, &wrong].into_iter().cycle().take(60) {
                    let mut input = next.to_vec();
                    assert_eq!(decoder.decode(&mut input), Err(error), "{role:?} {next:02x?}");
                    assert_eq!(input, next, "nothing was unmasked");
                }
                assert_eq!((decoder.remaining(), decoder.is_between_frames()), (0, false));
            }
        }
    }
}
