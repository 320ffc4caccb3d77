//! Text is UTF-8, judged at the first wrong byte, however it is cut (RFC 6455 §5.6, §8.1, RFC 3629 §4).

mod support;

use sansocket::utf8::{Validator, validate};
use sansocket::{CloseCode, Error, Role};
use support::wire::{self, CLOSE, FIN, TEXT};
use support::{ROLES, Row, Seen, Session, accept};

const INVALID: CloseCode = CloseCode::INVALID_PAYLOAD;

/// Byte strings that are no UTF-8, with the number of bytes after which that is certain.
const WRONG: [(&[u8], usize); 24] = [
    (b"\x80", 1),
    (b"\xBF", 1),
    (b"a\x80", 2),
    (b"\xC3\xBC\xBC", 3),
    (b"\xC0\xAF", 1),
    (b"\xC1\xBF", 1),
    (b"\xE0\x80\xAF", 2),
    (b"\xE0\x9F\xBF", 2),
    (b"\xF0\x80\x80\xAF", 2),
    (b"\xF0\x8F\xBF\xBF", 2),
    (b"\xED\xA0\x80", 2),
    (b"\xED\xBF\xBF", 2),
    (b"\xED\xAF\xBF\xED\xBF\xBF", 2),
    (b"\xF4\x90\x80\x80", 2),
    (b"\xF5\x80\x80\x80", 1),
    (b"\xF8\x88\x80\x80\x80", 1),
    (b"\xFE", 1),
    (b"\xFF", 1),
    (b"\xC3\x28", 2),
    (b"\xE2\x28\xA1", 2),
    (b"\xE2\x82\x28", 3),
    (b"\xF0\x28\x8C\xBC", 2),
    (b"\xF0\x90\x28\xBC", 3),
    (b"\xF0\x90\x8C\x28", 4),
];

/// The edges of the table in RFC 3629 §4, and what is often refused by mistake.
const RIGHT: [&str; 14] = [
    "\0",
    "\u{7F}",
    "\u{80}",
    "\u{7FF}",
    "\u{800}",
    "\u{FFF}",
    "\u{1000}",
    "\u{D7FF}",
    "\u{E000}",
    "\u{FEFF}",
    "\u{FFFE}",
    "\u{FFFF}",
    "\u{10000}",
    "\u{10FFFF}",
];

/// Where a text is rejected, and with how much of it being valid.
fn reject_text(role: Role, bytes: &[u8], valid_up_to: u64) -> usize {
    let error = validate_error(valid_up_to);
    Row::new(role, bytes).reject(error, INVALID)
}

fn validate_error(valid_up_to: u64) -> Error {
    let text = [vec![b'x'; valid_up_to as usize], vec![0xFF]].concat();
    Error::InvalidUtf8(validate(&text).expect_err("it ends in FF"))
}

#[test]
fn forms_that_are_no_utf8_are_refused() {
    // conf: U8-02 U8-01
    for role in ROLES {
        for (wrong, certain) in WRONG {
            let text = ["grüße".as_bytes(), wrong].concat();
            let valid = 7 + core::str::from_utf8(wrong).unwrap_err().valid_up_to() as u64;
            let header = wire::header(role, FIN | TEXT, wire::Length::shortest(text.len())).len();
            let taken = reject_text(role, &wire::frame(role, FIN | TEXT, &text), valid);
            assert_eq!(
                taken,
                header + 7 + certain,
                "{wrong:02x?} fails at the first byte that cannot be mended"
            );
            let fragments = wire::fragments(role, TEXT, &[&text[..3], b"", &text[3..]]);
            reject_text(role, &fragments, valid);
        }
    }
}

#[test]
fn every_edge_of_the_table_is_accepted() {
    // conf: U8-03
    for role in ROLES {
        for right in RIGHT {
            accept(role, &wire::text(role, right), &[Seen::text(right)]);
            let parts: Vec<&[u8]> = right.as_bytes().chunks(1).collect();
            accept(role, &wire::fragments(role, TEXT, &parts), &[Seen::text(right)]);
        }
        let all = RIGHT.concat();
        accept(role, &wire::text(role, &all), &[Seen::text(&all)]);
    }
}

