//! What the halves of a connection must not do to each other: mix their messages, hold up each other's flushes, run code of
//! the application under their lock.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use sansocket::tokio::{Error, MessageWriter, SendHalf, WebSocket, pair};
use sansocket::{
    Chunk, CloseCode, Config, Connection, Event, Fin, Kind, MaskKeyError, MaskKeys, SendError, State,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::unconstrained;
use tokio::time::timeout;

pub(crate) const SOON: Duration = Duration::from_secs(20);

type Boxed = Pin<Box<dyn Future<Output = ()>>>;

fn server<S: AsyncRead + AsyncWrite + Unpin>(stream: S, config: Config) -> WebSocket<S> {
    WebSocket::over(stream, Connection::server(config, Duration::ZERO))
}

fn is_in_progress<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Send(SendError::MessageInProgress)))
}

// conf: FG-06
#[tokio::test]
async fn fragments_of_two_halves_never_make_one_message() {
    let (client, mut server) = pair(Config::default());
    let (_rx, mut one) = client.split();
    let mut two = one.clone();
    let mut writer = one.message_writer(Kind::Text);
    writer.write_all(b"one-a ").await.unwrap();
    let mut other = two.message_writer(Kind::Text);
    let refused = other.write(b"TWO-A ").await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{refused}");
    assert!(is_in_progress(&other.finish().await));
    assert!(is_in_progress(&two.send_fragment("TWO-B", Fin::More).await));
    assert!(is_in_progress(&two.send_chunk(&Chunk::new(Kind::Text, &b"TWO-C"[..])).await));
    writer.write_all(b"one-b").await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(server.recv().await.unwrap().unwrap(), "one-a one-b");

    two.send_fragment("two-a ", Fin::More).await.unwrap();
    let refused = one.message_writer(Kind::Text).write(b"ONE").await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{refused}");
    assert!(is_in_progress(&one.send_fragment("ONE", Fin::Final).await));
    two.send_fragment("two-b", Fin::Final).await.unwrap();
    assert_eq!(server.recv().await.unwrap().unwrap(), "two-a two-b");
}

// conf: FG-06
#[tokio::test]
async fn a_message_that_a_half_leaves_open_is_gone_on_with_only_on_request() {
    let (client, mut server) = pair(Config::default());
    let (mut rx, mut one) = client.split();
    let mut two = one.clone();
    assert!(one.resume_message().is_none(), "there is none");
    one.message_writer(Kind::Text).write_all(b"one ").await.unwrap();
    assert!(is_in_progress(&one.send_fragment("next", Fin::Final).await), "its writer began it");
    assert!(one.message_writer(Kind::Text).write(b"next").await.is_err());
    assert!(two.resume_message().is_none(), "the half that began it still exists");
    one.resume_message().unwrap().write_all(b"two ").await.unwrap();
    drop(one);
    assert!(is_in_progress(&two.send("next").await));
    assert!(is_in_progress(&two.send_fragment("next", Fin::Final).await));
    two.resume_message().unwrap().write_all(b"three ").await.unwrap();
    // Whoever is left owns what its half began.
    let mut client = rx.reunite(two).unwrap();
    assert!(is_in_progress(&client.send_fragment("next", Fin::Final).await));
    let mut writer = client.resume_message().unwrap();
    writer.write_all(b"four").await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(server.recv().await.unwrap().unwrap(), "one two three four");
    client.send_fragment("a", Fin::More).await.unwrap();
    let two;
    (rx, two) = client.split();
    let mut client = rx.reunite(two).unwrap();
    client.send_fragment("b", Fin::Final).await.unwrap();
    assert_eq!(server.recv().await.unwrap().unwrap(), "ab");
    client.message_writer(Kind::Binary).write_all(b"never complete").await.unwrap();
    let (closed, end) = tokio::join!(client.close(CloseCode::NORMAL, ""), server.recv());
    closed.unwrap();
    assert_eq!(end.unwrap(), None);
}

