//! The open connection.

use alloc::sync::Arc;
use core::time::Duration;

/// Limits and deadlines of a connection.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {}

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The end that sent the request.
    Client,
    /// The end that answered it.
    Server,
}

/// Where a client's masking keys come from.
pub struct MaskKeys(());

impl core::fmt::Debug for MaskKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("MaskKeys")
    }
}

/// No masking key could be drawn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaskKeyError;

impl MaskKeys {
    /// Keys from a function.
    pub fn from_fn(_: impl FnMut() -> Result<[u8; 4], MaskKeyError> + Send + 'static) -> Self {
        Self(())
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection(Role);

impl Connection {
    /// A server's.
    pub fn server(_: impl Into<Arc<Config>>, _: Duration) -> Self {
        Self(Role::Server)
    }

    /// A client's.
    pub fn client(_: impl Into<Arc<Config>>, _: MaskKeys, _: Duration) -> Self {
        Self(Role::Client)
    }

    /// Which end this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.0
    }
}
