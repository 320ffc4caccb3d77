//! One connection whose receiving and sending side are polled by different tasks, through views that know nothing of
//! tasks: `tokio::io::split` of a tunnel, `StreamExt::split` of the connection.

use std::time::Duration;

use sansocket::Config;
use sansocket::tokio::{Tunnel, pair};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);
/// Far more than the pipe below holds, so that each side waits again and again.
const BYTES: usize = 3 << 20;

/// Sends `BYTES` in one task and checks as many that come in another.
fn exchange(tunnel: Tunnel<DuplexStream>, seed: u8) -> [JoinHandle<()>; 2] {
    let (mut reader, mut writer) = tokio::io::split(tunnel);
    let reading = tokio::spawn(async move {
        let mut received = vec![0; BYTES];
        reader.read_exact(&mut received).await.unwrap();
        let other = seed ^ 1;
        assert!(received.iter().enumerate().all(|(at, byte)| *byte == at as u8 ^ other), "in order");
    });
    let writing = tokio::spawn(async move {
        for start in (0..BYTES).step_by(10_000) {
            let part: Vec<u8> = (start..BYTES.min(start + 10_000)).map(|at| at as u8 ^ seed).collect();
            writer.write_all(&part).await.unwrap();
        }
        writer.flush().await.unwrap();
    });
    [reading, writing]
}

async fn halves_of_tunnels_meet() {
    let (client, server) = pair(Config::default());
    let tasks = [exchange(client.into_tunnel(), 0), exchange(server.into_tunnel(), 1)];
    for task in tasks.into_iter().flatten() {
        timeout(SOON, task).await.expect("nothing is stuck").unwrap();
    }
}

#[tokio::test]
async fn halves_of_a_tunnel_serve_two_tasks() {
    halves_of_tunnels_meet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn halves_of_a_tunnel_serve_two_threads() {
    for _ in 0..4 {
        halves_of_tunnels_meet().await;
    }
}

#[tokio::test]
async fn a_reader_that_sleeps_in_one_task_hears_what_another_task_asked_for() {
    let (client, server) = pair(Config::default());
    let (mut reader, mut writer) = tokio::io::split(client.into_tunnel());
    let reading = tokio::spawn(async move { reader.read_u8().await });
    // It sleeps before the writer touches the connection at all.
    tokio::task::yield_now().await;
    let serving = tokio::spawn(async move {
        let mut tunnel = server.into_tunnel();
        let byte = tunnel.read_u8().await.unwrap();
        tunnel.write_u8(byte + 1).await.unwrap();
        tunnel.flush().await.unwrap();
        tunnel
    });
    writer.write_u8(41).await.unwrap();
    writer.flush().await.unwrap();
    assert_eq!(timeout(SOON, reading).await.expect("it was woken").unwrap().unwrap(), 42);
    drop(serving.await.unwrap());
}

#[tokio::test]
async fn what_a_writer_leaves_queued_goes_out_while_the_reader_sleeps() {
    let (client, server) = pair(Config::default());
    let (mut reader, mut writer) = tokio::io::split(client.into_tunnel());
    let reading = tokio::spawn(async move { reader.read_u8().await });
    tokio::task::yield_now().await;
    // Never flushed: the reader does that before it sleeps again.
    writer.write_u8(1).await.unwrap();
    let mut server = server.into_tunnel();
    assert_eq!(timeout(SOON, server.read_u8()).await.expect("it left").unwrap(), 1);
    drop(server);
    assert!(timeout(SOON, reading).await.expect("the end wakes it").unwrap().is_err());
}

#[tokio::test]
async fn what_a_writer_leaves_queued_goes_out_while_the_reader_sleeps_in_the_same_task() {
    let (client, server) = pair(Config::default());
    let (mut reader, mut writer) = tokio::io::split(client.into_tunnel());
    let mut server = server.into_tunnel();
    let serving = tokio::spawn(async move {
        let byte = server.read_u8().await.unwrap();
        server.write_u8(byte + 1).await.unwrap();
        server.flush().await.unwrap();
        server
    });
    // The reader is polled first and sleeps; the writer never flushes.
    let both = futures_util::future::join(reader.read_u8(), async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        writer.write_u8(1).await
    });
    let (read, wrote) = timeout(SOON, both).await.expect("it left");
    assert_eq!((read.unwrap(), wrote.unwrap()), (2, ()));
    drop(serving.await.unwrap());
}

