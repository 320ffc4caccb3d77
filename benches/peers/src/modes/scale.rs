//! Very many connections that the server pings while messages echo on half of them.

use std::io;
use std::time::Duration;

use super::{Run, bytes};
use crate::crowd::{Crowd, Tally};
use crate::figures::{self, Figures, grouped, percentile};
use crate::servers::Server;
use crate::wire::{Kind, Script};

const SIZE: usize = 20;
/// How many times as long as others a sample takes, and of how many of the pings' intervals it consists.
const SAMPLE: u32 = 20;
const INTERVALS: u32 = 8;
/// How often each connection has to be pinged in a sample.
const LEAST_PINGS: u64 = 3;
/// Taken again at most once when somebody waited for a CPU, as a sample takes long.
const ATTEMPTS: usize = 2;
/// Files that a process has open beside its connections.
const OTHER_FILES: usize = 100;
const SHARES: [f64; 3] = [0.5, 0.99, 0.999];

/// What happens in a sample.
struct Plan {
    connections: usize,
    talkers: usize,
    time: Duration,
    /// After how much silence of a client the server pings it.
    interval: Duration,
    /// How often each talker sends: at a distance that leaves room for a ping, which a message puts off.
    cycle: Duration,
}

/// What was found in one.
struct Found {
    server: &'static str,
    /// The server's option; raw ones have none.
    option: Option<String>,
    tally: Tally,
    cpu_ns_per_second: f64,
    rss_per_connection: f64,
}

/// Fails if a process may not have as many files open as there are to be connections.
pub fn check_files(connections: usize, files: u64) -> Result<(), String> {
    let needed = connections.saturating_add(OTHER_FILES);
    if needed as u64 <= files {
        return Ok(());
    }
    Err(format!(
        "scale needs {} open files in each process, and {} are allowed (ulimit -Hn): raise that, or take fewer \
         connections with --open",
        grouped(needed as f64, 0),
        grouped(files as f64, 0)
    ))
}

/// Whether it takes part: it pings, or is a raw one beside which such a one stands.
pub fn takes(server: &Server) -> bool {
    server.pings || server.is_raw() && !server.threads
}

pub fn run(run: &Run) -> io::Result<bool> {
    let plan = Plan::new(run.options.open, run.time());
    let columns = ["without pings".to_string(), format!("pinged after {:?}", plan.interval)];
    let (mut figures, mut found) = (Figures::default(), Vec::new());
    // It takes long, and a sample of this length hardly varies.
    run.take_turns(
        "scale",
        1,
        &columns,
        |server, at| takes(server) && (server.pings || at == 0),
        &mut figures,
        |server, at| {
            let sample = measure(run, &plan, server, at == 1)?;
            let said = format!(
                "{} pings, {} messages, {} µs of CPU per second",
                grouped(sample.tally.pings as f64, 0),
                grouped(sample.tally.latencies.len() as f64, 0),
                grouped(sample.cpu_ns_per_second / 1000.0, 0)
            );
            let cpu = sample.cpu_ns_per_second;
            found.push(sample);
            Ok((cpu, said))
        },
    );
    // The runs of a server one below the other.
    found.sort_by_key(|found| run.servers.iter().position(|server| server.name == found.server));
    print(&plan, &found);
    Ok(!figures::print_failures(&figures, &columns))
}

impl Plan {
    fn new(connections: usize, time: Duration) -> Self {
        let time = time * SAMPLE;
        let interval = time / INTERVALS;
        Self { connections, talkers: connections.div_ceil(2), time, interval, cycle: interval * 3 / 2 }
    }

    /// Whether a sample was what it is to be.
    fn check(&self, tally: &Tally, server: &Server, pinged: bool) -> io::Result<()> {
        let wrong = match tally {
            Tally { dropped: 1.., .. } => {
                format!("dropped {} of {} connections", tally.dropped, self.connections)
            }
            Tally { fewest_pings: ..LEAST_PINGS, .. } if pinged => {
                format!("pinged a connection {} times only in {:?}", tally.fewest_pings, self.time)
            }
            Tally { pings: 1.., .. } if !pinged => "pinged although it was not to".to_string(),
            Tally { pings, pongs, .. } if pings != pongs => format!("got {pongs} pongs for {pings} pings"),
            _ if tally.latencies.is_empty() => format!("{} answered no message", server.name),
            _ => return Ok(()),
        };
        Err(io::Error::other(wrong))
    }
}

