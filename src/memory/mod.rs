//! Every trick that saves memory or the time that memory costs, each once, with its reason and its figure.
//!
//! - `copy`: copies of payloads in pieces, and where in a page a read is fast
//! - `pool`: the buffers that a thread keeps for its connections
//! - `shared_pool`: what compression takes, kept for all threads
//! - `recycled`: the memory of large messages, used again
//! - `queue`: the memory of queued output, and [`WriteBuffer`]
//! - `read_buffer`: [`ReadBuffer`], which holds memory only while bytes are unread
//!
//! Figures without another note were measured on an AMD EPYC (Zen 3) with Linux 6.18, by the program that the figure names or
//! by a loop over that one call.

mod copy;
#[cfg(feature = "std")]
mod pool;
#[cfg(feature = "std")]
mod queue;
#[cfg(feature = "std")]
mod read_buffer;
mod recycled;
#[cfg(feature = "deflate")]
mod shared_pool;

pub(crate) use copy::{PAGE, append, offset_to_mid_page, overwrite, owned};
#[cfg(feature = "std")]
pub use queue::WriteBuffer;
#[cfg(feature = "std")]
pub(crate) use queue::{grow_queue, is_too_large, new_queue, recycle_queue, shrink_queue};
#[cfg(feature = "std")]
pub use read_buffer::ReadBuffer;
#[cfg(feature = "std")]
pub(crate) use read_buffer::{LARGE_READ, SMALL_READ, read_once};
#[cfg(feature = "std")]
pub(crate) use recycled::free_recycled;
pub(crate) use recycled::{Charge, share, take_charged};
#[cfg(feature = "deflate")]
pub(crate) use shared_pool::{Inflated, Lease, SharedPool};
