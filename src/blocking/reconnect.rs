//! A client that connects again by itself.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;
use std::thread;

use super::client_stream::ClientStream;
use super::clock::Clock;
use super::{Connector, Error, Transport, WebSocket};
use crate::client::{Course, Lost, Outbox, Reconnect, ReconnectState};
use crate::{CloseCode, Message, SendError, State};

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
/// # What becomes of messages
///
/// A message that is received is given out once. One that is sent is handed to at most one connection: while that is open it
/// goes as [`WebSocket::send`] has it; while there is none, as [`WhileAway`](crate::client::WhileAway) says. None is sent
/// again by itself, as nobody knows how much of it the peer got before the connection failed: who needs an answer to each
/// asks for it on a level above.
pub struct Reconnecting<S = ClientStream> {
    open: Box<dyn FnMut() -> Result<WebSocket<S>, Error> + Send>,
    course: Course,
    outbox: Outbox,
    stage: Stage<S>,
    clock: Clock,
}

enum Stage<S> {
    /// Until then.
    Waiting(Duration),
    Open(Box<WebSocket<S>>),
    Stopped,
}

impl Reconnecting {
    /// Connects as `connector` says, each time anew.
    #[must_use]
    pub fn with_connector(policy: Reconnect, connector: Connector) -> Self {
        Self::new(policy, move || connector.connect())
    }
}

impl<S: Transport> Reconnecting<S> {
    /// Connects with `open`, which also sets up the session: it logs in, subscribes, asks for a new token before.
    #[must_use]
    pub fn new(
        policy: Reconnect,
        open: impl FnMut() -> Result<WebSocket<S>, Error> + Send + 'static,
    ) -> Self {
        Self {
            open: Box::new(open),
            outbox: Outbox::new(&policy),
            course: Course::new(policy),
            stage: Stage::Waiting(Duration::ZERO),
            clock: Clock::start(),
        }
    }

    /// Waits for the next message, over as many connections as it takes. `None`: the connection was closed for good.
    ///
    /// # Errors
    ///
    /// The last error, once the stop condition holds; after that `None`.
    pub fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        self.recv_until(None)
    }

    /// Waits for the next message, but at most for `timeout`, and beyond it for an attempt to connect that has begun.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when the time is over; nothing is lost and the next call goes on. Otherwise as
    /// [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'static>>, Error> {
        self.recv_until(self.clock.now().checked_add(timeout))
    }

    fn recv_until(&mut self, until: Option<Duration>) -> Result<Option<Message<'static>>, Error> {
        loop {
            let now = self.clock.now();
            match &mut self.stage {
                Stage::Stopped => return Ok(None),
                Stage::Waiting(_) => self.advance(until)?,
                Stage::Open(ws) => {
                    let received = match until {
                        None => ws.recv(),
                        Some(until) => ws.recv_timeout(until.saturating_sub(now)),
                    };
                    match received {
                        Ok(Some(message)) => return Ok(Some(message)),
                        Ok(None) => self.ended(None)?,
                        Err(error) if error.is_temporary() || matches!(error, Error::ChunkDelivery) => {
                            return Err(error);
                        }
                        Err(error) => self.ended(Some(error))?,
                    }
                }
            }
        }
    }

    /// Waits for an open connection and lends it: to receive messages where they lie, or all events. `None`: the
    /// connection was closed for good.
    ///
    /// Call it again when that connection has ended, whatever its calls returned.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn connected(&mut self) -> Result<Option<&mut WebSocket<S>>, Error> {
        loop {
            match &mut self.stage {
                Stage::Open(ws) if ws.summary().is_none() => break,
                Stage::Open(ws) => match ws.recv() {
                    // It says why it ended as often as it is asked.
                    Err(error) => self.ended(Some(error))?,
                    Ok(_) => self.ended(None)?,
                },
                Stage::Stopped => return Ok(None),
                Stage::Waiting(_) => self.advance(None)?,
            }
        }
        Ok(self.socket())
    }

    /// Waits for its time, until `until` at most, and makes an attempt.
    fn advance(&mut self, until: Option<Duration>) -> Result<(), Error> {
        let Stage::Waiting(due) = self.stage else { return Ok(()) };
        let wake = until.map_or(due, |until| until.min(due));
        thread::sleep(wake.saturating_sub(self.clock.now()));
        if wake < due {
            return Err(Error::TimedOut);
        }
        match self.connect() {
            Ok(()) => Ok(()),
            Err(error) => self.ended(Some(error)),
        }
    }

    /// Sends a message; it has left when this returns, or it waits for a connection, or was dropped, as the policy says.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`]: there is no connection and the message was not taken. [`Error::Send`]: it cannot be sent.
    /// Any other: the connection failed with this message on its way. It is not sent again, and the peer may have got it.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        let message = message.into();
        let Some(ws) = self.open_socket() else { return self.put(message) };
        let sent = ws.send(&message);
        self.sent(message, sent)
    }

    /// Queues a message; with a connection it leaves before the next receive waits, otherwise as [`send`](Self::send) has
    /// it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        let message = message.into();
        let Some(ws) = self.open_socket() else { return self.put(message) };
        let sent = ws.feed(&message);
        self.sent(message, sent)
    }

    /// Closes the connection, if there is one, and connects no more, also if closing fails.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::close`]. After [`Error::Send`] nothing was closed, and all goes on as before.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let Stage::Open(ws) = &mut self.stage else {
            self.stage = Stage::Stopped;
            return Ok(());
        };
        self.course.set_closing(true);
        match ws.close(code, reason) {
            Err(error @ Error::Send(_)) => {
                self.course.set_closing(false);
                Err(error)
            }
            // Over a stream that does not wait.
            Err(error) if error.is_temporary() => Err(error),
            closed => self.ended(closed.err()),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> ReconnectState {
        match &self.stage {
            Stage::Waiting(due) => ReconnectState::Waiting(due.saturating_sub(self.clock.now())),
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

    /// An attempt: it sets up the session and then sends what waited.
    fn connect(&mut self) -> Result<(), Error> {
        self.course.connecting();
        let mut ws = Box::new((self.open)()?);
        // One that is closing already takes nothing, and says why when it is received from.
        while ws.connection().state() == State::Open {
            let Some(message) = self.outbox.take() else {
                ws.flush()?;
                break;
            };
            match ws.feed(&message) {
                // Nothing was taken.
                Err(error @ Error::Send(_)) => {
                    self.outbox.put_back(message);
                    return Err(error);
                }
                taken => taken?,
            }
        }
        self.stage = Stage::Open(ws);
        self.course.opened(self.clock.now());
        Ok(())
    }

    /// The connection ended, cleanly if there is no error; the error comes back if it was the last.
    fn ended(&mut self, error: Option<Error>) -> Result<(), Error> {
        let now = self.clock.now();
        let retry_in = match (&error, &self.stage) {
            (Some(error), _) => self.course.ended(now, Lost::Failed(error)),
            (None, Stage::Open(ws)) => {
                ws.summary().and_then(|summary| self.course.ended(now, Lost::Closed(&summary)))
            }
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

impl<S> fmt::Debug for Reconnecting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("course", &self.course).finish_non_exhaustive()
    }
}
