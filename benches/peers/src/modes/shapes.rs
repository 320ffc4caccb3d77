//! The loops that programs consist of: one task that receives and sends, a writer task behind a channel, `forward`.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Run, calls};
use crate::figures::{self, Figures, grouped};
use crate::load::{Clients, Stop};
use crate::servers::Server;
use crate::wire::{Kind, Script};

const CONNECTIONS: usize = 10;
const SIZE: usize = 20;
/// Messages under way on each connection, and windows of them that are counted.
const DEPTHS: [(usize, u64); 2] = [(1, 200), (32, 20)];
const THREADS: [&str; 2] = ["one thread", "two threads"];

/// A loop, where it runs and how it is asked.
struct Case {
    shape: &'static str,
    options: Vec<String>,
    depth: usize,
    windows: u64,
}

impl Case {
    fn options(&self) -> Vec<&str> {
        self.options.iter().map(String::as_str).collect()
    }

    fn script(&self) -> Script {
        Script::echo(false, Kind::Ascii, SIZE, self.depth)
    }
}

fn cases(run: &Run) -> (Vec<Case>, Vec<String>) {
    let (mut cases, mut columns) = (Vec::new(), Vec::new());
    let mut shapes: Vec<_> = run.servers.iter().flat_map(|server| server.shapes).copied().collect();
    shapes.sort_unstable();
    shapes.dedup();
    for (at, threads) in THREADS.iter().enumerate() {
        for shape in &shapes {
            for (depth, windows) in DEPTHS {
                let mut options = vec![format!("--shape={shape}")];
                options.extend((at > 0).then(|| "--multi-thread".into()));
                cases.push(Case { shape, options, depth, windows });
                columns.push(format!("{shape}, {threads}, {CONNECTIONS} × {depth}"));
            }
        }
    }
    (cases, columns)
}

/// CPU time per message, and how many times that of the peer's is the library's.
pub fn time(run: &Run) -> io::Result<bool> {
    let (cases, columns) = cases(run);
    let mut cpu = Figures::default();
    let takes = |server: &Server, at: usize| server.shapes.contains(&cases[at].shape);
    run.take_turns("shapes", run.options.rounds, &columns, takes, &mut cpu, |server, at| {
        let script = cases[at].script();
        let (running, mut clients) = run.start(server, CONNECTIONS, &cases[at].options())?;
        let all = 0..clients.len();
        clients.echo(all.clone(), &script, Stop::After(run.time() / 4), None)?;
        let sample = run
            .sample(server, &running, || clients.echo(all.clone(), &script, Stop::After(run.time()), None))?;
        Ok((sample.cpu_ns, format!("{} ns", grouped(sample.cpu_ns, 0))))
    });
    let title = "Loops of programs, text of 20 B: server's CPU ns per message, median (least–most) and **ratio to sansocket**";
    print(run, title, &columns, &cpu, 0);
    Ok(!figures::print_failures(&cpu, &columns))
}

/// Instructions and allocations in user space, and system calls.
pub fn counts(run: &Run) -> io::Result<bool> {
    let (cases, columns) = cases(run);
    let takes = |server: &Server, at: usize| server.shapes.contains(&cases[at].shape);
    let (mut instructions, mut allocations, mut calls) =
        (Figures::default(), Figures::default(), Figures::default());
    if calls::can_trace() {
        run.take_turns("calls", 1, &columns, takes, &mut calls, |server, at| {
            let case = &cases[at];
            let (running, mut clients) = run.start(server, CONNECTIONS, &case.options())?;
            let all = 0..clients.len();
            clients.echo(all.clone(), &case.script(), Stop::Windows(2), None)?;
            let (messages, each) = calls::traced(&running, || {
                clients.echo(all, &case.script(), Stop::Windows(case.windows), None)
            })?;
            let figure = each.iter().map(|(calls, _)| calls).sum::<f64>() / messages as f64;
            let said: Vec<String> =
                each.iter().map(|(calls, name)| format!("{name} {:.3}", calls / messages as f64)).collect();
            Ok((figure, said.join(", ")))
        });
    } else {
        println!("\nSystem calls were not counted: strace is not installed.");
    }
    if has_valgrind() {
        // Valgrind has threads take turns, so that several say nothing new.
        let takes = |server: &Server, at: usize| takes(server, at) && cases[at].options.len() == 1;
        run.take_turns("instructions", 1, &columns, takes, &mut instructions, |server, at| {
            let case = &cases[at];
            // What starting and the opening handshakes take is the same in both.
            let (none, before) = under_valgrind(run, server, case, 1)?;
            let (messages, after) = under_valgrind(run, server, case, 1 + case.windows)?;
            let each =
                |after: u64, before: u64| after.saturating_sub(before) as f64 / (messages - none) as f64;
            allocations.add(server.name, at, Ok(each(after.allocations, before.allocations)));
            let figure = each(after.instructions, before.instructions);
            Ok((figure, grouped(figure, 0)))
        });
    } else {
        println!("\nInstructions were not counted: valgrind is not installed.");
    }
    let title =
        |what| format!("Loops of programs, text of 20 B: {what} per message and **ratio to sansocket**");
    print(run, &title("instructions in user space"), &columns, &instructions, 0);
    print(run, &title("allocations"), &columns, &allocations, 2);
    print(run, &title("system calls"), &columns, &calls, 3);
    Ok(![&instructions, &calls].map(|of| figures::print_failures(of, &columns)).contains(&true))
}

