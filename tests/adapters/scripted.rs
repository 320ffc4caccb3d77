//! A stream that does what a test says at every call, and whose peer has said everything already. Each adapter reads and
//! writes it through its own traits, which call the methods here.
#![allow(dead_code, unreachable_pub, reason = "each user needs its own part")]

use core::task::{Context, Poll};
use std::io::{self, ErrorKind, IoSlice};

/// What becomes of one I/O call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The stream does it as it should.
    None,
    /// One byte is read or written.
    Short,
    /// The call does nothing, for a reason that passes. To an asynchronous stream each of them is "not ready".
    Nothing(ErrorKind),
    /// The call fails, and so does every later one.
    Dead(ErrorKind),
    /// The call fails, and so does every later one but reads.
    Deaf(ErrorKind),
    /// Reads find the end of the stream, writes take nothing.
    End,
}

impl Fault {
    pub const NOT_READY: Self = Self::Nothing(ErrorKind::WouldBlock);

    /// The ends of a stream.
    pub const DEADLY: [Self; 3] =
        [Self::Dead(ErrorKind::ConnectionReset), Self::Deaf(ErrorKind::BrokenPipe), Self::End];
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call {
    Read,
    Write,
    Flush,
    Shutdown,
    /// A call that sets an option, which does nothing that could be short or too early.
    Set,
}

/// The call of this number goes wrong, all others go well.
pub fn once(fault: Fault, at: usize) -> impl FnMut(usize, Call) -> Fault + Unpin {
    move |call, _| if call == at { fault } else { Fault::None }
}

/// Of each kind of call the first one of so many is not ready.
pub fn reluctant(period: usize) -> impl FnMut(usize, Call) -> Fault + Unpin {
    let mut turns = [0; 5];
    move |_, call| {
        let turn = &mut turns[call as usize];
        *turn += 1;
        if *turn % period == 1 { Fault::NOT_READY } else { Fault::None }
    }
}

/// What a peer says once it has heard this; `None` while it waits for more.
pub type Answer = fn(&[u8]) -> Option<Vec<u8>>;

/// The stream; it takes note of every call.
#[derive(Debug)]
pub struct Scripted<F> {
    incoming: Vec<u8>,
    read: usize,
    pub sent: Vec<u8>,
    pub calls: Vec<Call>,
    /// Whether the writing side was shut down.
    pub shut: bool,
    answer: Option<Answer>,
    fault: F,
    dead: Option<Fault>,
    /// At most so much for each read and write.
    step: usize,
}

impl<F: FnMut(usize, Call) -> Fault> Scripted<F> {
    pub fn new(incoming: Vec<u8>, step: usize, fault: F) -> Self {
        let (sent, calls) = (Vec::new(), Vec::new());
        Self { incoming, read: 0, sent, calls, shut: false, answer: None, fault, dead: None, step }
    }

    /// A peer that makes up its answer once it has heard enough.
    pub fn answering(answer: Answer, step: usize, fault: F) -> Self {
        Self { answer: Some(answer), ..Self::new(Vec::new(), step, fault) }
    }

    /// How many calls of one kind there were.
    pub fn count(&self, kind: Call) -> usize {
        self.calls.iter().filter(|&&call| call == kind).count()
    }

    /// Whether the call of this number was a flush that failed, so that what was written before may be lost.
    pub fn lost_by_flush(&self, at: usize, fault: Fault) -> bool {
        matches!(fault, Fault::Dead(_) | Fault::Deaf(_)) && self.calls.get(at) == Some(&Call::Flush)
    }

    /// How many bytes the next call may move; `None` at the end of the stream.
    fn next(&mut self, call: Call) -> io::Result<Option<usize>> {
        let number = self.calls.len();
        self.calls.push(call);
        assert!(number < 1_000_000, "spins");
        let fault = match self.dead {
            Some(Fault::Deaf(_)) if call == Call::Read => (self.fault)(number, call),
            Some(fault) => fault,
            None => (self.fault)(number, call),
        };
        if matches!(fault, Fault::Dead(_) | Fault::Deaf(_) | Fault::End) {
            self.dead = Some(fault);
        }
        match (fault, call) {
            (Fault::Nothing(_) | Fault::Short | Fault::Deaf(_), Call::Set)
            | (Fault::Deaf(_), Call::Read)
            | (Fault::None, _) => Ok(Some(self.step)),
            (Fault::Nothing(kind), _) => Err(kind.into()),
            (Fault::Short, _) => Ok(Some(1)),
            (Fault::Dead(kind) | Fault::Deaf(kind), _) => Err(io::Error::new(kind, "scripted")),
            (Fault::End, _) => Ok(None),
        }
    }

    /// A task that reads before its peer has heard enough to answer waits in vain.
    pub fn assert_answers(&self) {
        let waits =
            self.incoming.is_empty() && self.answer.is_some_and(|answer| answer(&self.sent).is_none());
        assert!(!waits, "waits for an answer to nothing");
    }

    /// The next bytes of the peer, none at its end.
    pub fn read_some(&mut self, room: usize) -> io::Result<&[u8]> {
        assert!(room > 0, "a read into nothing looks like the end");
        let Some(step) = self.next(Call::Read)? else { return Ok(&[]) };
        if self.incoming.is_empty()
            && let Some(answer) = self.answer
        {
            self.incoming = answer(&self.sent).ok_or(ErrorKind::WouldBlock)?;
        }
        let rest = &self.incoming[self.read..];
        let some = &rest[..room.min(step).min(rest.len())];
        self.read += some.len();
        Ok(some)
    }

    pub fn write_some(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
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

    /// A flush, or a call that sets an option.
    pub fn call(&mut self, call: Call) -> io::Result<()> {
        self.next(call).map(drop)
    }

    /// Ends the writing side by a call of this kind.
    pub fn shut_down(&mut self, call: Call) -> io::Result<()> {
        self.next(call)?;
        self.shut = true;
        Ok(())
    }
}

/// What an asynchronous stream makes of a result: a call that did nothing is pending, and its task is woken at once.
pub fn poll<T>(context: &Context<'_>, result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.get_ref().is_none() => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        done => Poll::Ready(done),
    }
}
