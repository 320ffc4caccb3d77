//! The deadlines of an open connection: what is due when, and what passing means.

use core::mem;
use core::time::Duration;

use super::Connection;
use super::moment::Moment;
use crate::config::Config;
use crate::error::{Deadline, Error};
use crate::frame::Opcode;
use crate::sink::Sink;

/// Whether bytes of the peer may wait unread when a deadline is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unread {
    /// A read has just found nothing (it would block, or timed out).
    Nothing,
    /// Nobody has read: the application is busy or holds back. The peer is then not found silent; its deadlines
    /// start anew.
    Possible,
}

/// How long a peer that has taken bytes is presumed to take what lies in the kernel's buffers, without a write timeout.
const MOST_PRESUMED: Duration = Duration::from_secs(30);

/// The times from which the deadlines run.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// When the peer last showed that it lives: a byte came, or a transport that was full took more. Lies ahead of now
    /// while the transport is presumed to be still delivering what filled it.
    pub(super) last_alive: Moment,
    /// When the ping left whose pong is still to come.
    ping_sent: Option<Moment>,
    /// Since when output waits and the transport takes none.
    blocked_since: Option<Moment>,
    /// Since when the closing handshake, or the wait for the end of the stream, lasts.
    pub(super) closing_since: Option<Moment>,
    /// How long the transport was full before it took the latest bytes, since output began to wait; in milliseconds.
    stalled: u32,
    /// How long the latest round trip took, in microseconds plus one; 0 before the first.
    rtt: u32,
}

impl Deadlines {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            last_alive: now.into(),
            ping_sent: None,
            blocked_since: None,
            closing_since: None,
            stalled: 0,
            rtt: 0,
        }
    }

    /// The peer shows that it lives.
    #[inline]
    pub(super) fn alive(&mut self, now: Duration) {
        self.last_alive = self.last_alive.max(now.into());
    }

    /// Since when the peer owes a sign of life.
    fn awaiting_since(&self) -> Option<Moment> {
        self.ping_sent.filter(|&sent| self.last_alive <= sent)
    }

    /// Whether nothing of what has begun is still to come.
    const fn wait_for_nothing(&self) -> bool {
        self.ping_sent.is_none() && self.blocked_since.is_none() && self.closing_since.is_none()
    }

    /// Whether output waits for the transport.
    pub(super) const fn is_blocked(&self) -> bool {
        self.blocked_since.is_some()
    }

    fn ping_due(&self, config: &Config) -> Option<Moment> {
        let interval = config.ping_interval?;
        if self.awaiting_since().is_some() { None } else { self.last_alive.after(interval) }
    }

    /// A transport that was full has taken bytes.
    fn made_room(&mut self, now: Duration) {
        self.alive(now);
        if let Some(since) = self.blocked_since {
            let waited = Moment::from(now).since(since).as_millis();
            self.stalled = self.stalled.saturating_add(u32::try_from(waited).unwrap_or(u32::MAX));
        }
    }

    /// Nothing waits any more; `true` if something did.
    ///
    /// The peer needs about as long as the stall lasted for the bytes in the kernel's buffers, with a ping behind them, if
    /// that is at least half of what waited. It is presumed alive until then, for `most` longer at the most.
    fn unblocked(&mut self, now: Duration, most: Option<Duration>) -> bool {
        let stalled = Duration::from_millis(mem::take(&mut self.stalled).into());
        if !stalled.is_zero() {
            self.alive(now.saturating_add(stalled.min(most.unwrap_or(MOST_PRESUMED))));
        }
        self.blocked_since.take().is_some()
    }

    fn write_stalled(&self, config: &Config) -> Option<Moment> {
        self.blocked_since?.after(config.write_timeout?)
    }

    fn close_overdue(&self, config: &Config) -> Option<Moment> {
        self.closing_since?.after(config.close_timeout?)
    }
}

