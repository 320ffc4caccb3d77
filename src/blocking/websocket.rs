//! A connection over a stream.

use alloc::vec::Vec;
use core::time::Duration;

use super::bounded::Bounded;
use super::{Error, Parts, Transport};
use crate::engine::server::Established;
use crate::engine::{Author, Endpoint, Link, Opened, Outgoing, event};
use crate::handshake::ResponseHead;
use crate::{Chunk, CloseCode, Connection, Event, Fin, Message, Prepared, State, Summary};

/// An open WebSocket connection over a [`Transport`].
///
/// Over a blocking stream every call waits as long as it must, within the deadlines of the
/// [`Config`](crate::Config). Over a non-blocking one a call that cannot go on returns [`Error::WouldBlock`] and
/// loses nothing.
///
/// Pings are answered and deadlines watched inside the receiving calls: a thread that never receives drives
/// neither. A call that sends over a blocking stream waits until the peer takes the bytes and does not receive
/// meanwhile, so that two ends which both send more than the stream holds before either receives end with
/// [`Deadline::Write`](crate::Deadline::Write), by default after 30 s. When it is dropped without
/// [`close`](Self::close), the peer sees an end without a Close frame (1006).
#[derive(Debug)]
pub struct WebSocket<S> {
    pub(super) endpoint: Endpoint<Bounded<S>>,
}

impl<S: Transport> WebSocket<S> {
    /// Runs an open connection over `transport`, after an opening handshake that was done elsewhere.
    ///
    /// `connection` must have been made with the time zero: its clock starts now. One that came out of
    /// [`into_parts`](Self::into_parts) goes back with [`from_parts`](Self::from_parts).
    #[must_use]
    pub fn over(transport: S, connection: Connection) -> Self {
        Self::with_unread(transport, connection, &[])
    }

    /// Like [`over`](Self::over), with bytes that were read together with the handshake.
    #[must_use]
    pub fn with_unread(transport: S, connection: Connection, unread: &[u8]) -> Self {
        Self::new(transport, connection, unread, Vec::new(), None)
    }

    /// Puts together what [`into_parts`](Self::into_parts) took apart, and goes on where that stopped.
    ///
    /// The clock goes on from [`Parts::now`], so that every deadline is as far away as it was then. The transport may
    /// be another one, see [`Parts::map_transport`]. What was unsent leaves before the next wait, as after [`feed`](Self::feed).
    #[must_use]
    pub fn from_parts(parts: Parts<S>) -> Self {
        let now = parts.now;
        let parts = parts.map_transport(|transport| Bounded::new(transport, now));
        Self { endpoint: Endpoint::from_parts(parts) }
    }

    /// Starts after an opening handshake of this module.
    pub(super) fn open(transport: S, established: Established) -> Self {
        let Established { connection, unread, response, opened } = established;
        let mut ws = Self::new(transport, connection, &unread, response, Some(opened));
        // A stream that fails now fails the first call too.
        let _ = ws.endpoint.link.flush(None);
        ws
    }

    fn new(
        transport: S,
        connection: Connection,
        unread: &[u8],
        unsent: Vec<u8>,
        opened: Option<Opened>,
    ) -> Self {
        let stream = Bounded::new(transport, Duration::ZERO);
        Self { endpoint: Endpoint::new(Duration::ZERO, stream, connection, unread, unsent, opened) }
    }

