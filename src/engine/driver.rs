//! The driver of everything that runs over a stream while no connection is open: both opening handshakes, the tunnel of a
//! proxy, a refusal that the peer should read.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::io::{self, IoSlice};

use super::buffer::{LARGE, ReadBuffer, SMALL};
use super::{Error, Stream, is_not_ready};
use crate::redacted::Redacted;

/// The most that one read brings, in bytes, and so the most of what follows a handshake that is read before its outcome
/// is known.
const MAX_READ: usize = 4096;

/// A protocol that runs over a stream until it has an outcome. It has no stream and no clock.
pub(crate) trait StateMachine: Sized {
    type Outcome;

    /// When to call [`handle`](Self::handle) with [`Input::Timeout`].
    fn deadline(&self) -> Option<Duration>;

    /// Whether the direction to the peer ends after the output.
    fn ends_output(&self) -> bool {
        false
    }

    /// Takes what happened on the stream. Bytes appended to `output` are written before the next read; what `output` holds
    /// already has not been written and flushed.
    fn handle(
        self,
        now: Duration,
        input: Input<'_>,
        output: &mut Vec<u8>,
    ) -> Result<Progress<Self, Self::Outcome>, Error>;
}

/// An event on the stream.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    Bytes(&'a [u8]),
    EndOfStream,
    /// The deadline has passed.
    Timeout,
    /// A call failed for good.
    Failed(io::Error),
}

/// How far a state machine has come.
pub(crate) enum Progress<M, O> {
    NeedMore(M),
    Done(O),
}

/// A state machine and the stream that it runs over.
pub(crate) struct Driver<T, M>(Option<Running<T, M>>);

struct Running<T, M> {
    stream: T,
    /// Only a call that is going on takes it.
    machine: Option<M>,
    /// Kept whole until all of it is written and flushed.
    output: Vec<u8>,
    written: usize,
    is_shut: bool,
    /// The timer for the deadline has fired.
    alarm: bool,
}

impl<T: Stream, M: StateMachine> Driver<T, M> {
    /// `output` is written before the first read.
    pub(crate) const fn new(stream: T, machine: M, output: Vec<u8>) -> Self {
        let machine = Some(machine);
        Self(Some(Running { stream, machine, output, written: 0, is_shut: false, alarm: false }))
    }

    /// Goes on and returns the outcome and the stream.
    ///
    /// After [`Error::WouldBlock`] the next call goes on; any other error has dropped the stream.
    pub(crate) fn proceed(&mut self) -> Result<(T, M::Outcome), Error> {
        // Borrowed from the thread, because nobody keeps a buffer while it waits for the stream to be ready.
        let mut buffer = ReadBuffer::default();
        while let Some(running) = &mut self.0 {
            let room = buffer.room(if T::WAITS { SMALL } else { LARGE });
            let input = running.transfer(room.get_mut(..MAX_READ).unwrap_or_default())?;
            let Some(machine) = running.machine.take() else { break };
            match machine.handle(running.stream.now(), input, &mut running.output) {
                Ok(Progress::NeedMore(machine)) => running.machine = Some(machine),
                Ok(Progress::Done(outcome)) => {
                    let Some(running) = self.0.take() else { break };
                    return Ok((running.stream, outcome));
                }
                Err(error) => {
                    self.0 = None;
                    return Err(error);
                }
            }
        }
        Err(Error::Io(io::ErrorKind::NotConnected.into()))
    }

    /// How long it may still take, `None` without a limit.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let running = self.0.as_ref()?;
        Some(running.deadline()?.saturating_sub(running.stream.now()))
    }
}

impl<T, M> Driver<T, M> {
    /// `None` once there is an outcome.
    pub(crate) fn stream(&self) -> Option<&T> {
        self.0.as_ref().map(|running| &running.stream)
    }

    pub(crate) fn machine(&self) -> Option<&M> {
        self.0.as_ref()?.machine.as_ref()
    }

    /// Whether the stream has not taken all the output.
    pub(crate) fn has_output(&self) -> bool {
        self.0.as_ref().is_some_and(|running| !running.output.is_empty())
    }
}

/// For a stream that does not wait.
#[cfg(feature = "tokio")]
impl<T: Stream, M: StateMachine> Driver<T, M> {
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.0.as_ref()?.deadline()
    }

    pub(crate) fn stream_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut().map(|running| &mut running.stream)
    }

    /// The timer for the deadline has fired. What the stream has by now still counts.
    pub(crate) fn set_alarm(&mut self) {
        if let Some(running) = &mut self.0 {
            running.alarm = true;
        }
    }
}

impl<T: Stream, M: StateMachine> Running<T, M> {
    fn deadline(&self) -> Option<Duration> {
        self.machine.as_ref()?.deadline()
    }

    /// Writes the output and reads once; [`Error::WouldBlock`] is the only error.
    fn transfer<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Input<'b>, Error> {
        let until = self.deadline();
        loop {
            let error = match self.write_and_read(buffer, until) {
                Ok(0) => return Ok(Input::EndOfStream),
                Ok(len) => return Ok(Input::Bytes(buffer.get(..len).unwrap_or_default())),
                Err(error) => error,
            };
            let is_interrupted = error.kind() == io::ErrorKind::Interrupted;
            if !is_interrupted && !is_not_ready(&error) {
                return Ok(Input::Failed(error));
            }
            // Without an alarm a stream that does not wait may hold bytes which the runtime has not found yet.
            if (T::WAITS || self.alarm) && until.is_some_and(|until| until <= self.stream.now()) {
                return Ok(Input::Timeout);
            }
            if error.kind() == io::ErrorKind::WouldBlock {
                return Err(Error::WouldBlock);
            }
        }
    }

    fn write_and_read(&mut self, buffer: &mut [u8], until: Option<Duration>) -> io::Result<usize> {
        while let Some(rest @ [_, ..]) = self.output.get(self.written..) {
            match self.stream.write(&[IoSlice::new(rest)], until) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) if len < rest.len() => {
                    self.written += len;
                    // The clock is looked at, so that a peer which takes little at a time gets no more time for it.
                    if T::WAITS {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                }
                Ok(_) => self.written = self.output.len(),
                // A stream that is still connecting is not ready either.
                Err(error) if T::WAITS && error.kind() == io::ErrorKind::NotConnected => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(error) => return Err(error),
            }
        }
        // The peer may be waiting for the end of a TLS handshake.
        if !self.output.is_empty() || self.stream.wants_flush() {
            self.stream.flush(until)?;
            self.output.clear();
            self.written = 0;
        }
        if !self.is_shut && self.machine.as_ref().is_some_and(M::ends_output) {
            self.stream.shutdown_write()?;
            self.is_shut = true;
        }
        self.stream.read(buffer, until)
    }
}

impl<T: fmt::Debug, M: fmt::Debug> fmt::Debug for Driver<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut form = f.debug_struct("Driver");
        if let Some(running) = &self.0 {
            form.field("stream", &running.stream).field("machine", &running.machine);
            form.field("output", &Redacted::of(&running.output));
        }
        form.finish_non_exhaustive()
    }
}
