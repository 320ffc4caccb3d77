//! Every I/O call over tokio of an opening, of a closing that begins on this side, and of a conversation by halves fails
//! once, is short or is not ready, and the future that waits for it is dropped.
#![cfg(all(feature = "tokio", feature = "rand"))]

mod blocking_support;
mod faults_support;
mod tokio_support;

use core::time::Duration;
use std::io::ErrorKind;

use blocking_support::{owned, pattern};
use faults_support::closing::{Way, assert_closed, each_closing, last_words};
use faults_support::{Coding, Seen, Talk, messages, seen};
use sansocket::tokio::{Error, WebSocket};
use sansocket::{CloseCode, Config, Event, Initiator, Message, Role};
use tokio_support::{Call, Fault, Scripted, cut, once, reluctant, run};

/// The last one with the future dropped that finds it.
const HARMLESS: [(Fault, usize); 3] =
    [(Fault::Short, usize::MAX), (Fault::Pending, usize::MAX), (Fault::Pending, 1)];
const DEADLY: [Fault; 3] =
    [Fault::Dead(ErrorKind::ConnectionReset), Fault::Deaf(ErrorKind::BrokenPipe), Fault::End];

/// Whether a flush that goes so loses what was written.
fn fails(fault: Fault) -> bool {
    matches!(fault, Fault::Dead(_) | Fault::Deaf(_))
}

type Ws<F> = WebSocket<Scripted<F>>;

/// Polls so often at most before it drops the future; then calls `$again` to the end.
macro_rules! insist {
    ($polls:expr, $call:expr, $again:expr) => {
        match cut($call, $polls).await {
            Some(done) => done,
            None => $again.await,
        }
    };
}

async fn close<F: FnMut(usize, Call) -> Fault + Unpin>(
    ws: &mut Ws<F>,
    way: Way,
    polls: usize,
) -> (Vec<Event<'static>>, Result<(), Error>) {
    let mut seen = Vec::new();
    let _ = insist!(polls, ws.feed("queued"), ws.flush());
    let _ = insist!(polls, ws.ping(b"and a ping"), ws.flush());
    if let Way::Close = way {
        let closed = insist!(
            polls,
            ws.close(CloseCode::new(3000), "why"),
            ws.close(CloseCode::new(3001), "only if the first one did nothing")
        );
        return (seen, closed);
    }
    let _ = insist!(polls, ws.start_close(CloseCode::new(3000), "why"), ws.flush());
    loop {
        let event = async |ws: &mut Ws<F>| Ok(ws.recv_event().await?.map(owned));
        match insist!(polls, event(ws), event(ws)) {
            Ok(Some(event)) => seen.push(event),
            Ok(None) => return (seen, Ok(())),
            Err(error) => return (seen, Err(error)),
        }
    }
}

/// In a closing that nothing disturbs, checked by itself: what was written.
fn reference(talk: Talk, way: Way) -> Vec<u8> {
    let stream = Scripted::new(last_words(talk), 9000, once(Fault::None, 0));
    let mut ws = WebSocket::over(stream, talk.connection(Config::new()));
    let (seen, verdict) = run(close(&mut ws, way, usize::MAX));
    verdict.unwrap();
    let stream = ws.into_parts().transport;
    assert_closed(talk, way, &seen, &stream.sent, stream.shut);
    stream.sent
}

// conf: CL-06 CL-11 CL-14 FG-09
#[test]
fn a_close_gets_through_calls_that_do_little_and_futures_that_are_dropped() {
    each_closing(reference, &HARMLESS, |talk, way, (fault, polls), reference, at| {
        let stream = Scripted::new(last_words(talk), 9000, once(fault, at));
        let mut ws = WebSocket::over(stream, talk.connection(Config::new()));
        let (_, verdict) = run(close(&mut ws, way, polls));
        let place = format!("{talk:?} {way:?} {fault:?} at {at}, {polls} polls");
        assert!(verdict.is_ok(), "{place}: {verdict:?}");
        let summary = ws.summary().unwrap();
        assert_eq!(
            (summary.code, &*summary.reason, summary.clean),
            (CloseCode::new(3456), "bye", true),
            "{place}"
        );
        assert_eq!(summary.initiator, Initiator::Local, "{place}");
        let stream = ws.into_parts().transport;
        assert!(stream.sent == reference && (stream.shut || talk.role == Role::Client), "{place}");
        stream.calls.len() <= at
    });
}

