//! The calls that send over tokio, each with its limit, and what became of them.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::io::ErrorKind;

use futures_util::SinkExt;
use sansocket::tokio::{Error, SendHalf, WebSocket};
use sansocket::{Fin, Kind, Message, Prepared, SendError};
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use crate::chaos::Chaos;
use crate::model::{Fate, Lane, Rng, Ticket};
use crate::plan::{Closing, Plan};

/// What bounds a call.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    None,
    Polls(usize),
    Time(Duration),
}

impl Limit {
    pub fn new(rng: &mut Rng) -> Self {
        match rng.below(3) {
            0 => Self::Polls(1 + rng.below(6)),
            _ => Self::Time(Duration::from_micros(rng.below(20_000) as u64)),
        }
    }

    /// What `future` returns, unless it is dropped before.
    pub async fn cut<T>(self, future: impl Future<Output = T>) -> Option<T> {
        match self {
            Self::None => Some(future.await),
            Self::Time(time) => timeout(time, future).await.ok(),
            Self::Polls(polls) => {
                let (mut future, mut late) = (pin!(future), pin!(sleep(Duration::from_millis(40))));
                let mut polled = 0;
                poll_fn(|context| {
                    polled += 1;
                    match future.as_mut().poll(context) {
                        Poll::Pending if polled >= polls => Poll::Ready(None),
                        Poll::Pending => late.as_mut().poll(context).map(|()| None),
                        done => done.map(Some),
                    }
                })
                .await
            }
        }
    }
}

/// Who sends from one task.
pub struct Writer {
    number: usize,
    pub rng: Rng,
    pub lane: Lane,
    plan: Plan,
    /// The kind of a message that may be unfinished.
    open: Option<Kind>,
    /// The same before the part that is being sent.
    before: Option<Kind>,
    /// Whether calls may wait for ever.
    patient: bool,
    pub closed: bool,
    pings: u32,
    /// How often it tried to complete a message.
    attempts: u32,
}

impl Writer {
    pub fn new(number: usize, rng: Rng, lane: Lane, plan: Plan) -> Self {
        let patient = number > 0;
        let (open, before, closed) = (None, None, false);
        Self { number, rng, lane, plan, open, before, patient, closed, pings: 0, attempts: 0 }
    }

    pub fn limit(&mut self) -> Limit {
        if self.patient && self.rng.one_in(2) { Limit::None } else { Limit::new(&mut self.rng) }
    }

    pub fn message(&mut self) -> (Ticket, Message<'static>) {
        let kind = self.rng.pick(&[Kind::Text, Kind::Binary]);
        let len = self.plan.len(&mut self.rng);
        self.lane.begin(self.number, kind, len, true)
    }

    fn part(&mut self, last: bool) -> (Ticket, Message<'static>) {
        let kind = self.open.unwrap_or_else(|| self.rng.pick(&[Kind::Text, Kind::Binary]));
        self.part_of(kind, last)
    }

    fn part_of(&mut self, kind: Kind, last: bool) -> (Ticket, Message<'static>) {
        self.before = self.open.replace(kind);
        let len = self.plan.len(&mut self.rng).min(30_000);
        self.lane.begin(self.number, kind, len, last)
    }

    /// Takes note of how the call went, which may have been dropped; whether it was not, and took what it was given.
    pub fn settle(&mut self, ticket: Ticket, result: Option<Result<(), Error>>) -> Result<bool, Error> {
        match result {
            None => Ok(false),
            Some(Ok(())) => {
                self.lane.settle(ticket, Fate::Taken);
                Ok(true)
            }
            Some(Err(error)) => {
                let refused = matches!(error, Error::Send(_) | Error::WouldBlock);
                self.lane.settle(ticket, if refused { Fate::Refused } else { Fate::Open });
                if refused && self.lane.is_fragment(ticket) {
                    self.open = self.before;
                }
                self.judge(error).map(|()| false)
            }
        }
    }

    fn judge(&mut self, error: Error) -> Result<(), Error> {
        match error {
            Error::Send(SendError::MessageInProgress) | Error::WouldBlock => Ok(()),
            Error::Send(SendError::Closed) if self.plan.closing == Closing::Early => {
                self.closed = true;
                Ok(())
            }
            // What waited for its bytes to leave.
            Error::Io(error)
                if error.kind() == ErrorKind::BrokenPipe && self.plan.closing == Closing::Early =>
            {
                self.closed = true;
                Ok(())
            }
            error => Err(error),
        }
    }

    fn control(&mut self, result: Option<Result<(), Error>>) -> Result<(), Error> {
        self.lane.count();
        result.map_or(Ok(()), |result| result.or_else(|error| self.judge(error)))
    }
}

