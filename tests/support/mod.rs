//! What the test files share: frames built and read without the library's codec, and rows that are tried in every
//! way of arriving.

#![allow(dead_code, unreachable_pub, unused_imports)] // each test file uses its part

pub mod row;
pub mod session;
pub mod wire;

use core::time::Duration;

use sansocket::{Config, Connection, MaskKeyError, MaskKeys, Role};

pub use row::{Row, accept, reject};
pub use session::{Seen, Session};

/// The moment at which everything happens that has nothing to do with time.
pub const NOW: Duration = Duration::ZERO;

pub const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// An open connection; a client's keys differ from frame to frame.
pub fn connection(role: Role, config: Config) -> Connection {
    match role {
        Role::Client => Connection::client(config, counting_keys(), NOW),
        Role::Server => Connection::server(config, NOW),
    }
}

/// Keys that are all different and never zero.
pub fn counting_keys() -> MaskKeys {
    let mut count = 0x1020_3040_u32;
    MaskKeys::from_fn(move || {
        count = count.wrapping_add(0x0101_0107);
        Ok(count.to_be_bytes())
    })
}

/// Gives `good` keys and then fails for ever.
pub fn failing_keys(good: usize) -> MaskKeys {
    let mut left = good;
    MaskKeys::from_fn(move || {
        left = left.checked_sub(1).ok_or(MaskKeyError)?;
        Ok([9, 8, 7, left as u8])
    })
}
