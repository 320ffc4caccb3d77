//! A client that connects again by itself.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::thread;

use super::client_stream::ClientStream;
use super::clock::Clock;
use super::{Connector, Error, Transport, WebSocket};
use crate::client::{self, Reconnect, Socket};
use crate::engine::SendQueue;
use crate::{CloseCode, Connection, Message};

/// A client that connects again whenever its connection ends, until the stop condition of its [`Reconnect`] holds.
///
/// It does so inside [`recv`](Self::recv) and [`recv_timeout`](Self::recv_timeout), on the thread that calls them; an
/// attempt is not interrupted.
///
/// ```no_run
/// use sansocket::blocking::{Connector, Error, Reconnecting};
/// use sansocket::client::Reconnect;
///
/// let mut ws = Reconnecting::new(Reconnect::new(), || {
///     let mut ws = Connector::new("ws://news.example/").header("Authorization", "Bearer 0815").connect()?;
///     ws.send("subscribe: weather")?; // sets the session up, each time again
///     Ok(ws)
/// });
/// while let Some(message) = ws.recv()? {
///     println!("{message:?}");
/// }
/// # Ok::<(), Error>(())
/// ```
///
/// [What becomes of messages](client::Reconnecting#what-becomes-of-messages) is the same in all adapters.
pub type Reconnecting<S = ClientStream> = client::Reconnecting<WebSocket<S>>;

/// Opens connections on the thread that calls.
#[allow(missing_debug_implementations, reason = "applications cannot name it")]
pub struct Opener<S> {
    open: Box<dyn FnMut() -> Result<WebSocket<S>, Error> + Send>,
    clock: Clock,
}

impl<S: Transport> client::Opener<WebSocket<S>> for Opener<S> {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn poll_wait(
        &mut self,
        _: &mut Context<'_>,
        due: Duration,
        until: Option<Duration>,
    ) -> Poll<Result<(), Error>> {
        let wake = until.map_or(due, |until| until.min(due));
        thread::sleep(wake.saturating_sub(self.clock.now()));
        Poll::Ready(if wake < due { Err(Error::TimedOut) } else { Ok(()) })
    }

    fn poll_open(&mut self, _: &mut Context<'_>) -> Poll<Result<WebSocket<S>, Error>> {
        Poll::Ready((self.open)())
    }
}

impl<S: Transport> Socket for WebSocket<S> {
    type Opener = Opener<S>;

    fn output_counts(&self) -> (u64, u64) {
        self.endpoint.link.output_counts()
    }

    fn drain(&mut self, queue: &Arc<SendQueue>) {
        self.endpoint.link.drain(queue);
    }

    fn connection(&self) -> &Connection {
        &self.endpoint.link.connection
    }

    fn poll_next(
        &mut self,
        _: &mut Context<'_>,
        timeout: Option<Duration>,
    ) -> Poll<Result<Option<Message<'static>>, Error>> {
        Poll::Ready(match timeout {
            None => self.recv(),
            Some(timeout) => self.recv_timeout(timeout),
        })
    }

    fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(self.endpoint.wait_for_end())
    }
}

impl Reconnecting {
    /// Connects as `connector` says, each time anew.
    #[must_use]
    pub fn with_connector(policy: Reconnect, connector: Connector) -> Self {
        Self::new(policy, move || connector.connect())
    }
}

/// Over `std`'s streams: [`blocking::Reconnecting`](Reconnecting).
impl<S: Transport> client::Reconnecting<WebSocket<S>> {
    /// Connects with `open`, which also sets up the session: it logs in, subscribes, asks for a new token before.
    #[must_use]
    pub fn new(
        policy: Reconnect,
        open: impl FnMut() -> Result<WebSocket<S>, Error> + Send + 'static,
    ) -> Self {
        Self::with_opener(policy, Opener { open: Box::new(open), clock: Clock::start() })
    }

    /// Waits for the next message, over as many connections as it takes. `None`: the connection was closed for good.
    ///
    /// # Errors
    ///
    /// The last error, once the stop condition holds; after that `None`.
    pub fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        block_on(|context| self.poll_next(context, None))
    }

    /// Waits for the next message, but at most for `timeout`, and beyond it for an attempt to connect that has begun.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when the time is over; nothing is lost and the next call goes on. Otherwise the same as
    /// [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'static>>, Error> {
        let until = client::Opener::now(self.opener()).checked_add(timeout);
        block_on(|context| self.poll_next(context, until))
    }

    /// Waits for an open connection and lends it: to receive messages where they lie, or all events. `None`: the
    /// connection was closed for good.
    ///
    /// Call it again when that connection has ended, whatever its calls returned.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`recv`](Self::recv).
    pub fn connected(&mut self) -> Result<Option<&mut WebSocket<S>>, Error> {
        block_on(|context| self.poll_connected(context))?;
        Ok(self.socket())
    }

    /// Queues a message; with a connection it leaves before the next receive waits, otherwise the policy decides as for
    /// [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.queue(message.into()).map(drop)
    }

    /// Returns whether a connection has taken the message.
    fn queue(&mut self, message: Message<'_>) -> Result<bool, Error> {
        let Some((socket, sending)) = self.start_send(&message) else { return self.put(message) };
        let taken = socket.feed(&message);
        self.taken(message, sending, taken)
    }

    /// Sends a message. When this returns, the message has left, or is queued, or was dropped, as the policy says.
    ///
    /// While queued messages have not been handed to the connection yet, the message is queued behind them.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`]: there is no connection, or the queue is still full from when there was none; the message was
    /// not taken. [`Error::Send`]: the message cannot be sent. Any other error: the connection failed with this message on
    /// its way. It is not sent again and not counted as lost, and the peer may have received it.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        if !self.queue(message.into())? {
            return Ok(());
        }
        let flushed = self.socket().map_or(Ok(()), WebSocket::flush);
        self.flushed(flushed)
    }

    /// Closes the connection, if there is one, and connects no more, also if closing fails.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::close`]. After [`Error::Send`] nothing was closed, and all goes on as before.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let Some(socket) = self.start_close() else { return Ok(()) };
        let closed = socket.close(code, reason);
        self.closed(closed)
    }
}

/// Calls what is always ready here.
fn block_on<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<Result<T, Error>>) -> Result<T, Error> {
    match poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => Err(Error::WouldBlock),
    }
}
