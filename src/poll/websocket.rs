//! A connection over an asynchronous stream.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use super::call::{Driven, drive};
use super::fast::{FastPoll, RecvRef, feed, poll_finish};
use super::group::{Group, Member};
use super::polled::Polled;
use super::runtime::{Io, Runtime};
use super::sender::Route;
use super::waiting::{RECEIVER, SENDER};
use super::{Error, Parts, Sender};
use crate::engine::server::Established;
use crate::engine::{Author, Endpoint, Link, Outgoing};
use crate::handshake::ResponseHead;
use crate::{Chunk, CloseCode, Connection, Event, Fin, Message, Prepared, State, Summary};

/// An open WebSocket connection over anything that is `AsyncRead + AsyncWrite`.
///
/// Pings are answered, deadlines watched and queued output is written inside the receiving calls: a task that never
/// receives drives none of it. All state lives in this value and none in the futures, so that every future may be
/// dropped at any await (by `select!` or a timeout) without losing a byte or leaving half a frame.
///
/// No flood of the peer keeps other tasks waiting: after 512 messages or frames, or 2 MiB, that came without a wait, the
/// receiving calls write what is queued and yield to the runtime once. A poll then returns `Pending` though more has
/// arrived, and wakes its task.
///
/// When it is dropped without [`close`](Self::close), the peer sees an end without a Close frame (1006).
#[derive(Debug)]
pub struct WebSocket<S, R: Runtime> {
    pub(super) endpoint: Endpoint<Polled<S, R>>,
    /// Whether the trait `Stream` has told the end.
    #[cfg(feature = "futures-core")]
    pub(super) stream_ended: bool,
    /// For a shutdown of many.
    pub(super) member: Option<Box<Member>>,
}

impl<S, R: Io<S>> WebSocket<S, R> {
    /// Runs an open connection over `stream`, after an opening handshake that was done elsewhere.
    ///
    /// `connection` must have been made with the time zero: its clock starts now. Call it inside a runtime.
    #[must_use]
    pub fn over(stream: S, connection: Connection) -> Self {
        Self::with_unread(stream, connection, &[])
    }

    /// Like [`over`](Self::over), with bytes that were read together with the handshake.
    #[must_use]
    pub fn with_unread(stream: S, connection: Connection, unread: &[u8]) -> Self {
        let stream = Polled::since(stream, R::now());
        Self::with(Endpoint::new(Duration::ZERO, stream, connection, unread, Vec::new(), None))
    }

    /// Puts together what [`into_parts`](Self::into_parts) took apart, and goes on where that stopped.
    ///
    /// The clock goes on from [`Parts::now`], so that every deadline is as far away as it was then. What was unsent
    /// leaves before the next receive sleeps, as after [`feed`](Self::feed). Call it inside a runtime.
    #[must_use]
    pub fn from_parts(parts: Parts<S>) -> Self {
        let now = parts.now;
        let mut ws = Self::with(Endpoint::from_parts(parts.map_transport(|io| Polled::since(io, R::now()))));
        ws.endpoint.link.stream.set_time(now);
        ws
    }

    /// Starts after an opening handshake of this module; the response is still to be written.
    pub(crate) fn open(mut stream: Polled<S, R>, established: Established) -> Self {
        let Established { connection, unread, response, opened } = established;
        stream.set_time(Duration::ZERO);
        let close = connection.config().close_timeout.unwrap_or(Duration::MAX);
        stream.begin_timer(connection.poll_timeout().map(|due| due.min(close)));
        Self::with(Endpoint::new(Duration::ZERO, stream, connection, &unread, response, Some(opened)))
    }

    /// Writes the response, in a future of its own if that has to wait. A stream that fails now fails the first call
    /// too.
    pub(super) fn begin(mut self) -> Result<Self, Pin<Box<impl Future<Output = Self>>>> {
        match self.endpoint.link.flush(None) {
            Err(Error::WouldBlock) => Err(Box::pin(async move {
                let _ = self.flush().await;
                self
            })),
            _ => Ok(self),
        }
    }

    const fn with(endpoint: Endpoint<Polled<S, R>>) -> Self {
        Self {
            endpoint,
            #[cfg(feature = "futures-core")]
            stream_ended: false,
            member: None,
        }
    }

