//! One call of one side, polled: to its end or until it has to wait, while the deadlines go on.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::Error;
use super::group::Member;
use super::polled::Polled;
use super::runtime::{Io, Runtime};
use super::waiting::{Audience, RECEIVER, Waiting};
use crate::engine::Link;

/// The connection, or a part of it, that a call drives.
pub(super) trait Driven<S, R: Runtime> {
    fn link(&mut self) -> &mut Link<Polled<S, R>>;

    /// Begins to close if a group is shut down; returns the membership once the connection has ended.
    fn check_shutdown(&mut self) -> Option<Box<Member>> {
        None
    }
}

impl<S, R: Runtime> Driven<S, R> for Link<Polled<S, R>> {
    fn link(&mut self) -> &mut Self {
        self
    }
}

/// The work that remains after a call, without any lock: it wakes and drops what belongs to others. Nearly always nothing.
#[must_use]
pub(super) struct PostPoll(Option<Remains>);

struct Remains {
    side: u64,
    others: Option<(Arc<Waiting>, Audience)>,
    _members: [Option<Box<Member>>; 2],
    _waker: Option<Waker>,
    /// Payloads that were sent without a copy belong to the application, whose code may run when they are dropped.
    _payloads: Vec<Bytes>,
}

impl PostPoll {
    #[inline]
    pub(super) fn run(self) {
        if let Some(Remains { side, others: Some((others, audience)), .. }) = &self.0 {
            others.wake_others(*side, *audience);
        }
    }
}

/// Does `act` for `side` until it need not wait any more.
pub(super) fn drive<S, R: Io<S>, D: Driven<S, R>, T>(
    on: &mut D,
    side: u64,
    context: &Context<'_>,
    mut act: impl FnMut(&mut D) -> Result<T, Error>,
) -> (Poll<Result<T, Error>>, PostPoll) {
    let link = on.link();
    let old_waker = link.stream.begin(side, context.waker());
    let before = link.stream.waiting().map(|_| link.snapshot());
    let left_at_first = on.check_shutdown();
    let result = loop {
        match act(on) {
            Err(Error::WouldBlock) => {
                let link = on.link();
                if link.budget.take_yield() {
                    // The connection's own waker where halves share it, so that no waker of the user runs under their lock.
                    R::wake_after_others(link.stream.waker());
                    break Poll::Pending;
                }
                if link.poll_deadline().is_pending() {
                    if side == RECEIVER {
                        link.budget.refill();
                    }
                    break Poll::Pending;
                }
            }
            done => break Poll::Ready(done),
        }
    };
    let left_at_last = if result.is_ready() { on.check_shutdown() } else { None };
    let link = on.link();
    link.stream.end(side, result.is_ready(), context.waker());
    link.timer_fired = false;
    // Senders wait for room or for their bytes to leave, the receiver writes what they only queued. They are woken by
    // changes, not by a state, or they would wake each other for ever.
    let audience = before.and_then(|before| Audience::of(before, link.snapshot()));
    let others = audience.and_then(|audience| Some((link.stream.waiting()?.clone(), audience)));
    let payloads = link.out.take_sent();
    let remains = match (others, left_at_first, left_at_last, old_waker) {
        (None, None, None, None) if payloads.is_empty() => None,
        (others, left_at_first, left_at_last, old_waker) => Some(Remains {
            side,
            others,
            _members: [left_at_first, left_at_last],
            _waker: old_waker,
            _payloads: payloads,
        }),
    };
    (result, PostPoll(remains))
}

impl<S, R: Io<S>> Link<Polled<S, R>> {
    /// Ready when a deadline is due, so that a blocked call is tried again and finds it.
    #[inline]
    pub(super) fn poll_deadline(&mut self) -> Poll<()> {
        let fired = self.stream.poll_timer(self.connection.poll_timeout());
        if fired.is_ready() {
            self.read_clock();
            self.timer_fired = true;
        }
        fired
    }
}
