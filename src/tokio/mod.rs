//! Connections over tokio's streams: anything that is `AsyncRead + AsyncWrite`.
//!
//! ```no_run
//! use sansocket::tokio::{Error, accept};
//! use tokio::net::TcpListener;
//!
//! # async fn serve() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:9001").await?;
//! loop {
//!     let (stream, _) = listener.accept().await?;
//!     tokio::spawn(async move {
//!         // The handshake's future is large and short-lived: it does not belong into the task for good.
//!         let mut ws = Box::pin(accept(stream)).await?;
//!         loop {
//!             let Some((message, mut tx)) = ws.recv_ref().await? else { return Ok::<_, Error>(()) };
//!             tx.feed(&message).await?; // leaves before the next wait, in one write with all else that is due
//!         }
//!     });
//! }
//! # }
//! ```
//!
//! The runtime needs its drivers for time and I/O (`enable_all`, as `#[tokio::main]` has them): tokio panics without.
//!
//! # Two lanes for receiving
//!
//! [`recv_ref`](WebSocket::recv_ref) lends each message where it lies, together with a sender made of the connection's
//! other fields: no copy, no allocation. [`recv`](WebSocket::recv) gives owned messages, to be kept, sent to other
//! tasks, and sent back. [`recv_event`](WebSocket::recv_event) shows everything, chunks included. With the feature
//! `futures-core` a connection is a `Stream` of owned messages, with `futures-sink` a `Sink`.
//!
//! # What may be dropped, and what is flushed when
//!
//! | future | dropped before it is ready | writes |
//! |---|---|---|
//! | `recv`, `recv_ref`, `recv_event` | loses nothing | what is queued, before it sleeps |
//! | `send`, `ping`, `pong`, `send_fragment`, `send_chunk`, `start_close` | sent whole or not at all; what was taken leaves with the next call | everything |
//! | `MessageWriter`: a write, `finish` | taken whole or not at all | once 256 KiB wait; everything |
//! | `feed`, `feed_prepared` | taken whole or not at all | once 256 KiB wait; a large answer [perhaps at once](WebSocket::feed) |
//! | `flush` | loses nothing | everything that was queued when it began |
//! | `close` | the next call goes on with it | everything |
//! | `accept`, `read_request`, `read`, `connect` | the stream is dropped | the handshake |
//!
//! Deadlines (keepalive on by default, idle, unfinished messages, stuck output, closing) are watched by whatever call
//! is pending; a connection on which none is pending watches none. There is one timer for all of them.
//!
//! # Coming from tokio-tungstenite
//!
//! | tokio-tungstenite | here |
//! |---|---|
//! | `connect_async(url)` | [`connect(url)`](connect()) |
//! | `connect_async(request with headers)` | [`Connector::new(url).header(..)`](Connector::header) |
//! | `client_async(request, stream)` | [`Connector::new(url).connect_over(stream)`](Connector::connect_over) |
//! | `accept_async(stream)` | [`accept(stream)`](accept()) |
//! | `accept_hdr_async(stream, callback)` | [`Acceptor::read_request`], then `accept` or `reject`, with `.await` in between |
//! | `WebSocketConfig` | [`Config`](crate::Config) |
//! | `ws.next().await` → `Option<Result<Message>>` | [`ws.recv().await`](WebSocket::recv) → `Result<Option<Message>>` |
//! | `Message::Ping`, `Pong`, `Close` among the messages | [`recv_event`](WebSocket::recv_event) shows them; pings and closes are answered without it |
//! | `Message::Text(Utf8Bytes)`, `Binary(Bytes)` | the same two, [`Text`](crate::Text) and [`Binary`](crate::Binary); `&str`, `String`, `&[u8]`, `Vec<u8>`, `Bytes` are sent as they are |
//! | `Error::ConnectionClosed`, `AlreadyClosed` | `Ok(None)`: a clean close is no error |
//! | `ws.send(message).await` | the same; [`feed`](WebSocket::feed) where several go out together |
//! | `ws.close(Some(CloseFrame { .. }))` | [`ws.close(code, reason)`](WebSocket::close), which waits for the peer, at most 10 s |
//! | `ws.split()` (`futures`) | [`ws.split()`](WebSocket::split): the sender can be cloned |
//! | a ping task of one's own | on by default ([`Config::ping_interval`](crate::Config::ping_interval)) |
//! | `into_inner()` | [`into_parts()`](WebSocket::into_parts), with the bytes that were read and not taken |

#[cfg(feature = "rand")]
mod client_stream;
#[cfg(feature = "rand")]
mod connect;
#[cfg(feature = "rand")]
mod dial;

#[cfg(feature = "rand")]
pub use client_stream::ClientStream;
#[cfg(feature = "rand")]
pub use connect::{Connector, Tokio, connect};

pub use crate::engine::{ConnectError, Error, HandshakeError, Parts};
#[cfg(feature = "rand")]
pub use crate::poll::pair;
pub use crate::poll::{
    Acceptor, Group, Incoming, MessageWriter, PendingRequest, PlainRequest, ReceiveHalf, SendHalf, Sender,
    Tunnel, Undecided, WebSocket, accept,
};

/// A client over tokio that connects again by itself.
#[cfg(feature = "rand")]
pub type Reconnecting<S = ClientStream> = crate::poll::Reconnecting<S>;
