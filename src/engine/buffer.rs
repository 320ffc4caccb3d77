//! The read buffer of a connection.

pub(crate) use crate::memory::{LARGE_READ as LARGE, ReadBuffer, SMALL_READ as SMALL};
