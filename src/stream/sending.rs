//! The sending methods: into the output, or straight to the stream where that is cheaper.

use alloc::vec::Vec;
use core::mem;
use std::io::IoSlice;

use super::link::Link;
use super::{Error, Stream};
use crate::copy::append;
use crate::{CloseCode, Connection, Kind, Message, Prepared, Role, SendError, State};

/// The most that one write of a stream of bytes puts into a message or fragment.
pub(crate) const MAX_PART: usize = 64 << 10;
/// Queued output leaves when there is this much of it, about what one read brings.
const WRITE_AT: usize = 256 << 10;
/// A payload from this size on is not copied where the role allows it.
pub(super) const DIRECT_WRITE: usize = 16 << 10;

impl<S: Stream> Link<S> {
    pub(crate) fn send(&mut self, message: &Message<'_>) -> Result<(), Error> {
        if self.is_large(message.len()) {
            return self.send_direct(message);
        }
        self.queue(|connection, out| connection.send(message, out))?;
        self.flush_unless_blocked()
    }

    pub(crate) fn feed(&mut self, message: &Message<'_>) -> Result<(), Error> {
        if self.feed_at_once(message.kind(), message.as_bytes()) {
            return Ok(());
        }
        if self.is_large(message.len()) {
            if mem::take(&mut self.ends_large) && self.out.is_empty() && self.stream.gathers() {
                return match self.send_direct(message) {
                    // As of what is queued, the receiver hears of it, behind what the peer had said before.
                    Err(_) if self.mute => Ok(()),
                    sent => sent,
                };
            }
            self.queue_large(message)?;
        } else {
            self.queue(|connection, out| connection.send(message, out))?;
        }
        self.flush_if_much()
    }

    /// Queues a message without writing anything, also if the queue is full.
    #[cfg(any(feature = "tokio", feature = "rand"))]
    pub(crate) fn take(&mut self, message: &Message<'_>) -> Result<(), Error> {
        let shared = if self.is_large(message.len()) { message.to_shared() } else { None };
        let out = self.out.sink_for_more();
        let Some(bytes) = shared else { return Ok(self.connection.send(message, out)?) };
        self.connection.transmit(out);
        out.extend_from_slice(self.connection.envelope(message)?.header());
        self.out.share(bytes);
        Ok(())
    }

