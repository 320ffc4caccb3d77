//! What a client decides before its connection is open: the request, the way to the server, what follows a refusal.
//!
//! Both adapters share all of it. Nothing here reads or writes: the [`Connector`]s of [`blocking`](crate::blocking) and
//! (feature `tokio`) `tokio` carry it out.

mod asking;
mod attempt;
mod connector;
mod race;

pub(crate) use asking::{Asking, Progress};
pub(crate) use attempt::Attempt;
pub use connector::Connector;
pub(crate) use race::Race;

pub use crate::stream::{
    ConnectError, ProxyFailure, ProxyUrlError, ProxyUrlProblem, RedirectError, SocksReply, Step, TlsError,
};
