//! How long an answer takes when one message at a time is under way on a connection.

use std::io;

use super::{Run, bytes};
use crate::figures::{self, Figures, grouped, median, percentile};
use crate::load::Stop;
use crate::wire::{Kind, Script};

/// Connections and bytes.
const CASES: [(usize, usize); 2] = [(1, 20), (16, 1 << 10)];
const SHARES: [f64; 3] = [0.5, 0.99, 0.999];

pub fn run(run: &Run) -> io::Result<bool> {
    let columns = CASES.map(|(connections, size)| format!("{}, {connections} × 1", bytes(size)));
    let mut half = Figures::default();
    let mut rest = [Figures::default(), Figures::default()];
    run.take_turns(
        "latency",
        run.options.rounds,
        &columns,
        |_, _| true,
        &mut half,
        |server, at| {
            let (connections, size) = CASES[at];
            let script = Script::echo(server.is_raw(), Kind::Binary, size, 1);
            let (_running, mut clients) = run.start(server, connections, &[])?;
            let all = 0..clients.len();
            clients.echo(all.clone(), &script, Stop::After(run.time() / 4), None)?;
            let mut latencies = Vec::with_capacity(1 << 18);
            clients.echo(all, &script, Stop::After(run.time() * 2), Some(&mut latencies))?;
            latencies.sort_unstable();
            let [p50, p99, p999] = SHARES.map(|share| percentile(&latencies, share) as f64 / 1000.0);
            rest[0].add(server.name, at, Ok(p99));
            rest[1].add(server.name, at, Ok(p999));
            Ok((p50, format!("{} µs", grouped(p50, 1))))
        },
    );
    let rows = run.servers.iter().map(|server| {
        let cells = (0..CASES.len()).map(|at| {
            let of =
                |figures: &Figures| figures.rounds(server.name, at).map_or(f64::NAN, |rounds| median(rounds));
            format!("{:.1} / {:.0} / {:.0}", of(&half), of(&rest[0]), of(&rest[1]))
        });
        (server.name.to_string(), cells.collect())
    });
    figures::print("Latency: µs, median / 99 % / 99.9 %, medians of the rounds", &columns, rows);
    Ok(!figures::print_failures(&half, &columns))
}
