//! A connection without a network, for tests.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Transport;
use crate::redacted::Redacted;

/// How many bytes wait in one direction before a write blocks: 64 KiB.
const CAPACITY: usize = 64 << 10;

/// Two ends of an in-memory stream, each a [`Transport`]; 64 KiB wait in each direction before a write blocks.
#[must_use]
pub fn pipe() -> (Pipe, Pipe) {
    let (there, back) = (Arc::new(Lane::default()), Arc::new(Lane::default()));
    (Pipe::new(there.clone(), back.clone()), Pipe::new(back, there))
}

/// A client and a server that are connected to each other in memory, for tests of code that uses them.
///
/// The opening handshake is done already. The two ends belong to two threads, as over a socket.
///
/// ```
/// use std::thread;
/// use sansocket::Config;
///
/// let (mut client, mut server) = sansocket::blocking::pair(Config::default());
/// let echo = thread::spawn(move || {
///     while let Some(message) = server.recv()? {
///         server.send(message)?;
///     }
///     Ok::<_, sansocket::blocking::Error>(())
/// });
/// client.send("hello")?;
/// assert_eq!(client.recv()?, Some("hello".into()));
/// client.close(sansocket::CloseCode::NORMAL, "")?;
/// echo.join().unwrap()?;
/// # Ok::<(), sansocket::blocking::Error>(())
/// ```
#[cfg(feature = "rand")]
#[must_use]
pub fn pair(config: impl Into<Arc<crate::Config>>) -> (super::WebSocket<Pipe>, super::WebSocket<Pipe>) {
    use super::WebSocket;

    let (there, here) = pipe();
    let (client, server) = crate::engine::both_ends(config.into());
    (WebSocket::over(there, client), WebSocket::over(here, server))
}

/// One end of an in-memory stream; see [`pipe`]. Dropping it ends both directions.
#[derive(Debug)]
pub struct Pipe {
    incoming: Arc<Lane>,
    outgoing: Arc<Lane>,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    state: Mutex<LaneState>,
    changed: Condvar,
}

#[derive(Default)]
struct LaneState {
    bytes: VecDeque<u8>,
    /// The writer will write no more.
    ended: bool,
    /// The reader is gone.
    abandoned: bool,
}

impl Pipe {
    fn new(incoming: Arc<Lane>, outgoing: Arc<Lane>) -> Self {
        Self { incoming, outgoing, read_timeout: None, write_timeout: None }
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready` or until the time is up, which is an error.
    fn wait(
        &self,
        timeout: Option<Duration>,
        ready: impl Fn(&LaneState) -> bool,
    ) -> io::Result<MutexGuard<'_, LaneState>> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        while !ready(&state) {
            state = match until {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        Ok(state)
    }

    fn set(&self, change: impl FnOnce(&mut LaneState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let mut state = self.incoming.wait(self.read_timeout, |lane| !lane.bytes.is_empty() || lane.ended)?;
        let read = state.bytes.read(buf)?;
        drop(state);
        self.incoming.changed.notify_all();
        Ok(read)
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let free = |lane: &LaneState| lane.bytes.len() < CAPACITY || lane.abandoned || lane.ended;
        let mut state = self.outgoing.wait(self.write_timeout, free)?;
        if state.abandoned || state.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let len = buf.len().min(CAPACITY - state.bytes.len());
        state.bytes.extend(&buf[..len]);
        drop(state);
        self.outgoing.changed.notify_all();
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Pipe {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = timeout;
        Ok(())
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout = timeout;
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.outgoing.set(|lane| lane.ended = true);
        Ok(())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.outgoing.set(|lane| lane.ended = true);
        self.incoming.set(|lane| lane.abandoned = true);
    }
}

impl fmt::Debug for LaneState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneState")
            .field("bytes", &Redacted::len(self.bytes.len()))
            .field("ended", &self.ended)
            .field("abandoned", &self.abandoned)
            .finish()
    }
}
