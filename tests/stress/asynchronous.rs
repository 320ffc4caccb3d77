//! Both ends over tokio: random calls, some of them dropped, whole and in halves, over streams of any sort.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures_util::{SinkExt, StreamExt};
use sansocket::tokio::{Error, ReceiveHalf, SendHalf, WebSocket, pair};
use sansocket::{CloseCode, Delivery, Event, Fin, Kind, Message, Prepared, SendError};
use tokio::io::{AsyncWriteExt, duplex};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::chaos::{Chaos, Meter};
use crate::model::{Fate, Gathered, Lane, Rng, Ticket};
use crate::plan::{Closing, Plan};

type Ws = WebSocket<Chaos>;

/// What bounds a call.
#[derive(Clone, Copy, Debug)]
enum Limit {
    None,
    Polls(usize),
    Time(Duration),
}

impl Limit {
    fn new(rng: &mut Rng) -> Self {
        match rng.below(3) {
            0 => Self::Polls(1 + rng.below(6)),
            _ => Self::Time(Duration::from_micros(rng.below(20_000) as u64)),
        }
    }

    /// What `future` returns, unless it is dropped before.
    async fn cut<T>(self, future: impl Future<Output = T>) -> Option<T> {
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
struct Writer {
    number: usize,
    rng: Rng,
    lane: Lane,
    plan: Plan,
    /// The kind of a message that may be unfinished.
    open: Option<Kind>,
    /// The same before the part that is being sent.
    before: Option<Kind>,
    /// Whether calls may wait for ever.
    patient: bool,
    closed: bool,
    pings: u32,
    /// How often it tried to complete a message.
    attempts: u32,
}

impl Writer {
    fn new(number: usize, rng: Rng, lane: Lane, plan: Plan) -> Self {
        let patient = number > 0;
        let (open, before, closed) = (None, None, false);
        Self { number, rng, lane, plan, open, before, patient, closed, pings: 0, attempts: 0 }
    }

    fn limit(&mut self) -> Limit {
        if self.patient && self.rng.one_in(2) { Limit::None } else { Limit::new(&mut self.rng) }
    }

    fn message(&mut self) -> (Ticket, Message<'static>) {
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
    fn settle(&mut self, ticket: Ticket, result: Option<Result<(), Error>>) -> Result<bool, Error> {
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
        async fn $random(tx: &mut $type, who: &mut Writer) -> Result<(), Error> {
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
        async fn $finished(tx: &mut $type, who: &mut Writer) -> Result<bool, Error> {
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

sending!(send_whole, stream_whole, finish_whole, Ws);
sending!(send_half, stream_half, finish_half, SendHalf<Chaos>);

/// What one end receives, and how.
struct Reader {
    rng: Rng,
    lane: Lane,
    chunks: bool,
    gathered: Gathered,
    ended: bool,
}

impl Reader {
    fn event(&mut self, event: Option<Event<'_>>) {
        self.ended |= self.gathered.event(event);
    }

    fn message(&mut self, message: Option<Message<'_>>) {
        self.ended |= self.gathered.message(message);
    }
}

/// One random call of those that receive, for so long at most.
async fn receive_whole(
    ws: &mut Ws,
    rx: &mut Reader,
    limit: Limit,
    who: Option<&mut Writer>,
) -> Result<(), Error> {
    match if rx.chunks { 0 } else { rx.rng.below(5) } {
        0 => {
            if let Some(event) = limit.cut(ws.recv_event()).await {
                rx.event(event?);
            }
        }
        1 => {
            if let Some(lent) = limit.cut(ws.recv_ref()).await {
                let Some((message, mut tx)) = lent? else {
                    rx.ended = true;
                    return Ok(());
                };
                rx.lane.arrive(&message);
                if let Some(who) = who {
                    let (ticket, answer) = who.message();
                    let limit = who.limit();
                    let fed = limit.cut(tx.feed(answer)).await;
                    who.settle(ticket, fed)?;
                }
            }
        }
        2 => {
            if let Some(next) = limit.cut(ws.next()).await {
                rx.message(next.transpose()?);
            }
        }
        _ => {
            if let Some(message) = limit.cut(ws.recv()).await {
                rx.message(message?);
            }
        }
    }
    Ok(())
}

async fn receive_half(half: &mut ReceiveHalf<Chaos>, rx: &mut Reader, limit: Limit) -> Result<(), Error> {
    match if rx.chunks { 0 } else { rx.rng.below(3) } {
        0 => {
            if let Some(event) = limit.cut(half.recv_event()).await {
                rx.event(event?);
            }
        }
        1 => {
            if let Some(next) = limit.cut(half.next()).await {
                rx.message(next.transpose()?);
            }
        }
        _ => {
            if let Some(message) = limit.cut(half.recv()).await {
                rx.message(message?);
            }
        }
    }
    Ok(())
}

/// One end of the connection.
struct End {
    number: usize,
    rng: Rng,
    plan: Plan,
    rx: Reader,
    whole: Writer,
    /// The number of the next writer.
    next: usize,
    both: [Lane; 2],
    gather: Arc<Barrier>,
}

/// Plays `plan` inside a runtime.
pub async fn play(plan: Plan, lanes: [Lane; 2]) {
    let (client, server) = pair(plan.config.clone());
    let (there, here) = duplex(plan.pipe);
    let mut rng = plan.rng();
    let meter = Arc::new(Meter::default());
    let gather = Arc::new(Barrier::new(2));
    let mut ends = Vec::new();
    for (number, (ws, io)) in [(client, there), (server, here)].into_iter().enumerate() {
        let stream = Chaos::new(io, rng.fork(), plan.habits[number], meter.clone());
        let ws = WebSocket::from_parts(ws.into_parts().map_transport(|_| stream));
        let rx = Reader {
            rng: rng.fork(),
            lane: lanes[1 - number].clone(),
            chunks: plan.config.delivery == Delivery::Chunks,
            gathered: Gathered::new(lanes[1 - number].clone()),
            ended: false,
        };
        let whole = Writer::new(0, rng.fork(), lanes[number].clone(), plan.clone());
        let (rng, both, gather) = (rng.fork(), lanes.clone(), gather.clone());
        let end = End { number, rng, plan: plan.clone(), rx, whole, next: plan.writers, both, gather };
        ends.push(tokio::spawn(end.run(ws)));
    }
    for (number, end) in ends.into_iter().enumerate() {
        let result = timeout(plan.longest, end).await.expect("over in time");
        match result {
            Ok(result) => result.unwrap_or_else(|error| panic!("end {number}: {error:?}")),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    for lane in &lanes {
        assert_eq!(lane.missing(), None);
    }
}

impl End {
    /// Talks for a while, waits until all has arrived, and closes.
    async fn run(mut self, mut ws: Ws) -> Result<(), Error> {
        for _ in 0..1 + self.rng.below(3) {
            ws = if self.rng.one_in(2) { self.talk(ws).await? } else { self.talk_in_halves(ws).await? };
        }
        self.stage("completes");
        self.complete(&mut ws).await?;
        self.whole.lane.finish();
        if self.plan.closing == Closing::Early && self.plan.closers[self.number] {
            self.say_goodbye(&mut ws).await?;
        }
        self.stage("drains");
        self.drain(&mut ws).await?;
        if self.plan.closing == Closing::Early {
            self.stage("waits for the end");
            while !self.rx.ended {
                receive_whole(&mut ws, &mut self.rx, Limit::None, None).await?;
            }
            return ended(&mut ws);
        }
        self.stage("gathers");
        // Those who still receive must not miss it.
        let gather = self.gather.clone();
        let mut gathered = pin!(gather.wait());
        loop {
            if Limit::Polls(1).cut(gathered.as_mut()).await.is_some() {
                break;
            }
            receive_whole(&mut ws, &mut self.rx, Limit::Time(Duration::from_millis(1)), None).await?;
            if self.rx.ended {
                break;
            }
        }
        self.close(ws).await
    }

    /// Sends the end of a message that was begun.
    async fn complete(&mut self, ws: &mut Ws) -> Result<(), Error> {
        while !(self.rx.ended || finish_whole(ws, &mut self.whole).await?) {
            // Not in step with the other end, which may be doing the same.
            let until = Instant::now() + Duration::from_millis(self.rng.below(200) as u64);
            while Instant::now() < until && !self.rx.ended {
                let left = until - Instant::now();
                receive_whole(ws, &mut self.rx, Limit::Time(left), None).await?;
            }
        }
        Ok(())
    }

    fn stage(&self, stage: &'static str) {
        self.whole.lane.stage(stage);
    }

    async fn talk(&mut self, mut ws: Ws) -> Result<Ws, Error> {
        self.stage("talks");
        for _ in 0..self.rng.below(self.plan.operations) {
            if self.rx.ended || self.whole.closed {
                break;
            }
            match self.rng.below(12) {
                0 if self.plan.takes_apart => ws = WebSocket::from_parts(ws.into_parts()),
                0..6 => send_whole(&mut ws, &mut self.whole).await?,
                _ => {
                    let limit = Limit::new(&mut self.rng);
                    receive_whole(&mut ws, &mut self.rx, limit, Some(&mut self.whole)).await?;
                }
            }
        }
        Ok(ws)
    }

    async fn talk_in_halves(&mut self, mut ws: Ws) -> Result<Ws, Error> {
        self.complete(&mut ws).await?;
        self.stage("talks in halves");
        let (mut half, tx) = ws.split();
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<JoinHandle<_>> = (0..self.plan.writers)
            .map(|_| {
                let (mut tx, mut who) = (tx.clone(), self.writer());
                let operations = self.rng.below(self.plan.operations);
                tokio::spawn(async move {
                    for _ in 0..operations {
                        if who.closed {
                            break;
                        }
                        if who.rng.one_in(6) {
                            let (ticket, message) = who.message();
                            let fed = tx.try_feed(message);
                            who.settle(ticket, Some(fed))?;
                        } else {
                            send_half(&mut tx, &mut who).await?;
                        }
                    }
                    while !finish_half(&mut tx, &mut who).await? {
                        // Perhaps another half has begun a message, which must come to its end first.
                        sleep(Duration::from_millis(1)).await;
                    }
                    Ok::<_, Error>(())
                })
            })
            .collect();
        let (mut writers, done) = (writers.into_iter(), stop.clone());
        let joined = tokio::spawn(async move {
            for writer in writers.by_ref() {
                writer.await.unwrap()?;
            }
            done.store(true, Relaxed);
            Ok::<_, Error>(())
        });
        while !(stop.load(Relaxed) || joined.is_finished() || self.rx.ended) {
            let limit = Limit::new(&mut self.rng);
            receive_half(&mut half, &mut self.rx, limit).await?;
            if self.rng.one_in(30) {
                sleep(Duration::from_millis(self.rng.below(30) as u64)).await;
            }
        }
        self.stage("waits for its writers");
        joined.await.unwrap()?;
        let ws = half.reunite(tx).ok().expect("no clone is left");
        Ok(ws)
    }

    fn writer(&mut self) -> Writer {
        self.next += 1;
        Writer::new(self.next - 1, self.rng.fork(), self.whole.lane.clone(), self.plan.clone())
    }

    async fn say_goodbye(&mut self, ws: &mut Ws) -> Result<(), Error> {
        // A call that was dropped has begun it, or not.
        for _ in 0..self.rng.below(3) {
            let limit = Limit::new(&mut self.rng);
            let begun = limit.cut(ws.start_close(CloseCode::NORMAL, "enough")).await;
            match begun {
                None | Some(Ok(()) | Err(Error::Send(SendError::Closed))) => {}
                Some(Err(error)) => return Err(error),
            }
        }
        match Limit::Time(Duration::from_millis(10)).cut(SinkExt::close(ws)).await {
            None | Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(error),
        }
    }

    /// Receives until all has arrived on both ends, which must not stand still.
    async fn drain(&mut self, ws: &mut Ws) -> Result<(), Error> {
        let mut latest = (self.progress(), Instant::now());
        while !(self.both.iter().all(Lane::is_done) || self.rx.ended) {
            receive_whole(ws, &mut self.rx, Limit::Time(Duration::from_millis(50)), None).await?;
            let progress = self.progress();
            if progress != latest.0 || !self.both[0].is_finished() || !self.both[1].is_finished() {
                latest = (progress, Instant::now());
            }
            let stands = latest.1.elapsed();
            let missing = || self.both.each_ref().map(Lane::missing);
            assert!(stands < self.plan.standstill, "standstill: {:?}, {} queued", missing(), ws.queued());
        }
        Ok(())
    }

    fn progress(&self) -> u64 {
        self.both.iter().map(|lane| lane.figures().1).sum()
    }

    async fn close(mut self, mut ws: Ws) -> Result<(), Error> {
        if !self.plan.closers[self.number] {
            self.stage("waits for the end");
            while !self.rx.ended {
                receive_whole(&mut ws, &mut self.rx, Limit::None, None).await?;
            }
            return ended(&mut ws);
        }
        self.stage("closes");
        match self.rng.below(3) {
            0 => {
                for _ in 0..self.rng.below(4) {
                    let limit = Limit::new(&mut self.rng);
                    limit.cut(ws.close(CloseCode::NORMAL, "done")).await.transpose()?;
                }
                ws.close(CloseCode::NORMAL, "done").await?;
                ended(&mut ws)
            }
            1 => {
                self.say_goodbye(&mut ws).await?;
                while !self.rx.ended {
                    receive_whole(&mut ws, &mut self.rx, Limit::None, None).await?;
                }
                ended(&mut ws)
            }
            _ => {
                // Who closes through a half receives through the other meanwhile.
                let (mut half, mut tx) = ws.split();
                let closing = tokio::spawn(async move {
                    let closed = tx.start_close(CloseCode::NORMAL, "done").await;
                    (closed, tx)
                });
                while !self.rx.ended {
                    receive_half(&mut half, &mut self.rx, Limit::None).await?;
                }
                let (closed, tx) = closing.await.unwrap();
                match closed {
                    Ok(()) | Err(Error::Send(SendError::Closed)) => {}
                    Err(error) => return Err(error),
                }
                ended(&mut half.reunite(tx).ok().expect("no clone is left"))
            }
        }
    }
}

fn ended(ws: &mut Ws) -> Result<(), Error> {
    let summary = ws.summary().expect("it has ended");
    assert!(summary.clean && summary.error.is_none(), "{summary}");
    Ok(())
}