    /// [`take`](Self::take) for a prepared message.
    #[cfg(feature = "tokio")]
    pub(crate) fn take_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        let is_large = self.is_large(prepared.payload().len());
        let out = self.out.sink_for_more();
        if !is_large {
            return Ok(self.connection.send_prepared(prepared, out)?);
        }
        self.connection.transmit(out);
        self.connection.envelope(&Message::from(prepared.payload())).map(drop)?;
        self.out.share(prepared.frame().clone());
        Ok(())
    }

    pub(crate) fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue_prepared(prepared)?;
        self.flush_unless_blocked()
    }

    /// What lies whole in the input as a message; `None` if it ends the connection, as text that is none does.
    #[inline(always)]
    pub(crate) fn message<'a>(&mut self, kind: Kind, payload: &'a [u8]) -> Option<Message<'a>> {
        match kind {
            Kind::Binary => Some(Message::from(payload)),
            Kind::Text => self.connection.text(self.now, payload, self.out.sink()).ok().map(Message::from),
        }
    }

    /// [`feed`](Self::feed) where nothing need be written for that and nothing is unusual; `false` if nothing was done.
    #[inline(always)]
    pub(crate) fn feed_at_once(&mut self, kind: Kind, payload: &[u8]) -> bool {
        let waiting = self.out.len();
        payload.len() < DIRECT_WRITE
            && waiting + payload.len() < WRITE_AT
            && waiting < self.connection.config().max_queued_output
            && self.connection.send_fast(kind, payload, self.out.sink_for(payload.len()))
    }

    /// [`feed_at_once`](Self::feed_at_once) for a prepared message.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn feed_prepared_at_once(&mut self, prepared: &Prepared) -> bool {
        let (waiting, len) = (self.out.len(), prepared.frame().len());
        self.connection.role() == Role::Server
            && len < DIRECT_WRITE
            && waiting + len < WRITE_AT
            && waiting < self.connection.config().max_queued_output
            && self.connection.send_prepared(prepared, self.out.sink_for(len)).is_ok()
    }

    pub(crate) fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue_prepared(prepared)?;
        self.flush_if_much()
    }

    pub(crate) fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue(|connection, out| connection.ping(payload, out))?;
        self.flush_unless_blocked()
    }

    pub(crate) fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue(|connection, out| connection.pong(payload, out))?;
        self.flush_unless_blocked()
    }

    pub(crate) fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.queue_close(code, reason)?;
        self.flush_unless_blocked()
    }

    pub(crate) fn start_close_without_code(&mut self) -> Result<(), Error> {
        self.queue_close_without_code()?;
        self.flush_unless_blocked()
    }

    pub(crate) fn queue_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.check_keys()?;
        let now = self.look_at_the_clock();
        Ok(self.connection.close(now, code, reason, self.out.sink())?)
    }

    pub(crate) fn queue_close_without_code(&mut self) -> Result<(), Error> {
        self.check_keys()?;
        let now = self.look_at_the_clock();
        Ok(self.connection.close_without_code(now, self.out.sink())?)
    }

    /// Encodes into the output, if that is not too full already.
    pub(super) fn queue(
        &mut self,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        if self.connection.state() != State::Open {
            return Err(SendError::Closed.into());
        }
        self.check_keys()?;
        if self.is_full() {
            match self.flush(None) {
                Err(Error::WouldBlock) if !self.is_full() || self.has_turn => {}
                flushed => flushed?,
            }
        }
        Ok(encode(&mut self.connection, self.out.sink_for_more())?)
    }

    /// Whether a payload is better written from where it is than copied: not if it is masked or compressed.
    fn is_large(&self, len: usize) -> bool {
        len >= DIRECT_WRITE && self.connection.role() == Role::Server && !self.connection.compresses(len)
    }

    /// Sends a large payload without copying it. What the stream does not take is queued: shared if it can be.
    fn send_direct(&mut self, message: &Message<'_>) -> Result<(), Error> {
        match self.flush(None) {
            Ok(()) => {}
            Err(Error::WouldBlock) => return self.queue_large(message),
            Err(error) => return Err(error),
        }
        let envelope = self.connection.envelope(message)?;
        let (header, payload) = (envelope.header(), message.as_bytes());
        let mut written = 0;
        while written < header.len() + payload.len() {
            let header = header.get(written..).unwrap_or_default();
            let in_payload = written.saturating_sub(envelope.header().len());
            match self.write(&[IoSlice::new(header), IoSlice::new(&payload[in_payload..])], None) {
                Ok(len) => written += len,
                Err(Error::WouldBlock) => {
                    // A ping may have been queued while the stream was waited for: the rest of the frame goes first.
                    let added = self.out.take();
                    self.out.sink().extend_from_slice(header);
                    match message.to_shared() {
                        Some(bytes) => self.out.share(bytes.slice(in_payload..)),
                        None => append(self.out.sink(), &payload[in_payload..]),
                    }
                    self.out.append(added);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.flush_unless_blocked()
    }

    /// Queues a large message, without a copy if it is shared.
    fn queue_large(&mut self, message: &Message<'_>) -> Result<(), Error> {
        let Some(bytes) = message.to_shared() else {
            return self.queue(|connection, out| connection.send(message, out));
        };
        self.queue(|connection, out| {
            connection.transmit(out);
            let envelope = connection.envelope(message)?;
            out.extend_from_slice(envelope.header());
            Ok(())
        })?;
        self.out.share(bytes);
        Ok(())
    }

    /// Queues a prepared message, without a copy if it is large.
    fn queue_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        if !self.is_large(prepared.payload().len()) {
            return self.queue(|connection, out| connection.send_prepared(prepared, out));
        }
        let message = Message::from(prepared.payload());
        self.queue(|connection, out| {
            connection.transmit(out);
            connection.envelope(&message).map(drop)
        })?;
        self.out.share(prepared.frame().clone());
        Ok(())
    }

    /// Writes where much is queued. A call that waits does so once: the peer may be feeding too, and take nothing before it
    /// receives.
    pub(super) fn flush_if_much(&mut self) -> Result<(), Error> {
        if self.out.len() < WRITE_AT {
            return Ok(());
        }
        match self.flush_once(None) {
            Err(Error::WouldBlock | Error::TimedOut) => Ok(()),
            flushed => flushed,
        }
    }
}
