//! The fast paths of receiving and feeding, for connections on which nothing unusual happens.
//!
//! A message that arrives alone costs 2,030 instructions with them and 3,130 without, echoed over an in-memory stream. The
//! futures are written by hand: what an `async fn` returns is moved several times, which costs more than decoding a small
//! message does.

use alloc::boxed::Box;
use core::future::{Future, poll_fn};
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::group::Member;
use super::polled::{Polled, ready};
use super::runtime::{Io, Runtime};
use super::sender::Route;
use super::waiting::{Audience, RECEIVER};
use super::{Error, Sender, WebSocket};
use crate::engine::{Endpoint, LARGE, Link, Outgoing};
use crate::{Delivery, Event, Message};

/// The result of a fast poll.
pub(super) enum FastPoll {
    /// Bytes came.
    Read,
    /// Everything has left and nothing came: the stream or the timer wakes the task.
    Pending,
    /// Anything else: go on with the [general path](Endpoint::find).
    Unusual,
}

impl<S, R: Io<S>> WebSocket<S, R> {
    /// Writes what is queued and reads once.
    #[inline]
    pub(super) fn poll_fast(&mut self, context: &Context<'_>) -> FastPoll {
        let stream = &self.endpoint.link.stream;
        if stream.is_set_for(context.waker()) {
            return self.poll_once();
        }
        if stream.waiting().is_none() {
            return FastPoll::Unusual;
        }
        let before = self.endpoint.link.snapshot();
        let fast = self.poll_fast_shared(context);
        let link = &self.endpoint.link;
        if let (Some(waiting), Some(audience)) =
            (link.stream.waiting(), Audience::of(before, link.snapshot()))
        {
            waiting.wake_others(RECEIVER, audience);
        }
        fast
    }

    /// Reads once if nothing is to be written, on a connection that other tasks wait for too.
    pub(super) fn poll_fast_shared(&mut self, context: &Context<'_>) -> FastPoll {
        let link = &mut self.endpoint.link;
        if link.has_to_flush() {
            return FastPoll::Unusual;
        }
        drop(link.stream.begin(RECEIVER, context.waker()));
        let fast = self.poll_once();
        let is_pending = matches!(fast, FastPoll::Pending);
        self.endpoint.link.stream.end(RECEIVER, !is_pending, context.waker());
        fast
    }

    /// Writes what is queued and reads once, with the stream's own waker.
    #[inline(never)]
    fn poll_once(&mut self) -> FastPoll {
        let Endpoint { link, input, .. } = &mut self.endpoint;
        let is_closing = |member: &mut Box<Member>| member.is_closing(link.stream.waker());
        if !input.is_empty() || self.member.as_mut().is_some_and(is_closing) {
            return FastPoll::Unusual;
        }
        if !link.is_quiet() {
            return FastPoll::Unusual;
        }
        // No deadline of a quiet connection that bytes have just come to is due.
        link.just_read = false;
        if !link.writes_all() {
            return FastPoll::Unusual;
        }
        match link.stream.poll_read(input.room(LARGE)) {
            Poll::Ready(Ok(len)) if len > 0 => {
                link.read_clock();
                link.bytes_came(len);
                input.filled(len);
                link.stream.set_receiving(false);
                FastPoll::Read
            }
            Poll::Pending => {
                input.release();
                link.note_read_progress();
                link.budget.refill();
                link.stream.set_receiving(true);
                if link.stream.awaits_silence() {
                    return FastPoll::Pending;
                }
                if link.poll_deadline().is_ready() {
                    return FastPoll::Unusual;
                }
                link.stream.set_for_silence();
                FastPoll::Pending
            }
            // The end of the stream or an error, which the general path returns.
            Poll::Ready(read) => {
                input.release();
                let _ = link.check_read(ready(Poll::Ready(read)), None);
                FastPoll::Unusual
            }
        }
    }
}

impl<S, R: Io<S>> Link<Polled<S, R>> {
    /// Whether nothing but messages comes and goes.
    #[inline]
    fn is_quiet(&self) -> bool {
        let takes_messages = self.connection.config().delivery == Delivery::Messages;
        !self.output_failed && !self.timer_fired && takes_messages && self.connection.is_quiet()
    }
}

