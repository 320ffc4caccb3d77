//! A request that is on its way, and what its response comes to.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::engine::{ConnectError, Error, HandshakeError, Opened, Step};
use crate::handshake::{ClientHandshake, ClientStep, Refusal, ResponseError};
use crate::redacted::Redacted;
use crate::{Config, Connection, MaskKeys};

/// What waits for the server's response.
pub(crate) struct Asking {
    pub(crate) handshake: ClientHandshake,
    /// What the stream has not taken of the request.
    pub(crate) unsent: Vec<u8>,
    pub(crate) config: Arc<Config>,
}

/// What a read came to; taken apart at once, whatever its size.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Progress<'a> {
    NeedMore(Asking),
    Open {
        connection: Connection,
        /// What was read behind the response.
        unread: &'a [u8],
        opened: Opened,
    },
    Refused(Refusal),
}

impl Asking {
    /// When [`take`](Self::take) is to be called with nothing.
    pub(crate) fn until(&self) -> Option<Duration> {
        self.handshake.poll_timeout()
    }

    /// Takes what was read; `None`: the time is up.
    pub(crate) fn take(self, now: Duration, read: Option<&[u8]>) -> Result<Progress<'_>, Error> {
        let Self { handshake, unsent, config } = self;
        let step = match read {
            None => handshake.handle_timeout(now),
            Some([]) => handshake.handle_eof().map(ClientStep::Refused),
            Some(bytes) => handshake.receive(now, bytes),
        };
        match step {
            Ok(ClientStep::NeedMore(handshake)) => Ok(Progress::NeedMore(Self { handshake, unsent, config })),
            Ok(ClientStep::Refused(refusal)) => Ok(Progress::Refused(refusal)),
            Ok(ClientStep::Open { opened, consumed }) => {
                let unread = read.and_then(|bytes| bytes.get(consumed..)).unwrap_or_default();
                let response = Some(opened.response().clone());
                let (connection, negotiated) =
                    opened.into_connection(config, MaskKeys::thread(), Duration::ZERO);
                let opened = Opened { subprotocol: negotiated.subprotocol, response };
                Ok(Progress::Open { connection, unread, opened })
            }
            Err(ResponseError::TimedOut) => Err(ConnectError::TimedOut { step: Step::Handshake }.into()),
            Err(error) => Err(HandshakeError::Response(error).into()),
        }
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking")
            .field("handshake", &self.handshake)
            .field("unsent", &Redacted::of(&self.unsent))
            .field("config", &self.config)
            .finish()
    }
}
