//! Client and server in simulated time: keepalive, stalls, closing, broken links.

use core::time::Duration;

use sansocket::{CloseCode, Config, Deadline, Error, Fin, Initiator, Message};

#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/pair.rs"]
mod pair;
#[path = "simulation/seeds.rs"]
mod seeds;

use oracle::Seen;
use pair::{Command, End, Pair};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn text(text: &str) -> Command {
    Command::Send(Message::from(text.to_owned()))
}

fn binary(len: usize) -> Command {
    Command::Send(Message::from((0..len).map(|i| (i / 5) as u8).collect::<Vec<_>>()))
}

/// What the peer gets of these commands.
fn expected<'c>(commands: impl IntoIterator<Item = &'c Command>) -> Vec<Seen> {
    let mut parts: Vec<u8> = Vec::new();
    let mut messages = Vec::new();
    let seen = |message: &Message<'_>, payload: Vec<u8>| match message {
        Message::Text(_) => Seen::Text(payload),
        Message::Binary(_) => Seen::Binary(payload),
    };
    for command in commands {
        match command {
            Command::Send(message) => messages.push(seen(message, message.as_bytes().to_vec())),
            Command::Fragment(part, fin) => {
                parts.extend_from_slice(part.as_bytes());
                if *fin == Fin::Final {
                    messages.push(seen(part, core::mem::take(&mut parts)));
                }
            }
            Command::Ping(_) | Command::Close(..) => {}
        }
    }
    messages
}

#[track_caller]
fn assert_ended(end: &End, error: Option<Error>, code: CloseCode, clean: bool, initiator: Initiator) {
    let summary = end.summary();
    assert_eq!(end.error, error, "{summary}");
    assert_eq!(summary.error, error, "{summary}");
    assert_eq!((summary.code, summary.clean, summary.initiator), (code, clean, initiator), "{summary}");
}

// conf: CL-08 CL-09 CL-11 CL-12 CL-13
#[test]
fn a_client_closes() {
    let mut pair = Pair::with_defaults();
    pair.client.todo.extend([text("one"), text("two"), Command::Close(CloseCode::GOING_AWAY, "done")]);
    pair.server.todo.extend([text("three")]);
    let begun = pair.now;
    pair.run_to_the_end();
    assert_ended(&pair.client, None, CloseCode::GOING_AWAY, true, Initiator::Local);
    assert_ended(&pair.server, None, CloseCode::GOING_AWAY, true, Initiator::Remote);
    assert_eq!((&*pair.server.summary().reason, &*pair.client.summary().reason), ("done", ""));
    assert_eq!(pair.server.messages(), [Seen::Text(b"one".to_vec()), Seen::Text(b"two".to_vec())]);
    assert_eq!(pair.client.messages(), [Seen::Text(b"three".to_vec())]);
    // No deadline had to pass.
    assert!(pair.now - begun < secs(1), "{:?}", pair.now - begun);
}

// conf: CL-08 CL-09 CL-11 CL-12 CL-13
#[test]
fn a_server_closes() {
    let mut pair = Pair::with_defaults();
    pair.server.todo.extend([text("one"), Command::Close(CloseCode::NORMAL, "")]);
    pair.run_for(secs(1));
    assert!(pair.is_over());
    assert_ended(&pair.server, None, CloseCode::NORMAL, true, Initiator::Local);
    assert_ended(&pair.client, None, CloseCode::NORMAL, true, Initiator::Remote);
}

// conf: CL-14
#[test]
fn both_close_at_once() {
    let mut pair = Pair::with_defaults();
    pair.client.todo.push_back(Command::Close(CloseCode::new(4001), "client"));
    pair.server.todo.push_back(Command::Close(CloseCode::new(4002), "server"));
    pair.run_for(secs(1));
    assert!(pair.is_over());
    assert_ended(&pair.client, None, CloseCode::new(4002), true, Initiator::Local);
    assert_ended(&pair.server, None, CloseCode::new(4001), true, Initiator::Local);
    assert_eq!((&*pair.client.summary().reason, &*pair.server.summary().reason), ("server", "client"));
}

// conf: CL-07
#[test]
fn what_the_peer_sent_before_it_saw_the_close_arrives() {
    let mut pair = Pair::with_defaults();
    pair.down.latency = secs(2);
    pair.server.todo.extend((0..50).map(|i| text(&format!("message {i}"))));
    pair.run_for(secs(1));
    pair.client.todo.push_back(Command::Close(CloseCode::NORMAL, ""));
    pair.run_to_the_end();
    assert_eq!(pair.client.messages().len(), 50);
    assert!(pair.client.summary().clean && pair.server.summary().clean);
}

