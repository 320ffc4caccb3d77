//! A page for each task: what to write, what it does, what can go wrong.

#[doc = include_str!("../docs/headers.md")]
pub mod headers {}

#[doc = include_str!("../docs/authentication.md")]
pub mod authentication {}

#[doc = include_str!("../docs/tls.md")]
pub mod tls {}

#[doc = include_str!("../docs/proxies.md")]
pub mod proxies {}

#[doc = include_str!("../docs/reconnecting.md")]
pub mod reconnecting {}

#[doc = include_str!("../docs/event_loops.md")]
pub mod event_loops {}

#[cfg(feature = "hyper")]
#[doc = include_str!("../docs/hyper.md")]
pub mod hyper {}

#[cfg(feature = "hyper")]
#[doc = include_str!("../docs/http2.md")]
pub mod http2 {}
