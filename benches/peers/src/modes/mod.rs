//! What is measured.

pub mod calls;
pub mod deflate;
pub mod echo;
pub mod fan_out;
pub mod handshakes;
pub mod latency;
pub mod memory;
pub mod scale;
pub mod shapes;

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::build::Built;
use crate::figures::{self, Figures};
use crate::load::Clients;
use crate::options::Options;
use crate::process::{Cores, Running, Usage};
use crate::servers::Server;

/// How often a sample is taken again in which somebody waited for a CPU, and from which share of its time on.
const ATTEMPTS: usize = 5;
const MOST_DELAY: f64 = 0.02;

/// What all modes need.
pub struct Run<'a> {
    pub options: &'a Options,
    pub servers: &'a [&'static Server],
    pub built: &'a Built,
    pub cores: Cores,
    /// How many files a process may have open.
    pub files: u64,
}

/// What a server used for a number of operations.
pub struct Sample {
    pub cpu_ns: f64,
    pub per_second: f64,
}

impl Run<'_> {
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.options.milliseconds)
    }

    /// Starts a server with open connections to it.
    pub fn start(
        &self,
        server: &Server,
        connections: usize,
        options: &[&str],
    ) -> io::Result<(Running, Clients)> {
        let running = server.start(self.built, self.cores, options)?;
        let clients = Clients::connect(running.addr, connections, server.opening())?;
        Ok((running, clients))
    }

    /// Measures each server in each column, all of them once before any of them again; says on stderr what is done.
    /// A server that has failed in a column is not asked again.
    pub fn take_turns(
        &self,
        mode: &str,
        rounds: usize,
        columns: &[String],
        of: impl Fn(&Server, usize) -> bool,
        figures: &mut Figures,
        mut measure: impl FnMut(&'static Server, usize) -> io::Result<(f64, String)>,
    ) {
        for round in 1..=rounds {
            for (at, column) in columns.iter().enumerate() {
                for server in self.servers.iter().filter(|server| of(server, at)) {
                    if figures.has_failed(server.name, at) {
                        continue;
                    }
                    let measured = measure(server, at);
                    let said = match &measured {
                        Ok((_, said)) => said.clone(),
                        Err(error) => format!("FAILED: {error}"),
                    };
                    eprintln!("{mode}, round {round} of {rounds}, {column}: {} {said}", server.name);
                    let figure = measured.map(|(figure, _)| figure).map_err(|error| error.to_string());
                    figures.add(server.name, at, figure);
                }
            }
        }
    }

    /// What the server uses while `work` has it do as many operations as it returns. Taken again when one of the two
    /// sides had to wait for a CPU; the least disturbed sample counts.
    pub fn sample(
        &self,
        server: &Server,
        running: &Running,
        mut work: impl FnMut() -> io::Result<u64>,
    ) -> io::Result<Sample> {
        self.best_of(ATTEMPTS, server, running, || Ok((work()?, ()))).map(|(sample, ())| sample)
    }

    /// The same, taken so often at most, with what else `work` found in the sample that counts.
    pub fn best_of<T>(
        &self,
        attempts: usize,
        server: &Server,
        running: &Running,
        mut work: impl FnMut() -> io::Result<(u64, T)>,
    ) -> io::Result<(Sample, T)> {
        let mut best: Option<(f64, Sample, T)> = None;
        for _ in 0..attempts {
            let (own, theirs, began) = (Usage::of_this_thread()?, running.usage()?, Instant::now());
            let (count, found) = work()?;
            let count = count as f64;
            let wall = began.elapsed().as_nanos() as f64;
            // So that the server has put away what it worked with, and is waiting.
            thread::sleep(Duration::from_millis(3));
            let (own_after, theirs_after) = (Usage::of_this_thread()?, running.usage()?);
            let mut delay = own_after.delay_ns.saturating_sub(own.delay_ns);
            if !server.threads {
                delay += theirs_after.delay_ns.saturating_sub(theirs.delay_ns);
            }
            let share = if self.options.share_core { 0.0 } else { delay as f64 / wall };
            let cpu_ns = theirs_after.cpu_ns.saturating_sub(theirs.cpu_ns) as f64 / count;
            if best.as_ref().is_none_or(|(least, ..)| share < *least) {
                best = Some((share, Sample { cpu_ns, per_second: count / wall * 1e9 }, found));
            }
            if share < MOST_DELAY {
                break;
            }
        }
        best.map(|(_, sample, found)| (sample, found)).ok_or_else(|| io::Error::other("no sample"))
    }

    /// Prints the figures of the servers that have some, with the ratio to their raw echo; whether none failed.
    pub fn print(
        &self,
        title: &str,
        columns: &[String],
        figures: &Figures,
        digits: usize,
        ratio: bool,
    ) -> bool {
        let has_some = |server: &&&Server| {
            (0..columns.len())
                .any(|at| figures.rounds(server.name, at).is_some() || figures.has_failed(server.name, at))
        };
        let rows = self.servers.iter().filter(has_some).map(|server| {
            let limit = ratio.then_some(server.limit);
            let cells = (0..columns.len()).map(|at| figures.cell(server.name, at, limit, digits));
            (server.name.to_string(), cells.collect())
        });
        figures::print(title, columns, rows);
        !figures::print_failures(figures, columns)
    }
}

/// A number of bytes, short.
pub fn bytes(size: usize) -> String {
    match size {
        _ if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        _ if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        _ => format!("{size} B"),
    }
}
