//! What an idle connection holds.

use std::io;
use std::thread;
use std::time::Duration;

use super::Run;
use crate::compressed::{Class, Talk};
use crate::figures::{Figures, grouped};
use crate::load::{Clients, Opening, Stop};
use crate::wire::{Kind, Script};

/// How many connections echo at a time, so that what they share does not count as theirs.
const WAVE: usize = 50;
/// How many connections there are that compress, as one may hold half a megabyte.
const MOST_COMPRESSED: usize = 1000;

pub fn run(run: &Run) -> io::Result<bool> {
    // Both processes have a file for each connection, and some more.
    let count = run.options.idle.min((run.files as usize).saturating_sub(100));
    if !run.options.deflate {
        return measure(run, count, None);
    }
    let mut all_right = true;
    for class in Class::ALL {
        all_right &= measure(run, count.min(MOST_COMPRESSED), Some(class))?;
    }
    Ok(all_right)
}

/// Of connections that compress like this, if they do.
fn measure(run: &Run, count: usize, class: Option<Class>) -> io::Result<bool> {
    let columns = ["fresh", "after 1 KiB each", "after 64 KiB each"].map(String::from);
    let (mut fresh, mut after) = (Figures::default(), Vec::new());
    // One connection's memory hardly varies, so that a round is enough.
    run.take_turns(
        "memory",
        1,
        &columns[..1],
        |server, _| class.is_none_or(|class| server.deflates.contains(&class)),
        &mut fresh,
        |server, _| {
            let running = server.start(run.built, run.cores, class.map(Class::option).as_slice())?;
            let before = running.rss_anon()?;
            let each = |bytes: u64| bytes.saturating_sub(before) as f64 / count as f64;
            let settle = || thread::sleep(Duration::from_millis(300));
            let opening = class.map_or(server.opening(), Opening::Deflate);
            let mut clients = Clients::connect(running.addr, count, opening)?;
            settle();
            let fresh = each(running.rss_anon()?);
            let mut talk = class.map(Talk::new);
            for (column, size) in [(1, 1 << 10), (2, 64 << 10)] {
                let script = match &mut talk {
                    Some(talk) => talk.script(size, 1),
                    None => Script::echo(server.is_raw(), Kind::Binary, size, 1),
                };
                for from in (0..clients.len()).step_by(WAVE) {
                    let wave = from..clients.len().min(from + WAVE);
                    clients.echo(wave, &script, Stop::Windows(1), None)?;
                }
                settle();
                after.push((server.name, column, each(running.rss_anon()?)));
            }
            Ok((fresh, format!("{} bytes", grouped(fresh, 0))))
        },
    );
    for (server, column, figure) in after {
        fresh.add(server, column, Ok(figure));
    }
    let class = class.map(|class| format!(", compression {}", class.name())).unwrap_or_default();
    let title = format!("Memory: bytes of RssAnon for each of {count} idle connections{class}");
    Ok(run.print(&title, &columns, &fresh, 0, false))
}
