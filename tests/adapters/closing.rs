//! How connections end over TCP: by agreement, by a violation, by a half-closed or a vanished peer.

use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream as Raw};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use sansocket::{CloseCode, Config, Connection, Event, Fin, Initiator, Message, ProtocolError, State};

use crate::adapter::{Error, TcpStream, WebSocket, client, peer_gone, recv_within, run, server, tcp_stream};
use crate::support::{SECOND, code, events_of_server, keys, masked, ms, pattern, read_all, sockets, within};

/// By which calls the application receives and answers.
#[derive(Clone, Copy, Debug)]
enum Lane {
    Owned,
    Lent,
    Events,
}

const LANES: [Lane; 3] = [Lane::Owned, Lane::Lent, Lane::Events];

async fn echo(ws: &mut WebSocket<TcpStream>, lane: Lane) -> Result<(), Error> {
    match lane {
        Lane::Owned => {
            while let Some(message) = ws.recv().await? {
                ws.send(message).await?;
            }
        }
        Lane::Lent => {
            while let Some((message, mut tx)) = ws.recv_ref().await? {
                tx.feed(&message).await?;
            }
        }
        Lane::Events => {
            while let Some(event) = ws.recv_event().await? {
                if let Event::Message(message) = event {
                    let message = message.into_owned();
                    ws.feed(message).await?;
                }
            }
        }
    }
    Ok(())
}

/// Runs one end of a connection in a thread of its own.
fn in_thread<T: Send + 'static>(
    stream: Raw,
    work: impl AsyncFnOnce(TcpStream) -> T + Send + 'static,
) -> JoinHandle<T> {
    thread::spawn(move || run(async { work(tcp_stream(stream)).await }))
}

/// Reads to the end of the stream, which must be one and not a reset.
fn events_to_the_end(mut raw: impl Read) -> Vec<Event<'static>> {
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard).expect("no reset");
    events_of_server(heard)
}

/// The peer has sent much more than the server will ever look at. Closing the socket over that would make the kernel
/// send a reset, which destroys what is on its way.
// conf: FL-01 FL-02 FL-03 CL-10
#[test]
fn what_was_valid_before_a_violation_is_answered_and_its_code_arrives() {
    let violations: [(&[u8], u16); 6] = [
        (b"\x81\x02hi", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x01\x82\0\0\0\0a\xff", 1007),
        (b"\x82\xfe\x10\x01\0\0\0\0", 1009),
        (b"\x88\x81\0\0\0\0!", 1002),
    ];
    for (violation, expected) in violations {
        for lane in LANES {
            let (mut raw, stream) = sockets();
            let judge = in_thread(stream, async move |stream| {
                let mut ws = server(stream, Config::new().max_message_size(4096).close_timeout(5 * SECOND));
                let verdict = echo(&mut ws, lane).await;
                let summary = ws.summary().unwrap();
                assert_eq!((summary.code, summary.clean), (CloseCode::ABNORMAL, false));
                assert_eq!(summary.initiator, Initiator::Library);
                let again = echo(&mut ws, lane).await;
                assert_eq!(format!("{verdict:?}"), format!("{again:?}"));
                verdict
            });
            let mut said = masked(0x81, b"before");
            said.extend_from_slice(&masked(0x89, b"ping"));
            said.extend_from_slice(violation);
            raw.write_all(&said).unwrap();
            // Valid by itself, but what follows a violation is not looked at.
            raw.write_all(&masked(0x82, b"after").repeat(100_000)).unwrap();
            let events = events_to_the_end(&raw);
            assert_eq!(events.len(), 3, "{events:?}");
            assert_eq!(events[0], Event::Message("before".into()));
            assert_eq!(events[1], Event::Pong(b"ping"[..].into()));
            assert_eq!(code(&events[2]), expected);
            drop(raw);
            let verdict = judge.join().unwrap();
            assert!(matches!(verdict, Err(Error::Connection(_))), "{verdict:?}");
        }
    }
}

// conf: MK-04 FL-01
#[test]
fn a_client_fails_a_server_that_masks() {
    let (mut raw, stream) = sockets();
    raw.write_all(&masked(0x82, b"hi")).unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    let verdict = run(async { client(tcp_stream(stream), Config::new()).recv().await });
    let expected = sansocket::Error::Protocol(ProtocolError::MaskUnexpected);
    assert!(matches!(verdict, Err(Error::Connection(error)) if error == expected), "{verdict:?}");
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard).unwrap();
    let (events, _) = read_all(&mut Connection::server(Config::new(), Duration::ZERO), &mut heard);
    assert_eq!(code(&events[0]), 1002);
}

