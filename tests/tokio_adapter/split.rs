//! Halves for several tasks, the shutdown of many, and the view as a stream of bytes.

use std::time::Duration;

use sansocket::tokio::{Error, Group, WebSocket, pair};
use sansocket::{CloseCode, Config, Connection, MaskKeys, Message, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// Sends everything back until the end.
async fn echo(mut ws: WebSocket<DuplexStream>) {
    while let Some((message, mut tx)) = ws.recv_ref().await.unwrap() {
        tx.feed(&message).await.unwrap();
    }
}

#[tokio::test]
async fn many_senders_and_a_receiver_share_a_connection() {
    let (client, server) = pair(Config::default());
    let serving = tokio::spawn(echo(server));
    let (mut rx, tx) = client.split();
    let mut tasks = Vec::new();
    for sender in 0..8u32 {
        let mut tx = tx.clone();
        tasks.push(tokio::spawn(async move {
            for number in 0..50u32 {
                // Small ones and ones that fill the pipe, sent and queued.
                let len = if number % 10 == 0 { 100_000 } else { 10 };
                let mut payload = vec![0; len];
                payload[..4].copy_from_slice(&sender.to_be_bytes());
                payload[4..8].copy_from_slice(&number.to_be_bytes());
                if number % 2 == 0 {
                    tx.send(payload).await.unwrap()
                } else {
                    tx.feed(payload).await.unwrap()
                }
            }
        }));
    }
    let mut next = [0u32; 8];
    for _ in 0..400 {
        let message =
            timeout(SOON, rx.recv()).await.expect("nothing is stuck").unwrap().unwrap().into_bytes();
        let sender = u32::from_be_bytes(message[..4].try_into().unwrap()) as usize;
        assert_eq!(u32::from_be_bytes(message[4..8].try_into().unwrap()), next[sender], "in order");
        next[sender] += 1;
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(next, [50; 8]);
    let mut ws = rx.reunite(tx).unwrap();
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    assert!(ws.summary().unwrap().clean);
    serving.await.unwrap();
}

#[tokio::test]
async fn what_is_queued_leaves_while_the_receiver_sleeps() {
    let (client, mut server) = pair(Config::default());
    let (mut rx, mut tx) = client.split();
    let receiving = tokio::spawn(async move { rx.recv().await });
    tokio::task::yield_now().await;
    tx.feed("queued only").await.unwrap();
    assert_eq!(timeout(SOON, server.recv()).await.unwrap().unwrap(), Some("queued only".into()));
    server.send("answer").await.unwrap();
    assert_eq!(receiving.await.unwrap().unwrap(), Some("answer".into()));
}

#[tokio::test]
async fn a_half_that_only_receives_answers_pings_and_a_half_that_only_sends_sees_the_close() {
    // conf: CT-04
    let (client, mut server) = pair(Config::default());
    let (mut rx, mut tx) = client.split();
    let receiving = tokio::spawn(async move { (rx.recv().await, rx) });
    server.ping(b"there?").await.unwrap();
    let pong = timeout(SOON, server.recv_event()).await.unwrap().unwrap();
    assert_eq!(pong, Some(sansocket::Event::Pong(b"there?"[..].into())));
    timeout(SOON, server.close(CloseCode::NORMAL, "enough")).await.unwrap().unwrap();
    let (end, rx) = receiving.await.unwrap();
    assert_eq!(end.unwrap(), None);
    assert_eq!(rx.state(), State::Closed);
    assert!(tx.send("too late").await.is_err());
}

#[tokio::test]
async fn a_sender_that_waits_hears_of_the_end() {
    let (client, server) = pair(Config::default());
    let (mut rx, mut tx) = client.split();
    // Nobody reads: this fills the pipe and waits.
    let sending = tokio::spawn(async move { tx.send(vec![0; 1 << 20]).await });
    let receiving = tokio::spawn(async move { rx.recv().await });
    tokio::task::yield_now().await;
    drop(server);
    assert!(timeout(SOON, sending).await.unwrap().unwrap().is_err());
    assert!(timeout(SOON, receiving).await.unwrap().unwrap().is_err());
}

#[tokio::test]
async fn halves_that_wait_do_not_wake_each_other_for_ever() {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let (client, server) = pair(Config::default());
    let (mut rx, mut tx) = client.split();
    let polls = Arc::new(AtomicUsize::new(0));
    let count = polls.clone();
    let receiving = tokio::spawn(async move {
        let mut recv = pin!(rx.recv());
        std::future::poll_fn(|context| {
            count.fetch_add(1, Ordering::Relaxed);
            recv.as_mut().poll(context)
        })
        .await
    });
    // Nobody reads: what is sent fills the pipe and stays.
    let sending = tokio::spawn(async move { tx.send(vec![0; 300_000]).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!sending.is_finished());
    assert!(polls.load(Ordering::Relaxed) < 20, "{polls:?} polls of a receiver that has nothing to do");
    drop(server);
    assert!(timeout(SOON, sending).await.unwrap().unwrap().is_err());
    assert!(timeout(SOON, receiving).await.unwrap().unwrap().is_err());
}

#[tokio::test]
async fn halves_reunite_only_with_their_own_and_without_clones() {
    let (a, b) = pair(Config::default());
    let ((rx_a, tx_a), (rx_b, tx_b)) = (a.split(), b.split());
    let (rx_a, tx_b) = rx_a.reunite(tx_b).unwrap_err();
    let clone = tx_a.clone();
    let (rx_a, tx_a) = rx_a.reunite(tx_a).unwrap_err();
    drop(clone);
    let mut a = rx_a.reunite(tx_a).unwrap();
    let mut b = rx_b.reunite(tx_b).unwrap();
    a.send("whole again").await.unwrap();
    assert_eq!(b.recv().await.unwrap(), Some("whole again".into()));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_all_and_waits_for_them_but_not_for_ever() {
    // conf: CL-04 CL-08
    let group = Group::new();
    let mut clients = Vec::new();
    for _ in 0..5 {
        let (client, mut server) = pair(Config::default());
        server.join(&group);
        tokio::spawn(echo(server));
        clients.push(client);
    }
    // One of them takes part only through halves.
    let (halved, mut server) = pair(Config::default());
    server.join(&group);
    let (mut rx, _tx) = server.split();
    tokio::spawn(async move { rx.recv().await });
    clients.push(halved);
    tokio::task::yield_now().await;
    assert_eq!(group.len(), 6);

    // Five answer, one is deaf.
    let deaf = clients.pop().unwrap();
    let answering = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            assert_eq!(client.recv().await.unwrap(), None);
            client.summary().unwrap().code
        })
    });
    let answering: Vec<_> = answering.collect();
    let left = group.shutdown(Duration::from_secs(3)).await;
    assert_eq!(left, 1, "the deaf one");
    for task in answering {
        assert_eq!(task.await.unwrap(), CloseCode::GOING_AWAY);
    }
    // Its close timeout ends it later; all who wait hear of it.
    let (first, second) =
        tokio::join!(group.shutdown(Duration::from_secs(60)), group.shutdown(Duration::from_secs(60)));
    assert_eq!((first, second), (0, 0));
    drop(deaf);
}

