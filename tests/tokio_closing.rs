//! How connections over tokio end: by agreement, by a violation, by a half-closed or a vanished peer.
#![cfg(all(feature = "tokio", feature = "rand"))]

mod blocking_support;
mod tokio_support;

use core::time::Duration;
use std::io::ErrorKind;

use blocking_support::{SECOND, keys, ms, pattern, read_all};
use sansocket::tokio::{Error, WebSocket};
use sansocket::{CloseCode, Config, Connection, Event, Fin, Initiator, Message, ProtocolError, State};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_support::{client, code, events_to_the_end, masked, server, tcp};

#[derive(Clone, Copy, Debug)]
enum Lane {
    Owned,
    Lent,
    Events,
}

const LANES: [Lane; 3] = [Lane::Owned, Lane::Lent, Lane::Events];

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(ws: &mut WebSocket<S>, lane: Lane) -> Result<(), Error> {
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

/// The peer has sent much more than the server will ever look at. Closing the socket over that would make the kernel
/// send a reset, which destroys what is on its way.
// conf: FL-01 FL-02 FL-03 CL-10
#[tokio::test]
async fn what_was_valid_before_a_violation_is_answered_and_its_code_arrives() {
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
            let (raw, stream) = tcp().await;
            let judge = tokio::spawn(async move {
                let config = Config::new().max_message_size(4096).close_timeout(5 * SECOND);
                let mut ws = server(stream, config);
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
            // Valid by itself, but what follows a violation is not looked at.
            said.extend_from_slice(&masked(0x82, b"after").repeat(100_000));
            let (reader, mut writer) = raw.into_split();
            writer.write_all(&said).await.unwrap();
            let events = events_to_the_end(reader).await;
            assert_eq!(events.len(), 3, "{events:?}");
            assert_eq!(events[0], Event::Message("before".into()));
            assert_eq!(events[1], Event::Pong(b"ping"[..].into()));
            assert_eq!(code(&events[2]), expected);
            drop(writer);
            let verdict = judge.await.unwrap();
            assert!(matches!(verdict, Err(Error::Connection(_))), "{verdict:?}");
        }
    }
}

// conf: MK-04 FL-01
#[tokio::test]
async fn a_client_fails_a_server_that_masks() {
    let (mut raw, stream) = tcp().await;
    raw.write_all(&masked(0x82, b"hi")).await.unwrap();
    raw.shutdown().await.unwrap();
    let mut ws = client(stream, Config::new());
    let verdict = ws.recv().await;
    let expected = sansocket::Error::Protocol(ProtocolError::MaskUnexpected);
    assert!(matches!(verdict, Err(Error::Connection(error)) if error == expected), "{verdict:?}");
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard).await.unwrap();
    let (events, _) = read_all(&mut Connection::server(Config::new(), Duration::ZERO), &mut heard);
    assert_eq!(code(&events[0]), 1002);
}

// conf: CL-10
#[tokio::test]
async fn closing_with_much_unread_still_delivers_the_code() {
    let (raw, stream) = tcp().await;
    let flood = tokio::spawn(async move {
        let (reader, mut writer) = raw.into_split();
        for _ in 0..40 {
            writer.write_all(&masked(0x82, b"unread").repeat(5000)).await.unwrap();
        }
        writer.write_all(&masked(0x88, &1000u16.to_be_bytes())).await.unwrap();
        events_to_the_end(reader).await
    });
    let mut ws = server(stream, Config::new());
    ws.close(CloseCode::TRY_AGAIN_LATER, "too busy").await.unwrap();
    let summary = ws.summary().unwrap();
    assert_eq!((summary.code, summary.clean), (CloseCode::NORMAL, true));
    assert_eq!(summary.initiator, Initiator::Local);
    drop(ws);
    let events = flood.await.unwrap();
    assert_eq!((events.len(), code(&events[0])), (1, 1013));
}

// conf: CL-04 CL-08 CL-11 CL-12 CL-13
#[tokio::test]
async fn the_server_ends_the_stream_first() {
    let (mut raw, stream) = tcp().await;
    let ended = tokio::spawn(async move {
        let mut ws = server(stream, Config::new());
        let end = ws.recv().await;
        assert!(ws.summary().unwrap().clean);
        assert_eq!(ws.summary().unwrap().reason, "done");
        (end.unwrap(), ws.summary().unwrap().code)
    });
    raw.write_all(&masked(0x88, b"\x0f\xa0done")).await.unwrap();
    // Its end comes although ours has not.
    assert_eq!(code(&events_to_the_end(&mut raw).await[0]), 4000);
    drop(raw);
    assert_eq!(ended.await.unwrap(), (None, CloseCode::new(4000)));
}

