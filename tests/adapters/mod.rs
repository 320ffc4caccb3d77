//! What a connection must do over every adapter, written once. Each adapter has a test program that runs all of this:
//! its `main.rs` declares this folder as a module beside `support` and `adapter`.
//!
//! The scenarios are asynchronous; over blocking streams each call is done when it returns. The connection under test
//! runs where [`run`](crate::adapter::run) puts it, its peer is plain code of the standard library in another thread, or
//! a [`Scripted`](crate::support::Scripted) stream. To run the scenarios over another adapter, give it a `support` that
//! implements the adapter's streams for `Scripted`, and an `adapter` with:
//!
//! | what | for what |
//! |---|---|
//! | `run` | runs a scenario in real time, on the calling thread |
//! | `WebSocket`, `Error`, `HandshakeError`, `ClientStream` | the adapter's types; calls of `WebSocket` are asynchronous |
//! | `server`, `client` | an open connection over a stream |
//! | `tcp_stream`, `TcpStream` | the adapter's own stream out of one of the standard library |
//! | `peer_gone` | a stream in memory whose peer has said something and gone |
//! | `Memory`, `pair` | two ends over a stream in memory |
//! | `recv_within` | waits for a message, for some time only |
//! | `accept`, `read_request`, `read`, `answer`, `reject`, `respond`, `refuse`, `into_stream` | the server's opening |
//! | `connect`, `connect_over` | the client's opening |
//! | `open_scripted` | the opening of either role over a stream that may not be ready |
//! | `HARMLESS`, `insist!`, `start_close`, `REPLACES_PONGS` | what an application does where a stream is not ready |

mod closing;
mod deadlines;
mod faults;
mod faults_edges;
#[cfg(feature = "rand")]
mod full_queues;
mod last_words;
#[cfg(feature = "rand")]
mod opening;
pub mod talk;
pub mod talking;