// conf: CT-10
#[test]
fn keepalive_finds_a_dead_peer() {
    let mut pair = Pair::with_defaults();
    pair.client.todo.push_back(text("hello"));
    pair.run_for(secs(5));
    let cut = pair.now;
    (pair.up.lost, pair.down.lost) = (true, true);
    pair.run_to_the_end();
    for end in [&pair.client, &pair.server] {
        // 1011 was sent into the void; nobody answers within the close deadline.
        assert_ended(
            end,
            Some(Error::Timeout(Deadline::Pong)),
            CloseCode::ABNORMAL,
            false,
            Initiator::Library,
        );
        let after = end.dropped.unwrap() - cut;
        assert!(after >= secs(35) && after <= secs(51), "after {after:?}");
    }
}

#[test]
fn keepalive_spares_a_quiet_peer() {
    let mut pair = Pair::with_defaults();
    pair.up.latency = secs(9);
    pair.down.latency = secs(9);
    pair.run_for(secs(3600));
    assert_eq!((pair.client.error, pair.server.error), (None, None));
    assert!(pair.client.judged >= 60 && pair.client.judged <= 200, "{} pings", pair.client.judged);
    assert!(pair.client.connection.rtt().is_some_and(|rtt| rtt >= secs(18)));
    pair.server.todo.push_back(text("still there"));
    pair.run_for(secs(10));
    assert_eq!(pair.client.messages().len(), 1);
}

/// What arrives at the very moment of a deadline is in time; a millisecond later it is not.
#[test]
fn a_pong_at_its_deadline_is_in_time() {
    for late in [false, true] {
        // Only the client pings: a ping of the server would be a sign of life of its own.
        let mut pair = Pair::new(Config::new(), Config::new().ping_interval(None), 1);
        pair.up.latency = secs(10);
        pair.down.latency = secs(10) + Duration::from_millis(u64::from(late));
        pair.run_for(secs(1000));
        let expected = late.then_some(Error::Timeout(Deadline::Pong));
        assert_eq!(pair.client.error, expected);
    }
}

/// The same for the other deadlines: what ends the waiting comes at the very moment, or a millisecond later.
// conf: CL-09 CL-11
#[test]
fn what_comes_at_a_deadline_is_in_time() {
    let late = Duration::from_millis(1);
    for after in [Duration::ZERO, late] {
        let in_time = |error| (after == late).then_some(Error::Timeout(error));
        // The answer to a Close, 5 s away.
        let mut pair = Pair::with_defaults();
        pair.up.latency = secs(5);
        pair.down.latency = secs(5) + after;
        pair.client.todo.push_back(Command::Close(CloseCode::NORMAL, ""));
        pair.run_to_the_end();
        assert_eq!(pair.client.error, in_time(Deadline::Close));
        assert_eq!(pair.client.summary().clean, after.is_zero());

        // The rest of a message.
        let mut pair = Pair::with_defaults();
        pair.client.todo.push_back(Command::Fragment(Message::from("be"), Fin::More));
        pair.run_for(secs(60) + after);
        pair.client.todo.push_back(Command::Fragment(Message::from("gun"), Fin::Final));
        pair.run_for(secs(1));
        assert_eq!(pair.server.error, in_time(Deadline::Message));
        assert_eq!(pair.server.messages().len(), usize::from(after.is_zero()));

        // Room for output, a moment before it is found missing for too long or at that moment.
        let mut pair = Pair::new(Config::new(), Config::new().ping_interval(None), 1);
        pair.client.reading = false;
        pair.down.capacity = 1000;
        pair.server.todo.push_back(binary(2000));
        pair.run_for(secs(30) - late + after);
        pair.client.reading = true;
        pair.run_for(secs(1));
        assert_eq!(pair.server.error, in_time(Deadline::Write));

        // A word from a silent peer.
        let idle = Config::new().ping_interval(None).idle_timeout(secs(90));
        let mut pair = Pair::new(Config::new().ping_interval(None), idle, 1);
        pair.up.latency = Duration::ZERO;
        pair.run_for(secs(90) - late + after);
        pair.client.todo.push_back(text("still here"));
        pair.run_for(secs(1));
        assert_eq!(pair.server.error, in_time(Deadline::Idle));
    }
}