    /// Waits for the next message and returns it owned: it can be kept, sent to another thread, sent back.
    ///
    /// What was queued with [`feed`](Self::feed) is written before this waits. `None` is the clean end.
    ///
    /// # Errors
    ///
    /// Why the connection ended, in every case that is not a clean close; the same again on later calls. The Close
    /// frame that fits the error has been sent, and the peer was given time to read it. When the stream fails, what
    /// had come before is returned first, and if there is a Close frame among it the end is a clean one.
    pub fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        self.endpoint.recv_until(None)
    }

    /// Waits for the next message, but at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when the time is over; nothing is lost and the next call goes on. Otherwise as
    /// [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'static>>, Error> {
        let until = self.endpoint.link.read_clock().checked_add(timeout);
        self.endpoint.recv_until(until)
    }

    /// Waits for the next message and lends it together with a sender, so that it can be answered without a copy.
    ///
    /// ```no_run
    /// # fn echo(mut ws: sansocket::blocking::WebSocket<std::net::TcpStream>) -> Result<(), sansocket::blocking::Error> {
    /// while let Some((message, mut tx)) = ws.recv_ref()? {
    ///     tx.feed(&message)?; // leaves before the next wait, together with the answers to all that one read brought
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`recv`](Self::recv).
    pub fn recv_ref(&mut self) -> Result<Option<(Message<'_>, Sender<'_, S>)>, Error> {
        if let Some((kind, payload)) = self.endpoint.find_buffered() {
            let Endpoint { link, input, .. } = &mut self.endpoint;
            let payload = input.lent().get(payload).unwrap_or_default();
            return match link.message(kind, payload) {
                Some(message) => Ok(Some((message, Sender { link }))),
                None => link.finish(None).map(|()| None),
            };
        }
        let Some(found) = self.endpoint.find_message(None)? else { return Ok(None) };
        let Endpoint { link, input, .. } = &mut self.endpoint;
        match event(link, found, input.lent(), None)? {
            Some(Event::Message(message)) => Ok(Some((message, Sender { link }))),
            _ => Ok(None),
        }
    }

    pub(super) fn sender(&mut self) -> Sender<'_, S> {
        Sender { link: &mut self.endpoint.link }
    }

    /// Waits for whatever comes next: messages or chunks, pings and pongs, the peer's Close frame.
    ///
    /// Pings and Close frames have been answered when they are seen. Use it where the configuration asks for
    /// [chunks](crate::Delivery::Chunks). `None` is the clean end.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`recv`](Self::recv).
    pub fn recv_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        self.recv_event_until(None)
    }

    /// Waits for whatever comes next, but at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when the time is over; nothing is lost and the next call goes on. Otherwise as
    /// [`recv`](Self::recv).
    pub fn recv_event_timeout(&mut self, timeout: Duration) -> Result<Option<Event<'_>>, Error> {
        let until = self.endpoint.link.read_clock().checked_add(timeout);
        self.recv_event_until(until)
    }

    /// Sends a message; it has left when this returns (over a non-blocking stream: it is queued at least).
    ///
    /// # Errors
    ///
    /// [`Error::Send`] if the message cannot be sent; [`Error::WouldBlock`] if the queue is full, with nothing
    /// taken; otherwise the end of the connection.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.sender().send(message)
    }

    /// Queues a message; it leaves before the next receive waits, with [`flush`](Self::flush), or once 256 KiB are queued, as
    /// far as the stream takes them at once.
    ///
    /// It waits for the peer only while the queue is full ([`max_queued_output`](crate::Config::max_queued_output)).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.sender().feed(message)
    }

    /// Sends a message that was encoded once for many connections; it has left when this returns, as after
    /// [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.sender().send_prepared(prepared)
    }

    /// Queues a message that was encoded once for many connections.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.sender().feed_prepared(prepared)
    }

    /// Writes everything that is queued.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] if the stream does not take all of it now; otherwise the end of the connection.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.sender().flush()
    }

    /// Sends the next fragment of a message that is streamed out; see [`Connection::send_fragment`]. For bytes of any
    /// length there is the [message writer](Self::message_writer).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub fn send_fragment<'m>(&mut self, fragment: impl Into<Message<'m>>, fin: Fin) -> Result<(), Error> {
        self.sender().send_fragment(fragment, fin)
    }

    /// Sends on a chunk that another connection received; see [`Connection::send_chunk`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub fn send_chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), Error> {
        self.sender().send_chunk(chunk)
    }

    /// Sends a ping with a payload of at most 125 bytes; its pong is an event of [`recv_event`](Self::recv_event).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.sender().ping(payload)
    }

    /// Sends a pong that nobody asked for; pings are answered without it.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`send`](Self::send).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.sender().pong(payload)
    }

    /// Closes the connection: sends the Close frame and waits for the peer's and for the end of the stream.
    ///
    /// Messages that still come are thrown away; who wants them calls [`start_close`](Self::start_close) and goes
    /// on receiving. It waits for the [close timeout](crate::Config::close_timeout()) (default 10 s) at most, and
    /// before that once more at most as long for what is queued to leave, however slowly the peer takes it. On a
    /// connection that is closing already it only waits.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] for a code or a reason that must not be sent; otherwise as [`recv`](Self::recv).
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.close_with(Outgoing::Close(code, reason))
    }

    /// Closes the connection with an empty Close frame, which the peer sees as code 1005; otherwise like
    /// [`close`](Self::close).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`recv`](Self::recv).
    pub fn close_without_code(&mut self) -> Result<(), Error> {
        self.close_with(Outgoing::CloseWithoutCode)
    }

    /// Sends the Close frame and returns; go on receiving until the end.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`close`](Self::close).
    pub fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.sender().start_close(code, reason)
    }

    /// Sends an empty Close frame and returns; go on receiving until the end.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`close_without_code`](Self::close_without_code).
    pub fn start_close_without_code(&mut self) -> Result<(), Error> {
        self.sender().start_close_without_code()
    }

    /// The subprotocol that both ends agreed on, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.endpoint.subprotocol()
    }

    /// The server's response, for its headers and cookies; `None` on a server.
    ///
    /// It is kept as long as the connection, up to the size of a response's head (16 KiB by default);
    /// [`take_response`](Self::take_response) frees it.
    #[must_use]
    pub fn response(&self) -> Option<&ResponseHead> {
        self.endpoint.response()
    }

    /// Takes the server's response out, so that a long-lived connection does not keep its memory.
    pub fn take_response(&mut self) -> Option<ResponseHead> {
        self.endpoint.opened.as_mut()?.response.take()
    }

    /// How the connection ended, once it has.
    #[must_use]
    pub fn summary(&self) -> Option<Summary<'_>> {
        self.endpoint.link.connection.summary()
    }

    /// The state of the protocol, for its questions: state, round-trip time and so on.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.endpoint.link.connection
    }

    /// Switches the compression of messages that begin to be sent from now on; see [`Connection::set_compression`].
    #[cfg(feature = "deflate")]
    pub fn set_compression(&mut self, on: bool) {
        self.endpoint.link.connection.set_compression(on);
    }

    /// When a call is due for a deadline's sake, as a span from now; `None` if no deadline runs.
    ///
    /// Event loops over non-blocking streams call a receiving method then, even if nothing came.
    #[must_use]
    pub fn next_deadline(&mut self) -> Option<Duration> {
        let now = self.endpoint.link.read_clock();
        Some(self.endpoint.link.connection.poll_timeout()?.saturating_sub(now))
    }

    /// How many encoded bytes wait for the stream.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.endpoint.link.out.len()
    }

    /// The stream, to ask for its address or its readiness.
    #[must_use]
    pub const fn transport(&self) -> &S {
        &self.endpoint.link.stream.transport
    }

    /// The stream, to set its options. Bytes read or written here are missing there.
    #[must_use]
    pub const fn transport_mut(&mut self) -> &mut S {
        &mut self.endpoint.link.stream.transport
    }

    /// Takes the connection apart without losing a byte or a deadline; the stream's waits are unbounded again.
    ///
    /// For handing it to another thread of control, such as an event loop that drives the [`Connection`] itself, or
    /// for putting another stream under it; [`from_parts`](Self::from_parts) is the way back.
    #[must_use]
    pub fn into_parts(mut self) -> Parts<S> {
        // The next owner waits as long as it likes; a stream that has failed tells it so by itself.
        let _ = self.endpoint.link.stream.transport.set_read_timeout(None);
        let _ = self.endpoint.link.stream.transport.set_write_timeout(None);
        self.endpoint.into_parts().map_transport(|stream| stream.transport)
    }

    fn recv_event_until(&mut self, until: Option<Duration>) -> Result<Option<Event<'_>>, Error> {
        let Some(found) = self.endpoint.find(until, |_| true)? else { return Ok(None) };
        event(&mut self.endpoint.link, found, self.endpoint.input.lent(), until)
    }

    fn close_with(&mut self, frame: Outgoing<'_>) -> Result<(), Error> {
        // The frame leaves while this side receives: what the peer has to say may be in the way.
        if self.endpoint.link.connection.state() == State::Open {
            self.endpoint.link.queue(frame)?;
        }
        self.endpoint.wait_for_end()
    }
}

