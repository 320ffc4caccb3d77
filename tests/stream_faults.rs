//! Every I/O call of a whole conversation fails once, is short, or comes too early, in both roles.
#![cfg(feature = "std")]

mod stream_support;

use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice, Read, Write};

use sansocket::blocking::{Acceptor, Error, Transport, Untimed, WebSocket};
use sansocket::{CloseCode, Config, Connection, Event, Fin, Message, Role};
use stream_support::{again, client, keys, owned, pattern, read_all, server, text};

/// What becomes of one I/O call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The stream does it as it should.
    None,
    /// One byte is read or written.
    Short,
    /// Not now, or an interruption: the call does nothing.
    Nothing(ErrorKind),
    /// The call fails, and so does every later one.
    Dead(ErrorKind),
    /// The call fails, and so does every later write; reads go on.
    Deaf(ErrorKind),
    /// Reads find the end of the stream, writes take nothing.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Read,
    Write,
    Flush,
    Other,
}

/// A stream whose peer has said everything already; it takes note of every call.
struct Scripted<F> {
    incoming: Vec<u8>,
    read: usize,
    sent: Vec<u8>,
    calls: usize,
    fault: F,
    dead: Option<Fault>,
    /// At most so much for each read and write.
    step: usize,
}

impl<F: FnMut(usize, Call) -> Fault> Scripted<F> {
    fn new(incoming: Vec<u8>, step: usize, fault: F) -> Self {
        Self { incoming, read: 0, sent: Vec::new(), calls: 0, fault, dead: None, step }
    }

    /// How many bytes the next call may move; `None` at the end of the stream.
    fn next(&mut self, call: Call) -> io::Result<Option<usize>> {
        let number = self.calls;
        self.calls += 1;
        assert!(number < 1_000_000, "spins");
        let fault = match self.dead {
            Some(Fault::Deaf(_)) if call == Call::Read => (self.fault)(number, call),
            Some(fault) => fault,
            None => (self.fault)(number, call),
        };
        if matches!(fault, Fault::Dead(_) | Fault::Deaf(_) | Fault::End) {
            self.dead = Some(fault);
        }
        match (fault, call) {
            // Streams do not answer so to calls that set something.
            (Fault::Nothing(_) | Fault::Short | Fault::None, Call::Other) | (Fault::None, _) => {
                Ok(Some(self.step))
            }
            (Fault::Nothing(kind), _) => Err(kind.into()),
            (Fault::Short, _) => Ok(Some(1)),
            (Fault::Deaf(_), Call::Read | Call::Other) => Ok(Some(self.step)),
            (Fault::Dead(kind) | Fault::Deaf(kind), _) => Err(io::Error::new(kind, "scripted")),
            (Fault::End, _) => Ok(None),
        }
    }
}

impl<F: FnMut(usize, Call) -> Fault> Read for Scripted<F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        assert!(!buf.is_empty(), "a read into nothing looks like the end");
        let Some(step) = self.next(Call::Read)? else { return Ok(0) };
        let rest = &self.incoming[self.read..];
        let len = buf.len().min(step).min(rest.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.read += len;
        Ok(len)
    }
}

impl<F: FnMut(usize, Call) -> Fault> Write for Scripted<F> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(step) = self.next(Call::Write)? else { return Ok(0) };
        let before = self.sent.len();
        for part in parts {
            let left = step - (self.sent.len() - before);
            self.sent.extend_from_slice(&part[..part.len().min(left)]);
        }
        assert!(self.sent.len() > before, "wrote nothing at all");
        Ok(self.sent.len() - before)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next(Call::Flush).map(drop)
    }
}

impl<F: FnMut(usize, Call) -> Fault> Transport for Scripted<F> {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        self.next(Call::Other).map(drop)
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        self.next(Call::Other).map(drop)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.next(Call::Other).map(drop)
    }
}

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

fn over<F: FnMut(usize, Call) -> Fault>(
    role: Role,
    stream: Scripted<F>,
    config: Config,
) -> WebSocket<Scripted<F>> {
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
    calls: usize,
}

