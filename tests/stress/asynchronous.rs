//! Both ends over tokio: random calls, some of them dropped, whole and in halves, over streams of any sort.

use core::pin::pin;
use core::time::Duration;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use sansocket::tokio::{Error, ReceiveHalf, WebSocket, pair};
use sansocket::{CloseCode, Delivery, Event, Message, SendError};
use tokio::io::duplex;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::calls::{Limit, Writer, finish_half, finish_whole, send_half, send_whole};
use crate::chaos::{Chaos, Meter};
use crate::model::{Gathered, Lane, Rng};
use crate::plan::{Closing, Plan};

type Ws = WebSocket<Chaos>;

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
        let joined = tokio::spawn(async move {
            for writer in writers {
                writer.await.unwrap()?;
            }
            Ok::<_, Error>(())
        });
        self.receive_asleep(&mut half, &joined).await?;
        self.stage("waits for its writers");
        joined.await.unwrap()?;
        let ws = half.reunite(tx).unwrap_or_else(|_| panic!("no clone is left"));
        Ok(ws)
    }

    /// Receives until all writers are through and all that was sent has arrived. Nothing polls a call but its own wakes, so
    /// that a lost one shows.
    async fn receive_asleep(
        &mut self,
        half: &mut ReceiveHalf<Chaos>,
        writers: &JoinHandle<Result<(), Error>>,
    ) -> Result<(), Error> {
        let (out, standstill) = (self.whole.lane.clone(), self.plan.standstill);
        let mut latest = (0, Instant::now());
        while !(self.rx.ended || writers.is_finished() && out.missing().is_none()) {
            let limit = if self.rng.one_in(2) { Limit::None } else { Limit::new(&mut self.rng) };
            let mut call = FuturesUnordered::new();
            call.push(receive_half(half, &mut self.rx, limit));
            while !(writers.is_finished() && out.missing().is_none()) {
                tokio::select! {
                    received = call.next() => {
                        received.unwrap_or(Ok(()))?;
                        break;
                    }
                    () = sleep(Duration::from_millis(1)) => {}
                }
                let arrived = out.figures().1;
                if arrived != latest.0 || !writers.is_finished() {
                    latest = (arrived, Instant::now());
                }
                assert!(latest.1.elapsed() < standstill, "standstill: {:?}", out.missing());
            }
            drop(call);
            if self.rng.one_in(30) {
                sleep(Duration::from_millis(self.rng.below(30) as u64)).await;
            }
        }
        Ok(())
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
            let patience = if self.rng.one_in(8) { self.plan.patience } else { Duration::from_millis(50) };
            receive_whole(ws, &mut self.rx, Limit::Time(patience), None).await?;
            let (progress, done) = (self.progress(), self.both.iter().all(Lane::is_done));
            if progress != latest.0 || done || !self.both.iter().all(Lane::is_finished) {
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
                ended(&mut half.reunite(tx).unwrap_or_else(|_| panic!("no clone is left")))
            }
        }
    }
}

fn ended(ws: &mut Ws) -> Result<(), Error> {
    let summary = ws.summary().expect("it has ended");
    assert!(summary.clean && summary.error.is_none(), "{summary}");
    Ok(())
}
