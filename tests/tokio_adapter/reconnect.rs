//! A client that connects again, against servers that die at every step, in simulated time.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sansocket::client::{Reconnect, ReconnectEvent, ReconnectState, WhileAway};
use sansocket::handshake::Response;
use sansocket::tokio::{Acceptor, Connector, Error, Reconnecting, WebSocket, accept};
use sansocket::{CloseCode, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};

/// Where a server dies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Death {
    Refuses,
    BeforeTheRequest,
    InTheResponse,
    Answers503,
    BehindTheResponse,
    BeforeTheSetUp,
    InAMessage,
    Closes,
    /// Ten messages, then the end without a Close frame, after this time.
    After(Duration),
    /// Nothing more is heard: the keepalive finds out.
    Hangs,
}

const EVERY_STEP: [Death; 9] = [
    Death::Refuses,
    Death::BeforeTheRequest,
    Death::InTheResponse,
    Death::Answers503,
    Death::BehindTheResponse,
    Death::BeforeTheSetUp,
    Death::InAMessage,
    Death::Closes,
    Death::Hangs,
];

/// What servers got, and what they were asked.
#[derive(Clone, Default)]
struct Heard {
    messages: Arc<Mutex<Vec<String>>>,
    attempts: Arc<AtomicUsize>,
}

impl Heard {
    fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }
}

/// Lives as it is told; what it heard is noted, each message once.
async fn live(mut stream: DuplexStream, death: Death, heard: Heard) -> Result<(), Error> {
    match death {
        Death::Refuses | Death::BeforeTheRequest => return Ok(()),
        Death::InTheResponse => {
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgr").await?;
            return Ok(());
        }
        Death::Answers503 => {
            let request = Acceptor::new().read_request(stream).await?;
            let _ = request.reject(&Response::new(503)).await;
            return Ok(());
        }
        _ => {}
    }
    let mut ws = accept(stream).await?;
    if death == Death::BehindTheResponse {
        return ws.flush().await;
    }
    assert_eq!(ws.recv().await?, Some("set up".into()), "first of all, on each connection");
    match death {
        Death::BeforeTheSetUp => {}
        Death::InAMessage => {
            let mut parts = ws.into_parts();
            parts.transport.write_all(b"\x81\x05hel").await?;
            sleep(Duration::from_millis(1)).await;
        }
        Death::Closes => ws.close(CloseCode::GOING_AWAY, "restart").await?,
        Death::Hangs => {
            let mut parts = ws.into_parts();
            while parts.transport.read(&mut [0; 100]).await? > 0 {}
        }
        Death::After(lifetime) => {
            for n in 0..10 {
                ws.send(format!("{n}")).await?;
            }
            let until = Instant::now() + lifetime;
            while let Ok(message) = timeout(until - Instant::now(), ws.recv()).await {
                match message? {
                    Some(Message::Text(text)) => heard.messages.lock().unwrap().push(text.to_string()),
                    other => panic!("{other:?}"),
                }
            }
        }
        _ => unreachable!(),
    }
    Ok(())
}

/// A client whose servers die like this, one after the other, the last again and again.
fn client(policy: Reconnect, deaths: &'static [Death]) -> (Reconnecting<DuplexStream>, Heard) {
    let heard = Heard::default();
    let seen = heard.clone();
    let ws = Reconnecting::new(policy, move || {
        let attempt = seen.attempts.fetch_add(1, SeqCst);
        let death = *deaths.get(attempt).or_else(|| deaths.last()).unwrap();
        let seen = seen.clone();
        async move {
            if death == Death::Refuses {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
            }
            let (here, there) = duplex(1000);
            tokio::spawn(live(there, death, seen));
            let mut ws = Connector::new("ws://localhost/").connect_over(here).await?;
            ws.send("set up").await?;
            Ok(ws)
        }
    });
    (ws, heard)
}

fn policy() -> Reconnect {
    Reconnect::new()
}

