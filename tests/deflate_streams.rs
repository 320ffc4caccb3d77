//! Compression over streams, as users meet it: one setting, and everything else stays as it is.
#![cfg(all(feature = "deflate", feature = "rand"))]

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use sansocket::blocking::{self, Acceptor, Connector, Error, WebSocket};
use sansocket::deflate::Deflate;
use sansocket::{CloseCode, Config, Delivery, Event, Fin, Kind, Message, Prepared};

fn configs() -> [Config; 2] {
    [Deflate::shared(), Deflate::dedicated()].map(|deflate| Config::new().deflate(deflate))
}

fn json(len: usize) -> String {
    let mut text: String = (0..len / 20 + 1).map(|number| format!(r#"{{"number":{number:7}}},"#)).collect();
    text.truncate(len);
    text
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A client's stream, and a thread that echoes what comes over it.
fn echo(config: Config) -> (TcpStream, thread::JoinHandle<Result<(), Error>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut ws = Acceptor::new().config(config).accept(stream)?;
        while let Some((message, mut tx)) = ws.recv_ref()? {
            tx.feed(&message)?;
        }
        Ok(())
    });
    (stream, server)
}

fn connect(stream: TcpStream, config: Config) -> WebSocket<TcpStream> {
    Connector::new("ws://localhost/").config(config).connect_over(stream).unwrap()
}

// conf: EX-04, PD-13
#[test]
fn messages_of_every_kind_come_back() {
    for client in configs() {
        for server in configs() {
            let (stream, echoing) = echo(server);
            let mut ws = connect(stream, client.clone());
            assert!(ws.connection().deflate().is_some());
            let messages =
                |len: usize| [Message::from(json(len)), Message::from(noise(len)), vec![0; len].into()];
            let lens = [0, 1, 31, 300, 5000, 70_000, 131_073, 200_000];
            for message in lens.into_iter().flat_map(messages) {
                ws.send(&message).unwrap();
                assert!(ws.recv().unwrap() == Some(message));
            }
            for number in 0..100 {
                ws.feed(format!("{number} {}", json(400))).unwrap();
            }
            for number in 0..100 {
                assert_eq!(ws.recv().unwrap(), Some(format!("{number} {}", json(400)).into()));
            }
            ws.send_fragment(json(1000), Fin::More).unwrap();
            ws.send_fragment("end", Fin::Final).unwrap();
            assert_eq!(ws.recv().unwrap(), Some(format!("{}end", json(1000)).into()));
            ws.send_prepared(&Prepared::new(json(2000))).unwrap();
            ws.set_compression(false);
            ws.send(json(3000)).unwrap();
            assert_eq!(ws.recv().unwrap(), Some(json(2000).into()));
            assert_eq!(ws.recv().unwrap(), Some(json(3000).into()));
            ws.close(CloseCode::NORMAL, "").unwrap();
            echoing.join().unwrap().unwrap();
        }
    }
}

#[test]
fn whoever_does_not_want_it_gets_plain_messages() {
    for config in configs() {
        for (client, server) in [(config.clone(), Config::new()), (Config::new(), config.clone())] {
            let (stream, echoing) = echo(server);
            let mut ws = connect(stream, client);
            assert_eq!(ws.connection().deflate(), None);
            ws.send(json(5000)).unwrap();
            assert_eq!(ws.recv().unwrap(), Some(json(5000).into()));
            ws.close_without_code().unwrap();
            echoing.join().unwrap().unwrap();
        }
    }
}

/// What leaves is smaller, also where a large plain message would leave without a copy.
#[test]
fn large_messages_of_servers_leave_compressed() {
    for config in configs() {
        let (mut client, mut server) = blocking::pair(config);
        for message in [Message::from(json(100_000)), vec![7; 300_000].into()] {
            for _ in 0..2 {
                server.feed(&message).unwrap();
                assert!(server.queued() > 0 && server.queued() * 4 < message.len(), "{}", server.queued());
                assert!(client.recv_timeout(Duration::ZERO).is_err(), "nothing has left yet");
                server.flush().unwrap();
                assert_eq!(client.recv().unwrap(), Some(message.clone()));
            }
        }
        // The pipe is bounded: this could not be taken at once if it left as it is.
        server.send(vec![0; 4 << 20]).unwrap();
        assert_eq!(client.recv().unwrap(), Some(vec![0; 4 << 20].into()));
    }
}

#[test]
fn chunks_come_inflated() {
    for config in configs() {
        let (mut client, mut server) = blocking::pair(config.delivery(Delivery::Chunks));
        let text = json(300_000);
        client.send(&text).unwrap();
        let (mut got, mut last) = (Vec::new(), false);
        while !last {
            let Some(Event::Chunk(chunk)) = server.recv_event().unwrap() else { panic!("a chunk") };
            assert_eq!((chunk.kind, chunk.first), (Kind::Text, got.is_empty()));
            got.extend_from_slice(&chunk.payload);
            last = chunk.last;
            let chunk = chunk.into_owned();
            server.send_chunk(&chunk).unwrap();
        }
        assert!(got == text.as_bytes());
    }
}

// conf: PD-25, PD-24
#[test]
fn bad_data_ends_the_connection_with_its_code() {
    use std::io::Write;
    for config in configs() {
        for (payload, is_text) in [(&[0x06][..], false), (&[0x4a, 0xfc, 0x0f, 0x00], true)] {
            let (mut client, server) = blocking::pair(config.clone());
            // A frame of a server, which is not masked.
            let mut parts = server.into_parts();
            let frame = [&[0xC1, payload.len() as u8], payload].concat();
            parts.transport.write_all(&frame).unwrap();
            // Who is gone is not waited for, and what it sent is heard all the same.
            drop(parts);
            match client.recv() {
                Err(Error::Connection(sansocket::Error::InvalidUtf8(_))) => assert!(is_text),
                Err(Error::Connection(sansocket::Error::InvalidDeflate)) => assert!(!is_text),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[cfg(feature = "tokio")]
mod tokio_adapter {
    use super::*;
    use sansocket::tokio::pair;

    #[tokio::test]
    async fn messages_of_every_kind_come_back() {
        for config in configs() {
            let (mut client, mut server) = pair(config);
            let echoing = tokio::spawn(async move {
                while let Some((message, mut tx)) = server.recv_ref().await? {
                    tx.feed(&message).await?;
                }
                Ok::<_, Error>(())
            });
            for len in [0, 1, 300, 5000, 70_000, 131_073, 200_000] {
                for message in [Message::from(json(len)), Message::from(noise(len)), vec![0; len].into()] {
                    client.send(&message).await.unwrap();
                    assert!(client.recv().await.unwrap() == Some(message));
                }
            }
            client.set_compression(false);
            client.send(json(900)).await.unwrap();
            assert_eq!(client.recv().await.unwrap(), Some(json(900).into()));
            client.close(CloseCode::NORMAL, "").await.unwrap();
            echoing.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_handshake_agrees_on_it() {
        for config in configs() {
            let (there, here) = tokio::io::duplex(1 << 16);
            let acceptor = sansocket::tokio::Acceptor::new().config(config.clone());
            let connector = sansocket::tokio::Connector::new("ws://localhost/").config(config);
            let (client, server) = tokio::join!(connector.connect_over(there), acceptor.accept(here));
            let (mut client, mut server) = (client.unwrap(), server.unwrap());
            assert!(client.connection().deflate().is_some() && server.connection().deflate().is_some());
            client.send(json(5000)).await.unwrap();
            assert_eq!(server.recv().await.unwrap(), Some(json(5000).into()));
        }
    }
}
