//! Whether bytes move below TLS.
//!
//! tokio-rustls hides them: a read that brought a part of a record is as pending as one that brought nothing. The stream
//! at the bottom of a `ClientStream` is ours and takes note here. A poll stays on its thread, so that
//! a variable of the thread does, and connections without TLS need no memory for it.

#[cfg(feature = "rustls")]
use core::cell::Cell;

#[cfg(feature = "rustls")]
std::thread_local! {
    static MOVED: Cell<bool> = const { Cell::new(false) };
}

/// A poll of a connection's stream begins.
#[inline]
pub(super) fn forget() {
    #[cfg(feature = "rustls")]
    MOVED.set(false);
}

/// Bytes moved.
#[cfg(feature = "rustls")]
#[inline]
pub(crate) fn note() {
    MOVED.set(true);
}

/// Whether bytes moved in the poll that has just ended.
#[inline]
pub(super) fn moved() -> bool {
    #[cfg(feature = "rustls")]
    return MOVED.take();
    #[cfg(not(feature = "rustls"))]
    false
}
