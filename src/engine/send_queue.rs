//! Messages that waited for a connection, on their way into its output.
//!
//! ```text
//!  waiting ──hand_on──> unwritten (in the output) ────────────> written: forgotten
//!     ^                    │
//!     └──── no byte left ──┴── a part left, or no copy was kept: lost, and counted
//! ```

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::link::Link;
use super::writing::INPUT_SLICE;
use super::{Outgoing, Stream};
use crate::{Message, State};

/// Messages are handed to a connection while its output holds fewer bytes than this. What was handed on and not written is
/// kept twice, encoded and as it was, so the bound also limits that memory.
const HAND_ON_BELOW: usize = 64 << 10;

/// The queue of a client that connects again. It outlives the connections; the latest one drains it.
pub struct SendQueue(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Message<'static>>,
    unwritten: VecDeque<Unwritten>,
    lost: u64,
}

/// A message in the output of the latest connection.
struct Unwritten {
    /// Its bytes, counted from the beginning of the connection.
    bytes: Range<u64>,
    /// A copy to be sent on the next connection if none of the bytes is written.
    copy: Option<Message<'static>>,
}

impl SendQueue {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Adds a message unless `most` wait already; returns whether it was added.
    pub(crate) fn push(&self, message: Message<'_>, most: usize) -> bool {
        let has_room = |queue: &Queue| queue.waiting.len() + queue.unwritten.len() < most;
        if !has_room(&self.lock()) {
            return false;
        }
        // Copying may allocate much, and dropping the original may run code of its owner: neither under the lock.
        let message = message.into_owned();
        self.lock().waiting.push_back(message);
        true
    }

    /// How many messages wait for a connection, or for the latest one to write them.
    pub(crate) fn len(&self) -> usize {
        let queue = self.lock();
        queue.waiting.len() + queue.unwritten.len()
    }

    /// Whether messages wait that were not handed to the connection.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// How many messages were lost in all.
    pub(crate) fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// A message is in the output now, as these bytes.
    pub(crate) fn add_unwritten(&self, bytes: Range<u64>, copy: Option<Message<'static>>) {
        self.lock().unwritten.push_back(Unwritten { bytes, copy });
    }

    /// Forgets the message that was handed on last: its sender learns that it failed.
    pub(crate) fn forget_last(&self) {
        let last = self.lock().unwritten.pop_back();
        drop(last);
    }

    /// So many bytes of the connection were written: messages that end before are sent.
    pub(crate) fn written(&self, written: u64) {
        let sent: Vec<_> = {
            let mut queue = self.lock();
            let count = queue.unwritten.iter().take_while(|handed| handed.bytes.end <= written).count();
            queue.unwritten.drain(..count).collect()
        };
        // A message may own memory of the application, whose `Drop` runs here, without the lock.
        drop(sent);
    }

    /// The connection is over after so many written bytes: what was not begun waits again, in its order. Returns how many
    /// messages were lost.
    pub(crate) fn connection_lost(&self, written: u64) -> u64 {
        self.written(written);
        let mut dropped = Vec::new();
        let mut queue = self.lock();
        while let Some(handed) = queue.unwritten.pop_back() {
            match handed.copy {
                Some(copy) if handed.bytes.start >= written => queue.waiting.push_front(copy),
                other => dropped.push(other),
            }
        }
        let lost = dropped.len() as u64;
        queue.lost += lost;
        drop(queue);
        lost
    }

    fn next(&self) -> Option<Message<'static>> {
        self.lock().waiting.pop_front()
    }

    fn put_back(&self, message: Message<'static>) {
        self.lock().waiting.push_front(message);
    }

    fn is_empty(&self) -> bool {
        let queue = self.lock();
        queue.waiting.is_empty() && queue.unwritten.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the messages.
impl fmt::Debug for SendQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.lock();
        f.debug_struct("SendQueue")
            .field("waiting", &queue.waiting.len())
            .field("unwritten", &queue.unwritten.len())
            .field("lost", &queue.lost)
            .finish()
    }
}

