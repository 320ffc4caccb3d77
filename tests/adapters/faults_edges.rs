//! Every I/O call of an opening, and of a closing that begins on this side, fails once, is short, or comes too early.

use sansocket::{CloseCode, Config, Event, Initiator, Role};

use super::last_words::{Way, assert_closed, each_closing, last_words};
use super::talk::{Talk, messages};
use crate::adapter::{Error, HARMLESS, WebSocket, insist, run, start_close};
use crate::support::{Call, Fault, Patience, Scripted, once, owned};

type Ws<F> = WebSocket<Scripted<F>>;

async fn close<F: FnMut(usize, Call) -> Fault + Unpin>(
    ws: &mut Ws<F>,
    way: Way,
    patience: Patience,
) -> (Vec<Event<'static>>, Result<(), Error>) {
    let mut seen = Vec::new();
    let _ = insist!(patience, ws.feed("queued"), ws.flush());
    let _ = insist!(patience, ws.ping(b"and a ping"), ws.flush());
    if let Way::Close = way {
        let closed = insist!(
            patience,
            ws.close(CloseCode::new(3000), "why"),
            ws.close(CloseCode::new(3001), "only if the first one did nothing")
        );
        return (seen, closed);
    }
    let _ = start_close(ws, CloseCode::new(3000), "why", patience).await;
    loop {
        let event = async |ws: &mut Ws<F>| Ok::<_, Error>(ws.recv_event().await?.map(owned));
        match insist!(patience, event(ws), event(ws)) {
            Ok(Some(event)) => seen.push(event),
            Ok(None) => return (seen, Ok(())),
            Err(error) => return (seen, Err(error)),
        }
    }
}

fn over<F: FnMut(usize, Call) -> Fault + Unpin>(talk: Talk, fault: F) -> Ws<F> {
    WebSocket::over(Scripted::new(last_words(talk), 9000, fault), talk.connection(Config::new()))
}

/// In a closing that nothing disturbs, checked by itself: what was written.
fn reference(talk: Talk, way: Way) -> Vec<u8> {
    run(async {
        let mut ws = over(talk, once(Fault::None, 0));
        let (seen, verdict) = close(&mut ws, way, Patience::ENDLESS).await;
        verdict.unwrap();
        let stream = ws.into_parts().transport;
        assert_closed(talk, way, &seen, &stream.sent, stream.shut);
        stream.sent
    })
}

// conf: CL-06 CL-11 CL-14 FG-09
#[test]
fn a_close_gets_through_calls_that_do_little_or_come_too_early() {
    let check = async |talk: Talk, way, (fault, patience), reference: &[u8], at| {
        let mut ws = over(talk, once(fault, at));
        let (_, verdict) = close(&mut ws, way, patience).await;
        let place = format!("{talk:?} {way:?} {fault:?} at {at}, {patience:?}");
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
    };
    each_closing(reference, &HARMLESS, |talk, way, fault, reference, at| {
        run(check(talk, way, fault, reference, at))
    });
}

// conf: CL-11 CL-12 CL-16
#[test]
fn a_close_over_a_stream_that_fails_ends_and_says_how() {
    let check = async |talk: Talk, way, fault, reference: &[u8], at| {
        let mut ws = over(talk, once(fault, at));
        let (seen, verdict) = close(&mut ws, way, Patience::ENDLESS).await;
        let place = format!("{talk:?} {way:?} {fault:?} at {at}: {verdict:?}");
        let (calls, sent) = (ws.stream().calls.len(), ws.stream().sent.clone());
        assert!(reference.starts_with(&sent), "{place}");
        let summary = ws.summary().expect("it is over");
        let heard_close = summary.code == CloseCode::new(3456);
        assert!(heard_close || summary.code == CloseCode::ABNORMAL, "{place}");
        let is_all = sent == reference && !ws.stream().lost_by_flush(at, fault);
        assert_eq!(summary.clean, heard_close && is_all, "{place}: {summary}");
        assert_eq!(verdict.is_ok(), heard_close, "{place}");
        if heard_close && matches!(way, Way::Start) {
            assert_eq!(messages(&seen).len(), 2, "{place}");
        }
        // It stays what it is, and nothing more is written.
        for _ in 0..2 {
            let said = format!("{verdict:?}");
            assert_eq!(format!("{:?}", ws.recv().await.map(drop)), said, "{place}");
            assert_eq!(format!("{:?}", ws.close(CloseCode::NORMAL, "").await), said, "{place}");
            assert!(ws.send("late").await.is_err(), "{place}");
        }
        assert_eq!(ws.stream().sent, sent, "{place}");
        calls <= at
    };
    each_closing(reference, &Fault::DEADLY, |talk, way, fault, reference, at| {
        run(check(talk, way, fault, reference, at))
    });
}

