//! What becomes of the messages of a client that connects again: each one is delivered, still queued, or counted as lost.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use sansocket::blocking::{Pipe, Transport, pipe};
use sansocket::client::{Reconnect, ReconnectEvent, ReconnectState, WhileAway};
use sansocket::tokio::{Error, Reconnecting, WebSocket};
use sansocket::{Config, Connection, Delivery, Event, Input, MaskKeys, Message, blocking as std_ws};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::{sleep, timeout};

/// RFC 6455 §7.4: a Close frame with 1012, as a server sends it that restarts.
const RESTART: [u8; 4] = [0x88, 2, 3, 0xF4];

fn client_side(config: Config) -> Connection {
    Connection::client(config, MaskKeys::thread(), Duration::ZERO)
}

fn server_side() -> Connection {
    Connection::server(Config::new(), Duration::ZERO)
}

fn queueing() -> Reconnect {
    Reconnect::new()
        .first_delay(Duration::from_millis(20))
        .longest_delay(Duration::from_millis(40))
        .while_away(WhileAway::Queue(1000))
}

/// Messages of 200 kB, all different.
fn large(n: usize) -> Message<'static> {
    n.to_le_bytes().repeat(25_000).into()
}

/// 12 MB in all: more than the connection queues, and much more than the streams hold.
const LARGE: usize = 60;

async fn echo(stream: DuplexStream) -> Result<(), Error> {
    let mut ws = WebSocket::over(stream, server_side());
    while let Some((message, mut tx)) = ws.recv_ref().await? {
        tx.send(&message).await?;
    }
    Ok(())
}

fn with_echo_server() -> Reconnecting<DuplexStream> {
    Reconnecting::new(queueing(), || async {
        let (here, there) = duplex(64 << 10);
        tokio::spawn(echo(there));
        Ok(WebSocket::over(here, client_side(Config::new())))
    })
}

/// An echo server answers each message before it reads the next one: who only writes never ends.
#[tokio::test(start_paused = true)]
async fn a_long_queue_leaves_while_its_echoes_are_received() {
    let mut ws = with_echo_server();
    for n in 0..LARGE {
        ws.send(large(n)).await.unwrap();
    }
    for n in 0..LARGE {
        // Futures are dropped at any await.
        let received = loop {
            if let Ok(received) = timeout(Duration::from_micros(1), ws.recv()).await {
                break received.unwrap();
            }
        };
        assert!(received == Some(large(n)), "{n}");
    }
    assert_eq!((ws.waiting(), ws.messages_lost(), ws.state()), (0, 0, ReconnectState::Open));
}

#[tokio::test(start_paused = true)]
async fn a_long_queue_leaves_through_the_connection_that_is_borrowed() {
    let mut ws = with_echo_server();
    for n in 0..LARGE {
        ws.feed(large(n)).await.unwrap();
    }
    let socket = ws.connected().await.unwrap().unwrap();
    for n in 0..LARGE {
        let (message, _) = socket.recv_ref().await.unwrap().unwrap();
        assert!(message == large(n), "{n}");
    }
    assert_eq!((ws.waiting(), ws.messages_lost()), (0, 0));
}

fn over_pipe_with_echo_server() -> std_ws::Reconnecting<Pipe> {
    std_ws::Reconnecting::new(queueing(), || {
        let (here, there) = pipe();
        thread::spawn(move || {
            let mut ws = std_ws::WebSocket::over(there, server_side());
            while let Some((message, mut tx)) = ws.recv_ref()? {
                tx.send(&message)?;
            }
            Ok::<_, Error>(())
        });
        Ok(std_ws::WebSocket::over(here, client_side(Config::new())))
    })
}