// conf: FG-06
#[tokio::test]
async fn the_first_half_owns_what_the_whole_connection_began_and_gives_it_back() {
    let (mut client, mut server) = pair(Config::default());
    client.send_fragment("a", Fin::More).await.unwrap();
    let (rx, mut one) = client.split();
    one.send_fragment("b", Fin::More).await.unwrap();
    let mut client = rx.reunite(one).unwrap();
    client.send_fragment("c", Fin::More).await.unwrap();
    let (_rx, one) = client.split();
    let mut two = one.clone();
    assert!(two.resume_message().is_none(), "the half that owns it still exists");
    drop(one);
    let mut writer = two.resume_message().unwrap();
    writer.write_all(b"d").await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(server.recv().await.unwrap().unwrap(), "abcd");
}

/// Polls `flush` while a clone feeds all that the queue takes and the peer reads a little at a time: each time the clone
/// comes first.
async fn flush_in_a_flood<S, F>(stream: S, mut peer: DuplexStream, begin: F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: AsyncFnOnce(SendHalf<S>),
{
    let (_rx, half) = server(stream, Config::new().max_queued_output(20_000)).split();
    let mut flood = half.clone();
    let flooding = async move { while flood.feed(vec![7; 900]).await.is_ok() {} };
    let (mut flooding, mut flushing) = (pin!(flooding), pin!(begin(half)));
    let mut is_over = false;
    unconstrained(async {
        for _ in 0..400 {
            let mut context = Context::from_waker(Waker::noop());
            is_over = is_over || flooding.as_mut().poll(&mut context).is_ready();
            if flushing.as_mut().poll(&mut context).is_ready() {
                return;
            }
            let mut read = [0; 997];
            assert!(peer.read(&mut read).await.unwrap() > 0);
        }
        panic!("the flush is held up");
    })
    .await;
}

/// Over a stream that takes a little, and over one that has a buffer of its own to flush.
macro_rules! in_a_flood {
    ($($name:ident: $begin:expr;)*) => { $(
        #[tokio::test]
        async fn $name() {
            let (there, here) = duplex(1000);
            flush_in_a_flood(here, there, $begin).await;
            let (there, here) = duplex(1000);
            flush_in_a_flood(tokio::io::BufStream::with_capacity(3000, 3000, here), there, $begin).await;
        }
    )* };
}

in_a_flood! {
    a_flood_holds_up_no_flush: async |mut half| half.flush().await.unwrap();
    a_flood_holds_up_no_flush_of_a_sink: async |mut half| {
        futures_util::SinkExt::flush(&mut half).await.unwrap();
    };
    a_flood_holds_up_no_message_of_a_sink: async |mut half| {
        futures_util::SinkExt::send(&mut half, "small".into()).await.unwrap();
    };
    a_flood_holds_up_no_message_that_is_sent: async |mut half| half.send("small").await.unwrap();
    a_flood_holds_up_no_ping: async |mut half| half.ping(b"small").await.unwrap();
    a_flood_holds_up_no_close_of_a_sink: async |mut half| {
        futures_util::SinkExt::close(&mut half).await.unwrap();
    };
}

/// A message that is being written keeps other messages out, but not pings.
#[tokio::test]
async fn a_flood_of_pings_holds_up_no_message_writer() {
    type Act =
        for<'w, 'a> fn(&'w mut MessageWriter<'a, DuplexStream>) -> Pin<Box<dyn Future<Output = ()> + 'w>>;
    let acts: [Act; 3] = [
        |writer| Box::pin(async { writer.flush().await.unwrap() }),
        |writer| Box::pin(async { writer.finish().await.unwrap() }),
        |writer| Box::pin(async { writer.shutdown().await.unwrap() }),
    ];
    for act in acts {
        let (mut peer, here) = duplex(1000);
        let (_rx, mut half) = server(here, Config::new().max_queued_output(20_000)).split();
        let mut floods: Vec<Boxed> = Vec::new();
        for _ in 0..300 {
            let mut half = half.clone();
            floods.push(Box::pin(async move { while half.ping(&[7; 125]).await.is_ok() {} }));
        }
        let mut writer = half.message_writer(Kind::Binary);
        unconstrained(async {
            writer.write_all(&[1; 5000]).await.unwrap();
            let mut acting = act(&mut writer);
            for _ in 0..400 {
                let mut context = Context::from_waker(Waker::noop());
                for flood in &mut floods {
                    assert!(flood.as_mut().poll(&mut context).is_pending());
                }
                if acting.as_mut().poll(&mut context).is_ready() {
                    return;
                }
                let mut read = [0; 997];
                assert!(peer.read(&mut read).await.unwrap() > 0);
            }
            panic!("the flush is held up");
        })
        .await;
    }
}

/// The bound of a flush that was given up does not count for what was queued later.
#[tokio::test]
async fn a_flush_includes_what_was_queued_after_an_earlier_one_was_given_up() {
    use futures_util::SinkExt;
    for way in 0..3 {
        let (mut peer, here) = duplex(100);
        let (_rx, mut half) = server(here, Config::new()).split();
        half.feed(vec![1; 150]).await.unwrap();
        assert!(timeout(Duration::ZERO, SinkExt::flush(&mut half)).await.is_err(), "nobody reads");
        match way {
            0 => half.try_feed(vec![2; 50]).unwrap(),
            1 => half.feed(vec![2; 50]).await.unwrap(),
            _ => SinkExt::feed(&mut half, vec![2; 50].into()).await.unwrap(),
        }
        let reading = tokio::spawn(async move {
            let mut read = vec![0; 60];
            peer.read_exact(&mut read).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            peer
        });
        assert!(timeout(Duration::from_millis(5), SinkExt::flush(&mut half)).await.is_err(), "{way}");
        let mut peer = reading.await.unwrap();
        let mut rest = vec![0; 4 + 150 + 52 - 60 - 2];
        let (flushed, read) = tokio::join!(SinkExt::flush(&mut half), peer.read_exact(&mut rest));
        flushed.unwrap();
        read.unwrap();
        assert_eq!((half.queued(), rest.last()), (0, Some(&2)));
    }
}

/// A peer that sends pings without end cannot hold up a flush either.
#[tokio::test]
async fn a_flood_of_pings_holds_up_no_flush_of_a_tunnel_or_a_sink() {
    use futures_util::{SinkExt, StreamExt};
    let ping = [&[0x89, 0x80 | 100, 0, 0, 0, 0][..], &[9; 100]].concat();
    for as_tunnel in [false, true] {
        let (mut peer, here) = duplex(1000);
        let ws = server(here, Config::new().max_queued_output(20_000));
        let (mut receiving, mut flushing): (Boxed, Boxed) = if as_tunnel {
            let (mut reader, mut writer) = tokio::io::split(ws.into_tunnel());
            let reading = async move { while reader.read_u8().await.is_ok() {} };
            let writing = async move {
                writer.write_all(&[1; 15_000]).await.unwrap();
                writer.flush().await.unwrap();
            };
            (Box::pin(reading), Box::pin(writing))
        } else {
            let (mut sink, mut stream) = StreamExt::split(ws);
            let reading = async move { while stream.next().await.is_some() {} };
            let writing = async move { SinkExt::send(&mut sink, vec![1; 15_000].into()).await.unwrap() };
            (Box::pin(reading), Box::pin(writing))
        };
        unconstrained(async {
            let mut unsent = ping.clone();
            for _ in 0..400 {
                let mut context = Context::from_waker(Waker::noop());
                // More pings than there is room for pongs.
                for _ in 0..300 {
                    let Poll::Ready(sent) = Pin::new(&mut peer).poll_write(&mut context, &unsent) else {
                        break;
                    };
                    unsent.drain(..sent.unwrap());
                    if unsent.is_empty() {
                        unsent.clone_from(&ping);
                    }
                    assert!(receiving.as_mut().poll(&mut context).is_pending());
                }
                if flushing.as_mut().poll(&mut context).is_ready() {
                    return;
                }
                let mut read = [0; 500];
                assert!(peer.read(&mut read).await.unwrap() > 0);
                assert!(receiving.as_mut().poll(&mut context).is_pending());
            }
            panic!("the flush is held up");
        })
        .await;
    }
}

/// Runs `test` in a thread of its own, for if it hangs.
pub(crate) fn within_a_while<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let running = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
        done.send(()).unwrap();
    });
    match ended.recv_timeout(SOON) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => running.join().unwrap(),
    }
}

