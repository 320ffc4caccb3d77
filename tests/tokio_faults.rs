//! Every I/O call of a whole conversation over tokio fails once, is short or is not ready, and every future is dropped
//! at each of its awaits, in both roles and three lanes.
#![cfg(all(feature = "tokio", feature = "rand"))]

mod stream_support;
mod tokio_support;

use core::time::Duration;
use std::io::ErrorKind;

use sansocket::tokio::{Error, WebSocket};
use sansocket::{CloseCode, Config, Connection, Event, Fin, Message, Role};
use stream_support::{keys, owned, pattern, read_all, text};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_support::{Call, Fault, Scripted, client, cut, run, server};

/// What the peer says.
fn script(peer: Role) -> Vec<u8> {
    let mut out = Vec::new();
    let now = Duration::ZERO;
    let mut peer = match peer {
        Role::Client => Connection::client(Config::new(), keys(), now),
        Role::Server => Connection::server(Config::new(), now),
    };
    peer.send("hello", &mut out).unwrap();
    peer.send(pattern(90_000), &mut out).unwrap();
    peer.ping(b"alive?", &mut out).unwrap();
    peer.send_fragment("gr", Fin::More, &mut out).unwrap();
    peer.ping(b"in between", &mut out).unwrap();
    peer.send_fragment("üße", Fin::Final, &mut out).unwrap();
    peer.send(text(3000), &mut out).unwrap();
    peer.send_fragment(pattern(5000), Fin::More, &mut out).unwrap();
    peer.send_fragment(pattern(300), Fin::Final, &mut out).unwrap();
    peer.send(b"", &mut out).unwrap();
    peer.close(now, CloseCode::new(3456), "bye", &mut out).unwrap();
    out
}

fn over<S: AsyncRead + AsyncWrite + Unpin>(role: Role, stream: S, config: Config) -> WebSocket<S> {
    match role {
        Role::Client => client(stream, config),
        Role::Server => server(stream, config),
    }
}

fn opposite(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
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
    calls: usize,
}

