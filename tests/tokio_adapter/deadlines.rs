//! Deadlines over tokio, on a paused clock: they are kept to the millisecond, and nothing waits for ever.

use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;

use sansocket::client::{ConnectError, Step};
use sansocket::handshake::HandshakeLimits;
use sansocket::tokio::{Acceptor, Connector, Error, HandshakeError, WebSocket};
use sansocket::{CloseCode, Config, Deadline, Message, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, advance, sleep, timeout};

use crate::support::{SECOND, client, events_to_the_end, masked, ms, run, server};

#[track_caller]
fn assert_overdue<T: core::fmt::Debug>(result: &Result<T, Error>, deadline: Deadline) {
    let expected = sansocket::Error::Timeout(deadline);
    assert!(matches!(result, Err(Error::Connection(error)) if *error == expected), "{result:?}");
}

/// The clock of tokio rounds up to the next millisecond.
#[track_caller]
fn assert_took(since: Instant, expected: Duration) {
    let took = since.elapsed();
    assert!(took >= expected && took <= expected + ms(3), "{took:?} instead of {expected:?}");
}

async fn echo(ws: &mut WebSocket<DuplexStream>) -> Result<(), Error> {
    while let Some((message, mut tx)) = ws.recv_ref().await? {
        tx.feed(&message).await?;
    }
    Ok(())
}

/// Each split drops the timer, and the second one finds wakers that several tasks share already.
#[test]
fn halves_find_silence_after_the_connection_was_whole_in_between() {
    run(async {
        let (_raw, stream) = duplex(1 << 16);
        let mut ws = server(stream, Config::new());
        for _ in 0..3 {
            // Each of them waits for long enough to set the timer.
            timeout(SECOND, ws.recv()).await.unwrap_err();
            let (mut rx, tx) = ws.split();
            timeout(SECOND, rx.recv()).await.unwrap_err();
            ws = rx.reunite(tx).unwrap();
        }
        let (mut rx, _tx) = {
            timeout(SECOND, ws.recv()).await.unwrap_err();
            ws.split()
        };
        let verdict = timeout(1000 * SECOND, rx.recv()).await.expect("the silence is noticed");
        assert_overdue(&verdict, Deadline::Pong);
    });
}

// conf: CT-10
#[test]
fn a_silent_peer_is_pinged_and_given_up_by_default() {
    run(async {
        let (mut raw, stream) = duplex(1 << 16);
        let start = Instant::now();
        let mut ws = server(stream, Config::new());
        let judge = async {
            let verdict = echo(&mut ws).await;
            // 20 s to the ping, 20 s for its pong, 10 s for the answer to our Close.
            assert_took(start, 50 * SECOND);
            assert_overdue(&verdict, Deadline::Pong);
            assert_overdue(&ws.recv().await, Deadline::Pong);
            let summary = ws.summary().unwrap();
            assert_eq!((summary.code, summary.clean), (CloseCode::ABNORMAL, false));
        };
        let peer = async {
            let mut ping = [0; 6];
            raw.read_exact(&mut ping).await.unwrap();
            assert_took(start, 20 * SECOND);
            assert_eq!(ping[..2], [0x89, 4]);
            let mut close = [0; 4];
            raw.read_exact(&mut close).await.unwrap();
            assert_took(start, 40 * SECOND);
            assert_eq!((close[0], &close[2..]), (0x88, &1011u16.to_be_bytes()[..]));
            sleep(20 * SECOND).await;
        };
        tokio::join!(judge, peer);
    });
}

// conf: CT-10
#[test]
fn a_slow_peer_that_is_alive_survives() {
    run(async {
        let (mut raw, stream) = duplex(1 << 16);
        let mut ws = server(stream, Config::new());
        let slow = async {
            // No pong ever, but a byte now and then.
            for byte in masked(0x82, b"slow but alive") {
                sleep(39 * SECOND).await;
                raw.write_all(&[byte]).await.unwrap();
            }
        };
        let (message, ()) = tokio::join!(ws.recv(), slow);
        assert_eq!(message.unwrap(), Some(b"slow but alive".into()));
        assert_eq!(ws.connection().state(), State::Open);
    });
}

