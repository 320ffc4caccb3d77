//! Conversations from a seed: applications that talk, pause and close as they like, over all kinds of links.

use core::panic::AssertUnwindSafe;
use core::time::Duration;

use sansocket::{CloseCode, Config, Deadline, Error, Fin, Initiator, Message};

use super::pair::{Command, Pair, Rng, TRACED};
use super::{binary, expected, secs, text};

/// Some thousands, or as many as `SIMULATION_SEEDS` says: 100,000 take a while in a release build. `SIMULATION_SEED` is the
/// only one to play, which happens again exactly as it did.
fn seeds() -> Box<dyn Iterator<Item = u64>> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match number("SIMULATION_SEED") {
        Some(seed) => Box::new(core::iter::once(seed)),
        None => Box::new(0..number("SIMULATION_SEEDS").unwrap_or(2000)),
    }
}

/// Plays one seed; a failure is played again with all that happens printed, and says how to see it once more.
fn play(test: &str, seed: u64, mut conversation: impl FnMut()) {
    let mut attempt = || std::panic::catch_unwind(AssertUnwindSafe(&mut conversation));
    if let Err(panic) = attempt() {
        TRACED.set(true);
        let again = attempt();
        TRACED.set(false);
        assert!(again.is_err(), "seed {seed} fails only sometimes");
        eprintln!("SIMULATION_SEED={seed} cargo test --test simulation {test} -- --nocapture");
        std::panic::resume_unwind(panic);
    }
}

/// What one application says: messages whole and in fragments, pings anywhere, a close at the end.
fn script(rng: &mut Rng) -> Vec<Command> {
    let mut commands = Vec::new();
    for _ in 0..rng.below(12) {
        let len = if rng.one_in(5) { rng.below(3000) } else { rng.below(40) };
        match rng.below(4) {
            0 => commands.push(binary(len)),
            1 => commands.push(text(&"ä€x".repeat(len / 6))),
            2 => commands.push(Command::Ping(vec![7; rng.below(126)])),
            _ => {
                for _ in 0..rng.below(5) {
                    commands.push(Command::Fragment(Message::from("part €".to_owned()), Fin::More));
                    if rng.one_in(3) {
                        commands.push(Command::Ping(b"between".to_vec()));
                    }
                }
                commands.push(Command::Fragment(Message::from("last".to_owned()), Fin::Final));
            }
        }
    }
    if rng.one_in(2) {
        commands.push(Command::Close(CloseCode::NORMAL, "all said"));
    }
    commands
}

fn world(seed: u64, config: &Config, rng: &mut Rng) -> Pair {
    let mut pair = Pair::new(config.clone(), config.clone(), seed);
    pair.room([3200, 10_000, 64 << 10][rng.below(3)]);
    for link in [&mut pair.up, &mut pair.down] {
        link.latency = Duration::from_millis(rng.below(3000) as u64);
        link.capacity = [1, 13, 200, 5000, 64 << 10][rng.below(5)];
        link.largest = [1, 7, 500, 16 << 10][rng.below(4)];
        if link.capacity < 200 {
            // A byte for each trip takes long enough.
            link.latency = Duration::from_millis(rng.below(5) as u64);
        }
    }
    pair
}

/// Applications that pause, hold back and close at any time, over sound links: nothing is lost, nothing comes
/// twice, both ends tell the same story.
// conf: FG-09 CL-11 CL-15
#[test]
fn many_conversations() {
    // Links of one byte and applications that pause for half a minute are slow to answer a Close.
    let patient = Config::new()
        .close_timeout(secs(500))
        .write_timeout(secs(100))
        .pong_timeout(secs(60))
        .message_timeout(None);
    seeds().for_each(|seed| play("many_conversations", seed, || conversation(seed, &patient)));
}

fn conversation(seed: u64, patient: &Config) {
    let mut rng = Rng(seed);
    let mut pair = world(seed, patient, &mut rng);
    let (client, server) = (script(&mut rng), script(&mut rng));
    let mut ends = [(client.iter(), true), (server.iter(), false)];
    while ends.iter().any(|(rest, _)| rest.len() > 0) {
        let (rest, is_client) = &mut ends[rng.below(2)];
        let end = if *is_client { &mut pair.client } else { &mut pair.server };
        end.todo.extend(rest.by_ref().take(1 + rng.below(4)).cloned());
        end.reading = !rng.one_in(4);
        let longest = if rng.one_in(4) { 30_000 } else { 100 };
        pair.run_for(Duration::from_millis(rng.below(longest) as u64));
        (pair.client.reading, pair.server.reading) = (true, true);
    }
    pair.run_for(secs(500));
    if !pair.is_over() {
        assert_eq!(pair.client.messages(), expected(&server), "seed {seed}");
        assert_eq!(pair.server.messages(), expected(&client), "seed {seed}");
        pair.client.todo.push_back(Command::Close(CloseCode::NORMAL, "all said"));
    }
    pair.run_to_the_end();
    assert_eq!((pair.client.error, pair.server.error), (None, None), "seed {seed}");
    assert!(pair.client.summary().clean && pair.server.summary().clean, "seed {seed}");
    assert_eq!(pair.client.summary().code, CloseCode::NORMAL, "seed {seed}");
    assert!(expected(&client).starts_with(&pair.server.messages()), "seed {seed}");
    assert!(expected(&server).starts_with(&pair.client.messages()), "seed {seed}");
    let initiators = (pair.client.summary().initiator, pair.server.summary().initiator);
    assert_ne!(initiators, (Initiator::Remote, Initiator::Remote), "seed {seed}");
}