/// The future of [`WebSocket::recv_ref`].
#[must_use = "futures do nothing unless awaited"]
pub(super) enum RecvRef<'a, S, R: Runtime> {
    Waiting(&'a mut WebSocket<S, R>),
    /// A text was not UTF-8: the connection is brought to its end.
    Failed(&'a mut Link<Polled<S, R>>, &'a mut Option<Box<Member>>),
    Done,
}

type Received<'a, S, R> = Option<(Message<'a>, Sender<'a, S, R>)>;

impl<'a, S, R: Io<S>> Future for RecvRef<'a, S, R> {
    type Output = Result<Received<'a, S, R>, Error>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        while let Self::Waiting(ws) = &mut *self {
            if let Some((kind, payload)) = ws.endpoint.find_buffered() {
                let Self::Waiting(ws) = mem::replace(&mut *self, Self::Done) else { return Poll::Pending };
                let WebSocket { endpoint: Endpoint { link, input, .. }, member, .. } = ws;
                match link.message(kind, input.lent().get(payload).unwrap_or_default()) {
                    Some(message) => return Poll::Ready(Ok(Some((message, Sender { link })))),
                    None => *self = Self::Failed(link, member),
                }
                break;
            }
            match ws.poll_fast(context) {
                FastPoll::Read => {}
                FastPoll::Pending => return Poll::Pending,
                FastPoll::Unusual => break,
            }
        }
        // Taken apart and put together, so that the usual way above needs no place in memory.
        match self.poll_general(context) {
            Poll::Ready(Ok(Some((message, sender)))) => Poll::Ready(Ok(Some((message, sender)))),
            Poll::Ready(Ok(None)) => Poll::Ready(Ok(None)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<'a, S, R: Io<S>> RecvRef<'a, S, R> {
    #[inline(never)]
    fn poll_general(&mut self, context: &Context<'_>) -> Poll<Result<Received<'a, S, R>, Error>> {
        if let Self::Waiting(ws) = self {
            let Poll::Ready(found) = ws.poll_with(RECEIVER, context, |endpoint| endpoint.find_message(None))
            else {
                return Poll::Pending;
            };
            let Self::Waiting(ws) = mem::replace(self, Self::Done) else { return Poll::Pending };
            let Some(found) = found? else { return Poll::Ready(Ok(None)) };
            let WebSocket { endpoint: Endpoint { link, input, .. }, member, .. } = ws;
            match link.connection.lend(link.now, found, input.lent(), link.out.sink()) {
                Ok(Event::Message(message)) => return Poll::Ready(Ok(Some((message, Sender { link })))),
                _ => *self = Self::Failed(link, member),
            }
        }
        let Self::Failed(link, member) = self else { return Poll::Pending };
        poll_finish(link, member, context).map_ok(|()| None)
    }
}

/// Brings a connection that has failed to its end.
pub(super) fn poll_finish<S, R: Io<S>>(
    link: &mut Link<Polled<S, R>>,
    member: &mut Option<Box<Member>>,
    context: &Context<'_>,
) -> Poll<Result<(), Error>> {
    let ended = Route::Link(link).poll(context, |link, _| link.finish(None));
    if ended.is_ready() {
        *member = None;
    }
    ended
}

/// The future of [`WebSocket::feed`].
#[inline]
pub(super) fn feed<'m, S, R: Io<S>>(
    link: &mut Link<Polled<S, R>>,
    message: impl Into<Message<'m>>,
) -> impl Future<Output = Result<(), Error>> {
    let (mut given, mut blocked) = (Some(message), None);
    poll_fn(move |context| {
        if let Some(message) = given.take() {
            let message = message.into();
            if link.feed_fast(Outgoing::Message(&message)) {
                return Poll::Ready(Ok(()));
            }
            blocked = Some(message);
        }
        let Some(message) = &blocked else { return Poll::Pending };
        Route::Link(link).poll_queue(context, |link| link.feed_any(Outgoing::Message(message)))
    })
}