/// What lies unread while the application is busy is no silence.
// conf: CT-10
#[test]
fn a_busy_application_does_not_blame_its_peer() {
    run(async {
        let (mut raw, stream) = duplex(1 << 16);
        let config = Config::new().idle_timeout(30 * SECOND).message_timeout(30 * SECOND);
        let mut ws = server(stream, config);
        raw.write_all(&masked(0x01, b"be")).await.unwrap();
        assert!(timeout(ms(10), ws.recv()).await.is_err());
        // A ping is out when the application goes away; its pong comes in time.
        advance(25 * SECOND).await;
        assert!(timeout(ms(10), ws.recv()).await.is_err());
        let mut ping = [0; 6];
        raw.read_exact(&mut ping).await.unwrap();
        raw.write_all(&masked(0x8a, &ping[2..])).await.unwrap();
        raw.write_all(&masked(0x80, b"gun")).await.unwrap();
        advance(500 * SECOND).await;
        assert_eq!(ws.recv().await.unwrap(), Some("begun".into()));
    });
}

#[test]
fn an_idle_peer_is_told_to_go() {
    run(async {
        let (raw, stream) = duplex(1 << 16);
        let start = Instant::now();
        let config = Config::new().ping_interval(None).idle_timeout(50 * SECOND);
        let mut ws = server(stream, config);
        let (verdict, events) = tokio::join!(ws.recv(), events_to_the_end(raw));
        assert_overdue(&verdict, Deadline::Idle);
        assert_eq!(crate::support::code(&events[0]), 1001);
        assert_took(start, 50 * SECOND);
    });
}