#[test]
fn a_character_cut_by_the_end_is_refused() {
    // conf: U8-04
    for role in ROLES {
        for cut in [&b"\xC3"[..], b"\xE2\x82", b"\xE2", b"\xF0\x90\x8C", b"\xF0\x90", b"\xF0"] {
            let text = [b"ab", cut].concat();
            reject_text(role, &wire::frame(role, FIN | TEXT, &text), 2);
            reject_text(role, &wire::fragments(role, TEXT, &[&text, b""]), 2);
            reject_text(role, &wire::fragments(role, TEXT, &[b"a", &text[1..]]), 2);
        }
        // In the middle of a message it may be cut.
        accept(role, &wire::fragments(role, TEXT, &[b"ab\xC3", b"\xBC"]), &[Seen::text("abü")]);
    }
}

#[test]
fn a_wrong_byte_fails_before_its_frame_ends() {
    // conf: U8-05
    for role in ROLES {
        for (wrong, certain) in WRONG {
            let text = [wrong, &[b'x'; 500]].concat();
            for first in [FIN | TEXT, TEXT] {
                let frame = wire::frame(role, first, &text);
                let header = frame.len() - text.len();
                let mut session = Session::new(role);
                session.feed(&frame[..header + certain - 1]).unwrap();
                let error = session.feed(&frame[header + certain - 1..][..1]).unwrap_err();
                assert_eq!(error.close_code(), Some(INVALID), "{wrong:02x?}");
            }
        }
        // The same in the second fragment, where the character began in the first.
        let bytes = [wire::frame(role, TEXT, b"\xED"), wire::frame(role, 0, b"\xA0")].concat();
        assert_eq!(reject_text(role, &bytes, 0), bytes.len());
    }
}

/// The last byte of four is tried at the edges of what it can be.
const FOURTH: [u8; 9] = [0x00, 0x7F, 0x80, 0x81, 0xBE, 0xBF, 0xC0, 0xF4, 0xFF];

/// Compares the validator after each byte with `core::str::from_utf8` of all bytes so far: through all strings of one
/// and two bytes, and on through all beginnings of a character. What is refused once is not continued, and after a
/// complete character the validator is as it was at the start.
fn walk(validator: &Validator, prefix: &mut Vec<u8>, seen: &mut usize) {
    for byte in 0..=255 {
        if prefix.len() == 3 && !FOURTH.contains(&byte) {
            continue;
        }
        prefix.push(byte);
        *seen += 1;
        let mut next = validator.clone();
        let refused = next.push(&[byte]).map(|_| ()).map_err(|error| error.valid_up_to);
        let finished = next.finish().map_err(|error| error.valid_up_to);
        match core::str::from_utf8(prefix) {
            Ok(_) => {
                assert!(refused.is_ok() && finished.is_ok(), "{prefix:02x?} is valid");
                if prefix.len() < 2 {
                    walk(&next, prefix, seen);
                }
            }
            Err(error) if error.error_len().is_none() => {
                assert!(
                    refused.is_ok() && finished == Err(error.valid_up_to() as u64),
                    "{prefix:02x?} is cut"
                );
                if error.valid_up_to() == 0 {
                    walk(&next, prefix, seen);
                }
            }
            Err(error) => assert_eq!(refused, Err(error.valid_up_to() as u64), "{prefix:02x?}"),
        }
        prefix.pop();
    }
}

#[test]
fn every_sequence_agrees_with_the_standard_library() {
    // conf: U8-06
    let mut seen = 0;
    walk(&Validator::new(), &mut Vec::new(), &mut seen);
    // 179 bytes begin or are a character, 1216 pairs and 64 times 256 triples begin one.
    assert_eq!(seen, 256 + 179 * 256 + 1216 * 256 + 64 * 256 * FOURTH.len());
}

/// One push of all bytes agrees with the standard library, in result and position.
fn agrees(bytes: &[u8]) {
    let expected = core::str::from_utf8(bytes);
    let mut validator = Validator::new();
    let all = validator.push(bytes).map(|piece| piece.text.len()).and_then(|_| validator.finish());
    let valid = expected.map(|_| ()).map_err(|error| error.valid_up_to() as u64);
    assert_eq!(all.map_err(|error| error.valid_up_to), valid, "{bytes:02x?}");
    assert_eq!(
        validate(bytes).map_err(|error| error.valid_up_to),
        expected.map_err(|e| e.valid_up_to() as u64)
    );
}

