//! The command line.

use crate::wire::Kind;

pub const HELP: &str = "\
usage: sansocket-peers [MODE...] [OPTION...]

What WebSocket servers cost beside a TCP echo without a protocol, measured side by side. MODE is one of
  echo        CPU time and messages per second, messages pipelined or one at a time
  deflate     the same for compressed messages like those of JSON interfaces, and the bytes that come back
  latency     time to an answer: median, 99 % and 99.9 %
  handshakes  CPU time of a connection that opens, closes and ends
  memory      anonymous memory per idle connection: fresh, after 1 KiB, after 64 KiB
  scale       very many connections at once, which the server pings while messages echo on half of them: CPU time,
              time to an answer and memory, without pings and with
  fan-out     CPU time for each of 1000 connections that get a message
  calls       system calls per message (needs strace)
  shapes      CPU time of the loops that programs consist of, where the library has them and two peers
  counts      what these loops take in instructions and allocations (needs valgrind) and system calls (needs strace)
All of them by default. Progress goes to stderr, tables to stdout; the exit status is 1 if a server answered wrongly.

  --only SERVER,...      these servers, and the raw ones beside which they stand; --list prints all names
  --rounds N             how often each is measured, taking turns; 5
  --milliseconds N       how long a sample takes; 400, and 20 times that for scale
  --quick                one round of short samples, few cases and few connections
  --share-core           clients on the server's core, both taking turns: hardly varies, but says less of a loaded server
  --idle N               connections of the memory mode; 9000
  --open N               connections of the scale mode; 9500, for which each process has to be allowed 9600 open files
  --deflate              memory: of connections that compress, of each class, at most 1000 at a time
For echo, instead of its usual cases, all combinations of
  --sizes BYTES,...      of the payload
  --depths N,...         messages under way on each connection
  --connections N,...
  --kinds KIND,...       binary, ascii, multi-byte";

pub const MODES: [&str; 10] =
    ["echo", "deflate", "latency", "handshakes", "memory", "scale", "fan-out", "calls", "shapes", "counts"];

#[derive(Clone)]
pub struct Options {
    pub modes: Vec<String>,
    pub only: Vec<String>,
    pub rounds: usize,
    pub milliseconds: u64,
    pub quick: bool,
    pub share_core: bool,
    pub idle: usize,
    pub open: usize,
    pub deflate: bool,
    pub sizes: Vec<usize>,
    pub depths: Vec<usize>,
    pub connections: Vec<usize>,
    pub kinds: Vec<Kind>,
    pub list: bool,
    pub help: bool,
}

impl Options {
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let args: Vec<String> = args.into_iter().collect();
        let quick = args.iter().any(|arg| arg == "--quick");
        let mut options = Self {
            modes: Vec::new(),
            only: Vec::new(),
            rounds: if quick { 1 } else { 5 },
            milliseconds: if quick { 60 } else { 400 },
            quick,
            share_core: false,
            idle: if quick { 100 } else { 9000 },
            open: if quick { 200 } else { 9500 },
            deflate: false,
            sizes: Vec::new(),
            depths: Vec::new(),
            connections: Vec::new(),
            kinds: Vec::new(),
            list: false,
            help: false,
        };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} takes a value"));
            match arg.as_str() {
                "--help" | "-h" => options.help = true,
                "--list" => options.list = true,
                "--quick" => {}
                "--share-core" => options.share_core = true,
                "--only" => options.only.extend(value()?.split(',').map(String::from)),
                "--rounds" => options.rounds = number(&value()?)?.max(1),
                "--milliseconds" => options.milliseconds = number(&value()?)?.max(1) as u64,
                "--idle" => options.idle = number(&value()?)?.max(1),
                "--open" => options.open = number(&value()?)?.max(1),
                "--deflate" => options.deflate = true,
                "--sizes" => options.sizes = numbers(&value()?)?,
                "--depths" => options.depths = numbers(&value()?)?,
                "--connections" => options.connections = numbers(&value()?)?,
                "--kinds" => {
                    let value = value()?;
                    let kind = |name| Kind::ALL.into_iter().find(|kind| kind.name() == name);
                    let kinds =
                        value.split(',').map(|name| kind(name).ok_or(format!("there is no kind {name}")));
                    options.kinds = kinds.collect::<Result<_, _>>()?;
                }
                mode if MODES.contains(&mode) => options.modes.push(arg),
                _ => return Err(format!("unknown argument {arg}")),
            }
        }
        if options.modes.is_empty() {
            options.modes = MODES.map(String::from).to_vec();
        }
        Ok(options)
    }

    /// Whether a mode needs servers that compress.
    pub fn compresses(&self) -> bool {
        self.deflate || self.modes.iter().any(|mode| mode == "deflate")
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn numbers(text: &str) -> Result<Vec<usize>, String> {
    let numbers = text.split(',').map(|text| number(text).map(|number| number.max(1)));
    numbers.collect()
}