// conf: CL-09
#[tokio::test]
async fn the_client_waits_for_the_servers_end() {
    let (mut raw, stream) = tcp().await;
    let mut ended = tokio::spawn(async move { client(stream, Config::new()).recv().await });
    raw.write_all(b"\x88\x02\x03\xe8").await.unwrap();
    let mut answer = [0; 8];
    raw.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[0], 0x88);
    assert!(timeout(ms(60), raw.read(&mut answer)).await.is_err());
    assert!(timeout(ms(1), &mut ended).await.is_err());
    drop(raw);
    assert_eq!(ended.await.unwrap().unwrap(), None);
}

// conf: CL-14
#[tokio::test]
async fn both_close_at_once() {
    let (there, here) = tcp().await;
    let (mut there, mut here) = (client(there, Config::new()), server(here, Config::new()));
    let (first, second) =
        tokio::join!(there.close(CloseCode::new(3001), "client"), here.close(CloseCode::new(3002), "server"));
    first.unwrap();
    second.unwrap();
    for (ws, code) in [(there.summary().unwrap(), 3002), (here.summary().unwrap(), 3001)] {
        assert_eq!((ws.code.get(), ws.clean, ws.initiator), (code, true, Initiator::Local));
    }
}

/// A loop that only receives answers pings and the Close, although it never sends.
#[tokio::test]
async fn a_loop_that_only_reads_gets_its_pongs_out() {
    for lane in LANES {
        let (mut raw, stream) = tcp().await;
        let reader = tokio::spawn(async move {
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
            raw.write_all(&masked(0x81, b"data")).await.unwrap();
            raw.write_all(&masked(0x01, b"da")).await.unwrap();
            raw.write_all(&masked(0x89, &[round])).await.unwrap();
            let mut pong = [0; 3];
            raw.read_exact(&mut pong).await.unwrap();
            assert_eq!(pong, [0x8a, 1, round]);
            raw.write_all(&masked(0x80, b"ta")).await.unwrap();
        }
        raw.write_all(&masked(0x88, b"\x03\xe8")).await.unwrap();
        assert_eq!(code(&events_to_the_end(&mut raw).await[0]), 1000);
        drop(raw);
        reader.await.unwrap();
    }
}

/// What the peer did before it ended its direction, and what comes of it.
// conf: FR-13 CL-11 CL-12 CL-16
#[tokio::test]
async fn a_peer_that_ends_its_direction_is_told_what_is_due() {
    let cases: [(&[u8], bool, usize); 5] = [
        (b"", false, 0),
        (b"\x81\x80\0\0\0\0", false, 1),
        (b"\x81\x80\0\0\0\0\x81\x85\0\0", false, 1),
        (b"\x01\x81\0\0\0\0!", false, 0),
        (b"\x82\x80\0\0\0\0\x88\x80\0\0\0\0", true, 1),
    ];
    for (said, clean, messages) in cases {
        let (mut raw, stream) = tcp().await;
        raw.write_all(said).await.unwrap();
        raw.shutdown().await.unwrap();
        let mut ws = server(stream, Config::new());
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
        let events = events_to_the_end(&mut raw).await;
        assert_eq!(events.len(), 1 + messages + usize::from(clean), "{events:?}");
        drop(ws);
    }
}

// conf: CL-11 CL-16
#[tokio::test]
async fn a_peer_that_ends_after_our_close_without_its_own_is_not_clean() {
    for half in [true, false] {
        let (mut raw, stream) = tcp().await;
        let mut ws = client(stream, Config::new());
        ws.start_close(CloseCode::NORMAL, "").await.unwrap();
        if half {
            raw.shutdown().await.unwrap();
        } else {
            reset(raw).await;
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
    }
}

/// A socket with something to read that is dropped resets its peer.
async fn reset(raw: TcpStream) {
    raw.readable().await.unwrap();
    drop(raw);
    sleep(ms(20)).await;
}

// conf: CL-16
#[tokio::test]
async fn a_reset_is_an_error_that_names_it_in_every_state_before_the_close() {
    for state in ["open", "in a message", "waiting", "sending"] {
        let (mut raw, stream) = tcp().await;
        let mut ws = server(stream, Config::new());
        ws.send("unread").await.unwrap();
        if state == "in a message" {
            raw.write_all(b"\x01\x82\0\0\0\0a").await.unwrap();
            assert!(timeout(ms(20), ws.recv()).await.is_err());
        }
        if state == "waiting" {
            let (end, ()) = tokio::join!(ws.recv(), reset(raw));
            assert!(matches!(end, Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset));
        } else {
            reset(raw).await;
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
        assert!(ws.send("late").await.is_err());
    }
    // Behind its Close frame.
    let (mut raw, stream) = tcp().await;
    let mut ws = server(stream, Config::new());
    ws.send("unread").await.unwrap();
    raw.write_all(&masked(0x88, &1001u16.to_be_bytes())).await.unwrap();
    reset(raw).await;
    if cfg!(target_os = "linux") {
        assert_eq!(ws.recv().await.unwrap(), None);
        assert_eq!(ws.summary().unwrap().code, CloseCode::GOING_AWAY);
    }
}

/// A server that refuses says why and goes; the client is in the middle of sending then.
#[tokio::test]
async fn a_sender_whose_peer_has_gone_still_hears_why() {
    let (mut raw, stream) = duplex(1000);
    let mut ws = server(stream, Config::new());
    raw.write_all(&masked(0x82, b"bye")).await.unwrap();
    raw.write_all(&masked(0x88, b"\x03\xf1too big")).await.unwrap();
    drop(raw);
    for _ in 0..2 {
        let lost = ws.send("more").await;
        assert!(matches!(&lost, Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe), "{lost:?}");
    }
    assert_eq!(ws.recv().await.unwrap(), Some(b"bye".into()));
    assert_eq!(ws.recv().await.unwrap(), None);
    assert_eq!(ws.summary().unwrap().reason, "too big");
    assert!(ws.close(CloseCode::NORMAL, "").await.is_ok());

    // The same found by closing.
    let (mut raw, stream) = duplex(1000);
    let mut ws = server(stream, Config::new());
    raw.write_all(&masked(0x88, b"\x03\xf1too big")).await.unwrap();
    drop(raw);
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!(ws.summary().unwrap().code, CloseCode::TOO_BIG);
}

// conf: CL-12 CL-16
#[tokio::test]
async fn dropping_without_a_close_is_abnormal_for_the_peer() {
    let (there, here) = tcp().await;
    drop(client(there, Config::new()));
    let mut ws = server(here, Config::new());
    assert!(matches!(ws.recv().await, Err(Error::Connection(sansocket::Error::UnexpectedEof))));
    let summary = ws.summary().unwrap();
    assert_eq!((summary.code, summary.initiator), (CloseCode::ABNORMAL, Initiator::Remote));
}

// conf: FR-12
#[tokio::test]
async fn bytes_read_together_with_the_handshake_come_first() {
    for size in [0, 10, 70_000, 300_000] {
        let mut unread = masked(0x81, b"early");
        let mut peer = Connection::client(Config::new(), keys(), Duration::ZERO);
        peer.send(pattern(size), &mut unread).unwrap();
        let cut = unread.len() - 3;
        let (mut raw, stream) = tcp().await;
        let connection = Connection::server(Config::new(), Duration::ZERO);
        let mut ws = WebSocket::with_unread(stream, connection, &unread[..cut]);
        assert_eq!(ws.recv().await.unwrap(), Some("early".into()));
        raw.write_all(&unread[cut..]).await.unwrap();
        assert!(ws.recv().await.unwrap() == Some(Message::from(pattern(size))), "{size}");
    }
}

#[tokio::test]
async fn taking_the_stream_back_loses_no_byte() {
    let (mut raw, stream) = tcp().await;
    let mut said = masked(0x81, b"one");
    said.extend_from_slice(&masked(0x02, b"begun "));
    said.extend_from_slice(&masked(0x89, b"ping"));
    let rest = [masked(0x80, b"and done"), masked(0x81, b"two")].concat();
    said.extend_from_slice(&rest);
    raw.write_all(&said).await.unwrap();
    let mut ws = server(stream, Config::new());
    let first = ws.recv_event().await.unwrap();
    assert!(matches!(first, Some(Event::Message(message)) if message == "one"));
    assert!(matches!(ws.recv_event().await.unwrap(), Some(Event::Ping(_))));
    ws.feed("unsent").await.unwrap();
    let parts = ws.into_parts();
    assert_eq!(parts.unread, rest);
    assert_eq!(parts.unsent, b"\x8a\x04ping\x81\x06unsent");
    // It goes on where it was.
    let mut stream = parts.transport;
    stream.write_all(&parts.unsent).await.unwrap();
    let mut ws = WebSocket::with_unread(stream, parts.connection, &parts.unread);
    assert_eq!(ws.recv().await.unwrap(), Some(b"begun and done".into()));
    assert_eq!(ws.recv().await.unwrap(), Some("two".into()));
    let mut heard = [0; 14];
    raw.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"\x8a\x04ping\x81\x06unsent");
}

/// A task that only sends comes to know it: its calls fail once the peer has gone, and why can still be read.
#[tokio::test]
async fn a_loop_that_only_writes_notices_that_its_peer_has_gone() {
    for says_why in [false, true] {
        let (mut raw, stream) = tcp().await;
        let mut ws = server(stream, Config::new());
        if says_why {
            raw.write_all(&masked(0x88, b"\x03\xe9going")).await.unwrap();
        }
        drop(raw);
        let end = timeout(10 * SECOND, async {
            loop {
                if let Err(error) = ws.send_fragment("tick", Fin::More).await {
                    return error;
                }
                sleep(ms(1)).await;
            }
        });
        let end = end.await.unwrap();
        assert!(matches!(end, Error::Io(_)), "{end:?}");
        if says_why && cfg!(target_os = "linux") {
            assert_eq!(ws.recv().await.unwrap(), None);
            assert_eq!(ws.summary().unwrap().reason, "going");
        }
    }
}
