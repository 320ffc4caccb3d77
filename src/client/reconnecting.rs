//! A client that reconnects: which step comes next, and which messages wait for it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use super::reconnect::RetryState;
use super::{Lost, Reconnect, ReconnectState, WhileAway};
use crate::engine::{Error, SendQueue};
use crate::{Connection, Message, SendError, State};

/// A client that connects again whenever its connection ends, until the stop condition of its [`Reconnect`] holds.
///
/// Use it as [`blocking::Reconnecting`](crate::blocking::Reconnecting) or (feature `tokio`) `tokio::Reconnecting`.
///
/// # What becomes of messages
///
/// Each received message is returned once. A message that you send while a connection is open goes out as with the
/// connection's own `send`; while there is none, [`WhileAway`] decides.
///
/// With [`WhileAway::Queue`] queued messages leave inside the receiving calls, those of a borrowed connection too: a part of
/// the queue is written, then input is read, so that a peer which answers each message is read while it answers. Input that
/// is there already is read before the first queued message is sent. A message leaves the queue when the transport has taken
/// all its bytes, which does not mean that the peer has received it.
///
/// No message whose bytes were written, even in part, is sent again. Messages that were accepted with `Ok` and not written
/// whole when the connection ended are [counted](Self::messages_lost); with a queue, those of which no byte was written wait
/// for the next connection instead. If you need acknowledgements, add them to your protocol.
pub struct Reconnecting<W: Socket> {
    opener: W::Opener,
    retry: RetryState,
    while_away: WhileAway,
    queue: Arc<SendQueue>,
    stage: Stage<W>,
}

enum Stage<W> {
    /// Until then.
    Waiting(Duration),
    Opening,
    Open(Box<W>),
    Stopped,
}

/// An open connection of an adapter. One that blocks is ready in every poll and may return temporary errors.
pub trait Socket: Sized {
    type Opener: Opener<Self>;

    /// How many bytes were queued in all, and how many of them were written.
    fn output_counts(&self) -> (u64, u64);

    /// From now on the connection sends the messages of `queue`, while it receives.
    fn drain(&mut self, queue: &Arc<SendQueue>);

    fn connection(&self) -> &Connection;

    /// Receives, and waits for `timeout` at most if it blocks.
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        timeout: Option<Duration>,
    ) -> Poll<Result<Option<Message<'static>>, Error>>;

    /// Drops what is still received; the outcome of the connection.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>>;
}

/// Opens connections, and waits between two attempts. Both go on with the next poll.
pub trait Opener<W> {
    fn now(&self) -> Duration;

    /// Waits until `due`; an opener that blocks does so until `until` at most.
    fn poll_wait(
        &mut self,
        context: &mut Context<'_>,
        due: Duration,
        until: Option<Duration>,
    ) -> Poll<Result<(), Error>>;

    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<Result<W, Error>>;

    /// Drops an attempt that has begun, and its stream.
    fn cancel(&mut self) {}
}

/// A message on its way into the output of the connection.
pub(crate) struct Sending {
    /// How many bytes the connection had queued in all before.
    start: u64,
    copy: Option<Message<'static>>,
}

impl<W: Socket> Reconnecting<W> {
    pub(crate) fn with_opener(policy: Reconnect, opener: W::Opener) -> Self {
        Self {
            opener,
            while_away: policy.while_away,
            retry: RetryState::new(policy),
            queue: Arc::new(SendQueue::new()),
            stage: Stage::Waiting(Duration::ZERO),
        }
    }

    /// Returns the current state.
    #[must_use]
    pub fn state(&self) -> ReconnectState {
        match &self.stage {
            Stage::Waiting(due) => ReconnectState::Waiting(due.saturating_sub(self.opener.now())),
            Stage::Opening => ReconnectState::Connecting,
            Stage::Open(_) => ReconnectState::Open,
            Stage::Stopped => ReconnectState::Stopped,
        }
    }

