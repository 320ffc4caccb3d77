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

/// The queue between the encoders and the stream. It holds memory only while something waits.
#[derive(Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// Large payloads that are shared with their owners instead of copied, and what else is rare.
    shared: Option<Box<Shared>>,
    /// How many bytes have left since the beginning.
    written_in_all: u64,
    /// How many bytes of replies to the peer were queued since the beginning.
    replies_in_all: u64,
    /// Where payloads wait to be dropped that have left, if this is used under a lock: their owners' code runs then.
    left: Option<Box<Left>>,
}

/// In a box, because most connections have none.
#[derive(Default)]
struct Left(Vec<Bytes>);

#[derive(Default)]
struct Shared {
    /// Each stands before the byte with this number in `bytes`.
    payloads: VecDeque<(usize, Bytes)>,
    /// How many bytes they have in all.
    len: usize,
    /// Here, as a field of its own would cost every connection its size.
    #[cfg(feature = "rand")]
    draining: Option<Draining>,
}

impl Output {
    /// How many bytes wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written + self.shared.as_ref().map_or(0, |shared| shared.len)
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

    /// How many bytes the owner has queued, all but the replies.
    #[cfg(feature = "tokio")]
    pub(crate) fn queued_by_owner(&self) -> u64 {
        self.queued_in_all().wrapping_sub(self.replies_in_all)
    }

    /// From now on payloads that have left wait for [`take_left`](Self::take_left), or no longer.
    #[cfg(feature = "tokio")]
    pub(crate) fn keep_left(&mut self, keep: bool) {
        self.left = keep.then(Box::default);
    }

    /// The payloads that have left, to be dropped without any lock.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn take_left(&mut self) -> Vec<Bytes> {
        self.left.as_mut().map(|left| mem::take(&mut left.0)).unwrap_or_default()
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
        for (at, _) in self.shared.iter_mut().flat_map(|shared| &mut shared.payloads) {
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
        let shared = self.shared.get_or_insert_default();
        shared.len += bytes.len();
        shared.payloads.push_back((at, bytes));
    }

    /// Where replies go that nobody asked this side for: as far as less than `limit` waits, or nothing.
    pub(crate) fn replies(&mut self, limit: usize) -> Replies<'_> {
        let waiting = self.len();
        let room = if waiting == 0 { usize::MAX } else { limit.saturating_sub(waiting) };
        self.sink();
        Replies { bytes: &mut self.bytes, room, in_all: &mut self.replies_in_all }
    }

    /// What waits, if that is one piece.
    #[inline]
    pub(crate) fn only_piece(&self) -> Option<&[u8]> {
        self.shared.is_none().then(|| &self.bytes[self.written..])
    }

    /// The first pieces of what waits, in order; returns how many there are, none of them empty.
    pub(crate) fn pieces<'a>(&'a self, pieces: &mut [IoSlice<'a>; PIECES]) -> usize {
        let (mut at, mut count) = (self.written, 0);
        let payloads = self.shared.iter().flat_map(|shared| &shared.payloads);
        let ends =
            payloads.map(|(before, payload)| (*before, &payload[..])).chain([(self.bytes.len(), &[][..])]);
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
        for (before, payload) in self.shared.iter().flat_map(|shared| &shared.payloads) {
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
        match &mut self.shared {
            None => self.written += len,
            Some(shared) => {
                shared.wrote(&mut self.written, len, self.left.as_deref_mut().map(|left| &mut left.0))
            }
        }
        if self.written >= self.bytes.len() && self.is_empty() {
            // An idle connection holds no buffer, and what grew for a large message is given back.
            self.clear(spare);
        }
    }

    /// What has to wait for the peer does not keep more memory than it needs.
    pub(crate) fn settle(&mut self, spare: usize) {
        if is_too_large(&self.bytes, self.written) {
            self.drain_written();
            shrink_queue(&mut self.bytes, spare);
        }
    }

    /// Takes all that waits out.
    pub(crate) fn take(&mut self) -> Self {
        #[cfg(feature = "rand")]
        let draining = self.shared.as_mut().and_then(|shared| shared.draining.take());
        let (bytes, written, shared) = (mem::take(&mut self.bytes), self.written, self.shared.take());
        self.written = 0;
        #[cfg(feature = "rand")]
        self.set_draining(draining);
        Self { bytes, written, shared, ..Self::default() }
    }

    /// Appends what was taken out.
    pub(crate) fn append(&mut self, taken: Self) {
        let mut at = taken.written;
        for (before, payload) in taken.shared.into_iter().flat_map(|shared| shared.payloads) {
            self.sink().extend_from_slice(&taken.bytes[at..before]);
            self.share(payload);
            at = before;
        }
        self.sink().extend_from_slice(&taken.bytes[at..]);
    }

    pub(crate) fn clear(&mut self, spare: usize) {
        self.written = 0;
        if self.shared.is_some() {
            self.clear_shared();
        }
        recycle_queue(mem::take(&mut self.bytes), spare);
    }

    /// What waited for the connection is still to be handed on.
    #[cold]
    fn clear_shared(&mut self) {
        let Some(shared) = &mut self.shared else { return };
        let payloads = mem::take(&mut shared.payloads);
        shared.len = 0;
        if let Some(left) = &mut self.left {
            left.0.extend(payloads.into_iter().map(|(_, payload)| payload));
        }
        #[cfg(feature = "rand")]
        if self.is_draining() {
            return;
        }
        self.shared = None;
    }

    /// Whether messages that waited for the connection are still to be handed on.
    #[cfg(feature = "rand")]
    #[inline]
    pub(super) fn is_draining(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.draining.is_some())
    }

    #[cfg(feature = "rand")]
    pub(super) fn draining(&mut self) -> Option<&mut Draining> {
        self.shared.as_mut()?.draining.as_mut()
    }

    #[cfg(feature = "rand")]
    pub(super) fn set_draining(&mut self, draining: Option<Draining>) {
        if draining.is_some() || self.is_draining() {
            let shared = self.shared.get_or_insert_default();
            shared.draining = draining;
            if shared.draining.is_none() && shared.payloads.is_empty() {
                self.shared = None;
            }
        }
    }
}

impl Shared {
    fn wrote(&mut self, written: &mut usize, mut len: usize, mut left: Option<&mut Vec<Bytes>>) {
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
            if let (Some((_, payload)), Some(left)) = (self.payloads.pop_front(), &mut left) {
                left.push(payload);
            }
        }
        *written += len;
    }
}

/// The output with bounded room, so that pings of a peer that reads no pongs cannot fill it.
pub(crate) struct Replies<'a> {
    bytes: &'a mut Vec<u8>,
    room: usize,
    in_all: &'a mut u64,
}

impl Sink for Replies<'_> {
    #[inline]
    fn room(&self) -> usize {
        self.room
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.room = self.room.saturating_sub(bytes.len());
        *self.in_all += bytes.len() as u64;
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("payloads", &self.payloads.len())
            .field("bytes", &Redacted::len(self.len))
            .finish()
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
            assert_eq!((out.bytes.capacity(), out.shared.is_none()), (0, true), "nothing is held");
        }
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
