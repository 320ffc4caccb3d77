//! The command line of the echo examples.

use sansocket::Config;

/// Reads `[ADDR or URL] [--max-message BYTES]`; prints `help` and ends for `--help` and for anything else.
pub fn parse(help: &str, default: Option<&str>) -> (String, Config) {
    let (mut place, mut config) = (default.map(String::from), Config::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" | "-h" => {
                println!("{help}");
                std::process::exit(0);
            }
            "--max-message" => match args.next().and_then(|bytes| bytes.parse().ok()) {
                Some(bytes) => config = config.max_message_size(bytes),
                None => usage(help, "--max-message takes a number of bytes"),
            },
            other if other.starts_with('-') => usage(help, &format!("unknown option {other}")),
            _ => place = Some(arg),
        }
    }
    let Some(place) = place else { usage(help, "an argument is missing") };
    (place, config)
}

fn usage(help: &str, error: &str) -> ! {
    eprintln!("{error}\n\n{help}");
    std::process::exit(2);
}
