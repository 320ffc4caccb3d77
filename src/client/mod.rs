//! What a client decides before its connection is open: the request, the way to the server, what follows a refusal.
//!
//! Both adapters share all of it. Nothing here reads or writes: the connectors of [`blocking`](crate::blocking) and
//! (feature `tokio`) `tokio` carry it out.

#[cfg(feature = "rand")]
mod attempt;
#[cfg(feature = "rand")]
mod connector;
#[cfg(feature = "rand")]
mod environment;
#[cfg(feature = "rand")]
mod opening;
#[cfg(feature = "rand")]
mod proxy;
#[cfg(feature = "rand")]
mod race;
#[cfg(feature = "rand")]
mod reconnect;
#[cfg(feature = "rand")]
mod reconnecting;
#[cfg(feature = "rand")]
mod redirect;
#[cfg(feature = "rand")]
mod retry_after;
#[cfg(feature = "rustls")]
pub mod tls;
#[cfg(feature = "rand")]
mod tunnel;

#[cfg(feature = "rand")]
pub(crate) use self::{
    attempt::{Attempt, Layer, Route},
    opening::ClientOpening,
    race::Race,
    reconnecting::{Opener, Socket},
    tunnel::Tunnel,
};
#[cfg(feature = "rand")]
pub use self::{
    connector::Connector,
    environment::ProxySettings,
    proxy::{Proxy, ProxyKind},
    reconnect::{Lost, Reconnect, ReconnectEvent, ReconnectState, WhileAway},
    reconnecting::Reconnecting,
};

pub use crate::engine::{
    ConnectError, ProxyFailure, ProxyUrlError, ProxyUrlProblem, RedirectError, SocksReply, Step, TlsError,
};

/// Does the same with whichever stream a client has.
#[cfg(feature = "rand")]
macro_rules! delegate {
    ($stream:ident in $client_stream:expr => $act:expr) => {
        match $client_stream {
            Self::Tcp($stream) => $act,
            #[cfg(feature = "rustls")]
            Self::Tls($stream) => $act,
        }
    };
}

#[cfg(feature = "rand")]
pub(crate) use delegate;
