//! The command line of the echo examples.

use std::time::Duration;

use sansocket::Config;

/// Reads one argument for each of `defaults`, `--max-message BYTES`, `--ping SECONDS`, `--deflate[=CLASS]`, and which of
/// `flags` are there; prints `help` and ends for `--help` and for anything else.
pub fn parse<const N: usize, const M: usize>(
    help: &str,
    defaults: [Option<&str>; N],
    flags: [&str; M],
) -> ([String; N], Config, [bool; M]) {
    let (mut places, mut config, mut set) = (Vec::new(), Config::new(), [false; M]);
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
            "--ping" => match args.next().and_then(|seconds| silence(&seconds)) {
                Some(silence) => config = config.ping_interval(silence),
                None => usage(help, "--ping takes a number of seconds"),
            },
            other if other.starts_with("--deflate") => match with_deflate(config, other) {
                Ok(with) => config = with,
                Err(error) => usage(help, error),
            },
            other if other.starts_with('-') => match flags.iter().position(|flag| *flag == other) {
                Some(at) => set[at] = true,
                None => usage(help, &format!("unknown option {other}")),
            },
            _ => places.push(arg),
        }
    }
    for default in defaults.iter().skip(places.len()).flatten() {
        places.push((*default).into());
    }
    let Ok(places) = places.try_into() else { usage(help, "an argument is missing or too much") };
    (places, config, set)
}

/// After how much of it to ping. Without a pause there would be nothing but pings: zero means none.
fn silence(seconds: &str) -> Option<Option<Duration>> {
    let silence = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    Some(Some(silence).filter(|silence| !silence.is_zero()))
}

#[cfg(feature = "deflate")]
fn with_deflate(config: Config, option: &str) -> Result<Config, &'static str> {
    use sansocket::deflate::Deflate;

    match option {
        "--deflate" | "--deflate=shared" => Ok(config.deflate(Deflate::shared())),
        "--deflate=dedicated" => Ok(config.deflate(Deflate::dedicated())),
        _ => Err("--deflate is shared or dedicated"),
    }
}

#[cfg(not(feature = "deflate"))]
fn with_deflate(_: Config, _: &str) -> Result<Config, &'static str> {
    Err("--deflate needs the feature deflate")
}

fn usage(help: &str, error: &str) -> ! {
    eprintln!("{error}\n\n{help}");
    std::process::exit(2);
}
