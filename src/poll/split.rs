//! One connection, used by several tasks at once.

use alloc::sync::Arc;
use core::fmt;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::call::drive;
use super::fast::FastPoll;
use super::keys::SharedKeys;
use super::polled::Polled;
use super::runtime::{Io, Runtime};
use super::sender::Route;
use super::waiting::{Audience, NOBODY, RECEIVER, SENDER, Waiting};
use super::{Error, WebSocket};
use crate::engine::{Author, Bounds, Endpoint, Link, Outgoing};
use crate::{Chunk, CloseCode, Event, Fin, Message, Prepared, State, Summary};

/// The receiving half of a connection; see [`WebSocket::split`].
///
/// It answers pings, watches the deadlines and writes what the other half queued. When it is dropped nobody does.
pub struct ReceiveHalf<S, R: Runtime> {
    shared: Arc<Shared<S, R>>,
    /// Whether the trait `Stream` has told the end.
    #[cfg(feature = "futures-core")]
    pub(super) stream_ended: bool,
}

/// A sending half of a connection, which can be cloned for any number of tasks; see [`WebSocket::split`].
///
/// The stream stays open as long as a half is left: after the end, which the receiving half tells, drop them all.
pub struct SendHalf<S, R: Runtime> {
    shared: Arc<Shared<S, R>>,
    number: u64,
    bounds: Bounds,
    /// Whether it ever sent a part of a message, so that one of its messages may be open.
    has_begun: bool,
}

/// The lock is held while a half is polled and never across an await. Nothing of the application runs under it but
/// the poll methods of the stream.
struct Shared<S, R: Runtime> {
    ws: Mutex<WebSocket<S, R>>,
    waiting: Arc<Waiting>,
    next: AtomicU64,
    /// The application's source of masking keys, if there is one.
    keys: Option<SharedKeys>,
}

impl<S, R: Io<S>> WebSocket<S, R> {
    /// Splits the connection into halves for different tasks; the sending half can be cloned.
    ///
    /// No half holds a lock across an await. Pongs and Close frames go out also if only the receiving half is used.
    ///
    /// The halves share a lock. Of your code only the poll methods of the stream, and the errors that these return, run
    /// under it: they must not use a half of the same connection. Wakers, the owners of shared payloads and the source of
    /// [masking keys](crate::MaskKeys::from_fn) run without the lock. The halves ask that source for up to eight keys ahead.
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
    pub fn split(mut self) -> (ReceiveHalf<S, R>, SendHalf<S, R>) {
        let link = &mut self.endpoint.link;
        let waiting = link.stream.split();
        link.out.keep_sent(true);
        let keys = link.connection.detach_keys().map(SharedKeys::new);
        if let Some(member) = &mut self.member {
            // The group drops the waker of the task that had the whole connection here, not under the lock.
            member.is_closing(link.stream.waker());
        }
        let is_fragmenting = link.connection.fragmenting().is_some();
        let shared = Shared { ws: Mutex::new(self), waiting, next: AtomicU64::new(SENDER), keys };
        let shared = Arc::new(shared);
        let mut half = SendHalf::new(shared.clone());
        // An open message is the first half's, which has the number of the owner.
        half.has_begun = is_fragmenting;
        (ReceiveHalf::new(shared), half)
    }
}

impl<S, R: Runtime> Shared<S, R> {
    fn lock(&self) -> MutexGuard<'_, WebSocket<S, R>> {
        self.ws.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unite(self) -> WebSocket<S, R> {
        let mut ws = self.ws.into_inner().unwrap_or_else(PoisonError::into_inner);
        let link = &mut ws.endpoint.link;
        link.stream.reunite();
        link.out.keep_sent(false);
        if let Some(source) = self.keys.and_then(SharedKeys::into_source) {
            link.connection.attach_keys(source);
        }
        ws
    }
}

/// Without the connection, which would be shown under the lock.
impl<S, R: Runtime> fmt::Debug for ReceiveHalf<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveHalf").finish_non_exhaustive()
    }
}

