//! Encoded bytes that have not been written yet.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

#[cfg(feature = "rand")]
use super::send_queue::Draining;
use crate::Sink;
use crate::memory::{grow_queue, is_too_large, new_queue, recycle_queue, shrink_queue};
use crate::redacted::Redacted;

/// The room for a message of unknown length.
const MORE: usize = 1024;
/// The longest header of a frame, with a mask.
const MAX_HEADER_LEN: usize = 14;

/// How many pieces one write takes.
pub(crate) const PIECES: usize = 64;

/// The queue between the encoders and the stream. It holds memory only while something is queued.
#[derive(Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// How many bytes have left since the beginning.
    written_in_all: u64,
    /// State that most connections do not need.
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    /// Large payloads that are shared with their owners instead of copied. Each stands before the byte with this number in
    /// `bytes`.
    payloads: VecDeque<(usize, Bytes)>,
    /// How many bytes they have in all.
    len: usize,
    #[cfg(feature = "rand")]
    draining: Option<Draining>,
    /// Payloads that have left and are not dropped yet, if the output is used under a lock: their owners' code runs then.
    sent: Option<Vec<Bytes>>,
    /// There while a call of the only owner is blocked.
    own_bounds: Option<OwnBounds>,
    /// How many bytes of replies to the peer were queued meanwhile.
    replies: u64,
}

/// Up to which byte the only owner waits.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "tokio"), allow(dead_code))]
pub(super) struct OwnBounds {
    /// Of a flush. It begins anew once the owner has queued something.
    pub(super) flush: u64,
    /// Of a call that waits for room.
    pub(super) room: u64,
    /// How many bytes the owner had queued then.
    pub(super) queued: u64,
}

