//! The streams that come with the crate, as users meet them: pairs in memory, Unix sockets, anything else untimed.

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::Instant;

use sansocket::blocking::{Error, Transport, Untimed, WebSocket, pipe};
use sansocket::{Chunk, CloseCode, Config, Delivery, Event, Message, SendError};

use crate::support::{SECOND, client, ms, pattern, server, tcp, text, within};

fn echo<S: Transport>(mut ws: WebSocket<S>) -> Result<(), Error> {
    while let Some((message, mut tx)) = ws.recv_ref()? {
        tx.feed(&message)?;
    }
    Ok(())
}

/// A whole conversation, with a message of the largest size among others.
fn converse<A, B>(there: A, here: B)
where
    A: Transport + Send + 'static,
    B: Transport + Send + 'static,
{
    within(60 * SECOND, move || {
        let answering = thread::spawn(move || echo(server(here, Config::new())));
        let mut ws = client(there, Config::new());
        for message in ["", "hello", &text(5000), &text(200_000)] {
            ws.send(message).unwrap();
            assert!(ws.recv().unwrap() == Some(message.into()));
        }
        for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20] {
            let message = vec![len as u8; len];
            ws.send(&message).unwrap();
            assert!(ws.recv().unwrap() == Some(Message::from(message)), "{len}");
        }
        // Many at once.
        for number in 0..2000 {
            ws.feed(format!("number {number}")).unwrap();
        }
        for number in 0..2000 {
            assert_eq!(ws.recv().unwrap(), Some(format!("number {number}").into()));
        }
        ws.close(CloseCode::NORMAL, "thanks").unwrap();
        answering.join().unwrap().unwrap();
        assert!(ws.summary().unwrap().clean);
    });
}

#[test]
fn conversations_over_every_stream() {
    let (there, here) = pipe();
    converse(there, here);
    let (there, here) = tcp();
    converse(there, here);
    let (there, here) = tcp();
    converse(Untimed(there), Untimed(here));
    let (there, here) = tcp();
    converse::<Box<dyn Transport + Send>, _>(Box::new(there), here);
    #[cfg(unix)]
    {
        let (there, here) = std::os::unix::net::UnixStream::pair().unwrap();
        converse(there, here);
    }
}

#[cfg(feature = "rand")]
#[test]
fn a_pair_stands_in_for_a_connection() {
    let (mut client, mut server) = sansocket::blocking::pair(Config::new());
    // What fits into the stream needs no second thread.
    client.send("hello").unwrap();
    client.feed_prepared(&sansocket::Prepared::new("to all")).unwrap();
    client.ping(b"?").unwrap();
    assert_eq!(server.recv().unwrap(), Some("hello".into()));
    assert_eq!(server.recv().unwrap(), Some("to all".into()));
    assert!(matches!(server.recv_event().unwrap(), Some(Event::Ping(payload)) if *payload == *b"?"));
    assert!(matches!(server.recv_timeout(ms(5)), Err(Error::TimedOut)));
    assert!(matches!(client.recv_event().unwrap(), Some(Event::Pong(payload)) if *payload == *b"?"));
    server.send_fragment("a ", sansocket::Fin::More).unwrap();
    assert!(matches!(server.send("other"), Err(Error::Send(SendError::MessageInProgress))));
    server.send_fragment("b", sansocket::Fin::Final).unwrap();
    assert_eq!(client.recv().unwrap(), Some("a b".into()));
    // A close from a single thread: begin it here, take part there.
    client.start_close(CloseCode::NORMAL, "bye").unwrap();
    assert!(matches!(server.recv_event().unwrap(), Some(Event::Close(frame)) if frame.reason == "bye"));
    let other = thread::spawn(move || server.recv().map(|_| server.summary().unwrap().reason.into_owned()));
    assert_eq!(client.recv().unwrap(), None);
    assert_eq!(other.join().unwrap().unwrap(), "bye");
}

#[cfg(feature = "rand")]
#[test]
fn the_code_under_test_is_dropped_and_the_other_end_of_the_pair_notices() {
    let (client, mut server) = sansocket::blocking::pair(Config::new());
    let waiting = thread::spawn(move || server.recv());
    thread::sleep(ms(20));
    drop(client);
    let ended = within(10 * SECOND, move || waiting.join().unwrap());
    assert!(matches!(ended, Err(Error::Connection(sansocket::Error::UnexpectedEof))), "{ended:?}");
}