// conf: CL-11 CL-12 CL-16
#[test]
fn a_close_over_a_stream_that_fails_ends_and_says_how() {
    each_closing(reference, &DEADLY, |talk, way, fault, reference, at| {
        let stream = Scripted::new(last_words(talk), 9000, once(fault, at));
        let mut ws = WebSocket::over(stream, talk.connection(Config::new()));
        let (seen, verdict) = run(close(&mut ws, way, usize::MAX));
        let place = format!("{talk:?} {way:?} {fault:?} at {at}: {verdict:?}");
        let (calls, sent) = (ws.stream().calls.len(), ws.stream().sent.clone());
        assert!(reference.starts_with(&sent), "{place}");
        let summary = ws.summary().expect("it is over");
        let heard_close = summary.code == CloseCode::new(3456);
        assert!(heard_close || summary.code == CloseCode::ABNORMAL, "{place}");
        let lost = fails(fault) && ws.stream().calls.get(at) == Some(&Call::Flush);
        let is_all = sent == reference && !lost;
        assert_eq!(summary.clean, heard_close && is_all, "{place}: {summary}");
        assert_eq!(verdict.is_ok(), heard_close, "{place}");
        if heard_close && matches!(way, Way::Start) {
            assert_eq!(messages(&seen).len(), 2, "{place}");
        }
        // It stays what it is, and nothing more is written.
        for _ in 0..2 {
            let said = format!("{verdict:?}");
            assert_eq!(format!("{:?}", run(ws.recv()).map(drop)), said, "{place}");
            assert_eq!(format!("{:?}", run(ws.close(CloseCode::NORMAL, ""))), said, "{place}");
            assert!(run(ws.send("late")).is_err(), "{place}");
        }
        assert_eq!(ws.stream().sent, sent, "{place}");
        calls <= at
    });
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

/// A whole conversation by the halves of a connection, which meet again at the end.
async fn by_halves<F: FnMut(usize, Call) -> Fault + Unpin>(
    ws: Ws<F>,
    polls: usize,
) -> (Ws<F>, Vec<Message<'static>>, Result<(), Error>) {
    let (mut receiver, mut sender) = ws.split();
    let mut seen = Vec::new();
    let _ = insist!(polls, sender.send("first of all"), sender.flush());
    let verdict = loop {
        match insist!(polls, receiver.recv(), receiver.recv()) {
            Ok(Some(message)) => {
                if message.len() < 1000 {
                    let _ = insist!(polls, sender.feed(&message), sender.flush());
                } else {
                    let _ = insist!(polls, sender.send(&message), sender.flush());
                }
                seen.push(message);
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let ws = receiver.reunite(sender).map_err(|_| "not the same").unwrap();
    (ws, seen, verdict)
}

// conf: FG-09 CL-16
#[test]
fn halves_lose_and_double_nothing_and_end_with_their_stream() {
    for talk in Talk::all() {
        let over = |fault, at, polls| {
            let stream = Scripted::new(talk.script(), 30_000, once(fault, at));
            let config = Config::new().max_queued_output(10_000);
            run(by_halves(WebSocket::over(stream, talk.connection(config)), polls))
        };
        let (ws, received, verdict) = over(Fault::None, 0, usize::MAX);
        verdict.unwrap();
        assert!(received == Talk::said());
        let reference = ws.into_parts().transport.sent;
        let first = Message::from("first of all");
        let data: Vec<_> = talk
            .heard(&reference)
            .into_iter()
            .filter(|seen| matches!(seen, Seen::Text(_) | Seen::Binary(_)))
            .collect();
        assert!(data == core::iter::once(&first).chain(&received).map(seen).collect::<Vec<_>>());
        let deadly = DEADLY.map(|fault| (fault, usize::MAX));
        for (fault, polls) in HARMLESS.into_iter().chain(deadly) {
            let untouched = (0..1000).any(|at| {
                let (ws, seen, verdict) = over(fault, at, polls);
                let place = format!("{talk:?} {fault:?} at {at}, {polls} polls: {verdict:?}");
                let stream = ws.stream();
                assert!(reference.starts_with(&stream.sent), "{place}");
                assert!(received.starts_with(&seen), "{place}");
                let summary = ws.summary().unwrap();
                assert_eq!(verdict.is_ok(), summary.code == CloseCode::new(3456), "{place}");
                let lost = fails(fault) && stream.calls.get(at) == Some(&Call::Flush);
                assert_eq!(summary.clean, verdict.is_ok() && stream.sent == reference && !lost, "{place}");
                if matches!(fault, Fault::Short | Fault::Pending) || stream.calls.len() <= at {
                    assert!(summary.clean && seen == received, "{place}");
                }
                stream.calls.len() <= at
            });
            assert!(untouched);
        }
    }
}

mod opening {
    use sansocket::tokio::{Acceptor, Connector, HandshakeError};

    use super::*;
    use crate::faults_support::{accepted_request, answer_and_talk, request_and_talk, strict_response};

    async fn open<F: FnMut(usize, Call) -> Fault + Unpin>(role: Role, fault: F) -> Result<Ws<F>, Error> {
        match role {
            Role::Server => Acceptor::new().accept(Scripted::new(request_and_talk(), 90, fault)).await,
            Role::Client => {
                let stream = Scripted::answering(answer_and_talk, 90, fault);
                Connector::new("ws://localhost/chat").connect_over(stream).await
            }
        }
    }

    async fn talk<F: FnMut(usize, Call) -> Fault + Unpin>(
        ws: &mut Ws<F>,
    ) -> (Vec<Message<'static>>, Result<(), Error>) {
        let mut seen = Vec::new();
        loop {
            match ws.recv().await {
                Ok(Some(message)) => seen.push(message),
                Ok(None) => return (seen, Ok(())),
                Err(error) => return (seen, Err(error)),
            }
        }
    }

    fn check_sent(role: Role, sent: &[u8]) {
        let frames = match role {
            Role::Server => strict_response(sent),
            Role::Client => accepted_request(sent),
        };
        let talk = Talk { role, coding: Coding::Plain };
        assert_eq!(talk.heard(frames), [Seen::Pong(b"?".to_vec()), Seen::Close(1000, vec![])]);
    }

    // conf: SQ-25 SQ-27 CR-16 CR-18
    #[test]
    fn calls_that_do_little_lose_and_double_nothing() {
        for role in [Role::Server, Role::Client] {
            for fault in [Fault::Short, Fault::Pending] {
                let untouched = (0..1000).any(|at| {
                    run(async {
                        let place = format!("{role:?} {fault:?} at {at}");
                        let opened = open(role, once(fault, at)).await;
                        let mut ws = opened.unwrap_or_else(|error| panic!("{place}: {error}"));
                        let (seen, verdict) = talk(&mut ws).await;
                        assert!(verdict.is_ok() && seen == ["hi"], "{place}: {seen:?} {verdict:?}");
                        check_sent(role, &ws.stream().sent);
                        ws.stream().calls.len() <= at
                    })
                });
                assert!(untouched);
            }
        }
    }

    // conf: CR-19 CL-17
    #[test]
    fn a_stream_that_fails_is_an_error_and_no_connection() {
        for role in [Role::Server, Role::Client] {
            for fault in DEADLY {
                let untouched = (0..1000).any(|at| {
                    run(async {
                        let place = format!("{role:?} {fault:?} at {at}");
                        let mut ws = match open(role, once(fault, at)).await {
                            Ok(ws) => ws,
                            Err(Error::Io(error)) => {
                                let kinds =
                                    [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::WriteZero];
                                assert!(kinds.contains(&error.kind()), "{place}: {error}");
                                return false;
                            }
                            Err(Error::Handshake(error)) => {
                                assert!(fault == Fault::End, "{place}: {error}");
                                assert!(
                                    matches!(
                                        *error,
                                        HandshakeError::Response(_) | HandshakeError::Refused(_)
                                    ),
                                    "{place}: {error}"
                                );
                                return false;
                            }
                            Err(other) => panic!("{place}: {other:?}"),
                        };
                        let (seen, verdict) = talk(&mut ws).await;
                        assert!(seen.is_empty() || seen == ["hi"], "{place}: {seen:?}");
                        let code = if verdict.is_ok() { CloseCode::NORMAL } else { CloseCode::ABNORMAL };
                        assert_eq!(ws.summary().unwrap().code, code, "{place}");
                        let calls = ws.stream().calls.len();
                        if calls <= at {
                            check_sent(role, &ws.stream().sent);
                        }
                        calls <= at
                    })
                });
                assert!(untouched);
            }
        }
    }
}
