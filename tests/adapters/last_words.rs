//! A closing that begins on this side, for the tests in which each call of the stream fails.

use core::time::Duration;

use sansocket::{CloseCode, Event, Message, Role};

use super::talk::{Seen, Talk, messages};
use crate::support::pattern;

/// How the application closes.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// Waits, and wants no more messages.
    Close,
    /// Goes on receiving.
    Start,
}

/// The peer goes on talking for a while, and closes with words of its own.
pub fn last_words(talk: Talk) -> Vec<u8> {
    let (mut peer, mut out) = (talk.peer(), Vec::new());
    peer.send("one more", &mut out).unwrap();
    peer.ping(b"still there?", &mut out).unwrap();
    peer.send(pattern(70_000), &mut out).unwrap();
    peer.close(Duration::ZERO, CloseCode::new(3456), "bye", &mut out).unwrap();
    out
}

/// Checks by itself a closing that nothing disturbs, of the words `queued`, a ping and a Close frame.
pub fn assert_closed(talk: Talk, way: Way, seen: &[Event<'static>], sent: &[u8], shut: bool) {
    if let Way::Start = way {
        assert_eq!(messages(seen), [Message::from("one more"), pattern(70_000).into()]);
    }
    let expected = [
        Seen::Text(b"queued".to_vec()),
        Seen::Ping(b"and a ping".to_vec()),
        // Nothing is said behind it, no pong either.
        Seen::Close(3000, b"why".to_vec()),
    ];
    assert_eq!(talk.heard(sent), expected);
    assert!(shut || talk.role == Role::Client, "the server ends the stream first");
}

/// Each fault at each call, until the closing passes untouched: `check` says so. It gets what `reference` wrote.
pub fn each_closing<T: Copy>(
    reference: impl Fn(Talk, Way) -> Vec<u8>,
    faults: &[T],
    check: impl Fn(Talk, Way, T, &[u8], usize) -> bool,
) {
    for talk in Talk::all() {
        for way in [Way::Close, Way::Start] {
            let reference = reference(talk, way);
            for fault in faults {
                assert!((0..1000).any(|at| check(talk, way, *fault, &reference, at)), "never untouched");
            }
        }
    }
}
