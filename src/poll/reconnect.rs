//! A client that connects again by itself.

use alloc::boxed::Box;
use core::fmt;
use core::pin::Pin;
use std::time::Instant;

use super::runtime::{Io, Runtime, Timer};

use super::{Error, WebSocket};
use crate::client::{Course, Lost, Outbox, Reconnect, ReconnectState};
use crate::{CloseCode, Message, SendError};

/// A client that connects again whenever its connection ends, until the stop condition of its [`Reconnect`] holds.
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
/// # What becomes of messages
///
/// Each received message is returned once. A message that you send while a connection is open goes out as with
/// [`WebSocket::send`]; while there is none, [`WhileAway`](crate::client::WhileAway) decides.
///
/// With [`WhileAway::Queue`](crate::client::WhileAway::Queue) queued messages leave inside the receiving calls, those of a
/// [borrowed connection](Self::connected) too: a part of the queue is written, then input is read, so that a peer which
/// answers each message is read while it answers. Input that is there already is read before the first message is handed on.
/// A message leaves the queue when the transport has taken all its bytes, which does not mean that the peer has received it.
///
/// No message whose bytes were written, even in part, is sent again. Messages that were accepted with `Ok` and not written
/// whole when the connection ended are [counted](Self::messages_lost); with a queue, those of which no byte was written wait
/// for the next connection instead. If you need acknowledgements, add them to your protocol.
pub struct Reconnecting<S, R: Runtime> {
    open: Box<dyn FnMut() -> Opening<WebSocket<S, R>> + Send>,
    course: Course,
    outbox: Outbox,
    stage: Stage<S, R>,
    epoch: Instant,
}

type Opening<W> = Pin<Box<dyn Future<Output = Result<W, Error>> + Send>>;

enum Stage<S, R: Runtime> {
    /// `None`: for nothing.
    Waiting(Option<Pin<Box<R::Timer>>>),
    Opening(Opening<WebSocket<S, R>>),
    Open(Box<WebSocket<S, R>>),
    Stopped,
}