/// Uses the connection whenever it is dropped.
struct Owner {
    bytes: Vec<u8>,
    half: SendHalf<DuplexStream>,
    dropped: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = (self.half.queued(), self.half.state(), self.half.rtt(), self.half.summary());
        let _ = self.half.try_feed("from a drop");
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_owner_of_a_payload_may_use_the_connection_when_it_is_dropped() {
    within_a_while(|| async {
        let (mut peer, here) = duplex(50_000);
        let (mut rx, mut tx) = server(here, Config::new()).split();
        let dropped = Arc::new(AtomicUsize::new(0));
        let owned = |half: &SendHalf<_>, len| {
            Bytes::from_owner(Owner { bytes: vec![1; len], half: half.clone(), dropped: dropped.clone() })
        };
        let count = || dropped.load(Ordering::Relaxed);
        // Written by the receiving half; by a flush; by a send that is blocked inside it, with a ping behind.
        tx.try_feed(owned(&tx, 20_000)).unwrap();
        assert!(timeout(Duration::ZERO, rx.recv()).await.is_err());
        assert_eq!(count(), 1);
        tx.feed(owned(&tx, 20_000)).await.unwrap();
        tx.flush().await.unwrap();
        assert_eq!(count(), 2);
        peer.read_exact(&mut vec![0; 40_000]).await.unwrap();
        let owner = owned(&tx, 100_000);
        assert!(timeout(Duration::ZERO, tx.send(owner)).await.is_err());
        assert_eq!(count(), 2);
        tx.try_feed(owned(&tx, 20_000)).unwrap();
        let mut rest = vec![0; 120_000];
        let (read, flushed) = tokio::join!(peer.read_exact(&mut rest), tx.flush());
        read.unwrap();
        flushed.unwrap();
        assert_eq!(count(), 4);
        // The end finds some still queued.
        let half = tx.clone();
        tx.try_feed(owned(&half, 100_000)).unwrap();
        let prepared = sansocket::Prepared::new(vec![3; 20_000]);
        tx.try_feed_prepared(&prepared).unwrap();
        tx.try_feed(owned(&half, 20_000)).unwrap();
        assert!(timeout(Duration::ZERO, rx.recv()).await.is_err());
        drop(peer);
        assert!(rx.recv().await.is_err());
        assert_eq!((count(), tx.state()), (6, State::Closed));
        // What cannot be sent any more is given back without the lock too.
        assert!(tx.try_feed(owned(&half, 20_000)).is_err());
        assert!(tx.send(owned(&half, 20_000)).await.is_err());
        assert_eq!(count(), 8);
    });
}

type Slot = Arc<OnceLock<SendHalf<DuplexStream>>>;

/// A client whose source of keys uses the connection, and counts.
fn client_with(
    stream: DuplexStream,
    slot: &Slot,
    mut source: impl FnMut(usize) -> Result<[u8; 4], MaskKeyError> + Send + Sync + 'static,
) -> (WebSocket<DuplexStream>, Arc<AtomicUsize>) {
    let (asked, slot) = (Arc::new(AtomicUsize::new(0)), slot.clone());
    let count = asked.clone();
    let keys = MaskKeys::from_fn(move || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        if let Some(half) = slot.get() {
            let _ = (half.queued(), half.state());
            if number == 6 {
                half.try_feed("from the source").unwrap();
            }
        }
        source(number)
    });
    let connection = Connection::client(Config::new(), keys, Duration::ZERO);
    (WebSocket::over(stream, connection), asked)
}

