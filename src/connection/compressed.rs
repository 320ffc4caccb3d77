//! Compressed messages on the way in (RFC 7692 §6.2), and what a connection holds for compression.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::event::Place;
use super::incoming::{Incoming, check_size};
use super::{Chunk, Connection};
use crate::config::{Config, Delivery};
use crate::deflate::{Agreed, Compressor, Deflate, History, InflateError, Inflating};
use crate::error::{Error, Limit};
use crate::frame::{Opcode, Piece};
use crate::memory::Lease;
use crate::message::Kind;

/// RSV1 as in `FrameHeader::rsv`: RFC 7692 §6 "calls the bit the "Per-Message Compressed" bit".
pub(super) const RSV1: u8 = 4;
/// How much compressed data is looked at in one go where chunks are given out: what it inflates to beyond one chunk is
/// masked again, to come again.
const CHUNK_INPUT: usize = 4096;

/// What a connection holds between messages, or between the fragments of one that it sends.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// With context takeover from the first message on, else while a message is being sent in fragments.
    pub(super) compressor: Option<Lease<Compressor>>,
    /// Whether the message that is being sent in fragments is compressed.
    pub(super) fragments: bool,
    pub(super) history: History,
}

impl Connection {
    /// The same connection with the compression that was agreed on in an opening handshake, which has to be the one
    /// that was just made: [`Offer::choose_deflate`](crate::handshake::Offer::choose_deflate) gives it.
    ///
    /// Handshakes of this crate need no call of it. Settings such as the level are those of
    /// [`Config::deflate`](crate::Config::deflate).
    #[must_use]
    pub fn with_deflate(mut self, agreed: impl Into<Option<Agreed>>) -> Self {
        self.agreed = agreed.into();
        if self.agreed.is_some() {
            self.decoder = self.decoder.allow_rsv_on_messages(RSV1);
        }
        self.set_compression(true);
        self
    }

    /// What both ends agreed on; `None` if messages are never compressed.
    #[must_use]
    pub const fn deflate(&self) -> Option<Agreed> {
        self.agreed
    }

    /// Whether messages may come compressed.
    pub(crate) const fn may_inflate(&self) -> bool {
        self.agreed.is_some()
    }

    /// How many bytes have come out of the compressed message that is being received.
    pub(crate) fn inflated(&self) -> u64 {
        let inflating = self.incoming.as_ref().and_then(|incoming| incoming.inflating.as_ref());
        inflating.map_or(0, |inflating| inflating.total())
    }

    /// Switches the compression of messages that begin to be sent from now on. On by default, where it was agreed on.
    ///
    /// For single messages that are compressed already, such as images, or that must not tell their content by their
    /// length (see [`deflate`](crate::deflate#security)): off before, on behind it.
    pub fn set_compression(&mut self, on: bool) {
        // RFC 7692 §7.1.2 allows windows of 256 bytes, which no compressor of zlib's family keeps to.
        self.compresses = on && self.agreed.is_some_and(|agreed| agreed.send_window_bits() > 8);
    }

    /// Whether this is a part of a compressed message.
    #[inline]
    pub(super) fn is_compressed(&self, piece: &Piece) -> bool {
        match piece.header.opcode {
            Opcode::Text | Opcode::Binary => piece.header.rsv & RSV1 != 0,
            Opcode::Continuation => {
                self.incoming.as_ref().is_some_and(|incoming| incoming.inflating.is_some())
            }
            _ => false,
        }
    }

    /// How much of `len` bytes, the first of which is `first`, to look at.
    #[inline]
    pub(super) fn look_at_most(&self, first: u8, len: usize) -> usize {
        if self.agreed.is_none() || self.config.delivery == Delivery::Messages {
            return len;
        }
        let compressed = if self.decoder.is_between_frames() {
            first & RSV1 << 4 != 0 || self.incoming.is_some()
        } else {
            self.decoder.remaining() == 0
                || self.incoming.as_ref().is_some_and(|incoming| incoming.inflating.is_some())
        };
        if compressed { len.min(CHUNK_INPUT) } else { len }
    }

    /// Takes a piece of a compressed message. Says also how many bytes of its payload were not taken after all.
    pub(super) fn take_compressed(
        &mut self,
        now: Duration,
        piece: &Piece,
        payload: &mut [u8],
    ) -> Result<(Option<Place>, usize), Error> {
        let last = piece.last && piece.header.fin;
        let mut rest = &mut *payload;
        if piece.first && piece.header.opcode != Opcode::Continuation {
            let kind = if piece.header.opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
            let mut inflating = Inflating::default();
            if last && self.config.delivery == Delivery::Messages {
                check_size(piece.header.len, 0, &self.config)?;
                self.resume(&mut inflating)?;
                let taken = inflating.inflate(rest, history_of(&self.session));
                let is_whole = !inflating.is_full() && check_total(&inflating, &self.config).is_ok();
                if is_whole && self.finish_inflating(&mut inflating).is_ok() {
                    return Ok((inflating.into_whole().map(|whole| Place::inflated(kind, whole)), 0));
                }
                rest = &mut rest[taken..];
            }
            let mut incoming = Incoming::new(kind, self.config.delivery, now);
            incoming.inflating = Some(Box::new(inflating));
            self.incoming = Some(Box::new(incoming));
        }
        let Some(mut incoming) = self.incoming.take() else { return Ok((None, 0)) };
        if piece.first {
            incoming.begin_frame(&piece.header, &self.config)?;
        }
        incoming.progress = now.into();
        let Some(mut inflating) = incoming.inflating.take() else { return Ok((None, 0)) };
        if self.config.delivery == Delivery::Chunks {
            return self.inflate_chunk(incoming, inflating, piece, rest);
        }
        if !last && inflating.hold(rest) {
            self.keep_unfinished(incoming, inflating);
            return Ok((None, 0));
        }
        self.resume(&mut inflating)?;
        let held = inflating.take_held();
        self.inflate_to_message(&mut incoming, &mut inflating, &held)?;
        self.inflate_to_message(&mut incoming, &mut inflating, rest)?;
        if !last {
            self.keep_unfinished(incoming, inflating);
            return Ok((None, 0));
        }
        self.finish_inflating(&mut inflating)?;
        Ok((incoming.finish()?.map(Place::Gathered), 0))
    }

