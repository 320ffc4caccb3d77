//! The sending methods: what they send, and how they reach their connection.

use core::future::{Future, poll_fn};
use core::task::{Context, Poll};

use super::call::drive;
use super::fast::feed;
use super::polled::Polled;
use super::runtime::{Io, Runtime};
use super::waiting::SENDER;
use super::{Error, SendHalf, WebSocket};
use crate::engine::{Author, Bounds, Link, Outgoing};
use crate::{Chunk, CloseCode, Fin, Message, Prepared};

/// How a sender reaches its connection.
#[derive(Debug)]
pub(super) enum Route<'a, S, R: Runtime> {
    Link(&'a mut Link<Polled<S, R>>),
    /// As a stream of bytes or messages, which also observes the shutdown of a group.
    Whole(&'a mut WebSocket<S, R>),
    Half(&'a mut SendHalf<S, R>),
}

impl<S, R: Io<S>> Route<'_, S, R> {
    /// Sends something; it has left when this returns.
    pub(super) async fn send(mut self, what: Outgoing<'_>) -> Result<(), Error> {
        let what = match &mut self {
            Self::Half(half) if what.is_part() => what.by(half.begin_fragments()),
            _ => what,
        };
        let fast = match &mut self {
            Self::Link(link) => link.send_fast(what),
            Self::Whole(_) => None,
            Self::Half(half) => half.send_fast(what),
        };
        if fast == Some(true) {
            return Ok(());
        }
        let mut is_queued = fast.is_some();
        poll_fn(|context| {
            self.poll(context, |link, bounds| {
                if !is_queued {
                    bounds.flush.reset();
                    link.queue_in_turn(&bounds.room, |link| link.send(what))?;
                    is_queued = true;
                }
                link.flush_to(&bounds.flush)
            })
        })
        .await
    }

    /// Queues something.
    pub(super) async fn feed(mut self, what: Outgoing<'_>) -> Result<(), Error> {
        let is_fed = match &mut self {
            Self::Link(link) => link.feed_fast(what),
            Self::Whole(_) | Self::Half(_) => false,
        };
        if is_fed {
            return Ok(());
        }
        poll_fn(|context| self.poll_queue(context, |link| link.feed_any(what))).await
    }

    /// Writes everything that was queued when it began.
    pub(super) async fn flush(mut self) -> Result<(), Error> {
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// Queues something, which the next flush includes.
    pub(super) fn poll_queue<T>(
        &mut self,
        context: &Context<'_>,
        mut act: impl FnMut(&mut Link<Polled<S, R>>) -> Result<T, Error>,
    ) -> Poll<Result<T, Error>> {
        self.poll(context, |link, bounds| {
            bounds.flush.reset();
            link.queue_in_turn(&bounds.room, &mut act)
        })
    }

    pub(super) fn poll_flush(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        self.poll(context, |link, bounds| link.flush_to(&bounds.flush))
    }

    /// Waits for room in the queue.
    #[cfg(feature = "futures-sink")]
    pub(super) fn poll_ready(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        self.poll(context, |link, bounds| link.wait_for_room(&bounds.room))
    }

    /// Sends a Close frame with 1000 unless the connection is closing already, and flushes.
    pub(super) fn poll_close(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        self.poll(context, |link, bounds| link.close_and_flush(&bounds.flush))
    }

    /// Does `act` until it need not wait any more; meanwhile the deadlines go on.
    pub(super) fn poll<T>(
        &mut self,
        context: &Context<'_>,
        mut act: impl FnMut(&mut Link<Polled<S, R>>, &Bounds) -> Result<T, Error>,
    ) -> Poll<Result<T, Error>> {
        let (result, post_poll) = match self {
            Self::Link(link) => drive(&mut **link, SENDER, context, |link| link.with_own_bounds(&mut act)),
            Self::Whole(ws) => {
                drive(&mut **ws, SENDER, context, |ws| ws.endpoint.link.with_own_bounds(&mut act))
            }
            Self::Half(half) => return half.poll(context, act),
        };
        post_poll.run();
        result
    }
}

/// The sending side of a [`WebSocket`] whose receiving side lends a message; see [`WebSocket::recv_ref`].
///
/// Its methods are those of the connection.
#[derive(Debug)]
pub struct Sender<'a, S, R: Runtime> {
    pub(super) link: &'a mut Link<Polled<S, R>>,
}

impl<S, R: Io<S>> Sender<'_, S, R> {
    /// Sends a message; see [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::send`].
    pub async fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.route().send(Outgoing::Message(&message.into())).await
    }

    /// Queues a message; see [`WebSocket::feed`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::feed`].
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> impl Future<Output = Result<(), Error>> {
        feed(self.link, message)
    }

    /// Sends a prepared message; see [`WebSocket::send_prepared`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::send_prepared`].
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.route().send(Outgoing::Prepared(prepared)).await
    }

    /// Queues a prepared message; see [`WebSocket::feed_prepared`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::feed_prepared`].
    pub async fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.route().feed(Outgoing::Prepared(prepared)).await
    }

    /// Sends a fragment; see [`WebSocket::send_fragment`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::send_fragment`].
    pub async fn send_fragment<'m>(
        &mut self,
        fragment: impl Into<Message<'m>>,
        fin: Fin,
    ) -> Result<(), Error> {
        self.route().send(Outgoing::Fragment(Author::CALLS, &fragment.into(), fin)).await
    }

    /// Sends on a chunk; see [`WebSocket::send_chunk`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::send_chunk`].
    pub async fn send_chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), Error> {
        self.route().send(Outgoing::Chunk(Author::CALLS, chunk)).await
    }

    /// Writes everything that is queued; see [`WebSocket::flush`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::flush`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.route().flush().await
    }

    /// Sends a ping; see [`WebSocket::ping`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::ping`].
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.route().send(Outgoing::Ping(payload)).await
    }

    /// Sends a pong; see [`WebSocket::pong`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::pong`].
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.route().send(Outgoing::Pong(payload)).await
    }

    /// Sends the Close frame; see [`WebSocket::start_close`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::start_close`].
    pub async fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.route().send(Outgoing::Close(code, reason)).await
    }

    fn route(&mut self) -> Route<'_, S, R> {
        Route::Link(self.link)
    }
}
