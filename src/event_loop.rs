//! What every loop on the bare core would have to write again: reads and writes on behalf of a connection.

use core::time::Duration;
use std::io::{self, IoSlice, Read, Write};

use crate::connection::{Connection, Input};
use crate::error::SendError;
use crate::memory::{ReadBuffer, WriteBuffer, read_once};
use crate::message::Message;
use crate::role::Role;
use crate::sink::Sink;

/// From this size on a message is written from where it is, in bytes. The copy that this saves is cheaper below than a write of
/// its own.
const DIRECT_WRITE: usize = 16 << 10;

impl ReadBuffer {
    /// Reads once for `connection`, and returns what to give to its [`receive`](Connection::receive). An empty input is the
    /// end of the stream, for [`handle_eof`](Connection::handle_eof).
    ///
    /// The rest of a large message is read straight into the message instead of this buffer.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`read_from`](Self::read_from).
    pub fn read_for<'a>(
        &'a mut self,
        connection: &mut Connection,
        stream: &mut impl Read,
    ) -> io::Result<Input<'a>> {
        if let Some(target) = connection.direct_target().filter(|_| self.is_empty()) {
            let (capacity, len) = (target.len(), read_once(stream, target)?);
            self.set_drained(len < capacity);
            return Ok(Input::direct(len));
        }
        self.read_from(stream)?;
        Ok(self.input())
    }

    /// Removes all unread bytes and returns them as input for a connection, which takes all of its input.
    pub fn input(&mut self) -> Input<'_> {
        Input::new(self.take_all())
    }
}

impl WriteBuffer {
    /// Writes until everything has left or `stream` takes no more, and tells `connection` how that went.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`write_to`](Self::write_to).
    pub fn write_for(
        &mut self,
        connection: &mut Connection,
        now: Duration,
        stream: &mut impl Write,
    ) -> io::Result<()> {
        if !self.is_empty() {
            let written = self.write_to(stream)?;
            connection.handle_written(now, written, self.len());
        }
        Ok(())
    }

    /// Sends `message`, a large one without copying what `stream` takes of it at once.
    ///
    /// That costs a write, so it is for the last message before the next read: for messages behind which more input waits,
    /// [`Connection::send`] gathers the answers for one write. Small messages are queued, and so are those of a client, which
    /// must be masked, and those that are compressed. What fails the stream is left to the next write.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Connection::send`].
    #[inline]
    pub fn send_direct(
        &mut self,
        connection: &mut Connection,
        now: Duration,
        message: &Message<'_>,
        stream: &mut impl Write,
    ) -> Result<(), SendError> {
        let len = message.len();
        if len < DIRECT_WRITE
            || !self.is_empty()
            || connection.role() == Role::Client
            || connection.compresses(len)
            || connection.wants_write()
        {
            return connection.send(message, self);
        }
        let envelope = connection.envelope(message)?;
        let (header, payload) = (envelope.header(), message.as_bytes());
        let written = stream.write_vectored(&[IoSlice::new(header), IoSlice::new(payload)]).unwrap_or(0);
        let rest = payload.get(written.saturating_sub(header.len())..).unwrap_or_default();
        self.push(header.get(written..).unwrap_or_default());
        self.push(rest);
        connection.handle_written(now, written, self.len());
        Ok(())
    }
}
