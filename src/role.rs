//! The two ends of a connection.

/// Which end of the connection this is (RFC 6455 §1.2).
///
/// A client masks what it sends and waits for the server to end the transport; a server does neither. Exhaustive on
/// purpose: a connection has two ends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    /// The end that connected.
    Client,
    /// The end that accepted.
    Server,
}
