//! A client that connects again by itself.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;
use std::thread;

use super::client_stream::ClientStream;
use super::clock::Clock;
use super::{Connector, Error, Transport, WebSocket};
use crate::client::{Course, Lost, Outbox, Reconnect, ReconnectState};
use crate::{CloseCode, Message, SendError};

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
        if let Stage::Open(ws) = &self.stage {
            self.outbox.look(&ws.endpoint.link);
        }
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
                // It says why it ended as often as it is asked.
                Stage::Open(ws) => match ws.endpoint.wait_for_end() {
                    // Over a stream that does not wait.
                    Err(error) if error.is_temporary() => return Err(error),
                    ended => self.ended(ended.err())?,
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
        self.hand(message.into(), true)
    }

    /// Queues a message; with a connection it leaves before the next receive waits, otherwise the policy decides as for
    /// [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.hand(message.into(), false)
    }

    fn hand(&mut self, message: Message<'_>, flushes: bool) -> Result<(), Error> {
        let ws = match &mut self.stage {
            Stage::Open(ws) if self.outbox.lets_pass(&ws.endpoint.link) => ws,
            _ => return self.put(message),
        };
        let handing = self.outbox.before_handing(&ws.endpoint.link, &message);
        match ws.feed(&message) {
            // Nothing was taken.
            Err(Error::Send(SendError::Closed)) => return self.put(message),
            fed => fed?,
        }
        self.outbox.handed(&ws.endpoint.link, handing);
        if flushes {
            let flushed = match ws.flush() {
                // Over a stream that does not wait, the rest leaves with a later call.
                Err(Error::WouldBlock) => Ok(()),
                flushed => flushed,
            };
            self.outbox.look(&ws.endpoint.link);
            if flushed.is_err() {
                // What came before is still received, and then why the connection ended.
                self.outbox.failed_to_leave();
                return flushed;
            }
        }
        Ok(())
    }

    /// Closes the connection, if there is one, and connects no more, also if closing fails.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::close`]. After [`Error::Send`] nothing was closed, and all goes on as before.
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
    pub fn socket(&mut self) -> Option<&mut WebSocket<S>> {
        match &mut self.stage {
            Stage::Open(ws) => Some(ws),
            _ => None,
        }
    }

    fn put(&self, message: Message<'_>) -> Result<(), Error> {
        let is_over = matches!(self.stage, Stage::Stopped) || self.course.is_closing();
        if is_over { Err(Error::NotConnected) } else { self.outbox.put(message) }
    }

    /// An attempt, which also sets up the session.
    fn connect(&mut self) -> Result<(), Error> {
        self.course.connecting();
        let mut ws = Box::new((self.open)()?);
        self.outbox.opened(&mut ws.endpoint.link);
        self.stage = Stage::Open(ws);
        self.course.opened(self.clock.now());
        Ok(())
    }

    /// The connection ended, cleanly if there is no error; the error comes back if it was the last.
    fn ended(&mut self, error: Option<Error>) -> Result<(), Error> {
        let now = self.clock.now();
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