fn measure(run: &Run, plan: &Plan, server: &'static Server, pinged: bool) -> io::Result<Found> {
    let seconds = if pinged { plan.interval.as_secs_f64() } else { 0.0 }.to_string();
    let options: &[&str] = if server.pings { &["--ping", &seconds] } else { &[] };
    let running = server.start(run.built, run.cores, options)?;
    let before = running.rss_anon()?;
    let script = Script::echo(server.is_raw(), Kind::Binary, SIZE, 1);
    let spins = !run.options.share_core;
    let mut crowd = Crowd::connect(running.addr, plan.connections, server.opening(), script, spins)?;
    crowd.talk(plan.time / 4, plan.cycle, plan.talkers)?;
    let (sample, (tally, after)) = run.best_of(ATTEMPTS, server, &running, || {
        let tally = crowd.talk(plan.time, plan.cycle, plan.talkers)?;
        let after = running.rss_anon()?;
        plan.check(&tally, server, pinged)?;
        Ok((tally.latencies.len() as u64, (tally, after)))
    })?;
    // Nobody is left out that is dead and does not say so.
    if crowd.ask_all()? > 0 {
        return Err(io::Error::other("dropped connections behind the sample"));
    }
    Ok(Found {
        server: server.name,
        option: server.pings.then(|| options.join(" ")),
        tally,
        cpu_ns_per_second: sample.cpu_ns * sample.per_second,
        rss_per_connection: after.saturating_sub(before) as f64 / plan.connections as f64,
    })
}

impl Found {
    fn name(&self) -> String {
        [self.server].into_iter().chain(self.option.as_deref()).collect::<Vec<_>>().join(" ")
    }

    fn per_second(&self, count: usize) -> String {
        grouped(count as f64 / self.tally.elapsed.as_secs_f64(), 0)
    }

    /// What a ping costs beside the same server's run without pings, if this is one with them.
    fn cpu_ns_per_ping(&self, all: &[Self]) -> Option<f64> {
        let without = all.iter().find(|other| other.server == self.server && other.tally.pings == 0)?;
        let pings = self.tally.pings as f64 / self.tally.elapsed.as_secs_f64();
        (pings > 0.0).then(|| (self.cpu_ns_per_second - without.cpu_ns_per_second) / pings)
    }
}

fn print(plan: &Plan, found: &[Found]) {
    let connections = grouped(plan.connections as f64, 0);
    let title = format!(
        "Scale: {connections} connections; {} of them send {} each {:?} and get it back",
        grouped(plan.talkers as f64, 0),
        bytes(SIZE),
        plan.cycle
    );
    let columns = ["open", "dropped", "messages/s", "pings/s", "pongs/s", "fewest pings of one"];
    let rows = found.iter().map(|found| {
        let tally = &found.tally;
        let cells = vec![
            connections.clone(),
            tally.dropped.to_string(),
            found.per_second(tally.latencies.len()),
            found.per_second(tally.pings as usize),
            found.per_second(tally.pongs as usize),
            tally.fewest_pings.to_string(),
        ];
        (found.name(), cells)
    });
    figures::print(&title, &columns.map(String::from), rows);

    let columns = [
        "CPU ms per second",
        "CPU µs per ping",
        "answer µs, median / 99 % / 99.9 %",
        "RssAnon bytes per connection",
    ];
    let rows = found.iter().map(|one| {
        let mut latencies = one.tally.latencies.clone();
        latencies.sort_unstable();
        let [p50, p99, p999] = SHARES.map(|share| percentile(&latencies, share) as f64 / 1000.0);
        let cells = vec![
            grouped(one.cpu_ns_per_second / 1e6, 1),
            one.cpu_ns_per_ping(found).map_or_else(|| "-".into(), |each| grouped(each / 1000.0, 2)),
            format!("{p50:.1} / {p99:.0} / {p999:.0}"),
            grouped(one.rss_per_connection, 0),
        ];
        (one.name(), cells)
    });
    figures::print("Scale: what that cost", &columns.map(String::from), rows);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers;

    #[test]
    fn a_limit_that_is_too_low_is_told() {
        assert_eq!(check_files(9500, 9600), Ok(()));
        let error = check_files(9500, 4096).unwrap_err();
        assert!(error.contains("9,600 open files") && error.contains("4,096 are allowed"), "{error}");
    }

    #[test]
    fn only_whole_samples_count() {
        let plan = Plan::new(200, Duration::from_millis(60));
        let said = |tally: Tally, pinged| {
            plan.check(&tally, &servers::ALL[0], pinged).map_err(|error| error.to_string())
        };
        let right = Tally { pings: 700, pongs: 700, fewest_pings: 3, latencies: vec![1], ..Tally::default() };
        assert_eq!(said(right.clone(), true), Ok(()));
        assert_eq!(said(right.clone(), false), Err("pinged although it was not to".into()));
        let none = Tally { latencies: vec![1], ..Tally::default() };
        assert_eq!(said(none.clone(), false), Ok(()));
        assert_eq!(said(none, true), Err("pinged a connection 0 times only in 1.2s".into()));
        let dropped = Tally { dropped: 2, ..right.clone() };
        assert_eq!(said(dropped, true), Err("dropped 2 of 200 connections".into()));
        assert_eq!(said(Tally { pongs: 699, ..right }, true), Err("got 699 pongs for 700 pings".into()));
    }
}
