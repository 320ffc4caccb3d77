//! Counts the heap memory of each thread, so that tests that run at the same time do not disturb each other. A program
//! that includes this module has its allocator.
#![allow(dead_code, unreachable_pub, reason = "each user needs its own part")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use std::alloc::System;

struct Counting;

#[derive(Clone, Copy)]
struct Counts {
    live: isize,
    peak: isize,
    requested: usize,
    allocations: usize,
}

thread_local! {
    static COUNTS: Cell<Counts> =
        const { Cell::new(Counts { live: 0, peak: 0, requested: 0, allocations: 0 }) };
}

fn count(requested: usize, freed: usize) {
    // The thread may be ending.
    _ = COUNTS.try_with(|cell| {
        let mut counts = cell.get();
        counts.live += requested as isize - freed as isize;
        counts.peak = counts.peak.max(counts.live);
        counts.requested += requested;
        counts.allocations += usize::from(requested > 0);
        cell.set(counts);
    });
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a piece of work cost on the heap of its thread, in bytes unless it says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The number of calls that allocate or reallocate.
    pub allocations: usize,
    /// All that was ever requested, a growing buffer counted at its full size each time it grows.
    pub requested: usize,
    /// What is allocated at the end and was not at the beginning.
    pub held: isize,
    /// The most that was allocated at once, beyond what was allocated at the beginning.
    pub peak: isize,
}

/// Returns the bytes that the thread has allocated and not freed.
pub fn live() -> isize {
    COUNTS.get().live
}

/// Returns the result of `work`, which is still alive, and its cost.
pub fn cost<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let before = begin();
    let result = work();
    (result, end(before))
}

/// Returns the result of `future`, and what the thread spent until it was done.
pub async fn cost_of<T>(future: impl Future<Output = T>) -> (T, Cost) {
    let before = begin();
    let result = future.await;
    (result, end(before))
}

fn begin() -> Counts {
    let before = COUNTS.get();
    COUNTS.set(Counts { peak: before.live, ..before });
    before
}

fn end(before: Counts) -> Cost {
    let now = COUNTS.get();
    // A measurement around this one goes on.
    COUNTS.set(Counts { peak: now.peak.max(before.peak), ..now });
    Cost {
        allocations: now.allocations - before.allocations,
        requested: now.requested - before.requested,
        held: now.live - before.live,
        peak: now.peak - before.live,
    }
}