/// A clock that is set back, which no caller should have, costs time and nothing else.
// conf: FL-05
#[test]
fn a_clock_that_goes_back_does_no_harm() {
    for back in [1, 30, 990] {
        let mut pair = Pair::with_defaults();
        pair.client.todo.extend([text("one"), Command::Fragment(Message::from("be"), Fin::More)]);
        pair.run_for(secs(25));
        pair.now -= secs(back);
        pair.client.todo.extend([Command::Fragment(Message::from("gun"), Fin::Final), text("two")]);
        pair.run_for(secs(1100));
        assert_eq!((pair.client.error, pair.server.error), (None, None), "back by {back} s");
        assert_eq!(pair.server.messages().len(), 3);
        pair.server.todo.push_back(Command::Close(CloseCode::NORMAL, ""));
        pair.run_to_the_end();
        assert!(pair.client.summary().clean && pair.server.summary().clean);
    }
}

/// The pong stands behind 100 kB on a link that lets 200 bytes a second through: every byte is a sign of life.
#[test]
fn keepalive_spares_a_slow_peer() {
    let mut pair = Pair::with_defaults();
    pair.room(200_000);
    pair.up.rate = Some(200);
    pair.up.largest = 100;
    pair.up.capacity = 2000;
    pair.client.todo.push_back(binary(100_000));
    pair.run_for(secs(700));
    assert_eq!((pair.client.error, pair.server.error), (None, None));
    assert_eq!(pair.server.messages().len(), 1);
}

/// The application takes ten minutes for one message; the peer's bytes lie unread, its pings unanswered.
#[test]
fn an_application_that_holds_back_does_not_blame_the_peer() {
    let patient = Config::new().pong_timeout(None).write_timeout(None);
    let idle = Config::new().idle_timeout(secs(70));
    let mut pair = Pair::new(patient, idle, 1);
    pair.server.reading = false;
    pair.client.todo.extend((0..100).map(|i| text(&format!("message {i}"))));
    pair.run_for(secs(600));
    assert_eq!((pair.server.error, pair.server.messages().len()), (None, 0));
    pair.server.reading = true;
    pair.run_for(secs(1));
    assert_eq!((pair.server.error, pair.server.messages().len()), (None, 100));
    // From here on silence counts again.
    pair.up.lost = true;
    pair.run_for(secs(41));
    assert_eq!(pair.server.error, Some(Error::Timeout(Deadline::Pong)));
}

/// Both ends with the defaults: the one that holds back keeps sending pings, which show the other that it lives.
#[test]
fn an_application_that_holds_back_is_not_taken_for_dead() {
    let mut pair = Pair::with_defaults();
    pair.server.reading = false;
    pair.client.todo.push_back(text("work for ten minutes"));
    for _ in 0..600 {
        pair.run_for(secs(1));
        pair.down.latency += Duration::from_millis(3);
    }
    assert_eq!((pair.client.error, pair.server.error), (None, None));
    pair.server.reading = true;
    pair.run_for(secs(1));
    assert_eq!(pair.server.messages().len(), 1);
}

/// A machine that slept for a day judges its peer by what comes after, not by the silence of that day.
#[test]
fn a_clock_that_jumps_ahead_does_not_end_a_connection() {
    let mut pair = Pair::with_defaults();
    pair.client.todo.push_back(text("before"));
    pair.run_for(secs(5));
    for jump in [25, 3600, 86_400] {
        pair.now += secs(jump);
        pair.run_for(secs(50));
        assert_eq!((pair.client.error, pair.server.error), (None, None), "after {jump} s");
    }
    pair.server.todo.push_back(text("after"));
    pair.run_for(secs(1));
    assert_eq!(pair.client.messages(), [Seen::Text(b"after".to_vec())]);
}

#[test]
fn a_peer_that_takes_no_data_is_given_up() {
    let mut pair = Pair::new(Config::new(), Config::new().ping_interval(None), 1);
    pair.client.reading = false;
    pair.down.capacity = 10_000;
    pair.server.todo.extend((0..40).map(|_| binary(1000)));
    let begun = pair.now;
    pair.run_for(secs(29));
    assert_eq!(pair.server.error, None);
    pair.run_for(secs(2));
    assert_ended(
        &pair.server,
        Some(Error::Timeout(Deadline::Write)),
        CloseCode::ABNORMAL,
        false,
        Initiator::Library,
    );
    // Dropped at once, though output is left: it can never leave.
    assert_eq!(pair.server.dropped.map(|at| at - begun), Some(secs(30)));
    // What had left arrives in order.
    pair.client.reading = true;
    pair.run_to_the_end();
    assert_eq!(pair.client.messages().len(), 9);
}

