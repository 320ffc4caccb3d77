//! A client that connects again by itself.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::time::Instant;

use super::runtime::{Io, Runtime};
use super::{Error, WebSocket};
use crate::client::{self, Reconnect, Socket};
use crate::engine::SendQueue;
use crate::{CloseCode, Connection, Message};

/// A client that connects again by itself, over an asynchronous runtime.
pub type Reconnecting<S, R> = client::Reconnecting<WebSocket<S, R>>;

type Opening<W> = Pin<Box<dyn Future<Output = Result<W, Error>> + Send>>;

/// Opens connections in the tasks that receive.
#[allow(missing_debug_implementations, reason = "applications cannot name it")]
pub struct Opener<S, R: Runtime> {
    open: Box<dyn FnMut() -> Opening<WebSocket<S, R>> + Send>,
    /// The attempt that is being made.
    opening: Option<Opening<WebSocket<S, R>>>,
    timer: Option<Pin<Box<R::Timer>>>,
    epoch: Instant,
}

impl<S, R: Io<S>> client::Opener<WebSocket<S, R>> for Opener<S, R> {
    fn now(&self) -> Duration {
        R::now().saturating_duration_since(self.epoch)
    }

    fn poll_wait(
        &mut self,
        context: &mut Context<'_>,
        due: Duration,
        _: Option<Duration>,
    ) -> Poll<Result<(), Error>> {
        if !due.is_zero() {
            let left = due.saturating_sub(self.now());
            ready!(self.timer.get_or_insert_with(|| Box::pin(R::sleep(left))).as_mut().poll(context));
            self.timer = None;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<Result<WebSocket<S, R>, Error>> {
        let opened = ready!(self.opening.get_or_insert_with(&mut self.open).as_mut().poll(context));
        self.opening = None;
        Poll::Ready(opened)
    }

    fn cancel(&mut self) {
        (self.opening, self.timer) = (None, None);
    }
}

impl<S, R: Io<S>> Socket for WebSocket<S, R> {
    type Opener = Opener<S, R>;

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        _: Option<Duration>,
    ) -> Poll<Result<Option<Message<'static>>, Error>> {
        self.poll_recv(context)
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_end(context)
    }
    fn output_counts(&self) -> (u64, u64) {
        self.endpoint.link.output_counts()
    }

    fn drain(&mut self, queue: &Arc<SendQueue>) {
        self.endpoint.link.drain(queue);
    }

    fn connection(&self) -> &Connection {
        &self.endpoint.link.connection
    }
}

/// Over an asynchronous runtime, as `tokio::Reconnecting` for instance.
impl<S: Send + 'static, R: Io<S>> client::Reconnecting<WebSocket<S, R>> {
    /// Connects with `open`, which also sets up the session: it logs in, subscribes, asks for a new token before.
    ///
    /// Until it is done there is no connection, and messages wait or not as the policy says. It has no time limit but those
    /// of its own.
    #[must_use]
    pub fn new<F>(policy: Reconnect, mut open: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<WebSocket<S, R>, Error>> + Send + 'static,
    {
        let open = Box::new(move || Box::pin(open()) as Opening<_>);
        Self::with_opener(policy, Opener { open, opening: None, timer: None, epoch: R::now() })
    }

    /// Waits for the next message, over as many connections as it takes. `None`: the connection was closed for good.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// The last error, once the stop condition holds; after that `None`.
    pub async fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        poll_fn(|context| self.poll_next(context, None)).await
    }

    /// Waits for an open connection and lends it: to receive messages where they lie, or all events. `None`: the
    /// connection was closed for good.
    ///
    /// Call it again when that connection has ended, whatever its calls returned. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`recv`](Self::recv).
    pub async fn connected(&mut self) -> Result<Option<&mut WebSocket<S, R>>, Error> {
        poll_fn(|context| self.poll_connected(context)).await?;
        Ok(self.socket())
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
    pub async fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        if !self.queue(message.into()).await? {
            return Ok(());
        }
        let flushed = match self.socket() {
            Some(socket) => socket.flush().await,
            None => Ok(()),
        };
        self.flushed(flushed)
    }

    /// Queues a message; with a connection it leaves before the next receive waits, otherwise the policy decides as for
    /// [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub async fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.queue(message.into()).await.map(drop)
    }

    /// Returns whether a connection has taken the message.
    async fn queue(&mut self, message: Message<'_>) -> Result<bool, Error> {
        let Some((socket, sending)) = self.start_send(&message) else { return self.put(message) };
        let taken = socket.feed(&message).await;
        self.taken(message, sending, taken)
    }

    /// Closes the connection, if there is one, and connects no more, also if closing fails or the future is dropped.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::close`]. After [`Error::Send`] nothing was closed, and all goes on as before.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let Some(socket) = self.start_close() else { return Ok(()) };
        let closed = socket.close(code, reason).await;
        self.closed(closed)
    }
}
