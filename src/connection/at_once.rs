//! The ways that nearly every message takes. Whatever is unusual is left to the others.

use core::ops::Range;
use core::time::Duration;

use super::Connection;
use crate::config::Delivery;
use crate::frame::Opcode;
use crate::message::Kind;
use crate::role::Role;
use crate::sink::Sink;

impl Connection {
    /// Nothing has begun to end, and nothing is due first.
    #[inline(always)]
    fn is_untouched(&self) -> bool {
        self.closing.is_untouched() && self.replies.is_none()
    }

    /// The message at the start of `bytes`, unmasked, if it is there whole in one small frame and nothing is unusual.
    #[inline(always)]
    pub(super) fn whole_message(&mut self, now: Duration, bytes: &mut [u8]) -> Option<(Kind, Range<usize>)> {
        let whole = self.whole_message_again(bytes)?;
        self.bytes_came(now);
        Some(whole)
    }

    /// [`whole_message`](Self::whole_message) in bytes of which [`bytes_came`](Self::bytes_came) has told.
    #[inline(always)]
    pub(crate) fn whole_message_again(&self, bytes: &mut [u8]) -> Option<(Kind, Range<usize>)> {
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
    pub(crate) fn send_at_once(&mut self, kind: Kind, payload: &[u8], out: &mut impl Sink) -> bool {
        if !self.is_untouched() || self.role != Role::Server || self.outgoing.is_some() {
            return false;
        }
        #[cfg(feature = "deflate")]
        if self.compresses {
            return false;
        }
        let first = 0x80 | Opcode::from(kind).bits();
        match payload.len() {
            len @ 0..=125 if out.room() >= 2 + len => out.push(&[first, len as u8]),
            len @ 126..=0xFFFF if out.room() >= 4 + len => {
                let [high, low] = (len as u16).to_be_bytes();
                out.reserve(4 + len);
                out.push(&[first, 126, high, low]);
            }
            _ => return false,
        }
        out.push(payload);
        true
    }
}
