//! The opening handshake of both roles (RFC 6455 §4), its extension lists (§9.1), and what a hostile peer may
//! try.

mod client_request;
mod client_response;
mod elsewhere;
mod extensions;
mod hostile;
mod pair;
mod server_answer;
mod server_request;
mod support;