impl Output {
    /// How many bytes wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written + self.rare.as_ref().map_or(0, |rare| rare.len)
    }

    /// How many bytes have left since the beginning.
    #[cfg(any(feature = "tokio", feature = "rand"))]
    pub(crate) const fn written_in_all(&self) -> u64 {
        self.written_in_all
    }

    /// How many bytes have left or wait.
    #[cfg(any(feature = "tokio", feature = "rand"))]
    pub(crate) fn queued_in_all(&self) -> u64 {
        self.written_in_all + self.len() as u64
    }

    /// How many bytes were queued, without the replies to the peer while a call of the owner is blocked.
    #[cfg(feature = "tokio")]
    pub(super) fn queued_by_owner(&self) -> u64 {
        self.queued_in_all() - self.rare.as_ref().map_or(0, |rare| rare.replies)
    }

    #[cfg(feature = "tokio")]
    #[inline]
    pub(super) fn own_bounds(&self) -> Option<OwnBounds> {
        self.rare.as_ref()?.own_bounds
    }

    #[cfg(feature = "tokio")]
    pub(super) fn set_own_bounds(&mut self, bounds: Option<OwnBounds>) {
        let rare = self.rare.get_or_insert_default();
        if bounds.is_none() {
            rare.replies = 0;
        }
        rare.own_bounds = bounds;
        self.drop_rare();
    }

    /// From now on payloads that have left are kept for [`take_sent`](Self::take_sent), or no longer.
    #[cfg(feature = "tokio")]
    pub(crate) fn keep_sent(&mut self, keep: bool) {
        self.rare.get_or_insert_default().sent = keep.then(Vec::new);
        self.drop_rare();
    }

    /// The payloads that have left, to be dropped without any lock.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn take_sent(&mut self) -> Vec<Bytes> {
        let sent = self.rare.as_mut().and_then(|rare| rare.sent.as_mut());
        sent.map(mem::take).unwrap_or_default()
    }

    /// An idle connection holds no memory.
    fn drop_rare(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_unused()) {
            self.rare = None;
        }
    }

    fn payloads(&self) -> impl Iterator<Item = &(usize, Bytes)> {
        self.rare.iter().flat_map(|rare| &rare.payloads)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where to append.
    #[inline]
    pub(crate) fn sink(&mut self) -> &mut Vec<u8> {
        // A queue that never runs empty must not keep what has left. Each byte moves once on average at the most.
        if self.written > self.bytes.len() / 2 {
            self.drain_written();
        }
        &mut self.bytes
    }

    #[cold]
    fn drain_written(&mut self) {
        self.bytes.drain(..self.written);
        for (at, _) in self.rare.iter_mut().flat_map(|rare| &mut rare.payloads) {
            *at -= self.written;
        }
        self.written = 0;
    }

    /// Where to append what is certain to come.
    #[inline(always)]
    pub(crate) fn sink_for_more(&mut self) -> &mut Vec<u8> {
        self.sink_for(MORE)
    }

    /// Where to append a frame with so many bytes of payload.
    #[inline(always)]
    pub(crate) fn sink_for(&mut self, payload: usize) -> &mut Vec<u8> {
        let needed = payload + MAX_HEADER_LEN;
        if self.bytes.capacity() - self.bytes.len() < needed {
            grow_queue(&mut self.bytes, needed);
        }
        self.sink()
    }

    /// Appends bytes without copying them.
    pub(crate) fn share(&mut self, bytes: Bytes) {
        let at = self.bytes.len();
        let rare = self.rare.get_or_insert_default();
        rare.len += bytes.len();
        rare.payloads.push_back((at, bytes));
    }

    /// Where replies go that nobody asked this side for: as far as less than `limit` waits, or nothing.
    pub(crate) fn replies(&mut self, limit: usize) -> Replies<'_> {
        let waiting = self.len();
        let room = if waiting == 0 { usize::MAX } else { limit.saturating_sub(waiting) };
        self.sink();
        let counter = self.rare.as_mut().filter(|rare| rare.own_bounds.is_some());
        Replies { bytes: &mut self.bytes, room, counter: counter.map(|rare| &mut rare.replies) }
    }

    /// Returns the queued output if it is one piece.
    #[inline]
    pub(crate) fn only_piece(&self) -> Option<&[u8]> {
        let is_one = self.rare.as_ref().is_none_or(|rare| rare.payloads.is_empty());
        is_one.then(|| &self.bytes[self.written..])
    }

    /// [`only_piece`](Self::only_piece), for the fast path: `None` too while messages wait to be moved here.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(super) fn only_piece_of_all(&self) -> Option<&[u8]> {
        let is_one = self.rare.as_ref().is_none_or(|rare| rare.payloads.is_empty() && !rare.is_draining());
        is_one.then(|| &self.bytes[self.written..])
    }

    /// The first pieces of what waits, in order; returns how many there are, none of them empty.
    pub(crate) fn pieces<'a>(&'a self, pieces: &mut [IoSlice<'a>; PIECES]) -> usize {
        let (mut at, mut count) = (self.written, 0);
        let payloads = self.payloads().map(|(before, payload)| (*before, &payload[..]));
        let ends = payloads.chain([(self.bytes.len(), &[][..])]);
        for (before, payload) in ends {
            for piece in [&self.bytes[at..before], payload] {
                if let (false, Some(place)) = (piece.is_empty(), pieces.get_mut(count)) {
                    *place = IoSlice::new(piece);
                    count += 1;
                }
            }
            at = before;
            if count == PIECES {
                break;
            }
        }
        count
    }

    /// All that waits, in one piece.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let (mut all, mut at) = (Vec::with_capacity(self.len()), self.written);
        for (before, payload) in self.payloads() {
            all.extend_from_slice(&self.bytes[at..*before]);
            all.extend_from_slice(payload);
            at = *before;
        }
        all.extend_from_slice(&self.bytes[at..]);
        all
    }

    /// All of the [only piece](Self::only_piece) has left.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn wrote_only_piece(&mut self, spare: usize) {
        self.written_in_all += (self.bytes.len() - self.written) as u64;
        self.written = 0;
        recycle_queue(mem::take(&mut self.bytes), spare);
    }

    /// `len` bytes have left. The thread keeps a queue of `spare` bytes at the most.
    pub(crate) fn wrote(&mut self, len: usize, spare: usize) {
        self.written_in_all += len as u64;
        match &mut self.rare {
            None => self.written += len,
            Some(rare) => {
                rare.wrote(&mut self.written, len);
                self.drop_rare();
            }
        }
        if self.written >= self.bytes.len() && self.is_empty() {
            // An idle connection holds no buffer, and what grew for a large message is given back.
            self.clear(spare);
        }
    }

    /// Gives back memory that the queued output does not need.
    pub(crate) fn settle(&mut self, spare: usize) {
        if is_too_large(&self.bytes, self.written) {
            self.drain_written();
            shrink_queue(&mut self.bytes, spare);
        }
    }

    /// Takes all that is queued out, payloads of the bytes included.
    pub(crate) fn take(&mut self) -> Self {
        let mut taken = Self { bytes: mem::take(&mut self.bytes), written: self.written, ..Self::default() };
        self.written = 0;
        if let Some(rare) = &mut self.rare {
            let (payloads, len) = (mem::take(&mut rare.payloads), mem::take(&mut rare.len));
            taken.rare = Some(Box::new(Rare { payloads, len, ..Rare::default() }));
        }
        taken
    }

    /// Appends what was taken out.
    pub(crate) fn append(&mut self, taken: Self) {
        let mut at = taken.written;
        for (before, payload) in taken.rare.into_iter().flat_map(|rare| rare.payloads) {
            self.sink().extend_from_slice(&taken.bytes[at..before]);
            self.share(payload);
            at = before;
        }
        self.sink().extend_from_slice(&taken.bytes[at..]);
    }

    pub(crate) fn clear(&mut self, spare: usize) {
        self.written = 0;
        if self.rare.is_some() {
            self.clear_payloads();
        }
        recycle_queue(mem::take(&mut self.bytes), spare);
    }

    #[cold]
    fn clear_payloads(&mut self) {
        let Some(rare) = &mut self.rare else { return };
        rare.len = 0;
        let payloads = mem::take(&mut rare.payloads);
        if let Some(sent) = &mut rare.sent {
            sent.extend(payloads.into_iter().map(|(_, payload)| payload));
        }
        self.drop_rare();
    }

    /// Whether messages that waited for the connection are still to be handed on.
    #[cfg(feature = "rand")]
    #[inline]
    pub(super) fn is_draining(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.is_draining())
    }

    #[cfg(feature = "rand")]
    pub(super) fn draining(&mut self) -> Option<&mut Draining> {
        self.rare.as_mut()?.draining.as_mut()
    }

    #[cfg(feature = "rand")]
    pub(super) fn set_draining(&mut self, draining: Option<Draining>) {
        self.rare.get_or_insert_default().draining = draining;
        self.drop_rare();
    }
}

