//! Futures that are dropped before they are done.
#![allow(dead_code, unreachable_pub, reason = "each user needs its own part")]

use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

/// How patient the application is: after so many polls it drops a future and goes on in another way.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub first: usize,
    pub later: usize,
}

impl Patience {
    pub const ENDLESS: Self = Self { first: usize::MAX, later: usize::MAX };
    /// Drops the first future where it waits for the first time.
    pub const NONE_AT_FIRST: Self = Self { first: 1, later: usize::MAX };
}

/// Polls `future` so often at most, each time after it was woken, and drops it.
pub async fn cut<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polled == polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Calls until a call is done. Where the first one is dropped the next ones are `$again`, for what must not be done twice.
#[allow(unused_macros, reason = "blocking calls have another one")]
macro_rules! insist {
    ($patience:expr, $call:expr, $again:expr) => {{
        let mut done = $crate::support::cut($call, $patience.first).await;
        while done.is_none() {
            done = $crate::support::cut($again, $patience.later).await;
        }
        done.unwrap()
    }};
}

#[allow(unused_imports, reason = "blocking calls have another one")]
pub(crate) use insist;