#[tokio::test]
async fn a_tunnel_is_a_stream_of_bytes() {
    let (client, server) = pair(Config::default());
    let (mut client, mut server) = (client.into_tunnel(), server.into_tunnel());
    let bytes: Vec<u8> = (0..300_000u32).map(|i| i as u8).collect();
    let expected = bytes.clone();
    let sending = tokio::spawn(async move {
        client.write_all(&bytes).await.unwrap();
        client.flush().await.unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0, "the clean end");
        answer
    });
    let mut received = vec![0; expected.len()];
    server.read_exact(&mut received).await.unwrap();
    assert_eq!(received, expected);
    server.write_all(b"done").await.unwrap();
    // Reading flushes what was written.
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(sending.await.unwrap(), *b"done");
    let (ws, rest) = server.into_inner();
    assert!(ws.summary().unwrap().clean && rest.is_empty());
}

#[tokio::test]
async fn text_is_no_part_of_a_tunnel() {
    let (mut client, server) = pair(Config::default());
    client.send(Message::from("text")).await.unwrap();
    let error = server.into_tunnel().read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[cfg(all(feature = "futures-core", feature = "futures-sink"))]
#[tokio::test]
async fn the_futures_traits_see_messages_and_one_end() {
    use futures_util::{SinkExt, StreamExt};

    let (mut client, server) = pair(Config::default());
    let echo = tokio::spawn(async move {
        let mut server = server;
        while let Some(message) = server.next().await {
            SinkExt::send(&mut server, message.unwrap()).await.unwrap();
        }
    });
    for text in ["one", "two"] {
        SinkExt::send(&mut client, Message::from(text)).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Message::from(text));
    }
    SinkExt::close(&mut client).await.unwrap();
    assert!(client.next().await.is_none());
    echo.await.unwrap();

    let (mut client, server) = pair(Config::default());
    drop(server);
    assert!(client.next().await.unwrap().is_err());
    assert!(client.next().await.is_none(), "an error is the end");
}

