//! What an attack costs the one who is attacked.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::time::Duration;
use std::alloc::System;
use std::time::Instant;

/// Counts the heap bytes of the current thread, so that tests beside this one do not matter.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static ASKED: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize, asked: usize) {
    _ = LIVE.try_with(|live| {
        live.set(live.get() + change);
        _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
        _ = ASKED.try_with(|all| all.set(all.get() + asked as isize));
    });
}

// SAFETY: every call goes on to `System` as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize, layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize, layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize), 0);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        count(new as isize - layout.size() as isize, new);
        unsafe { System.realloc(pointer, layout, new) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// In bytes of heap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// The most that lived at once, beyond what was there before.
    pub(crate) peak: isize,
    /// All that was ever asked for, which bounds the copies.
    pub(crate) asked: isize,
}

/// What `work` gives, and what it cost.
pub(crate) fn cost<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (before, asked) = (LIVE.get(), ASKED.get());
    PEAK.set(before);
    let result = work();
    (result, Cost { peak: PEAK.get() - before, asked: ASKED.get() - asked })
}

/// The CPU time of this thread where the system tells it, which other work on the machine does not touch.
fn clock(since: Instant) -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = schedstat.as_deref().and_then(|line| line.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

fn time(work: impl Fn()) -> Duration {
    let since = Instant::now();
    let once = || {
        let start = clock(since);
        work();
        clock(since) - start
    };
    once().min(once())
}

/// `work` of 16 times the size takes about 16 times as long, where quadratic work would take 256 times.
#[track_caller]
pub(crate) fn assert_linear(name: &str, size: usize, work: impl Fn(usize)) {
    let (few, many) = (time(|| work(size)), time(|| work(16 * size)));
    // The system's clock of a thread moves in steps of some milliseconds.
    let most = 64 * few.max(Duration::from_millis(4));
    assert!(many < most, "{name}: {few:?}, and {many:?} for 16 times as much");
}
