//! Attacks on the adapter for tokio, over a pipe in memory and a clock that jumps over every wait.

use core::time::Duration;

use sansocket::tokio::{Acceptor, Error, HandshakeError, WebSocket};
use sansocket::{Config, Connection, Deadline, Role::Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use crate::http::Lines;
use crate::meter::cost;
use crate::support::wire;

/// Runs on this thread alone, so that its allocations are counted.
fn run<T>(future: impl Future<Output = T>) -> T {
    let builder = &mut tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(future)
}

fn server(stream: DuplexStream, config: Config) -> WebSocket<DuplexStream> {
    WebSocket::over(stream, Connection::server(config, Duration::ZERO))
}

async fn echo(mut ws: WebSocket<DuplexStream>) -> Result<(), Error> {
    while let Some((message, mut tx)) = ws.recv_ref().await? {
        tx.feed(&message).await?;
    }
    Ok(())
}

// conf: SQ-28
#[test]
fn slow_handshakes_end_in_time() {
    run(async {
        let (mut peer, stream) = duplex(4096);
        let acceptor = Acceptor::new();
        let began = Instant::now();
        let trickle = async {
            for byte in Lines::request().add("X: y").bytes() {
                sleep(Duration::from_millis(700)).await;
                if peer.write_all(&[byte]).await.is_err() {
                    break;
                }
            }
            let mut heard = String::new();
            peer.read_to_string(&mut heard).await.unwrap();
            heard
        };
        let (heard, accepted) = tokio::join!(trickle, acceptor.accept(stream));
        let Error::Handshake(error) = accepted.unwrap_err() else { panic!("not refused") };
        assert!(matches!(*error, HandshakeError::Refused(refused) if refused.error().status() == 408));
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
        assert!(began.elapsed() <= Duration::from_secs(12), "{:?}", began.elapsed());
    });
}

// conf: LM-06
#[test]
fn cve_2020_35896_a_peer_that_takes_nothing_costs_a_limit_and_is_given_up() {
    const LIMIT: usize = 100 << 10;
    for frame in [wire::binary(Server, &[7; 1000]), wire::ping(Server, &[7; 125])] {
        let frames = frame.repeat(64);
        let (result, cost) = cost(|| {
            run(async {
                let (mut peer, stream) = duplex(4096);
                let flood = async {
                    let mut given = 0;
                    // Pings are read for as long as their answers wait.
                    while peer.write_all(&frames).await.is_ok() {
                        given += frames.len();
                        assert!(given < 64 << 20, "takes everything");
                        sleep(Duration::from_millis(10)).await;
                    }
                    peer
                };
                let config = Config::new().max_queued_output(LIMIT);
                let began = Instant::now();
                let (result, _) = tokio::join!(Box::pin(echo(server(stream, config))), flood);
                assert!(began.elapsed() <= Duration::from_secs(31), "{:?}", began.elapsed());
                result
            })
        });
        let Err(Error::Connection(error)) = result else { panic!("{result:?}") };
        assert_eq!(error, sansocket::Error::Timeout(Deadline::Write));
        // With the runtime, the pipe and the buffer of a read.
        assert!(cost.peak <= 6 * LIMIT as isize, "{cost:?}");
    }
}

/// What both halves of a split connection hold for a peer that takes nothing.
// conf: LM-06
#[test]
fn senders_wait_for_a_peer_that_takes_nothing() {
    let (queued, cost) = cost(|| {
        run(async {
            let (peer, stream) = duplex(4096);
            let (receiver, sender) = server(stream, Config::new().max_queued_output(100 << 10)).split();
            let mut accepted = 0;
            while sender.try_feed(vec![7; 1000]).is_ok() {
                accepted += 1;
                assert!(accepted < 1000, "takes everything");
            }
            let queued = sender.queued();
            drop((receiver, peer));
            queued
        })
    });
    assert!((100 << 10..=102 << 10).contains(&queued), "{queued}");
    assert!(cost.peak <= 600 << 10, "{cost:?}");
}

/// Close upon Close over the wire: one answer, then the end of the stream.
// conf: CL-04 CL-06
#[test]
fn close_loops_end() {
    run(async {
        let (mut peer, stream) = duplex(64 << 10);
        let flood =
            [wire::close(Server, 1000, "").repeat(500), wire::text(Server, "behind").repeat(500)].concat();
        peer.write_all(&flood).await.unwrap();
        let served = async {
            let mut heard = Vec::new();
            peer.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let began = Instant::now();
        let (result, heard) = tokio::join!(Box::pin(echo(server(stream, Config::new()))), served);
        result.unwrap();
        assert_eq!(wire::plain(Server, &heard), [(0x88, vec![3, 0xE8])]);
        assert!(began.elapsed() <= Duration::from_secs(11), "{:?}", began.elapsed());
    });
}
