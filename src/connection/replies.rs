//! Control frames that wait for room in the output: one of each, so that nothing a peer sends makes memory grow.

use crate::frame::Opcode;
use crate::redacted::Redacted;
use core::fmt;

/// The slots of a connection; boxed by it while any is taken.
#[derive(Debug, Default)]
pub(super) struct ReplySlots {
    /// RFC 6455 §5.5.3: with several pings unanswered, only the latest needs a pong.
    pub(super) pong: Option<ControlPayload>,
    pub(super) ping: Option<ControlPayload>,
    pub(super) close: Option<ControlPayload>,
}

impl ReplySlots {
    /// What leaves next. A Close is last: no frame may follow it.
    pub(super) fn next(&self) -> Option<(Opcode, &ControlPayload)> {
        let pong = self.pong.as_ref().map(|payload| (Opcode::Pong, payload));
        let ping = self.ping.as_ref().map(|payload| (Opcode::Ping, payload));
        pong.or(ping).or_else(|| self.close.as_ref().map(|payload| (Opcode::Close, payload)))
    }

    /// Frees the slot of a frame that has left.
    pub(super) fn sent(&mut self, opcode: Opcode) {
        match opcode {
            Opcode::Pong => self.pong = None,
            Opcode::Ping => self.ping = None,
            _ => self.close = None,
        }
    }
}

/// The payload of a control frame: at most 125 bytes (RFC 6455 §5.5).
#[derive(Clone)]
pub(super) struct ControlPayload {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl ControlPayload {
    pub(super) const MAX: usize = 125;

    pub(super) const fn new() -> Self {
        Self { bytes: [0; Self::MAX], len: 0 }
    }

    /// Appends `part` as far as there is room, which there is for every part of a valid control frame.
    pub(super) fn push(&mut self, part: &[u8]) {
        let at = usize::from(self.len);
        let len = part.len().min(Self::MAX - at);
        self.bytes[at..at + len].copy_from_slice(&part[..len]);
        self.len += len as u8;
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl From<&[u8]> for ControlPayload {
    fn from(bytes: &[u8]) -> Self {
        let mut payload = Self::new();
        payload.push(bytes);
        payload
    }
}

impl fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Redacted::of(self.as_slice()).fmt(f)
    }
}