#[test]
fn a_peer_that_takes_a_byte_now_and_then_is_not_given_up() {
    let mut pair = Pair::with_defaults();
    pair.down.capacity = 100;
    pair.down.rate = Some(20);
    pair.down.largest = 40;
    pair.server.todo.push_back(binary(4000));
    pair.run_for(secs(300));
    assert_eq!((pair.client.error, pair.server.error), (None, None));
    assert_eq!(pair.client.messages().len(), 1);
}

#[test]
fn a_close_without_an_answer_ends_in_time() {
    for lost in [true, false] {
        let mut pair = Pair::with_defaults();
        // Either the Close never arrives, or the peer's application never reads it.
        pair.up.lost = lost;
        pair.server.reading = false;
        pair.client.todo.push_back(Command::Close(CloseCode::NORMAL, ""));
        let begun = pair.now;
        pair.run_for(secs(15));
        let close = Error::Timeout(Deadline::Close);
        assert_ended(&pair.client, Some(close), CloseCode::ABNORMAL, false, Initiator::Local);
        assert_eq!(pair.client.dropped.map(|at| at - begun), Some(secs(10)));
        pair.server.reading = true;
        pair.run_to_the_end();
        let error = if lost { Some(Error::Timeout(Deadline::Pong)) } else { None };
        assert_eq!(pair.server.error, error);
    }
}

// conf: CL-09
#[test]
fn a_server_that_never_ends_the_stream_keeps_the_close_clean() {
    let mut pair = Pair::with_defaults();
    pair.client.todo.push_back(Command::Close(CloseCode::NORMAL, ""));
    pair.run_for(Duration::from_millis(75));
    // The answer comes, the end of the stream does not.
    pair.run_for(Duration::from_millis(26));
    pair.down.lost = true;
    pair.run_for(secs(11));
    assert_ended(&pair.client, None, CloseCode::NORMAL, true, Initiator::Local);
    assert!(pair.client.dropped.is_some());
}

/// The peer answered, then half-closed, and takes none of the output that is still queued.
#[test]
fn output_that_cannot_leave_after_the_end_of_the_stream_does_not_hang() {
    let mut pair = Pair::with_defaults();
    pair.up.capacity = 1000;
    pair.server.reading = false;
    pair.client.todo.extend((0..20).map(|_| binary(1000)));
    pair.run_for(secs(1));
    // The server's stream ends without a word.
    pair.down.breaks_after = Some(1);
    pair.server.todo.push_back(text("cut"));
    pair.run_for(secs(40));
    assert!(pair.client.dropped.is_some(), "{:#?}", pair.client);
    assert_eq!(pair.client.error, Some(Error::UnexpectedEof));
}

// conf: CL-04
#[test]
fn the_answer_to_a_close_leaves_also_behind_a_full_queue() {
    let mut pair = Pair::with_defaults();
    pair.up.capacity = 700;
    pair.up.rate = Some(2000);
    pair.client.todo.extend((0..10).map(|_| binary(1000)));
    pair.run_for(Duration::from_millis(60));
    pair.server.todo.push_back(Command::Close(CloseCode::GOING_AWAY, "restart"));
    pair.run_to_the_end();
    assert_ended(&pair.server, None, CloseCode::GOING_AWAY, true, Initiator::Local);
    assert_ended(&pair.client, None, CloseCode::GOING_AWAY, true, Initiator::Remote);
    assert_eq!(pair.server.messages().len(), 10);
}

/// A peer that says Close and shuts its write side at once still reads: it gets all that was queued, and the answer.
// conf: CL-04
#[test]
fn output_leaves_also_after_the_end_of_the_stream() {
    let mut pair = Pair::with_defaults();
    pair.up.capacity = 700;
    pair.up.rate = Some(2000);
    pair.client.todo.extend((0..10).map(|_| binary(1000)));
    // Exactly a Close frame without a reason.
    pair.down.breaks_after = Some(4);
    pair.server.todo.push_back(Command::Close(CloseCode::NORMAL, ""));
    pair.run_to_the_end();
    assert_ended(&pair.server, None, CloseCode::NORMAL, true, Initiator::Local);
    assert_ended(&pair.client, None, CloseCode::NORMAL, true, Initiator::Remote);
    assert_eq!(pair.server.messages().len(), 10);
}

