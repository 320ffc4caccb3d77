//! The messages of a client that connects again: accepted, and not written to a connection yet.

use alloc::sync::Arc;

use super::{Reconnect, WhileAway};
use crate::engine::{Backlog, Error, Link, Stream};
use crate::{Message, State};

/// The queue, and what the policy says about it.
#[derive(Debug)]
pub(crate) struct Outbox {
    while_away: WhileAway,
    backlog: Arc<Backlog>,
}

impl Outbox {
    pub(crate) fn new(policy: &Reconnect) -> Self {
        Self { while_away: policy.while_away, backlog: Arc::new(Backlog::new()) }
    }

    /// Takes a message that no connection takes now.
    pub(crate) fn put(&self, message: Message<'_>) -> Result<(), Error> {
        let is_taken = match self.while_away {
            WhileAway::Drop => true,
            WhileAway::Queue(most) => self.backlog.push(message, most),
            WhileAway::Refuse => false,
        };
        if is_taken { Ok(()) } else { Err(Error::NotConnected) }
    }

    /// A connection has opened: it takes the messages that wait.
    pub(crate) fn opened<S: Stream>(&self, link: &mut Link<S>) {
        if self.backlog.is_waiting() {
            link.drain(&self.backlog);
        }
    }

    /// Whether a message can go to the connection directly: not before those that wait.
    pub(crate) fn lets_pass<S: Stream>(&self, link: &Link<S>) -> bool {
        link.connection.state() == State::Open && !self.backlog.is_waiting()
    }

    /// Prepares to hand a message to the connection directly.
    pub(crate) fn before_handing<S: Stream>(&self, link: &Link<S>, message: &Message<'_>) -> Handing {
        let keeps = matches!(self.while_away, WhileAway::Queue(_));
        Handing { start: link.out.queued_in_all(), copy: keeps.then(|| message.clone().into_owned()) }
    }

    /// Forgets the messages that have left.
    pub(crate) fn look<S: Stream>(&self, link: &Link<S>) {
        self.backlog.written(link.out.written_in_all());
    }

    /// The connection has taken the message.
    pub(crate) fn handed<S: Stream>(&self, link: &Link<S>, handing: Handing) {
        self.look(link);
        self.backlog.handed(handing.start..link.out.queued_in_all(), handing.copy);
    }

    /// Forgets the message that was handed on last: its sender receives the error.
    pub(crate) fn failed_to_leave(&self) {
        self.backlog.forget_last();
    }

    /// The connection is over. Returns how many messages were lost with it.
    pub(crate) fn ended<S: Stream>(&self, link: &Link<S>) -> u64 {
        self.backlog.connection_lost(link.out.written_in_all())
    }

    pub(crate) fn len(&self) -> usize {
        self.backlog.len()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.backlog.lost()
    }
}

/// A message on its way into the output.
pub(crate) struct Handing {
    /// How many bytes the connection had queued in all before.
    start: u64,
    copy: Option<Message<'static>>,
}
