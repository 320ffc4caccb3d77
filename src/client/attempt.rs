//! One request of possibly several, and the way to whom it goes.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Asking;
use crate::Config;
use crate::handshake::{ClientRequest, HandshakeLimits, random_nonce};
use crate::stream::{Error, HandshakeError};

/// What is asked, and of whom, until the connection is open or refused for good.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    request: ClientRequest,
    config: &'a Arc<Config>,
    limits: HandshakeLimits,
    timeout: Duration,
}

impl<'a> Attempt<'a> {
    pub(super) const fn new(
        request: ClientRequest,
        config: &'a Arc<Config>,
        limits: HandshakeLimits,
        timeout: Duration,
    ) -> Self {
        Self { request, config, limits, timeout }
    }

    /// By when all must be done, counted from the beginning; `None` for no limit.
    pub(crate) fn until(&self) -> Option<Duration> {
        Some(self.timeout).filter(|timeout| *timeout < Duration::MAX)
    }

    /// The request in bytes, and what waits for its response. Whatever cannot be sent shows here.
    pub(crate) fn ask(&self) -> Result<Asking, Error> {
        let mut unsent = Vec::new();
        let nonce = random_nonce().map_err(HandshakeError::Randomness)?;
        let request = self.request.clone().limits(self.limits.timeout(self.timeout));
        // The clock of the handshake is that of the whole opening.
        let handshake = request.start(nonce, Duration::ZERO, &mut unsent).map_err(HandshakeError::Request)?;
        Ok(Asking { handshake, unsent, config: self.config.clone() })
    }

    /// Host and port that TCP connects to.
    pub(crate) fn endpoint(&self) -> (&str, u16) {
        (self.request.uri().host(), self.request.uri().port())
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.request.uri().is_secure()
    }
}