#[tokio::test]
async fn what_has_no_room_and_what_has_no_bytes_waits_for_nobody() {
    let (client, server) = pair(Config::default());
    let mut tunnel = client.into_tunnel();
    assert_eq!(timeout(SOON, tunnel.read(&mut [])).await.expect("at once").unwrap(), 0);
    assert_eq!(timeout(SOON, tunnel.write(&[])).await.expect("at once").unwrap(), 0);
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn deadlines_wake_whoever_still_waits() {
    let (client, server) = pair(Config::default());
    let (mut reader, mut writer) = tokio::io::split(client.into_tunnel());
    let reading = tokio::spawn(async move { reader.read_u8().await });
    tokio::task::yield_now().await;
    // The writer is the last to wait for the stream and for the timer, and goes away.
    let much = vec![0; 10 << 20];
    timeout(Duration::from_secs(1), writer.write_all(&much)).await.expect_err("nobody reads");
    drop(writer);
    let error = timeout(Duration::from_secs(60), reading).await.expect("the peer takes nothing").unwrap();
    assert!(error.unwrap_err().to_string().contains("peer takes no data"), "told as what it is");
    drop(server);
}

#[cfg(all(feature = "futures-core", feature = "futures-sink"))]
async fn halves_of_streams_meet() {
    use futures_util::stream::SplitSink;
    use futures_util::{SinkExt, StreamExt};
    use sansocket::Message;

    const MESSAGES: u32 = 2_000;
    let (client, server) = pair(Config::default());
    let mut tasks = Vec::new();
    for ws in [client, server] {
        let (mut sink, mut stream): (SplitSink<_, Message<'static>>, _) = StreamExt::split(ws);
        tasks.push(tokio::spawn(async move {
            for number in 0..MESSAGES {
                let mut payload = number.to_be_bytes().to_vec();
                payload.resize(if number % 100 == 0 { 300_000 } else { 30 }, 7);
                if number % 3 == 0 {
                    sink.send(Message::from(payload)).await.unwrap();
                } else {
                    sink.feed(Message::from(payload)).await.unwrap();
                }
            }
            sink.flush().await.unwrap();
        }));
        tasks.push(tokio::spawn(async move {
            for number in 0..MESSAGES {
                let message = stream.next().await.unwrap().unwrap().into_bytes();
                assert_eq!(message[..4], number.to_be_bytes(), "in order");
            }
        }));
    }
    for task in tasks {
        timeout(SOON, task).await.expect("nothing is stuck").unwrap();
    }
}

#[cfg(all(feature = "futures-core", feature = "futures-sink"))]
#[tokio::test]
async fn halves_of_a_stream_and_sink_serve_two_tasks() {
    halves_of_streams_meet().await;
}

#[cfg(all(feature = "futures-core", feature = "futures-sink"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn halves_of_a_stream_and_sink_serve_two_threads() {
    halves_of_streams_meet().await;
}

#[cfg(all(feature = "futures-core", feature = "futures-sink"))]
mod of_streams_and_sinks {
    use super::*;
    use futures_util::{SinkExt, StreamExt};
    use sansocket::{Deadline, Error, Message, tokio::Error as Failed};

    #[tokio::test]
    async fn closing_the_sink_leaves_the_messages_to_the_stream() {
        for round in 0..20 {
            let (client, mut server) = pair(Config::default());
            let serving = tokio::spawn(async move {
                for number in 0..100 {
                    server.send(format!("{number}")).await.unwrap();
                    tokio::task::yield_now().await;
                }
                while server.recv().await.unwrap().is_some() {}
            });
            let (mut sink, stream) = StreamExt::split(client);
            let reading = tokio::spawn(stream.map(|message| message.unwrap()).count());
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            sink.send(Message::from("last question")).await.unwrap();
            sink.close().await.unwrap();
            serving.await.unwrap();
            assert_eq!(timeout(SOON, reading).await.expect("it ends").unwrap(), 100);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_hears_of_silence_whoever_sent_last_and_from_which_task() {
        for greets in [false, true] {
            let (client, mut server) = pair(Config::default());
            let (mut sink, mut stream) = StreamExt::split(client);
            let talking = tokio::spawn(async move {
                let sending = async move {
                    if greets {
                        sink.send(Message::from("hello")).await.unwrap();
                    }
                    // Another task waits for the same connection, and ends.
                    tokio::spawn(
                        async move { sink.send(Message::from(vec![0; 200_000])).await.map(|()| sink) },
                    );
                };
                tokio::join!(stream.next(), sending).0
            });
            let silent = tokio::spawn(async move {
                for _ in 0..1 + usize::from(greets) {
                    server.recv().await.unwrap();
                }
                core::future::pending::<()>().await;
                drop(server);
            });
            let end = timeout(Duration::from_secs(3600), talking).await.expect("the silence is noticed");
            let error = end.unwrap().unwrap().unwrap_err();
            assert!(matches!(error, Failed::Connection(Error::Timeout(Deadline::Pong))), "{error:?}");
            silent.abort();
        }
    }
}
