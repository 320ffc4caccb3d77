//! An asynchronous stream that does what streams may do: little at a time, not now, later, and only with a flush.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::model::Rng;

/// After so many calls in a row that move nothing somebody spins.
const SPINNING: u32 = 100_000;

/// How a stream behaves.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// A call moves this many bytes at most.
    pub step: usize,
    /// One in so many calls is not ready, but wakes the task at once.
    pub reluctant: usize,
    /// One in so many calls is ready only after up to `delay`.
    pub slow: usize,
    pub delay: Duration,
    /// Whether it writes several pieces at once.
    pub vectored: bool,
    /// How much it holds back until it is flushed.
    pub held_back: usize,
}

impl Habits {
    pub fn new(rng: &mut Rng, pipe: usize) -> Self {
        Self {
            step: if pipe < 64 { rng.pick(&[1, 3, 100]) } else { rng.pick(&[17, 500, 5000, 1 << 20]) },
            reluctant: rng.pick(&[2, 5, 50, 100_000]),
            slow: if pipe < 64 { rng.pick(&[60, 100_000]) } else { rng.pick(&[5, 20, 100_000]) },
            delay: Duration::from_micros(rng.pick(&[100, 1000, 4000])),
            vectored: rng.one_in(2),
            held_back: rng.pick(&[0, 0, 100, 5000]),
        }
    }
}

/// What moves on both streams of a connection.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Moved>);

#[derive(Debug, Default)]
struct Moved {
    bytes: u64,
    calls: u64,
    in_vain: u32,
    at: Option<Instant>,
}

impl Meter {
    fn call(&self, moved: usize) {
        let mut state = self.0.lock().unwrap();
        state.calls += 1;
        state.bytes += moved as u64;
        let now = Instant::now();
        if moved > 0 || state.at != Some(now) {
            state.in_vain = 0;
            state.at = Some(now);
        }
        state.in_vain += 1;
        let spins = state.in_vain > SPINNING;
        drop(state);
        assert!(!spins, "the stream is called over and over while nothing changes");
    }
}

#[derive(Debug)]
pub struct Chaos {
    io: DuplexStream,
    rng: Rng,
    habits: Habits,
    meter: Arc<Meter>,
    held_back: Vec<u8>,
    /// Reads, writes, flushes and the end each wait for themselves.
    late: [Option<Pin<Box<Sleep>>>; 4],
}

#[derive(Clone, Copy)]
enum Call {
    Read,
    Write,
    Flush,
    Shutdown,
}

impl Chaos {
    pub fn new(io: DuplexStream, rng: Rng, habits: Habits, meter: Arc<Meter>) -> Self {
        Self { io, rng, habits, meter, held_back: Vec::new(), late: [const { None }; 4] }
    }

    /// How many bytes this call may move, if it may.
    fn poll_whim(&mut self, call: Call, context: &mut Context<'_>) -> Poll<usize> {
        let late = &mut self.late[call as usize];
        if let Some(sleep) = late {
            ready!(sleep.as_mut().poll(context));
            *late = None;
        } else if self.rng.one_in(self.habits.slow) {
            let micros = self.habits.delay.as_micros() as usize;
            let mut sleep = Box::pin(sleep(Duration::from_micros(1 + self.rng.below(micros) as u64)));
            // Time that passed meanwhile counts, as on a socket.
            if sleep.as_mut().poll(context).is_pending() {
                *late = Some(sleep);
                return Poll::Pending;
            }
        }
        if self.rng.one_in(self.habits.reluctant) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(1 + self.rng.below(self.habits.step))
    }

    fn poll_release(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held_back.is_empty() {
            let len = ready!(Pin::new(&mut self.io).poll_write(context, &self.held_back))?;
            self.held_back.drain(..len);
            self.meter.call(len);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_some(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let most = ready!(self.poll_whim(Call::Write, context));
        let bytes = &bytes[..bytes.len().min(most)];
        if self.habits.held_back == 0 {
            return Pin::new(&mut self.io).poll_write(context, bytes);
        }
        if self.held_back.len() >= self.habits.held_back {
            ready!(self.poll_release(context))?;
        }
        self.held_back.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn metered(&self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.meter.call(if let Poll::Ready(Ok(len)) = wrote { len } else { 0 });
        wrote
    }
}

impl AsyncRead for Chaos {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        place: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Poll::Ready(most) = this.poll_whim(Call::Read, context) else {
            this.meter.call(0);
            return Poll::Pending;
        };
        let mut bytes = vec![0; most.min(place.remaining())];
        let mut part = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut this.io).poll_read(context, &mut part);
        this.meter.call(part.filled().len());
        place.put_slice(part.filled());
        read
    }
}

impl AsyncWrite for Chaos {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = self.poll_write_some(context, bytes);
        self.metered(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = if self.habits.vectored {
            let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
            self.poll_write_some(context, &parts.concat())
        } else {
            let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| &part[..]);
            self.poll_write_some(context, first)
        };
        self.metered(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.habits.vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held_back.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let Poll::Ready(_) = self.poll_whim(Call::Flush, context) else {
            self.meter.call(0);
            return Poll::Pending;
        };
        self.poll_release(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_whim(Call::Shutdown, context));
        ready!(self.poll_release(context))?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