impl Rare {
    fn is_unused(&self) -> bool {
        let is_used = !self.payloads.is_empty() || self.sent.is_some() || self.own_bounds.is_some();
        !is_used && !self.is_draining()
    }

    #[cfg(feature = "rand")]
    const fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    #[cfg(not(feature = "rand"))]
    const fn is_draining(&self) -> bool {
        false
    }

    fn wrote(&mut self, written: &mut usize, mut len: usize) {
        while let Some((before, payload)) = self.payloads.front_mut() {
            let bytes = len.min(*before - *written);
            *written += bytes;
            let part = payload.len().min(len - bytes);
            payload.advance(part);
            self.len -= part;
            len -= bytes + part;
            if !payload.is_empty() {
                return;
            }
            if let (Some((_, payload)), Some(sent)) = (self.payloads.pop_front(), &mut self.sent) {
                sent.push(payload);
            }
        }
        *written += len;
    }
}

/// The output with bounded room, so that pings of a peer that reads no pongs cannot fill it.
pub(crate) struct Replies<'a> {
    bytes: &'a mut Vec<u8>,
    room: usize,
    counter: Option<&'a mut u64>,
}

impl Sink for Replies<'_> {
    #[inline]
    fn room(&self) -> usize {
        self.room
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.room = self.room.saturating_sub(bytes.len());
        if let Some(counter) = &mut self.counter {
            **counter += bytes.len() as u64;
        }
        self.begin();
        Sink::push(self.bytes, bytes);
    }

    #[inline]
    fn last_mut(&mut self, len: usize) -> &mut [u8] {
        self.bytes.last_mut(len)
    }

    #[inline]
    fn reserve(&mut self, additional: usize) {
        self.begin();
        Sink::reserve(self.bytes, additional);
    }
}

impl Replies<'_> {
    /// A queue of the thread's is at hand for what is nearly always small.
    #[inline]
    fn begin(&mut self) {
        if self.bytes.capacity() == 0 {
            *self.bytes = new_queue();
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("waiting", &Redacted::len(self.len()))
            .field("written_in_all", &self.written_in_all)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Replies<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").field("room", &self.room).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queues pieces of both sorts while others leave, `step` bytes at a time.
    #[test]
    fn what_is_shared_and_what_is_copied_leaves_in_order_whatever_is_taken() {
        for step in 1..40 {
            let (mut out, mut expected, mut left) = (Output::default(), Vec::new(), Vec::new());
            for turn in 0..60u8 {
                let piece = alloc::vec![turn; usize::from(turn % 7) + 1];
                expected.extend_from_slice(&piece);
                if turn % 3 == 0 {
                    out.share(piece.into())
                } else {
                    out.sink().extend_from_slice(&piece)
                }
                if turn % 2 == 1 {
                    take(&mut out, step, &mut left);
                }
                assert_eq!([&left[..], &out.to_vec()].concat(), expected);
                assert_eq!(out.len(), expected.len() - left.len());
            }
            while !out.is_empty() {
                take(&mut out, step, &mut left);
            }
            assert_eq!(left, expected, "{step} at a time");
            assert_eq!((out.bytes.capacity(), out.rare.is_none()), (0, true), "nothing is held");
        }
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn nothing_is_held_when_the_fast_path_writes_what_was_behind_a_shared_payload() {
        let mut out = Output::default();
        out.share(Bytes::from_static(b"shared"));
        out.sink().extend_from_slice(b"copied");
        out.wrote(8, 512 << 10);
        assert_eq!(out.only_piece_of_all(), Some(&b"pied"[..]));
        out.wrote_only_piece(512 << 10);
        assert_eq!((out.written_in_all(), out.len(), out.rare.is_none()), (12, 0, true));
    }

    fn take(out: &mut Output, most: usize, left: &mut Vec<u8>) {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let count = out.pieces(&mut pieces);
        assert!(pieces[..count].iter().all(|piece| !piece.is_empty()) && (count > 0) != out.is_empty());
        let all = pieces[..count].iter().flat_map(|piece| piece.iter().copied()).collect::<Vec<_>>();
        let len = most.min(all.len());
        left.extend_from_slice(&all[..len]);
        out.wrote(len, 512 << 10);
    }
}