    /// Inflates all of `data` into the message that is gathered.
    fn inflate_to_message(
        &self,
        incoming: &mut Incoming,
        inflating: &mut Inflating,
        data: &[u8],
    ) -> Result<(), Error> {
        let limit = self.config.max_message_size;
        let mut taken = 0;
        loop {
            taken += inflating.inflate(&data[taken..], history_of(&self.session));
            let output = inflating.output();
            let excess = usize::try_from(inflating.total().saturating_sub(limit as u64));
            let allowed = output.len().saturating_sub(excess.unwrap_or(usize::MAX));
            incoming.push_inflated(&output[..allowed], limit)?;
            check_total(inflating, &self.config)?;
            inflating.check()?;
            let full = inflating.is_full();
            inflating.give_out();
            if !full {
                return Ok(());
            }
        }
    }

    /// Until more of a message comes it holds no memory that does not depend on how much came.
    fn keep_unfinished(&mut self, mut incoming: Box<Incoming>, mut inflating: Box<Inflating>) {
        inflating.pause();
        incoming.inflating = Some(inflating);
        self.incoming = Some(incoming);
    }

    /// Inflates as much of `payload` as makes a chunk.
    fn inflate_chunk(
        &mut self,
        mut incoming: Box<Incoming>,
        mut inflating: Box<Inflating>,
        piece: &Piece,
        payload: &mut [u8],
    ) -> Result<(Option<Place>, usize), Error> {
        let last = piece.last && piece.header.fin;
        if payload.is_empty() && !last {
            self.keep_unfinished(incoming, inflating);
            return Ok((None, 0));
        }
        self.resume(&mut inflating)?;
        let history = history_of(&self.session);
        let mut taken = inflating.inflate(payload, history);
        let mut chunk = Vec::from(inflating.output());
        while inflating.is_full() && taken == payload.len() {
            // No byte is left to come back for the rest with. It is small: what a few bits stand for.
            inflating.give_out();
            taken += inflating.inflate(&[], history);
            chunk.extend_from_slice(inflating.output());
        }
        inflating.give_out();
        incoming.push(&chunk, 0)?;
        inflating.check()?;
        let left = &mut payload[taken..];
        self.decoder.take_back(piece, left);
        let left = left.len();
        let last = last && left == 0;
        if last {
            self.finish_inflating(&mut inflating)?;
            incoming.finish()?;
        }
        if chunk.is_empty() && !last {
            self.keep_unfinished(incoming, inflating);
            return Ok((None, left));
        }
        let chunk = Chunk { kind: incoming.kind, payload: chunk.into(), first: !incoming.given, last };
        incoming.given = true;
        if !last {
            self.keep_unfinished(incoming, inflating);
        }
        Ok((Some(Place::InflatedChunk(Box::new(chunk))), left))
    }

    fn resume(&self, inflating: &mut Inflating) -> Result<(), InflateError> {
        inflating.resume(settings(&self.config), history_of(&self.session))
    }

    /// Ends a message and keeps what the next one may refer back to.
    fn finish_inflating(&mut self, inflating: &mut Inflating) -> Result<(), Error> {
        inflating.finish()?;
        let agreed = self.agreed.filter(|agreed| agreed.receive_takeover());
        if let (Some(agreed), true) = (agreed, inflating.total() != 0) {
            let history = &mut self.session.get_or_insert_default().history;
            inflating.keep(history, 1 << agreed.receive_window_bits());
        }
        Ok(())
    }
}

fn history_of(session: &Option<Box<Session>>) -> &History {
    static EMPTY: History = History::EMPTY;
    session.as_ref().map_or(&EMPTY, |session| &session.history)
}

/// The settings that hold where the configuration has none, though compression was agreed on.
pub(super) fn settings(config: &Config) -> &Deflate {
    config.deflate.as_ref().unwrap_or_else(|| Deflate::fallback())
}

/// RFC 6455 §10.4: the limit is on what a message inflates to, while it does.
fn check_total(inflating: &Inflating, config: &Config) -> Result<(), Error> {
    let limit = config.max_message_size;
    if inflating.total() > limit as u64 { Err(Error::TooBig { limit }) } else { Ok(()) }
}

impl From<InflateError> for Error {
    fn from(error: InflateError) -> Self {
        match error {
            InflateError::InvalidData => Self::InvalidDeflate,
            InflateError::FinalBlocks => Self::Policy(Limit::FinalBlocks),
        }
    }
}
