//! The ways that nearly every message takes. Whatever is unusual is left to the others.

use core::ops::Range;
use core::time::Duration;

use super::Connection;
use super::send::push_frame;
use crate::config::Delivery;
use crate::frame::{FrameHeader, Opcode};
use crate::message::Kind;
use crate::role::Role;
use crate::sink::Sink;

impl Connection {
    /// Nothing has begun to end, and nothing is due first.
    #[inline(always)]
    fn is_untouched(&self) -> bool {
        self.closing.is_untouched() && self.replies.is_none()
    }

    /// The message at the start of `bytes`, unmasked, if it is there whole in one small frame and nothing is unusual. That
    /// bytes came, the caller says with [`bytes_came`](Self::bytes_came).
    ///
    /// For everything else, right or wrong, it is `None` and nothing has happened:
    /// [`locate_general`](Self::locate_general) judges. Without this path an echo of 20 bytes takes half as many
    /// instructions again.
    #[inline(always)]
    pub(crate) fn whole_message(&self, bytes: &mut [u8]) -> Option<(Kind, Range<usize>)> {
        if !self.is_untouched() || self.config.delivery != Delivery::Messages {
            return None;
        }
        self.decoder.decode_whole(bytes, self.most_in_a_frame())
    }

    /// Any byte of the peer is a sign of life.
    #[inline]
    pub(crate) fn bytes_came(&mut self, now: Duration) {
        self.deadlines.alive(now);
    }

    /// Whether [`whole_message`](Self::whole_message) lacks nothing but the end of the message.
    #[cfg(feature = "tokio")]
    pub(crate) fn lacks_the_end(&self, bytes: &[u8]) -> bool {
        self.is_untouched()
            && self.config.delivery == Delivery::Messages
            && self.decoder.lacks_the_end(bytes, self.most_in_a_frame())
    }

    #[inline(always)]
    fn most_in_a_frame(&self) -> usize {
        self.config.max_frame_size.min(self.config.max_message_size)
    }

    /// Sends a message of fewer than 64 KiB from a server; `false` if nothing was done.
    #[inline(always)]
    pub(crate) fn send_fast(&mut self, kind: Kind, payload: &[u8], out: &mut impl Sink) -> bool {
        if !self.is_untouched() || self.role != Role::Server || self.outgoing.is_some() {
            return false;
        }
        #[cfg(feature = "deflate")]
        if self.compresses {
            return false;
        }
        let header = FrameHeader::new(Opcode::from(kind), payload.len() as u64);
        push_frame(&header, payload, out).is_ok()
    }
}
