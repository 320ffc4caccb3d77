//! The opening handshake: how an HTTP/1.1 request and its `101` response open a WebSocket (RFC 6455 §4).
//!
//! ```text
//!   client                                                              server
//!   ClientRequest ── start ──▶  GET /chat HTTP/1.1            ──▶  ServerHandshake
//!        │                      Upgrade: websocket                      │ receive
//!        ▼                      Sec-WebSocket-Key: …                    ├─▶ RefusedRequest ─▶ 4xx
//!   ClientHandshake             Sec-WebSocket-Protocol: a, b            ▼
//!        │                                                           Request   (the application decides)
//!        │ receive                                                      ├─ reject ─▶ any status
//!        │                 ◀──  HTTP/1.1 101 Switching Protocols  ◀──   │ accept
//!        ├─▶ Refusal            Sec-WebSocket-Accept: …                 ▼
//!        ▼                      Sec-WebSocket-Protocol: a            Accepted
//!      Opened                                                           │
//!        └─ into_connection ─▶ Connection   ◀── frames ──▶  Connection ◀┘
//! ```
//!
//! Each state consumes itself, so that no frame can be sent before the handshake is done. Bytes come in any
//! pieces and cost time in proportion to their number; memory and time are bounded by [`HandshakeLimits`].
//!
//! Handshakes that another library does (HTTP/2, web frameworks) need three pieces: [`Offer::from_headers`],
//! [`accept_key`], and a `Connection`.
//!
//! - `server`, `request`, `refused`, `response`: the server's half, and what it answers without a connection
//! - `client`, `opened`, `refusal`: the client's half, its check of the response, and a response other than 101
//! - `offer`, `extensions`, `deflate`, `key`: what both halves negotiate
//! - `head`, `fields`: HTTP heads and their lines; `limits`, `deadline`, `error`

mod checks;
mod client;
mod deadline;
#[cfg(feature = "deflate")]
mod deflate;
mod error;
mod extensions;
mod fields;
mod head;
mod key;
mod limits;
mod offer;
mod opened;
mod refusal;
mod refused;
mod request;
mod response;
mod response_reader;
mod server;

#[cfg(feature = "hyper")]
pub(crate) use checks::{ParsedRequest, check_connect, check_upgrade, only_host};
pub use client::{ClientHandshake, ClientRequest, ClientRequestError, ClientStep};
#[cfg(all(feature = "deflate", feature = "rand"))]
pub(crate) use deflate::agreed_between_equals;
pub use error::{RequestError, ResponseError};
pub use extensions::{Extension, ExtensionError, Extensions};
#[cfg(feature = "rand")]
pub(crate) use fields::ExtraHeaders;
pub use fields::{Excerpt, HeaderError};
pub use head::{HeadError, HeadPart};
pub use key::accept_key;
#[cfg(feature = "rand")]
pub use key::{NoRandomness, random_nonce};
pub use limits::HandshakeLimits;
pub use offer::{Negotiated, NegotiationError, Offer};
pub use opened::{Opened, ResponseHead};
pub use refusal::Refusal;
pub use refused::RefusedRequest;
pub use request::RequestHead;
#[cfg(feature = "hyper")]
pub(crate) use request::split_target;
pub use response::{Response, WriteResponseError};
#[cfg(feature = "rand")]
pub(crate) use response_reader::ResponseReader;
pub use server::{
    AcceptError, Acceptance, Accepted, NotAccepted, NotRejected, Request, ServerHandshake, ServerStep,
};
