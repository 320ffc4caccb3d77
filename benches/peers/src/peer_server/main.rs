//! Echo servers to compare with: each peer as its own documentation shows it, with its best settings.

#[cfg(feature = "light-peers")]
mod bare;
#[cfg(feature = "peers")]
mod fastwebsockets;
#[cfg(feature = "light-peers")]
mod opening;
mod raw;
mod runtime;
#[cfg(feature = "shapes")]
mod sansocket;
#[cfg(feature = "shapes")]
mod shapes;
#[cfg(feature = "peers")]
mod sockudo_ws;
#[cfg(feature = "soketto")]
mod soketto;
#[cfg(feature = "shapes")]
mod tokio_tungstenite;
#[cfg(feature = "shapes")]
mod tokio_websockets;
#[cfg(feature = "light-peers")]
mod tungstenite;
#[cfg(feature = "light-peers")]
mod web_socket;
#[cfg(feature = "peers")]
mod wtx;
#[cfg(feature = "peers")]
mod yawc;

use std::process::ExitCode;

/// Whatever ends a server or a connection.
type Error = Box<dyn std::error::Error + Send + Sync>;

const HELP: &str = "\
usage: peer_server NAME ADDR [--broadcast] [--deflate=shared|dedicated]
                   [--shape=send|writer|batch|forward|lent] [--multi-thread]

Echoes every message, on one thread unless NAME says otherwise, and prints its address first.
  --broadcast  sends every message to all connections, the sender included; not all servers can
  --deflate    compresses; not all servers can
  --shape      receives and sends as programs do; not all servers can
  --multi-thread  over tokio's runtime with two threads";

/// What a server is told besides its name.
struct Options {
    addr: String,
    broadcast: bool,
    deflate: Option<Deflate>,
    #[cfg(feature = "shapes")]
    shape: Option<shapes::Shape>,
    multi_thread: bool,
}

/// How to compress: with the level and the windows that are the defaults of the library's classes.
#[derive(Clone, Copy)]
enum Deflate {
    /// Each message stands for itself.
    Shared,
    /// Messages refer back to earlier ones.
    Dedicated,
}

/// For the peers that ask; not every build has one.
#[allow(dead_code)]
impl Deflate {
    const LEVEL: u8 = 3;

    const fn window_bits(self) -> u8 {
        match self {
            Self::Shared => 15,
            Self::Dedicated => 12,
        }
    }

    const fn is_shared(self) -> bool {
        matches!(self, Self::Shared)
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(addr)) = (args.next(), args.next()) else {
        eprintln!("{HELP}");
        return ExitCode::from(2);
    };
    let mut options = Options {
        addr,
        broadcast: false,
        deflate: None,
        #[cfg(feature = "shapes")]
        shape: None,
        multi_thread: false,
    };
    for arg in args {
        match arg.as_str() {
            "--broadcast" => options.broadcast = true,
            "--deflate=shared" => options.deflate = Some(Deflate::Shared),
            "--deflate=dedicated" => options.deflate = Some(Deflate::Dedicated),
            "--multi-thread" => options.multi_thread = true,
            #[cfg(feature = "shapes")]
            shape if shape.strip_prefix("--shape=").and_then(shapes::Shape::parse).is_some() => {
                options.shape = shape.strip_prefix("--shape=").and_then(shapes::Shape::parse);
            }
            _ => {
                eprintln!("unknown option {arg}\n\n{HELP}");
                return ExitCode::from(2);
            }
        }
    }
    match run(&name, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, options: &Options) -> Result<(), Error> {
    let (peer, variant) = name.split_once('+').unwrap_or((name, ""));
    match (peer, variant) {
        ("raw-tokio", "" | "placed") => raw::tokio(variant, options),
        ("raw-epoll", "" | "placed") => raw::epoll(variant, options),
        ("raw-threads", "") => raw::threads(options),
        #[cfg(feature = "light-peers")]
        ("bare-tokio", "") => bare::run(options),
        #[cfg(feature = "light-peers")]
        ("tungstenite", _) => tungstenite::run(variant, options),
        #[cfg(feature = "light-peers")]
        ("web-socket", _) => web_socket::run(variant, options),
        #[cfg(feature = "soketto")]
        ("soketto", _) => soketto::run(variant, options),
        #[cfg(feature = "shapes")]
        ("sansocket", _) => sansocket::run(variant, options),
        #[cfg(feature = "shapes")]
        ("tokio-tungstenite", _) => tokio_tungstenite::run(variant, options),
        #[cfg(feature = "shapes")]
        ("tokio-websockets", _) => tokio_websockets::run(variant, options),
        #[cfg(feature = "peers")]
        _ => run_peer(peer, variant, options),
        #[cfg(not(feature = "peers"))]
        _ => Err("there is no such server, or not in this build, which lacks the feature `peers`".into()),
    }
}

#[cfg(feature = "peers")]
fn run_peer(peer: &str, variant: &str, options: &Options) -> Result<(), Error> {
    match peer {
        "fastwebsockets" => fastwebsockets::run(variant, options),
        "yawc" => yawc::run(variant, options),
        "wtx" => wtx::run(variant, options),
        "sockudo-ws" => sockudo_ws::run(variant, options),
        _ => Err("there is no such server".into()),
    }
}

/// The error of a server that lacks what it was asked for.
#[cfg(any(feature = "light-peers", feature = "shapes", feature = "soketto"))]
fn unknown<T>() -> Result<T, Error> {
    Err("it has no such variant, or not with this option".into())
}