/// The queue that a connection drains.
#[derive(Debug)]
pub(super) struct Draining {
    queue: Arc<SendQueue>,
    /// Whether the connection's input was looked at. A connection that opened may hold a Close frame already, and what is
    /// handed to it then is lost.
    pub(super) has_looked: bool,
}

impl<S: Stream> Link<S> {
    /// From now on the connection takes messages from `queue`, whichever of its methods receives.
    pub(crate) fn drain(&mut self, queue: &Arc<SendQueue>) {
        self.out.set_draining(Some(Draining { queue: queue.clone(), has_looked: false }));
    }

    /// How many bytes were queued in all, and how many of them were written.
    pub(crate) fn output_counts(&self) -> (u64, u64) {
        (self.out.queued_in_all(), self.out.written_in_all())
    }

    /// When the next of them are due that the stream has room for; a call that waits for input ends its wait then.
    pub(super) fn next_hand_on(&self) -> Option<Duration> {
        let is_due = self.out.is_draining() && self.out.is_empty();
        is_due.then(|| self.now.saturating_add(INPUT_SLICE))
    }

    /// Moves messages that waited for the connection into the output, while that holds little. Returns whether it moved any.
    ///
    /// Call it where all input that was read has been taken.
    #[cold]
    pub(super) fn hand_on(&mut self) -> bool {
        let Some(draining) = self.out.draining() else { return false };
        if !draining.has_looked {
            draining.has_looked = true;
            return false;
        }
        let queue = draining.queue.clone();
        queue.written(self.out.written_in_all());
        let mut has_moved = false;
        let most = HAND_ON_BELOW.min(self.connection.config().max_queued_output);
        while self.connection.state() == State::Open && (self.out.is_empty() || self.out.len() < most) {
            let Some(message) = queue.next() else { break };
            let start = self.out.queued_in_all();
            self.budget.pay_for_handed(message.len());
            match self.encode(Outgoing::Message(&message)) {
                Ok(()) => {
                    queue.add_unwritten(start..self.out.queued_in_all(), Some(message));
                    has_moved = true;
                }
                // A message is being sent in fragments, for instance; this one goes next.
                Err(_) => {
                    queue.put_back(message);
                    break;
                }
            }
        }
        if queue.is_empty() || self.connection.state() != State::Open {
            self.out.set_draining(None);
        }
        has_moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(queue: &SendQueue) -> Vec<alloc::string::String> {
        core::iter::from_fn(|| queue.next()).map(|message| alloc::format!("{message:?}")).collect()
    }

    #[test]
    fn what_was_not_begun_waits_again_and_the_rest_is_sent_or_counted() {
        // Three messages of 10 bytes each are handed on, one waits; then the connection ends after so many bytes.
        for (written, left, lost) in [
            (0, &["1", "2", "3", "4"][..], 0),
            (1, &["2", "3", "4"], 1),
            (9, &["2", "3", "4"], 1),
            (10, &["2", "3", "4"], 0),
            (25, &["4"], 1),
            (30, &["4"], 0),
        ] {
            let queue = SendQueue::new();
            for text in ["1", "2", "3", "4"] {
                assert!(queue.push(text.into(), 4));
            }
            assert!(!queue.push("5".into(), 4));
            for n in 0..3 {
                let message = queue.next().unwrap();
                queue.add_unwritten(n * 10..n * 10 + 10, Some(message));
            }
            assert_eq!(queue.len(), 4);
            assert_eq!(queue.connection_lost(written), lost, "{written}");
            assert_eq!((queue.lost(), queue.len()), (lost, left.len()), "{written}");
            let left: Vec<_> = left.iter().map(|text| alloc::format!("Text({text:?})")).collect();
            assert_eq!(texts(&queue), left, "{written}");
        }
    }

    #[test]
    fn without_a_copy_what_was_not_written_whole_is_lost() {
        let queue = SendQueue::new();
        queue.add_unwritten(0..10, None);
        queue.add_unwritten(10..20, None);
        queue.add_unwritten(20..30, None);
        queue.forget_last();
        queue.written(9);
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.connection_lost(10), 1);
        assert_eq!((queue.len(), queue.lost()), (0, 1));
    }
}
