//! A million connections of the core in one process: opened, kept alive for simulated minutes, closed.
//!
//! `cargo bench --bench million [-- CONNECTIONS]`. One in a hundred peers falls silent and must be given up on time; all
//! others must be pinged on time and live. Anything else panics. The clock is simulated, CPU time and memory are real.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sansocket::{CloseCode, Config, Connection, Deadline, Error, Event, Input, State, Unread};

const MINUTES: u64 = 5;
const INTERVAL: Duration = Duration::from_secs(30);
const PONG_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a peer takes to answer.
const LATENCY: Duration = Duration::from_millis(50);
const SILENT: usize = 100;
const KEY: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

fn main() {
    let count = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let config = Arc::new(Config::new().ping_interval(INTERVAL).pong_timeout(PONG_TIMEOUT));
    let before = resident();
    let began = Instant::now();
    let mut all = Vec::with_capacity(count);
    // Opened over the first interval, as a server fills up.
    for number in 0..count {
        all.push(Connection::server(config.clone(), INTERVAL.mul_f64(number as f64 / count as f64)));
    }
    let opened = began.elapsed();
    println!("{count} connections opened in {opened:.1?}, {} bytes each", each(before, count));

    let began = Instant::now();
    let (pings, given_up) = keep_alive(&mut all);
    let took = began.elapsed();
    let silent = count.div_ceil(SILENT);
    assert_eq!(given_up, silent, "every silent peer is given up, nobody else");
    println!(
        "{MINUTES} simulated minutes: {pings} pings in {took:.1?}, {} ns for a ping and its pong; {given_up} silent peers \
         given up on time; {} bytes each",
        took.as_nanos() / pings as u128,
        each(before, count)
    );

    let began = Instant::now();
    let end = Duration::from_secs(MINUTES * 60) + INTERVAL;
    let open = all.iter_mut().filter(|connection| connection.state() == State::Open);
    let closed = open.map(|connection| close(connection, end)).count();
    assert_eq!(closed, count - silent);
    println!("{closed} closed in {:.1?}, all cleanly", began.elapsed());
}

/// Calls each connection exactly when it asks to be; peers answer after a while. Returns how many pings there were, and
/// how many silent peers were given up.
fn keep_alive(all: &mut [Connection]) -> (usize, usize) {
    let end = Duration::from_secs(MINUTES * 60);
    let mut due: BinaryHeap<_> = all
        .iter()
        .enumerate()
        .map(|(at, connection)| Reverse((connection.poll_timeout().unwrap(), at)))
        .collect();
    let (mut pings, mut given_up, mut out) = (0, 0, Vec::new());
    while let Some(Reverse((now, at))) = due.pop() {
        if now > end {
            break;
        }
        let connection = &mut all[at];
        // An answer may have moved the deadline; it never moves to an earlier time.
        match connection.poll_timeout() {
            Some(next) if next > now => {
                due.push(Reverse((next, at)));
                continue;
            }
            next => assert_eq!(next, Some(now), "no deadline is missed"),
        }
        out.clear();
        match connection.handle_timeout(now, Unread::Nothing, &mut out) {
            Ok(()) => {
                assert_eq!(out[..2], [0x89, 4], "a ping of four bytes");
                pings += 1;
                if at % SILENT != 0 {
                    answer(connection, now + LATENCY, &out[2..6]);
                }
            }
            Err(error) => {
                assert_eq!((error, at % SILENT), (Error::Timeout(Deadline::Pong), 0));
                given_up += 1;
                continue;
            }
        }
        due.push(Reverse((connection.poll_timeout().unwrap(), at)));
    }
    (pings, given_up)
}

/// The peer's pong arrives.
fn answer(connection: &mut Connection, now: Duration, payload: &[u8]) {
    let mut pong = [0; 10];
    pong[..6].copy_from_slice(&[0x8A, 0x84, KEY[0], KEY[1], KEY[2], KEY[3]]);
    for (at, byte) in payload.iter().enumerate() {
        pong[6 + at] = byte ^ KEY[at % 4];
    }
    let (mut input, mut out) = (Input::new(&mut pong), Vec::new());
    let event = connection.receive(now, &mut input, &mut out).unwrap();
    assert!(matches!(event, Some(Event::Pong(_))) && out.is_empty());
}

/// The server closes, the peer answers with the same code.
fn close(connection: &mut Connection, now: Duration) {
    let mut out = Vec::new();
    connection.close(now, CloseCode::GOING_AWAY, "", &mut out).unwrap();
    assert_eq!(out, [0x88, 2, 0x03, 0xE9]);
    let mut frame = [0x88, 0x82, KEY[0], KEY[1], KEY[2], KEY[3], 0x03 ^ KEY[0], 0xE9 ^ KEY[1]];
    let mut input = Input::new(&mut frame);
    while connection.receive(now, &mut input, &mut out).unwrap().is_some() {}
    assert!(connection.summary().is_some_and(|summary| summary.clean));
}

/// Anonymous memory of this process, in bytes; nothing where the system does not tell.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
}

fn each(before: Option<u64>, count: usize) -> String {
    match (before, resident()) {
        (Some(before), Some(now)) => (now.saturating_sub(before) / count as u64).to_string(),
        _ => "unknown".into(),
    }
}