#[test]
fn a_long_queue_leaves_while_its_echoes_are_received_by_a_thread() {
    for borrows in [false, true] {
        let mut ws = over_pipe_with_echo_server();
        for n in 0..LARGE {
            ws.send(large(n)).unwrap();
        }
        for n in 0..LARGE {
            let received =
                if borrows { ws.connected().unwrap().unwrap().recv().unwrap() } else { ws.recv().unwrap() };
            assert!(received == Some(large(n)), "{n}");
        }
        assert_eq!((ws.waiting(), ws.messages_lost()), (0, 0));
    }
}

/// Without a queue, what was fed before both ends receive must not stop them either.
#[test]
fn two_ends_that_both_queue_more_than_the_stream_holds_receive_all_the_same() {
    let config = Config::new().write_timeout(Some(Duration::from_secs(5)));
    let (one, other) = pipe();
    let one = std_ws::WebSocket::over(one, client_side(config.clone()));
    let other = std_ws::WebSocket::over(other, Connection::server(config, Duration::ZERO));
    let exchange = |ws: &mut std_ws::WebSocket<Pipe>| {
        ws.feed(large(1)).unwrap();
        assert!(ws.recv().unwrap() == Some(large(1)));
        ws.feed("done").unwrap();
        assert_eq!(ws.recv().unwrap(), Some("done".into()));
        ws.flush().unwrap();
    };
    let (mut one, mut other) = (one, other);
    thread::scope(|scope| {
        scope.spawn(|| exchange(&mut one));
        exchange(&mut other);
    });
}

/// Notes the texts that it receives.
async fn note(stream: DuplexStream, heard: Arc<Mutex<Vec<Message<'static>>>>) {
    let mut ws = WebSocket::over(stream, server_side());
    while let Ok(Some(message)) = ws.recv().await {
        heard.lock().unwrap().push(message);
    }
}

/// More messages than the connection sends before it lets other tasks run, to a peer that takes them all and says nothing.
#[tokio::test(start_paused = true)]
async fn a_queue_that_uses_up_the_budget_leaves_though_nothing_is_received() {
    for borrows in [false, true] {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        let mut ws = Reconnecting::new(queueing(), move || {
            let (here, there) = duplex(16 << 20);
            tokio::spawn(note(there, hears.clone()));
            async move { Ok(WebSocket::over(here, client_side(Config::new()))) }
        });
        for n in 0..1000 {
            ws.send(vec![n as u8; 4096]).await.unwrap();
        }
        let receive = async {
            match borrows {
                false => ws.recv().await.map(drop),
                true => ws.connected().await?.unwrap().recv_ref().await.map(drop),
            }
        };
        // Less than the keepalive's interval.
        timeout(Duration::from_secs(1), receive).await.unwrap_err();
        assert_eq!((heard.lock().unwrap().len(), ws.waiting()), (1000, 0), "{borrows}");
    }
}

/// Its Close frame was read with the handshake, or lies in the stream.
#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_by_the_peer_already_is_handed_nothing() {
    for with_handshake in [true, false] {
        let (heard, attempts) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (hears, counts) = (heard.clone(), attempts.clone());
        let mut ws = Reconnecting::new(queueing(), move || {
            let (attempt, hears) = (counts.fetch_add(1, SeqCst), hears.clone());
            async move {
                let (here, mut there) = duplex(64 << 10);
                let connection = client_side(Config::new());
                if attempt > 0 {
                    tokio::spawn(note(there, hears));
                    return Ok(WebSocket::over(here, connection));
                }
                let unread = if with_handshake { &RESTART[..] } else { &[] };
                if !with_handshake {
                    there.write_all(&RESTART).await?;
                }
                tokio::spawn(note(there, Arc::default()));
                Ok(WebSocket::with_unread(here, connection, unread))
            }
        });
        for n in 0..10 {
            ws.send(format!("{n}")).await.unwrap();
        }
        timeout(Duration::from_secs(1), ws.recv()).await.unwrap_err();
        let expected: Vec<_> = (0..10).map(|n| Message::from(format!("{n}"))).collect();
        assert_eq!(*heard.lock().unwrap(), expected);
        assert_eq!((attempts.load(SeqCst), ws.waiting(), ws.messages_lost()), (2, 0, 0));
    }
}