// conf: CL-10
#[test]
fn closing_with_much_unread_still_delivers_the_code() {
    let (mut raw, stream) = sockets();
    let flood = thread::spawn(move || {
        for _ in 0..40 {
            raw.write_all(&masked(0x82, b"unread").repeat(5000)).unwrap();
        }
        raw.write_all(&masked(0x88, &1000u16.to_be_bytes())).unwrap();
        events_to_the_end(raw)
    });
    run(async {
        let mut ws = server(tcp_stream(stream), Config::new());
        ws.close(CloseCode::TRY_AGAIN_LATER, "too busy").await.unwrap();
        let summary = ws.summary().unwrap();
        assert_eq!((summary.code, summary.clean), (CloseCode::NORMAL, true));
        assert_eq!(summary.initiator, Initiator::Local);
    });
    let events = flood.join().unwrap();
    assert_eq!((events.len(), code(&events[0])), (1, 1013));
}

// conf: CL-04 CL-08 CL-11 CL-12 CL-13
#[test]
fn the_server_ends_the_stream_first() {
    let (mut raw, stream) = sockets();
    let ended = in_thread(stream, async |stream| {
        let mut ws = server(stream, Config::new());
        let end = ws.recv().await;
        assert!(ws.summary().unwrap().clean);
        assert_eq!(ws.summary().unwrap().reason, "done");
        (end.unwrap(), ws.summary().unwrap().code)
    });
    raw.write_all(&masked(0x88, b"\x0f\xa0done")).unwrap();
    // Its end comes although ours has not.
    assert_eq!(code(&events_to_the_end(&raw)[0]), 4000);
    drop(raw);
    assert_eq!(ended.join().unwrap(), (None, CloseCode::new(4000)));
}

