//! The receiving side of a connection over a stream.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use super::budget::step_len;
use super::buffer::{LARGE, ReadBuffer, SMALL};
use super::link::{Link, REPLIES, Read, Target};
use super::sending::DIRECT_WRITE;
use super::{Error, Opened, Parts, Stream};
use crate::handshake::ResponseHead;
use crate::{Connection, Delivery, Event, Found, Kind, Message};

/// A connection, its stream, and what was read from that and not taken yet.
#[derive(Debug)]
pub(crate) struct Endpoint<S> {
    pub(crate) link: Link<S>,
    pub(crate) input: ReadBuffer,
    /// Boxed, as most connections negotiate nothing.
    pub(crate) opened: Option<Box<Opened>>,
}

impl<S: Stream> Endpoint<S> {
    /// `unread` was read together with the handshake, and `unsent` is still to be written.
    pub(crate) fn new(
        now: Duration,
        stream: S,
        connection: Connection,
        unread: &[u8],
        unsent: Vec<u8>,
        opened: Option<Opened>,
    ) -> Self {
        let mut input = ReadBuffer::default();
        if !unread.is_empty() {
            input.preload(unread);
        }
        let mut link = Link::new(stream, connection, now);
        *link.out.sink() = unsent;
        Self { link, input, opened: opened.and_then(Opened::boxed) }
    }

    /// Puts together what [`into_parts`](Self::into_parts) took apart.
    pub(crate) fn from_parts(parts: Parts<S>) -> Self {
        let Parts { transport, connection, now, unread, unsent, subprotocol, response } = parts;
        Self::new(now, transport, connection, &unread, unsent, Some(Opened { subprotocol, response }))
    }

    pub(crate) fn into_parts(mut self) -> Parts<S> {
        let (subprotocol, response) =
            self.opened.map_or((None, None), |opened| (opened.subprotocol, opened.response));
        Parts {
            now: self.link.read_clock(),
            subprotocol,
            response,
            unread: self.input.into_unread(),
            unsent: self.link.out.to_vec(),
            transport: self.link.stream,
            connection: self.link.connection,
        }
    }

    pub(crate) fn subprotocol(&self) -> Option<&str> {
        self.opened.as_ref()?.subprotocol.as_deref()
    }

    pub(crate) fn response(&self) -> Option<&ResponseHead> {
        self.opened.as_ref()?.response.as_ref()
    }

