//! Every I/O call of a whole conversation over tokio, plain and compressed, fails once, is short or is not ready, and every
//! future is dropped at each of its awaits, in both roles and three lanes.
#![cfg(all(feature = "tokio", feature = "rand"))]

mod blocking_support;
mod faults_support;
mod tokio_support;

use core::time::Duration;
use std::io::ErrorKind;

use blocking_support::{owned, pattern};
use faults_support::{Coding, Seen, Talk, messages, seen};
use sansocket::tokio::{Error, WebSocket};
use sansocket::{CloseCode, Config, Event, Fin, Message};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_support::{Call, Fault, Scripted, cut, once, reluctant, run};

fn over<S: AsyncRead + AsyncWrite + Unpin>(talk: Talk, stream: S, config: Config) -> WebSocket<S> {
    WebSocket::over(stream, talk.connection(config))
}

/// By which calls the application receives and answers.
#[derive(Clone, Copy, Debug)]
enum Lane {
    Events,
    Owned,
    Lent,
}

const LANES: [Lane; 3] = [Lane::Events, Lane::Owned, Lane::Lent];

/// How patient the application is: after so many polls it drops a future and goes on in another way.
#[derive(Clone, Copy, Debug)]
struct Patience {
    first: usize,
    later: usize,
}

const ENDLESS: Patience = Patience { first: usize::MAX, later: usize::MAX };

/// Calls again until a call comes to its end; the next one is `$again`, for what must not be done twice.
macro_rules! insist {
    ($patience:expr, $call:expr, $again:expr) => {{
        let mut done = cut($call, $patience.first).await;
        while done.is_none() {
            done = cut($again, $patience.later).await;
        }
        done.unwrap()
    }};
}

/// Answers everything, as far as the stream lets it; returns what was received and the verdict.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocket<S>,
    lane: Lane,
    patience: Patience,
) -> (Vec<Event<'static>>, Result<(), Error>) {
    let mut seen = Vec::new();
    // Errors while sending show again as the verdict. What was taken is not sent again, but flushed.
    let _ = insist!(patience, ws.send("first of all"), ws.flush());
    let _ = insist!(patience, ws.send_fragment("one ", Fin::More), ws.flush());
    let _ = insist!(patience, ws.ping(b"between fragments"), ws.flush());
    let _ = insist!(patience, ws.send_fragment("message", Fin::Final), ws.flush());
    loop {
        let received = match lane {
            Lane::Events => {
                insist!(patience, event(ws), event(ws))
            }
            Lane::Owned => insist!(patience, ws.recv(), ws.recv()).map(|message| message.map(Event::Message)),
            Lane::Lent => echo_lent(ws, patience).await,
        };
        match received {
            Ok(Some(event)) => {
                if let (Event::Message(message), Lane::Events | Lane::Owned) = (&event, lane) {
                    let _ = insist!(patience, ws.send(message), ws.flush());
                }
                seen.push(event);
            }
            Ok(None) => return (seen, Ok(())),
            Err(error) => return (seen, Err(error)),
        }
    }
}

async fn event<S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocket<S>,
) -> Result<Option<Event<'static>>, Error> {
    Ok(ws.recv_event().await?.map(owned))
}

async fn echo_lent<S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocket<S>,
    patience: Patience,
) -> Result<Option<Event<'static>>, Error> {
    let mut polls = patience.first;
    loop {
        let Some(received) = cut(ws.recv_ref(), polls).await else {
            polls = patience.later;
            continue;
        };
        let Some((message, mut tx)) = received? else { return Ok(None) };
        if message.len() < 1000 {
            let _ = insist!(patience, tx.feed(&message), tx.flush());
        } else {
            let _ = insist!(patience, tx.send(&message), tx.flush());
        }
        return Ok(Some(Event::Message(message.into_owned())));
    }
}

struct Reference {
    script: Vec<u8>,
    seen: Vec<Event<'static>>,
    sent: Vec<u8>,
}

