//! Wakers are code of the application: they may use the connection and its group whenever they are called.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use sansocket::tokio::{Group, SendHalf, pair};
use sansocket::{Config, State};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::halves::{SOON, within_a_while};
use crate::support::server;

/// A waker that looks at something whenever it is woken, cloned or dropped.
struct Nosy(Box<dyn Fn() + Send + Sync>);

impl Nosy {
    fn waker(look: impl Fn() + Send + Sync + 'static) -> Waker {
        let nosy = Arc::into_raw(Arc::new(Self(Box::new(look))));
        // SAFETY: the functions keep the contract of `RawWaker` with the counts of the `Arc`.
        unsafe { Waker::from_raw(RawWaker::new(nosy.cast(), &VTABLE)) }
    }

    fn look(&self) {
        (self.0)();
    }
}

const VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        let nosy = unsafe { Arc::from_raw(data.cast::<Nosy>()) };
        nosy.look();
        let clone = nosy.clone();
        std::mem::forget(nosy);
        RawWaker::new(Arc::into_raw(clone).cast(), &VTABLE)
    },
    |data| unsafe { Arc::from_raw(data.cast::<Nosy>()) }.look(),
    |data| {
        let nosy = unsafe { Arc::from_raw(data.cast::<Nosy>()) };
        nosy.look();
        std::mem::forget(nosy);
    },
    |data| unsafe { Arc::from_raw(data.cast::<Nosy>()) }.look(),
);

/// Wakes inside of its polls, as streams of tokio do whose task has used up its budget.
struct Eager;

impl AsyncRead for Eager {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncWrite for Eager {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn wakers_may_use_the_connection() {
    within_a_while(|| async {
        let mut ws = server(Eager, Config::new());
        let group = Group::new();
        ws.join(&group);
        let looks = Arc::new(AtomicUsize::new(0));
        // The task that had the whole connection has left its waker with the timer, the group and the stream.
        let later = Arc::new(OnceLock::<SendHalf<Eager>>::new());
        let half = later.clone();
        let first = Nosy::waker(move || {
            let _ = half.get().map(|half| (half.queued(), half.state()));
        });
        assert!(ws.poll_recv(&mut Context::from_waker(&first)).is_pending());
        drop(first);
        let (mut rx, mut tx) = ws.split();
        assert!(later.set(tx.clone()).is_ok());
        let half = tx.clone();
        let nosy = || {
            let (half, looks) = (half.clone(), looks.clone());
            Nosy::waker(move || {
                let _ = (half.queued(), half.state());
                looks.fetch_add(1, Ordering::Relaxed);
            })
        };
        for _ in 0..3 {
            let waker = nosy();
            let before = looks.load(Ordering::Relaxed);
            assert!(rx.poll_recv(&mut Context::from_waker(&waker)).is_pending());
            assert!(looks.load(Ordering::Relaxed) > before, "it was cloned or woken");
        }
        let waker = nosy();
        {
            let mut sending = pin!(tx.send("never leaves"));
            assert!(sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        {
            let mut shutdown = pin!(group.shutdown(SOON));
            assert!(shutdown.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert!(rx.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(rx.state(), State::Closing);
    });
}

/// The same for the lock of a group.
#[test]
fn wakers_may_use_the_group() {
    within_a_while(|| async {
        let group = Group::new();
        let (mut client, mut server) = pair(Config::default());
        server.join(&group);
        for _ in 0..3 {
            let asked = group.clone();
            let waker = Nosy::waker(move || drop(asked.len().to_string()));
            assert!(server.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        }
        let asked = group.clone();
        let waker = Nosy::waker(move || drop(asked.len().to_string()));
        assert!(pin!(group.shutdown(SOON)).poll(&mut Context::from_waker(&waker)).is_pending());
        let (left, end) =
            tokio::join!(group.shutdown(SOON), async { tokio::join!(server.recv(), client.recv()).0 });
        assert_eq!((left, end.unwrap()), (0, None));
    });
}
