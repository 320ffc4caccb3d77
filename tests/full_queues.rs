//! A peer that takes output is alive, and one that need not take it proves nothing.

use core::time::Duration;

use sansocket::{Config, Connection, Deadline, Unread};

const SECOND: Duration = Duration::from_secs(1);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn silent(config: Config) -> Connection {
    Connection::server(config, Duration::ZERO)
}

/// What counts is room that the peer has made, not bytes that found some.
// conf: CT-10
#[test]
fn a_peer_that_makes_room_is_alive_and_one_that_need_not_proves_nothing() {
    let config = || Config::new().ping_interval(SECOND).pong_timeout(SECOND).idle_timeout(3 * SECOND);
    let mut out = Vec::new();
    let mut connection = silent(config());
    // The transport is full, and takes some every 0.4 s.
    connection.handle_written(Duration::ZERO, 0, 100_000);
    let mut now = Duration::ZERO;
    for left in (0..20).rev() {
        now += ms(400);
        connection.handle_timeout(now, Unread::Nothing, &mut out).unwrap();
        connection.handle_written(now, 1000, left * 1000);
        if left > 0 {
            connection.handle_written(now, 0, left * 1000);
        }
    }
    // Eight seconds were needed: as long as that the peer is presumed to take what lies in between.
    assert_eq!(connection.poll_timeout(), Some(now + 8 * SECOND + SECOND));

    // One message a second finds room each time.
    let mut connection = silent(config());
    let end = (0..60).find_map(|second| {
        let now = ms(second * 1000 + 1);
        connection.handle_written(now, 100, 0);
        connection.handle_timeout(now, Unread::Nothing, &mut out).err().map(|error| (second, error))
    });
    assert_eq!(end, Some((2, sansocket::Error::Timeout(Deadline::Pong))));
}

/// A keepalive ping can be answered only from when it found room.
// conf: CT-10
#[test]
fn a_ping_that_waits_for_room_is_not_overdue() {
    let mut none = sansocket::SliceSink::new(&mut []);
    let mut connection = silent(Config::new().ping_interval(SECOND).pong_timeout(SECOND));
    connection.handle_timeout(SECOND, Unread::Nothing, &mut none).unwrap();
    assert!(connection.wants_write());
    connection.handle_timeout(5 * SECOND, Unread::Nothing, &mut none).unwrap();
    let mut out = Vec::new();
    assert!(connection.transmit(&mut out));
    connection.handle_written(9 * SECOND, out.len(), 0);
    assert_eq!(connection.poll_timeout(), Some(10 * SECOND));
    let overdue = connection.handle_timeout(10 * SECOND, Unread::Nothing, &mut out);
    assert_eq!(overdue, Err(sansocket::Error::Timeout(Deadline::Pong)));
}
