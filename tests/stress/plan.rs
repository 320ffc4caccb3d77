//! What a seed stands for, and how seeds are played.

use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;

use sansocket::{Config, Delivery};

use crate::chaos::Habits;
use crate::model::{Lane, Rng};

/// So long one seed may take, however slow the machine is.
const LONGEST: Duration = Duration::from_secs(90);

/// Who closes, and when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closing {
    /// After all has arrived.
    Late,
    /// While the other end may still talk; it receives the rest.
    Early,
}

#[derive(Clone, Debug)]
pub struct Plan {
    seed: u64,
    pub config: Arc<Config>,
    pub pipe: usize,
    pub habits: [Habits; 2],
    /// How many operations a writer makes before it does something else, at most.
    pub operations: usize,
    /// How many tasks send over halves at the same time.
    pub writers: usize,
    /// The usual and the greatest length of a message.
    lengths: [usize; 2],
    pub closing: Closing,
    pub closers: [bool; 2],
    pub takes_apart: bool,
    /// So long nothing may arrive while both ends receive and something is under way: less than any deadline.
    pub standstill: Duration,
    /// How long a call waits for the last messages at most: longer than that, unless time is real.
    pub patience: Duration,
    pub longest: Duration,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let pipe = rng.pick(&[1, 7, 130, 1000, 16 << 10, 64 << 10]);
        let habits = [(); 2].map(|()| Habits::new(&mut rng, pipe));
        let slowest = habits[0].step.min(habits[1].step);
        let lengths = match (pipe, slowest) {
            (0..64, _) => [40, 300],
            (_, 0..100) => [100, 5000],
            (..10_000, _) => [200, 20_000],
            _ => rng.pick(&[[100, 100_000], [5000, 70_000], [20_000, 200_000]]),
        };
        let closing = if rng.one_in(3) { Closing::Early } else { Closing::Late };
        let mut closers = rng.pick(&[[true, false], [false, true], [true, true]]);
        if closing == Closing::Early && closers[0] {
            closers[1] = false;
        }
        Self {
            seed,
            config: Arc::new(config(&mut rng)),
            pipe,
            habits,
            operations: 2 + rng.below(40),
            writers: 1 + rng.below(3),
            lengths,
            closing,
            closers,
            takes_apart: rng.one_in(2),
            standstill: Duration::from_secs(4),
            patience: Duration::from_millis(4500),
            longest: Duration::from_secs(3600),
        }
    }

    /// The same over a clock that is not simulated.
    pub fn in_real_time(mut self) -> Self {
        self.standstill = Duration::from_secs(20);
        self.patience = Duration::from_millis(50);
        self.longest = LONGEST;
        self
    }

    pub fn rng(&self) -> Rng {
        Rng(!self.seed)
    }

    /// The length of a message.
    pub fn len(&self, rng: &mut Rng) -> usize {
        let [usual, greatest] = self.lengths;
        match rng.below(8) {
            0 => rng.below(greatest),
            1..4 => rng.below(20),
            _ => rng.below(usual),
        }
    }
}

pub fn config(rng: &mut Rng) -> Config {
    let secs = Duration::from_secs;
    let config = Config::new()
        .max_queued_output(rng.pick(&[0, 1, 200, 5000, 70_000, 1 << 20]))
        .ping_interval(rng.pick(&[None, Some(Duration::from_millis(2)), Some(Duration::from_millis(50))]))
        .pong_timeout(secs(25))
        .write_timeout(secs(25))
        .close_timeout(secs(100))
        .idle_timeout(rng.pick(&[None, Some(secs(300))]))
        .message_timeout(secs(300))
        .delivery(if rng.one_in(4) { Delivery::Chunks } else { Delivery::Messages });
    compressed(config, rng)
}

#[cfg(feature = "deflate")]
fn compressed(config: Config, rng: &mut Rng) -> Config {
    use sansocket::deflate::Deflate;

    match rng.below(4) {
        0 => config.deflate(Deflate::shared()),
        1 => config.deflate(Deflate::dedicated()),
        _ => config,
    }
}

#[cfg(not(feature = "deflate"))]
fn compressed(config: Config, _: &mut Rng) -> Config {
    config
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Plays `seeds` seeds, or as many as `STRESS_SECONDS` leave time for, or only `STRESS_SEED`. `STRESS_FIRST` is the first.
///
/// A failure says its seed and plan; so does a seed that does not come to its end, even one that never yields.
pub fn play_all<P: core::fmt::Debug>(
    test: &'static str,
    seeds: u64,
    plan: impl Fn(u64) -> P + Send + 'static,
    play: impl Fn(&P, [Lane; 2]) + Send + 'static,
) {
    let first = number("STRESS_SEED").or_else(|| number("STRESS_FIRST")).unwrap_or(0);
    let time = number("STRESS_SECONDS").map(Duration::from_secs);
    let only = number("STRESS_SEED").is_some();
    let longest = number("STRESS_LONGEST").map_or(LONGEST, Duration::from_secs);
    let current = Arc::new(Mutex::new((String::new(), [Lane::default(), Lane::default()])));
    let (tell, told) = mpsc::channel();
    let playing = current.clone();
    let began = Instant::now();
    let worker = thread::spawn(move || {
        let (mut operations, mut messages) = (0, 0);
        for seed in first.. {
            let enough = if only {
                seed > first
            } else {
                time.map_or(seed >= first + seeds, |t| began.elapsed() >= t)
            };
            if enough {
                eprintln!(
                    "{test}: {} seeds, {operations} operations, {messages} messages in {:.0?}",
                    seed - first,
                    began.elapsed()
                );
                return;
            }
            let plan = plan(seed);
            let lanes = [Lane::default(), Lane::default()];
            let command = format!("STRESS_SEED={seed} cargo test --all-features --test stress {test}");
            *playing.lock().unwrap() = (format!("{plan:#?}\n{command}"), lanes.clone());
            let played = catch_unwind(AssertUnwindSafe(|| play(&plan, lanes.clone())));
            if let Err(panic) = played {
                report(&playing);
                resume_unwind(panic);
            }
            for lane in &lanes {
                let (more, arrived) = lane.figures();
                (operations, messages) = (operations + more, messages + arrived);
            }
            let _ = tell.send(());
        }
    });
    loop {
        match told.recv_timeout(longest) {
            Ok(()) => {}
            Err(mpsc::RecvTimeoutError::Timeout) => {
                report(&current);
                panic!("{test} does not come to its end");
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    if let Err(panic) = worker.join() {
        resume_unwind(panic);
    }
}

fn report(current: &Mutex<(String, [Lane; 2])>) {
    let (plan, lanes) = &*current.lock().unwrap();
    eprintln!("ends: {:#?}\n{plan}", lanes.each_ref().map(Lane::report));
}
