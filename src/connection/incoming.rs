//! A message that does not arrive in one piece.

#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::mem;
use core::time::Duration;

use super::gathered::Gathered;
use super::moment::Moment;
use crate::config::{Config, Delivery};
#[cfg(feature = "deflate")]
use crate::deflate::Inflating;
use crate::error::{Error, Limit};
use crate::frame::FrameHeader;
use crate::message::{Kind, Message};
use crate::redacted::Redacted;
use crate::utf8::Validator;

/// How much compressed data a message may come in: for each byte of the limit on messages what a compressor makes of a byte
/// that is flushed alone (7 bytes; 11 in blocks without compression), for each fragment a flush of nothing, and a constant.
#[cfg(feature = "deflate")]
const COMPRESSED_PER_BYTE: u64 = 12;
#[cfg(feature = "deflate")]
const COMPRESSED_PER_FRAGMENT: u64 = 16;
#[cfg(feature = "deflate")]
const COMPRESSED_AT_LEAST: u64 = 64 << 10;

/// The state of a message in progress; boxed by the connection while there is one.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) kind: Kind,
    storage: Storage,
    validator: Validator,
    /// Payload bytes that the headers so far have announced.
    announced: u64,
    fragments: u32,
    empty_fragments: u32,
    /// When the last byte of it came.
    pub(super) progress: Moment,
    /// Whether a chunk of it was given to the application.
    pub(super) given: bool,
    /// There while the message is compressed.
    #[cfg(feature = "deflate")]
    pub(super) inflating: Option<Box<Inflating>>,
}

enum Storage {
    /// Grows out of validated pieces, so that nothing validates it twice.
    Text(String),
    Binary(Gathered),
    /// Handed out as it arrives.
    Passed,
}

impl Incoming {
    pub(super) fn new(kind: Kind, delivery: Delivery, now: Duration) -> Self {
        let storage = match (delivery, kind) {
            (Delivery::Chunks, _) => Storage::Passed,
            (Delivery::Messages, Kind::Text) => Storage::Text(String::new()),
            (Delivery::Messages, Kind::Binary) => Storage::Binary(Gathered::default()),
        };
        Self {
            kind,
            storage,
            validator: Validator::new(),
            announced: 0,
            fragments: 0,
            empty_fragments: 0,
            progress: now.into(),
            given: false,
            #[cfg(feature = "deflate")]
            inflating: None,
        }
    }

    /// Judges a frame of this message by its header alone.
    pub(super) fn begin_frame(&mut self, header: &FrameHeader, config: &Config) -> Result<(), Error> {
        self.announced = self.announced.saturating_add(header.len);
        // What compressed data comes to is not announced.
        let message = if self.is_compressed() { 0 } else { self.announced };
        check_size(header.len, message, config)?;
        // RFC 6455 §5.4: an unfragmented message is a single frame. How its bytes are cut must not matter.
        if self.fragments == 0 && header.fin {
            return Ok(());
        }
        self.fragments = self.fragments.saturating_add(1);
        if self.fragments > config.max_fragments {
            return Err(Error::Policy(Limit::Fragments));
        }
        if header.len == 0 {
            self.empty_fragments = self.empty_fragments.saturating_add(1);
            if self.empty_fragments > config.max_empty_fragments {
                return Err(Error::Policy(Limit::EmptyFragments));
            }
        }
        self.check_compressed(config)
    }

    /// Compressed data may inflate to nothing, so that the limit on what it inflates to does not bound it.
    #[cfg(feature = "deflate")]
    fn check_compressed(&self, config: &Config) -> Result<(), Error> {
        let limit = (config.max_message_size as u64).saturating_mul(COMPRESSED_PER_BYTE);
        let per_fragment = COMPRESSED_PER_FRAGMENT * u64::from(self.fragments);
        let most = limit.saturating_add(per_fragment + COMPRESSED_AT_LEAST);
        let is_bounded = self.is_compressed() && config.delivery == Delivery::Messages;
        if is_bounded && self.announced > most {
            return Err(Error::Policy(Limit::CompressedBytes));
        }
        Ok(())
    }

    #[cfg(not(feature = "deflate"))]
    const fn check_compressed(&self, _: &Config) -> Result<(), Error> {
        Ok(())
    }

    #[cfg(feature = "deflate")]
    const fn is_compressed(&self) -> bool {
        self.inflating.is_some()
    }

    #[cfg(not(feature = "deflate"))]
    const fn is_compressed(&self) -> bool {
        false
    }