#[test]
fn pipes_are_streams_with_timeouts_and_two_ends() {
    let (mut one, mut other) = pipe();
    assert_eq!(one.read(&mut []).unwrap(), 0);
    assert_eq!(one.write(&[]).unwrap(), 0);
    one.set_read_timeout(Some(ms(10))).unwrap();
    one.set_write_timeout(Some(ms(10))).unwrap();
    let start = Instant::now();
    assert_eq!(one.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(start.elapsed() >= ms(10));
    // 64 KiB wait, no more.
    let mut written = 0;
    let full = loop {
        match one.write(&[7; 1000]) {
            Ok(len) => written += len,
            Err(error) => break error.kind(),
        }
    };
    assert_eq!((full, written), (ErrorKind::WouldBlock, 64 << 10));
    // The end is seen behind the last byte.
    one.shutdown_write().unwrap();
    assert_eq!(one.write(b"!").unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut rest = Vec::new();
    other.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), written);
    // The other direction is still open, until its reader is gone.
    other.write_all(b"back").unwrap();
    assert_eq!(one.read(&mut [0; 10]).unwrap(), 4);
    drop(one);
    assert_eq!(other.write(b"!").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_pipe_wakes_whoever_waits_at_it() {
    within(20 * SECOND, || {
        // Lengths that meet the capacity in every way.
        let (mut one, mut other) = pipe();
        let sent = pattern(3_000_000);
        let writer = thread::spawn({
            let sent = sent.clone();
            move || sent.chunks(70_001).for_each(|chunk| one.write_all(chunk).unwrap())
        });
        let mut received = Vec::new();
        other.read_to_end(&mut received).unwrap();
        writer.join().unwrap();
        assert!(received == sent);
        // A waiting reader at the end, a waiting writer at the loss of its reader.
        let (mut one, other) = pipe();
        let reader = thread::spawn(move || one.read(&mut [0]));
        thread::sleep(ms(20));
        drop(other);
        assert_eq!(reader.join().unwrap().unwrap(), 0);
        let (mut one, other) = pipe();
        let writer = thread::spawn(move || one.write_all(&[0; 100_000]));
        thread::sleep(ms(20));
        drop(other);
        assert_eq!(writer.join().unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn chunks_come_over_streams_as_they_arrive() {
    let (mut raw, here) = pipe();
    let mut ws = server(here, Config::new().delivery(Delivery::Chunks).max_message_size(10));
    assert!(matches!(ws.recv(), Err(Error::ChunkDelivery)));
    assert!(matches!(ws.recv_ref(), Err(Error::ChunkDelivery)));
    raw.write_all(b"\x02\xfe\x03\xe8\0\0\0\0").unwrap();
    let part = |event: Option<Event<'_>>| match event {
        Some(Event::Chunk(Chunk { payload, first, last, .. })) => (payload.len(), first, last),
        other => panic!("{other:?}"),
    };
    raw.write_all(&[7; 400]).unwrap();
    assert_eq!(part(ws.recv_event().unwrap()), (400, true, false));
    raw.write_all(&[7; 600]).unwrap();
    assert_eq!(part(ws.recv_event().unwrap()), (600, false, false));
    raw.write_all(b"\x80\x80\0\0\0\0").unwrap();
    assert_eq!(part(ws.recv_event().unwrap()), (0, false, true));
    // Closing throws them away.
    raw.write_all(b"\x82\x83\0\0\0\0abc\x88\x80\0\0\0\0").unwrap();
    raw.shutdown_write().unwrap();
    ws.close(CloseCode::NORMAL, "").unwrap();
    assert!(ws.summary().unwrap().clean);
}

#[test]
fn both_ends_may_send_at_once_what_the_sockets_hold() {
    // More than that ends by the write deadline, since neither end receives while it sends. A pipe holds 64 KiB.
    let (there, here) = pipe();
    let big = vec![7; 40_000];
    let other = thread::spawn({
        let big = big.clone();
        move || {
            let mut ws = client(there, Config::new());
            ws.send(&big).unwrap();
            assert!(ws.recv().unwrap() == Some(Message::from(&big)));
            ws.recv().unwrap()
        }
    });
    let mut ws = server(here, Config::new());
    ws.send(&big).unwrap();
    assert!(ws.recv().unwrap() == Some(Message::from(&big)));
    ws.close(CloseCode::GOING_AWAY, "").unwrap();
    assert_eq!(other.join().unwrap(), None);
}

#[test]
fn errors_say_what_to_do_and_turn_into_io_errors() {
    let (_raw, here) = pipe();
    let mut ws = server(here, Config::new());
    let timed_out = ws.recv_timeout(ms(1)).unwrap_err();
    assert!(timed_out.is_temporary());
    assert_eq!(std::io::Error::from(timed_out).kind(), ErrorKind::TimedOut);
    let refused = ws.ping(&[0; 126]).unwrap_err();
    assert!(!refused.is_temporary());
    assert_eq!(std::io::Error::from(refused).kind(), ErrorKind::InvalidInput);
    let wrong = ws.close(CloseCode::ABNORMAL, "").unwrap_err();
    assert!(matches!(wrong, Error::Send(SendError::InvalidCloseCode(CloseCode::ABNORMAL))));
    // Still open.
    ws.send("fine").unwrap();
}
