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
//! The runtime needs its drivers for time and I/O (`enable_all`, as `#[tokio::main]` has them): without them tokio
//! panics. Outside of a runtime, openings return [`Error::NoRuntime`].
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

mod byte_streams;
#[cfg(feature = "rand")]
mod client_stream;
#[cfg(feature = "rand")]
mod connect;
#[cfg(feature = "rand")]
mod dial;
#[cfg(feature = "rand")]
mod pair;
mod runtime;

use ::tokio::io::{AsyncRead, AsyncWrite};

#[cfg(feature = "rand")]
pub use client_stream::ClientStream;
#[cfg(feature = "rand")]
pub use connect::{Connector, connect};
#[cfg(feature = "rand")]
pub use pair::pair;
pub use runtime::Tokio;

use crate::poll;

pub use crate::engine::{ConnectError, Error, HandshakeError, Parts};

/// Accepts a WebSocket on a stream that a client has just connected, with the defaults.
///
/// It takes any Origin; use [`Acceptor::read_request`] for a server that browsers reach. Over TCP set
/// `TCP_NODELAY` before, or small messages wait for each other. Dropping the future drops the stream.
///
/// # Errors
///
/// [`Error::Handshake`] for a request that is not one for a WebSocket or took too long; the client has got the HTTP
/// response that says so, and up to a second to read it. [`Error::Io`] if the stream failed.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<WebSocket<S>, Error> {
    Acceptor::new().accept(stream).await
}

/// An open connection over anything that is `AsyncRead + AsyncWrite`.
pub type WebSocket<S> = poll::WebSocket<S, Tokio>;
/// The sending side of a connection whose receiving side lends a message.
pub type Sender<'a, S> = poll::Sender<'a, S, Tokio>;
/// The receiving half of a connection.
pub type ReceiveHalf<S> = poll::ReceiveHalf<S, Tokio>;
/// A sending half of a connection, which can be cloned for any number of tasks.
pub type SendHalf<S> = poll::SendHalf<S, Tokio>;
/// One message that is sent while it is being made: an `AsyncWrite`.
pub type MessageWriter<'a, S> = poll::MessageWriter<'a, S, Tokio>;
/// A connection as a stream of bytes: `AsyncRead + AsyncWrite`.
pub type Tunnel<S> = poll::Tunnel<S, Tokio>;
/// A set of connections that are closed together, for instance when a server goes down.
pub type Group = poll::Group<Tokio>;
/// How a server accepts connections; one serves any number of them.
pub type Acceptor = poll::Acceptor<Tokio>;
/// The first request on a stream: one for a WebSocket, or an ordinary one.
pub type Incoming<S> = poll::Incoming<S, Tokio>;
/// A valid request that waits for the decision.
pub type PendingRequest<S> = poll::PendingRequest<S, Tokio>;
/// An HTTP request that does not ask for a WebSocket.
pub type PlainRequest<S> = poll::PlainRequest<S, Tokio>;
/// The decision could not be carried out; nothing was written.
pub type Undecided<S> = poll::Undecided<S, Tokio>;
/// A client that connects again whenever its connection ends, until the stop condition of its
/// [`Reconnect`](crate::client::Reconnect) holds.
///
/// It does so inside [`recv`](Self::recv): one that is not received from does not connect. Every future may be dropped at
/// any await; attempts and delays go on with the next call.
///
/// ```no_run
/// use sansocket::client::{Reconnect, WhileAway};
/// use sansocket::tokio::{Connector, Error, Reconnecting};
///
/// # async fn follow() -> Result<(), Error> {
/// let policy = Reconnect::new().while_away(WhileAway::Queue(100)).observe(|event| eprintln!("{event}"));
/// let mut ws = Reconnecting::new(policy, || async {
///     let mut ws = Connector::new("wss://news.example/").header("Authorization", "Bearer 0815").connect().await?;
///     ws.send("subscribe: weather").await?; // sets the session up, each time again
///     Ok(ws)
/// });
/// while let Some(message) = ws.recv().await? {
///     println!("{message:?}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// [What becomes of messages](crate::client::Reconnecting#what-becomes-of-messages) is the same in all adapters.
#[cfg(feature = "rand")]
pub type Reconnecting<S = ClientStream> = poll::Reconnecting<S, Tokio>;
