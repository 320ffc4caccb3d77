//! A message written as a stream of bytes.

use std::io;

use super::bounded::Bounded;
use super::{Error, Sender, Transport, WebSocket};
use crate::Kind;
use crate::engine::{Author, Link, PartialMessage};

/// One message that is sent while it is being made, without ever being in memory as a whole (RFC 6455 §5.4).
///
/// It is a [`Write`](io::Write): each write becomes a fragment of at most 64 KiB, so that many tiny ones are best
/// collected in a [`BufWriter`](io::BufWriter). A write of text may begin and end inside a character; text that turns
/// out not to be UTF-8 is an error of kind `InvalidInput`, and the bytes of that write are not sent.
///
/// The message is complete after [`finish`](Self::finish). If the writer is dropped before, the message stays open.
/// Other messages, fragments and writers are then refused with
/// [`SendError::MessageInProgress`](crate::SendError::MessageInProgress), because the peer would take them for the rest
/// of this message. To go on with the message, call [`resume_message`](WebSocket::resume_message); or close the connection.
///
/// ```
/// use std::io::{BufWriter, Write};
/// # let (stream, peer) = sansocket::blocking::pipe();
/// # let connection = sansocket::Connection::server(std::sync::Arc::default(), core::time::Duration::ZERO);
/// # let mut ws = sansocket::blocking::WebSocket::over(stream, connection);
/// let mut writer = BufWriter::new(ws.message_writer(sansocket::Kind::Text));
/// for row in 0..1000 {
///     writeln!(writer, "row {row}")?;
/// }
/// writer.flush()?;
/// writer.get_mut().finish()?;
/// # drop(peer);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MessageWriter<'a, S> {
    link: &'a mut Link<Bounded<S>>,
    message: PartialMessage,
}

impl<S: Transport> WebSocket<S> {
    /// Begins a message that is written piece by piece; see [`MessageWriter`].
    #[must_use = "the message is sent by writing to it"]
    pub fn message_writer(&mut self, kind: Kind) -> MessageWriter<'_, S> {
        self.sender().into_message_writer(kind)
    }

    /// Goes on with a message that was begun and not completed, for instance because its writer was dropped.
    ///
    /// Returns `None` if no message is open.
    pub fn resume_message(&mut self) -> Option<MessageWriter<'_, S>> {
        let link = &mut self.endpoint.link;
        let message = link.resume_message(Author::OWNER)?;
        Some(MessageWriter { link, message })
    }
}

impl<'a, S: Transport> Sender<'a, S> {
    /// Begins a message that is written piece by piece; see [`MessageWriter`].
    #[must_use = "the message is sent by writing to it"]
    pub const fn into_message_writer(self, kind: Kind) -> MessageWriter<'a, S> {
        MessageWriter { link: self.link, message: PartialMessage::new(kind, Author::OWNER) }
    }
}

impl<S: Transport> MessageWriter<'_, S> {
    /// Completes the message and writes all of it out. After [`Error::WouldBlock`] call it again.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] if its text ends inside a character, or if nothing was written and another message is open;
    /// otherwise as [`WebSocket::flush`].
    pub fn finish(&mut self) -> Result<(), Error> {
        self.link.finish_message(&mut self.message)?;
        self.link.flush(None)
    }
}

impl<S: Transport> io::Write for MessageWriter<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.link.write_part(&mut self.message, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.link.flush(None)?)
    }
}