    /// Takes the next bytes; `following` more of the frame are still to come.
    ///
    /// What memory cannot hold, half an address space of 32 bits for instance, is too big whatever the limits say.
    pub(super) fn push(&mut self, payload: &[u8], following: u64) -> Result<(), Error> {
        let valid = match self.kind {
            Kind::Text => Some(self.validator.push(payload)?),
            Kind::Binary => None,
        };
        match (&mut self.storage, valid) {
            (Storage::Text(text), Some(piece)) => {
                let carried_len = piece.carried.map_or(0, char::len_utf8);
                let len = payload.len() + carried_len;
                if text.capacity() - text.len() < len {
                    let room = room_for(text.len(), len, following);
                    text.try_reserve(room).map_err(|_| Error::TooBig { limit: text.len() })?;
                }
                text.extend(piece.carried);
                text.push_str(piece.text);
            }
            (Storage::Binary(gathered), _) => gathered.push(payload, following)?,
            _ => {}
        }
        Ok(())
    }

    /// Takes the next bytes of a message that may have `limit` bytes; memory is taken for no more of them.
    #[cfg(feature = "deflate")]
    pub(super) fn push_inflated(&mut self, payload: &[u8], limit: usize) -> Result<(), Error> {
        let (held, capacity) = match &self.storage {
            Storage::Text(text) => (text.len(), text.capacity()),
            Storage::Binary(gathered) => gathered.size(),
            Storage::Passed => (0, usize::MAX),
        };
        // A character may have been begun by the part before.
        let needed = held.saturating_add(payload.len()).saturating_add(4);
        if needed > capacity {
            let room = capacity.saturating_mul(2).min(limit.saturating_add(4)).max(needed) - held;
            let reserved = match &mut self.storage {
                Storage::Text(text) => text.try_reserve_exact(room),
                Storage::Binary(gathered) => gathered.try_reserve_exact(room),
                Storage::Passed => Ok(()),
            };
            reserved.map_err(|_| Error::TooBig { limit: held })?;
        }
        self.push(payload, 0)
    }

    /// Ends the message and gives it away; `None` if its parts were passed on already.
    pub(super) fn finish(&mut self) -> Result<Option<Message<'static>>, Error> {
        // RFC 6455 §8.1: a message that is not valid UTF-8 as a whole fails the connection.
        self.validator.finish()?;
        Ok(match mem::replace(&mut self.storage, Storage::Passed) {
            Storage::Text(text) => Some(Message::from(text)),
            Storage::Binary(gathered) => Some(Message::from(gathered.into_bytes())),
            Storage::Passed => None,
        })
    }

    /// Whether this is binary and the latest piece of it was large.
    #[cfg(feature = "std")]
    pub(super) const fn comes_in_large_pieces(&self) -> bool {
        matches!(&self.storage, Storage::Binary(gathered) if gathered.comes_in_large_pieces())
    }

    /// Where the next bytes of a binary payload belong, at most `following` of them.
    pub(super) fn read_target(&mut self, following: u64) -> Option<&mut [u8]> {
        let is_compressed = self.is_compressed();
        match &mut self.storage {
            Storage::Binary(gathered) if !is_compressed => gathered.read_target(following),
            _ => None,
        }
    }

    /// The first `len` bytes of what [`read_target`](Self::read_target) gave, read at `now`; `None` if that is none
    /// or more than it gave.
    pub(super) fn fill_target(&mut self, now: Duration, len: usize) -> Option<&mut [u8]> {
        let Storage::Binary(gathered) = &mut self.storage else { return None };
        let filled = gathered.fill_target(len)?;
        self.progress = now.into();
        Some(filled)
    }
}

/// RFC 6455 §10.4: limits on the size of frames and of reassembled messages, judged before the payload arrives.
#[inline]
pub(super) fn check_size(frame: u64, message: u64, config: &Config) -> Result<(), Error> {
    let gathered = config.delivery == Delivery::Messages;
    let limit = config.max_frame_size;
    // What is passed on without a limit may be longer than memory.
    if frame > limit as u64 && (gathered || limit != usize::MAX) {
        return Err(Error::TooBig { limit });
    }
    let limit = config.max_message_size;
    if gathered && message > limit as u64 {
        return Err(Error::TooBig { limit });
    }
    Ok(())
}

/// What to reserve: room for the bytes at hand, and for those announced as far as as many have come already.
pub(super) fn room_for(held: usize, len: usize, following: u64) -> usize {
    let held = held.saturating_add(len);
    len.saturating_add(usize::try_from(following).map_or(held, |following| following.min(held)))
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(&Redacted::of(text)).finish(),
            Self::Binary(gathered) => gathered.fmt(f),
            Self::Passed => f.write_str("Passed"),
        }
    }
}
