//! Attacks a WebSocket server as a hostile client would, and shows what came back and what it cost.

#[path = "attack/by_frames.rs"]
mod by_frames;
#[path = "attack/by_handshake.rs"]
mod by_handshake;
#[path = "attack/link.rs"]
mod link;
#[path = "attack/memory.rs"]
mod memory;
#[path = "attack/witness.rs"]
mod witness;

use std::io::Write as _;
use std::net::ToSocketAddrs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use link::Target;
use memory::Watch;
use sansocket::WebSocketUri;
use witness::Witness;

const HELP: &str = "\
usage: attack ws://HOST:PORT[/PATH] [--only NAME]... [--quick] [--pid PID] [--seconds SECONDS]
       attack --list

Runs attacks that are known from published vulnerabilities against a WebSocket server, one after the other, and shows
for each what came back (HTTP status, close code), the time, how late the slowest answer on a healthy connection came
meanwhile, and whether the server still answers afterwards. The server must echo messages.

  --only NAME        only attacks whose name has NAME in it; may be repeated
  --quick            without those that wait for the server's deadlines
  --pid PID          the server's process, whose memory (RssAnon, Linux) is shown before, at its peak and after; found
                     without this if the server listens at a loopback address
  --seconds SECONDS  how long an attack lasts at the most, 13 by default
  --late MS          how late an answer on a healthy connection may come, 2000 by default
  --list             the attacks and what they are known by

Attack only what is yours. Ends by itself; the status is 1 if the server stopped answering, also if only a
healthy connection got no answer in time.";

/// One way to hurt a server.
struct Attack {
    name: &'static str,
    known_by: &'static str,
    /// Whether it waits for a deadline of the server.
    slow: bool,
    run: fn(&Target) -> String,
}

struct Options {
    url: Option<String>,
    only: Vec<String>,
    quick: bool,
    pid: Option<u32>,
    most: Duration,
    late: Duration,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let Some(url) = &options.url else {
        attacks().for_each(|attack| println!("{:<20} {}", attack.name, attack.known_by));
        return ExitCode::SUCCESS;
    };
    match target(url, options.most) {
        Ok(target) if target.answers() => run(&target, url, &options),
        Ok(target) => {
            eprintln!("no WebSocket server answers at {}", target.address);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn attacks() -> impl Iterator<Item = &'static Attack> {
    by_handshake::ATTACKS.iter().chain(by_frames::ATTACKS)
}

fn run(target: &Target, url: &str, options: &Options) -> ExitCode {
    let pid = options.pid.or_else(|| memory::listener(target.address));
    let columns = if pid.is_some() { "  before    peak   after MiB" } else { "" };
    println!("{:<20} {:<44} {:>8} {:>9}{columns}", "attack", "came back", "time", "late");
    let is_chosen = |attack: &&Attack| {
        let named = options.only.is_empty() || options.only.iter().any(|name| attack.name.contains(&**name));
        named && !(options.quick && attack.slow)
    };
    by_frames::prepare();
    let (mut ran, mut dead, mut slow) = (0, 0, 0);
    for attack in attacks().filter(is_chosen) {
        print!("{:<20} ", attack.name);
        _ = std::io::stdout().flush();
        let watch = pid.map(Watch::start);
        let witness = Witness::start(url, options.late);
        let began = Instant::now();
        let outcome = (attack.run)(target);
        let took = began.elapsed();
        let late = witness.and_then(Witness::stop);
        let answers = target.answers();
        let memory = watch.map_or_else(String::new, Watch::stop);
        let after = if answers { "" } else { "  NO LONGER ANSWERS" };
        let milliseconds = late.as_ref().map_or(f64::NAN, |late| late.as_secs_f64() * 1000.0);
        let broken = late.as_ref().map_or_else(|error| format!("  {error}"), |_| String::new());
        println!("{outcome:<44} {:>6.2} s {milliseconds:>6.1} ms{memory}{after}{broken}", took.as_secs_f64());
        ran += 1;
        slow += usize::from(late.is_err());
        dead += usize::from(!answers);
    }
    println!(
        "{ran} attacks, the server answered after {}, and a healthy connection during {}",
        ran - dead,
        ran - slow
    );
    if ran == 0 || dead + slow > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn target(url: &str, most: Duration) -> Result<Target, String> {
    let uri = WebSocketUri::parse(url).map_err(|error| error.to_string())?;
    if uri.is_secure() {
        return Err("attacks are over TCP: give a ws:// URL".into());
    }
    let host = uri.host().trim_matches(['[', ']']);
    let found = (host, uri.port()).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?.next();
    let address = found.ok_or_else(|| format!("{host} has no address"))?;
    Ok(Target {
        address,
        authority: uri.authority().to_string(),
        path: uri.resource_name().to_string(),
        most,
    })
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        url: None,
        only: Vec::new(),
        quick: false,
        pid: None,
        most: Duration::from_secs(13),
        late: Duration::from_secs(2),
    };
    let mut list = false;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match &*arg {
            "--help" | "-h" => {
                println!("{HELP}");
                std::process::exit(0);
            }
            "--list" => list = true,
            "--quick" => options.quick = true,
            "--only" => options.only.push(value()?),
            "--pid" => options.pid = Some(value()?.parse().map_err(|_| "--pid takes a number")?),
            "--late" => {
                let late = value()?.parse().map_err(|_| "--late takes a number")?;
                options.late = Duration::from_millis(late);
            }
            "--seconds" => {
                let seconds = value()?.parse().map_err(|_| "--seconds takes a number")?;
                options.most = Duration::from_secs(seconds);
            }
            other if other.starts_with('-') => return Err(format!("unknown option {other}")),
            _ if options.url.is_none() => options.url = Some(arg),
            _ => return Err("one URL is enough".into()),
        }
    }
    if list {
        options.url = None;
    } else if options.url.is_none() {
        return Err("the URL is missing".into());
    }
    Ok(options)
}