impl<S: Send + 'static, R: Io<S>> Reconnecting<S, R> {
    /// Connects with `open`, which also sets up the session: it logs in, subscribes, asks for a new token before.
    ///
    /// Until it is done there is no connection, and messages wait or not as the policy says. It has no time limit but those
    /// of its own.
    #[must_use]
    pub fn new<F>(policy: Reconnect, mut open: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<WebSocket<S, R>, Error>> + Send + 'static,
    {
        Self {
            open: Box::new(move || Box::pin(open())),
            outbox: Outbox::new(&policy),
            course: Course::new(policy),
            stage: Stage::Waiting(None),
            epoch: R::now(),
        }
    }

    /// Waits for the next message, over as many connections as it takes. `None`: the connection was closed for good.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// The last error, once the stop condition holds; after that `None`.
    pub async fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        if let Stage::Open(ws) = &self.stage {
            self.outbox.look(&ws.endpoint.link);
        }
        loop {
            match &mut self.stage {
                Stage::Stopped => return Ok(None),
                Stage::Open(ws) => match ws.recv().await {
                    Ok(Some(message)) => return Ok(Some(message)),
                    Ok(None) => self.ended(None)?,
                    Err(error) if error.is_temporary() || matches!(error, Error::ChunkDelivery) => {
                        return Err(error);
                    }
                    Err(error) => self.ended(Some(error))?,
                },
                _ => self.advance().await?,
            }
        }
    }

    /// Waits for an open connection and lends it: to receive messages where they lie, or all events. `None`: the
    /// connection was closed for good.
    ///
    /// Call it again when that connection has ended, whatever its calls returned. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub async fn connected(&mut self) -> Result<Option<&mut WebSocket<S, R>>, Error> {
        loop {
            match &mut self.stage {
                Stage::Open(ws) if ws.summary().is_none() => break,
                // It says why it ended as often as it is asked.
                Stage::Open(ws) => {
                    let ended = ws.wait_for_end().await;
                    self.ended(ended.err())?;
                }
                Stage::Stopped => return Ok(None),
                _ => self.advance().await?,
            }
        }
        Ok(self.socket())
    }

    /// Goes on towards an open connection.
    async fn advance(&mut self) -> Result<(), Error> {
        match &mut self.stage {
            Stage::Waiting(sleep) => {
                if let Some(sleep) = sleep {
                    sleep.as_mut().await;
                }
                self.course.connecting();
                self.stage = Stage::Opening((self.open)());
            }
            Stage::Opening(opening) => match opening.as_mut().await {
                Ok(ws) => {
                    let mut ws = Box::new(ws);
                    self.outbox.opened(&mut ws.endpoint.link);
                    self.stage = Stage::Open(ws);
                    self.course.opened(R::now().saturating_duration_since(self.epoch));
                }
                Err(error) => self.ended(Some(error))?,
            },
            Stage::Open(_) | Stage::Stopped => {}
        }
        Ok(())
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
        self.hand(message.into(), true).await
    }

    /// Queues a message; with a connection it leaves before the next receive waits, otherwise the policy decides as for
    /// [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.hand(message.into(), false).await
    }

    async fn hand(&mut self, message: Message<'_>, flushes: bool) -> Result<(), Error> {
        let ws = match &mut self.stage {
            Stage::Open(ws) if self.outbox.lets_pass(&ws.endpoint.link) => ws,
            _ => return self.put(message),
        };
        let handing = self.outbox.before_handing(&ws.endpoint.link, &message);
        match ws.feed(&message).await {
            // Nothing was taken.
            Err(Error::Send(SendError::Closed)) => return self.put(message),
            fed => fed?,
        }
        self.outbox.handed(&ws.endpoint.link, handing);
        if flushes {
            let flushed = ws.flush().await;
            self.outbox.look(&ws.endpoint.link);
            if flushed.is_err() {
                // What came before is still received, and then why the connection ended.
                self.outbox.failed_to_leave();
                return flushed;
            }
        }
        Ok(())
    }

    /// Closes the connection, if there is one, and connects no more, also if closing fails or the future is dropped.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::close`]. After [`Error::Send`] nothing was closed, and all goes on as before.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let Stage::Open(ws) = &mut self.stage else {
            self.stage = Stage::Stopped;
            return Ok(());
        };
        self.course.set_closing(true);
        match ws.close(code, reason).await {
            Err(error @ Error::Send(_)) => {
                self.course.set_closing(false);
                Err(error)
            }
            closed => self.ended(closed.err()),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> ReconnectState {
        match &self.stage {
            Stage::Waiting(sleep) => {
                let due = sleep.as_ref().map(|sleep| sleep.deadline());
                let left = due.map(|due| due.saturating_duration_since(R::now()));
                ReconnectState::Waiting(left.unwrap_or_default())
            }
            Stage::Opening(_) => ReconnectState::Connecting,
            Stage::Open(_) => ReconnectState::Open,
            Stage::Stopped => ReconnectState::Stopped,
        }
    }

    /// Returns how many accepted messages have not left: queued ones, and those that the connection has not written yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        if let Stage::Open(ws) = &self.stage {
            self.outbox.look(&ws.endpoint.link);
        }
        self.outbox.len()
    }

    /// Returns how many messages were lost so far: accepted with `Ok`, handed to a connection, and not written whole when
    /// that ended.
    ///
    /// Messages that you send through the [borrowed connection](Self::socket) are not counted.
    #[must_use]
    pub fn messages_lost(&self) -> u64 {
        self.outbox.lost()
    }

    /// The connection, while it is open: for pings, its subprotocol, its stream.
    pub fn socket(&mut self) -> Option<&mut WebSocket<S, R>> {
        match &mut self.stage {
            Stage::Open(ws) => Some(ws),
            _ => None,
        }
    }

    fn put(&self, message: Message<'_>) -> Result<(), Error> {
        let is_over = matches!(self.stage, Stage::Stopped) || self.course.is_closing();
        if is_over { Err(Error::NotConnected) } else { self.outbox.put(message) }
    }

    /// The connection ended, cleanly if there is no error; the error comes back if it was the last.
    fn ended(&mut self, error: Option<Error>) -> Result<(), Error> {
        let now = R::now().saturating_duration_since(self.epoch);
        let messages_lost = match &self.stage {
            Stage::Open(ws) => self.outbox.ended(&ws.endpoint.link),
            _ => 0,
        };
        let retry_in = match (&error, &self.stage) {
            (Some(error), _) => self.course.ended(now, Lost::Failed(error), messages_lost),
            (None, Stage::Open(ws)) => {
                ws.summary().and_then(|summary| self.course.ended(now, Lost::Closed(&summary), messages_lost))
            }
            (None, _) => None,
        };
        if let Some(delay) = retry_in {
            self.stage = Stage::Waiting(Some(Box::pin(R::sleep(delay))));
            return Ok(());
        }
        self.stage = Stage::Stopped;
        error.map_or(Ok(()), Err)
    }
}

impl<S, R: Runtime> fmt::Debug for Reconnecting<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("course", &self.course).finish_non_exhaustive()
    }
}
