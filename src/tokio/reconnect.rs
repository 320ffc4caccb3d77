//! A client that connects again by itself.

use alloc::boxed::Box;
use core::fmt;
use core::pin::Pin;

use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::time::{Instant, Sleep, sleep};

use super::client_stream::ClientStream;
use super::{Connector, Error, WebSocket};
use crate::client::{Course, Lost, Outbox, Reconnect, ReconnectState};
use crate::{CloseCode, Message, SendError, State};

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
/// A message that is received is given out once. One that is sent is handed to at most one connection: while that is open it
/// goes as [`WebSocket::send`] has it; while there is none, as [`WhileAway`](crate::client::WhileAway) says. None is sent
/// again by itself, as nobody knows how much of it the peer got before the connection failed: who needs an answer to each
/// asks for it on a level above.
pub struct Reconnecting<S = ClientStream> {
    open: Box<dyn FnMut() -> Opening<WebSocket<S>> + Send>,
    course: Course,
    outbox: Outbox,
    stage: Stage<S>,
    epoch: Instant,
}

type Opening<W> = Pin<Box<dyn Future<Output = Result<W, Error>> + Send>>;

enum Stage<S> {
    /// `None`: for nothing.
    Waiting(Option<Pin<Box<Sleep>>>),
    Opening(Opening<Box<WebSocket<S>>>),
    Open(Box<WebSocket<S>>),
    Stopped,
}

impl Reconnecting {
    /// Connects as `connector` says, each time anew.
    #[must_use]
    pub fn with_connector(policy: Reconnect, connector: Connector) -> Self {
        Self::new(policy, move || {
            let connector = connector.clone();
            async move { connector.connect().await }
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Reconnecting<S> {
    /// Connects with `open`, which also sets up the session: it logs in, subscribes, asks for a new token before.
    ///
    /// Until it is done there is no connection, and messages wait or not as the policy says. It has no time limit but those
    /// of its own.
    #[must_use]
    pub fn new<F>(policy: Reconnect, mut open: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<WebSocket<S>, Error>> + Send + 'static,
    {
        Self {
            open: Box::new(move || Box::pin(open())),
            outbox: Outbox::new(&policy),
            course: Course::new(policy),
            stage: Stage::Waiting(None),
            epoch: Instant::now(),
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
    pub async fn connected(&mut self) -> Result<Option<&mut WebSocket<S>>, Error> {
        loop {
            match &mut self.stage {
                Stage::Open(ws) if ws.summary().is_none() => break,
                Stage::Open(ws) => match ws.recv().await {
                    // It says why it ended as often as it is asked.
                    Err(error) => self.ended(Some(error))?,
                    Ok(_) => self.ended(None)?,
                },
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
                self.begin();
            }
            Stage::Opening(opening) => match opening.as_mut().await {
                Ok(ws) => {
                    self.stage = Stage::Open(ws);
                    self.course.opened(self.epoch.elapsed());
                }
                Err(error) => self.ended(Some(error))?,
            },
            Stage::Open(_) | Stage::Stopped => {}
        }
        Ok(())
    }

    /// Sends a message; it has left when this returns, or it waits for a connection, or was dropped, as the policy says.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`]: there is no connection and the message was not taken. [`Error::Send`]: it cannot be sent.
    /// Any other: the connection failed with this message on its way. It is not sent again, and the peer may have got it.
    pub async fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        let message = message.into();
        let Some(ws) = self.open_socket() else { return self.put(message) };
        let sent = ws.send(&message).await;
        self.sent(message, sent)
    }

    /// Queues a message; with a connection it leaves before the next receive waits, otherwise as [`send`](Self::send) has
    /// it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        let message = message.into();
        let Some(ws) = self.open_socket() else { return self.put(message) };
        let sent = ws.feed(&message).await;
        self.sent(message, sent)
    }

    /// Closes the connection, if there is one, and connects no more, also if closing fails or the future is dropped.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::close`]. After [`Error::Send`] nothing was closed, and all goes on as before.
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
                let left = due.map(|due| due.saturating_duration_since(Instant::now()));
                ReconnectState::Waiting(left.unwrap_or_default())
            }
            Stage::Opening(_) => ReconnectState::Connecting,
            Stage::Open(_) => ReconnectState::Open,
            Stage::Stopped => ReconnectState::Stopped,
        }
    }

    /// How many messages wait for a connection.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// The connection, while it is open: for pings, its subprotocol, its stream.
    pub fn socket(&mut self) -> Option<&mut WebSocket<S>> {
        match &mut self.stage {
            Stage::Open(ws) => Some(ws),
            _ => None,
        }
    }

    /// A connection that takes messages.
    fn open_socket(&mut self) -> Option<&mut WebSocket<S>> {
        self.socket().filter(|ws| ws.connection().state() == State::Open)
    }

    fn put(&self, message: Message<'_>) -> Result<(), Error> {
        let is_over = matches!(self.stage, Stage::Stopped) || self.course.is_closing();
        if is_over { Err(Error::NotConnected) } else { self.outbox.put(message) }
    }

    /// What follows from an attempt to send.
    fn sent(&mut self, message: Message<'_>, sent: Result<(), Error>) -> Result<(), Error> {
        match sent {
            // Nothing was taken.
            Err(Error::Send(SendError::Closed)) => self.put(message),
            // What came before is still received, and then why the connection ended.
            other => other,
        }
    }

    /// Begins an attempt: it sets up the session and then sends what waited.
    fn begin(&mut self) {
        self.course.connecting();
        let opening = (self.open)();
        let outbox = self.outbox.clone();
        self.stage = Stage::Opening(Box::pin(async move {
            let mut ws = Box::new(opening.await?);
            // One that is closing already takes nothing, and says why when it is received from.
            while ws.connection().state() == State::Open {
                let Some(message) = outbox.take() else {
                    ws.flush().await?;
                    // Nothing comes in between this look and the end of this future.
                    if outbox.len() == 0 { break } else { continue }
                };
                match ws.feed(&message).await {
                    // Nothing was taken.
                    Err(error @ Error::Send(_)) => {
                        outbox.put_back(message);
                        return Err(error);
                    }
                    taken => taken?,
                }
            }
            Ok(ws)
        }));
    }

    /// The connection ended, cleanly if there is no error; the error comes back if it was the last.
    fn ended(&mut self, error: Option<Error>) -> Result<(), Error> {
        let now = self.epoch.elapsed();
        let retry_in = match (&error, &self.stage) {
            (Some(error), _) => self.course.ended(now, Lost::Failed(error)),
            (None, Stage::Open(ws)) => {
                ws.summary().and_then(|summary| self.course.ended(now, Lost::Closed(&summary)))
            }
            (None, _) => None,
        };
        if let Some(delay) = retry_in {
            self.stage = Stage::Waiting(Some(Box::pin(sleep(delay))));
            return Ok(());
        }
        self.stage = Stage::Stopped;
        error.map_or(Ok(()), Err)
    }
}

impl<S> fmt::Debug for Reconnecting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("course", &self.course).finish_non_exhaustive()
    }
}
