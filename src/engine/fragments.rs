//! Messages that are sent in fragments, each by the one who began it.

use alloc::vec::Vec;

use super::link::Link;
use super::{Error, Stream};
use crate::{Chunk, Connection, Fin, Kind, Message, SendError, State};

/// Who sends a fragment: a half of the connection, with its own calls or through a message writer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Author(u64);

impl Author {
    /// The number of the only half of a connection that was not split.
    pub(crate) const OWNER: u64 = 1;
    /// That half by its own calls.
    pub(crate) const CALLS: Self = Self::half(Self::OWNER);
    /// The half that began the message was dropped; no half has the number 0.
    const NOBODY: Self = Self::half(0);

    pub(crate) const fn half(number: u64) -> Self {
        Self(number << 1)
    }

    pub(crate) const fn writer(number: u64) -> Self {
        Self(number << 1 | 1)
    }

    const fn is_of(self, number: u64) -> bool {
        self.0 >> 1 == number
    }

    /// Half `number` was dropped.
    #[cfg(feature = "tokio")]
    pub(crate) fn leave(&mut self, number: u64) {
        if self.is_of(number) {
            *self = Self::NOBODY;
        }
    }

    /// Half `number` is now the owner of the whole connection.
    #[cfg(feature = "tokio")]
    pub(crate) const fn unite(&mut self, number: u64) {
        if self.is_of(number) {
            *self = Self(Self::OWNER << 1 | self.0 & 1);
        }
    }
}

impl<S: Stream> Link<S> {
    pub(crate) fn send_fragment(
        &mut self,
        author: Author,
        fragment: &Message<'_>,
        fin: Fin,
    ) -> Result<(), Error> {
        self.queue_part(author, false, |connection, out| connection.send_fragment(fragment, fin, out))?;
        self.flush_unless_blocked()
    }

    pub(crate) fn send_chunk(&mut self, author: Author, chunk: &Chunk<'_>) -> Result<(), Error> {
        self.queue_part(author, false, |connection, out| connection.send_chunk(chunk, out))?;
        self.flush_unless_blocked()
    }

    /// Queues a chunk, which `begins` a message or goes on with the author's.
    pub(crate) fn feed_chunk(
        &mut self,
        author: Author,
        begins: bool,
        chunk: &Chunk<'_>,
    ) -> Result<(), Error> {
        self.queue_part(author, begins, |connection, out| connection.send_chunk(chunk, out))?;
        self.flush_if_much()
    }

    /// Makes half `number` go on with an open message of its own, or of a half that was dropped.
    pub(crate) fn resume_message(&mut self, number: u64) -> Option<Kind> {
        let kind = self.connection.fragmenting()?;
        if !(self.author.is_of(number) || self.author == Author::NOBODY) {
            return None;
        }
        self.author = Author::writer(number);
        Some(kind)
    }

    /// The peer cannot tell the authors apart: fragments of two would become one message.
    fn queue_part(
        &mut self,
        author: Author,
        begins: bool,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        let is_open = self.connection.state() == State::Open;
        if is_open && self.connection.fragmenting().is_some() && (begins || self.author != author) {
            return Err(SendError::MessageInProgress.into());
        }
        self.queue(encode)?;
        self.author = author;
        Ok(())
    }
}
