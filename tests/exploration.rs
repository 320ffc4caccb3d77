//! Every order of a few operations of a client and a server with tiny output buffers: no standstill, no loss, no
//! doubling, and every closing ends.
//!
//! A connection cannot be cloned, so that each state is reached by playing its operations again. States that were seen
//! before are left out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sansocket::Config;

#[path = "support/duplex.rs"]
mod duplex;

use duplex::{Duplex, OPS, Setting, Step};

/// How many operations: five, or as many as `EXPLORATION_DEPTH` says. Eight take some minutes in a release build.
fn depth() -> usize {
    let depth = std::env::var("EXPLORATION_DEPTH").ok();
    depth.map_or(5, |text| text.parse().expect("a number"))
}

fn steps() -> Vec<Step> {
    let both = OPS.iter().flat_map(|&op| [Step::Client(op), Step::Server(op)]);
    both.chain([Step::Deadline]).collect()
}

/// The indices of the operations that lead to a state.
type Path = Vec<u8>;

/// Says how to get to the state whose check fails.
struct Blame<'a>(&'a [Step], &'a [u8]);

impl Drop for Blame<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let steps: Vec<_> = self.1.iter().map(|&index| self.0[usize::from(index)]).collect();
            eprintln!("after {steps:?}");
        }
    }
}

/// How much was explored, and the longest times that ends took to close and to notice that the peer has gone.
#[derive(Debug, Default)]
struct Report {
    states: usize,
    closing: Duration,
    noticing: Duration,
}

fn explore(setting: &Setting, depth: usize) -> Report {
    let steps = steps();
    let play = |path: &[u8]| {
        let mut duplex = Duplex::new(setting);
        path.iter().for_each(|&index| duplex.apply(steps[usize::from(index)]));
        duplex
    };
    let mut report = Report::default();
    let mut seen = HashSet::from([play(&[]).fingerprint()]);
    let mut level: Vec<Path> = vec![Path::new()];
    for length in 0..=depth {
        let mut next = Vec::new();
        for path in level {
            let _blame = Blame(&steps, &path);
            check(&play, &path, &mut report);
            report.states += 1;
            if length == depth {
                continue;
            }
            let here = play(&path);
            for (index, &step) in steps.iter().enumerate().filter(|(_, step)| here.allows(**step)) {
                let longer = [&path[..], &[index as u8]].concat();
                let blame = Blame(&steps, &longer);
                let mut there = play(&path);
                there.apply(step);
                drop(blame);
                if seen.insert(there.fingerprint()) {
                    next.push(longer);
                }
            }
        }
        level = next;
    }
    report
}

/// What holds from every state on.
fn check(play: &impl Fn(&[u8]) -> Duplex, path: &[u8], report: &mut Report) {
    let closer = path.iter().map(|&index| usize::from(index)).sum::<usize>() % 2;
    let mut healthy = play(path);
    healthy.settle();
    healthy.assert_settled();
    let failed = healthy.ends.iter().any(|end| end.error.is_some());
    let took = healthy.close(closer);
    assert!(failed || took.is_zero(), "closing waits for a deadline, and nothing is wrong: {took:?}");
    report.closing = report.closing.max(took);
    report.noticing = report.noticing.max(play(path).cut().unwrap_or_default());
}

fn assert_explored(config: Config, located: [bool; 2]) {
    let report = explore(&Setting { config: Arc::new(config), located }, depth());
    println!("{report:?}");
    // Ping, pong, Close and the wait for the end of the stream, each with a write that stalls.
    assert!(report.noticing <= Duration::from_secs(80), "{report:?}");
    assert!(report.closing <= Duration::from_secs(10), "{report:?}");
}

/// With keepalive a deadline is always pending while a connection is open.
// conf: FG-09
#[test]
fn every_order_with_keepalive() {
    assert_explored(Config::new(), [false, true]);
}

/// Without it, and without a close or a stalled write, none is.
// conf: FG-09
#[test]
fn every_order_without_keepalive() {
    assert_explored(Config::new().ping_interval(None), [true, false]);
}
