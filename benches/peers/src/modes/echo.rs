//! Messages that come back.

use std::io;

use super::{Run, bytes};
use crate::figures::{Figures, grouped};
use crate::load::Stop;
use crate::wire::{Kind, Script};

#[derive(Clone, Copy)]
struct Case {
    kind: Kind,
    size: usize,
    depth: usize,
    connections: usize,
}

const fn case(kind: Kind, size: usize, depth: usize, connections: usize) -> Case {
    Case { kind, size, depth, connections }
}

const USUAL: [Case; 15] = [
    case(Kind::Binary, 20, 32, 10),
    case(Kind::Binary, 1 << 10, 32, 10),
    case(Kind::Binary, 16 << 10, 32, 10),
    case(Kind::Binary, 64 << 10, 32, 10),
    case(Kind::Binary, 20, 32, 1),
    case(Kind::Binary, 20, 32, 100),
    case(Kind::Binary, 20, 1, 100),
    case(Kind::Binary, 1 << 10, 1, 100),
    case(Kind::Binary, 16 << 10, 1, 100),
    case(Kind::Binary, 64 << 10, 1, 10),
    case(Kind::Binary, 1 << 20, 1, 10),
    case(Kind::Ascii, 20, 32, 10),
    case(Kind::Ascii, 1 << 10, 32, 10),
    case(Kind::Ascii, 16 << 10, 8, 10),
    case(Kind::MultiByte, 16 << 10, 8, 10),
];

const QUICK: [Case; 3] = [
    case(Kind::Binary, 20, 32, 10),
    case(Kind::MultiByte, 1 << 10, 32, 10),
    case(Kind::Binary, 64 << 10, 1, 3),
];

pub fn run(run: &Run) -> io::Result<bool> {
    let cases = cases(run);
    let columns: Vec<String> = cases.iter().map(|case| case.name()).collect();
    let (mut cpu, mut rate) = (Figures::default(), Figures::default());
    run.take_turns(
        "echo",
        run.options.rounds,
        &columns,
        |_, _| true,
        &mut cpu,
        |server, at| {
            let case = cases[at];
            let script = Script::echo(server.is_raw(), case.kind, case.size, case.depth);
            let (running, mut clients) = run.start(server, case.connections, &[])?;
            let all = 0..clients.len();
            clients.echo(all.clone(), &script, Stop::After(run.time() / 4), None)?;
            let sample = run.sample(server, &running, || {
                clients.echo(all.clone(), &script, Stop::After(run.time()), None)
            })?;
            rate.add(server.name, at, Ok(sample.per_second));
            Ok((sample.cpu_ns, format!("{} ns", grouped(sample.cpu_ns, 0))))
        },
    );
    let all_right = run.print(
        "Echo: server's CPU ns per message, median (least–most) and **ratio to raw**",
        &columns,
        &cpu,
        0,
        true,
    );
    run.print("Echo: messages per second", &columns, &rate, 0, false);
    Ok(all_right)
}

/// The usual ones, or all combinations of what the options name.
fn cases(run: &Run) -> Vec<Case> {
    let options = run.options;
    if options.sizes.is_empty()
        && options.depths.is_empty()
        && options.connections.is_empty()
        && options.kinds.is_empty()
    {
        return if options.quick { QUICK.to_vec() } else { USUAL.to_vec() };
    }
    let or = |given: &[usize], usual| if given.is_empty() { vec![usual] } else { given.to_vec() };
    let kinds = if options.kinds.is_empty() { vec![Kind::Binary] } else { options.kinds.clone() };
    let mut cases = Vec::new();
    for kind in kinds {
        for &depth in &or(&options.depths, 32) {
            for &connections in &or(&options.connections, 10) {
                for &size in &or(&options.sizes, 20) {
                    cases.push(case(kind, size, depth, connections));
                }
            }
        }
    }
    cases
}

impl Case {
    fn name(&self) -> String {
        let kind = if self.kind == Kind::Binary { "" } else { self.kind.name() };
        let under_way = format!("{} × {}", self.connections, self.depth);
        format!("{} {kind}, {under_way}", bytes(self.size)).replace(" ,", ",")
    }
}