#[test]
fn pings_do_not_keep_an_unfinished_message_alive() {
    run(async {
        let (mut raw, stream) = duplex(1 << 16);
        let start = Instant::now();
        let mut ws = server(stream, Config::new());
        raw.write_all(&masked(0x02, b"!")).await.unwrap();
        let pings = async {
            loop {
                sleep(SECOND).await;
                if raw.write_all(&masked(0x89, b"")).await.is_err() {
                    return;
                }
                if start.elapsed() >= 65 * SECOND {
                    return raw.shutdown().await.unwrap();
                }
            }
        };
        let judge = async {
            let verdict = ws.recv().await;
            assert_overdue(&verdict, Deadline::Message);
            assert_took(start, 65 * SECOND);
        };
        tokio::join!(judge, pings);
    });
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_and_no_later_call_waits() {
    for lane in 0..5 {
        run(async {
            let (raw, stream) = duplex(100);
            let start = Instant::now();
            let mut ws = server(stream, Config::new());
            let verdict = match lane {
                0 => ws.send(vec![7; 1000]).await,
                1 => ws.send(vec![7; 100_000]).await,
                2 => ws.feed(vec![7; 5 << 20]).await.and(ws.feed("more").await),
                3 => ws.send_fragment("x".repeat(1000), sansocket::Fin::More).await,
                _ => {
                    ws.feed(vec![7; 1000]).await.unwrap();
                    ws.recv().await.map(drop)
                }
            };
            assert_overdue(&verdict, Deadline::Write);
            assert_took(start, 30 * SECOND);
            for _ in 0..3 {
                assert_overdue(&ws.recv().await, Deadline::Write);
                assert_overdue(&ws.close(CloseCode::NORMAL, "").await, Deadline::Write);
                assert!(matches!(ws.send("more").await, Err(Error::Send(_))));
                assert_overdue(&ws.flush().await, Deadline::Write);
            }
            assert_took(start, 30 * SECOND);
            assert_eq!(ws.queued(), 0, "nobody will ever take it");
            drop(raw);
        });
    }
}

/// As long as a byte leaves now and then, a slow reader is none that stands still.
#[test]
fn a_peer_that_reads_slowly_gets_everything() {
    run(async {
        let (mut raw, stream) = duplex(100);
        let mut ws = server(stream, Config::new());
        let message = vec![7; 3000];
        let reader = async {
            let mut heard = Vec::new();
            // Pings follow behind it meanwhile.
            while heard.len() < 3004 {
                sleep(29 * SECOND).await;
                let mut part = [0; 100];
                let len = raw.read(&mut part).await.unwrap();
                heard.extend_from_slice(&part[..len]);
            }
            heard
        };
        let (sent, heard) = tokio::join!(ws.send(&message), reader);
        sent.unwrap();
        assert!(heard[4..3004] == message);
    });
}

// conf: CL-09 CL-10
#[test]
fn close_waits_for_the_peer_but_not_for_ever() {
    // No answer at all.
    run(async {
        let (raw, stream) = duplex(100);
        let start = Instant::now();
        let mut ws = client(stream, Config::new());
        assert_overdue(&ws.close(CloseCode::NORMAL, "").await, Deadline::Close);
        assert_took(start, 10 * SECOND);
        assert_overdue(&ws.recv().await, Deadline::Close);
        assert!(!ws.summary().unwrap().clean);
        drop(raw);
    });
    // An answer, but the server never ends the stream: clean, after the deadline.
    run(async {
        let (mut raw, stream) = duplex(100);
        raw.write_all(b"\x88\x02\x03\xe8").await.unwrap();
        let start = Instant::now();
        let mut ws = client(stream, Config::new());
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        assert_took(start, 10 * SECOND);
        assert!(ws.summary().unwrap().clean);
        assert_eq!(ws.recv().await.unwrap(), None);
        drop(raw);
    });
    // Messages without end, and no answer, or one that is followed by bytes without end.
    for frame in [masked(0x82, b""), masked(0x88, b"")] {
        run(async {
            let (mut raw, stream) = duplex(100);
            let start = Instant::now();
            let mut ws = server(stream, Config::new());
            let answered = frame[0] == 0x88;
            let flood = async {
                loop {
                    sleep(ms(10)).await;
                    if raw.write_all(&frame).await.is_err() {
                        return;
                    }
                }
            };
            let judge = async {
                let verdict = ws.close(CloseCode::NORMAL, "").await;
                if answered {
                    verdict.unwrap();
                    assert_took(start, 10 * SECOND);
                } else {
                    assert_overdue(&verdict, Deadline::Close);
                    assert_took(start, 10 * SECOND);
                }
                drop(ws);
            };
            tokio::join!(judge, flood);
        });
    }
}

#[test]
fn the_wait_after_a_violation_is_bounded() {
    run(async {
        let (mut raw, stream) = duplex(100);
        let start = Instant::now();
        let mut ws = server(stream, Config::new());
        raw.write_all(b"\x81\x02hi").await.unwrap();
        assert!(matches!(ws.recv().await, Err(Error::Connection(sansocket::Error::Protocol(_)))));
        assert_took(start, 10 * SECOND);
    });
}

// conf: SQ-28
#[test]
fn accepting_and_connecting_take_their_time_at_the_most() {
    run(async {
        for set in [None, Some(3 * SECOND)] {
            for drip in [false, true] {
                let (raw, stream) = duplex(1 << 16);
                let (mut listener, mut talker) = tokio::io::split(raw);
                let start = Instant::now();
                let acceptor = match set {
                    Some(time) => Acceptor::new().limits(HandshakeLimits::default().timeout(time)),
                    None => Acceptor::new(),
                };
                let dripping = async {
                    let mut request = b"GET / HTTP/1.1\r\nX: ".to_vec();
                    request.extend([b'x'; 1000]);
                    for byte in request {
                        if !drip || talker.write_all(&[byte]).await.is_err() {
                            return;
                        }
                        sleep(ms(100)).await;
                    }
                };
                let answer = async {
                    let mut answer = vec![0; 12];
                    listener.read_exact(&mut answer).await.unwrap();
                    assert_took(start, set.unwrap_or(10 * SECOND));
                    assert_eq!(answer, b"HTTP/1.1 408");
                };
                let accepted = async {
                    let refused = acceptor.accept(stream).await.unwrap_err();
                    assert!(
                        matches!(&refused, Error::Handshake(error)
                        if matches!(**error, HandshakeError::Refused(_))),
                        "{refused:?}"
                    );
                    // A second to read why.
                    assert_took(start, set.unwrap_or(10 * SECOND) + SECOND);
                };
                tokio::join!(accepted, answer, dripping);
            }
        }
        // A server that says nothing, and one that does not even take the request.
        for room in [1 << 16, 10] {
            let (raw, stream) = duplex(room);
            let start = Instant::now();
            let connector = Connector::new("ws://localhost/").timeout(4 * SECOND);
            match connector.connect_over(stream).await.unwrap_err() {
                Error::Connect(error) => {
                    assert!(matches!(*error, ConnectError::TimedOut { step: Step::Handshake }), "{error:?}");
                }
                other => panic!("{other:?}"),
            }
            assert_took(start, 4 * SECOND);
            drop(raw);
        }
    });
}

#[test]
fn the_round_trip_time_is_that_of_the_keepalive() {
    run(async {
        let (mut raw, stream) = duplex(100);
        let mut ws = server(stream, Config::new());
        assert_eq!(ws.connection().rtt(), None);
        let peer = async {
            let mut ping = [0; 6];
            raw.read_exact(&mut ping).await.unwrap();
            sleep(ms(1700)).await;
            raw.write_all(&masked(0x8a, &ping[2..])).await.unwrap();
            raw.write_all(&masked(0x81, b"hi")).await.unwrap();
        };
        let (message, ()) = tokio::join!(ws.recv(), peer);
        assert_eq!(message.unwrap(), Some("hi".into()));
        let rtt = ws.connection().rtt().unwrap();
        assert!(rtt >= ms(1699) && rtt <= ms(1703), "{rtt:?}");
    });
}

/// How often `future` is polled until it is done, in a task of its own.
async fn count_polls(future: impl Future<Output = ()> + Send + 'static) -> usize {
    let mut future = Box::pin(future);
    let mut polls = 0;
    let counted = async move {
        poll_fn(|context| {
            polls += 1;
            future.as_mut().poll(context)
        })
        .await;
        polls
    };
    tokio::spawn(counted).await.unwrap()
}

/// Each message moves the deadline of the keepalive. The timer goes off where it was first set and only then follows:
/// once for each interval, instead of being set anew for each message.
#[test]
fn a_deadline_that_moves_on_does_not_move_the_timer() {
    run(async {
        const MESSAGES: usize = 3000;
        let (mut raw, stream) = duplex(1 << 16);
        let mut ws = server(stream, Config::new());
        let echo = async move { echo(&mut ws).await.unwrap() };
        let talk = async {
            for _ in 0..MESSAGES {
                // No divisor of the interval, so that timer and message wake apart.
                sleep(ms(70)).await;
                raw.write_all(&masked(0x81, b"hi")).await.unwrap();
            }
            raw.write_all(&masked(0x88, b"")).await.unwrap();
            // Only what was answered has come: no ping was due.
            events_to_the_end(&mut raw).await.len()
        };
        let (polls, answers) = tokio::join!(count_polls(echo), talk);
        assert_eq!(answers, MESSAGES + 1);
        // 210 s of talk are 10 intervals.
        let more = polls - MESSAGES;
        assert!((9..=15).contains(&more), "{more}");
    });
}

#[test]
fn an_idle_connection_wakes_for_its_pings_only() {
    run(async {
        let (mut raw, stream) = duplex(1 << 16);
        let mut ws = server(stream, Config::new());
        let waiting = async move {
            assert_eq!(ws.recv().await.unwrap(), Some(Message::from("done")));
        };
        let peer = async {
            for _ in 0..100 {
                let mut ping = [0; 6];
                raw.read_exact(&mut ping).await.unwrap();
                assert_eq!(ping[0], 0x89);
                raw.write_all(&masked(0x8a, &ping[2..])).await.unwrap();
            }
            raw.write_all(&masked(0x81, b"done")).await.unwrap();
        };
        let start = Instant::now();
        let (polls, ()) = tokio::join!(count_polls(waiting), peer);
        assert!(start.elapsed() >= 2000 * SECOND);
        // One for each ping, one for each pong.
        assert!(polls <= 205, "{polls}");
    });
}

/// A timer that has been told to wake one task does nothing for the next.
#[test]
fn deadlines_follow_a_connection_to_another_task() {
    run(async {
        let (mut raw, stream) = duplex(1 << 16);
        let config = Config::new().ping_interval(None).message_timeout(Some(60 * SECOND));
        let mut ws = server(stream, config);
        let message = masked(0x81, b"message");
        raw.write_all(&message[..9]).await.unwrap();
        let first = async move {
            assert!(timeout(SECOND, ws.recv()).await.is_err());
            ws
        };
        let mut ws = tokio::spawn(first).await.unwrap();
        raw.write_all(&message[9..]).await.unwrap();
        let second = async move {
            for _ in 0..2 {
                assert_eq!(ws.recv().await.unwrap(), Some(Message::from("message")));
                raw.write_all(&message).await.unwrap();
            }
            assert_eq!(ws.recv().await.unwrap(), Some(Message::from("message")));
            assert!(timeout(SECOND, ws.recv()).await.is_err());
            let start = Instant::now();
            raw.write_all(&message[..9]).await.unwrap();
            let ended = timeout(100 * SECOND, ws.recv()).await.expect("the deadline has passed");
            assert_overdue(&ended, Deadline::Message);
            // And 10 s for the answer to our Close.
            assert_took(start, 70 * SECOND);
        };
        tokio::spawn(second).await.unwrap();
    });
}

/// Deadlines that are due while the stream gives and takes nothing cost a poll now and then.
#[test]
fn waiting_is_not_spinning() {
    run(async {
        let (_raw, stream) = duplex(10);
        let mut ws = server(stream, Config::new());
        let polls = count_polls(async move {
            let _ = ws.send(vec![7; 1000]).await;
            assert_overdue(&ws.recv().await, Deadline::Write);
        });
        let polls = polls.await;
        assert!(polls < 10, "{polls}");
    });
}

// conf: CT-10
#[test]
fn a_pong_that_lies_unread_while_the_thread_is_busy_counts() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let mut client = sansocket::blocking::connect(url).unwrap();
        client.recv().map(|end| assert!(end.is_none()))
    });
    runtime.block_on(async {
        let stream = listener.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        let config = Config::new().ping_interval(ms(50)).pong_timeout(ms(50));
        let mut server = Acceptor::new().config(config).accept(stream).await.unwrap();
        // Polled until the ping has left; then the thread does something else, past the deadline of the pong.
        let since = std::time::Instant::now();
        let mut busy = Box::pin(server.recv());
        poll_fn(|context| {
            assert!(busy.as_mut().poll(context).is_pending());
            context.waker().wake_by_ref();
            if since.elapsed() < ms(60) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        std::thread::sleep(ms(150));
        let quiet = timeout(ms(20), busy).await;
        assert!(quiet.is_err(), "{quiet:?}");
        server.close(CloseCode::NORMAL, "").await.unwrap();
    });
    answering.join().unwrap().unwrap();
}

/// The timer of the opening goes on to the connection: its deadlines begin with it all the same, and a timer that goes off
/// between them ends nothing.
#[test]
fn the_deadlines_of_a_connection_begin_behind_its_opening() {
    const REQUEST: &[u8] =
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let quiet = || Config::new().ping_interval(None).close_timeout(2 * SECOND);
    for waited in [Duration::ZERO, 3 * SECOND] {
        for request_timeout in [4 * SECOND, 60 * SECOND] {
            run(async {
                let open = async |config| {
                    let limits = HandshakeLimits::default().timeout(request_timeout);
                    let acceptor = Acceptor::new().config(config).limits(limits);
                    let (mut raw, stream) = duplex(1000);
                    let ask = async {
                        sleep(waited).await;
                        raw.write_all(REQUEST).await.unwrap();
                    };
                    let (ws, ()) = tokio::join!(acceptor.accept(stream), ask);
                    (raw, ws.unwrap())
                };
                let (_raw, mut ws) = open(quiet().idle_timeout(Some(7 * SECOND))).await;
                let opened = Instant::now();
                assert_overdue(&ws.recv().await, Deadline::Idle);
                assert_took(opened, 9 * SECOND);

                // Not a single deadline, for longer than any timer of the opening.
                let (mut raw, mut ws) = open(quiet()).await;
                let late = async {
                    sleep(100 * SECOND).await;
                    raw.write_all(&masked(0x81, b"late")).await.unwrap();
                };
                let (message, ()) = tokio::join!(ws.recv(), late);
                assert_eq!(message.unwrap(), Some(Message::from("late")));
                let closing = Instant::now();
                assert_overdue(&ws.close(CloseCode::NORMAL, "").await, Deadline::Close);
                assert_took(closing, 2 * SECOND);
            });
        }
    }
}
