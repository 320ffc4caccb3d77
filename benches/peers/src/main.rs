//! What WebSocket servers cost, this crate's and its peers', beside a TCP echo without a protocol.

mod build;
mod compressed;
mod crowd;
mod figures;
mod load;
mod modes;
mod options;
mod process;
mod servers;
mod wire;

use std::process::ExitCode;

use modes::Run;
use options::Options;
use process::Cores;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    if options.help {
        println!("{}", options::HELP);
    } else if options.list {
        for server in servers::ALL {
            println!("{}", server.name);
        }
    } else {
        match run(options) {
            Ok(true) => {}
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Whether all servers answered rightly.
fn run(options: Options) -> Result<bool, Box<dyn std::error::Error>> {
    let mut servers = servers::select(&options.only)?;
    let files = process::raise_file_limit()?;
    if options.modes.iter().any(|mode| mode == "scale") {
        modes::scale::check_files(options.open, files)?;
        // So that no peer is built for nothing.
        servers.retain(|server| options.modes.len() > 1 || modes::scale::takes(server));
    }
    if options.modes.iter().all(|mode| mode == "shapes" || mode == "counts") {
        servers.retain(|server| !server.shapes.is_empty());
    }
    let built = build::build(&mut servers, options.compresses())?;
    let cores = Cores::find(options.share_core)?;
    process::pin(cores.clients)?;
    let mut all_right = true;
    for mode in options.modes.clone() {
        let is_of_shapes = mode == "shapes" || mode == "counts";
        let takes = |server: &&&servers::Server| {
            if is_of_shapes { !server.shapes.is_empty() } else { !server.name.starts_with("sansocket") }
        };
        let servers: Vec<_> = servers.iter().filter(takes).copied().collect();
        let run = Run { options: &options, servers: &servers, built: &built, cores, files };
        all_right &= match mode.as_str() {
            "echo" => modes::echo::run(&run)?,
            "latency" => modes::latency::run(&run)?,
            "handshakes" => modes::handshakes::run(&run)?,
            "deflate" => modes::deflate::run(&run)?,
            "memory" => modes::memory::run(&run)?,
            "scale" => modes::scale::run(&run)?,
            "shapes" => modes::shapes::time(&run)?,
            "counts" => modes::shapes::counts(&run)?,
            "fan-out" => modes::fan_out::run(&run)?,
            _ => modes::calls::run(&run)?,
        };
    }
    Ok(all_right)
}