    /// Returns how many accepted messages have not left: queued ones, and those that the connection has not written yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.forget_written();
        self.queue.len()
    }

    /// Returns how many messages were lost so far: accepted with `Ok`, handed to a connection, and not written whole when
    /// that ended.
    ///
    /// Messages that you send through the [borrowed connection](Self::socket) are not counted.
    #[must_use]
    pub fn messages_lost(&self) -> u64 {
        self.queue.lost()
    }

    /// Returns the connection while it is open: for pings, its subprotocol, its stream.
    pub fn socket(&mut self) -> Option<&mut W> {
        match &mut self.stage {
            Stage::Open(socket) => Some(socket),
            _ => None,
        }
    }

    /// Receives over as many connections as it takes, until `until` at most if the adapter blocks.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        until: Option<Duration>,
    ) -> Poll<Result<Option<Message<'static>>, Error>> {
        self.forget_written();
        loop {
            let timeout = until.map(|until| until.saturating_sub(self.opener.now()));
            match &mut self.stage {
                Stage::Stopped => return Poll::Ready(Ok(None)),
                Stage::Open(socket) => match ready!(socket.poll_next(context, timeout)) {
                    Ok(None) => self.ended(None)?,
                    Err(error) if !(error.is_temporary() || matches!(error, Error::ChunkDelivery)) => {
                        self.ended(Some(error))?;
                    }
                    received => return Poll::Ready(received),
                },
                _ => ready!(self.poll_advance(context, until))?,
            }
        }
    }

    /// Goes on until a connection is open, or none will be any more.
    pub(crate) fn poll_connected(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match &mut self.stage {
                Stage::Open(socket) if socket.connection().summary().is_some() => {
                    match ready!(socket.poll_end(context)) {
                        // Over a stream that does not wait.
                        Err(error) if error.is_temporary() => return Poll::Ready(Err(error)),
                        ended => self.ended(ended.err())?,
                    }
                }
                Stage::Open(_) | Stage::Stopped => return Poll::Ready(Ok(())),
                _ => ready!(self.poll_advance(context, None))?,
            }
        }
    }

    /// Goes on towards an open connection.
    fn poll_advance(
        &mut self,
        context: &mut Context<'_>,
        until: Option<Duration>,
    ) -> Poll<Result<(), Error>> {
        if let Stage::Waiting(due) = self.stage {
            ready!(self.opener.poll_wait(context, due, until))?;
            self.retry.connecting();
            self.stage = Stage::Opening;
        }
        match ready!(self.opener.poll_open(context)) {
            Ok(socket) => {
                let mut socket = Box::new(socket);
                if self.queue.is_waiting() {
                    socket.drain(&self.queue);
                }
                self.stage = Stage::Open(socket);
                self.retry.opened(self.opener.now());
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(self.ended(Some(error))),
        }
    }

    /// The connection that takes a message now, unless queued ones go before it.
    pub(crate) fn start_send(&mut self, message: &Message<'_>) -> Option<(&mut W, Sending)> {
        let Stage::Open(socket) = &mut self.stage else { return None };
        if socket.connection().state() != State::Open || self.queue.is_waiting() {
            return None;
        }
        let keeps = matches!(self.while_away, WhileAway::Queue(_));
        let (start, _) = socket.output_counts();
        Some((socket, Sending { start, copy: keeps.then(|| message.clone().into_owned()) }))
    }

    /// The outcome of a message that the connection was to take. Returns whether it did, and a flush may follow.
    pub(crate) fn taken(
        &mut self,
        message: Message<'_>,
        sending: Sending,
        taken: Result<(), Error>,
    ) -> Result<bool, Error> {
        if matches!(taken, Err(Error::Send(SendError::Closed))) {
            return self.put(message);
        }
        taken?;
        self.forget_written();
        if let Stage::Open(socket) = &self.stage {
            let (end, _) = socket.output_counts();
            self.queue.add_unwritten(sending.start..end, sending.copy);
        }
        Ok(true)
    }

    /// The message that was sent last was flushed.
    pub(crate) fn flushed(&mut self, flushed: Result<(), Error>) -> Result<(), Error> {
        self.forget_written();
        match flushed {
            // Over a stream that does not wait, the rest leaves with a later call.
            Ok(()) | Err(Error::WouldBlock) => Ok(()),
            Err(error) => {
                // What came before is still received, and then why the connection ended.
                self.queue.forget_last();
                Err(error)
            }
        }
    }

    /// Takes a message for which there is no connection now, as the policy says. Returns `false`: it needs no flush.
    pub(crate) fn put(&self, message: Message<'_>) -> Result<bool, Error> {
        let is_over = matches!(self.stage, Stage::Stopped) || self.retry.is_closing();
        let is_taken = !is_over
            && match self.while_away {
                WhileAway::Drop => true,
                WhileAway::Queue(most) => self.queue.push(message, most),
                WhileAway::Refuse => false,
            };
        if is_taken { Ok(false) } else { Err(Error::NotConnected) }
    }

    /// From now on the next end is the last. Returns the connection to be closed.
    pub(crate) fn start_close(&mut self) -> Option<&mut W> {
        if !matches!(self.stage, Stage::Open(_)) {
            self.stage = Stage::Stopped;
            self.opener.cancel();
            return None;
        }
        self.retry.set_closing(true);
        self.socket()
    }

    /// The outcome of closing the connection.
    pub(crate) fn closed(&mut self, closed: Result<(), Error>) -> Result<(), Error> {
        match closed {
            Err(error @ Error::Send(_)) => {
                self.retry.set_closing(false);
                Err(error)
            }
            // Over a stream that does not wait.
            Err(error) if error.is_temporary() => Err(error),
            closed => self.ended(closed.err()),
        }
    }

    pub(crate) fn opener(&self) -> &W::Opener {
        &self.opener
    }

    /// Forgets the queued messages that the connection has written.
    fn forget_written(&self) {
        if let Stage::Open(socket) = &self.stage {
            self.queue.written(socket.output_counts().1);
        }
    }

    /// The connection ended, cleanly if there is no error; the error comes back if it was the last.
    fn ended(&mut self, error: Option<Error>) -> Result<(), Error> {
        let now = self.opener.now();
        let mut messages_lost = 0;
        if let Stage::Open(socket) = &self.stage {
            messages_lost = self.queue.connection_lost(socket.output_counts().1);
        }
        let retry_in = match (&error, &self.stage) {
            (Some(error), _) => self.retry.ended(now, Lost::Failed(error), messages_lost),
            (None, Stage::Open(socket)) => socket
                .connection()
                .summary()
                .and_then(|summary| self.retry.ended(now, Lost::Closed(&summary), messages_lost)),
            (None, _) => None,
        };
        if let Some(delay) = retry_in {
            self.stage = Stage::Waiting(now.saturating_add(delay));
            return Ok(());
        }
        self.stage = Stage::Stopped;
        error.map_or(Ok(()), Err)
    }
}

impl<W: Socket> fmt::Debug for Reconnecting<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("retry", &self.retry).finish_non_exhaustive()
    }
}
