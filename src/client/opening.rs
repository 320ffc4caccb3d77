//! A request that is on its way, and the outcome of its response.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Step;
use crate::engine::driver::{Input, Progress, StateMachine};
use crate::engine::server::Established;
use crate::engine::{ConnectError, Error, HandshakeError, Opened};
use crate::handshake::{ClientHandshake, ClientStep, Refusal, ResponseError};
use crate::{Config, MaskKeys};

/// The client's side of an opening handshake, from the request on.
#[derive(Debug)]
pub(crate) struct ClientOpening {
    pub(super) handshake: ClientHandshake,
    pub(super) config: Arc<Config>,
}

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
        let Self { handshake, config } = self;
        let (step, bytes) = match input {
            Input::Bytes(bytes) => (handshake.receive(now, bytes), bytes),
            Input::EndOfStream => (handshake.handle_eof().map(ClientStep::Refused), &[][..]),
            Input::Timeout => (handshake.handle_timeout(now), &[][..]),
            Input::Failed(error) => return Err(error.into()),
        };
        match step {
            Ok(ClientStep::NeedMore(handshake)) => Ok(Progress::NeedMore(Self { handshake, config })),
            Ok(ClientStep::Refused(refusal)) => Ok(Progress::Done(Err(refusal))),
            Ok(ClientStep::Open { opened, consumed }) => {
                let unread = bytes.get(consumed..).unwrap_or_default().to_vec();
                let response = Some(opened.response().clone());
                let (connection, negotiated) =
                    opened.into_connection(config, MaskKeys::thread(), Duration::ZERO);
                let opened = Opened { subprotocol: negotiated.subprotocol, response };
                Ok(Progress::Done(Ok(Established { connection, unread, response: Vec::new(), opened })))
            }
            Err(ResponseError::TimedOut) => Err(ConnectError::TimedOut { step: Step::Handshake }.into()),
            Err(error) => Err(HandshakeError::Response(error).into()),
        }
    }
}