/// The sending side of a [`WebSocket`] whose receiving side lends a message; see [`WebSocket::recv_ref`].
///
/// Its methods are those of the connection.
#[derive(Debug)]
pub struct Sender<'a, S> {
    pub(super) link: &'a mut Link<Bounded<S>>,
}

impl<S: Transport> Sender<'_, S> {
    /// Sends a message; see [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::send`].
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.link.send(Outgoing::Message(&message.into()))
    }

    /// Queues a message; see [`WebSocket::feed`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::feed`].
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.link.feed(Outgoing::Message(&message.into()))
    }

    /// Sends a prepared message; see [`WebSocket::send_prepared`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::send_prepared`].
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.link.send(Outgoing::Prepared(prepared))
    }

    /// Queues a prepared message; see [`WebSocket::feed_prepared`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::feed_prepared`].
    pub fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.link.feed(Outgoing::Prepared(prepared))
    }

    /// Sends a fragment; see [`WebSocket::send_fragment`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::send_fragment`].
    pub fn send_fragment<'m>(&mut self, fragment: impl Into<Message<'m>>, fin: Fin) -> Result<(), Error> {
        self.link.send(Outgoing::Fragment(Author::CALLS, &fragment.into(), fin))
    }

    /// Sends on a chunk; see [`WebSocket::send_chunk`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::send_chunk`].
    pub fn send_chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), Error> {
        self.link.send(Outgoing::Chunk(Author::CALLS, chunk))
    }

    /// Writes everything that is queued; see [`WebSocket::flush`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::flush`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.link.flush(None)
    }

    /// Sends a ping; see [`WebSocket::ping`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::ping`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.link.send(Outgoing::Ping(payload))
    }

    /// Sends a pong that nobody asked for; see [`WebSocket::pong`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::pong`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.link.send(Outgoing::Pong(payload))
    }

    /// Sends the Close frame; see [`WebSocket::start_close`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::start_close`].
    pub fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.link.send(Outgoing::Close(code, reason))
    }

    /// Sends an empty Close frame; see [`WebSocket::start_close_without_code`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`WebSocket::start_close_without_code`].
    pub fn start_close_without_code(&mut self) -> Result<(), Error> {
        self.link.send(Outgoing::CloseWithoutCode)
    }
}