impl<S, R: Runtime> fmt::Debug for SendHalf<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendHalf").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<S, R: Io<S>> Shared<S, R> {
    /// Does `act` for half `number` until it need not wait any more; meanwhile the deadlines go on.
    fn poll_with<T>(
        &self,
        number: u64,
        context: &Context<'_>,
        mut act: impl FnMut(&mut Endpoint<Polled<S, R>>) -> Result<T, Error>,
    ) -> Poll<Result<T, Error>> {
        self.draw_keys();
        loop {
            let mut polling = self.waiting.begin_poll(number, context.waker());
            let mut ws = self.lock();
            let (result, post_poll) = drive(&mut *ws, number, context, |ws| act(&mut ws.endpoint));
            let lacks_keys = result.is_pending() && ws.endpoint.link.connection.lacks_keys();
            drop(ws);
            polling.has_ended = result.is_ready();
            drop(polling);
            post_poll.run();
            if !(lacks_keys && self.draw_keys()) {
                return result;
            }
        }
    }

    /// Receives where nothing but messages comes and goes; `None` if anything else has to be done first.
    fn poll_recv_fast(&self, context: &Context<'_>) -> Option<Poll<Result<Option<Message<'static>>, Error>>> {
        // Dropped without the lock.
        let mut polling = None;
        let mut ws = self.lock();
        let before = ws.endpoint.link.snapshot();
        let mut received = ws.endpoint.recv_buffered();
        let mut is_pending = false;
        if received.is_none() {
            let polling = polling.insert(self.waiting.begin_poll(RECEIVER, context.waker()));
            let fast = ws.poll_fast_shared(context);
            if let FastPoll::Read = fast {
                received = ws.endpoint.recv_buffered();
            }
            is_pending = matches!(fast, FastPoll::Pending);
            polling.has_ended = !is_pending;
        }
        let audience =
            if received.is_none() { Audience::of(before, ws.endpoint.link.snapshot()) } else { None };
        drop(ws);
        drop(polling);
        if let Some(audience) = audience {
            self.waiting.wake_others(RECEIVER, audience);
        }
        match received {
            Some(message) => Some(Poll::Ready(Ok(Some(message)))),
            None => is_pending.then_some(Poll::Pending),
        }
    }

    /// Draws the keys that the connection lacks, without its lock; `false` if that is done elsewhere, which wakes those
    /// who wait.
    fn draw_keys(&self) -> bool {
        let Some(keys) = &self.keys else { return true };
        let stock =
            |ws: &mut WebSocket<S, R>| ws.endpoint.link.connection.key_stock().map_or(0, |it| it.lacking());
        let lacking = stock(&mut self.lock());
        if lacking == 0 {
            return true;
        }
        let Some(mut drawing) = keys.begin() else { return false };
        for _ in 0..lacking {
            let key = drawing.next();
            let has_failed = key.is_err();
            if let Some(stock) = self.lock().endpoint.link.connection.key_stock() {
                stock.add(key);
            }
            if has_failed {
                break;
            }
        }
        if drawing.end() {
            self.waiting.wake_all_but(NOBODY);
        }
        true
    }
}

impl<S, R: Io<S>> ReceiveHalf<S, R> {
    /// Waits for the next message; see [`WebSocket::recv`]. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::recv`].
    pub async fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// [`recv`](Self::recv) as a poll.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`recv`](Self::recv).
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Message<'static>>, Error>> {
        match self.shared.poll_recv_fast(context) {
            Some(received) => received,
            None => self.shared.poll_with(RECEIVER, context, |endpoint| endpoint.recv_until(None)),
        }
    }

    /// Waits for whatever comes next, owned; see [`WebSocket::recv_event`]. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::recv_event`].
    pub async fn recv_event(&mut self) -> Result<Option<Event<'static>>, Error> {
        let recv = |endpoint: &mut Endpoint<_>| endpoint.recv_event(|_| true);
        poll_fn(|context| self.shared.poll_with(RECEIVER, context, recv)).await
    }

    /// Returns the state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.lock().endpoint.link.connection.state()
    }

    /// Returns how the connection ended, once it has.
    #[must_use]
    pub fn summary(&self) -> Option<Summary<'static>> {
        self.shared.lock().endpoint.link.connection.summary().map(Summary::into_owned)
    }

    /// Returns the time between the latest keepalive ping and its pong, once there was one.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.shared.lock().endpoint.link.connection.rtt()
    }

    /// Puts the connection together again, without losing a byte.
    ///
    /// # Errors
    ///
    /// Both halves, if they belong to different connections or a clone of the sending half still exists.
    pub fn reunite(self, mut other: SendHalf<S, R>) -> Result<WebSocket<S, R>, (Self, SendHalf<S, R>)> {
        if !Arc::ptr_eq(&self.shared, &other.shared) || Arc::strong_count(&self.shared) > 2 {
            return Err((self, other));
        }
        // Its open message, if there is one, becomes the owner's.
        self.shared.lock().endpoint.link.author.unite(other.number);
        other.has_begun = false;
        drop(other);
        let shared = self.shared.clone();
        drop(self);
        match Arc::try_unwrap(shared) {
            Ok(shared) => Ok(shared.unite()),
            // Not reached: only a sending half can be cloned, and there was no other one.
            Err(shared) => Err((Self::new(shared.clone()), SendHalf::new(shared))),
        }
    }
}

