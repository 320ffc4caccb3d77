//! The turn that nearly every poll of the receiver comes to: what is queued leaves, and one read brings messages or nothing.
//! It is short, for it is most of what a message costs that comes alone.

use alloc::boxed::Box;
use core::task::{Context, Poll};
use std::io::IoSlice;

use super::runtime::Io;

use super::WebSocket;
use super::below;
use super::drive::wait;
use super::group::Member;
use super::polled::{Polled, ready};
use crate::Delivery;
use crate::engine::{Endpoint, LARGE, Link, Stream};

/// What a turn came to.
pub(super) enum Turn {
    /// Bytes came.
    Read,
    /// Everything has left and nothing came: the stream or the timer wakes the task.
    Idle,
    /// Anything else: the [usual way](Endpoint::find) goes on from there.
    Unusual,
}

impl<S, R: Io<S>> WebSocket<S, R> {
    /// A turn of a connection on which nothing but messages passes, and of which only this task knows.
    #[inline(never)]
    pub(super) fn turn(&mut self, context: &Context<'_>) -> Turn {
        let Endpoint { link, input } = &mut self.endpoint;
        let is_ours = input.is_empty() && link.stream.is_set_for(context.waker());
        let is_to_close = |member: &mut Box<Member>| member.is_closing(link.stream.waker());
        if !is_ours || self.member.as_mut().is_some_and(is_to_close) {
            return Turn::Unusual;
        }
        if !(link.is_quiet() && link.writes_all_at_once()) {
            return Turn::Unusual;
        }
        let mut context = Context::from_waker(context.waker());
        below::forget();
        match R::poll_read(&mut link.stream.io, &mut context, input.room(LARGE)) {
            Poll::Ready(Ok(len)) if len > 0 => {
                link.look_at_the_clock();
                link.bytes_came(len);
                input.filled(len);
                link.stream.set_receiving(false);
                Turn::Read
            }
            Poll::Pending => {
                input.release();
                link.read_below();
                link.budget.refill();
                link.stream.set_receiving(true);
                self.turn_over()
            }
            // The end or an error, which whoever asks next is told.
            Poll::Ready(read) => {
                input.release();
                let _ = link.read_went(ready(Poll::Ready(read)), None);
                Turn::Unusual
            }
        }
    }

    /// Nothing came.
    #[inline]
    fn turn_over(&mut self) -> Turn {
        if self.endpoint.link.stream.awaits_silence() {
            return Turn::Idle;
        }
        if wait(self).is_ready() {
            return Turn::Unusual;
        }
        self.endpoint.link.stream.set_for_silence();
        Turn::Idle
    }
}

impl<S, R: Io<S>> Link<Polled<S, R>> {
    /// Whether nothing but messages comes and goes.
    #[inline]
    fn is_quiet(&mut self) -> bool {
        let takes_messages = self.connection.config().delivery == Delivery::Messages;
        if self.is_mute() || self.alarm || !takes_messages || !self.connection.is_quiet() {
            return false;
        }
        // No deadline of a quiet connection that bytes have just come to is due.
        self.just_read = false;
        true
    }

    /// Writes what is queued; `false` if it does not leave at once, which is told to whoever asks next.
    #[inline(always)]
    fn writes_all_at_once(&mut self) -> bool {
        let Some(piece) = self.out.only_piece() else { return false };
        if !piece.is_empty() {
            let waiting = piece.len();
            match self.stream.write(&[IoSlice::new(piece)], None) {
                Ok(len) if len >= waiting => {
                    self.unflushed = true;
                    self.out.wrote_only_piece(Self::SPARE);
                }
                wrote => {
                    if let Ok(Some(len)) = self.wrote(wrote, waiting, self.now, None) {
                        self.out.wrote(len, Self::SPARE);
                    }
                    return false;
                }
            }
        }
        self.flush_transport(None).is_ok()
    }
}
