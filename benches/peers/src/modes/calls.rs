//! System calls per message, as strace counts them.

use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Run, bytes};
use crate::figures::{self, Figures};
use crate::load::Stop;
use crate::process::Running;
use crate::wire::{Kind, Script};

/// Bytes and windows on each of ten connections, 32 messages each.
const CASES: [(usize, u64); 3] = [(20, 30), (1 << 10, 30), (16 << 10, 10)];
const CONNECTIONS: usize = 10;
const DEPTH: usize = 32;

pub fn run(run: &Run) -> io::Result<bool> {
    if !can_trace() {
        println!("\nSystem calls were not counted: strace is not installed.");
        return Ok(true);
    }
    let columns = CASES.map(|(size, _)| format!("{}, {CONNECTIONS} × {DEPTH}", bytes(size)));
    let (mut counts, mut names) = (Figures::default(), Vec::new());
    run.take_turns(
        "calls",
        1,
        &columns,
        |_, _| true,
        &mut counts,
        |server, at| {
            let (size, windows) = CASES[at];
            let script = Script::echo(server.is_raw(), Kind::Binary, size, DEPTH);
            let (running, mut clients) = run.start(server, CONNECTIONS, &[])?;
            let all = 0..clients.len();
            clients.echo(all.clone(), &script, Stop::Windows(2), None)?;
            let (messages, mut each) =
                traced(&running, || clients.echo(all, &script, Stop::Windows(windows), None))?;
            each.iter_mut().for_each(|(calls, _)| *calls /= messages as f64);
            each.sort_by(|one, other| other.0.total_cmp(&one.0));
            let sum: f64 = each.iter().map(|(calls, _)| calls).sum();
            let said: Vec<String> = each
                .iter()
                .filter(|(calls, _)| *calls >= 0.0005)
                .map(|(calls, name)| format!("{name} {calls:.3}"))
                .collect();
            names.push((server.name, at, said.join(", ")));
            Ok((sum, format!("{sum:.3}")))
        },
    );
    let rows = run.servers.iter().map(|server| {
        let cells = (0..columns.len()).map(|at| {
            let said = names.iter().find(|(name, column, _)| *name == server.name && *column == at);
            let said = said.map(|(_, _, said)| format!(": {said}")).unwrap_or_default();
            counts.cell(server.name, at, None, 3) + &said
        });
        (server.name.to_string(), cells.collect())
    });
    figures::print("System calls per message", &columns, rows);
    Ok(!figures::print_failures(&counts, &columns))
}

/// Whether strace is there.
pub fn can_trace() -> bool {
    Command::new("strace").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Runs `work` and returns its result with the system calls that the server made meanwhile, each with its name.
pub fn traced<T>(
    running: &Running,
    work: impl FnOnce() -> io::Result<T>,
) -> io::Result<(T, Vec<(f64, String)>)> {
    let report = std::env::temp_dir().join(format!("sansocket-peers-{}", running.id()));
    let mut strace = Command::new("strace")
        .args(["-c", "-f", "-qq", "-o"])
        .arg(&report)
        .args(["-p", &running.id().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    wait_for_tracer(running.id())?;
    let done = work();
    let _ = kill_process(Pid::from_child(&strace), Signal::INT);
    strace.wait()?;
    let text = fs::read_to_string(&report);
    let _ = fs::remove_file(&report);
    let (done, mut each) = (done?, Vec::new());
    for line in text?.lines() {
        // % time, seconds, usecs/call, calls, errors if any, name
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let ([.., name], Some(Ok(calls))) = (&fields[..], fields.get(3).map(|calls| calls.parse::<f64>()))
            && *name != "total"
        {
            each.push((calls, (*name).to_string()));
        }
    }
    Ok((done, each))
}

/// Returns once strace follows the process.
fn wait_for_tracer(id: u32) -> io::Result<()> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        if status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0")) {
            // The other threads are followed one after the other.
            thread::sleep(Duration::from_millis(50));
            return Ok(());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(io::Error::other("could not be traced: strace needs the right to"))
}
