//! Encoded bytes that have not been written yet.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cell::Cell;
use core::mem;
use std::io::IoSlice;
use std::thread_local;

use bytes::{Buf, Bytes};

use super::spares::Spares;
use crate::Sink;

/// What a queue starts with, in bytes: growing from nothing costs a batch of small answers more than encoding them.
const FIRST: usize = 2048;
/// The largest queue that a connection gets before it has that much to queue, in bytes: it may keep the queue for long.
/// Going on in a larger one costs a copy, about 100 ns for each batch.
const MODEST: usize = 4 << 10;
/// The room for a message of unknown length.
const MORE: usize = 1024;
/// The longest header of a frame, with a mask.
const MAX_HEADER_LEN: usize = 14;

thread_local! {
    /// Queues that have run empty, of up to [`MODEST`] bytes.
    static SPARE: Spares<Vec<u8>> = const { Spares::new() };
    /// The latest larger one. That it grew with a batch spares the next one, of whatever connection, the growing.
    static LARGE: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
}

/// How many pieces one write takes.
pub(crate) const PIECES: usize = 64;

/// The queue between the encoders and the stream. It holds memory only while something waits.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// Large payloads that are shared with their owners instead of copied.
    shared: Option<Box<Shared>>,
    /// How many bytes have left since the beginning.
    written_in_all: u64,
}

#[derive(Debug, Default)]
struct Shared {
    /// Each stands before the byte with this number in `bytes`.
    payloads: VecDeque<(usize, Bytes)>,
    /// How many bytes they have in all.
    len: usize,
}

impl Output {
    /// How many bytes wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written + self.shared.as_ref().map_or(0, |shared| shared.len)
    }

    /// How many bytes have left since the beginning.
    #[cfg(feature = "tokio")]
    pub(crate) const fn written_in_all(&self) -> u64 {
        self.written_in_all
    }

    /// How many bytes have left or wait.
    #[cfg(feature = "tokio")]
    pub(crate) fn queued_in_all(&self) -> u64 {
        self.written_in_all + self.len() as u64
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
            self.grow(needed);
        }
        self.sink()
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        if self.bytes.capacity() == 0 && needed <= FIRST {
            self.bytes = first();
            return;
        }
        if self.bytes.len() + needed > MODEST && self.bytes.capacity() <= MODEST {
            if let Some(mut large) = LARGE.try_with(Cell::take).ok().flatten() {
                large.extend_from_slice(&self.bytes);
                recycle(mem::replace(&mut self.bytes, large), MODEST);
            }
        }
        self.bytes.reserve(needed);
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
        Replies { bytes: self.sink(), room }
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
        recycle(mem::take(&mut self.bytes), spare);
    }

    /// `len` bytes have left. The thread keeps a queue of `spare` bytes at the most.
    pub(crate) fn wrote(&mut self, len: usize, spare: usize) {
        self.written_in_all += len as u64;
        match &mut self.shared {
            None => self.written += len,
            Some(shared) => shared.wrote(&mut self.written, len),
        }
        if self.written >= self.bytes.len() && self.is_empty() {
            // An idle connection holds no buffer, and what grew for a large message is given back.
            self.clear(spare);
        }
    }

    /// What has to wait for the peer does not keep more memory than it needs.
    pub(crate) fn settle(&mut self, spare: usize) {
        let left = self.bytes.len() - self.written;
        if self.bytes.capacity() > FIRST && self.bytes.capacity() / 4 > left {
            self.drain_written();
            let left = self.bytes.as_slice().into();
            recycle(mem::replace(&mut self.bytes, left), spare);
        }
    }

    /// Takes all that waits out.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self { written_in_all: self.written_in_all, ..Self::default() };
        mem::replace(self, empty)
    }

    pub(crate) fn clear(&mut self, spare: usize) {
        self.written = 0;
        self.shared = None;
        recycle(mem::take(&mut self.bytes), spare);
    }
}

/// A queue of the thread, for what is to leave first on a connection that does not exist yet.
#[cfg(feature = "tokio")]
pub(crate) fn queue() -> Vec<u8> {
    first()
}

#[cold]
fn first() -> Vec<u8> {
    SPARE.try_with(Spares::take).ok().flatten().unwrap_or_else(|| Vec::with_capacity(FIRST))
}

fn recycle(mut bytes: Vec<u8>, largest: usize) {
    if (FIRST..=largest).contains(&bytes.capacity()) {
        bytes.clear();
        // At the end of a thread there is nobody left to keep it for.
        let _ = if bytes.capacity() <= MODEST {
            SPARE.try_with(|spares| spares.give(bytes))
        } else {
            LARGE.try_with(|latest| drop(latest.replace(Some(bytes))))
        };
    }
}

impl Shared {
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
            self.payloads.pop_front();
        }
        *written += len;
    }
}

/// The output with bounded room, so that pings of a peer that reads no pongs cannot fill it.
#[derive(Debug)]
pub(crate) struct Replies<'a> {
    bytes: &'a mut Vec<u8>,
    room: usize,
}

impl Sink for Replies<'_> {
    #[inline]
    fn room(&self) -> usize {
        self.room
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.room = self.room.saturating_sub(bytes.len());
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
            *self.bytes = first();
        }
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
