//! Random calls on both adapters over streams that do all that streams may do: what was accepted arrives once, in order
//! and unaltered, nothing stands still, and every end is clean.
#![cfg(all(feature = "futures-core", feature = "futures-sink", feature = "rand"))]

#[path = "stress/asynchronous.rs"]
mod asynchronous;
#[path = "stress/calls.rs"]
mod calls;
#[path = "stress/chaos.rs"]
mod chaos;
#[cfg(feature = "rustls")]
mod client_support;
#[path = "stress/lateness.rs"]
mod lateness;
#[path = "stress/model.rs"]
mod model;
#[path = "stress/plan.rs"]
mod plan;
#[path = "stress/threads.rs"]
mod threads;
#[path = "stress/wires.rs"]
mod wires;

use plan::{Plan, play_all};

/// With a clock that jumps over every wait, so that a seed plays the same each time.
#[test]
fn tokio_in_simulated_time() {
    play_all("tokio_in_simulated_time", 100, Plan::new, |plan, lanes| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(asynchronous::play(plan.clone(), lanes));
    });
}

#[test]
fn tokio_with_threads() {
    play_all(
        "tokio_with_threads",
        12,
        |seed| Plan::new(seed).in_real_time(),
        |plan, lanes| {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(3).enable_all().build().unwrap();
            runtime.block_on(asynchronous::play(plan.clone(), lanes));
        },
    );
}

/// With pipes, TCP and TLS in both roles below, which wait or do not.
#[test]
fn blocking_with_threads() {
    play_all("blocking_with_threads", 12, threads::Plan::new, threads::play);
}
