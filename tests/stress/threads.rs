//! Both ends in threads: random calls over streams of any sort, that wait or do not.
//!
//! An end that writes does not receive meanwhile. So only the one that holds the token makes calls that may wait for the
//! stream to take bytes, and the other goes on receiving.

use core::time::Duration;
use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use sansocket::blocking::{Error, WebSocket, pair};
use sansocket::{CloseCode, Config, Delivery, Fin, Kind, Prepared, SendError};

use crate::model::{Fate, Gathered, Lane, Rng, Ticket};
use crate::plan::{Closing, config};
use crate::wires::{Below, Habits, Wire, wires};

/// So long nothing may arrive while both ends receive and something is under way: less than any deadline.
const STANDSTILL: Duration = Duration::from_secs(15);

type Ws = WebSocket<Wire>;

#[derive(Clone, Debug)]
pub struct Plan {
    seed: u64,
    config: Arc<Config>,
    below: Below,
    habits: Habits,
    nonblocking: bool,
    operations: usize,
    /// The usual and the greatest length of a message.
    lengths: [usize; 2],
    closing: Closing,
    closers: [bool; 2],
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let room = rng.pick(&[1, 50, 1000, 64 << 10]);
        let below = rng.pick(&[
            Below::Pipe(room),
            Below::Pipe(room),
            Below::Tcp,
            Below::Tls,
            Below::TlsInPipe(room.max(50)),
        ]);
        let step = if below == Below::Pipe(1) { 100 } else { rng.pick(&[100, 3000, 1 << 20]) };
        let lengths = match below {
            Below::Pipe(1) => [30, 100],
            Below::Pipe(50) | Below::TlsInPipe(50) => [40, 400],
            Below::Pipe(1000) | Below::TlsInPipe(1000) => [200, 5000],
            _ if step == 100 => [200, 5000],
            _ => rng.pick(&[[100, 20_000], [5000, 60_000], [20_000, 150_000]]),
        };
        let closing = if rng.one_in(3) { Closing::Early } else { Closing::Late };
        let mut closers = rng.pick(&[[true, false], [false, true], [true, true]]);
        closers[1] &= closing == Closing::Late || !closers[0];
        let mut config = config(&mut rng);
        if matches!(below, Below::Pipe(..64)) {
            // While both ends write, a pipe carries what it holds every 20 ms: not even the pings.
            config.ping_interval = None;
        }
        Self {
            seed,
            config: Arc::new(config),
            below,
            habits: Habits { step, signals: rng.pick(&[3, 20, usize::MAX]) },
            nonblocking: rng.one_in(3),
            operations: 5 + rng.below(60),
            lengths,
            closing,
            closers,
        }
    }

    fn len(&self, rng: &mut Rng) -> usize {
        let most = if rng.one_in(8) { self.lengths[1] } else { self.lengths[0] };
        rng.below(most)
    }
}

