//! Compressed messages on the way out (RFC 7692 §6.1).

use alloc::boxed::Box;

use super::compressed::{RSV1, Session, settings};
use super::send::{MASK_LEN, check_room};
use super::{Connection, Fin, Prepared};
use crate::deflate::{Agreed, Compressor, Deflate};
use crate::error::SendError;
use crate::frame::{FrameHeader, Opcode, apply_mask};
use crate::memory::Lease;
use crate::message::Kind;
use crate::role::Role;
use crate::sink::Sink;

impl Connection {
    /// Sends a message compressed if that makes it smaller.
    #[inline(never)]
    pub(super) fn send_compressed(
        &mut self,
        kind: Kind,
        payload: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        let Some(agreed) = self.agreed else { return self.write_frame(kind.into(), payload, out) };
        let config = self.config.clone();
        let settings = settings(&config);
        let mut compressor = self.take_compressor(settings, agreed);
        let compressed = compress_whole(&mut compressor, payload, settings);
        let sent = match &compressed {
            Some(compressed) => {
                self.write_compressed(kind.into(), Fin::Final, compressed.without_tail(), out)
            }
            None => self.write_frame(kind.into(), payload, out),
        };
        if compressed.is_none() || sent.is_err() {
            compressor.forget();
        }
        if agreed.send_takeover() {
            self.session().compressor = Some(compressor);
        }
        sent
    }

    /// Sends a prepared message, compressed once for all that may share the result.
    #[inline(never)]
    pub(super) fn send_prepared_compressed(
        &mut self,
        prepared: &Prepared,
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        let Some(agreed) = self.agreed.filter(|agreed| !agreed.send_takeover()) else {
            return self.send_compressed(prepared.kind(), prepared.payload(), out);
        };
        let config = self.config.clone();
        let settings = settings(&config);
        let bits = window_bits(settings, agreed);
        let compressed = prepared
            .compressed(bits, |payload| compress_whole(&mut settings.compressor(bits), payload, settings));
        match (compressed, self.role) {
            (None, _) => self.write_prepared(prepared, out),
            (Some(compressed), Role::Server) => {
                check_room(out, compressed.frame.len())?;
                out.push(&compressed.frame);
                Ok(())
            }
            (Some(compressed), Role::Client) => {
                self.write_compressed(prepared.kind().into(), Fin::Final, compressed.payload(), out)
            }
        }
    }

    /// Whether the next fragment is compressed; the first one decides for the message.
    #[inline]
    pub(super) fn compresses_fragment(&self, opcode: Opcode, fin: Fin, len: usize) -> bool {
        match (opcode, fin) {
            (Opcode::Continuation, _) => self.session.as_ref().is_some_and(|session| session.fragments),
            (_, Fin::More) => self.compresses,
            (_, Fin::Final) => self.compresses(len),
        }
    }

    /// Sends the next fragment of a compressed message.
    #[inline(never)]
    pub(super) fn send_compressed_fragment(
        &mut self,
        opcode: Opcode,
        fin: Fin,
        part: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        let Some(agreed) = self.agreed else { return Ok(()) };
        let config = self.config.clone();
        let settings = settings(&config);
        let mut compressor = self.take_compressor(settings, agreed);
        let sent = match compressor.compress(part, settings, usize::MAX) {
            // RFC 7692 §7.2.1: "for non-final fragments, the removal of 0x00 0x00 0xff 0xff MUST NOT be done."
            Some(compressed) if fin == Fin::More => {
                self.write_compressed(opcode, fin, compressed.as_slice(), out)
            }
            Some(compressed) => self.write_compressed(opcode, fin, compressed.without_tail(), out),
            None => Err(SendError::Full { needed: part.len() }),
        };
        if sent.is_err() {
            compressor.forget();
        }
        let begun = sent.is_ok() || opcode == Opcode::Continuation;
        let goes_on = begun && (sent.is_err() || fin == Fin::More);
        let session = self.session();
        session.fragments = goes_on;
        session.compressor = (goes_on || agreed.send_takeover()).then_some(compressor);
        self.drop_empty_session();
        sent
    }

    fn take_compressor(&mut self, settings: &Deflate, agreed: Agreed) -> Lease<Compressor> {
        let kept = self.session.as_mut().and_then(|session| session.compressor.take());
        kept.unwrap_or_else(|| settings.compressor(window_bits(settings, agreed)))
    }

    fn session(&mut self) -> &mut Session {
        self.session.get_or_insert_with(Box::default)
    }

    /// Without context takeover nothing is held between messages.
    fn drop_empty_session(&mut self) {
        if self.agreed.is_some_and(|agreed| !agreed.send_takeover() && !agreed.receive_takeover())
            && self.session.as_ref().is_some_and(|session| session.compressor.is_none())
        {
            self.session = None;
        }
    }

    /// Writes a frame of a compressed message. RFC 7692 §6.1: its first one has RSV1 set.
    fn write_compressed(
        &mut self,
        opcode: Opcode,
        fin: Fin,
        payload: &[u8],
        out: &mut impl Sink,
    ) -> Result<(), SendError> {
        let mut header = compressed_header(opcode, fin, payload.len());
        let mask_len = if self.role == Role::Client { MASK_LEN } else { 0 };
        let needed = (header.encoded_len() + mask_len).saturating_add(payload.len());
        check_room(out, needed)?;
        header.mask = self.next_key()?;
        out.reserve(needed);
        out.push(&header.encode());
        out.push(payload);
        if let Some(key) = header.mask {
            apply_mask(key, 0, out.last_mut(payload.len()));
        }
        Ok(())
    }
}

/// The header of a frame of a compressed message.
pub(super) fn compressed_header(opcode: Opcode, fin: Fin, len: usize) -> FrameHeader {
    let rsv = if opcode == Opcode::Continuation { 0 } else { RSV1 };
    FrameHeader { fin: fin == Fin::Final, rsv, ..FrameHeader::new(opcode, len as u64) }
}

fn window_bits(settings: &Deflate, agreed: Agreed) -> u8 {
    settings.own_window_bits().min(agreed.send_window_bits())
}

/// What is smaller than the plain payload, or nothing; then the compressor has to forget.
fn compress_whole(
    compressor: &mut Compressor,
    payload: &[u8],
    settings: &Deflate,
) -> Option<crate::deflate::Compressed> {
    let most = payload.len().saturating_add(3);
    compressor.compress(payload, settings, most).filter(|it| it.without_tail().len() < payload.len())
}
