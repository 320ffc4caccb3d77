//! A request that is on its way, and the outcome of its response.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::Step;
use crate::engine::driver::{Input, Progress, StateMachine};
use crate::engine::server::Established;
use crate::engine::{ConnectError, Error, HandshakeError, Opened};
use crate::handshake::{ClientHandshake, ClientStep, Refusal, ResponseError};
use crate::{Config, MaskKeys};

/// The client's side of an opening handshake, from the request on.
pub(crate) struct ClientOpening {
    pub(crate) handshake: ClientHandshake,
    pub(crate) config: Arc<Config>,
    /// The first bytes of a response that is not complete, to name another protocol.
    pub(super) first_bytes: Vec<u8>,
}

/// More than an error shows.
const FIRST_BYTES: usize = 80;

impl StateMachine for ClientOpening {
    type Outcome = Result<Established, Refusal>;

    fn deadline(&self) -> Option<Duration> {
        self.handshake.poll_timeout()
    }

    fn handle(
        self,
        now: Duration,
        input: Input<'_>,
        _: &mut Vec<u8>,
    ) -> Result<Progress<Self, Self::Outcome>, Error> {
        let Self { handshake, config, mut first_bytes } = self;
        let (step, bytes) = match input {
            Input::Bytes(bytes) => (handshake.receive(now, bytes), bytes),
            Input::EndOfStream => (handshake.handle_eof().map(ClientStep::Refused), &[][..]),
            Input::Timeout => (handshake.handle_timeout(now), &[][..]),
            Input::Failed(error) => return Err(error.into()),
        };
        match step {
            Ok(ClientStep::NeedMore(handshake)) => {
                first_bytes.extend(bytes.iter().take(FIRST_BYTES - first_bytes.len()));
                Ok(Progress::NeedMore(Self { handshake, config, first_bytes }))
            }
            Ok(ClientStep::Refused(refusal)) => Ok(Progress::Done(Err(refusal))),
            Ok(ClientStep::Open { opened, consumed }) => {
                let unread = bytes.get(consumed..).unwrap_or_default().to_vec();
                let (connection, negotiated, response) =
                    opened.into_parts(config, MaskKeys::thread(), Duration::ZERO);
                let opened = Opened { subprotocol: negotiated.subprotocol, response: Some(response) };
                Ok(Progress::Done(Ok(Established { connection, unread, response: Vec::new(), opened })))
            }
            Err(ResponseError::TimedOut) => Err(ConnectError::TimedOut { step: Step::Handshake }.into()),
            Err(error) => {
                first_bytes.extend(bytes.iter().take(FIRST_BYTES - first_bytes.len()));
                Err(HandshakeError::Response(error.or_other_protocol(&first_bytes)).into())
            }
        }
    }
}

impl fmt::Debug for ClientOpening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOpening")
            .field("handshake", &self.handshake)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