/// The conversation without faults, checked by itself.
fn reference(talk: Talk, lane: Lane, step: usize) -> Reference {
    let script = talk.script();
    let (received, ws) = run(async {
        let mut ws = over(talk, Scripted::new(script.clone(), step, |_, _| Fault::None), Config::new());
        let (received, verdict) = converse(&mut ws, lane, ENDLESS).await;
        verdict.unwrap();
        (received, ws)
    });
    let summary = ws.summary().unwrap();
    assert_eq!((summary.code, &*summary.reason, summary.clean), (CloseCode::new(3456), "bye", true));
    let said = Talk::said();
    assert!(messages(&received) == said, "{lane:?} {talk:?}: {} events", received.len());
    let Scripted { sent, .. } = ws.into_parts().transport;
    let first: [Message<'_>; 2] = ["first of all".into(), "one message".into()];
    let (data, controls): (Vec<_>, Vec<_>) =
        talk.heard(&sent).into_iter().partition(|seen| matches!(seen, Seen::Text(_) | Seen::Binary(_)));
    assert!(data == first.iter().chain(&said).map(seen).collect::<Vec<_>>(), "{lane:?} {talk:?}");
    let expected = [
        Seen::Ping(b"between fragments".to_vec()),
        Seen::Pong(b"alive?".to_vec()),
        Seen::Pong(b"in between".to_vec()),
        Seen::Close(3456, Vec::new()),
    ];
    assert_eq!(controls, expected);
    Reference { script, seen: received, sent }
}

fn each(mut check: impl FnMut(Talk, Lane, &Reference, usize)) {
    for talk in Talk::all() {
        for lane in LANES {
            let step = 30_000;
            check(talk, lane, &reference(talk, lane, step), step);
        }
    }
}

// conf: FG-09 FR-12
#[test]
fn calls_that_are_not_ready_or_do_little_lose_and_double_nothing() {
    each(|talk, lane, reference, step| {
        for fault in [Fault::Short, Fault::Pending] {
            for at in 0.. {
                let calls = run(async {
                    let stream = Scripted::new(reference.script.clone(), step, once(fault, at));
                    let mut ws = over(talk, stream, Config::new().max_queued_output(10_000));
                    let (seen, verdict) = converse(&mut ws, lane, ENDLESS).await;
                    assert!(verdict.is_ok(), "{talk:?} {lane:?} {fault:?} at {at}: {verdict:?}");
                    assert!(seen == reference.seen, "{talk:?} {lane:?} {fault:?} at {at}");
                    assert!(ws.stream().sent == reference.sent, "{talk:?} {lane:?} {fault:?} at {at}");
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
            let stream = Scripted::new(script, step, |call, _| match period {
                0 => Fault::None,
                // In no step with the order of the calls.
                _ if hash(call) % period == 0 => Fault::None,
                _ => Fault::Pending,
            });
            run(async {
                let mut ws = over(talk, stream, Config::new().max_queued_output(5000));
                let (seen, verdict) = converse(&mut ws, lane, ENDLESS).await;
                if step == 1 {
                    assert!(matches!(verdict, Err(Error::Connection(sansocket::Error::UnexpectedEof))));
                    assert!(reference.seen.starts_with(&seen) && !seen.is_empty());
                    assert!(reference.sent.starts_with(&ws.stream().sent));
                } else {
                    assert!(verdict.is_ok(), "{verdict:?}");
                    assert!(seen == reference.seen, "{talk:?} {lane:?} {step} {period}");
                    assert!(ws.stream().sent == reference.sent, "{talk:?} {lane:?} {step} {period}");
                }
            });
        }
    });
}

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
                let stream = Scripted::new(reference.script.clone(), step, once(Fault::Pending, at));
                let mut ws = over(talk, stream, Config::new().max_queued_output(10_000));
                let patience = Patience { first: 1, later: usize::MAX };
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
                        _ => Fault::Pending,
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
                    let (seen, verdict) = converse(&mut ws, lane, ENDLESS).await;
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
                    let is_all = is_all && ws.stream().calls[at] != Call::Flush;
                    assert_eq!(summary.clean, heard_close && is_all, "{place}");
                    match (&verdict, fault) {
                        (Ok(()), _) => assert!(heard_close && seen == reference.seen, "{place}"),
                        (Err(Error::Io(error)), Fault::Dead(kind)) => {
                            assert!(
                                error.kind() == kind && error.to_string() == "scripted" && !heard_close,
                                "{place}"
                            );
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
                let (seen, verdict) = converse(&mut ws, lane, ENDLESS).await;
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

fn hash(number: usize) -> usize {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) as usize
}

/// A stream that reports its own time-out, or what only streams that do not wait say, each time it is asked.
struct Impatient(ErrorKind);

impl AsyncRead for Impatient {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Err(self.0.into()))
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::Poll::Ready(Err(self.0.into()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Err(self.0.into()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Err(self.0.into()))
    }
}

#[tokio::test]
async fn a_time_out_of_the_stream_itself_is_its_failure() {
    use sansocket::{Config, Connection};

    for kind in [ErrorKind::TimedOut, ErrorKind::WouldBlock] {
        let connection = Connection::server(Config::default(), Duration::ZERO);
        let mut ws = WebSocket::over(Impatient(kind), connection);
        for _ in 0..2 {
            assert!(matches!(ws.recv().await, Err(Error::Io(_))), "{kind:?}");
        }
        assert!(ws.send("too late").await.is_err());
    }
}