    /// Waits for the next message and returns it owned: it can be kept, sent to another task, sent back.
    ///
    /// What was queued with [`feed`](Self::feed) is written before this sleeps, and not earlier. `None` is the clean
    /// end. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Why the connection ended, in every case that is not a clean close; the same again on later calls. The Close
    /// frame that fits the error has been sent, and the peer was given time to read it.
    pub async fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// [`recv`](Self::recv) as a poll, for hand-written futures.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`recv`](Self::recv).
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Message<'static>>, Error>> {
        loop {
            if let Some(message) = self.endpoint.recv_buffered() {
                return Poll::Ready(Ok(Some(message)));
            }
            match self.poll_fast(context) {
                FastPoll::Read => {}
                FastPoll::Pending => return Poll::Pending,
                FastPoll::Unusual => {
                    return self.poll_with(RECEIVER, context, |endpoint| endpoint.recv_until(None));
                }
            }
        }
    }

    /// Waits for the next message and lends it together with a sender, so that it can be answered without a copy.
    ///
    /// ```no_run
    /// # async fn echo(ws: &mut sansocket::tokio::WebSocket<tokio::net::TcpStream>) -> Result<(), sansocket::tokio::Error> {
    /// loop {
    ///     let Some((message, mut tx)) = ws.recv_ref().await? else { return Ok(()) };
    ///     tx.feed(&message).await?; // leaves before the next wait, with the answers to all that one read brought
    /// }
    /// # }
    /// ```
    ///
    /// `while let` does as well; but of what it matches, the compiler keeps three copies in the future, which small messages
    /// feel.
    ///
    /// Dropping the future loses nothing. An `async fn` with such a loop borrows the connection: one that takes it by
    /// value keeps it twice in its future.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`recv`](Self::recv).
    #[allow(clippy::type_complexity)]
    pub fn recv_ref(
        &mut self,
    ) -> impl Future<Output = Result<Option<(Message<'_>, Sender<'_, S, R>)>, Error>> {
        RecvRef::Waiting(self)
    }

    /// Waits for whatever comes next: messages or chunks, pings and pongs, the peer's Close frame.
    ///
    /// Pings and Close frames have been answered when they are seen. Use it where the configuration asks for
    /// [chunks](crate::Delivery::Chunks). `None` is the clean end. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`recv`](Self::recv).
    pub async fn recv_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        let find = |endpoint: &mut Endpoint<_>| endpoint.find(None, |_| true);
        let found = poll_fn(|context| self.poll_with(RECEIVER, context, find)).await?;
        let Some(found) = found else { return Ok(None) };
        let Self { endpoint: Endpoint { link, input, .. }, member, .. } = self;
        match link.connection.lend(link.now, found, input.lent(), link.out.sink()) {
            Ok(event) => Ok(Some(event)),
            Err(_) => poll_fn(|context| poll_finish(link, member, context)).await.map(|()| None),
        }
    }

    fn route(&mut self) -> Route<'_, S, R> {
        Route::Link(&mut self.endpoint.link)
    }

    /// Sends a message; it has left when this returns.
    ///
    /// If the future is dropped, the message was taken whole or not at all; what was taken leaves with the next call.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] if the message cannot be sent; otherwise the end of the connection.
    pub async fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.route().send(Outgoing::Message(&message.into())).await
    }

    /// Queues a message; it leaves before the next receive sleeps, with [`flush`](Self::flush), or once 256 KiB wait.
    ///
    /// A server's large one (16 KiB, not compressed) leaves at once and without a copy where it answers a large one behind
    /// which nothing lies unread, over a stream with vectored writes. That the stream fails then is told by the next
    /// receive, as for what is queued.
    ///
    /// It waits only while the queue is full ([`max_queued_output`](crate::Config::max_queued_output)). If the future
    /// is dropped, the message was taken whole or not at all.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> impl Future<Output = Result<(), Error>> {
        feed(&mut self.endpoint.link, message)
    }

    /// Sends a message that was encoded once for many connections; it has left when this returns.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.route().send(Outgoing::Prepared(prepared)).await
    }

    /// Queues a message that was encoded once for many connections; see [`feed`](Self::feed).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub async fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.route().feed(Outgoing::Prepared(prepared)).await
    }

    /// Writes everything that is queued. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// The end of the connection.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.route().flush().await
    }

    /// Sends the next fragment of a message that is streamed out; see [`Connection::send_fragment`]. For bytes of any
    /// length there is the [message writer](Self::message_writer).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub async fn send_fragment<'m>(
        &mut self,
        fragment: impl Into<Message<'m>>,
        fin: Fin,
    ) -> Result<(), Error> {
        self.route().send(Outgoing::Fragment(Author::CALLS, &fragment.into(), fin)).await
    }

    /// Sends on a chunk that another connection received; see [`Connection::send_chunk`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub async fn send_chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), Error> {
        self.route().send(Outgoing::Chunk(Author::CALLS, chunk)).await
    }

    /// Sends a ping with a payload of at most 125 bytes; its pong is an event of [`recv_event`](Self::recv_event).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.route().send(Outgoing::Ping(payload)).await
    }

    /// Sends a pong that nobody asked for; pings are answered without it.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.route().send(Outgoing::Pong(payload)).await
    }

    /// Closes the connection: sends the Close frame and waits for the peer's and for the end of the stream.
    ///
    /// Messages that still come are thrown away; who wants them calls [`start_close`](Self::start_close) and goes
    /// on receiving. It waits for the [close timeout](crate::Config::close_timeout()) (default 10 s) at most, and before
    /// that once more at most as long for what is queued to leave, however slowly the peer takes it. On a connection that
    /// is closing already it only waits. Dropping the future leaves the closing handshake to the next call.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] for a code or a reason that must not be sent; otherwise as [`recv`](Self::recv).
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        poll_fn(|context| self.poll_closed(context, code, reason)).await
    }

    pub(super) fn poll_closed(
        &mut self,
        context: &mut Context<'_>,
        code: CloseCode,
        reason: &str,
    ) -> Poll<Result<(), Error>> {
        self.poll_with(SENDER, context, |endpoint| {
            if endpoint.link.connection.state() == State::Open {
                // Any other error is the end of the connection, and the verdict below.
                if let Err(error @ Error::Send(_)) = endpoint.link.send(Outgoing::Close(code, reason)) {
                    return Err(error);
                }
            }
            endpoint.wait_for_end()
        })
    }

    /// Drops everything that is still received, in whatever form it is delivered, and returns how the connection ended.
    #[cfg(feature = "rand")]
    pub(super) fn poll_end(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_with(RECEIVER, context, Endpoint::wait_for_end)
    }

    /// Sends the Close frame and returns; go on receiving until the end.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`close`](Self::close).
    pub async fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.route().send(Outgoing::Close(code, reason)).await
    }

    /// Makes the connection one of a set that is shut down together.
    pub fn join(&mut self, group: &Group<R>) {
        self.member = Some(Box::new(group.member()));
    }

    /// The subprotocol that both ends agreed on, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.endpoint.subprotocol()
    }

    /// The server's response, for its headers and cookies; `None` on a server.
    #[must_use]
    pub fn response(&self) -> Option<&ResponseHead> {
        self.endpoint.response()
    }

    /// How many encoded bytes wait for the stream.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.endpoint.link.out.len()
    }

    /// How the connection ended, once it has.
    #[must_use]
    pub fn summary(&self) -> Option<Summary<'_>> {
        self.endpoint.link.connection.summary()
    }

    /// The state of the protocol, for its questions: state, round-trip time and so on.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.endpoint.link.connection
    }

    /// Switches the compression of messages that begin to be sent from now on; see [`Connection::set_compression`].
    #[cfg(feature = "deflate")]
    pub fn set_compression(&mut self, on: bool) {
        self.endpoint.link.connection.set_compression(on);
    }

    /// The stream, to ask for its address.
    #[must_use]
    pub const fn stream(&self) -> &S {
        &self.endpoint.link.stream.io
    }

    /// The stream, to set its options. Bytes read or written here are missing there.
    #[must_use]
    pub const fn stream_mut(&mut self) -> &mut S {
        &mut self.endpoint.link.stream.io
    }

    /// Takes the connection apart without losing a byte.
    #[must_use]
    pub fn into_parts(self) -> Parts<S> {
        self.endpoint.into_parts().map_transport(|stream| stream.io)
    }

    /// Does `act` for `side` until it need not wait any more; meanwhile the deadlines go on.
    pub(super) fn poll_with<T>(
        &mut self,
        side: u64,
        context: &Context<'_>,
        mut act: impl FnMut(&mut Endpoint<Polled<S, R>>) -> Result<T, Error>,
    ) -> Poll<Result<T, Error>> {
        let (result, post_poll) = drive(self, side, context, |ws| act(&mut ws.endpoint));
        post_poll.run();
        result
    }
}

impl<S, R: Io<S>> Driven<S, R> for WebSocket<S, R> {
    fn link(&mut self) -> &mut Link<Polled<S, R>> {
        &mut self.endpoint.link
    }

    /// Begins to close when the group does, and leaves it at the end.
    fn check_shutdown(&mut self) -> Option<Box<Member>> {
        let link = &mut self.endpoint.link;
        if self.member.as_mut()?.is_closing(link.stream.waker()) {
            // A connection that is closing already goes on with that.
            let _ = link.send(Outgoing::Close(CloseCode::GOING_AWAY, ""));
        }
        if link.connection.state() == State::Closed { self.member.take() } else { None }
    }
}
