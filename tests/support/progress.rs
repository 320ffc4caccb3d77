//! What is owed to an application in simulated time, and by when: a message that was accepted arrives, a ping gets its
//! pong, a deadline fires. Time in which an application holds back or a link carries nothing does not count.

use std::collections::VecDeque;
use std::time::Duration;

use sansocket::Config;

use super::Link;

/// A client's pong of 125 bytes.
const LONGEST_REPLY: usize = 131;

/// Something that was accepted for sending.
#[derive(Debug)]
struct Owed {
    since: Duration,
    /// The paused time until then.
    paused: Duration,
    /// The bytes up to its end that were to leave before it arrives.
    ahead: usize,
}

/// What the peer of one end is still to get, in order.
#[derive(Debug, Default)]
pub struct Debts {
    messages: VecDeque<Owed>,
    pings: VecDeque<(Vec<u8>, Owed)>,
    /// How many messages were accepted.
    pub accepted: usize,
    /// For how long nothing could arrive at the peer.
    pub paused: Duration,
    /// For how long nothing could arrive at one of the ends.
    pub paused_trip: Duration,
}

impl Link {
    /// How long `bytes` take at the most, those in front of them included.
    fn time_for(&self, bytes: usize) -> Duration {
        let trips = bytes.div_ceil(self.capacity) as u32 + 1;
        // They come with the rest of their piece.
        let most = (bytes + self.largest.min(self.capacity)) as u32;
        let travel = self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) * most / rate as u32);
        self.latency * trips + travel
    }

    /// Nothing arrives, and that is nobody's fault.
    pub fn is_healthy(&self) -> bool {
        !self.stalled
            && !self.lost
            && self.end.is_none()
            && self.breaks_after.is_none()
            && self.damages.is_none()
    }
}

impl Debts {
    pub fn accept_message(&mut self, now: Duration, ahead: usize) {
        self.accepted += 1;
        self.messages.push_back(Owed { since: now, paused: self.paused, ahead });
    }

    pub fn accept_ping(&mut self, now: Duration, ahead: usize, payload: &[u8]) {
        self.pings.push_back((payload.to_vec(), Owed { since: now, paused: self.paused_trip, ahead }));
    }

    /// Pongs are owed only while both ends are open, messages until one fails or is gone.
    pub fn forgive(&mut self, open: bool, failed: bool) {
        if !open {
            self.pings.clear();
        }
        if failed {
            self.messages.clear();
        }
    }

    /// The peer has delivered so many messages; every one of them was in time, and the next one is not late yet.
    pub fn check_messages(&mut self, now: Duration, delivered: usize, link: &Link) {
        let left = self.accepted.saturating_sub(delivered);
        while let Some(owed) = self.messages.front() {
            let allowed = link.time_for(owed.ahead);
            let took = now.saturating_sub(owed.since + (self.paused - owed.paused));
            assert!(took <= allowed, "a message is late: {took:?} instead of at most {allowed:?}, {owed:?}");
            if self.messages.len() <= left {
                return;
            }
            self.messages.pop_front();
        }
    }

    /// A pong came; it answers this ping and those before it.
    pub fn take_pong(&mut self, payload: &[u8]) {
        if let Some(at) = self.pings.iter().rposition(|(ping, _)| ping == payload) {
            self.pings.drain(..=at);
        }
    }

    /// No pong is late; on its way back one waits for room behind at most `queued` bytes.
    pub fn check_pings(&mut self, now: Duration, link: &Link, queued: usize, back: &Link) {
        let Some((_, owed)) = self.pings.front() else { return };
        let allowed = link.time_for(owed.ahead) + back.time_for(queued + back.capacity + LONGEST_REPLY);
        let took = now.saturating_sub(owed.since + (self.paused_trip - owed.paused));
        assert!(took <= allowed, "a pong is late: {took:?} instead of at most {allowed:?}, {owed:?}");
    }
}

/// Since when the deadlines of one end run.
#[derive(Debug)]
pub struct Watch {
    /// Nothing was received.
    silent: Duration,
    /// The transport took nothing.
    stuck: Duration,
    /// It is not open.
    closing: Option<Duration>,
    /// No output is left.
    written: bool,
}

impl Watch {
    pub fn new(now: Duration) -> Self {
        Self { silent: now, stuck: now, closing: None, written: true }
    }

    pub fn received(&mut self, now: Duration) {
        self.silent = now;
    }

    pub fn wrote(&mut self, now: Duration, written: usize, left: usize) {
        if written > 0 || left == 0 || self.written {
            self.stuck = now;
        }
        self.written = left == 0;
    }

    /// Something happened that is a step of the closing handshake.
    pub fn closes(&mut self, now: Duration, anew: bool) {
        if anew || self.closing.is_none() {
            self.closing = Some(now);
        }
    }

    /// The clock jumped to `now`.
    pub fn jumped(&mut self, now: Duration) {
        self.silent = self.silent.max(now);
        self.stuck = self.stuck.max(now);
        self.closing = self.closing.map(|since| since.max(now));
    }

    /// No deadline has passed without a consequence. `ended` is whether the end of the stream was received.
    pub fn check(&self, now: Duration, open: bool, ended: bool, config: &Config) {
        let late = |since: Duration, limits: &[Option<Duration>]| {
            let limit: Option<Duration> = limits.iter().copied().sum();
            limit.is_some_and(|limit| now > since + limit)
        };
        let heard = self.silent.max(self.stuck);
        let silent = open && self.written && late(heard, &[config.ping_interval, config.pong_timeout]);
        let stuck = !self.written && late(self.stuck, &[config.write_timeout]);
        let closing = self
            .closing
            .filter(|_| !ended)
            .is_some_and(|since| late(since.max(self.stuck), &[config.close_timeout]));
        assert!(!(silent || stuck || closing), "a deadline is late at {now:?}: {self:?}");
    }
}