#[test]
fn all_strings_of_one_and_two_bytes_and_all_edges_of_three_and_four_agree() {
    // conf: U8-06
    for a in 0..=255 {
        agrees(&[a]);
        for b in 0..=255 {
            agrees(&[a, b]);
        }
    }
    // Beyond two bytes every class of byte that RFC 3629 tells apart, by its edges.
    let edges = [
        0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
        0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
    ];
    for a in edges {
        for b in edges {
            for c in edges {
                agrees(&[a, b, c]);
                agrees(&[b'x', a, b, c]);
                for d in [0x00, 0x7F, 0x80, 0xBF, 0xC0, 0xC2, 0xE0, 0xF0, 0xFF] {
                    agrees(&[a, b, c, d]);
                }
            }
        }
    }
}

#[test]
fn all_cuts_agree_with_the_uncut_text() {
    // conf: U8-06 U8-01
    let valid = "x\u{7FF}ü€\u{FFFF}𝄞\0\u{10FFFF}é";
    let wrong: Vec<_> =
        WRONG.iter().map(|(wrong, _)| [b"\xC3\xBCx\xE2\x82\xAC", *wrong, b"tail"].concat()).collect();
    for bytes in wrong.iter().map(Vec::as_slice).chain([valid.as_bytes(), b"ab\xE2\x82"]) {
        let expected = core::str::from_utf8(bytes);
        for i in 0..=bytes.len() {
            for j in i..=bytes.len() {
                let mut validator = Validator::new();
                let mut gathered = String::new();
                let mut push = |part| {
                    let piece = validator.push(part)?;
                    gathered.extend(piece.carried);
                    gathered.push_str(piece.text);
                    Ok(())
                };
                let parts = [&bytes[..i], &bytes[i..j], &bytes[j..]];
                let result = parts.into_iter().try_for_each(&mut push).and_then(|()| validator.finish());
                match expected {
                    Ok(text) => assert_eq!((result, gathered.as_str()), (Ok(()), text), "cut at {i} and {j}"),
                    Err(error) => {
                        let valid = result.map_err(|error| error.valid_up_to);
                        assert_eq!(valid, Err(error.valid_up_to() as u64), "{bytes:02x?} cut at {i} and {j}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_sent_is_utf8_by_type() {
    // conf: U8-07
    for role in ROLES {
        let mut session = Session::new(role);
        for right in RIGHT {
            session.connection.send(right, &mut session.out).unwrap();
        }
        session.connection.close(support::NOW, CloseCode::NORMAL, "grüße", &mut session.out).unwrap();
        let sent = session.sent();
        for ((first, payload), right) in sent.iter().zip(RIGHT) {
            assert_eq!((*first, payload.as_slice()), (FIN | TEXT, right.as_bytes()));
        }
        assert_eq!(sent[RIGHT.len()].1, wire::close_body(1000, "grüße"));
    }
}

#[test]
fn binary_is_never_inspected() {
    // conf: U8-08
    for role in ROLES {
        for (wrong, _) in WRONG {
            let bytes = [
                wire::binary(role, wrong),
                wire::fragments(role, 2, &[wrong, b"", wrong]),
                wire::ping(role, wrong),
                wire::pong(role, wrong),
            ];
            let twice = Seen::binary(&[wrong, wrong].concat());
            accept(
                role,
                &bytes.concat(),
                &[Seen::binary(wrong), twice, Seen::ping(wrong), Seen::pong(wrong)],
            );
        }
    }
}

#[test]
fn the_reason_of_a_close_is_complete_utf8() {
    // conf: CL-03 U8-01
    for role in ROLES {
        let wrong = WRONG.iter().map(|(wrong, _)| *wrong).chain([&b"\xC3"[..], b"\xE2\x82", b"\xF0\x90\x8C"]);
        for wrong in wrong {
            let reason = [b"ok", wrong].concat();
            let body = [&1000_u16.to_be_bytes()[..], &reason].concat();
            let valid = core::str::from_utf8(&reason).unwrap_err().valid_up_to() as u64;
            reject_text(role, &wire::frame(role, FIN | CLOSE, &body), valid);
        }
        accept(role, &wire::close(role, 1000, "ok ü€𝄞"), &[Seen::close(CloseCode::NORMAL, "ok ü€𝄞")]);
    }
}
