//! Every I/O call of a whole conversation, plain and compressed, fails once, is short, or comes too early, in both roles.
#![cfg(feature = "std")]

mod blocking_support;
mod faults_support;

use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};

use blocking_support::{again, keys, owned, pattern, server};
use faults_support::scripted::{Call, Fault, Scripted, once};
use faults_support::{Seen, Talk, messages, seen};
use sansocket::blocking::{Acceptor, Error, Transport, Untimed, WebSocket};
use sansocket::{CloseCode, Config, Connection, Event, Fin, Message};

/// By which calls the application receives and answers.
#[derive(Clone, Copy, Debug)]
enum Lane {
    Events,
    Owned,
    Lent,
}

const LANES: [Lane; 3] = [Lane::Events, Lane::Owned, Lane::Lent];

/// Answers everything, as far as the stream lets it; returns what was received and the verdict.
fn converse<T: Transport>(ws: &mut WebSocket<T>, lane: Lane) -> (Vec<Event<'static>>, Result<(), Error>) {
    let mut seen = Vec::new();
    // Errors while sending show again as the verdict.
    let _ = again(|| ws.send("first of all"));
    let _ = again(|| ws.send_fragment("one ", Fin::More));
    let _ = again(|| ws.ping(b"between fragments"));
    let _ = again(|| ws.send_fragment("message", Fin::Final));
    loop {
        let received = match lane {
            Lane::Events => receive_event(ws),
            Lane::Owned => again(|| ws.recv()).map(|message| message.map(Event::Message)),
            Lane::Lent => echo_lent(ws),
        };
        match received {
            Ok(Some(event)) => {
                if let (Event::Message(message), Lane::Events | Lane::Owned) = (&event, lane) {
                    let _ = again(|| ws.send(message));
                }
                seen.push(event);
            }
            Ok(None) => return (seen, Ok(())),
            Err(error) => return (seen, Err(error)),
        }
    }
}

fn receive_event<T: Transport>(ws: &mut WebSocket<T>) -> Result<Option<Event<'static>>, Error> {
    again(|| Ok(ws.recv_event()?.map(owned)))
}

fn echo_lent<T: Transport>(ws: &mut WebSocket<T>) -> Result<Option<Event<'static>>, Error> {
    again(|| {
        let Some((message, mut tx)) = ws.recv_ref()? else { return Ok(None) };
        let _ = again(|| if message.len() < 1000 { tx.feed(&message) } else { tx.send(&message) });
        Ok(Some(Event::Message(message.into_owned())))
    })
}

struct Reference {
    script: Vec<u8>,
    seen: Vec<Event<'static>>,
    sent: Vec<u8>,
}

fn over<F: FnMut(usize, Call) -> Fault>(
    talk: Talk,
    stream: Scripted<F>,
    config: Config,
) -> WebSocket<Scripted<F>> {
    WebSocket::over(stream, talk.connection(config))
}

