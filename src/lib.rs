//! WebSocket as a sans-IO state machine.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod close_code;
mod message;
mod sink;

pub use close_code::{CloseCode, CloseFrame};
pub use message::{Binary, Kind, Message, Text};
pub use sink::{Full, Sink, SliceSink};