impl Connection {
    /// When [`handle_timeout`](Self::handle_timeout) is next to be called; `None` if no deadline runs.
    ///
    /// Ask again after every other call; the answer may move in both directions. It is a deadline only: whether
    /// bytes wait is told by [`wants_write`](Self::wants_write). At the end of the stream only the deadline for output
    /// that waits is left.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.next_deadline().map(Duration::from)
    }

    /// Nothing has begun to end, and nothing that has begun is still to come.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.closing.is_untouched()
            && self.deadlines.wait_for_nothing()
            && self.incoming.is_none()
            && self.replies.is_none()
    }

    #[inline]
    fn next_deadline(&self) -> Option<Moment> {
        let (config, deadlines) = (&*self.config, &self.deadlines);
        if self.is_quiet() {
            // Nearly always: only silence can come to matter.
            let silence = match (config.ping_interval, config.idle_timeout) {
                (Some(ping), Some(idle)) => ping.min(idle),
                (ping, idle) => ping.or(idle)?,
            };
            return deadlines.last_alive.after(silence);
        }
        if self.closing.over {
            return None;
        }
        let stalled = deadlines.write_stalled(config);
        if self.closing.eof && !deadlines.is_blocked() {
            return None;
        }
        let ends = sooner(stalled, deadlines.close_overdue(config));
        if !self.closing.is_open() {
            return ends;
        }
        let silent = sooner(deadlines.ping_due(config), self.pong_overdue());
        sooner(ends, sooner(silent, sooner(self.idle_overdue(), self.message_overdue())))
    }

    /// Judges the deadlines at `now` and sends the ping that is due. Early and repeated calls are harmless.
    ///
    /// Read first what there is to read, so that a peer is not blamed for bytes that lie unread, and say with
    /// `unread` whether that happened. A ping that finds no room in `out` waits there.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when a deadline has passed, or the error that ended the connection before.
    pub fn handle_timeout(
        &mut self,
        now: Duration,
        unread: Unread,
        out: &mut impl Sink,
    ) -> Result<(), Error> {
        let reached = |deadline: Option<Moment>| deadline.is_some_and(|deadline| deadline <= now.into());
        if self.closing.over {
            return self.failure.map_or(Ok(()), Err);
        }
        self.restart_ping(now);
        if reached(self.deadlines.write_stalled(&self.config)) {
            return Err(self.end_overdue(Deadline::Write, now, out));
        }
        let waits = !self.closing.eof || self.deadlines.is_blocked();
        if waits && reached(self.deadlines.close_overdue(&self.config)) {
            // A handshake that is complete stays clean when only the end of the stream is missing, not when the answer
            // never left.
            if self.closing.is_clean() && self.deadlines.blocked_since.is_none() {
                self.closing.over = true;
                return Ok(());
            }
            return Err(self.end_overdue(Deadline::Close, now, out));
        }
        if self.closing.is_open() {
            let silent = [
                (Deadline::Pong, self.pong_overdue()),
                (Deadline::Idle, self.idle_overdue()),
                (Deadline::Message, self.message_overdue()),
            ];
            if let Some((deadline, _)) = silent.into_iter().find(|(_, at)| reached(*at)) {
                match unread {
                    Unread::Nothing => return Err(self.fail(Error::Timeout(deadline), now, out)),
                    Unread::Possible => self.presume_alive(now, deadline, out),
                }
            }
            if reached(self.deadlines.ping_due(&self.config)) {
                self.send_keepalive(now, out);
            }
        }
        self.failure.map_or(Ok(()), Err)
    }

    /// Tells the connection how a write went: `written` bytes left, `left` still wait at the caller's.
    ///
    /// Call it after each attempt to write, also one that left nothing; it starts and stops the deadline for a
    /// transport that takes no data. Bytes that leave after an attempt that left none are a sign of life of the peer,
    /// which has made room for them; bytes that find room at the first attempt are none.
    pub fn handle_written(&mut self, now: Duration, written: usize, left: usize) {
        self.restart_ping(now);
        if let (Some(since), true, 1.., 0) =
            (&mut self.deadlines.closing_since, self.closing.sent, written, left)
        {
            // The peer can answer the Close frame only once it has left. Progress before that does not count: a peer
            // that takes a byte now and then would put off the end for ever.
            *since = now.into();
        } else if self.closing.eof && left > 0 {
            self.deadlines.closing_since.get_or_insert_with(|| now.into());
        }
        if written > 0 && mem::take(&mut self.transport_full) {
            self.deadlines.made_room(now);
        }
        if left == 0 {
            let limit = self.config.write_timeout;
            if self.deadlines.unblocked(now, limit) && self.deadlines.awaiting_since().is_some() {
                // The ping may have left only now.
                self.deadlines.ping_sent = Some(now.into());
            }
            self.transport_full = false;
        } else {
            if written > 0 || self.deadlines.blocked_since.is_none() {
                self.deadlines.blocked_since = Some(now.into());
            }
            self.transport_full |= written == 0;
        }
    }

    /// The time between the latest keepalive ping and its pong, once there was one.
    #[must_use]
    pub const fn rtt(&self) -> Option<Duration> {
        match self.deadlines.rtt {
            0 => None,
            rtt => Some(Duration::from_micros(rtt as u64 - 1)),
        }
    }

    pub(super) fn handle_pong(&mut self, now: Duration, payload: &[u8]) {
        if payload == self.ping_payload() {
            if let Some(sent) = self.deadlines.ping_sent.take() {
                let micros = Moment::from(now).since(sent).as_micros().saturating_add(1);
                self.deadlines.rtt = u32::try_from(micros).unwrap_or(u32::MAX);
            }
        }
    }

    fn send_keepalive(&mut self, now: Duration, out: &mut impl Sink) {
        self.ping_number = self.ping_number.wrapping_add(1);
        self.deadlines.ping_sent = Some(now.into());
        let payload = self.ping_payload();
        // Where the source of keys fails, so does the connection, and the caller tells.
        _ = self.reply(Opcode::Ping, &payload, out);
        self.ping_waited = self.ping_waits();
    }

    fn ping_payload(&self) -> [u8; 4] {
        u32::from(self.ping_number).to_be_bytes()
    }

    fn ping_waits(&self) -> bool {
        self.replies.as_ref().is_some_and(|replies| replies.ping.is_some())
    }

    /// A keepalive ping that waited for room in the output can be answered only from when it got there.
    fn restart_ping(&mut self, now: Duration) {
        if self.ping_waited && !self.ping_waits() {
            self.ping_waited = false;
            if self.deadlines.awaiting_since().is_some() {
                self.deadlines.ping_sent = Some(now.into());
            }
        }
    }

    fn presume_alive(&mut self, now: Duration, deadline: Deadline, out: &mut impl Sink) {
        self.deadlines.alive(now);
        self.deadlines.ping_sent = None;
        if let Some(incoming) = &mut self.incoming {
            incoming.progress = now.into();
        }
        if deadline == Deadline::Pong {
            // Its pings lie unread too: ours are the only sign of life that it gets.
            self.send_keepalive(now, out);
        }
    }

    /// A deadline after which nothing can be said to the peer any more.
    fn end_overdue(&mut self, deadline: Deadline, now: Duration, out: &mut impl Sink) -> Error {
        let error = self.fail(Error::Timeout(deadline), now, out);
        self.replies = None;
        self.closing.over = true;
        error
    }

    fn pong_overdue(&self) -> Option<Moment> {
        // While this side's own output is stuck the ping may be stuck in it: then the write deadline judges.
        if self.deadlines.blocked_since.is_some() || self.ping_waits() {
            return None;
        }
        self.deadlines.awaiting_since()?.after(self.config.pong_timeout?)
    }

    fn idle_overdue(&self) -> Option<Moment> {
        self.deadlines.last_alive.after(self.config.idle_timeout?)
    }

    /// Whether a message that has begun is overdue, so that only bytes of it which lie unread could save the connection.
    #[cfg(feature = "std")]
    pub(crate) fn is_message_overdue(&self, now: Duration) -> bool {
        self.closing.is_open() && self.message_overdue().is_some_and(|due| due <= now.into())
    }

    fn message_overdue(&self) -> Option<Moment> {
        self.incoming.as_ref()?.progress.after(self.config.message_timeout?)
    }
}

/// The earlier one, of those that there are.
#[inline]
fn sooner(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (None, other) => other,
        (one, None) => one,
    }
}