    /// The next message, owned; `None` at the clean end.
    pub(crate) fn recv_until(&mut self, until: Option<Duration>) -> Result<Option<Message<'static>>, Error> {
        let Some(found) = self.find_message(until)? else { return Ok(None) };
        let Some(Event::Message(message)) = event(&mut self.link, found, self.input.lent(), until)? else {
            return Ok(None);
        };
        let message = message.into_owned();
        self.input.release();
        Ok(Some(message))
    }

    /// The next event that is of interest, owned; `None` at the clean end.
    #[cfg(feature = "tokio")]
    pub(crate) fn recv_event(
        &mut self,
        interest: impl Fn(&Found) -> bool,
    ) -> Result<Option<Event<'static>>, Error> {
        let Some(found) = self.find(None, interest)? else { return Ok(None) };
        Ok(event(&mut self.link, found, self.input.lent(), None)?.map(Event::into_owned))
    }

    /// Drops everything that is still received, in whatever form it is delivered, and returns how the connection ended.
    pub(crate) fn wait_for_end(&mut self) -> Result<(), Error> {
        while self.find(None, |_| false)?.is_some() {}
        Ok(())
    }

    pub(crate) fn find_message(&mut self, until: Option<Duration>) -> Result<Option<Found>, Error> {
        if self.link.connection.config().delivery == Delivery::Chunks {
            return Err(Error::ChunkDelivery);
        }
        self.find(until, Found::is_data)
    }

    /// A whole message that is buffered, if nothing else has to be done first.
    #[inline(always)]
    pub(crate) fn find_buffered(&mut self) -> Option<(Kind, Range<usize>)> {
        let Self { link, input, .. } = self;
        if !(S::WAITS || link.budget.pay()) || input.is_empty() {
            return None;
        }
        let (kind, payload) = link.connection.whole_message(input.unread())?;
        input.take(payload.end);
        link.received_large = payload.len() >= DIRECT_WRITE && is_all(input);
        Some((kind, payload))
    }

    /// A whole message that is buffered, owned, if nothing else has to be done first.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn recv_buffered(&mut self) -> Option<Message<'static>> {
        let (kind, payload) = self.find_buffered()?;
        let Self { link, input, .. } = self;
        let message = link.message(kind, input.lent().get(payload).unwrap_or_default())?.into_owned();
        input.release();
        Some(message)
    }

    /// Goes on until something of interest was found, or to the end of the connection (`None`).
    pub(crate) fn find(
        &mut self,
        until: Option<Duration>,
        interest: impl Fn(&Found) -> bool,
    ) -> Result<Option<Found>, Error> {
        let Self { link, input, .. } = self;
        let (mut has_read, mut starved) = (false, false);
        loop {
            if let Err(yields) = link.pay(until) {
                input.release();
                return Err(yields);
            }
            if !input.is_empty() {
                if let Some((kind, payload)) = link.connection.whole_message(input.unread()) {
                    input.take(payload.end);
                    link.received_large = payload.len() >= DIRECT_WRITE && input.is_empty();
                    let found = Found::whole(kind, payload);
                    if interest(&found) {
                        return Ok(Some(found));
                    }
                    continue;
                }
            }
            // The rest of a message that has begun may be there for the asking; then it need not be gathered.
            let lacks_the_end = !(starved || input.is_empty()) && lacks_the_end(link, input);
            if !(input.is_empty() || lacks_the_end) {
                // What comes may need answers, which must not be lost for want of keys.
                if let Err(error) = link.check_keys() {
                    input.release();
                    return Err(error);
                }
                let limit = link.connection.config().max_queued_output.saturating_add(REPLIES);
                let mut replies = link.out.replies(limit);
                let unread = input.unread();
                let most = step_len::<S>(&link.connection, unread.len());
                let (is_cut, inflated) = (most < unread.len(), link.connection.inflated());
                match link.connection.locate_general(link.now, &mut unread[..most], &mut replies) {
                    Ok(located) => {
                        link.pay_for_step(&located, inflated);
                        input.take(located.consumed);
                        link.received_large =
                            located.found.is_some() && located.consumed >= DIRECT_WRITE && input.is_empty();
                        match located.found {
                            #[cfg(feature = "deflate")]
                            Some(mut found) if interest(&found) => {
                                input.lend_inflated(found.take_inflated());
                                return Ok(Some(found));
                            }
                            #[cfg(not(feature = "deflate"))]
                            Some(found) if interest(&found) => return Ok(Some(found)),
                            Some(_) => continue,
                            None if is_cut && located.consumed == most => continue,
                            None => {}
                        }
                    }
                    // The connection keeps the error; it takes nothing more.
                    Err(_) => input.take(usize::MAX),
                }
            }
            if link.connection.has_ended() {
                input.release();
                return link.finish(until).map(|()| None);
            }
            link.check_deadlines();
            drain_backlog(link);
            if let Err(error) = link.flush_once(until) {
                // Input is taken while output waits, since the peer may be waiting for the same. And what the peer said
                // before the stream failed is received.
                if !(error.is_temporary() || link.output_failed) {
                    input.release();
                    return Err(error);
                }
            }
            if !(input.is_empty() || lacks_the_end) || link.connection.has_ended() {
                continue;
            }
            if starved {
                input.release();
                return Err(Error::WouldBlock);
            }
            if has_read && until.is_some_and(|until| until <= link.now) {
                input.release();
                return Err(Error::TimedOut);
            }
            has_read = true;
            match read_more(link, input, until) {
                Ok(Some(found)) if interest(&found) => {
                    link.received_large = input.is_empty();
                    return Ok(Some(found));
                }
                Ok(_) => {}
                Err(error) if error.is_temporary() && drain_backlog(link) => {}
                // Nobody keeps a buffer while it waits.
                Err(Error::WouldBlock) if !input.is_empty() => starved = true,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Queues some of the messages that waited for the connection. Returns whether there are more to write.
#[cfg(feature = "rand")]
fn drain_backlog<S: Stream>(link: &mut Link<S>) -> bool {
    link.out.is_draining() && link.send_queued()
}

#[cfg(not(feature = "rand"))]
const fn drain_backlog<S: Stream>(_: &mut Link<S>) -> bool {
    false
}

/// Whether nothing is left of the input. It is a call because small messages then jump over it, which saves three
/// instructions, more than the budget costs.
#[cold]
#[inline(never)]
fn is_all(input: &ReadBuffer) -> bool {
    input.is_empty()
}

/// Whether the input is worth another read before it is taken: only where reading never waits.
#[cfg(feature = "tokio")]
fn lacks_the_end<S: Stream>(link: &Link<S>, input: &mut ReadBuffer) -> bool {
    !S::WAITS && input.has_room() && link.connection.lacks_the_end(input.unread())
}

#[cfg(not(feature = "tokio"))]
fn lacks_the_end<S: Stream>(_: &Link<S>, _: &ReadBuffer) -> bool {
    false
}

/// Reads into the buffer, or straight into a large message, which may be complete then.
fn read_more<S: Stream>(
    link: &mut Link<S>,
    input: &mut ReadBuffer,
    until: Option<Duration>,
) -> Result<Option<Found>, Error> {
    let direct = link.connection.direct_target().is_some();
    let target = if direct {
        Target::Message
    } else {
        Target::Buffer(input.room(if S::WAITS { SMALL } else { LARGE }))
    };
    match link.read(target, until) {
        Ok(Read::Bytes(len)) if direct => Ok(link
            .connection
            .payload_read(link.now, len, link.out.sink())
            .ok()
            .flatten()
            .map(Found::gathered)),
        Ok(Read::Bytes(len)) => {
            input.filled(len);
            Ok(None)
        }
        Ok(Read::Again) => Ok(None),
        Err(error) => {
            input.release();
            Err(error)
        }
    }
}

impl<S: Stream> Link<S> {
    /// A whole payload as a message; `None` if it ends the connection, as text that is not UTF-8 does.
    #[inline(always)]
    pub(crate) fn message<'a>(&mut self, kind: Kind, payload: &'a [u8]) -> Option<Message<'a>> {
        match kind {
            Kind::Binary => Some(Message::from(payload)),
            Kind::Text => self.connection.text(self.now, payload, self.out.sink()).ok().map(Message::from),
        }
    }
}

/// Makes the event of what was found; if its text turns out to be none, brings the connection to its end.
pub(crate) fn event<'a, S: Stream>(
    link: &mut Link<S>,
    found: Found,
    bytes: &'a [u8],
    until: Option<Duration>,
) -> Result<Option<Event<'a>>, Error> {
    match link.connection.lend(link.now, found, bytes, link.out.sink()) {
        Ok(event) => Ok(Some(event)),
        Err(_) => link.finish(until).map(|()| None),
    }
}
