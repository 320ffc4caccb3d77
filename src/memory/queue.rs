//! The memory of output that waits for the transport.

use alloc::vec::Vec;
use core::fmt;
use core::mem;
use std::io::{self, Write};

use super::copy::append;
use super::pool::BufferPool;
use crate::redacted::Redacted;
use crate::sink::Sink;

/// The first capacity of a queue, in bytes: growing from nothing costs a batch of 32 answers of 22 bytes 1 µs, which is more than
/// encoding them, and 0.05 µs with a queue of the thread.
const FIRST: usize = 2048;
/// The largest queue that a connection gets before it has that much to queue, in bytes: it may keep the queue for long.
/// Going on in a larger one costs a copy, about 100 ns for each batch.
pub(super) const MODEST: usize = 4 << 10;
/// The largest queue that a thread of an event loop keeps, in bytes.
const LARGEST: usize = 512 << 10;

/// An empty queue with some capacity.
#[cold]
pub(crate) fn new_queue() -> Vec<u8> {
    BufferPool::with(|pool| pool.queues.pop()).flatten().unwrap_or_else(|| Vec::with_capacity(FIRST))
}

/// Makes a queue large enough for `needed` more bytes.
#[cold]
pub(crate) fn grow_queue(queue: &mut Vec<u8>, needed: usize) {
    if queue.capacity() == 0 && needed <= FIRST {
        *queue = new_queue();
        return;
    }
    if queue.len() + needed > MODEST && queue.capacity() <= MODEST {
        if let Some(mut large) = BufferPool::with(|pool| pool.large_queue.take()).flatten() {
            large.extend_from_slice(queue);
            recycle_queue(mem::replace(queue, large), MODEST);
        }
    }
    queue.reserve(needed);
}

/// Gives a queue back to the thread, unless its capacity is above `largest`.
pub(crate) fn recycle_queue(mut queue: Vec<u8>, largest: usize) {
    if (FIRST..=largest).contains(&queue.capacity()) {
        queue.clear();
        BufferPool::with(|pool| {
            if queue.capacity() <= MODEST {
                pool.queues.push(queue);
            } else {
                pool.large_queue.set(Some(queue));
            }
        });
    }
}

/// Whether a queue of which `written` bytes have left is much larger than what waits for a slow peer.
pub(crate) fn is_too_large(queue: &Vec<u8>, written: usize) -> bool {
    queue.capacity() > FIRST && queue.capacity() / 4 > queue.len() - written
}

/// Moves what waits to memory of its size, and gives back the queue unless its capacity is above `largest`.
pub(crate) fn shrink_queue(queue: &mut Vec<u8>, largest: usize) {
    let rest = queue.as_slice().into();
    recycle_queue(mem::replace(queue, rest), largest);
}

/// The output of a connection in an event loop: a [`Sink`] that keeps what the transport has not taken yet.
///
/// It takes memory from its thread when something is queued and gives it back when everything has been written, so that an
/// idle connection holds none.
///
/// ```
/// use sansocket::{Sink, WriteBuffer};
///
/// let mut out = WriteBuffer::new();
/// out.push(b"as if a connection had sent it");
/// let mut stream = Vec::new(); // any `std::io::Write`
/// out.write_to(&mut stream)?;
/// assert!(out.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
pub struct WriteBuffer {
    queue: Vec<u8>,
    written: usize,
}

impl WriteBuffer {
    /// An empty buffer, without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { queue: Vec::new(), written: 0 }
    }

    /// The bytes that wait, for transports that are not [`Write`]. Say with [`consume`](Self::consume) how many left.
    #[must_use]
    pub fn queued(&self) -> &[u8] {
        &self.queue[self.written..]
    }

    /// Returns how many bytes wait.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len() - self.written
    }

    /// Whether nothing waits.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes the first `len` bytes, because the transport has taken them.
    pub fn consume(&mut self, len: usize) {
        self.written += len.min(self.len());
        if self.is_empty() {
            self.written = 0;
            recycle_queue(mem::take(&mut self.queue), LARGEST);
        }
    }

    /// Writes until everything has left or `stream` takes no more; returns how many bytes left.
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) is no error here: the rest is kept for the next call.
    /// [`write_for`](Self::write_for) also tells a connection how the write went.
    ///
    /// # Errors
    ///
    /// Any other error of `stream`, and [`WriteZero`](io::ErrorKind::WriteZero) if it takes nothing without an error.
    pub fn write_to(&mut self, stream: &mut impl Write) -> io::Result<usize> {
        let waiting = self.len();
        while !self.is_empty() {
            match stream.write(self.queued()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => self.consume(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if is_too_large(&self.queue, self.written) {
                        self.drain_written();
                        shrink_queue(&mut self.queue, LARGEST);
                    }
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(waiting - self.len())
    }

    fn drain_written(&mut self) {
        self.queue.drain(..mem::take(&mut self.written));
    }

    #[cold]
    fn push_growing(&mut self, bytes: &[u8]) {
        self.grow(bytes.len());
        append(&mut self.queue, bytes);
    }

    #[cold]
    fn grow(&mut self, additional: usize) {
        // A queue that never runs empty must not keep what has left. Each byte moves at most once on average.
        if self.written > self.queue.len() / 2 {
            self.drain_written();
        }
        // Here the queue leaves in the same iteration of the loop or is shrunk, so that it may be a large one from the start.
        if self.queue.capacity() == 0 {
            self.queue = BufferPool::with(|pool| pool.large_queue.take()).flatten().unwrap_or_default();
        }
        if self.queue.capacity() - self.queue.len() < additional {
            grow_queue(&mut self.queue, additional);
        }
    }
}

impl Sink for WriteBuffer {
    #[inline]
    fn room(&self) -> usize {
        isize::MAX as usize - self.queue.len()
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        // On its own branch, so that `append` need not check the capacity again: 7 instructions for each message.
        if self.queue.capacity() - self.queue.len() < bytes.len() {
            return self.push_growing(bytes);
        }
        append(&mut self.queue, bytes);
    }

    #[inline]
    fn last_mut(&mut self, len: usize) -> &mut [u8] {
        let start = self.queue.len().saturating_sub(len).max(self.written);
        &mut self.queue[start..]
    }

    #[inline]
    fn reserve(&mut self, additional: usize) {
        if self.queue.capacity() - self.queue.len() < additional {
            self.grow(additional);
        }
    }
}

impl fmt::Debug for WriteBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBuffer").field("queued", &Redacted::len(self.len())).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_buffer_holds_no_memory_and_a_slow_peer_no_more_than_it_needs() {
        struct Slow(usize);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let len = bytes.len().min(mem::take(&mut self.0));
                if len > 0 { Ok(len) } else { Err(io::ErrorKind::WouldBlock.into()) }
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        for len in [10, MODEST, 100_000] {
            let mut out = WriteBuffer::new();
            out.push(&alloc::vec![7; len]);
            assert_eq!(out.write_to(&mut Slow(len - 5)).ok(), Some(len - 5));
            assert!(out.queue.capacity() <= FIRST, "{len}: {}", out.queue.capacity());
            assert_eq!(out.queued(), [7; 5]);
            assert_eq!(out.write_to(&mut Slow(5)).ok(), Some(5));
            assert_eq!(out.queue.capacity(), 0);
        }
    }
}
