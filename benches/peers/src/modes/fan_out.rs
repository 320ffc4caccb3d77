//! One message to many connections.

use std::io;
use std::thread;
use std::time::Duration;

use super::{Run, bytes};
use crate::figures::{Figures, grouped};
use crate::wire::Script;

/// Bytes, and messages before the next ones wait until everybody has got them.
const CASES: [(usize, usize); 4] = [(64, 1), (64, 8), (1 << 10, 1), (1 << 10, 8)];

pub fn run(run: &Run) -> io::Result<bool> {
    let (receivers, cases) = if run.options.quick { (20, &CASES[..2]) } else { (1000, &CASES[..]) };
    let columns: Vec<String> =
        cases.iter().map(|(size, depth)| format!("{} × {depth}", bytes(*size))).collect();
    let mut cpu = Figures::default();
    let rounds = run.options.rounds;
    run.take_turns(
        "fan-out",
        rounds,
        &columns,
        |server, _| server.broadcasts,
        &mut cpu,
        |server, at| {
            let (size, depth) = cases[at];
            let script = Script::fan_out(server.is_raw(), size, depth);
            let (running, mut clients) = run.start(server, receivers, &["--broadcast"])?;
            // A raw server may not have heard yet that the last ones are there.
            thread::sleep(Duration::from_millis(100));
            clients.fan_out(&script, run.time() / 4)?;
            let sample = run.sample(server, &running, || clients.fan_out(&script, run.time()))?;
            Ok((sample.cpu_ns, format!("{} ns", grouped(sample.cpu_ns, 0))))
        },
    );
    let title = format!(
        "Fan-out to {receivers} connections: server's CPU ns per delivery, by size × messages until all have them, \
         median (least–most) and **ratio to raw**"
    );
    Ok(run.print(&title, &columns, &cpu, 0, true))
}