// conf: CL-09
#[test]
fn the_client_waits_for_the_servers_end() {
    let (mut raw, stream) = sockets();
    let ended =
        in_thread(stream, async |stream| (client(stream, Config::new()).recv().await, Instant::now()));
    raw.write_all(b"\x88\x02\x03\xe8").unwrap();
    let mut answer = [0; 8];
    raw.read_exact(&mut answer).unwrap();
    assert_eq!(answer[0], 0x88);
    raw.set_read_timeout(Some(ms(60))).unwrap();
    let early = raw.read(&mut answer).unwrap_err();
    assert!(matches!(early.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    let dropped = Instant::now();
    drop(raw);
    let (end, returned) = ended.join().unwrap();
    assert_eq!(end.unwrap(), None);
    assert!(returned >= dropped);
}

// conf: CL-14
#[test]
fn both_close_at_once() {
    for begun in [false, true] {
        let (there, here) = sockets();
        let close = async move |ws: &mut WebSocket<TcpStream>, code, reason| {
            ws.close(CloseCode::new(code), reason).await.unwrap();
            let summary = ws.summary().unwrap();
            assert!(summary.clean);
            (summary.code.get(), summary.initiator)
        };
        let barrier = Arc::new(Barrier::new(2));
        let same_barrier = barrier.clone();
        let there = in_thread(there, async move |stream| {
            let mut ws = client(stream, Config::new());
            if begun {
                ws.start_close(CloseCode::new(3001), "client").await.unwrap();
                // The other one has begun too, and cannot have heard of this.
                same_barrier.wait();
            }
            close(&mut ws, 3001, "client").await
        });
        let here = in_thread(here, async move |stream| {
            let mut ws = server(stream, Config::new());
            if begun {
                ws.start_close(CloseCode::new(3002), "server").await.unwrap();
                barrier.wait();
            }
            close(&mut ws, 3002, "server").await
        });
        let ((first, first_by), (second, second_by)) = (there.join().unwrap(), here.join().unwrap());
        if begun {
            assert_eq!((first, second), (3002, 3001));
            assert_eq!((first_by, second_by), (Initiator::Local, Initiator::Local));
        }
        // Unless one was quicker: then it is answered with its own code.
        assert!([3001, 3002].contains(&first) && [3001, 3002].contains(&second));
        assert!(first == 3002 || second == 3001);
    }
}

/// A loop that only receives answers pings and the Close, although it never sends.
#[test]
fn a_loop_that_only_reads_gets_its_pongs_out() {
    for lane in LANES {
        let (mut raw, stream) = sockets();
        let reader = in_thread(stream, async move |stream| {
            let mut ws = server(stream, Config::new());
            loop {
                match lane {
                    Lane::Owned if ws.recv().await.unwrap().is_some() => {}
                    Lane::Lent if ws.recv_ref().await.unwrap().is_some() => {}
                    Lane::Events if ws.recv_event().await.unwrap().is_some() => {}
                    _ => return,
                }
            }
        });
        for round in 0..3u8 {
            // With a message before it, and in the middle of one.
            raw.write_all(&masked(0x81, b"data")).unwrap();
            raw.write_all(&masked(0x01, b"da")).unwrap();
            raw.write_all(&masked(0x89, &[round])).unwrap();
            let mut pong = [0; 3];
            raw.read_exact(&mut pong).unwrap();
            assert_eq!(pong, [0x8a, 1, round]);
            raw.write_all(&masked(0x80, b"ta")).unwrap();
        }
        raw.write_all(&masked(0x88, b"\x03\xe8")).unwrap();
        assert_eq!(code(&events_to_the_end(&raw)[0]), 1000);
        drop(raw);
        reader.join().unwrap();
    }
}

/// What the peer did before it ended its direction, and what comes of it.
// conf: FR-13 CL-11 CL-12 CL-16
#[test]
fn a_peer_that_ends_its_direction_is_told_what_is_due() {
    let cases: [(&[u8], bool, usize); 5] = [
        (b"", false, 0),
        (b"\x81\x80\0\0\0\0", false, 1),
        (b"\x81\x80\0\0\0\0\x81\x85\0\0", false, 1),
        (b"\x01\x81\0\0\0\0!", false, 0),
        (b"\x82\x80\0\0\0\0\x88\x80\0\0\0\0", true, 1),
    ];
    for (said, clean, messages) in cases {
        let (mut raw, stream) = sockets();
        raw.write_all(said).unwrap();
        raw.shutdown(Shutdown::Write).unwrap();
        run(async {
            let mut ws = server(tcp_stream(stream), Config::new());
            ws.feed("queued before").await.unwrap();
            for _ in 0..messages {
                assert!(ws.recv().await.unwrap().unwrap().is_empty());
                ws.feed("queued after").await.unwrap();
            }
            for _ in 0..3 {
                match ws.recv().await {
                    Ok(None) => assert!(clean),
                    Err(Error::Connection(sansocket::Error::UnexpectedEof)) => assert!(!clean),
                    other => panic!("{other:?}"),
                }
            }
            let summary = ws.summary().unwrap();
            assert_eq!(summary.clean, clean);
            assert_eq!(summary.code, if clean { CloseCode::NO_STATUS_RECEIVED } else { CloseCode::ABNORMAL });
            assert_eq!(ws.connection().state(), State::Closed);
            // The whole queue has left, and the end was passed on, before the socket is dropped.
            let events = events_to_the_end(&raw);
            assert_eq!(events.len(), 1 + messages + usize::from(clean), "{events:?}");
        });
    }
}

// conf: CL-11 CL-16
#[test]
fn a_peer_that_ends_after_our_close_without_its_own_is_not_clean() {
    for half in [true, false] {
        let (raw, stream) = sockets();
        run(async {
            let mut ws = client(tcp_stream(stream), Config::new());
            ws.start_close(CloseCode::NORMAL, "").await.unwrap();
            if half {
                raw.shutdown(Shutdown::Write).unwrap();
            } else {
                reset(raw);
            }
            for _ in 0..2 {
                match ws.close(CloseCode::NORMAL, "").await {
                    Err(Error::Connection(sansocket::Error::UnexpectedEof)) => assert!(half),
                    Err(Error::Io(error)) => {
                        assert!(!half && error.kind() == ErrorKind::ConnectionReset, "{error}")
                    }
                    other => panic!("{other:?}"),
                }
            }
            let summary = ws.summary().unwrap();
            assert_eq!((summary.code, summary.clean), (CloseCode::ABNORMAL, false));
            assert_eq!(summary.initiator, Initiator::Local);
        });
    }
}

/// A socket with something to read that is dropped resets its peer.
fn reset(raw: Raw) {
    raw.peek(&mut [0]).unwrap();
    drop(raw);
    thread::sleep(ms(20));
}

// conf: CL-16
#[test]
fn a_reset_is_an_error_that_names_it_in_every_state_before_the_close() {
    for state in ["open", "in a message", "waiting", "sending"] {
        run(async {
            let (mut raw, stream) = sockets();
            let mut ws = server(tcp_stream(stream), Config::new());
            ws.send("unread").await.unwrap();
            if state == "in a message" {
                raw.write_all(b"\x01\x82\0\0\0\0a").unwrap();
                assert!(recv_within(&mut ws, ms(20)).await.is_none());
            }
            if state == "waiting" {
                let peer = thread::spawn(move || {
                    thread::sleep(ms(20));
                    reset(raw);
                });
                let end = ws.recv().await;
                assert!(matches!(end, Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset));
                peer.join().unwrap();
            } else {
                reset(raw);
            }
            if state == "sending" {
                let lost = ws.send("late").await;
                assert!(matches!(lost, Err(Error::Io(_))), "{lost:?}");
            }
            for _ in 0..3 {
                match ws.recv().await {
                    Err(Error::Io(error)) => {
                        let broken = state == "sending" && error.kind() == ErrorKind::BrokenPipe;
                        assert!(broken || error.kind() == ErrorKind::ConnectionReset, "{error}");
                        assert!(error.raw_os_error().is_some(), "the operating system's words are kept");
                    }
                    other => panic!("{state}: {other:?}"),
                }
            }
            assert_eq!(ws.summary().unwrap().code, CloseCode::ABNORMAL);
            let late = ws.send("late").await;
            assert!(matches!(late, Err(Error::Send(_))), "{state}: {late:?}");
        });
    }
    // Behind its Close frame.
    run(async {
        let (mut raw, stream) = sockets();
        let mut ws = server(tcp_stream(stream), Config::new());
        ws.send("unread").await.unwrap();
        raw.write_all(&masked(0x88, &1001u16.to_be_bytes())).unwrap();
        reset(raw);
        if cfg!(target_os = "linux") {
            assert_eq!(ws.recv().await.unwrap(), None);
            assert_eq!(ws.summary().unwrap().code, CloseCode::GOING_AWAY);
        }
    });
}

/// A server that refuses says why and goes; the client is in the middle of sending then.
#[test]
fn a_sender_whose_peer_has_gone_still_hears_why() {
    let why = masked(0x88, b"\x03\xf1too big");
    run(async {
        let stream = peer_gone(&[masked(0x82, b"bye"), why.clone()].concat()).await;
        let mut ws = server(stream, Config::new());
        for _ in 0..2 {
            let lost = ws.send("more").await;
            assert!(
                matches!(&lost, Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe),
                "{lost:?}"
            );
        }
        assert_eq!(ws.recv().await.unwrap(), Some(b"bye".into()));
        assert_eq!(ws.recv().await.unwrap(), None);
        assert_eq!(ws.summary().unwrap().reason, "too big");
        assert_eq!(ws.close(CloseCode::NORMAL, "").await.map_err(|error| error.to_string()), Ok(()));

        // The same found by closing.
        let mut ws = server(peer_gone(&why).await, Config::new());
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        assert_eq!(ws.summary().unwrap().code, CloseCode::TOO_BIG);
    });
}

/// Who only sends comes to know it: its calls fail once the peer has gone, and why can still be read.
#[test]
fn a_loop_that_only_writes_notices_that_its_peer_has_gone() {
    for says_why in [false, true] {
        let (mut raw, stream) = sockets();
        if says_why {
            raw.write_all(&masked(0x88, b"\x03\xe9going")).unwrap();
        }
        drop(raw);
        within(10 * SECOND, move || {
            run(async {
                let mut ws = server(tcp_stream(stream), Config::new());
                let end = loop {
                    if let Err(error) = ws.send_fragment("tick", Fin::More).await {
                        break error;
                    }
                    thread::sleep(ms(1));
                };
                assert!(matches!(end, Error::Io(_)), "{end:?}");
                if says_why && cfg!(target_os = "linux") {
                    assert_eq!(ws.recv().await.unwrap(), None);
                    assert_eq!(ws.summary().unwrap().reason, "going");
                }
            });
        });
    }
}

// conf: CL-12 CL-16
#[test]
fn dropping_without_a_close_is_abnormal_for_the_peer() {
    let (there, here) = sockets();
    run(async {
        drop(client(tcp_stream(there), Config::new()));
        let mut ws = server(tcp_stream(here), Config::new());
        assert!(matches!(ws.recv().await, Err(Error::Connection(sansocket::Error::UnexpectedEof))));
        let summary = ws.summary().unwrap();
        assert_eq!((summary.code, summary.initiator), (CloseCode::ABNORMAL, Initiator::Remote));
    });
}

// conf: FR-12
#[test]
fn bytes_read_together_with_the_handshake_come_first() {
    for size in [0, 10, 70_000, 300_000] {
        let mut unread = masked(0x81, b"early");
        let mut peer = Connection::client(Config::new(), keys(), Duration::ZERO);
        peer.send(pattern(size), &mut unread).unwrap();
        let cut = unread.len() - 3;
        let (mut raw, stream) = sockets();
        run(async {
            let connection = Connection::server(Config::new(), Duration::ZERO);
            let mut ws = WebSocket::with_unread(tcp_stream(stream), connection, &unread[..cut]);
            assert_eq!(ws.recv().await.unwrap(), Some("early".into()));
            raw.write_all(&unread[cut..]).unwrap();
            assert!(ws.recv().await.unwrap() == Some(Message::from(pattern(size))), "{size}");
        });
    }
}

#[test]
fn taking_the_stream_back_loses_no_byte() {
    for by_hand in [false, true] {
        let (mut raw, stream) = sockets();
        let mut said = masked(0x81, b"one");
        said.extend_from_slice(&masked(0x02, b"begun "));
        said.extend_from_slice(&masked(0x89, b"ping"));
        let rest = [masked(0x80, b"and done"), masked(0x81, b"two")].concat();
        said.extend_from_slice(&rest);
        raw.write_all(&said).unwrap();
        let mut same_stream = stream.try_clone().unwrap();
        run(async {
            let mut ws = server(tcp_stream(stream), Config::new());
            let first = ws.recv_event().await.unwrap();
            assert!(matches!(first, Some(Event::Message(message)) if message == "one"));
            assert!(matches!(ws.recv_event().await.unwrap(), Some(Event::Ping(_))));
            ws.feed("unsent").await.unwrap();
            let parts = ws.into_parts();
            assert_eq!(parts.unread, rest);
            assert_eq!(parts.unsent, b"\x8a\x04ping\x81\x06unsent");
            // It goes on where it was.
            let mut ws = if by_hand {
                same_stream.write_all(&parts.unsent).unwrap();
                WebSocket::with_unread(parts.transport, parts.connection, &parts.unread)
            } else {
                WebSocket::from_parts(parts)
            };
            assert_eq!(ws.recv().await.unwrap(), Some(b"begun and done".into()));
            assert_eq!(ws.recv().await.unwrap(), Some("two".into()));
            ws.flush().await.unwrap();
            let mut heard = [0; 14];
            raw.read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"\x8a\x04ping\x81\x06unsent");
        });
    }
}
