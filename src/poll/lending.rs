//! The future of [`WebSocket::recv_ref`], by hand: what an `async fn` returns is moved several times, which costs more than
//! decoding a small message does.

use alloc::boxed::Box;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::runtime::{Io, Runtime};

use super::group::Member;
use super::turn::Turn;
use super::waiting::RECEIVER;
use super::{Error, Sender, WebSocket};
use crate::engine::Endpoint;
use crate::{Event, Message};

type Lent<'a, S, R> = Option<(Message<'a>, Sender<'a, S, R>)>;

#[must_use = "futures do nothing unless awaited"]
pub(super) enum Lending<'a, S, R: Runtime> {
    Waiting(&'a mut WebSocket<S, R>),
    /// What lay in the input was no text.
    Failed(Sender<'a, S, R>, &'a mut Option<Box<Member>>),
    Done,
}

impl<'a, S, R: Io<S>> Future for Lending<'a, S, R> {
    type Output = Result<Lent<'a, S, R>, Error>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        while let Self::Waiting(ws) = &mut *self {
            if let Some((kind, payload)) = ws.endpoint.find_at_hand() {
                let Self::Waiting(ws) = mem::replace(&mut *self, Self::Done) else { return Poll::Pending };
                let WebSocket { endpoint: Endpoint { link, input }, member, .. } = ws;
                match link.message(kind, input.lent().get(payload).unwrap_or_default()) {
                    Some(message) => return Poll::Ready(Ok(Some((message, Sender { link })))),
                    None => *self = Self::Failed(Sender { link }, member),
                }
                break;
            }
            match ws.turn(context) {
                Turn::Read => {}
                Turn::Idle => return Poll::Pending,
                Turn::Unusual => break,
            }
        }
        // Taken apart and put together, so that the usual way above needs no place in memory.
        match self.poll_slowly(context) {
            Poll::Ready(Ok(Some((message, sender)))) => Poll::Ready(Ok(Some((message, sender)))),
            Poll::Ready(Ok(None)) => Poll::Ready(Ok(None)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<'a, S, R: Io<S>> Lending<'a, S, R> {
    #[inline(never)]
    fn poll_slowly(&mut self, context: &Context<'_>) -> Poll<Result<Lent<'a, S, R>, Error>> {
        if let Self::Waiting(ws) = self {
            let Poll::Ready(found) = ws.poll_with(RECEIVER, context, |endpoint| endpoint.find_message(None))
            else {
                return Poll::Pending;
            };
            let Self::Waiting(ws) = mem::replace(self, Self::Done) else { return Poll::Pending };
            let Some(found) = found? else { return Poll::Ready(Ok(None)) };
            let WebSocket { endpoint: Endpoint { link, input }, member, .. } = ws;
            match link.connection.lend(link.now, found, input.lent(), link.out.sink()) {
                Ok(Event::Message(message)) => {
                    return Poll::Ready(Ok(Some((message, Sender { link }))));
                }
                _ => *self = Self::Failed(Sender { link }, member),
            }
        }
        let Self::Failed(sender, member) = self else { return Poll::Pending };
        let ended = sender.poll_with(context, |link| link.finish(None));
        if ended.is_ready() {
            **member = None;
            *self = Self::Done;
        }
        ended.map(|ended| ended.map(|()| None))
    }
}
