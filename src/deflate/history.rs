//! The latest bytes that were received compressed: what the next message may refer back to.

use crate::redacted::Redacted;
use alloc::vec::Vec;
use core::fmt;

/// A ring that grows with what has been received, to the size of the agreed window at the most.
#[derive(Default)]
pub(crate) struct History {
    bytes: Vec<u8>,
    /// Where the oldest byte is, once the ring is full.
    oldest: usize,
}

impl History {
    pub(crate) const EMPTY: Self = Self { bytes: Vec::new(), oldest: 0 };

    /// The bytes in their order, in two parts.
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        let (newer, older) = self.bytes.split_at(self.oldest.min(self.bytes.len()));
        [older, newer]
    }

    /// The last `len` bytes, or all if there are fewer, in two parts.
    pub(crate) fn latest(&self, len: usize) -> [&[u8]; 2] {
        let [older, newer] = self.parts();
        let newer = &newer[newer.len().saturating_sub(len)..];
        [&older[older.len().saturating_sub(len - newer.len())..], newer]
    }

    /// Appends `output` and keeps the last `window` bytes of all.
    pub(crate) fn append(&mut self, output: &[u8], window: usize) {
        let output = &output[output.len().saturating_sub(window)..];
        let (growing, turning) = output.split_at(output.len().min(window.saturating_sub(self.bytes.len())));
        if !growing.is_empty() {
            let needed = self.bytes.len() + growing.len();
            if needed > self.bytes.capacity() {
                let capacity = needed.next_power_of_two().min(window).max(needed);
                self.bytes.reserve_exact(capacity - self.bytes.len());
            }
            self.bytes.extend_from_slice(growing);
        }
        let (before, behind) = turning.split_at(turning.len().min(self.bytes.len() - self.oldest));
        self.bytes[self.oldest..self.oldest + before.len()].copy_from_slice(before);
        self.bytes[..behind.len()].copy_from_slice(behind);
        if !turning.is_empty() {
            self.oldest = (self.oldest + turning.len()) % self.bytes.len();
        }
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("bytes", &Redacted::of(&self.bytes)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::History;
    use alloc::vec::Vec;

    #[test]
    fn holds_the_last_bytes_in_order() {
        for window in [1, 2, 7, 16] {
            for step in 0..40 {
                let (mut history, mut all) = (History::default(), Vec::new());
                for round in 0..20_u8 {
                    let output: Vec<u8> = (0..step).map(|i| round.wrapping_mul(31) ^ i).collect();
                    history.append(&output, window);
                    all.extend(output);
                    let last = &all[all.len().saturating_sub(window)..];
                    assert_eq!(history.parts().concat(), last, "window {window}, step {step}");
                    let half = history.latest(window / 2);
                    assert_eq!(half.concat(), last[last.len().saturating_sub(window / 2)..]);
                    assert!(history.bytes.capacity() <= window.max(8));
                }
            }
        }
    }
}
