//! What a connection reports to the application.

#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use core::fmt;
use core::ops::Range;

use bytes::Bytes;

use crate::close_code::CloseFrame;
#[cfg(feature = "deflate")]
use crate::memory::Inflated;
use crate::message::{Binary, Kind, Message};
use crate::redacted::Redacted;

/// Something that was received. It borrows the input, or owns what did not arrive in one piece.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A whole message ([`Delivery::Messages`](crate::Delivery::Messages)).
    Message(Message<'a>),
    /// The next part of a message ([`Delivery::Chunks`](crate::Delivery::Chunks)).
    Chunk(Chunk<'a>),
    /// A ping; its pong is already in the output or waits for room there (RFC 6455 §5.5.2), unless a Close frame was
    /// sent before.
    Ping(Binary<'a>),
    /// A pong, asked for or not (RFC 6455 §5.5.3).
    Pong(Binary<'a>),
    /// The peer's Close frame; the answer is already in the output or waits for room there (RFC 6455 §5.5.1).
    Close(CloseFrame<'a>),
}

/// A part of a message, as it arrived. Its edges mean nothing: fragments and reads are not told apart.
///
/// The parts of a text message are UTF-8 in sum; a part may begin or end inside a character.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Chunk<'a> {
    /// The kind of the message.
    pub kind: Kind,
    /// The bytes, possibly none in the last chunk.
    pub payload: Binary<'a>,
    /// Whether the message begins with this chunk.
    pub first: bool,
    /// Whether the message ends with this chunk.
    pub last: bool,
}

impl Event<'_> {
    /// The same event without a borrow, to be kept or sent to another task; copies only what was borrowed.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Message(message) => Event::Message(message.into_owned()),
            Self::Chunk(chunk) => Event::Chunk(chunk.into_owned()),
            Self::Ping(payload) => Event::Ping(payload.into_owned()),
            Self::Pong(payload) => Event::Pong(payload.into_owned()),
            Self::Close(frame) => Event::Close(frame.into_owned()),
        }
    }
}

impl<'a> Chunk<'a> {
    /// The bytes `payload` as the next part of a message of this kind, neither its first nor its last one; change the
    /// fields for those.
    #[must_use]
    pub fn new(kind: Kind, payload: impl Into<Binary<'a>>) -> Self {
        Self { kind, payload: payload.into(), first: false, last: false }
    }

    /// The same chunk without a borrow; copies its payload only if it was borrowed.
    #[must_use]
    pub fn into_owned(self) -> Chunk<'static> {
        Chunk { payload: self.payload.into_owned(), ..self }
    }
}

/// What [`Connection::locate`](super::Connection::locate) did with the bytes it was given.
#[derive(Debug)]
#[non_exhaustive]
pub struct Located {
    /// How many bytes were taken from the start of the input.
    pub consumed: usize,
    /// What they completed, if anything; [`Connection::lend`](super::Connection::lend) makes an event of it.
    pub found: Option<Found>,
}

/// An event by its place in the input, so that it borrows nothing.
#[derive(Debug)]
pub struct Found(pub(super) Place);

impl Found {
    /// Whether this is a message or a chunk, not a control frame.
    #[inline]
    #[must_use]
    pub const fn is_data(&self) -> bool {
        match self.0 {
            Place::Message { .. } | Place::Gathered(_) | Place::Chunk { .. } => true,
            #[cfg(feature = "deflate")]
            Place::Inflated(_) | Place::InflatedChunk(_) => true,
            Place::Ping(_) | Place::Pong(_) | Place::Close(_) => false,
        }
    }

    /// Takes the memory that a message was inflated to, which is then the input to lend it from.
    #[cfg(feature = "deflate")]
    pub(crate) fn take_inflated(&mut self) -> Option<Box<(Kind, Inflated)>> {
        if !matches!(self.0, Place::Inflated(_)) {
            return None;
        }
        let Place::Inflated(message) = core::mem::replace(&mut self.0, Place::NOTHING) else { return None };
        self.0 = Place::Message { kind: message.0, payload: 0..message.1.as_slice().len() };
        Some(message)
    }

    /// How many bytes it holds in memory of its own.
    #[cfg(feature = "std")]
    pub(crate) fn owned_len(&self) -> usize {
        match &self.0 {
            Place::Gathered(message) => message.len(),
            #[cfg(feature = "deflate")]
            Place::Inflated(message) => message.1.as_slice().len(),
            #[cfg(feature = "deflate")]
            Place::InflatedChunk(chunk) => chunk.payload.len(),
            _ => 0,
        }
    }

    /// A message that lies whole in the input.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn whole(kind: Kind, payload: Range<usize>) -> Self {
        Self(Place::Message { kind, payload })
    }

    /// A message that is complete without the input.
    #[cfg(feature = "std")]
    pub(crate) const fn gathered(message: Message<'static>) -> Self {
        Self(Place::Gathered(message))
    }
}

pub(super) enum Place {
    /// A whole message in the input; text is validated when it is lent.
    Message {
        kind: Kind,
        payload: Range<usize>,
    },
    Gathered(Message<'static>),
    /// A whole message that was compressed; text is validated when it is lent.
    #[cfg(feature = "deflate")]
    Inflated(Box<(Kind, Inflated)>),
    #[cfg(feature = "deflate")]
    InflatedChunk(Box<Chunk<'static>>),
    Chunk {
        kind: Kind,
        payload: Range<usize>,
        first: bool,
        last: bool,
    },
    Ping(ControlPlace),
    Pong(ControlPlace),
    Close(CloseFrame<'static>),
}

#[cfg(feature = "deflate")]
impl Place {
    const NOTHING: Self = Self::Message { kind: Kind::Binary, payload: 0..0 };

    /// In a box, so that what is found is no larger for it.
    pub(super) fn inflated(kind: Kind, message: Inflated) -> Self {
        Self::Inflated(Box::new((kind, message)))
    }
}

pub(super) enum ControlPlace {
    Input(Range<usize>),
    Gathered(Bytes),
}

/// Without the content, though some of it may be here: an event that has not been taken belongs to no log.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { kind, payload } => {
                f.debug_struct("Message").field("kind", kind).field("payload", payload).finish()
            }
            Self::Gathered(message) => {
                f.debug_tuple("Gathered").field(&Redacted::of(message.as_bytes())).finish()
            }
            #[cfg(feature = "deflate")]
            Self::Inflated(message) => {
                f.debug_tuple("Inflated").field(&Redacted::of(message.1.as_slice())).finish()
            }
            #[cfg(feature = "deflate")]
            Self::InflatedChunk(chunk) => {
                f.debug_tuple("InflatedChunk").field(&Redacted::of(&chunk.payload)).finish()
            }
            Self::Chunk { kind, payload, first, last } => {
                let mut form = f.debug_struct("Chunk");
                form.field("kind", kind)
                    .field("payload", payload)
                    .field("first", first)
                    .field("last", last)
                    .finish()
            }
            Self::Ping(place) => f.debug_tuple("Ping").field(place).finish(),
            Self::Pong(place) => f.debug_tuple("Pong").field(place).finish(),
            Self::Close(frame) => f.debug_tuple("Close").field(&frame.code).finish(),
        }
    }
}

impl fmt::Debug for ControlPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(place) => f.debug_tuple("Input").field(place).finish(),
            Self::Gathered(payload) => f.debug_tuple("Gathered").field(&Redacted::of(payload)).finish(),
        }
    }
}