fn key(number: usize) -> [u8; 4] {
    (number as u32).to_be_bytes()
}

#[test]
fn a_source_of_keys_may_use_the_connection() {
    // conf: MK-01
    within_a_while(|| async {
        let slot = Slot::default();
        let (there, here) = duplex(1 << 20);
        let mut server = server(there, Config::new());
        let (client, asked) = client_with(here, &slot, |number| Ok(key(number)));
        let (mut rx, mut tx) = client.split();
        assert!(slot.set(tx.clone()).is_ok());
        let mut messages = VecDeque::new();
        for number in 0..100 {
            match number % 4 {
                0 => tx.send(format!("{number}")).await.unwrap(),
                1 => tx.feed(format!("{number}")).await.unwrap(),
                2 => tx.try_feed(format!("{number}")).unwrap(),
                _ => tx.ping(b"?").await.unwrap(),
            }
        }
        // Every ping of a flood is answered, though each answer takes a key.
        for _ in 0..300 {
            server.ping(b"!").await.unwrap();
        }
        assert!(timeout(Duration::ZERO, rx.recv()).await.is_err());
        let mut pongs = 0;
        while messages.len() < 76 || pongs < 300 {
            match timeout(SOON, server.recv_event()).await.expect("nothing is stuck").unwrap().unwrap() {
                Event::Message(message) => messages.push_back(message.as_text().unwrap().to_owned()),
                Event::Pong(_) => pongs += 1,
                _ => {}
            }
        }
        messages.retain(|message| message != "from the source");
        assert!(messages.into_iter().eq((0..100).filter(|it| it % 4 != 3).map(|it| it.to_string())));
        // Keys that were drawn ahead are used before the source is asked again.
        let before = asked.load(Ordering::Relaxed);
        assert!((401..=409).contains(&before), "{before} for 401 frames");
        drop((slot, server));
        drop((rx, tx));
    });
}

