//! One connection, used by several tasks at once.

use alloc::sync::Arc;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::tokio::io::{AsyncRead, AsyncWrite};

use super::drive::drive;
use super::polled::Polled;
use super::waiting::{RECEIVER, SENDER, Waiting};
use super::{Error, WebSocket};
use crate::stream::{Endpoint, Link, lend};
use crate::{Chunk, CloseCode, Connection, Event, Fin, Message, Prepared};

/// The receiving half of a connection; see [`WebSocket::split`].
///
/// It answers pings, watches the deadlines and writes what the other half queued. When it is dropped nobody does.
#[derive(Debug)]
pub struct ReceiveHalf<S> {
    shared: Arc<Shared<S>>,
    /// Whether the trait `Stream` has told the end.
    #[cfg(feature = "futures-core")]
    pub(super) stream_ended: bool,
}

/// A sending half of a connection, which can be cloned for any number of tasks; see [`WebSocket::split`].
///
/// The stream stays open as long as a half is left: after the end, which the receiving half tells, drop them all.
#[derive(Debug)]
pub struct SendHalf<S> {
    shared: Arc<Shared<S>>,
    number: u64,
}

/// The lock is held while a half is polled and never across an await.
#[derive(Debug)]
struct Shared<S> {
    ws: Mutex<WebSocket<S>>,
    waiting: Arc<Waiting>,
    next: AtomicU64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Splits the connection into halves for different tasks; the sending half can be cloned.
    ///
    /// No half holds a lock across an await. Pongs and Close frames go out also if only the receiving half is used.
    ///
    #[cfg_attr(feature = "rand", doc = "```")]
    #[cfg_attr(not(feature = "rand"), doc = "```ignore")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), sansocket::tokio::Error> {
    /// # let (ws, mut peer) = sansocket::tokio::pair(sansocket::Config::default());
    /// let (mut rx, mut tx) = ws.split();
    /// let sending = tokio::spawn(async move { tx.send("from another task").await });
    /// assert_eq!(peer.recv().await?, Some("from another task".into()));
    /// peer.send("to this one").await?;
    /// assert_eq!(rx.recv().await?, Some("to this one".into()));
    /// # sending.await.unwrap()
    /// # }
    /// ```
    #[must_use]
    pub fn split(mut self) -> (ReceiveHalf<S>, SendHalf<S>) {
        let waiting = self.endpoint.link.stream.share().clone();
        let shared = Arc::new(Shared { ws: Mutex::new(self), waiting, next: AtomicU64::new(SENDER) });
        (ReceiveHalf::new(shared.clone()), SendHalf::new(shared))
    }
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, WebSocket<S>> {
        self.ws.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shared<S> {
    /// Does `act` for half `number` until it need not wait any more; meanwhile the deadlines go on.
    fn poll_with<R>(
        &self,
        number: u64,
        context: &Context<'_>,
        mut act: impl FnMut(&mut Endpoint<Polled<S>>) -> Result<R, Error>,
    ) -> Poll<Result<R, Error>> {
        let mut ws = self.lock();
        let (result, afterwards) = drive(&mut *ws, number, context, |ws| act(&mut ws.endpoint));
        drop(ws);
        afterwards.settle();
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ReceiveHalf<S> {
    /// Waits for the next message; see [`WebSocket::recv`]. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// [`recv`](Self::recv) as a poll.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Message<'static>>, Error>> {
        self.shared.poll_with(RECEIVER, context, |endpoint| endpoint.recv_until(None))
    }

    /// Waits for whatever comes next, owned; see [`WebSocket::recv_event`]. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn recv_event(&mut self) -> Result<Option<Event<'static>>, Error> {
        poll_fn(|context| {
            self.shared.poll_with(RECEIVER, context, |endpoint| {
                let Some(found) = endpoint.find(None, |_| true)? else { return Ok(None) };
                let Endpoint { link, input } = endpoint;
                Ok(lend(link, found, input.lent(), None)?.map(Event::into_owned))
            })
        })
        .await
    }

    /// Asks the connection something: its state, how it ended, its round-trip time.
    pub fn connection<R>(&self, ask: impl FnOnce(&Connection) -> R) -> R {
        ask(&self.shared.lock().endpoint.link.connection)
    }

    /// Puts the connection together again, without losing a byte.
    ///
    /// # Errors
    ///
    /// Both halves, if they belong to different connections or a clone of the sending half still exists.
    pub fn reunite(self, other: SendHalf<S>) -> Result<WebSocket<S>, (Self, SendHalf<S>)> {
        if !Arc::ptr_eq(&self.shared, &other.shared) || Arc::strong_count(&self.shared) > 2 {
            return Err((self, other));
        }
        drop(other);
        let shared = self.shared.clone();
        drop(self);
        match Arc::try_unwrap(shared) {
            Ok(shared) => Ok(shared.ws.into_inner().unwrap_or_else(PoisonError::into_inner)),
            // A clone was made in between: this half has become two again.
            Err(shared) => Err((Self::new(shared.clone()), SendHalf::new(shared))),
        }
    }
}

impl<S> ReceiveHalf<S> {
    const fn new(shared: Arc<Shared<S>>) -> Self {
        Self {
            shared,
            #[cfg(feature = "futures-core")]
            stream_ended: false,
        }
    }
}

impl<S> SendHalf<S> {
    fn new(shared: Arc<Shared<S>>) -> Self {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        Self { shared, number }
    }
}

impl<S> Clone for SendHalf<S> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl<S> Drop for ReceiveHalf<S> {
    fn drop(&mut self) {
        drop(self.shared.waiting.remove(RECEIVER));
    }
}

impl<S> Drop for SendHalf<S> {
    fn drop(&mut self) {
        drop(self.shared.waiting.remove(self.number));
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> SendHalf<S> {
    /// Sends a message; see [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        let message = message.into();
        self.until_done(|link| link.send(&message)).await?;
        self.flush().await
    }

    /// Queues a message, which the receiving half writes before it sleeps; see [`WebSocket::feed`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        let message = message.into();
        self.until_done(|link| link.feed(&message)).await
    }

    /// Queues a message if there is room for it at once, for hubs that do not wait for their slowest member.
    ///
    /// The receiving half writes it. Who is behind can be left out, or closed with
    /// [`start_close`](Self::start_close).
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] while [`max_queued_output`](crate::Config::max_queued_output) bytes wait: nothing was
    /// taken. Otherwise as [`feed`](Self::feed).
    pub fn try_feed<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        let message = message.into();
        self.with_link(|link| if link.is_full() { Err(Error::WouldBlock) } else { link.take(&message) })
    }