#[test]
fn a_blocking_connection_that_was_closed_by_the_peer_already_is_handed_nothing() {
    for with_handshake in [true, false] {
        let attempts = Arc::new(AtomicUsize::new(0));
        let counts = attempts.clone();
        let mut ws = std_ws::Reconnecting::new(queueing(), move || {
            let (here, mut there) = pipe();
            let connection = client_side(Config::new());
            if counts.fetch_add(1, SeqCst) > 0 {
                thread::spawn(move || {
                    let mut ws = std_ws::WebSocket::over(there, server_side());
                    while let Some(message) = ws.recv()? {
                        ws.send(message)?;
                    }
                    Ok::<_, Error>(())
                });
                return Ok(std_ws::WebSocket::over(here, connection));
            }
            let unread = if with_handshake { &RESTART[..] } else { &[] };
            if !with_handshake {
                there.write_all(&RESTART)?;
            }
            // It waits for the Close frame that answers its own.
            thread::spawn(move || there.read_exact(&mut [0; 8]));
            Ok(std_ws::WebSocket::with_unread(here, connection, unread))
        });
        for n in 0..10 {
            ws.send(format!("{n}")).unwrap();
        }
        for n in 0..10 {
            assert_eq!(ws.recv().unwrap(), Some(format!("{n}").into()));
        }
        assert_eq!((attempts.load(SeqCst), ws.waiting(), ws.messages_lost()), (2, 0, 0));
    }
}

/// Takes so many bytes and then fails; what it took is noted. Nothing can be read.
#[derive(Clone)]
struct Dies {
    left: usize,
    read_timeout: Option<Duration>,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Dies {
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.left);
        if len == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.left -= len;
        self.taken.lock().unwrap().extend_from_slice(&bytes[..len]);
        Ok(len)
    }
}

