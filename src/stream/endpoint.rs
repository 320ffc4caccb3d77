//! The receiving side of a connection over a stream.

use core::ops::Range;
use core::time::Duration;

use super::budget::step_len;
use super::buffer::{LARGE, ReadBuffer, SMALL};
use super::link::{Link, REPLIES, Read, Target};
use super::sending::DIRECT_WRITE;
use super::{Error, Stream};
use crate::{Connection, Delivery, Event, Found, Kind, Message};

/// From this size on the rest of a payload is read straight to its place in the message.
const DIRECT_READ: usize = 16 << 10;

/// A connection, its stream, and what was read from that and not taken yet.
#[derive(Debug)]
pub(crate) struct Endpoint<S> {
    pub(crate) link: Link<S>,
    pub(crate) input: ReadBuffer,
}

impl<S: Stream> Endpoint<S> {
    /// `unread` was read together with the handshake.
    pub(crate) fn new(stream: S, connection: Connection, unread: &[u8]) -> Self {
        let now = stream.now();
        Self::at(now, stream, connection, unread)
    }

    /// [`new`](Self::new) where the time is known.
    pub(crate) fn at(now: Duration, stream: S, connection: Connection, unread: &[u8]) -> Self {
        let mut input = ReadBuffer::default();
        if !unread.is_empty() {
            input.preload(unread);
        }
        Self { link: Link::new(stream, connection, now), input }
    }

    /// The next message, owned; `None` at the clean end.
    pub(crate) fn recv_until(&mut self, until: Option<Duration>) -> Result<Option<Message<'static>>, Error> {
        let Some(found) = self.find_message(until)? else { return Ok(None) };
        let Self { link, input } = self;
        let Some(Event::Message(message)) = lend(link, found, input.lent(), until)? else {
            return Ok(None);
        };
        let message = message.into_owned();
        input.release();
        Ok(Some(message))
    }

    pub(crate) fn find_message(&mut self, until: Option<Duration>) -> Result<Option<Found>, Error> {
        if self.link.connection.config().delivery == Delivery::Chunks {
            return Err(Error::ChunkDelivery);
        }
        self.find(until, Found::is_data)
    }

    /// A message that is in the buffer already, for the case that nothing else is to be done.
    #[inline(always)]
    pub(crate) fn find_at_hand(&mut self) -> Option<(Kind, Range<usize>)> {
        let Self { link, input } = self;
        if !(S::WAITS || link.budget.pay()) || input.is_empty() {
            return None;
        }
        let (kind, payload) = link.connection.whole_message(input.unread())?;
        input.take(payload.end);
        link.ends_large = payload.len() >= DIRECT_WRITE && is_all(input);
        Some((kind, payload))
    }

    /// Goes on until something of interest was found, or to the end of the connection (`None`).
    pub(crate) fn find(
        &mut self,
        until: Option<Duration>,
        interest: impl Fn(&Found) -> bool,
    ) -> Result<Option<Found>, Error> {
        let Self { link, input } = self;
        let (mut has_read, mut starved) = (false, false);
        loop {
            if let Err(yields) = link.pay(until) {
                input.release();
                return Err(yields);
            }
            if !input.is_empty() {
                if let Some((kind, payload)) = link.connection.whole_message(input.unread()) {
                    input.take(payload.end);
                    link.ends_large = payload.len() >= DIRECT_WRITE && input.is_empty();
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
                        link.ends_large =
                            located.found.is_some() && located.consumed >= DIRECT_WRITE && input.is_empty();
                        match located.found {
                            #[cfg(feature = "deflate")]
                            Some(mut found) if interest(&found) => {
                                input.hold(&mut found);
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
            link.judge();
            hands_on(link);
            if let Err(error) = link.flush_once(until) {
                // Input is taken while output waits, since the peer may be waiting for the same. And what the peer said
                // before the stream failed is received.
                if !(error.is_temporary() || link.is_mute()) {
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
                    link.ends_large = input.is_empty();
                    return Ok(Some(found));
                }
                Ok(_) => {}
                Err(error) if error.is_temporary() && hands_on(link) => {}
                // Nobody keeps a buffer while it waits.
                Err(Error::WouldBlock) if !input.is_empty() => starved = true,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Hands on some of the messages that waited for the connection. Returns whether there is more to write.
#[cfg(feature = "rand")]
fn hands_on<S: Stream>(link: &mut Link<S>) -> bool {
    link.out.is_draining() && link.hand_on()
}

#[cfg(not(feature = "rand"))]
const fn hands_on<S: Stream>(_: &mut Link<S>) -> bool {
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
    // Only for a peer that sends much: the place costs memory, and an announcement is no reason to spend it.
    let direct = input.brings_much(DIRECT_READ)
        && link.connection.payload_target().is_some_and(|place| place.len() >= DIRECT_READ);
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

/// Makes the event of what was found; if its text turns out to be none, brings the connection to its end.
pub(crate) fn lend<'a, S: Stream>(
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
