//! A blocking stream that does what a test says at every call.

use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice, Read, Write};

use sansocket::blocking::Transport;

/// What becomes of one I/O call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The stream does it as it should.
    None,
    /// One byte is read or written.
    Short,
    /// Not now, or an interruption: the call does nothing.
    Nothing(ErrorKind),
    /// The call fails, and so does every later one.
    Dead(ErrorKind),
    /// The call fails, and so does every later write; reads go on.
    Deaf(ErrorKind),
    /// Reads find the end of the stream, writes take nothing.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call {
    Read,
    Write,
    Flush,
    Other,
}

/// The call of this number goes wrong, all others go well.
pub fn once(fault: Fault, at: usize) -> impl FnMut(usize, Call) -> Fault {
    move |call, _| if call == at { fault } else { Fault::None }
}

/// What a peer says once it has heard this; `None` while it waits for more.
pub type Answer = fn(&[u8]) -> Option<Vec<u8>>;

/// A stream whose peer has said everything already; it takes note of every call.
pub struct Scripted<F> {
    incoming: Vec<u8>,
    read: usize,
    pub sent: Vec<u8>,
    pub calls: usize,
    /// Whether the writing side was shut down.
    pub shut: bool,
    answer: Option<Answer>,
    fault: F,
    dead: Option<Fault>,
    /// The call after which it was dead.
    pub died_at: Option<Call>,
    /// At most so much for each read and write.
    step: usize,
}

impl<F: FnMut(usize, Call) -> Fault> Scripted<F> {
    pub fn new(incoming: Vec<u8>, step: usize, fault: F) -> Self {
        Self {
            incoming,
            read: 0,
            sent: vec![],
            calls: 0,
            shut: false,
            answer: None,
            fault,
            dead: None,
            died_at: None,
            step,
        }
    }

    /// A peer that makes up its answer once it has heard enough.
    pub fn answering(answer: Answer, step: usize, fault: F) -> Self {
        Self { answer: Some(answer), ..Self::new(Vec::new(), step, fault) }
    }

    /// How many bytes the next call may move; `None` at the end of the stream.
    fn next(&mut self, call: Call) -> io::Result<Option<usize>> {
        let number = self.calls;
        self.calls += 1;
        assert!(number < 1_000_000, "spins");
        let fault = match self.dead {
            Some(Fault::Deaf(_)) if call == Call::Read => (self.fault)(number, call),
            Some(fault) => fault,
            None => (self.fault)(number, call),
        };
        if matches!(fault, Fault::Dead(_) | Fault::Deaf(_) | Fault::End) {
            self.dead = Some(fault);
            self.died_at.get_or_insert(call);
        }
        match (fault, call) {
            // Streams do not answer so to calls that set something.
            (Fault::Nothing(_) | Fault::Short | Fault::None, Call::Other) | (Fault::None, _) => {
                Ok(Some(self.step))
            }
            (Fault::Nothing(kind), _) => Err(kind.into()),
            (Fault::Short, _) => Ok(Some(1)),
            (Fault::Deaf(_), Call::Read | Call::Other) => Ok(Some(self.step)),
            (Fault::Dead(kind) | Fault::Deaf(kind), _) => Err(io::Error::new(kind, "scripted")),
            (Fault::End, _) => Ok(None),
        }
    }
}

impl<F: FnMut(usize, Call) -> Fault> Read for Scripted<F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        assert!(!buf.is_empty(), "a read into nothing looks like the end");
        let Some(step) = self.next(Call::Read)? else { return Ok(0) };
        if self.incoming.is_empty()
            && let Some(answer) = self.answer
        {
            self.incoming = answer(&self.sent).ok_or(ErrorKind::WouldBlock)?;
        }
        let rest = &self.incoming[self.read..];
        let len = buf.len().min(step).min(rest.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.read += len;
        Ok(len)
    }
}

impl<F: FnMut(usize, Call) -> Fault> Write for Scripted<F> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(!self.shut, "a write behind the end");
        let Some(step) = self.next(Call::Write)? else { return Ok(0) };
        let before = self.sent.len();
        for part in parts {
            let left = step - (self.sent.len() - before);
            self.sent.extend_from_slice(&part[..part.len().min(left)]);
        }
        assert!(self.sent.len() > before, "wrote nothing at all");
        Ok(self.sent.len() - before)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next(Call::Flush).map(drop)
    }
}

impl<F: FnMut(usize, Call) -> Fault> Transport for Scripted<F> {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        self.next(Call::Other).map(drop)
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        self.next(Call::Other).map(drop)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.next(Call::Other)?;
        self.shut = true;
        Ok(())
    }
}