/// The conversation without faults, checked by itself.
fn reference(talk: Talk, lane: Lane, step: usize) -> Reference {
    let script = talk.script();
    let mut ws = over(talk, Scripted::new(script.clone(), step, |_, _| Fault::None), Config::new());
    let (received, verdict) = converse(&mut ws, lane);
    verdict.unwrap();
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
fn calls_that_come_too_early_or_do_little_lose_and_double_nothing() {
    let faults = [
        Fault::Short,
        Fault::Nothing(ErrorKind::WouldBlock),
        Fault::Nothing(ErrorKind::TimedOut),
        Fault::Nothing(ErrorKind::Interrupted),
    ];
    each(|talk, lane, reference, step| {
        for fault in faults {
            for at in 0.. {
                let stream = Scripted::new(reference.script.clone(), step, once(fault, at));
                let mut ws = over(talk, stream, Config::new().max_queued_output(10_000));
                let (seen, verdict) = converse(&mut ws, lane);
                assert!(verdict.is_ok(), "{talk:?} {lane:?} {fault:?} at {at}: {verdict:?}");
                assert!(seen == reference.seen, "{talk:?} {lane:?} {fault:?} at {at}");
                let same = talk.says_the_same(&ws.transport().sent, &reference.sent);
                assert!(same, "{talk:?} {lane:?} {fault:?} at {at}");
                if ws.transport().calls <= at {
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
            let mut ws = over(talk, stream, Config::new().max_queued_output(5000));
            let (seen, verdict) = converse(&mut ws, lane);
            if step == 1 {
                assert!(matches!(verdict, Err(Error::Connection(sansocket::Error::UnexpectedEof))));
                assert!(reference.seen.starts_with(&seen) && !seen.is_empty());
                assert!(reference.sent.starts_with(&ws.transport().sent));
            } else {
                assert!(verdict.is_ok(), "{verdict:?}");
                assert!(seen == reference.seen, "{talk:?} {lane:?} {step} {period}");
                let same = talk.says_the_same(&ws.transport().sent, &reference.sent);
                assert!(same, "{talk:?} {lane:?} {step} {period}");
            }
        }
    });
}

/// The later calls after the end say what the first one said, and nothing else happens on the stream.
fn stays<F: FnMut(usize, Call) -> Fault>(ws: &mut WebSocket<Scripted<F>>, verdict: &Result<(), Error>) {
    let sent = ws.transport().sent.len();
    for _ in 0..2 {
        let said = format!("{verdict:?}");
        assert_eq!(format!("{:?}", again(|| ws.recv().map(|_| ()))), said);
        assert_eq!(format!("{:?}", again(|| ws.recv_event().map(|_| ()))), said);
        assert_eq!(format!("{:?}", again(|| ws.close(CloseCode::NORMAL, ""))), said);
        let refused = again(|| ws.send("too late"));
        assert!(matches!(refused, Err(Error::Send(sansocket::SendError::Closed))), "{refused:?}");
    }
    assert_eq!(ws.transport().sent.len(), sent);
}

// conf: CL-16 FL-07
#[test]
fn an_error_is_the_end_the_same_on_each_call() {
    each(|talk, lane, reference, step| {
        for fault in [Fault::Dead(ErrorKind::ConnectionReset), Fault::Deaf(ErrorKind::BrokenPipe)] {
            for at in 0.. {
                let stream = Scripted::new(reference.script.clone(), step, once(fault, at));
                let mut ws = over(talk, stream, Config::new());
                let (seen, verdict) = converse(&mut ws, lane);
                let place = format!("{talk:?} {lane:?} {fault:?} at {at}: {verdict:?}");
                if ws.transport().calls <= at {
                    assert!(verdict.is_ok() && ws.transport().sent == reference.sent, "{place}");
                    break;
                }
                assert!(reference.seen.starts_with(&seen), "{place}");
                assert!(reference.sent.starts_with(&ws.transport().sent), "{place}");
                let summary = ws.summary().unwrap();
                let heard_close = summary.code == CloseCode::new(3456);
                assert!(heard_close || summary.code == CloseCode::ABNORMAL, "{place}");
                // Not clean either if the answer did not leave.
                let Scripted { sent, died_at, .. } = ws.transport();
                let is_all = *sent == reference.sent && *died_at != Some(Call::Flush);
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
                stays(&mut ws, &verdict);
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
            let mut ws = over(talk, stream, Config::new());
            let (seen, verdict) = converse(&mut ws, lane);
            if ws.transport().calls <= at {
                assert!(verdict.is_ok() && ws.transport().sent == reference.sent);
                break;
            }
            assert!(reference.seen.starts_with(&seen));
            assert!(reference.sent.starts_with(&ws.transport().sent));
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
            stays(&mut ws, &verdict);
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
        let mut ws =
            server(Scripted::new(script[..end].to_vec(), 1 << 20, |_, _| Fault::None), Config::new());
        let (seen, verdict) = converse(&mut ws, Lane::Owned);
        assert_eq!(seen.len(), usize::from(end >= whole) + usize::from(end == script.len()));
        assert!(matches!(verdict, Err(Error::Connection(sansocket::Error::UnexpectedEof))), "{verdict:?}");
        assert!(!ws.summary().unwrap().clean);
    }
}

/// Claims to have read and written more than it was given room or bytes for.
#[derive(Debug)]
struct Boasting(usize);

impl Read for Boasting {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        Ok(place.len().saturating_add(self.0))
    }
}

impl Write for Boasting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len().saturating_add(self.0))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn streams_that_claim_too_much_are_not_believed() {
    for more in [1, usize::MAX] {
        let stream = || Untimed(Boasting(more));
        assert!(matches!(Acceptor::new().accept(stream()), Err(Error::Handshake(_))));
        #[cfg(feature = "rand")]
        {
            let connector = sansocket::blocking::Connector::new("ws://host/");
            assert!(matches!(connector.connect_over(stream()), Err(Error::Handshake(_))));
        }
        let mut ws = server(stream(), Config::new());
        ws.send(vec![7; 100_000]).unwrap();
        assert!(matches!(ws.recv(), Err(Error::Connection(_))), "zeros are no frames of a client");
    }
}

fn hash(number: usize) -> usize {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) as usize
}