/// Both applications say all they have as fast as they can, larger messages than the output buffer often has room for,
/// with pings in between: everything arrives, each message and pong as soon as the links allow, and keepalive finds
/// nobody dead. The [`Pair`] itself fails when something is late.
// conf: FG-09
#[test]
fn many_busy_pairs() {
    // Each takes as long as twenty others.
    seeds().step_by(20).for_each(|seed| play("many_busy_pairs", seed, || busy(seed)));
}

fn busy(seed: u64) {
    let mut rng = Rng(seed ^ 0x3333_3333);
    let mut pair = Pair::new(Config::new(), Config::new(), seed);
    let room = [300, 1000, 3200][rng.below(3)];
    pair.room(room);
    for link in [&mut pair.up, &mut pair.down] {
        link.latency = Duration::from_millis(rng.below(100) as u64);
        link.capacity = [13, 100, 2000][rng.below(3)];
        link.largest = [1, 7, 500][rng.below(3)];
        link.rate = if rng.one_in(3) { Some(1000) } else { None };
    }
    let scripts = [0, 1].map(|_| {
        let mut commands = Vec::new();
        for number in 0..10 + rng.below(20) as u8 {
            let longest = if rng.one_in(3) { room - 20 } else { 100 };
            commands.push(binary(rng.below(longest)));
            if rng.one_in(2) {
                commands.push(Command::Ping(vec![number; 1 + rng.below(125)]));
            }
        }
        commands
    });
    pair.client.todo.extend(scripts[0].clone());
    pair.server.todo.extend(scripts[1].clone());
    let begun = pair.now;
    while !(pair.client.todo.is_empty() && pair.server.todo.is_empty()) {
        pair.run_for(secs(10));
        // 30 messages and pings of at most 3.3 kB, 13 bytes on each trip of 0.1 s.
        assert!(pair.now - begun < secs(1000), "seed {seed}: the applications wait for room without end");
    }
    pair.run_for(secs(60));
    assert_eq!((pair.client.error, pair.server.error), (None, None), "seed {seed}");
    assert_eq!(pair.server.messages(), expected(&scripts[0]), "seed {seed}");
    assert_eq!(pair.client.messages(), expected(&scripts[1]), "seed {seed}");
    pair.client.todo.push_back(Command::Close(CloseCode::NORMAL, "all said"));
    pair.run_to_the_end();
    assert!(pair.client.summary().clean && pair.server.summary().clean, "seed {seed}");
}

/// Conversations over links that break, stall, lose and damage: whatever happens, both ends come to an end in time, and
/// what arrived before is what was sent.
// conf: FL-05
#[test]
fn many_accidents() {
    let mut errors = Vec::new();
    seeds().for_each(|seed| play("many_accidents", seed, || errors.extend(accident(seed))));
    if errors.len() < 500 {
        return; // A single seed need not have all of them.
    }
    // The accidents were of every kind.
    for error in [
        None,
        Some(Error::UnexpectedEof),
        Some(Error::Timeout(Deadline::Pong)),
        Some(Error::Timeout(Deadline::Write)),
        Some(Error::Timeout(Deadline::Close)),
    ] {
        assert!(errors.contains(&error), "{error:?} never happened");
    }
    assert!(errors.iter().any(|error| matches!(error, Some(Error::Protocol(_)))));
}

fn accident(seed: u64) -> [Option<Error>; 2] {
    let mut rng = Rng(seed ^ 0x5555_5555);
    let mut pair = world(seed, &Config::new(), &mut rng);
    let (client, server) = (script(&mut rng), script(&mut rng));
    pair.client.todo.extend(client.clone());
    pair.server.todo.extend(server.clone());
    let damage = rng.one_in(4);
    let place = rng.below(500) as u64;
    if damage {
        (pair.up.damages, pair.down.damages) = (Some(place), Some(place));
    }
    pair.run_for(Duration::from_millis(rng.below(5000) as u64));
    for link in [&mut pair.up, &mut pair.down] {
        match rng.below(5) {
            0 => link.stalled = true,
            1 => link.lost = true,
            2 => link.break_now_or_after(place),
            _ => {}
        }
    }
    match rng.below(8) {
        0 => {
            pair.up.reset(pair.now);
            pair.down.reset(pair.now);
        }
        1 => pair.now += secs(rng.below(100_000) as u64),
        _ => {}
    }
    pair.run_for(secs(200));
    if !pair.is_over() {
        (pair.up.lost, pair.down.lost) = (true, true);
    }
    let begun = pair.now;
    pair.run_to_the_end();
    assert!(pair.now - begun <= secs(120), "seed {seed}: {:?}", pair.now - begun);
    if !damage {
        assert!(expected(&client).starts_with(&pair.server.messages()), "seed {seed}");
        assert!(expected(&server).starts_with(&pair.client.messages()), "seed {seed}");
    }
    for end in [&pair.client, &pair.server] {
        let summary = end.summary();
        assert_eq!(summary.error, end.error, "seed {seed}: {summary}");
        assert!(!(summary.clean && summary.error.is_some()), "seed {seed}: {summary}");
    }
    [pair.client.error, pair.server.error]
}