#[test]
fn keys_that_were_drawn_ahead_are_not_lost_when_halves_are_reunited() {
    within_a_while(|| async {
        let slot = Slot::default();
        let (mut peer, here) = duplex(1 << 20);
        let (client, asked) = client_with(here, &slot, |number| Ok(key(number)));
        let (rx, mut tx) = client.split();
        tx.send("").await.unwrap();
        let mut client = rx.reunite(tx).unwrap();
        for _ in 1..30 {
            client.send("").await.unwrap();
        }
        let (rx, mut tx) = client.split();
        for _ in 30..40 {
            tx.send("").await.unwrap();
        }
        let mut frames = vec![0; 40 * 6];
        peer.read_exact(&mut frames).await.unwrap();
        for (number, frame) in frames.chunks(6).enumerate() {
            assert_eq!(frame[2..], key(number), "each key once, in order");
        }
        assert!((40..=48).contains(&asked.load(Ordering::Relaxed)));
        drop(rx);
    });
}

#[test]
fn a_source_of_keys_that_fails_is_told_as_without_halves() {
    within_a_while(|| async {
        let fails = |number| if number == 3 { Err(MaskKeyError) } else { Ok(key(number)) };
        let (_there, here) = duplex(1 << 20);
        let (client, _) = client_with(here, &Slot::default(), fails);
        let (_rx, mut tx) = client.split();
        for _ in 0..3 {
            tx.send("works").await.unwrap();
        }
        assert!(matches!(tx.try_feed("no"), Err(Error::Send(SendError::MaskKey))));
        tx.send("works again").await.unwrap();

        let (mut there, here) = duplex(1 << 20);
        let (client, _) = client_with(here, &Slot::default(), |_| Err(MaskKeyError));
        let (mut rx, mut tx) = client.split();
        assert!(matches!(tx.send("no").await, Err(Error::Send(SendError::MaskKey))));
        there.write_all(b"\x89\0").await.unwrap();
        let end = timeout(SOON, rx.recv()).await.unwrap();
        assert!(matches!(end, Err(Error::Connection(sansocket::Error::MaskKey))), "{end:?}");
    });
}

/// While one thread runs the source, others wait for its keys and are woken.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn halves_wait_for_keys_that_another_thread_draws() {
    let (there, here) = duplex(1 << 20);
    let mut server = server(there, Config::new());
    let (client, _) = client_with(here, &Slot::default(), |number| {
        thread::sleep(Duration::from_micros(200));
        Ok(key(number))
    });
    let (mut rx, tx) = client.split();
    let receiving = tokio::spawn(async move { rx.recv().await });
    for _ in 0..4 {
        let mut tx = tx.clone();
        tokio::spawn(async move {
            for _ in 0..100 {
                tx.send("message").await.unwrap();
            }
        });
    }
    for _ in 0..400 {
        server.ping(b"").await.unwrap();
        assert_eq!(timeout(SOON, server.recv()).await.expect("nobody is stuck").unwrap().unwrap(), "message");
    }
    receiving.abort();
}
