//! Every I/O call of a whole conversation, plain and compressed, fails once, is short, or comes too early, in both roles and
//! three lanes.

use core::time::Duration;
use std::io::ErrorKind;

use sansocket::{CloseCode, Config, Connection};

use super::talk::Talk;
use super::talking::{Lane, Reference, converse, each, over};
use crate::adapter::{Error, HARMLESS, REPLACES_PONGS, WebSocket, run, server};
use crate::support::{Call, Fault, Patience, Scripted, hash, keys, once, pattern};

fn says_the_same(talk: Talk, sent: &[u8], reference: &Reference) -> bool {
    sent == reference.sent || (REPLACES_PONGS && talk.says_the_same(sent, &reference.sent))
}

// conf: FG-09 FR-12
#[test]
fn calls_that_come_too_early_or_do_little_lose_and_double_nothing() {
    each(|talk, lane, reference, step| {
        for (fault, patience) in HARMLESS {
            for at in 0.. {
                let place = format!("{talk:?} {lane:?} {fault:?} at {at}, {patience:?}");
                let calls = run(async {
                    let stream = Scripted::new(reference.script.clone(), step, once(fault, at));
                    let mut ws = over(talk, stream, Config::new().max_queued_output(10_000));
                    let (seen, verdict) = converse(&mut ws, lane, patience).await;
                    assert!(verdict.is_ok(), "{place}: {verdict:?}");
                    assert!(seen == reference.seen, "{place}");
                    assert!(says_the_same(talk, &ws.stream().sent, reference), "{place}");
                    ws.stream().calls.len()
                });
                if calls <= at {
                    break;
                }
            }
        }
    });
}

// conf: FG-09
#[test]
fn streams_that_hardly_ever_work_lose_and_double_nothing() {
    each(|talk, lane, reference, _| {
        for (step, period) in [(1, 0), (70, 2), (1000, 2), (100_000, 5)] {
            let script = if step == 1 { reference.script[..200].to_vec() } else { reference.script.clone() };
            let kinds = [ErrorKind::WouldBlock, ErrorKind::Interrupted, ErrorKind::TimedOut];
            let stream = Scripted::new(script, step, |call, _| match period {
                0 => Fault::None,
                // In no step with the order of the calls.
                _ if hash(call) % period == 0 => Fault::None,
                _ => Fault::Nothing(kinds[call % 3]),
            });
            run(async {
                let mut ws = over(talk, stream, Config::new().max_queued_output(5000));
                let (seen, verdict) = converse(&mut ws, lane, Patience::ENDLESS).await;
                if step == 1 {
                    assert!(matches!(verdict, Err(Error::Connection(sansocket::Error::UnexpectedEof))));
                    assert!(reference.seen.starts_with(&seen) && !seen.is_empty());
                    assert!(reference.sent.starts_with(&ws.stream().sent));
                } else {
                    assert!(verdict.is_ok(), "{verdict:?}");
                    assert!(seen == reference.seen, "{talk:?} {lane:?} {step} {period}");
                    let same = says_the_same(talk, &ws.stream().sent, reference);
                    assert!(same, "{talk:?} {lane:?} {step} {period}");
                }
            });
        }
    });
}

/// The later calls after the end say what the first one said, and nothing else happens on the stream.
async fn stays<F: FnMut(usize, Call) -> Fault + Unpin>(
    ws: &mut WebSocket<Scripted<F>>,
    verdict: &Result<(), Error>,
) {
    let sent = ws.stream().sent.len();
    for _ in 0..2 {
        let said = format!("{verdict:?}");
        assert_eq!(format!("{:?}", ws.recv().await.map(|_| ())), said);
        assert_eq!(format!("{:?}", ws.recv_event().await.map(|_| ())), said);
        assert_eq!(format!("{:?}", ws.recv_ref().await.map(|_| ())), said);
        assert_eq!(format!("{:?}", ws.close(CloseCode::NORMAL, "").await), said);
        let refused = ws.send("too late").await;
        assert!(matches!(refused, Err(Error::Send(sansocket::SendError::Closed))), "{refused:?}");
    }
    assert_eq!(ws.stream().sent.len(), sent);
}

