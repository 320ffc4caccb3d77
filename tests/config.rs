//! Settings with which no connection can work are errors before anything is sent; extreme ones that have a meaning work.

use core::time::Duration;

use sansocket::{
    Config, ConfigError, Connection, Error, Initiator, Input, MaskKeys, Role, SendError, State,
    TransportAction, Unread,
};

const NOW: Duration = Duration::ZERO;

type Setter = fn(Config, Option<Duration>) -> Config;

/// Each interval and timeout.
const TIMES: [(ConfigError, Setter); 6] = [
    (ConfigError::PingInterval, |config, time| config.ping_interval(time)),
    (ConfigError::PongTimeout, |config, time| config.pong_timeout(time)),
    (ConfigError::IdleTimeout, |config, time| config.idle_timeout(time)),
    (ConfigError::MessageTimeout, |config, time| config.message_timeout(time)),
    (ConfigError::WriteTimeout, |config, time| config.write_timeout(time)),
    (ConfigError::CloseTimeout, |config, time| config.close_timeout(time)),
];

/// Times that flood, fail a healthy peer, or end a closing before it began.
const TOO_SHORT: [Duration; 3] = [Duration::ZERO, Duration::from_nanos(1), Duration::from_nanos(999_999)];

fn invalid() -> impl Iterator<Item = (Config, ConfigError)> {
    TIMES.into_iter().flat_map(|(error, set)| TOO_SHORT.map(|time| (set(Config::new(), Some(time)), error)))
}

#[test]
fn times_have_a_lower_bound() {
    for (config, error) in invalid() {
        assert_eq!(config.validate(), Err(error));
        let said = error.to_string();
        assert_eq!(said, format!("{} is too short: set at least 1ms, or None", error.setting()));
    }
    for (_, set) in TIMES {
        for time in [Some(ConfigError::MIN_TIME), Some(Duration::MAX), None] {
            assert_eq!(set(Config::new(), time).validate(), Ok(()));
        }
    }
    // Fields can be set past the methods.
    let mut config = Config::new();
    config.idle_timeout = Some(NOW);
    assert_eq!(config.validate(), Err(ConfigError::IdleTimeout));
}

#[test]
fn a_connection_with_invalid_settings_has_failed_from_the_start() {
    for ((config, error), role) in invalid().flat_map(|it| [(it.clone(), Role::Client), (it, Role::Server)]) {
        let expected = Error::InvalidConfig(error);
        let mut connection = match role {
            Role::Client => Connection::client(config, MaskKeys::from_fn(|| Ok([1; 4])), NOW),
            Role::Server => Connection::server(config, NOW),
        };
        let mut out = Vec::new();
        let mut at = NOW;
        for _ in 0..1000 {
            at = connection.poll_timeout().unwrap_or(at + Duration::from_millis(1));
            assert_eq!(connection.handle_timeout(at, Unread::Nothing, &mut out), Err(expected));
            let mut bytes = *b"\x81\x00\x89\x00\x81\x80abcd\x89\x80abcd";
            assert_eq!(connection.receive(at, &mut Input::new(&mut bytes), &mut out), Err(expected));
            assert_eq!(connection.locate(at, &mut bytes, &mut out).err(), Some(expected));
        }
        assert_eq!(connection.send("x", &mut out), Err(SendError::Closed));
        assert_eq!(connection.ping(b"", &mut out), Err(SendError::Closed));
        assert_eq!(connection.close_without_code(at, &mut out), Err(SendError::Closed));
        assert!(!connection.wants_write() && out.is_empty(), "{role:?} wrote {out:02x?}");
        assert_eq!(connection.poll_timeout(), None);
        assert_eq!(connection.state(), State::Closed);
        assert_eq!(connection.transport_action(), TransportAction::Drop);
        let summary = connection.summary().unwrap();
        assert_eq!((summary.initiator, summary.error), (Initiator::Library, Some(expected)));
        assert_eq!(connection.handle_eof(), Err(expected));
    }
}

#[cfg(feature = "rand")]
mod blocking {
    use std::io::{Read, Write};
    use std::thread;

    use sansocket::blocking::{self, Acceptor, Connector, Error as StreamError, Pipe, Reconnecting, pipe};
    use sansocket::client::{Reconnect, ReconnectState};

    use super::*;

    type Open = fn(&Acceptor, &mut Pipe) -> Result<(), StreamError>;

    fn refused<T>(result: Result<T, StreamError>, expected: ConfigError) {
        let Err(StreamError::Connection(Error::InvalidConfig(error))) = result else {
            panic!("no such error")
        };
        assert_eq!(error, expected);
    }

