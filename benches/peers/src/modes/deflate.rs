//! Compressed messages that come back compressed.

use std::io;

use super::{Run, bytes};
use crate::compressed::{Class, Talk};
use crate::figures::{self, Figures, grouped, median};
use crate::load::{Clients, Opening, Stop};
use crate::servers::{Program, Server};

/// Class, bytes of a message, messages under way on each connection.
const CASES: [(Class, usize, usize); 4] = [
    (Class::Shared, 1 << 10, 32),
    (Class::Shared, 16 << 10, 8),
    (Class::Dedicated, 1 << 10, 32),
    (Class::Dedicated, 16 << 10, 8),
];
const CONNECTIONS: usize = 10;

pub fn run(run: &Run) -> io::Result<bool> {
    let columns: Vec<String> = CASES
        .iter()
        .map(|(class, size, depth)| format!("{} {}, {CONNECTIONS} × {depth}", class.name(), bytes(*size)))
        .collect();
    let (mut cpu, mut rate, mut lengths) = (Figures::default(), Figures::default(), Figures::default());
    run.take_turns(
        "deflate",
        run.options.rounds,
        &columns,
        |server, at| server.deflates.contains(&CASES[at].0),
        &mut cpu,
        |server, at| {
            let (class, size, depth) = CASES[at];
            let mut talk = Talk::new(class);
            let (first, again) = (talk.script(size, depth), talk.script(size, depth));
            let running = server.start(run.built, run.cores, &[class.option()])?;
            let mut clients = Clients::connect(running.addr, CONNECTIONS, Opening::Deflate(class))?;
            let all = 0..clients.len();
            clients.echo(all.clone(), &first, Stop::Windows(1), None)?;
            clients.echo(all.clone(), &again, Stop::After(run.time() / 4), None)?;
            let (before, mut messages) = (clients.compressed_bytes(), 0);
            let sample = run.sample(server, &running, || {
                let count = clients.echo(all.clone(), &again, Stop::After(run.time()), None)?;
                messages += count;
                Ok(count)
            })?;
            let length = (clients.compressed_bytes() - before) as f64 / messages as f64;
            rate.add(server.name, at, Ok(sample.per_second));
            lengths.add(server.name, at, Ok(length));
            Ok((sample.cpu_ns, format!("{} ns, {length:.0} bytes", grouped(sample.cpu_ns, 0))))
        },
    );
    let all_right = print_beside_best_peer(run, &columns, &cpu);
    run.print("Compressed echo: bytes of a reply, its header included", &columns, &lengths, 0, false);
    run.print("Compressed echo: messages per second", &columns, &rate, 0, false);
    Ok(all_right)
}

/// The best of the peers that compress with the same level: soketto has one of its own.
fn print_beside_best_peer(run: &Run, columns: &[String], cpu: &Figures) -> bool {
    let best: Vec<_> = (0..columns.len())
        .map(|at| {
            let is_rival = |server: &&&Server| !server.is_own() && server.program() != Program::Soketto;
            let peers = run.servers.iter().filter(is_rival);
            let figures =
                peers.filter_map(|server| Some((server.name, median(cpu.rounds(server.name, at)?))));
            figures.min_by(|one, other| one.1.total_cmp(&other.1)).map(|(name, _)| name)
        })
        .collect();
    let rows = run.servers.iter().filter(|server| !server.deflates.is_empty()).map(|server| {
        let cells = (0..columns.len()).map(|at| cpu.cell(server.name, at, best[at], 0));
        (server.name.to_string(), cells.collect())
    });
    let title =
        "Compressed echo: server's CPU ns per message, median (least–most) and **ratio to the best peer**";
    figures::print(title, columns, rows);
    !figures::print_failures(cpu, columns)
}