#[tokio::test]
async fn a_sender_that_waits_is_not_held_up_by_those_who_go_on_and_on() {
    let (client, mut server) = pair(Config::default());
    let (mut rx, mut tx) = client.split();
    let mut other = tx.clone();
    let feeding = tokio::spawn(async move { while other.feed(vec![7; 8000]).await.is_ok() {} });
    let receiving = tokio::spawn(async move { while let Ok(Some(_)) = rx.recv().await {} });
    let reading = tokio::spawn(async move { while let Ok(Some(_)) = server.recv_ref().await {} });
    for _ in 0..20 {
        timeout(SOON, tx.send("small")).await.expect("it leaves in its turn").unwrap();
    }
    for task in [feeding, receiving, reading] {
        task.abort();
    }
}

// conf: CT-04
#[tokio::test]
async fn two_ends_that_send_all_they_can_still_answer_each_others_pings() {
    let config = Config::default().max_queued_output(1000);
    let (there, here) = tokio::io::duplex(100);
    let zero = Duration::ZERO;
    let ends = [
        WebSocket::over(there, Connection::server(config.clone(), zero)),
        WebSocket::over(here, Connection::client(config, MaskKeys::thread(), zero)),
    ];
    let mut receivers = Vec::new();
    for end in ends {
        let (mut rx, tx) = end.split();
        let (mut feeding, mut pinging) = (tx.clone(), tx);
        tokio::spawn(async move { while feeding.feed(vec![0; 2000]).await.is_ok() {} });
        tokio::spawn(async move { while pinging.ping(&[1; 100]).await.is_ok() {} });
        receivers.push(tokio::spawn(async move {
            for _ in 0..100 {
                assert_eq!(rx.recv().await.unwrap().unwrap().len(), 2000);
            }
            rx
        }));
    }
    for receiver in &mut receivers {
        drop(timeout(SOON, receiver).await.expect("nothing is stuck").unwrap());
    }
}

#[tokio::test]
async fn a_hub_does_not_wait_for_its_slowest_member() {
    let (client, server) = pair(Config::default().max_queued_output(100_000));
    let (mut rx, tx) = server.split();
    let receiving = tokio::spawn(async move { rx.recv().await });
    let news = sansocket::Prepared::new("x".repeat(1000));
    let taken = (0..1000).take_while(|_| tx.try_feed_prepared(&news).is_ok()).count();
    assert!((90..200).contains(&taken), "{taken} until the queue was full");
    assert!(matches!(tx.try_feed("one more"), Err(Error::WouldBlock)));
    assert!(tx.queued() >= 100_000 && tx.state() == State::Open);
    // The receiving half writes it all, though it was asleep.
    let (mut client, _) = (client, tx);
    for _ in 0..taken {
        let next = timeout(SOON, client.recv()).await.expect("it leaves").unwrap();
        assert_eq!(next.unwrap().len(), 1000);
    }
    receiving.abort();
}