#[tokio::test(start_paused = true)]
async fn whichever_step_a_server_dies_at_the_next_one_is_asked() {
    const THEN_LIVES: &[Death] = &{
        let mut deaths = [Death::After(Duration::from_secs(3600)); 10];
        let mut at = 0;
        while at < 9 {
            deaths[at] = EVERY_STEP[at];
            at += 1;
        }
        deaths
    };
    let (mut ws, heard) = client(policy(), THEN_LIVES);
    let begun = Instant::now();
    for n in 0..10 {
        assert_eq!(ws.recv().await.unwrap(), Some(format!("{n}").into()));
    }
    assert_eq!(ws.state(), ReconnectState::Open);
    assert_eq!(heard.attempts.load(SeqCst), 10);
    // Nine failures in a row: 5, 10, 20, 40 and five times 60 s at the most, half of that at the least; and the keepalive.
    let took = begun.elapsed().as_secs();
    assert!((185..=375 + 45).contains(&took), "{took}");
}

// conf: CL-18
#[tokio::test(start_paused = true)]
async fn a_server_that_always_dies_is_not_asked_in_a_loop() {
    static FOR_EVER: [[Death; 1]; 8] = [
        [Death::Refuses],
        [Death::BeforeTheRequest],
        [Death::InTheResponse],
        [Death::Answers503],
        [Death::BehindTheResponse],
        [Death::BeforeTheSetUp],
        [Death::InAMessage],
        [Death::Closes],
    ];
    for deaths in &FOR_EVER {
        let (mut ws, heard) = client(policy(), deaths);
        timeout(Duration::from_secs(3600), ws.recv()).await.unwrap_err();
        let attempts = heard.attempts.load(SeqCst);
        // Between 30 and 60 s for each, but the first few.
        assert!((60..=125).contains(&attempts), "{deaths:?}: {attempts}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lived_long_enough_begins_anew() {
    static DEATHS: [Death; 1] = [Death::After(Duration::from_secs(11))];
    let (mut ws, heard) = client(policy(), &DEATHS);
    let drained = async {
        loop {
            ws.recv().await.unwrap();
        }
    };
    let _ = timeout(Duration::from_secs(3600), drained).await;
    let attempts = heard.attempts.load(SeqCst);
    // 11 to 16 s each.
    assert!((225..=330).contains(&attempts), "{attempts}");
}

/// The futures are dropped again and again, at any await.
#[tokio::test(start_paused = true)]
async fn queued_messages_leave_once_and_in_order() {
    static DEATHS: [Death; 5] = [
        Death::Refuses,
        Death::InTheResponse,
        Death::After(Duration::from_secs(20)),
        Death::Answers503,
        Death::After(Duration::from_secs(3600)),
    ];
    let (mut ws, heard) = client(policy().while_away(WhileAway::Queue(1000)), &DEATHS);
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for n in 0..200_000 {
        if n % 500 == 0 {
            // While a connection that is open has not heard of its end, messages on it can be lost.
            let is_sure = ws.state() != ReconnectState::Open || heard.attempts.load(SeqCst) == 5;
            if is_sure && sent.len() < 300 {
                ws.send(format!("{n}")).await.unwrap();
                sent.push(n.to_string());
            }
        }
        match timeout(Duration::from_millis(1 + n % 7), ws.recv()).await {
            Ok(message) => received.push(message.unwrap().unwrap()),
            Err(_) if sent.len() == 300 => break,
            Err(_) => {}
        }
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!((sent.len(), ws.waiting()), (300, 0));
    assert_eq!(heard.messages(), sent);
    let twice: Vec<Message<'static>> =
        (0..2).flat_map(|_| (0..10).map(|n| Message::from(format!("{n}")))).collect();
    assert_eq!(received, twice, "each server's, each once");
}

#[tokio::test(start_paused = true)]
async fn messages_meanwhile_are_refused_dropped_or_bounded() {
    let send = async |what: WhileAway| {
        let (mut ws, _) = client(policy().while_away(what), &[Death::Refuses]);
        let _ = timeout(Duration::from_millis(1), ws.recv()).await;
        let mut taken = 0;
        for _ in 0..5 {
            match ws.send("x").await {
                Ok(()) => taken += 1,
                Err(Error::NotConnected) => {}
                Err(other) => panic!("{other}"),
            }
        }
        (taken, ws.waiting())
    };
    assert_eq!(send(WhileAway::Refuse).await, (0, 0));
    assert_eq!(send(WhileAway::Drop).await, (5, 0));
    assert_eq!(send(WhileAway::Queue(3)).await, (3, 3));
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_it_is_told_to() {
    // After so many failures, with the last error, and quietly from then on.
    let (mut ws, heard) = client(policy().max_failures(3), &[Death::Refuses]);
    assert!(matches!(ws.recv().await, Err(Error::Io(_))));
    assert_eq!(heard.attempts.load(SeqCst), 3);
    assert_eq!(ws.state(), ReconnectState::Stopped);
    assert_eq!(ws.recv().await.unwrap(), None);
    assert!(matches!(ws.send("x").await, Err(Error::NotConnected)));

    // By the default condition: a refusal that no further attempt would change.
    let reject = |status: u16| {
        Reconnecting::new(policy().max_failures(4), move || async move {
            let (here, there) = duplex(1000);
            tokio::spawn(async move {
                let request = Acceptor::new().read_request(there).await.unwrap();
                let _ = request.reject(&Response::new(status)).await;
            });
            Connector::new("ws://localhost/").connect_over(here).await
        })
    };
    for (status, is_final) in [(401, true), (404, true), (408, false), (429, false), (500, false)] {
        let begun = Instant::now();
        assert!(matches!(reject(status).recv().await, Err(Error::Handshake(_))));
        assert_eq!(begun.elapsed() < Duration::from_secs(3), is_final, "{status}");
    }
    // By the application's.
    let (mut ws, heard) = client(policy().stop_when(|_| true), &[Death::InTheResponse]);
    ws.recv().await.unwrap_err();
    assert_eq!(heard.attempts.load(SeqCst), 1);

    // By a close of either side that says all is done.
    let open = |code: u16| {
        move || async move {
            let (here, there) = duplex(1000);
            tokio::spawn(async move {
                let mut ws: WebSocket<_> = accept(there).await.unwrap();
                if code > 0 { ws.close(code.into(), "").await } else { ws.recv().await.map(drop) }
            });
            Connector::new("ws://localhost/").connect_over(here).await
        }
    };
    let mut ws = Reconnecting::new(policy(), open(1000));
    assert_eq!(ws.recv().await.unwrap(), None);
    let mut ws = Reconnecting::new(policy(), open(0));
    let _ = timeout(Duration::from_secs(1), ws.recv()).await;
    assert!(ws.socket().is_some());
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!((ws.recv().await.unwrap(), ws.state()), (None, ReconnectState::Stopped));
    let mut ws = Reconnecting::new(policy().max_failures(3), open(1001));
    let begun = Instant::now();
    assert_eq!(ws.recv().await.unwrap(), None, "the third close is the last, and a clean one");
    assert!(begun.elapsed() > Duration::from_secs(4));
}

/// A client over servers that take nothing any more once they are open.
fn client_of_deaf_servers(policy: Reconnect) -> (Reconnecting<DuplexStream>, Arc<AtomicUsize>) {
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = attempts.clone();
    let ws = Reconnecting::new(policy, move || {
        count.fetch_add(1, SeqCst);
        async {
            let (here, there) = duplex(1000);
            tokio::spawn(async move {
                let parts = accept(there).await.unwrap().into_parts();
                sleep(Duration::from_secs(3600)).await;
                drop(parts);
            });
            Connector::new("ws://localhost/").connect_over(here).await
        }
    });
    (ws, attempts)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_closed_stays_closed_however_that_went() {
    for (drops, sends) in [(false, false), (true, false), (true, true)] {
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        // It would go on after every end, and takes messages meanwhile.
        let policy = policy().stop_when(|_| false).while_away(WhileAway::Queue(9)).observe(move |event| {
            if let ReconnectEvent::Lost { retry_in, .. } = event {
                assert_eq!(*retry_in, None);
                count.fetch_add(1, SeqCst);
            }
        });
        let (mut ws, attempts) = client_of_deaf_servers(policy);
        let _ = timeout(Duration::from_secs(1), ws.recv()).await;
        // What cannot be sent closes nothing.
        let bad = ws.close(1005.into(), "").await;
        assert!(matches!(bad, Err(Error::Send(_))) && ws.state() == ReconnectState::Open, "{bad:?}");
        if drops {
            timeout(Duration::from_secs(1), ws.close(CloseCode::NORMAL, "")).await.unwrap_err();
            if sends {
                assert!(matches!(ws.send("too late").await, Err(Error::NotConnected)));
            }
            assert!(matches!(ws.recv().await, Err(Error::Connection(_))), "nobody answered");
        } else {
            let closed = ws.close(CloseCode::NORMAL, "").await;
            assert!(matches!(closed, Err(Error::Connection(_))), "{closed:?}");
        }
        assert_eq!((ws.recv().await.unwrap(), ws.state()), (None, ReconnectState::Stopped));
        assert_eq!((attempts.load(SeqCst), told.load(SeqCst)), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_closing_when_it_is_set_up_gets_none_of_what_waits() {
    let heard = Heard::default();
    let (seen, attempts) = (heard.clone(), heard.attempts.clone());
    let mut ws = Reconnecting::new(policy().while_away(WhileAway::Queue(9)), move || {
        let (attempt, seen) = (attempts.fetch_add(1, SeqCst), seen.clone());
        async move {
            let (here, there) = duplex(1000);
            tokio::spawn(async move {
                let mut ws = accept(there).await?;
                if attempt == 0 {
                    return ws.close(CloseCode::GOING_AWAY, "").await;
                }
                while let Some(message) = ws.recv().await? {
                    seen.messages.lock().unwrap().push(format!("{message:?}"));
                }
                Ok::<_, Error>(())
            });
            let mut ws = Connector::new("ws://localhost/").connect_over(here).await?;
            if attempt == 0 {
                // The set-up waits for a first message that does not come, and makes nothing of that.
                assert_eq!(ws.recv().await?, None);
            }
            Ok(ws)
        }
    });
    ws.send("one").await.unwrap();
    ws.send("two").await.unwrap();
    timeout(Duration::from_secs(100), ws.recv()).await.unwrap_err();
    assert_eq!(heard.messages(), ["Text(\"one\")", "Text(\"two\")"]);
    assert_eq!((heard.attempts.load(SeqCst), ws.waiting()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn every_change_is_told() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = told.clone();
    let policy = policy().max_failures(2).observe(move |event| {
        notes.lock().unwrap().push(match event {
            ReconnectEvent::Connecting { failures } => format!("connecting {failures}"),
            ReconnectEvent::Opened => "opened".into(),
            ReconnectEvent::Lost { retry_in, .. } => format!("lost {}", retry_in.is_some()),
            other => panic!("{other:?}"),
        });
    });
    static DEATHS: [Death; 2] = [Death::After(Duration::from_secs(1)), Death::Refuses];
    let (mut ws, _) = client(policy, &DEATHS);
    while ws.recv().await.is_ok() {}
    assert_eq!(*told.lock().unwrap(), ["connecting 0", "opened", "lost true", "connecting 1", "lost false"]);
}

/// The attempt holds a stream, which must not stay open for as long as the application keeps the client.
#[tokio::test(start_paused = true)]
async fn closing_drops_an_attempt_that_has_begun() {
    let (alive, kept) = (Arc::new(()), Arc::new(Mutex::new(None)));
    *kept.lock().unwrap() = Some(alive.clone());
    let mut ws: Reconnecting<DuplexStream> = Reconnecting::new(policy(), move || {
        let held = kept.lock().unwrap().take();
        async move {
            sleep(Duration::from_secs(1000)).await;
            drop(held);
            Err(Error::WouldBlock)
        }
    });
    timeout(Duration::from_secs(1), ws.recv()).await.unwrap_err();
    assert_eq!((ws.state(), Arc::strong_count(&alive)), (ReconnectState::Connecting, 2));
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!((ws.state(), Arc::strong_count(&alive)), (ReconnectState::Stopped, 1));
    assert_eq!(ws.recv().await.unwrap(), None);
}

fn is_send<T: Send>(_: &T) {}

#[tokio::test]
async fn its_futures_may_move_to_another_thread() {
    let mut ws = Reconnecting::with_connector(policy(), Connector::new("ws://localhost/"));
    is_send(&ws.recv());
    is_send(&ws.send("x"));
    is_send(&ws);
}
