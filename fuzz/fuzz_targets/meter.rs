//! Counts heap memory, so that a target can hold it against what it states.

#[path = "../../tests/support/heap.rs"]
mod heap;

/// What `work` gives, and the most bytes of heap that lived meanwhile beside those that were there before.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let (result, cost) = heap::cost(work);
    (result, cost.peak.try_into().unwrap_or(0))
}

/// Does `work`, for which at most `most` bytes of heap are stated.
#[allow(dead_code, reason = "not every user knows the number before")]
#[track_caller]
pub fn within<T>(most: usize, work: impl FnOnce() -> T) -> T {
    let (result, peak) = peak(work);
    assert!(peak <= most, "{peak} bytes of heap where {most} were stated");
    result
}
