//! The opening handshake of both roles (RFC 6455 §4), its extension lists (§9.1), and what a hostile peer may
//! try.

mod client_request;
mod client_response;
mod elsewhere;
mod extensions;
mod hostile;
#[path = "../support/naive_head.rs"]
mod naive_head;
mod pair;
mod server_answer;
mod server_request;
mod support;