/// Plays `plan` with a thread for each end.
pub fn play(plan: &Plan, lanes: [Lane; 2]) {
    let mut rng = Rng(!plan.seed);
    let (client, server) = pair(plan.config.clone());
    let [there, here] = wires(plan.below, plan.habits, plan.nonblocking, &mut rng);
    let token = Arc::new(Mutex::new(()));
    let mut threads = Vec::new();
    for (number, (ws, wire)) in [(client, there), (server, here)].into_iter().enumerate() {
        let ws = WebSocket::from_parts(ws.into_parts().map_transport(|_| wire));
        let end = End {
            ws: Some(ws),
            plan: plan.clone(),
            rng: rng.fork(),
            closer: plan.closers[number],
            out: lanes[number].clone(),
            gathered: Gathered::new(lanes[1 - number].clone()),
            incoming: lanes[1 - number].clone(),
            token: token.clone(),
            open: None,
            ended: false,
            closed: false,
        };
        threads.push(thread::spawn(move || end.run()));
    }
    for (number, end) in threads.into_iter().enumerate() {
        match end.join() {
            Ok(result) => result.unwrap_or_else(|error| panic!("end {number}: {error:?}")),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    for lane in &lanes {
        assert_eq!(lane.missing(), None);
    }
}

struct End {
    ws: Option<Ws>,
    plan: Plan,
    rng: Rng,
    closer: bool,
    out: Lane,
    incoming: Lane,
    gathered: Gathered,
    token: Arc<Mutex<()>>,
    /// The kind of a message that may be unfinished.
    open: Option<Kind>,
    ended: bool,
    closed: bool,
}

impl End {
    fn run(mut self) -> Result<(), Error> {
        let token = self.token.clone();
        self.out.stage("talks");
        for _ in 0..self.plan.operations {
            if self.ended || self.closed {
                break;
            }
            match self.rng.below(8) {
                0 => self.ws = self.ws.take().map(|ws| WebSocket::from_parts(ws.into_parts())),
                1..4 => self.receive()?,
                4 | 5 => self.feed()?,
                _ => {
                    let held = token.try_lock();
                    if held.is_ok() || self.plan.nonblocking {
                        self.send()?;
                    } else {
                        self.receive()?;
                    }
                }
            }
        }
        self.out.stage("completes");
        while self.open.is_some() && !(self.ended || self.closed) {
            if let Ok(_held) = token.try_lock() {
                self.complete()?;
            }
            self.receive()?;
        }
        self.out.finish();
        if self.plan.closing == Closing::Early && self.closer {
            self.start_close(&token)?;
        }
        self.drain()?;
        if self.closer && self.plan.closing == Closing::Late {
            self.out.stage("closes");
            if self.rng.one_in(2) {
                self.start_close(&token)?;
            }
            while let Err(error) = self.ws().close(CloseCode::NORMAL, "done") {
                patient(error)?;
            }
        }
        self.out.stage("waits for the end");
        while !self.ended {
            self.receive()?;
        }
        let summary = self.ws().summary().expect("it has ended");
        assert!(summary.clean && summary.error.is_none(), "{summary}");
        Ok(())
    }

    fn ws(&mut self) -> &mut Ws {
        self.ws.as_mut().expect("put back")
    }

    fn start_close(&mut self, token: &Mutex<()>) -> Result<(), Error> {
        loop {
            if let Ok(_held) = token.try_lock() {
                return match self.ws().start_close(CloseCode::NORMAL, "enough") {
                    Ok(()) | Err(Error::Send(SendError::Closed)) => Ok(()),
                    Err(error) => Err(error),
                };
            }
            self.receive()?;
        }
    }

    /// Receives until all has arrived on both ends, which must not stand still.
    fn drain(&mut self) -> Result<(), Error> {
        self.out.stage("drains");
        let both = [self.out.clone(), self.incoming.clone()];
        let progress = || both.each_ref().map(|lane| lane.figures().1);
        let mut latest = (progress(), Instant::now());
        while !(self.ended || both.iter().all(Lane::is_done)) {
            self.receive()?;
            if progress() != latest.0 || !both.iter().all(Lane::is_finished) {
                latest = (progress(), Instant::now());
            }
            assert!(latest.1.elapsed() < STANDSTILL, "standstill: {} queued", self.ws().queued());
        }
        Ok(())
    }

    /// One random call of those that receive.
    fn receive(&mut self) -> Result<(), Error> {
        // Calls without a limit come back where a message is on its way, or where nothing waits.
        let certain = self.plan.nonblocking || self.incoming.missing().is_some();
        let (timeout, chunks) = (
            Duration::from_micros(self.rng.below(4000) as u64),
            self.plan.config.delivery == Delivery::Chunks,
        );
        let ws = self.ws.as_mut().expect("put back");
        let received = match self.rng.below(6) {
            0 if certain => ws.recv_event().map(|event| self.gathered.event(event)),
            0 | 1 => ws.recv_event_timeout(timeout).map(|event| self.gathered.event(event)),
            _ if chunks => ws.recv_event_timeout(timeout).map(|event| self.gathered.event(event)),
            2 if certain => {
                let room = self.plan.config.max_queued_output;
                let small = ws.queued() + 300 < room.min(64 << 10);
                let answers = self.open.is_none() && small && !(self.closed || self.out.is_finished());
                match ws.recv_ref() {
                    Ok(Some((message, mut tx))) => {
                        self.incoming.arrive(&message);
                        if answers {
                            let (ticket, answer) = self.out.begin(0, message.kind(), 30, true);
                            let fed = tx.feed(answer);
                            settle(&self.out, &self.plan, &mut self.closed, ticket, fed)?;
                        }
                        Ok(false)
                    }
                    Ok(None) => Ok(true),
                    Err(error) => Err(error),
                }
            }
            3 if certain => ws.recv().map(|message| self.gathered.message(message)),
            _ => ws.recv_timeout(timeout).map(|message| self.gathered.message(message)),
        };
        match received {
            Ok(ended) => {
                self.ended |= ended;
                Ok(())
            }
            Err(error) => patient(error),
        }
    }

    /// Queues a message, if that need not wait.
    fn feed(&mut self) -> Result<(), Error> {
        let kind = self.rng.pick(&[Kind::Text, Kind::Binary]);
        let len = self.plan.len(&mut self.rng);
        let room = self.plan.config.max_queued_output.min(200 << 10);
        if !self.plan.nonblocking && self.ws().queued() + len + 200 >= room {
            return self.receive();
        }
        let (ticket, message) = self.out.begin(0, kind, len, true);
        let fed = if self.rng.one_in(3) {
            self.ws().feed_prepared(&Prepared::new(message))
        } else {
            self.ws().feed(message)
        };
        self.settle(ticket, fed).map(drop)
    }

    /// One random call of those that may wait.
    fn send(&mut self) -> Result<(), Error> {
        let kind = self.rng.pick(&[Kind::Text, Kind::Binary]);
        let len = self.plan.len(&mut self.rng);
        match self.rng.below(9) {
            0 | 1 => {
                let (ticket, message) = self.out.begin(0, kind, len, true);
                let sent = self.ws().send(message);
                self.settle(ticket, sent).map(drop)
            }
            2 => {
                let (ticket, message) = self.out.begin(0, kind, len, true);
                let sent = self.ws().send_prepared(&Prepared::new(message));
                self.settle(ticket, sent).map(drop)
            }
            3 => {
                let (ticket, message) = self.out.begin(0, kind, len, true);
                let fed = self.ws().feed(message);
                self.settle(ticket, fed).map(drop)
            }
            4 => {
                let sent = self.ws().ping(b"alive?");
                self.control(sent)
            }
            5 => {
                let sent = self.ws().pong(b"unasked");
                self.control(sent)
            }
            6 => {
                let flushed = self.ws().flush();
                self.control(flushed)
            }
            7 => {
                let last = self.rng.one_in(3);
                self.fragment(last)
            }
            _ => self.stream(),
        }
    }

    fn fragment(&mut self, last: bool) -> Result<(), Error> {
        let kind = self.open.unwrap_or(Kind::Text);
        let len = self.plan.len(&mut self.rng).min(30_000);
        let (ticket, message) = self.out.begin(0, kind, len, last);
        self.open = self.open.or(Some(kind));
        let fin = if last { Fin::Final } else { Fin::More };
        let sent = self.ws().send_fragment(message, fin);
        if self.settle(ticket, sent)? && last {
            self.open = None;
        }
        Ok(())
    }

    fn complete(&mut self) -> Result<(), Error> {
        let Self { ws, plan, out, open, closed, .. } = self;
        let Some(mut writer) = ws.as_mut().expect("put back").resume_message() else {
            *open = None;
            return Ok(());
        };
        let ticket = out.begin_end(0);
        let finished = writer.finish();
        // A writer that could not flush may have completed it all the same.
        let fate = if finished.is_ok() { Fate::Taken } else { Fate::Open };
        out.settle(ticket, fate);
        judge(plan, closed, finished)
    }

    /// A message through a writer, which may stay unfinished.
    fn stream(&mut self) -> Result<(), Error> {
        let Self { ws, rng, plan, out, open, closed, .. } = self;
        let ws = ws.as_mut().expect("put back");
        let is_open = ws.resume_message().is_some();
        assert!(!is_open || open.is_some(), "a message is open that nobody began");
        *open = if is_open { *open } else { None };
        let kind = open.unwrap_or_else(|| rng.pick(&[Kind::Text, Kind::Binary]));
        let mut writer = match is_open {
            true => ws.resume_message().expect("open still"),
            false => ws.message_writer(kind),
        };
        *open = Some(kind);
        for _ in 0..rng.below(5) {
            let len = plan.len(rng).min(30_000);
            let (ticket, message) = out.begin(0, kind, len, false);
            let wrote = writer.write(message.as_bytes()).map_err(error_of);
            settle(out, plan, closed, ticket, wrote.map(|len| assert_eq!(len, message.len())))?;
        }
        if rng.one_in(3) {
            return Ok(());
        }
        let ticket = out.begin_end(0);
        for _ in 0..10_000 {
            match writer.finish() {
                Err(Error::WouldBlock) => thread::sleep(Duration::from_micros(50)),
                finished => {
                    if settle(out, plan, closed, ticket, finished)? {
                        *open = None;
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    fn settle(&mut self, ticket: Ticket, result: Result<(), Error>) -> Result<bool, Error> {
        settle(&self.out, &self.plan, &mut self.closed, ticket, result)
    }

    fn control(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        self.out.count();
        judge(&self.plan, &mut self.closed, result)
    }
}

/// Takes note of how a call went; whether it took what it was given.
fn settle(
    out: &Lane,
    plan: &Plan,
    closed: &mut bool,
    ticket: Ticket,
    result: Result<(), Error>,
) -> Result<bool, Error> {
    let fate = match &result {
        Ok(()) => Fate::Taken,
        Err(Error::Send(_) | Error::WouldBlock) => Fate::Refused,
        Err(_) => Fate::Open,
    };
    out.settle(ticket, fate);
    judge(plan, closed, result).map(|()| fate == Fate::Taken)
}

fn judge(plan: &Plan, closed: &mut bool, result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Send(SendError::Closed)) if plan.closing == Closing::Early => *closed = true,
        Err(Error::Send(SendError::MessageInProgress)) => {}
        Err(Error::WouldBlock) if plan.nonblocking => {}
        result => return result,
    }
    Ok(())
}

/// Nothing came in time.
fn patient(error: Error) -> Result<(), Error> {
    match error {
        Error::TimedOut => Ok(()),
        Error::WouldBlock => {
            thread::sleep(Duration::from_micros(50));
            Ok(())
        }
        error => Err(error),
    }
}

fn error_of(error: std::io::Error) -> Error {
    if error.kind() == ErrorKind::WouldBlock {
        return Error::WouldBlock;
    }
    match error.downcast::<SendError>() {
        Ok(error) => Error::Send(error),
        Err(error) => Error::Io(error),
    }
}
