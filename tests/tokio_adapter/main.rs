//! The adapter for tokio: what every adapter must do, and what only this one does.
#![cfg(all(feature = "tokio", feature = "rand"))]

mod adapter;
#[path = "../adapters/mod.rs"]
mod adapters;
#[path = "../adapters/dropped_futures.rs"]
mod dropped_futures;
mod support;

mod batching;
mod budget;
mod closing;
mod deadlines;
mod fairness;
mod faults;
mod full_queues;
#[cfg(all(feature = "futures-core", feature = "futures-sink"))]
mod halves;
mod opening;
mod reconnect;
mod reconnect_queue;
mod sides;
mod split;
#[cfg(all(feature = "futures-core", feature = "futures-sink"))]
mod wakers;
