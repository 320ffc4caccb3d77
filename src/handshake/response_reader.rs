//! The response of a server or a proxy as it arrives.

use core::mem;

use super::error::ResponseError;
use super::head::HeadReader;
use super::limits::HandshakeLimits;
use super::opened::ResponseHead;
use super::refusal::{Body, Refusal};

/// Skips interim responses, returns the head of one that is accepted, and keeps the body of a refusal.
#[derive(Debug)]
pub(crate) struct ResponseReader {
    phase: Phase,
    interim: usize,
    limits: HandshakeLimits,
}

#[derive(Debug)]
enum Phase {
    Head(HeadReader),
    /// The body of a refusal.
    Body(ResponseHead, Body),
}

/// More interim responses than any server has a reason to send.
const MAX_INTERIM: usize = 4;

impl ResponseReader {
    pub(crate) fn new(limits: HandshakeLimits) -> Self {
        Self { phase: Phase::Head(HeadReader::response()), interim: 0, limits }
    }

    /// Returns the head of a response whose status is accepted, and how much of the input belonged to it.
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        is_accepted: impl Fn(u16) -> bool,
    ) -> Result<Option<(ResponseHead, usize)>, ResponseError> {
        let mut consumed = 0;
        while let Phase::Head(reader) = &mut self.phase {
            consumed += reader.read(&input[consumed..], &self.limits)?;
            if !reader.is_complete() {
                return Ok(None);
            }
            let reader = mem::replace(reader, HeadReader::response());
            let head = ResponseHead::new(reader.finish());
            match head.status() {
                status if is_accepted(status) => return Ok(Some((head, consumed))),
                ..200 if self.interim == MAX_INTERIM => return Err(ResponseError::TooManyInterim),
                ..200 => self.interim += 1,
                _ => {
                    let body = Body::of(&head, self.limits.max_refusal_body_bytes);
                    self.phase = Phase::Body(head, body);
                }
            }
        }
        if let Phase::Body(_, body) = &mut self.phase {
            body.read(&input[consumed..]);
        }
        Ok(None)
    }

    /// Returns a refusal whose body is complete, or, if the time `is_over`, with as much of its body as came.
    pub(crate) fn take_refusal(&mut self, is_over: bool) -> Option<Refusal> {
        if !matches!(&self.phase, Phase::Body(_, body) if is_over || body.is_over()) {
            return None;
        }
        match mem::replace(&mut self.phase, Phase::Head(HeadReader::response())) {
            Phase::Body(head, body) => Some(Refusal::new(head, body)),
            Phase::Head(_) => None,
        }
    }

    /// Returns a refusal whose body may end with the stream.
    pub(crate) fn handle_eof(&mut self) -> Option<Refusal> {
        if let Phase::Body(_, body) = &mut self.phase {
            body.end();
        }
        self.take_refusal(true)
    }
}
