//! Publicly known vulnerabilities of WebSocket software, each as a test that it is not here, and the attacks that have no
//! number. What each one was about stands above its test. Memory is counted by the allocator of the calling thread, cost
//! in calls, in bytes asked for and in CPU time of the thread: never in wall time.

#[cfg(feature = "tokio")]
mod asynchronous;
#[cfg(feature = "std")]
mod blocking;
#[cfg(feature = "deflate")]
#[path = "../support/compress.rs"]
mod compress;
#[cfg(feature = "deflate")]
mod deflate;
mod frames;
mod handshake;
#[allow(dead_code, reason = "a part of it is used here")]
#[path = "../handshake/support.rs"]
mod http;
mod meter;
#[path = "../support/mod.rs"]
mod support;
