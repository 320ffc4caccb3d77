//! Graceful shutdown of a set of connections.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::marker::PhantomData;
use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::runtime::{Runtime, timeout};

/// A set of connections that are closed together, for instance when a server goes down.
///
/// Each connection [joins](super::WebSocket::join) it and is otherwise used as always. After
/// [`shutdown`](Self::shutdown) its next receive sends a Close frame with 1001, goes on returning what still comes,
/// and ends with `None`. A task that is sending hears of it only then, which a peer that does not read can put off for the
/// [write timeout](crate::Config::write_timeout); the halves of a [split](super::WebSocket::split) connection hear of it at
/// once, and further messages are refused.
///
#[cfg_attr(feature = "rand", doc = "```")]
#[cfg_attr(not(feature = "rand"), doc = "```ignore")]
/// use core::time::Duration;
/// use sansocket::tokio::{Group, pair};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), sansocket::tokio::Error> {
/// let group = Group::new();
/// let (mut client, mut server) = pair(sansocket::Config::default());
/// server.join(&group);
/// let serving = tokio::spawn(async move {
///     while let Some((message, mut tx)) = server.recv_ref().await? {
///         tx.feed(&message).await?;
///     }
///     Ok::<_, sansocket::tokio::Error>(())
/// });
/// // The process was told to end: stop accepting, then
/// let (left, end) = tokio::join!(group.shutdown(Duration::from_secs(5)), client.recv());
/// assert_eq!((left, end?), (0, None));
/// assert_eq!(client.summary().unwrap().code, sansocket::CloseCode::GOING_AWAY);
/// serving.await.unwrap()
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Group<R> {
    state: Arc<State>,
    runtime: PhantomData<R>,
}

#[derive(Debug, Default)]
struct State {
    closing: AtomicBool,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    /// By number; the waker of the task that waits for the connection.
    wakers: BTreeMap<u64, Waker>,
    next: u64,
    /// Those who wait for the last one to leave.
    waiting: Vec<Waker>,
}

impl<R: Runtime> Group<R> {
    /// An empty set; clones are the same set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Closes all connections of the set with 1001 and waits until they have ended, for `within` at most.
    ///
    /// Returns how many are left. Connections that join later are closed at once. Dropping the future leaves the
    /// connections closing.
    pub async fn shutdown(&self, within: Duration) -> usize {
        self.state.closing.store(true, Ordering::Release);
        let wakers: Vec<Waker> = self.state.lock().wakers.values_mut().map(take_waker).collect();
        wakers.into_iter().for_each(Waker::wake);
        let _ = timeout::<R, _>(within, poll_fn(|context| self.poll_empty(context))).await;
        self.len()
    }

    /// How many connections there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().wakers.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether [`shutdown`](Self::shutdown) was called.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.state.closing.load(Ordering::Acquire)
    }

    /// Waits for `signal`, then [shuts down](Self::shutdown): the future for the `with_graceful_shutdown` of a web server.
    ///
    /// It ends when all members have ended, or after `within`. From the signal on, requests of members are refused where
    /// the group is known while the request is accepted (features `hyper` and axum).
    pub fn shutdown_on<F>(&self, signal: F, within: Duration) -> impl Future<Output = ()> + use<F, R>
    where
        F: Future,
    {
        let group = self.clone();
        async move {
            signal.await;
            group.shutdown(within).await;
        }
    }

    pub(crate) fn member(&self) -> Member {
        let mut members = self.state.lock();
        let number = members.next;
        members.next += 1;
        members.wakers.insert(number, Waker::noop().clone());
        drop(members);
        Member { group: self.state.clone(), number, waker: Waker::noop().clone() }
    }

    fn poll_empty(&self, context: &Context<'_>) -> Poll<()> {
        // Cloned first: a waker's code is not run under the lock.
        let waker = context.waker().clone();
        let mut members = self.state.lock();
        if members.wakers.is_empty() {
            drop(members);
            return Poll::Ready(());
        }
        let is_known = members.waiting.iter().any(|known| known.will_wake(&waker));
        if !is_known {
            members.waiting.push(waker);
        }
        drop(members);
        Poll::Pending
    }
}

/// A group that is closing stays so: its members need no second call.
fn take_waker(waker: &mut Waker) -> Waker {
    mem::replace(waker, Waker::noop().clone())
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a connection in a [`Group`].
#[derive(Debug)]
pub(crate) struct Member {
    group: Arc<State>,
    number: u64,
    waker: Waker,
}

impl Member {
    /// Whether the connection is to be closed; if not, `waker` is woken when it is.
    pub(super) fn is_closing(&mut self, waker: &Waker) -> bool {
        if !self.waker.will_wake(waker) {
            self.waker.clone_from(waker);
            let new = self.waker.clone();
            let mut members = self.group.lock();
            let old = members.wakers.insert(self.number, new);
            drop(members);
            drop(old);
        }
        self.group.closing.load(Ordering::Acquire)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut members = self.group.lock();
        let own = members.wakers.remove(&self.number);
        let waiting = if members.wakers.is_empty() { mem::take(&mut members.waiting) } else { Vec::new() };
        // Wakers may own tasks: they are woken and dropped without the lock.
        drop(members);
        drop(own);
        waiting.into_iter().for_each(Waker::wake);
    }
}