#[cfg(feature = "rand")]
mod opening {
    use std::io::ErrorKind;

    use sansocket::Message;

    use super::super::talk::{
        Coding, Seen, accepted_request, answer_and_talk, request_and_talk, strict_response,
    };
    use super::*;
    use crate::adapter::{HandshakeError, open_scripted};

    async fn open<F: FnMut(usize, Call) -> Fault + Unpin>(role: Role, fault: F) -> Result<Ws<F>, Error> {
        let stream = match role {
            Role::Server => Scripted::new(request_and_talk(), 90, fault),
            Role::Client => Scripted::answering(answer_and_talk, 90, fault),
        };
        open_scripted(role, stream).await
    }

    async fn talk<F: FnMut(usize, Call) -> Fault + Unpin>(
        ws: &mut Ws<F>,
    ) -> (Vec<Message<'static>>, Result<(), Error>) {
        let mut seen = Vec::new();
        loop {
            match insist!(Patience::ENDLESS, ws.recv(), ws.recv()) {
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
        let check = async |role, fault, at| {
            let place = format!("{role:?} {fault:?} at {at}");
            let opened = open(role, once(fault, at)).await;
            let mut ws = opened.unwrap_or_else(|error| panic!("{place}: {error}"));
            let (seen, verdict) = talk(&mut ws).await;
            assert!(verdict.is_ok() && seen == ["hi"], "{place}: {seen:?} {verdict:?}");
            check_sent(role, &ws.stream().sent);
            ws.stream().calls.len() <= at
        };
        for role in [Role::Server, Role::Client] {
            for (fault, _) in HARMLESS {
                assert!((0..1000).any(|at| run(check(role, fault, at))), "never untouched");
            }
        }
    }

    // conf: CR-19 CL-17
    #[test]
    fn a_stream_that_fails_is_an_error_and_no_connection() {
        let check = async |role, fault, at| {
            let place = format!("{role:?} {fault:?} at {at}");
            let mut ws = match open(role, once(fault, at)).await {
                Ok(ws) => ws,
                Err(Error::Io(error)) => {
                    let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::WriteZero];
                    assert!(kinds.contains(&error.kind()), "{place}: {error}");
                    return false;
                }
                Err(Error::Handshake(error)) => {
                    assert!(fault == Fault::End, "{place}: {error}");
                    let is_one = matches!(*error, HandshakeError::Response(_) | HandshakeError::Refused(_));
                    assert!(is_one, "{place}: {error}");
                    return false;
                }
                Err(other) => panic!("{place}: {other:?}"),
            };
            let (seen, verdict) = talk(&mut ws).await;
            assert!(seen.is_empty() || seen == ["hi"], "{place}: {seen:?}");
            let code = if verdict.is_ok() { CloseCode::NORMAL } else { CloseCode::ABNORMAL };
            assert_eq!(ws.summary().unwrap().code, code, "{place}");
            let untouched = ws.stream().calls.len() <= at;
            if untouched {
                check_sent(role, &ws.stream().sent);
            }
            untouched
        };
        for role in [Role::Server, Role::Client] {
            for fault in Fault::DEADLY {
                assert!((0..1000).any(|at| run(check(role, fault, at))), "never untouched");
            }
        }
    }
}