impl<S, R: Runtime> ReceiveHalf<S, R> {
    const fn new(shared: Arc<Shared<S, R>>) -> Self {
        Self {
            shared,
            #[cfg(feature = "futures-core")]
            stream_ended: false,
        }
    }
}

impl<S, R: Runtime> SendHalf<S, R> {
    fn new(shared: Arc<Shared<S, R>>) -> Self {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        Self { shared, number, bounds: Bounds::default(), has_begun: false }
    }
}

impl<S, R: Runtime> Clone for SendHalf<S, R> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl<S, R: Runtime> Drop for ReceiveHalf<S, R> {
    fn drop(&mut self) {
        drop(self.shared.waiting.remove(RECEIVER));
    }
}

impl<S, R: Runtime> Drop for SendHalf<S, R> {
    fn drop(&mut self) {
        drop(self.shared.waiting.remove(self.number));
        if self.has_begun {
            self.shared.lock().endpoint.link.author.leave(self.number);
        }
    }
}

impl<S, R: Io<S>> SendHalf<S, R> {
    /// Sends a message; see [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::send`].
    pub async fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        Route::Half(self).send(Outgoing::Message(&message.into())).await
    }

    /// Queues a message, which the receiving half writes before it sleeps; see [`WebSocket::feed`].
    ///
    /// While the queue is full it waits, at most until everything has left that was queued when it began to. Then the
    /// message is taken even if others have filled the queue again, so that it may exceed its limit by one message for
    /// each half.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::feed`].
    pub async fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        Route::Half(self).feed(Outgoing::Message(&message.into())).await
    }

    /// Queues a message if there is room for it at once, for hubs that do not wait for their slowest member.
    ///
    /// The receiving half writes it. Who is behind can be left out, or closed with
    /// [`start_close`](Self::start_close).
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] while [`max_queued_output`](crate::Config::max_queued_output) bytes wait, or while another
    /// call runs the application's source of masking keys: nothing was taken. Otherwise as [`feed`](Self::feed).
    pub fn try_feed<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.try_queue(Outgoing::Message(&message.into()), false)
    }

    /// Queues a prepared message if there is room for it at once; see [`try_feed`](Self::try_feed).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`try_feed`](Self::try_feed).
    pub fn try_feed_prepared(&self, prepared: &Prepared) -> Result<(), Error> {
        self.try_queue(Outgoing::Prepared(prepared), false)
    }

    /// How many encoded bytes wait for the stream.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.lock().endpoint.link.out.len()
    }

    /// Returns the state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.lock().endpoint.link.connection.state()
    }

    /// Returns how the connection ended, once it has.
    #[must_use]
    pub fn summary(&self) -> Option<Summary<'static>> {
        self.shared.lock().endpoint.link.connection.summary().map(Summary::into_owned)
    }

    /// Returns the time between the latest keepalive ping and its pong, once there was one.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.shared.lock().endpoint.link.connection.rtt()
    }

    /// Sends a prepared message; see [`WebSocket::send_prepared`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::send_prepared`].
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        Route::Half(self).send(Outgoing::Prepared(prepared)).await
    }

    /// Queues a prepared message; see [`WebSocket::feed_prepared`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::feed_prepared`].
    pub async fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        Route::Half(self).feed(Outgoing::Prepared(prepared)).await
    }

    /// Sends a fragment; see [`WebSocket::send_fragment`]. Other clones cannot send messages or fragments until the final
    /// one.
    ///
    /// # Errors
    ///
    /// [`SendError::MessageInProgress`](crate::SendError::MessageInProgress) while a message is open that another clone
    /// or a [message writer](Self::message_writer) began, also one that was dropped; see
    /// [`resume_message`](Self::resume_message). Otherwise as [`WebSocket::send_fragment`].
    pub async fn send_fragment<'m>(
        &mut self,
        fragment: impl Into<Message<'m>>,
        fin: Fin,
    ) -> Result<(), Error> {
        Route::Half(self).send(Outgoing::Fragment(Author::CALLS, &fragment.into(), fin)).await
    }

    /// Sends on a chunk; see [`WebSocket::send_chunk`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send_fragment`](Self::send_fragment), and those of [`WebSocket::send_chunk`].
    pub async fn send_chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), Error> {
        Route::Half(self).send(Outgoing::Chunk(Author::CALLS, chunk)).await
    }

    /// Writes everything that was queued when it began; see [`WebSocket::flush`]. Other senders cannot prolong it.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::flush`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        Route::Half(self).flush().await
    }

    /// Sends a ping; see [`WebSocket::ping`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::ping`].
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        Route::Half(self).send(Outgoing::Ping(payload)).await
    }

    /// Sends a pong; see [`WebSocket::pong`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::pong`].
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        Route::Half(self).send(Outgoing::Pong(payload)).await
    }

    /// Sends the Close frame; the receiving half goes on until the end. See [`WebSocket::start_close`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::start_close`].
    pub async fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        Route::Half(self).send(Outgoing::Close(code, reason)).await
    }

    /// Does what neither writes nor waits.
    pub(super) fn with_link<T>(&self, act: impl FnOnce(&mut Link<Polled<S, R>>) -> T) -> T {
        let mut ws = self.shared.lock();
        let link = &mut ws.endpoint.link;
        let result = act(link);
        let payloads = link.out.take_sent();
        drop(ws);
        drop(payloads);
        result
    }

    /// Queues something without waiting, also if the queue is full if it `exceeds` the limit.
    pub(super) fn try_queue(&self, what: Outgoing<'_>, exceeds: bool) -> Result<(), Error> {
        self.shared.draw_keys();
        self.bounds.flush.reset();
        let (result, audience) = self.with_link(|link| {
            let before = link.snapshot();
            let result = link.check_keys().and_then(|()| {
                if link.is_full() && !exceeds { Err(Error::WouldBlock) } else { link.encode(what) }
            });
            (result, Audience::of(before, link.snapshot()))
        });
        // The receiving half writes what is queued before it sleeps: also if it sleeps already.
        if let Some(audience) = audience {
            self.shared.waiting.wake_others(self.number, audience);
        }
        result
    }

    /// Sends a small message in one write; `None` if nothing was done, and whether all of it has left.
    pub(super) fn send_fast(&self, what: Outgoing<'_>) -> Option<bool> {
        // Dropped without the lock. The stream may wake the halves while it is written to.
        let mut polling = None;
        let mut ws = self.shared.lock();
        let begun = self.shared.waiting.begin_poll(self.number, Waker::noop());
        polling.insert(begun).has_ended = true;
        let link = &mut ws.endpoint.link;
        let before = link.snapshot();
        let sent = link.send_fast(what);
        let audience = Audience::of(before, link.snapshot());
        drop(ws);
        drop(polling);
        if let Some(audience) = audience {
            self.shared.waiting.wake_others(self.number, audience);
        }
        if sent.is_some() {
            self.bounds.flush.reset();
        }
        sent
    }

    /// Whether a message would be taken now.
    #[cfg(feature = "futures-sink")]
    pub(super) fn has_room(&self) -> bool {
        let ws = self.shared.lock();
        let link = &ws.endpoint.link;
        !link.is_full() && link.check_keys().is_ok()
    }

    /// Whether everything has left, also of the stream's own buffer.
    #[cfg(feature = "futures-sink")]
    pub(super) fn has_flushed(&self) -> bool {
        let has_flushed = !self.shared.lock().endpoint.link.has_to_flush();
        if has_flushed {
            self.bounds.flush.reset();
        }
        has_flushed
    }

    /// Does `act` until it need not wait any more; meanwhile the deadlines go on.
    pub(super) fn poll<T>(
        &mut self,
        context: &Context<'_>,
        mut act: impl FnMut(&mut Link<Polled<S, R>>, &Bounds) -> Result<T, Error>,
    ) -> Poll<Result<T, Error>> {
        self.shared.poll_with(self.number, context, |endpoint| act(&mut endpoint.link, &self.bounds))
    }
}

impl<S, R: Runtime> SendHalf<S, R> {
    /// Returns the number of this half, which from now on may have begun a message.
    pub(super) const fn begin_fragments(&mut self) -> u64 {
        self.has_begun = true;
        self.number
    }
}