impl AsyncRead for Dies {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Dies {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.put(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Read for Dies {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        thread::sleep(self.read_timeout.expect("a deadline"));
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl Write for Dies {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Dies {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = timeout;
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The messages that are whole in what a client wrote.
fn whole_messages(bytes: &[u8]) -> Vec<String> {
    let (mut bytes, mut server, mut texts) = (bytes.to_vec(), server_side(), Vec::new());
    let mut input = Input::new(&mut bytes);
    while let Ok(Some(event)) = server.receive(Duration::ZERO, &mut input, &mut Vec::new()) {
        if let Event::Message(Message::Text(text)) = event {
            texts.push(text.to_string());
        }
    }
    texts
}

/// The same ten messages of various lengths each time: 11 bytes to 70 kB.
fn messages() -> Vec<String> {
    (0..10_usize).map(|n| n.to_string().repeat([11, 100, 126, 5000, 70_000][n % 5])).collect()
}

/// Transports that die after `left` bytes the first time, and never after that; what each of the two took.
fn dying(left: usize) -> (impl FnMut() -> Dies + Send + 'static, [Arc<Mutex<Vec<u8>>>; 2]) {
    let taken = [Arc::default(), Arc::default()];
    let mut next: VecDeque<_> = [left, usize::MAX]
        .into_iter()
        .zip(taken.clone())
        .map(|(left, taken): (_, Arc<Mutex<_>>)| Dies { left, taken, read_timeout: None })
        .collect();
    (move || next.pop_front().unwrap(), taken)
}

fn counting_losses(policy: Reconnect) -> (Reconnect, Arc<AtomicU64>) {
    let told = Arc::new(AtomicU64::new(0));
    let tells = told.clone();
    let policy = policy.observe(move |event| {
        if let ReconnectEvent::Lost { messages_lost, .. } = event {
            tells.fetch_add(*messages_lost, SeqCst);
        }
    });
    (policy, told)
}

/// Every message is in what the first connection wrote, or on its way into the second one, or the one that was cut.
fn check(left: usize, taken: [Arc<Mutex<Vec<u8>>>; 2], lost: u64, told: u64) {
    let [first, second] = taken.map(|bytes| whole_messages(&bytes.lock().unwrap()));
    assert!(lost <= 1, "{left}: {lost}");
    assert_eq!(lost, told, "{left}");
    let expected = messages();
    assert_eq!(first, expected[..first.len()], "{left}");
    assert_eq!(second, expected[first.len() + lost as usize..], "{left}");
}

/// In the first bytes, within headers, at the ends of messages, and in the large ones.
fn deaths() -> impl Iterator<Item = usize> {
    (0..50).chain((50..300).step_by(7)).chain((300..160_000).step_by(10_007))
}

#[tokio::test(start_paused = true)]
async fn of_a_connection_that_dies_each_message_was_sent_or_waits_or_is_counted() {
    for left in deaths() {
        let (mut next, taken) = dying(left);
        let (policy, told) = counting_losses(queueing());
        let mut ws = Reconnecting::new(policy, move || {
            let stream = next();
            async move { Ok(WebSocket::over(stream, client_side(Config::new().ping_interval(None)))) }
        });
        for message in messages() {
            ws.send(message).await.unwrap();
        }
        timeout(Duration::from_secs(1), ws.recv()).await.unwrap_err();
        assert_eq!(ws.waiting(), 0);
        check(left, taken, ws.messages_lost(), told.load(SeqCst));
    }
}

#[test]
fn of_a_blocking_connection_that_dies_each_message_was_sent_or_waits_or_is_counted() {
    for left in deaths().step_by(9) {
        let (mut next, taken) = dying(left);
        let (policy, told) = counting_losses(
            queueing().first_delay(Duration::from_millis(1)).longest_delay(Duration::from_millis(1)),
        );
        let mut ws = std_ws::Reconnecting::new(policy, move || {
            Ok(std_ws::WebSocket::over(next(), client_side(Config::new().ping_interval(None))))
        });
        for message in messages() {
            ws.send(message).unwrap();
        }
        while ws.waiting() > 0 {
            let received = ws.recv_timeout(Duration::from_millis(20));
            assert!(matches!(received, Err(Error::TimedOut)), "{received:?}");
        }
        check(left, taken, ws.messages_lost(), told.load(SeqCst));
    }
}

/// What is fed to a connection that is open, and does not leave it.
#[tokio::test(start_paused = true)]
async fn what_an_open_connection_took_and_did_not_write_is_counted_or_waits_again() {
    for (what, lost, waiting) in
        [(WhileAway::Refuse, 5, 0), (WhileAway::Drop, 5, 0), (WhileAway::Queue(9), 1, 4)]
    {
        let (policy, told) =
            counting_losses(queueing().while_away(what).first_delay(Duration::from_secs(60)));
        let policy = policy.longest_delay(Duration::from_secs(60));
        let mut ws = Reconnecting::new(policy, || async {
            let (here, there) = duplex(10);
            tokio::spawn(async move {
                sleep(Duration::from_secs(1)).await;
                drop(there);
            });
            Ok(WebSocket::over(here, client_side(Config::new())))
        });
        assert!(ws.connected().await.unwrap().is_some());
        for n in 0..5 {
            ws.feed(format!("message {n}")).await.unwrap();
        }
        // The first one has 15 bytes, of which 10 leave.
        while ws.state() == ReconnectState::Open {
            let _ = timeout(Duration::from_millis(100), ws.recv()).await;
        }
        assert_eq!((ws.messages_lost(), ws.waiting()), (lost, waiting), "{what:?}");
        assert_eq!(told.load(SeqCst), lost);
    }
}

/// A message that fails with an error is not counted as lost too, nor sent again.
#[tokio::test(start_paused = true)]
async fn what_a_sender_was_told_of_is_not_counted() {
    let (mut next, taken) = dying(20);
    let mut ws = Reconnecting::new(queueing(), move || {
        let stream = next();
        async move { Ok(WebSocket::over(stream, client_side(Config::new()))) }
    });
    assert!(ws.connected().await.unwrap().is_some());
    ws.send("0123456789").await.unwrap();
    ws.send("not sent").await.unwrap_err();
    timeout(Duration::from_secs(1), ws.recv()).await.unwrap_err();
    assert_eq!((ws.messages_lost(), ws.waiting()), (0, 0));
    assert_eq!(whole_messages(&taken[0].lock().unwrap()), ["0123456789"]);
    assert_eq!(whole_messages(&taken[1].lock().unwrap()), [""; 0]);
}

/// What is sent while the queue is on its way goes behind it.
#[tokio::test(start_paused = true)]
async fn later_messages_leave_behind_those_that_wait() {
    let mut ws = with_echo_server();
    for n in 0..20 {
        ws.send(large(n)).await.unwrap();
    }
    for n in 20..40 {
        assert!(ws.recv().await.unwrap() == Some(large(n - 20)));
        assert!(ws.waiting() > 0);
        ws.send(large(n)).await.unwrap();
    }
    for n in 20..40 {
        assert!(ws.recv().await.unwrap() == Some(large(n)));
    }
}

/// A peer that sends without pause, a part of a message behind each whole one, keeps no message back.
#[tokio::test(start_paused = true)]
async fn the_queue_leaves_under_a_flood() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let mut ws = Reconnecting::new(queueing(), move || {
        let hears = hears.clone();
        async move {
            let (here, there) = duplex(1000);
            let (from, mut to) = tokio::io::split(there);
            tokio::spawn(async move { while to.write_all(&[0x82, 3, 1, 2, 3]).await.is_ok() {} });
            let from = tokio::io::join(from, tokio::io::sink());
            tokio::spawn(async move {
                let mut ws = WebSocket::over(from, server_side());
                while let Ok(Some(message)) = ws.recv().await {
                    hears.lock().unwrap().push(message);
                }
            });
            Ok(WebSocket::over(here, client_side(Config::new())))
        }
    });
    for n in 0..10 {
        ws.send(format!("{n}")).await.unwrap();
    }
    for _ in 0..10_000 {
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from(&[1, 2, 3])));
    }
    assert_eq!(heard.lock().unwrap().len(), 10);
}

/// How a connection ended is asked for in a way that does not depend on how messages are delivered.
#[tokio::test(start_paused = true)]
async fn a_clean_end_is_one_whichever_way_messages_are_delivered() {
    const NORMAL: [u8; 4] = [0x88, 2, 3, 0xE8];
    let config = || Config::new().delivery(Delivery::Chunks).close_timeout(Some(Duration::from_millis(10)));
    let attempts = Arc::new(AtomicUsize::new(0));
    let counts = attempts.clone();
    let mut ws = Reconnecting::new(queueing(), move || {
        counts.fetch_add(1, SeqCst);
        async move {
            let (here, there) = duplex(1000);
            tokio::spawn(note(there, Arc::default()));
            Ok(WebSocket::with_unread(here, client_side(config()), &NORMAL))
        }
    });
    while let Some(socket) = timeout(Duration::from_secs(10), ws.connected()).await.unwrap().unwrap() {
        while let Ok(Some(_)) = socket.recv_event().await {}
    }
    assert_eq!(attempts.load(SeqCst), 1);

    let counts = attempts.clone();
    let policy = queueing().max_failures(5);
    let mut ws = std_ws::Reconnecting::new(policy, move || {
        counts.fetch_add(1, SeqCst);
        let (here, mut there) = pipe();
        thread::spawn(move || there.read_to_end(&mut Vec::new()));
        Ok(std_ws::WebSocket::with_unread(here, client_side(config()), &NORMAL))
    });
    while let Some(socket) = ws.connected().unwrap() {
        while let Ok(Some(_)) = socket.recv_event() {}
    }
    assert_eq!(attempts.load(SeqCst), 2);
}
