//! A blocking client that connects again.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sansocket::blocking::{self, Connector, Error, Pipe, Reconnecting, pipe};
use sansocket::client::{Reconnect, ReconnectState, WhileAway};
use sansocket::{CloseCode, Message};

fn quick() -> Reconnect {
    Reconnect::new().first_delay(Duration::from_millis(20)).longest_delay(Duration::from_millis(40))
}

/// The first server refuses, the second ends in the response, the third after one message, the others echo.
fn client(policy: Reconnect) -> (Reconnecting<Pipe>, mpsc::Receiver<String>, Arc<AtomicUsize>) {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let (tx, rx) = mpsc::channel();
    let ws = Reconnecting::new(policy, move || {
        let attempt = counted.fetch_add(1, SeqCst);
        if attempt == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
        }
        let (here, there) = pipe();
        let tx = tx.clone();
        thread::spawn(move || {
            if attempt == 1 {
                return;
            }
            let mut ws = blocking::accept(there).unwrap();
            let mut heard = 0;
            while let Ok(Some(message)) = ws.recv() {
                let Message::Text(text) = &message else { panic!("{message:?}") };
                tx.send(text.to_string()).unwrap();
                ws.send(&message).unwrap();
                heard += 1;
                if attempt == 2 && heard == 2 {
                    return;
                }
            }
        });
        let mut ws = Connector::new("ws://localhost/").connect_over(here)?;
        ws.send("set up")?;
        Ok(ws)
    });
    (ws, rx, attempts)
}

#[test]
fn it_connects_again_and_what_waited_leaves_once() {
    let (mut ws, heard, attempts) = client(quick().while_away(WhileAway::Queue(10)));
    assert_eq!(ws.state(), ReconnectState::Waiting(Duration::ZERO));
    ws.send("one").unwrap();
    assert_eq!(ws.recv().unwrap(), Some("set up".into()));
    assert_eq!((attempts.load(SeqCst), ws.state()), (3, ReconnectState::Open));
    assert_eq!(ws.recv().unwrap(), Some("one".into()));
    assert_eq!((ws.waiting(), ws.messages_lost()), (0, 0));
    assert_eq!(ws.recv().unwrap(), Some("set up".into()), "the server died and another is there");
    ws.send("two").unwrap();
    assert_eq!(ws.recv().unwrap(), Some("two".into()));
    ws.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(ws.recv().unwrap(), None);
    drop(ws);
    assert_eq!(heard.iter().collect::<Vec<_>>(), ["set up", "one", "set up", "two"]);
}

#[test]
fn a_timeout_ends_a_wait_and_loses_nothing() {
    let slow = Reconnect::new().first_delay(Duration::from_secs(1 << 30)).longest_delay(Duration::MAX);
    let (mut ws, _, attempts) = client(slow);
    let begun = Instant::now();
    for _ in 0..3 {
        assert!(matches!(ws.recv_timeout(Duration::from_millis(20)), Err(Error::TimedOut)));
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(attempts.load(SeqCst), 1);
    assert!(matches!(ws.state(), ReconnectState::Waiting(_)));
    assert!(matches!(ws.send("x"), Err(Error::NotConnected)));
}

#[test]
fn it_stops_with_the_last_error() {
    let (mut ws, _, attempts) = client(quick().max_failures(2));
    assert!(ws.recv().is_err());
    assert_eq!(attempts.load(SeqCst), 2);
    assert_eq!((ws.recv().unwrap(), ws.state()), (None, ReconnectState::Stopped));
}
