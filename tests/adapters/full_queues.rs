//! Neither end stops the other: input is taken while output waits.

use std::thread;

use sansocket::{CloseCode, Config};

use crate::adapter::{Memory, WebSocket, pair, recv_within, run};
use crate::support::{SECOND, ms, pattern, within};

/// Both ends of a pair do `talk`, each in a thread of its own; returns what came of it.
fn both<T: Send + 'static>(talk: impl AsyncFn(WebSocket<Memory>) -> T + Clone + Send + 'static) -> [T; 2] {
    let config = Config::new().write_timeout(10 * SECOND).close_timeout(10 * SECOND);
    let (client, server) = pair(config);
    within(8 * SECOND, move || {
        let same_talk = talk.clone();
        let other = thread::spawn(move || run(same_talk(server)));
        [run(talk(client)), other.join().unwrap()]
    })
}

/// Both ends have more to say than the pipe between them holds, and receive.
// conf: CT-07
#[test]
fn two_ends_that_receive_with_full_queues_both_go_on() {
    let ended = both(async |mut ws| {
        ws.feed(pattern(200_000)).await?;
        ws.feed("the end").await?;
        let long = ws.recv().await?.map(|message| message.len());
        assert_eq!((long, ws.recv().await?), (Some(200_000), Some("the end".into())));
        ws.close(CloseCode::NORMAL, "").await
    });
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
}

/// The same with more than is written while it is fed, and less than the queue takes.
#[test]
fn two_ends_that_feed_up_to_their_limits_go_on_once_they_receive() {
    let ended = both(async |mut ws| {
        for _ in 0..15 {
            ws.feed(pattern(60_000)).await?;
        }
        for _ in 0..15 {
            assert_eq!(ws.recv().await?.map(|message| message.len()), Some(60_000));
        }
        ws.close(CloseCode::NORMAL, "").await
    });
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
}

/// The same while both close: what they said before their Close frames is in each other's way.
// conf: CL-14
#[test]
fn two_ends_that_close_with_full_queues_end_cleanly() {
    let ended = both(async |mut ws| {
        ws.feed(pattern(60_000)).await.unwrap();
        ws.feed(pattern(150_000)).await.unwrap();
        // The Close frame waits behind them.
        let end = recv_within(&mut ws, ms(1)).await;
        assert!(end.as_ref().is_none_or(|end| end.is_ok()), "{end:?}");
        let closed = ws.close(CloseCode::NORMAL, "").await;
        (closed.is_ok(), ws.summary().unwrap().clean)
    });
    assert_eq!(ended, [(true, true); 2]);
}