    #[test]
    fn nothing_opens_reads_or_writes_with_invalid_settings() {
        for (config, error) in invalid() {
            let acceptor = Acceptor::new().config(config.clone());
            let acts: [Open; 4] = [
                |acceptor, pipe| acceptor.accept(pipe).map(drop),
                |acceptor, pipe| acceptor.read_request(pipe).map(drop),
                |acceptor, pipe| acceptor.read(pipe).map(drop),
                |acceptor, pipe| acceptor.begin(pipe).proceed().map(drop),
            ];
            for act in acts {
                let (mut there, mut here) = pipe();
                there.write_all(b"GET").unwrap();
                refused(act(&acceptor, &mut here), error);
                assert_eq!(here.read(&mut [0; 9]).unwrap(), 3, "nothing was read");
                drop(here);
                assert_eq!(there.read_to_end(&mut Vec::new()).unwrap(), 0, "nothing was written");
            }
            let connector = Connector::new("ws://127.0.0.1:1/").no_proxy().config(config.clone());
            refused(connector.connect(), error);
            for begin in [false, true] {
                let (mut there, mut here) = pipe();
                if begin {
                    refused(connector.begin(&mut here), error);
                } else {
                    refused(connector.connect_over(&mut here), error);
                }
                drop(here);
                assert_eq!(there.read_to_end(&mut Vec::new()).unwrap(), 0, "nothing was written");
            }
            let (mut client, mut server) = blocking::pair(config);
            for ws in [&mut client, &mut server] {
                refused(ws.recv(), error);
                refused(ws.recv_event(), error);
                assert!(matches!(ws.send("x"), Err(StreamError::Send(SendError::Closed))));
                refused(ws.close_without_code(), error);
                assert_eq!(ws.queued(), 0);
            }
        }
    }

    #[test]
    fn a_client_does_not_connect_again_with_invalid_settings() {
        for (config, error) in invalid() {
            let connector = Connector::new("ws://127.0.0.1:1/").no_proxy().config(config);
            let mut ws = Reconnecting::with_connector(Reconnect::new(), connector);
            refused(ws.recv(), error);
            assert_eq!(ws.state(), ReconnectState::Stopped);
        }
    }

    #[test]
    fn a_queue_without_room_takes_one_message_at_a_time() {
        let (mut client, mut server) = blocking::pair(Config::new().max_queued_output(0));
        let echo = thread::spawn(move || {
            while let Some((message, mut tx)) = server.recv_ref().unwrap() {
                tx.feed(&message).unwrap();
            }
        });
        for len in [0, 1, 100_000] {
            client.feed("a").unwrap();
            client.feed(vec![7; len]).unwrap();
            client.ping(b"alive").unwrap();
            assert_eq!(client.recv().unwrap(), Some("a".into()));
            assert_eq!(client.recv().unwrap().map(|message| message.len()), Some(len));
        }
        client.close_without_code().unwrap();
        echo.join().unwrap();
    }
}

#[cfg(all(feature = "rand", feature = "tokio"))]
mod with_tokio {
    use sansocket::client::{Reconnect, ReconnectState};
    use sansocket::tokio::{Acceptor, Connector, Error as StreamError, Reconnecting, pair};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn refused<T>(result: Result<T, StreamError>, expected: ConfigError) {
        let Err(StreamError::Connection(Error::InvalidConfig(error))) = result else {
            panic!("no such error")
        };
        assert_eq!(error, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_opens_reads_or_writes_with_invalid_settings() {
        for (config, error) in invalid() {
            let acceptor = Acceptor::new().config(config.clone());
            let connector = Connector::new("ws://127.0.0.1:1/").no_proxy().config(config.clone());
            refused(connector.connect().await, error);
            for way in 0..4 {
                let (mut there, mut here) = duplex(100);
                there.write_all(b"GET").await.unwrap();
                match way {
                    0 => refused(acceptor.accept(&mut here).await, error),
                    1 => refused(acceptor.read_request(&mut here).await, error),
                    2 => refused(acceptor.read(&mut here).await, error),
                    _ => refused(connector.connect_over(&mut here).await, error),
                }
                assert_eq!(here.read(&mut [0; 9]).await.unwrap(), 3, "nothing was read");
                drop(here);
                assert_eq!(there.read_to_end(&mut Vec::new()).await.unwrap(), 0, "nothing was written");
            }
            let (mut client, mut server) = pair(config.clone());
            for ws in [&mut client, &mut server] {
                refused(ws.recv().await, error);
                refused(ws.recv_event().await, error);
                assert!(matches!(ws.send("x").await, Err(StreamError::Send(SendError::Closed))));
                refused(ws.close(sansocket::CloseCode::NORMAL, "").await, error);
                assert_eq!(ws.queued(), 0);
            }
            let mut ws = Reconnecting::with_connector(Reconnect::new(), connector);
            refused(ws.recv().await, error);
            assert_eq!(ws.state(), ReconnectState::Stopped);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_without_room_takes_one_message_at_a_time() {
        let (mut client, mut server) = pair(Config::new().max_queued_output(0));
        let echo = tokio::spawn(async move {
            while let Some((message, mut tx)) = server.recv_ref().await.unwrap() {
                tx.feed(&message).await.unwrap();
            }
        });
        for len in [0, 1, 30_000] {
            client.feed("a").await.unwrap();
            client.feed(vec![7; len]).await.unwrap();
            client.ping(b"alive").await.unwrap();
            assert_eq!(client.recv().await.unwrap(), Some("a".into()));
            assert_eq!(client.recv().await.unwrap().map(|message| message.len()), Some(len));
        }
        client.close(sansocket::CloseCode::NORMAL, "").await.unwrap();
        echo.await.unwrap();
    }
}
