//! Futures of an asynchronous adapter are dropped at each of their awaits, over every coding, in both roles and three lanes.

use core::time::Duration;

use sansocket::{CloseCode, Config, Fin, Role};

use crate::adapter::{WebSocket, run};
use crate::adapters::talk::{Coding, Seen, Talk, seen};
use crate::adapters::talking::{converse, each, over};
use crate::support::{Call, Fault, Patience, Scripted, cut, hash, once, pattern, reluctant};

/// Every call of the stream is first not ready, so that there is an await at each.
// conf: FG-09 FR-12
#[test]
fn futures_that_are_dropped_at_any_await_lose_and_double_nothing() {
    each(|talk, lane, reference, _| {
        let steps: &[usize] = if talk.coding == Coding::Plain { &[700, 30_000, 1 << 20] } else { &[700] };
        for &step in steps {
            for first in 1..8 {
                for later in [1, 2, usize::MAX] {
                    run(async {
                        let stream = Scripted::new(reference.script.clone(), step, reluctant(2));
                        let mut ws = over(talk, stream, Config::new());
                        let patience = Patience { first, later };
                        let (seen, verdict) = converse(&mut ws, lane, patience).await;
                        let place = format!("{talk:?} {lane:?} {step} {patience:?}");
                        assert!(verdict.is_ok(), "{place}: {verdict:?}");
                        assert!(seen == reference.seen, "{place}");
                        assert!(ws.stream().sent == reference.sent, "{place}");
                    });
                }
            }
        }
    });
}

/// One call of the stream is not ready, and the future that waits for it is dropped; nothing else happens.
// conf: FG-09 FR-12
#[test]
fn the_future_that_waits_for_any_one_call_may_be_dropped() {
    each(|talk, lane, reference, step| {
        for at in 0.. {
            let calls = run(async {
                let stream = Scripted::new(reference.script.clone(), step, once(Fault::NOT_READY, at));
                let mut ws = over(talk, stream, Config::new().max_queued_output(10_000));
                let patience = Patience::NONE_AT_FIRST;
                let (seen, verdict) = converse(&mut ws, lane, patience).await;
                assert!(verdict.is_ok(), "{talk:?} {lane:?} at {at}: {verdict:?}");
                assert!(seen == reference.seen, "{talk:?} {lane:?} at {at}");
                assert!(ws.stream().sent == reference.sent, "{talk:?} {lane:?} at {at}");
                ws.stream().calls.len()
            });
            if calls <= at {
                break;
            }
        }
    });
}

/// What the queue has no room for is not taken; what is taken leaves whole.
#[test]
fn a_send_that_is_dropped_was_taken_whole_or_not_at_all() {
    for talk in Talk::all() {
        for size in [1, 100, 3000, 40_000] {
            for lane in 0..3 {
                run(async {
                    // The stream takes a little now and then.
                    let stream = Scripted::new(Vec::new(), 611, |call, _| match hash(call) % 3 {
                        0 => Fault::None,
                        _ => Fault::NOT_READY,
                    });
                    let mut ws = over(talk, stream, Config::new().max_queued_output(2000));
                    let mut taken = Vec::new();
                    for number in 0..300usize {
                        let mut message = pattern(size + 8);
                        message[..8].copy_from_slice(&number.to_be_bytes());
                        let polls = number % 4;
                        let before = ws.queued() + ws.stream().sent.len();
                        let done = match lane {
                            0 => cut(ws.send(&message), polls).await,
                            1 => cut(ws.feed(&message), polls).await,
                            _ => cut(ws.send_fragment(&message, Fin::Final), polls).await,
                        };
                        let after = ws.queued() + ws.stream().sent.len();
                        let least = if talk.coding == Coding::Plain { size } else { 0 };
                        assert!(after == before || after > before + least, "{before} {after}");
                        assert!(done.is_none() || after > before);
                        if lane == 0 && done.is_some() {
                            assert_eq!(ws.queued(), 0, "it has left");
                        }
                        // One message more than the limit at the most.
                        assert!(ws.queued() < 2000 + size + 30, "{}", ws.queued());
                        if after > before {
                            taken.push(seen(&message.into()));
                        }
                    }
                    assert!(taken.len() > 2 && taken.len() < 300, "{}", taken.len());
                    while cut(ws.flush(), 1).await.is_none() {}
                    assert!(talk.heard(&ws.stream().sent) == taken, "{talk:?} {size} {lane}");
                });
            }
        }
    }
}

/// Dropped before its first poll, it has done nothing yet.
// conf: FG-09
#[test]
fn closing_may_be_dropped_at_any_await() {
    for talk in Talk::all() {
        for polls in 0..20 {
            for pending in [2, 3, 1000] {
                let (mut peer, mut script) = (talk.peer(), Vec::new());
                peer.send(pattern(70_000), &mut script).unwrap();
                peer.close(Duration::ZERO, CloseCode::NORMAL, "", &mut script).unwrap();
                let stream = run(async {
                    let stream = Scripted::new(script, 9000, reluctant(pending));
                    let mut ws = WebSocket::over(stream, talk.connection(Config::new()));
                    ws.feed("queued").await.unwrap();
                    if cut(ws.close(CloseCode::new(3000), "why"), polls).await.is_none() {
                        while cut(ws.close(CloseCode::new(3001), "not this"), 1).await.is_none() && polls > 0
                        {
                        }
                        ws.close(CloseCode::new(3001), "not this").await.unwrap();
                    }
                    assert!(ws.summary().unwrap().clean);
                    ws.into_parts().transport
                });
                // A client whose server has ended the stream need not wait for its own end.
                assert!(stream.shut || talk.role == Role::Client);
                assert!(stream.count(Call::Shutdown) > 0);
                let close = match polls {
                    0 => Seen::Close(3001, b"not this".to_vec()),
                    _ => Seen::Close(3000, b"why".to_vec()),
                };
                assert_eq!(talk.heard(&stream.sent), [Seen::Text(b"queued".to_vec()), close]);
            }
        }
    }
}
