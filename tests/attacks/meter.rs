//! What an attack costs the one who is attacked.

#[path = "../support/heap.rs"]
mod heap;

use core::time::Duration;
use std::time::Instant;

pub(crate) use heap::{Cost, cost};

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
