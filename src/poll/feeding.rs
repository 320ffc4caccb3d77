//! The future of [`WebSocket::feed`](super::WebSocket::feed), by hand for the same reason as that of receiving.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::runtime::{Io, Runtime};

use super::polled::Polled;
use super::{Error, Sender};
use crate::Message;
use crate::engine::Link;

#[must_use = "futures do nothing unless awaited"]
pub(super) struct Feeding<'s, 'm, S, R: Runtime, M> {
    link: &'s mut Link<Polled<S, R>>,
    given: Option<M>,
    /// Not to be taken at once.
    waiting: Option<Message<'m>>,
}

impl<'s, S, R: Runtime, M> Feeding<'s, '_, S, R, M> {
    pub(super) const fn new(link: &'s mut Link<Polled<S, R>>, message: M) -> Self {
        Self { link, given: Some(message), waiting: None }
    }
}

/// Nothing in it is pinned.
impl<S, R: Runtime, M> Unpin for Feeding<'_, '_, S, R, M> {}

impl<'m, S, R: Io<S>, M: Into<Message<'m>>> Future for Feeding<'_, 'm, S, R, M> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(message) = self.given.take() {
            let message = message.into();
            if self.link.feed_at_once(message.kind(), message.as_bytes()) {
                return Poll::Ready(Ok(()));
            }
            self.waiting = Some(message);
        }
        self.poll_slowly(context)
    }
}

impl<S, R: Io<S>, M> Feeding<'_, '_, S, R, M> {
    #[inline(never)]
    fn poll_slowly(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        let Some(message) = &self.waiting else { return Poll::Pending };
        let fed = Sender { link: self.link }.poll_with(context, |link| link.feed(message));
        if fed.is_ready() {
            self.waiting = None;
        }
        fed
    }
}
