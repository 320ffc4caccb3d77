//! The command line of the echo examples.

use sansocket::Config;

/// Reads `[ADDR or URL] [--max-message BYTES]` and which of `flags` are there; prints `help` and ends for `--help` and
/// for anything else.
pub fn parse<const N: usize>(
    help: &str,
    default: Option<&str>,
    flags: [&str; N],
) -> (String, Config, [bool; N]) {
    let (mut place, mut config, mut set) = (default.map(String::from), Config::new(), [false; N]);
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
            other if other.starts_with('-') => match flags.iter().position(|flag| *flag == other) {
                Some(at) => set[at] = true,
                None => usage(help, &format!("unknown option {other}")),
            },
            _ => place = Some(arg),
        }
    }
    let Some(place) = place else { usage(help, "an argument is missing") };
    (place, config, set)
}

fn usage(help: &str, error: &str) -> ! {
    eprintln!("{error}\n\n{help}");
    std::process::exit(2);
}