#[test]
fn a_message_that_is_begun_and_not_continued_fails() {
    let mut pair = Pair::with_defaults();
    pair.client.todo.push_back(Command::Fragment(Message::from("begun"), Fin::More));
    pair.run_for(secs(59));
    assert_eq!(pair.server.error, None);
    pair.run_to_the_end();
    let late = Error::Timeout(Deadline::Message);
    assert_ended(&pair.server, Some(late), CloseCode::ABNORMAL, false, Initiator::Library);
    assert_ended(&pair.client, None, CloseCode::POLICY_VIOLATION, true, Initiator::Remote);
}

#[test]
fn an_idle_peer_is_sent_away() {
    let idle = Config::new().ping_interval(None).idle_timeout(secs(90));
    let mut pair = Pair::new(Config::new().ping_interval(None), idle, 1);
    pair.client.todo.push_back(text("then nothing"));
    pair.run_for(secs(89));
    assert_eq!(pair.server.error, None);
    pair.run_for(secs(2));
    assert_ended(
        &pair.server,
        Some(Error::Timeout(Deadline::Idle)),
        CloseCode::ABNORMAL,
        false,
        Initiator::Library,
    );
    assert_ended(&pair.client, None, CloseCode::GOING_AWAY, true, Initiator::Remote);
}

// conf: FL-01 FL-03
#[test]
fn the_one_who_breaks_a_rule_is_told() {
    let mut pair = Pair::with_defaults();
    pair.client.todo.extend([text("good"), text("bad"), text("never seen")]);
    // The second frame begins behind the first one of 6 + 4 bytes; the bit that is damaged is in its first byte.
    pair.up.damages = Some(10);
    pair.up.largest = 1;
    pair.run_to_the_end();
    assert_eq!(pair.server.messages(), [Seen::Text(b"good".to_vec())]);
    assert!(matches!(pair.server.error, Some(Error::Protocol(_))), "{:?}", pair.server.error);
    assert_ended(&pair.client, None, CloseCode::PROTOCOL_ERROR, true, Initiator::Remote);
    assert!(!pair.server.summary().clean);
}

// conf: FR-13 CL-12 CL-16
#[test]
fn the_stream_ends_at_every_byte() {
    for cut in 1..80 {
        for up in [true, false] {
            let mut pair = Pair::new(Config::new(), Config::new(), cut);
            let commands = [
                text("one"),
                Command::Fragment(Message::from("tw"), Fin::More),
                Command::Ping(b"there?".to_vec()),
                Command::Fragment(Message::from("o"), Fin::Final),
                binary(10),
                Command::Close(CloseCode::NORMAL, "bye"),
            ];
            let link = if up { &mut pair.up } else { &mut pair.down };
            link.breaks_after = Some(cut);
            let sender = if up { &mut pair.client } else { &mut pair.server };
            sender.todo.extend(commands.clone());
            pair.run_to_the_end();
            let (sender, receiver) =
                if up { (&pair.client, &pair.server) } else { (&pair.server, &pair.client) };
            let sent = expected(&commands);
            assert!(sent.starts_with(&receiver.messages()), "cut after {cut}");
            if receiver.seen.contains(&Seen::Close(1000, b"bye".to_vec())) {
                assert!(receiver.error.is_none() && receiver.summary().clean, "cut after {cut}");
                assert_eq!(receiver.messages(), sent);
            } else {
                let lost = Some(Error::UnexpectedEof);
                assert_ended(receiver, lost, CloseCode::ABNORMAL, false, Initiator::Remote);
                assert_eq!(sender.summary().code, CloseCode::ABNORMAL, "cut after {cut}");
            }
        }
    }
}

#[test]
fn a_frame_over_the_limit_is_refused_by_its_header() {
    let mut pair = Pair::new(Config::new(), Config::new().max_message_size(999), 1);
    pair.client.todo.extend([binary(999), binary(1000)]);
    pair.run_to_the_end();
    assert_eq!(pair.server.messages().len(), 1);
    assert_ended(
        &pair.server,
        Some(Error::TooBig { limit: 999 }),
        CloseCode::ABNORMAL,
        false,
        Initiator::Library,
    );
    assert_ended(&pair.client, None, CloseCode::TOO_BIG, true, Initiator::Remote);
}