struct Counted {
    instructions: u64,
    allocations: u64,
}

fn has_valgrind() -> bool {
    Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// How many messages a server echoed until it was ended, and what it took from its start.
fn under_valgrind(run: &Run, server: &Server, case: &Case, windows: u64) -> io::Result<(u64, Counted)> {
    let report = std::env::temp_dir().join(format!("sansocket-peers-{}", std::process::id()));
    let file = format!("--callgrind-out-file={}", report.display());
    let tool = ["valgrind", "--tool=callgrind", file.as_str()];
    let mut running = server.start_under(&tool, run.built, run.cores, &case.options())?;
    let mut clients = Clients::connect(running.addr, CONNECTIONS, server.opening())?;
    let all = 0..clients.len();
    let echoed = clients.echo(all, &case.script(), Stop::Windows(windows), None);
    kill_process(Pid::from_raw(running.id() as i32).ok_or(io::ErrorKind::NotFound)?, Signal::TERM)?;
    running.wait()?;
    let text = fs::read_to_string(&report);
    let _ = fs::remove_file(&report);
    Ok((echoed?, parse(&text?).ok_or_else(|| io::Error::other("valgrind's report is not readable"))?))
}

/// The sum of a report in callgrind's format, and the calls of functions that allocate.
fn parse(report: &str) -> Option<Counted> {
    const ALLOCATING: [&str; 4] = ["malloc", "calloc", "realloc", "posix_memalign"];
    let (mut instructions, mut allocations) = (None, 0);
    let (mut ids, mut allocates) = (Vec::new(), false);
    for line in report.lines() {
        if let Some(sum) = line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")) {
            instructions = sum.trim().parse().ok().or(instructions);
        } else if let Some(function) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
            // A name stands behind its number the first time only.
            let (id, name) = function.split_once(' ').unwrap_or((function, ""));
            if ALLOCATING.contains(&name) {
                ids.push(id);
            }
            allocates = line.starts_with('c') && ids.contains(&id);
        } else if let Some(calls) = line.strip_prefix("calls=").filter(|_| allocates) {
            allocations += calls.split_whitespace().next()?.parse::<u64>().ok()?;
        }
    }
    Some(Counted { instructions: instructions?, allocations })
}

/// A line for each loop, a column for each server.
fn print(run: &Run, title: &str, columns: &[String], figures: &Figures, digits: usize) {
    let own = run.servers.iter().map(|server| server.name).find(|name| *name == "sansocket");
    let names: Vec<String> = run.servers.iter().map(|server| server.name.into()).collect();
    let rows = columns.iter().enumerate().map(|(at, column)| {
        let cell = |server: &&Server| figures.cell(server.name, at, own, digits);
        (column.clone(), run.servers.iter().map(cell).collect())
    });
    figures::print(title, &names, rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_valgrind_is_read() {
        let report = "fn=(1) main\n1 10\ncfn=(2) malloc\ncalls=3 0\n1 50\ncfn=(3) free\ncalls=3 0\n1 9\n\
            fn=(4) more\ncfn=(2)\ncalls=4 0\n1 7\nfn=(2)\n1 1\ntotals: 4321\n";
        let counted = parse(report).unwrap();
        assert_eq!((counted.instructions, counted.allocations), (4321, 7));
        assert!(parse("").is_none());
    }
}