/// The conversation without faults, checked by itself.
fn reference(role: Role, lane: Lane, step: usize) -> Reference {
    let script = script(opposite(role));
    let mut ws = over(role, Scripted::new(script.clone(), step, |_, _| Fault::None), Config::new());
    let (seen, verdict) = converse(&mut ws, lane);
    verdict.unwrap();
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
    let messages = |events: &[Event<'static>]| -> Vec<Message<'static>> {
        let data = events.iter().filter_map(|event| match event {
            Event::Message(message) => Some(message.clone()),
            _ => None,
        });
        data.collect()
    };
    assert!(messages(&seen) == expected, "{lane:?} {role:?}: {} events", seen.len());
    let Scripted { sent, calls, .. } = ws.into_parts().transport;
    let mut peer = match role {
        Role::Client => Connection::server(Config::new(), Duration::ZERO),
        Role::Server => Connection::client(Config::new(), keys(), Duration::ZERO),
    };
    let (heard, error) = read_all(&mut peer, &mut sent.clone());
    assert_eq!(error, None);
    let first: [Message<'_>; 2] = ["first of all".into(), "one message".into()];
    assert!(messages(&heard) == [&first, expected].concat());
    let controls: Vec<_> = heard.iter().filter(|event| !matches!(event, Event::Message(_))).collect();
    assert_eq!(controls[0], &Event::Ping(b"between fragments"[..].into()));
    assert_eq!(controls[1], &Event::Pong(b"alive?"[..].into()));
    assert_eq!(controls[2], &Event::Pong(b"in between"[..].into()));
    assert!(matches!(controls[3], Event::Close(frame) if frame.code == CloseCode::new(3456)));
    assert_eq!(controls.len(), 4);
    Reference { script, seen, sent, calls }
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
fn calls_that_come_too_early_or_do_little_lose_and_double_nothing() {
    let faults = [
        Fault::Short,
        Fault::Nothing(ErrorKind::WouldBlock),
        Fault::Nothing(ErrorKind::TimedOut),
        Fault::Nothing(ErrorKind::Interrupted),
    ];
    each(|role, lane, reference, step| {
        for fault in faults {
            for at in 0..reference.calls + 2 {
                let script = reference.script.clone();
                let stream =
                    Scripted::new(script, step, |call, _| if call == at { fault } else { Fault::None });
                let mut ws = over(role, stream, Config::new().max_queued_output(10_000));
                let (seen, verdict) = converse(&mut ws, lane);
                assert!(verdict.is_ok(), "{role:?} {lane:?} {fault:?} at {at}: {verdict:?}");
                assert!(seen == reference.seen, "{role:?} {lane:?} {fault:?} at {at}");
                assert!(ws.transport().sent == reference.sent, "{role:?} {lane:?} {fault:?} at {at}");
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
            let kinds = [ErrorKind::WouldBlock, ErrorKind::Interrupted, ErrorKind::TimedOut];
            let stream = Scripted::new(script, step, |call, _| match period {
                0 => Fault::None,
                // In no step with the order of the calls.
                _ if hash(call) % period == 0 => Fault::None,
                _ => Fault::Nothing(kinds[call % 3]),
            });
            let mut ws = over(role, stream, Config::new().max_queued_output(5000));
            let (seen, verdict) = converse(&mut ws, lane);
            if step == 1 {
                assert!(matches!(verdict, Err(Error::Connection(sansocket::Error::UnexpectedEof))));
                assert!(reference.seen.starts_with(&seen) && !seen.is_empty());
                assert!(reference.sent.starts_with(&ws.transport().sent));
            } else {
                assert!(verdict.is_ok(), "{verdict:?}");
                assert!(seen == reference.seen, "{role:?} {lane:?} {step} {period}");
                assert!(ws.transport().sent == reference.sent, "{role:?} {lane:?} {step} {period}");
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
    each(|role, lane, reference, step| {
        for fault in [Fault::Dead(ErrorKind::ConnectionReset), Fault::Deaf(ErrorKind::BrokenPipe)] {
            for at in 0..reference.calls {
                let stream = Scripted::new(reference.script.clone(), step, |call, _| {
                    if call == at { fault } else { Fault::None }
                });
                let mut ws = over(role, stream, Config::new());
                let (seen, verdict) = converse(&mut ws, lane);
                let place = format!("{role:?} {lane:?} {fault:?} at {at}: {verdict:?}");
                assert!(reference.seen.starts_with(&seen), "{place}");
                assert!(reference.sent.starts_with(&ws.transport().sent), "{place}");
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
                stays(&mut ws, &verdict);
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
            let mut ws = over(role, stream, Config::new());
            let (seen, verdict) = converse(&mut ws, lane);
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