    /// Queues a prepared message if there is room for it at once; see [`try_feed`](Self::try_feed).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_feed_prepared(&self, prepared: &Prepared) -> Result<(), Error> {
        self.with_link(
            |link| {
                if link.is_full() { Err(Error::WouldBlock) } else { link.take_prepared(prepared) }
            },
        )
    }

    /// How many encoded bytes wait for the stream.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.lock().endpoint.link.out.len()
    }

    /// Asks the connection something: its state, how it ended, its round-trip time.
    pub fn connection<R>(&self, ask: impl FnOnce(&Connection) -> R) -> R {
        ask(&self.shared.lock().endpoint.link.connection)
    }

    /// Sends a prepared message; see [`WebSocket::send_prepared`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.until_done(|link| link.send_prepared(prepared)).await?;
        self.flush().await
    }

    /// Queues a prepared message; see [`WebSocket::feed_prepared`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.until_done(|link| link.feed_prepared(prepared)).await
    }

    /// Sends a fragment; see [`WebSocket::send_fragment`]. Other clones cannot send messages until the final one.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_fragment<'m>(
        &mut self,
        fragment: impl Into<Message<'m>>,
        fin: Fin,
    ) -> Result<(), Error> {
        let fragment = fragment.into();
        self.until_done(|link| link.send_fragment(&fragment, fin)).await?;
        self.flush().await
    }

    /// Sends on a chunk; see [`WebSocket::send_chunk`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), Error> {
        self.until_done(|link| link.send_chunk(chunk)).await?;
        self.flush().await
    }

    /// Writes everything that is queued; see [`WebSocket::flush`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn flush(&mut self) -> Result<(), Error> {
        // Not until nothing waits at all: other senders may go on and on.
        let mut queued = None;
        self.until_done(|link| {
            let queued = *queued.get_or_insert_with(|| link.out.queued_in_all());
            link.flush_until(queued)
        })
        .await
    }

    /// Sends a ping; see [`WebSocket::ping`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.until_done(|link| link.ping(payload)).await?;
        self.flush().await
    }

    /// Sends a pong; see [`WebSocket::pong`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.until_done(|link| link.pong(payload)).await?;
        self.flush().await
    }

    /// Sends the Close frame; the receiving half goes on until the end. See [`WebSocket::start_close`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.until_done(|link| link.start_close(code, reason)).await?;
        self.flush().await
    }

    async fn until_done<R>(
        &mut self,
        mut act: impl FnMut(&mut Link<Polled<S>>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        poll_fn(|context| self.poll_with(context, &mut act)).await
    }

    /// What neither writes nor waits.
    pub(super) fn with_link<R>(&self, act: impl FnOnce(&mut Link<Polled<S>>) -> R) -> R {
        let mut ws = self.shared.lock();
        let result = act(&mut ws.endpoint.link);
        drop(ws);
        // The receiving half writes what is queued before it sleeps: also if it sleeps already.
        self.shared.waiting.wake_all_but(self.number);
        result
    }

    pub(super) fn poll_with<R>(
        &mut self,
        context: &Context<'_>,
        mut act: impl FnMut(&mut Link<Polled<S>>) -> Result<R, Error>,
    ) -> Poll<Result<R, Error>> {
        self.shared.poll_with(self.number, context, |endpoint| act(&mut endpoint.link))
    }
}
