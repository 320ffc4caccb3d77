//! One call of one side, polled.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};

use super::runtime::{Io, Runtime};
use bytes::Bytes;

use super::Error;
use super::group::Member;
use super::polled::Polled;
use super::waiting::{RECEIVER, Waiting};
use crate::engine::Link;

/// What a call works on.
pub(super) trait Driven<S, R: Runtime> {
    fn link(&mut self) -> &mut Link<Polled<S, R>>;

    /// Looks at what else may end the connection; returns the place in a group that it leaves.
    fn attend(&mut self) -> Option<Box<Member>> {
        None
    }
}

/// What is to be done after a call, without any lock: it wakes and drops what belongs to others. Nearly always nothing.
#[derive(Debug)]
#[must_use]
pub(super) struct Afterwards(Option<Due>);

#[derive(Debug)]
struct Due {
    side: u64,
    others: Option<Arc<Waiting>>,
    left: [Option<Box<Member>>; 2],
    wakers: [Option<Waker>; 2],
    /// What was sent without a copy belongs to the application, whose code may run when it is dropped.
    payloads: Vec<Bytes>,
}

impl Afterwards {
    #[inline]
    pub(super) fn settle(self) {
        if let Some(due) = self.0 {
            due.settle();
        }
    }
}

impl Due {
    #[inline(never)]
    fn settle(self) {
        drop((self.left, self.wakers, self.payloads));
        if let Some(others) = self.others {
            others.wake_all_but(self.side);
        }
    }
}

/// Does `act` for `side` until it need not wait any more; meanwhile the deadlines go on.
pub(super) fn drive<S, R: Io<S>, T: Driven<S, R>, O>(
    on: &mut T,
    side: u64,
    context: &Context<'_>,
    mut act: impl FnMut(&mut T) -> Result<O, Error>,
) -> (Poll<Result<O, Error>>, Afterwards) {
    let link = on.link();
    let before_us = link.stream.begin(side, context.waker());
    let before = link.stream.waiting().map(|_| link.standing());
    let joined = on.attend();
    let result = loop {
        match act(on) {
            Err(Error::WouldBlock) if on.link().budget.take_yield() => {
                // The connection's own waker where halves share it, so that no waker of the user runs under their lock.
                R::wake_after_others(on.link().stream.waker());
                break Poll::Pending;
            }
            Err(Error::WouldBlock) if wait(on).is_pending() => {
                if side == RECEIVER {
                    on.link().budget.refill();
                }
                break Poll::Pending;
            }
            Err(Error::WouldBlock) => {}
            done => break Poll::Ready(done),
        }
    };
    let left = if result.is_ready() { on.attend() } else { None };
    let link = on.link();
    let ours = link.stream.end(side, result.is_ready());
    link.alarm = false;
    // Senders wait for room or for their bytes to leave, the receiver writes what they only queued. They hear of what
    // has changed and not of how things stand, or they would wake each other for ever.
    let moved = before.is_some_and(|before| link.standing() != before);
    let others = if moved { link.stream.waiting().cloned() } else { None };
    let payloads = link.out.take_left();
    if let (None, None, None, None, None, true) =
        (&others, &joined, &left, &before_us, &ours, payloads.is_empty())
    {
        return (result, Afterwards(None));
    }
    let wakers = [before_us, ours];
    (result, Afterwards(Some(Due { side, others, left: [joined, left], wakers, payloads })))
}

/// Ready when a deadline is due, so that what could not go on goes on and finds it.
#[inline]
pub(super) fn wait<S, R: Io<S>>(on: &mut impl Driven<S, R>) -> Poll<()> {
    let link = on.link();
    let come = link.stream.poll_timer(link.connection.poll_timeout());
    if come.is_ready() {
        link.look_at_the_clock();
        link.alarm = true;
    }
    come
}