macro_rules! sending {
    ($random:ident, $streamed:ident, $finished:ident, $type:ty) => {
        /// One random call of those that send.
        pub async fn $random(tx: &mut $type, who: &mut Writer) -> Result<(), Error> {
            let limit = who.limit();
            match who.rng.below(14) {
                0 | 1 => {
                    let (ticket, message) = who.message();
                    let sent = limit.cut(tx.send(message)).await;
                    who.settle(ticket, sent)?;
                }
                2..5 => {
                    let (ticket, message) = who.message();
                    let fed = limit.cut(tx.feed(message)).await;
                    who.settle(ticket, fed)?;
                }
                5 => {
                    let (ticket, message) = who.message();
                    let prepared = Prepared::new(message);
                    let fed = limit.cut(tx.feed_prepared(&prepared)).await;
                    who.settle(ticket, fed)?;
                }
                6 => {
                    let (ticket, message) = who.message();
                    let prepared = Prepared::new(message);
                    let sent = limit.cut(tx.send_prepared(&prepared)).await;
                    who.settle(ticket, sent)?;
                }
                7 => {
                    let (ticket, message) = who.message();
                    let sent = limit.cut(SinkExt::send(tx, message)).await;
                    who.settle(ticket, sent)?;
                }
                8 => {
                    let (ticket, message) = who.message();
                    let fed = limit.cut(SinkExt::feed(tx, message)).await;
                    who.settle(ticket, fed)?;
                }
                9 => {
                    who.pings += 1;
                    let payload = who.pings.to_be_bytes();
                    let sent = limit.cut(tx.ping(&payload)).await;
                    who.control(sent)?;
                }
                10 => {
                    let sent = limit.cut(tx.pong(b"unasked")).await;
                    who.control(sent)?;
                }
                11 => {
                    let flushed = limit.cut(tx.flush()).await;
                    who.control(flushed)?;
                }
                12 => $streamed(tx, who).await?,
                _ => sleep(Duration::from_micros(who.rng.below(3000) as u64)).await,
            }
            Ok(())
        }

        /// A few parts of a message, which may stay unfinished.
        async fn $streamed(tx: &mut $type, who: &mut Writer) -> Result<(), Error> {
            for _ in 0..who.rng.below(4) {
                let last = who.rng.one_in(3);
                let (ticket, message) = who.part(last);
                let limit = who.limit();
                let fin = if last { Fin::Final } else { Fin::More };
                let sent = limit.cut(tx.send_fragment(message, fin)).await;
                if who.settle(ticket, sent)? && last {
                    who.open = None;
                }
            }
            if who.rng.one_in(2) {
                return Ok(());
            }
            let parts = who.rng.below(5);
            let is_open = tx.resume_message().is_some();
            assert!(!is_open || who.open.is_some(), "a message is open that nobody began");
            who.open = if is_open { who.open } else { None };
            let kind = who.open.unwrap_or_else(|| who.rng.pick(&[Kind::Text, Kind::Binary]));
            let mut writer = match is_open {
                true => tx.resume_message().expect("open still"),
                false => tx.message_writer(kind),
            };
            for _ in 0..parts {
                let (ticket, message) = who.part_of(kind, false);
                let limit = who.limit();
                let wrote = limit.cut(writer.write(message.as_bytes())).await;
                let wrote = wrote.map(|wrote| match wrote {
                    Ok(len) => {
                        assert_eq!(len, message.len());
                        Ok(())
                    }
                    Err(error) => Err(match error.downcast::<SendError>() {
                        Ok(error) => Error::Send(error),
                        Err(error) => Error::Io(error),
                    }),
                });
                who.settle(ticket, wrote)?;
                if who.rng.one_in(4) {
                    let limit = who.limit();
                    let _ = limit.cut(writer.flush()).await;
                }
            }
            if who.rng.one_in(3) {
                return Ok(());
            }
            let ticket = who.lane.begin_end(who.number);
            for _ in 0..3 {
                let limit = who.limit();
                let ended = limit.cut(writer.finish()).await;
                if who.settle(ticket, ended)? {
                    who.open = None;
                    break;
                }
            }
            Ok(())
        }

        /// Completes what is open; whether nothing is any more.
        pub async fn $finished(tx: &mut $type, who: &mut Writer) -> Result<bool, Error> {
            if who.open.is_none() || who.closed {
                return Ok(true);
            }
            let Some(mut writer) = tx.resume_message() else {
                (who.open, who.attempts) = (None, 0);
                return Ok(true);
            };
            let ticket = who.lane.begin_end(who.number);
            who.attempts = (who.attempts + 1).min(25);
            let most = 20 * who.attempts as usize;
            let limit = Limit::Time(Duration::from_millis(who.rng.below(most) as u64));
            let sent = limit.cut(writer.finish()).await;
            if who.settle(ticket, sent)? {
                (who.open, who.attempts) = (None, 0);
            }
            Ok(who.open.is_none())
        }
    };
}

sending!(send_whole, stream_whole, finish_whole, WebSocket<Chaos>);
sending!(send_half, stream_half, finish_half, SendHalf<Chaos>);
