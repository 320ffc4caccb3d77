//! The blocking adapter: what every adapter must do, and what only this one does.
#![cfg(feature = "std")]

mod adapter;
#[path = "../adapters/mod.rs"]
mod adapters;
mod support;

mod closing;
#[cfg(feature = "rand")]
mod deadlines;
mod faults;
#[cfg(feature = "rand")]
mod full_queues;
mod nonblocking;
#[cfg(feature = "rand")]
mod opening;
#[cfg(feature = "rand")]
mod pairs;
#[cfg(feature = "rand")]
mod reconnect;
#[cfg(feature = "rand")]
mod waits;
