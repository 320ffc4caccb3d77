//! A message written as a stream of bytes.

use std::io;

use super::{Error, Sender, Transport, WebSocket};
use crate::stream::MAX_PART;
use crate::{Chunk, Kind};

/// One message that is sent while it is being made, without ever being in memory as a whole (RFC 6455 §5.4).
///
/// It is a [`Write`](io::Write): each write becomes a fragment of at most 64 KiB, so that many tiny ones are best
/// collected in a [`BufWriter`](io::BufWriter). A write of text may begin and end inside a character; text that turns
/// out not to be UTF-8 is an error of kind `InvalidInput`, and the bytes of that write are not sent.
///
/// The message is complete after [`finish`](Self::finish). If the writer is dropped before, the message stays open:
/// another writer of the same kind goes on with it, other messages are refused
/// ([`SendError::MessageInProgress`](crate::SendError::MessageInProgress)), closing is not.
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
    sender: Sender<'a, S>,
    kind: Kind,
    finished: bool,
}

impl<S: Transport> WebSocket<S> {
    /// Begins a message that is written piece by piece; see [`MessageWriter`].
    #[must_use = "the message is sent by writing to it"]
    pub fn message_writer(&mut self, kind: Kind) -> MessageWriter<'_, S> {
        self.sender().into_message_writer(kind)
    }
}

impl<'a, S: Transport> Sender<'a, S> {
    /// Begins a message that is written piece by piece; see [`MessageWriter`].
    #[must_use = "the message is sent by writing to it"]
    pub const fn into_message_writer(self, kind: Kind) -> MessageWriter<'a, S> {
        MessageWriter { sender: self, kind, finished: false }
    }
}

impl<S: Transport> MessageWriter<'_, S> {
    /// Completes the message and writes all of it out. After [`Error::WouldBlock`] call it again.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] if its text ends inside a character; otherwise as [`WebSocket::flush`].
    pub fn finish(&mut self) -> Result<(), Error> {
        if !self.finished {
            let last = Chunk { last: true, ..Chunk::new(self.kind, &[][..]) };
            self.sender.link.feed_chunk(&last)?;
            self.finished = true;
        }
        self.sender.flush()
    }
}

impl<S: Transport> io::Write for MessageWriter<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(MAX_PART)];
        if self.finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !part.is_empty() {
            self.sender.link.feed_chunk(&Chunk::new(self.kind, part))?;
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.sender.flush()?)
    }
}
