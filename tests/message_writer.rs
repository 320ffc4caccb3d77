//! Messages that are written as streams of bytes, over both adapters.
#![cfg(feature = "rand")]

use std::io::{ErrorKind, Write};

use sansocket::{CloseCode, Config, Kind, Message, SendError, blocking};

const TEXT: &str = "grüße, 世界 🌍";

/// What `act` writes, as the peer receives it.
fn written(
    kind: Kind,
    act: impl FnOnce(&mut blocking::MessageWriter<'_, blocking::Pipe>),
) -> Message<'static> {
    let (mut client, mut server) = blocking::pair(Config::default());
    let mut writer = client.message_writer(kind);
    act(&mut writer);
    writer.finish().unwrap();
    server.recv().unwrap().unwrap()
}

// conf: FG-06
#[test]
fn writes_of_any_size_make_one_message() {
    for size in [1, 2, 3, 7, 100_000] {
        let parts = |writer: &mut blocking::MessageWriter<'_, _>| {
            TEXT.as_bytes().chunks(size).for_each(|part| writer.write_all(part).unwrap());
        };
        assert_eq!(written(Kind::Text, parts), TEXT, "cut into {size}");
        assert_eq!(written(Kind::Binary, parts).as_bytes(), TEXT.as_bytes());
    }
    assert_eq!(written(Kind::Text, |_| {}), "", "nothing written is an empty message");
    assert_eq!(written(Kind::Binary, |writer| assert_eq!(writer.write(&[]).unwrap(), 0)).len(), 0);
}

#[test]
fn text_that_is_none_is_refused_and_what_was_valid_stays() {
    let (mut client, mut server) = blocking::pair(Config::default());
    let mut writer = client.message_writer(Kind::Text);
    writer.write_all("good ü".as_bytes()).unwrap();
    let error = writer.write(b"bad \xff").unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().to_lowercase().contains("utf-8")),
        (ErrorKind::InvalidInput, true)
    );
    writer.write_all(&"ß".as_bytes()[..1]).unwrap();
    let cut = writer.finish().unwrap_err();
    assert!(matches!(cut, blocking::Error::Send(SendError::InvalidUtf8)), "it ends inside a character");
    writer.write_all(&"ß".as_bytes()[1..]).unwrap();
    writer.finish().unwrap();
    assert_eq!(writer.write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
    writer.finish().unwrap();
    assert_eq!(server.recv().unwrap().unwrap(), "good üß");
}

// conf: FG-06, FG-08
#[test]
fn a_message_that_was_left_open_is_not_taken_for_the_next_one() {
    let (mut client, mut server) = blocking::pair(Config::default());
    assert!(client.resume_message().is_none());
    client.message_writer(Kind::Binary).write_all(b"one ").unwrap();
    let in_progress = |result| matches!(result, Err(blocking::Error::Send(SendError::MessageInProgress)));
    assert!(in_progress(client.send("another")));
    assert!(in_progress(client.send_fragment(&b"another"[..], sansocket::Fin::More)));
    assert!(in_progress(client.send_chunk(&sansocket::Chunk::new(Kind::Binary, &b"another"[..]))));
    client.ping(b"allowed").unwrap();
    for kind in [Kind::Text, Kind::Binary] {
        let mut writer = client.message_writer(kind);
        assert_eq!(writer.write(b"two").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(in_progress(writer.finish()));
    }
    let mut writer = client.resume_message().unwrap();
    writer.write_all(b"two").unwrap();
    writer.finish().unwrap();
    assert_eq!(server.recv().unwrap().unwrap().as_bytes(), b"one two");

    client.message_writer(Kind::Binary).write_all(b"never finished").unwrap();
    client.start_close(CloseCode::GOING_AWAY, "").unwrap();
    drop(client);
    assert_eq!(server.recv().unwrap(), None, "a close cuts it off");
}

#[cfg(feature = "tokio")]
mod over_tokio {
    use super::*;
    use sansocket::tokio::{Error, pair};
    use tokio::io::{AsyncWriteExt, copy};
    use tokio::time::{Duration, timeout};

    #[tokio::test]
    async fn a_large_message_is_copied_through_a_small_pipe() {
        let (mut client, mut server) = pair(Config::default());
        let bytes: Vec<u8> = (0..3_000_000u32).map(|at| (at / 7) as u8).collect();
        let expected = bytes.clone();
        let sending = tokio::spawn(async move {
            let mut writer = client.message_writer(Kind::Binary);
            assert_eq!(copy(&mut &bytes[..], &mut writer).await.unwrap(), 3_000_000);
            writer.shutdown().await.unwrap();
            client
        });
        assert_eq!(server.recv().await.unwrap().unwrap().as_bytes(), expected);
        drop(sending.await.unwrap());
    }

    #[tokio::test]
    async fn a_write_that_is_given_up_loses_and_doubles_nothing() {
        let (mut client, mut server) = pair(Config::default());
        let receiving = tokio::spawn(async move { server.recv().await.unwrap().unwrap().into_bytes() });
        let mut sent = Vec::new();
        let mut writer = client.message_writer(Kind::Binary);
        for turn in 0..200u32 {
            let part = vec![turn as u8; 30_000];
            // Given up at once if it does not end at once; `write` tells how much was taken.
            if let Ok(len) = timeout(Duration::ZERO, writer.write(&part)).await {
                sent.extend_from_slice(&part[..len.unwrap()]);
            }
            tokio::task::yield_now().await;
        }
        let _ = timeout(Duration::ZERO, writer.finish()).await;
        writer.finish().await.unwrap();
        assert!(sent.len() > 200_000 && receiving.await.unwrap() == sent);
    }

    #[tokio::test]
    async fn halves_and_borrowed_senders_write_messages_too() {
        let (client, mut server) = pair(Config::default());
        let (mut rx, mut tx) = client.split();
        let mut other = tx.clone();
        let mut writer = tx.message_writer(Kind::Text);
        writer.write_all(b"from a half").await.unwrap();
        assert!(matches!(other.send("no").await, Err(Error::Send(SendError::MessageInProgress))));
        writer.finish().await.unwrap();
        let (message, answer) = server.recv_ref().await.unwrap().unwrap();
        let mut writer = answer.into_message_writer(Kind::Text);
        writer.write_all(message.as_bytes()).await.unwrap();
        writer.write_all(b" and back").await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(rx.recv().await.unwrap().unwrap(), "from a half and back");
    }
}