// conf: CL-16 FL-07
#[test]
fn an_error_is_the_end_the_same_on_each_call() {
    each(|talk, lane, reference, step| {
        for fault in [Fault::Dead(ErrorKind::ConnectionReset), Fault::Deaf(ErrorKind::BrokenPipe)] {
            for at in 0.. {
                let stream = Scripted::new(reference.script.clone(), step, once(fault, at));
                let untouched = run(async {
                    let mut ws = over(talk, stream, Config::new());
                    let (seen, verdict) = converse(&mut ws, lane, Patience::ENDLESS).await;
                    let place = format!("{talk:?} {lane:?} {fault:?} at {at}: {verdict:?}");
                    let is_all = ws.stream().sent == reference.sent;
                    if ws.stream().calls.len() <= at {
                        assert!(verdict.is_ok() && is_all, "{place}");
                        return true;
                    }
                    assert!(reference.seen.starts_with(&seen), "{place}");
                    assert!(reference.sent.starts_with(&ws.stream().sent), "{place}");
                    let summary = ws.summary().unwrap();
                    let heard_close = summary.code == CloseCode::new(3456);
                    assert!(heard_close || summary.code == CloseCode::ABNORMAL, "{place}");
                    // Not clean either if the answer did not leave.
                    let is_all = is_all && !ws.stream().lost_by_flush(at, fault);
                    assert_eq!(summary.clean, heard_close && is_all, "{place}");
                    match (&verdict, fault) {
                        (Ok(()), _) => assert!(heard_close && seen == reference.seen, "{place}"),
                        (Err(Error::Io(error)), Fault::Dead(kind)) => {
                            let is_its_own = error.kind() == kind && error.to_string() == "scripted";
                            assert!(is_its_own && !heard_close, "{place}");
                        }
                        _ => panic!("{place}"),
                    }
                    stays(&mut ws, &verdict).await;
                    false
                });
                if untouched {
                    break;
                }
            }
        }
    });
}

// conf: FR-13 CL-16
#[test]
fn the_end_of_the_stream_without_a_close_is_abnormal_wherever_it_comes() {
    each(|talk, lane, reference, step| {
        for at in 0.. {
            let stream = Scripted::new(reference.script.clone(), step, once(Fault::End, at));
            let untouched = run(async {
                let mut ws = over(talk, stream, Config::new());
                let (seen, verdict) = converse(&mut ws, lane, Patience::ENDLESS).await;
                if ws.stream().calls.len() <= at {
                    assert!(verdict.is_ok() && ws.stream().sent == reference.sent);
                    return true;
                }
                assert!(reference.seen.starts_with(&seen));
                assert!(reference.sent.starts_with(&ws.stream().sent));
                let code = ws.summary().unwrap().code;
                match &verdict {
                    Ok(()) => assert_eq!(code, CloseCode::new(3456)),
                    Err(Error::Connection(sansocket::Error::UnexpectedEof)) => {
                        assert_eq!(code, CloseCode::ABNORMAL)
                    }
                    // The end was noticed by a write.
                    Err(Error::Io(error)) => {
                        assert_eq!((error.kind(), code), (ErrorKind::WriteZero, CloseCode::ABNORMAL));
                    }
                    Err(error) => panic!("{error:?}"),
                }
                stays(&mut ws, &verdict).await;
                false
            });
            if untouched {
                break;
            }
        }
    });
}

// conf: FR-13
#[test]
fn the_end_inside_a_frame_is_abnormal_at_every_byte() {
    let mut script = Vec::new();
    let mut peer = Connection::client(Config::new(), keys(), Duration::ZERO);
    peer.send("whole", &mut script).unwrap();
    let whole = script.len();
    peer.send(pattern(300), &mut script).unwrap();
    for end in 0..=script.len() {
        run(async {
            let stream = Scripted::new(script[..end].to_vec(), 1 << 20, |_, _| Fault::None);
            let mut ws = server(stream, Config::new());
            let (seen, verdict) = converse(&mut ws, Lane::Owned, Patience::ENDLESS).await;
            assert_eq!(seen.len(), usize::from(end >= whole) + usize::from(end == script.len()));
            assert!(
                matches!(verdict, Err(Error::Connection(sansocket::Error::UnexpectedEof))),
                "{verdict:?}"
            );
            assert!(!ws.summary().unwrap().clean);
        });
    }
}