/// The conversation without faults, checked by itself.
fn reference(role: Role, lane: Lane, step: usize) -> Reference {
    let script = script(opposite(role));
    let (seen, ws) = run(async {
        let mut ws = over(role, Scripted::new(script.clone(), step, |_, _| Fault::None), Config::new());
        let (seen, verdict) = converse(&mut ws, lane, ENDLESS).await;
        verdict.unwrap();
        (seen, ws)
    });
    let summary = ws.summary().unwrap();
    assert_eq!((summary.code, summary.reason, summary.clean), (CloseCode::new(3456), "bye", true));
    let expected: &[Message<'_>] = &[
        "hello".into(),
        pattern(90_000).into(),
        "grüße".into(),
        text(3000).into(),
        [pattern(5000), pattern(300)].concat().into(),
        b"".into(),
    ];
    assert!(messages(&seen) == expected, "{lane:?} {role:?}: {} events", seen.len());
    let Scripted { sent, calls, .. } = ws.into_parts().transport;
    let heard = heard(role, &sent);
    let first: [Message<'_>; 2] = ["first of all".into(), "one message".into()];
    assert!(messages(&heard) == [&first, expected].concat());
    let controls: Vec<_> = heard.iter().filter(|event| !matches!(event, Event::Message(_))).collect();
    assert_eq!(controls[0], &Event::Ping(b"between fragments"[..].into()));
    assert_eq!(controls[1], &Event::Pong(b"alive?"[..].into()));
    assert_eq!(controls[2], &Event::Pong(b"in between"[..].into()));
    assert!(matches!(controls[3], Event::Close(frame) if frame.code == CloseCode::new(3456)));
    assert_eq!(controls.len(), 4);
    Reference { script, seen, sent, calls: calls.len() }
}

fn messages(events: &[Event<'static>]) -> Vec<Message<'static>> {
    let data = events.iter().filter_map(|event| match event {
        Event::Message(message) => Some(message.clone()),
        _ => None,
    });
    data.collect()
}

/// What the peer of `role` finds in `sent`, which must be whole frames.
fn heard(role: Role, sent: &[u8]) -> Vec<Event<'static>> {
    let mut peer = match role {
        Role::Client => Connection::server(Config::new(), Duration::ZERO),
        Role::Server => Connection::client(Config::new(), keys(), Duration::ZERO),
    };
    let (heard, error) = read_all(&mut peer, &mut sent.to_vec());
    assert_eq!(error, None);
    heard
}

fn each(mut check: impl FnMut(Role, Lane, &Reference, usize)) {
    for role in [Role::Client, Role::Server] {
        for lane in LANES {
            let step = 30_000;
            check(role, lane, &reference(role, lane, step), step);
        }
    }
}

// conf: FG-09 FR-12
#[test]
fn calls_that_are_not_ready_or_do_little_lose_and_double_nothing() {
    each(|role, lane, reference, step| {
        for fault in [Fault::Short, Fault::Pending] {
            for at in 0..reference.calls + 2 {
                run(async {
                    let script = reference.script.clone();
                    let stream =
                        Scripted::new(script, step, |call, _| if call == at { fault } else { Fault::None });
                    let mut ws = over(role, stream, Config::new().max_queued_output(10_000));
                    let (seen, verdict) = converse(&mut ws, lane, ENDLESS).await;
                    assert!(verdict.is_ok(), "{role:?} {lane:?} {fault:?} at {at}: {verdict:?}");
                    assert!(seen == reference.seen, "{role:?} {lane:?} {fault:?} at {at}");
                    assert!(ws.stream().sent == reference.sent, "{role:?} {lane:?} {fault:?} at {at}");
                });
            }
        }
    });
}

// conf: FG-09
#[test]
fn streams_that_hardly_ever_work_lose_and_double_nothing() {
    each(|role, lane, reference, _| {
        for (step, period) in [(1, 0), (70, 2), (1000, 2), (100_000, 5)] {
            let script = if step == 1 { reference.script[..200].to_vec() } else { reference.script.clone() };
            let stream = Scripted::new(script, step, |call, _| match period {
                0 => Fault::None,
                // In no step with the order of the calls.
                _ if hash(call) % period == 0 => Fault::None,
                _ => Fault::Pending,
            });
            run(async {
                let mut ws = over(role, stream, Config::new().max_queued_output(5000));
                let (seen, verdict) = converse(&mut ws, lane, ENDLESS).await;
                if step == 1 {
                    assert!(matches!(verdict, Err(Error::Connection(sansocket::Error::UnexpectedEof))));
                    assert!(reference.seen.starts_with(&seen) && !seen.is_empty());
                    assert!(reference.sent.starts_with(&ws.stream().sent));
                } else {
                    assert!(verdict.is_ok(), "{verdict:?}");
                    assert!(seen == reference.seen, "{role:?} {lane:?} {step} {period}");
                    assert!(ws.stream().sent == reference.sent, "{role:?} {lane:?} {step} {period}");
                }
            });
        }
    });
}

/// Every call of the stream is first not ready, so that there is an await at each.
// conf: FG-09 FR-12
#[test]
fn futures_that_are_dropped_at_any_await_lose_and_double_nothing() {
    each(|role, lane, reference, _| {
        for step in [700, 30_000, 1 << 20] {
            for first in 1..8 {
                for later in [1, 2, usize::MAX] {
                    run(async {
                        let stream = Scripted::new(reference.script.clone(), step, reluctant(2));
                        let mut ws = over(role, stream, Config::new());
                        let patience = Patience { first, later };
                        let (seen, verdict) = converse(&mut ws, lane, patience).await;
                        let place = format!("{role:?} {lane:?} {step} {patience:?}");
                        assert!(verdict.is_ok(), "{place}: {verdict:?}");
                        assert!(seen == reference.seen, "{place}");
                        assert!(ws.stream().sent == reference.sent, "{place}");
                    });
                }
            }
        }
    });
}

/// Dropped before its first poll, it has done nothing yet.
// conf: FG-09
#[test]
fn closing_may_be_dropped_at_any_await() {
    for role in [Role::Client, Role::Server] {
        for polls in 0..20 {
            for pending in [2, 3, 1000] {
                let mut script = Vec::new();
                let mut peer = match role {
                    Role::Server => Connection::client(Config::new(), keys(), Duration::ZERO),
                    Role::Client => Connection::server(Config::new(), Duration::ZERO),
                };
                peer.send(pattern(70_000), &mut script).unwrap();
                peer.close(Duration::ZERO, CloseCode::NORMAL, "", &mut script).unwrap();
                run(async {
                    let stream = Scripted::new(script, 9000, reluctant(pending));
                    let mut ws = over(role, stream, Config::new());
                    ws.feed("queued").await.unwrap();
                    if cut(ws.close(CloseCode::new(3000), "why"), polls).await.is_none() {
                        while cut(ws.close(CloseCode::new(3001), "not this"), 1).await.is_none() && polls > 0
                        {
                        }
                        ws.close(CloseCode::new(3001), "not this").await.unwrap();
                    }
                    assert!(ws.summary().unwrap().clean);
                    let stream = ws.into_parts().transport;
                    // A client whose server has ended the stream need not wait for its own end.
                    assert!(stream.shut || role == Role::Client);
                    assert!(stream.count(Call::Shutdown) > 0);
                    let heard = heard(role, &stream.sent);
                    assert_eq!(heard[0], Event::Message("queued".into()));
                    let expected = if polls == 0 { 3001 } else { 3000 };
                    assert!(
                        matches!(&heard[1], Event::Close(frame) if frame.code.get() == expected),
                        "{heard:?}"
                    );
                    assert_eq!(heard.len(), 2);
                });
            }
        }
    }
}

/// What the queue has no room for is not taken; what is taken leaves whole.
#[test]
fn a_send_that_is_dropped_was_taken_whole_or_not_at_all() {
    for role in [Role::Client, Role::Server] {
        for size in [1, 100, 3000, 40_000] {
            for lane in 0..3 {
                run(async {
                    // The stream takes a little now and then.
                    let stream = Scripted::new(Vec::new(), 611, |call, _| match hash(call) % 3 {
                        0 => Fault::None,
                        _ => Fault::Pending,
                    });
                    let mut ws = over(role, stream, Config::new().max_queued_output(2000));
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
                        assert!(after == before || after > before + size, "{before} {after}");
                        assert!(done.is_none() || after > before);
                        if lane == 0 && done.is_some() {
                            assert_eq!(ws.queued(), 0, "it has left");
                        }
                        // One message more than the limit at the most.
                        assert!(ws.queued() < 2000 + size + 30, "{}", ws.queued());
                        if after > before {
                            taken.push(Message::from(message));
                        }
                    }
                    assert!(taken.len() > 2 && taken.len() < 300, "{}", taken.len());
                    while cut(ws.flush(), 1).await.is_none() {}
                    assert!(messages(&heard(role, &ws.stream().sent)) == taken);
                });
            }
        }
    }
}

/// Of each kind of call the first one of so many is not ready.
fn reluctant(period: usize) -> impl FnMut(usize, Call) -> Fault {
    let mut turns = [0; 4];
    move |_, call| {
        let turn = &mut turns[call as usize];
        *turn += 1;
        if *turn % period == 1 { Fault::Pending } else { Fault::None }
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
    each(|role, lane, reference, step| {
        for fault in [Fault::Dead(ErrorKind::ConnectionReset), Fault::Deaf(ErrorKind::BrokenPipe)] {
            for at in 0..reference.calls {
                let stream = Scripted::new(reference.script.clone(), step, |call, _| {
                    if call == at { fault } else { Fault::None }
                });
                run(async {
                    let mut ws = over(role, stream, Config::new());
                    let (seen, verdict) = converse(&mut ws, lane, ENDLESS).await;
                    let place = format!("{role:?} {lane:?} {fault:?} at {at}: {verdict:?}");
                    assert!(reference.seen.starts_with(&seen), "{place}");
                    assert!(reference.sent.starts_with(&ws.stream().sent), "{place}");
                    let summary = ws.summary().unwrap();
                    let heard_close = summary.code == CloseCode::new(3456);
                    assert!(heard_close || summary.code == CloseCode::ABNORMAL, "{place}");
                    assert_eq!(summary.clean, heard_close, "{place}");
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
                });
            }
        }
    });
}

// conf: FR-13 CL-16
#[test]
fn the_end_of_the_stream_without_a_close_is_abnormal_wherever_it_comes() {
    each(|role, lane, reference, step| {
        for at in 0..reference.calls {
            let stream = Scripted::new(reference.script.clone(), step, |call, _| {
                if call == at { Fault::End } else { Fault::None }
            });
            run(async {
                let mut ws = over(role, stream, Config::new());
                let (seen, verdict) = converse(&mut ws, lane, ENDLESS).await;
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
            });
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
