//! Every I/O call of an opening, and of a closing that begins on this side, fails once, is short, or comes too early.
#![cfg(feature = "std")]

mod blocking_support;
mod faults_support;

use std::io::ErrorKind;

use blocking_support::{again, owned};
use faults_support::closing::{Way, assert_closed, each_closing, last_words};
use faults_support::scripted::{Call, Fault, Scripted, once};
use faults_support::{Seen, Talk, messages};
use sansocket::blocking::{Error, WebSocket};
use sansocket::{CloseCode, Config, Event, Initiator, Message, Role};

const HARMLESS: [Fault; 4] = [
    Fault::Short,
    Fault::Nothing(ErrorKind::WouldBlock),
    Fault::Nothing(ErrorKind::TimedOut),
    Fault::Nothing(ErrorKind::Interrupted),
];
const DEADLY: [Fault; 3] =
    [Fault::Dead(ErrorKind::ConnectionReset), Fault::Deaf(ErrorKind::BrokenPipe), Fault::End];

type Ws<F> = WebSocket<Scripted<F>>;

fn close<F: FnMut(usize, Call) -> Fault>(
    ws: &mut Ws<F>,
    way: Way,
) -> (Vec<Event<'static>>, Result<(), Error>) {
    let mut seen = Vec::new();
    let _ = again(|| ws.feed("queued"));
    let _ = again(|| ws.ping(b"and a ping"));
    if let Way::Close = way {
        return (seen, again(|| ws.close(CloseCode::new(3000), "why")));
    }
    match ws.start_close(CloseCode::new(3000), "why") {
        // It is taken; calling it again would be another one.
        Err(error) if error.is_temporary() => _ = again(|| ws.flush()),
        _ => {}
    }
    loop {
        match again(|| Ok(ws.recv_event()?.map(owned))) {
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
    let (seen, verdict) = close(&mut ws, way);
    verdict.unwrap();
    let stream = ws.into_parts().transport;
    assert_closed(talk, way, &seen, &stream.sent, stream.shut);
    stream.sent
}

// conf: CL-06 CL-11 CL-14 FG-09
#[test]
fn a_close_gets_through_calls_that_do_little() {
    each_closing(reference, &HARMLESS, |talk, way, fault, reference, at| {
        let stream = Scripted::new(last_words(talk), 9000, once(fault, at));
        let mut ws = WebSocket::over(stream, talk.connection(Config::new()));
        let (_, verdict) = close(&mut ws, way);
        let place = format!("{talk:?} {way:?} {fault:?} at {at}");
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
        stream.calls <= at
    });
}

// conf: CL-11 CL-12 CL-16
#[test]
fn a_close_over_a_stream_that_fails_ends_and_says_how() {
    each_closing(reference, &DEADLY, |talk, way, fault, reference, at| {
        let stream = Scripted::new(last_words(talk), 9000, once(fault, at));
        let mut ws = WebSocket::over(stream, talk.connection(Config::new()));
        let (seen, verdict) = close(&mut ws, way);
        let place = format!("{talk:?} {way:?} {fault:?} at {at}: {verdict:?}");
        let calls = ws.transport().calls;
        let sent = ws.transport().sent.clone();
        assert!(reference.starts_with(&sent), "{place}");
        let summary = ws.summary().expect("it is over");
        let heard_close = summary.code == CloseCode::new(3456);
        assert!(heard_close || summary.code == CloseCode::ABNORMAL, "{place}");
        let lost = fault != Fault::End && ws.transport().died_at == Some(Call::Flush);
        let is_all = sent == reference && !lost;
        assert_eq!(summary.clean, heard_close && is_all, "{place}: {summary}");
        assert_eq!(verdict.is_ok(), heard_close, "{place}");
        if heard_close && matches!(way, Way::Start) {
            assert_eq!(messages(&seen).len(), 2, "{place}");
        }
        // It stays what it is, and nothing more is written.
        for _ in 0..2 {
            assert_eq!(format!("{:?}", again(|| ws.recv().map(drop))), format!("{verdict:?}"), "{place}");
            assert_eq!(
                format!("{:?}", again(|| ws.close(CloseCode::NORMAL, ""))),
                format!("{verdict:?}"),
                "{place}"
            );
            assert!(again(|| ws.send("late")).is_err(), "{place}");
        }
        assert_eq!(ws.transport().sent, sent, "{place}");
        calls <= at
    });
}

#[cfg(feature = "rand")]
mod opening {
    use sansocket::blocking::{Acceptor, Connector, HandshakeError};
    use sansocket::handshake::Acceptance;

    use super::*;
    use crate::faults_support::{
        Coding, accepted_request, answer_and_talk, request_and_talk, strict_response,
    };

    /// Opens and talks a little; what was received, and how it ended.
    fn serve<F: FnMut(usize, Call) -> Fault>(stream: Scripted<F>) -> Result<Ws<F>, Error> {
        let mut opening = Acceptor::new().begin(stream);
        let request = again(|| opening.proceed())?;
        assert_eq!(request.head().path(), "/chat");
        request.accept(&Acceptance::new()).map_err(|undecided| undecided.error)
    }

    fn connect<F: FnMut(usize, Call) -> Fault>(stream: Scripted<F>) -> Result<Ws<F>, Error> {
        let mut opening = Connector::new("ws://localhost/chat").begin(stream)?;
        again(|| opening.proceed())
    }

    fn talk<F: FnMut(usize, Call) -> Fault>(ws: &mut Ws<F>) -> (Vec<Message<'static>>, Result<(), Error>) {
        let mut seen = Vec::new();
        loop {
            match again(|| ws.recv()) {
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

    fn stream<F: FnMut(usize, Call) -> Fault>(role: Role, fault: F) -> Scripted<F> {
        match role {
            Role::Server => Scripted::new(request_and_talk(), 90, fault),
            Role::Client => Scripted::answering(answer_and_talk, 90, fault),
        }
    }

    // conf: SQ-25 SQ-27 CR-16 CR-18
    #[test]
    fn calls_that_do_little_lose_and_double_nothing() {
        for role in [Role::Server, Role::Client] {
            for fault in HARMLESS {
                let untouched = (0..1000).any(|at| {
                    let place = format!("{role:?} {fault:?} at {at}");
                    let stream = stream(role, once(fault, at));
                    let opened = if role == Role::Server { serve(stream) } else { connect(stream) };
                    let mut ws = opened.unwrap_or_else(|error| panic!("{place}: {error}"));
                    let (seen, verdict) = talk(&mut ws);
                    assert!(verdict.is_ok() && seen == ["hi"], "{place}: {seen:?} {verdict:?}");
                    check_sent(role, &ws.transport().sent);
                    ws.transport().calls <= at
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
                    let place = format!("{role:?} {fault:?} at {at}");
                    let stream = stream(role, once(fault, at));
                    let opened = if role == Role::Server { serve(stream) } else { connect(stream) };
                    let mut ws = match opened {
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
                                matches!(*error, HandshakeError::Response(_) | HandshakeError::Refused(_)),
                                "{place}: {error}"
                            );
                            return false;
                        }
                        Err(other) => panic!("{place}: {other:?}"),
                    };
                    let (seen, verdict) = talk(&mut ws);
                    assert!(seen.is_empty() || seen == ["hi"], "{place}: {seen:?}");
                    let calls = ws.transport().calls;
                    if verdict.is_ok() {
                        assert_eq!(ws.summary().unwrap().code, CloseCode::NORMAL, "{place}");
                    } else {
                        assert_eq!(ws.summary().unwrap().code, CloseCode::ABNORMAL, "{place}");
                    }
                    if calls <= at {
                        check_sent(role, &ws.transport().sent);
                    }
                    calls <= at
                });
                assert!(untouched);
            }
        }
    }
}
