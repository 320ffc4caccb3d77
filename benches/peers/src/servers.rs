//! Which servers there are.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::build::Built;
use crate::compressed::Class;
use crate::load::Opening;
use crate::process::{Cores, Running};

/// A server as it is measured: a program and the options that it gets.
pub struct Server {
    pub name: &'static str,
    program: Program,
    args: &'static [&'static str],
    /// The raw echo beside which it stands: the same runtime without a protocol.
    pub limit: &'static str,
    /// Has a thread for each connection: its threads wait for each other's CPU, and end.
    pub threads: bool,
    /// Can send a message to all connections, with `--broadcast`.
    pub broadcasts: bool,
    /// Can compress like this, with [`Class::option`].
    pub deflates: &'static [Class],
    /// Pings, with `--ping SECONDS`; without pings with 0.
    pub pings: bool,
    /// Which loops of programs it has, with `--shape=NAME`.
    pub shapes: &'static [&'static str],
}

/// Where a server comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `peer_server` of this package, in any of its builds.
    Raw,
    /// `peer_server` with the peers in it that build fast.
    LightPeer,
    /// `peer_server` with all peers in it.
    Peer,
    /// `peer_server` with soketto in it.
    Soketto,
    /// An example of the library.
    Example(&'static str),
    Beast,
}

impl Server {
    const fn new(name: &'static str, program: Program, limit: &'static str) -> Self {
        Self {
            name,
            program,
            args: &[],
            limit,
            threads: false,
            broadcasts: false,
            deflates: &[],
            pings: false,
            shapes: &[],
        }
    }

    const fn raw(name: &'static str) -> Self {
        Self::new(name, Program::Raw, name)
    }

    const fn peer(name: &'static str) -> Self {
        Self::new(name, Program::Peer, "raw-tokio")
    }

    const fn args(mut self, args: &'static [&'static str]) -> Self {
        self.args = args;
        self
    }

    const fn threads(mut self) -> Self {
        self.threads = true;
        self
    }

    const fn broadcasts(mut self) -> Self {
        self.broadcasts = true;
        self
    }

    const fn deflates(mut self, classes: &'static [Class]) -> Self {
        self.deflates = classes;
        self
    }

    const fn pings(mut self) -> Self {
        self.pings = true;
        self
    }

    const fn shapes(mut self, names: &'static [&'static str]) -> Self {
        self.shapes = names;
        self
    }

    pub fn is_raw(&self) -> bool {
        self.program == Program::Raw
    }

    /// Whether it is the library's own.
    pub const fn is_own(&self) -> bool {
        matches!(self.program, Program::Example(_))
    }

    /// How connections to it begin, unless they compress.
    pub fn opening(&self) -> Opening {
        if self.is_raw() { Opening::None } else { Opening::Plain }
    }

    pub const fn program(&self) -> Program {
        self.program
    }

    /// Starts it on the server's core and a free port.
    pub fn start(&self, built: &Built, cores: Cores, options: &[&str]) -> io::Result<Running> {
        self.start_under(&[], built, cores, options)
    }

    /// The same, run by another program: the first of `tool`, with the rest as its options.
    pub fn start_under(
        &self,
        tool: &[&str],
        built: &Built,
        cores: Cores,
        options: &[&str],
    ) -> io::Result<Running> {
        let executable = |path: &Option<PathBuf>| {
            path.clone().ok_or_else(|| io::Error::other("its program has not been built"))
        };
        let mut command = match self.program {
            Program::Raw | Program::LightPeer | Program::Peer => {
                let mut command = Command::new(executable(&built.peer_server)?);
                command.arg(self.name);
                command
            }
            Program::Soketto => {
                let mut command = Command::new(executable(&built.soketto)?);
                command.arg(self.name);
                command
            }
            Program::Example(name) => Command::new(executable(&built.examples.get(name).cloned())?),
            Program::Beast => Command::new(executable(&built.beast)?),
        };
        command.arg("127.0.0.1:0").args(self.args).args(options);
        if let [program, rest @ ..] = tool {
            let mut under = Command::new(program);
            under.args(rest).arg(command.get_program()).args(command.get_args());
            command = under;
        }
        Running::start(command, cores)
    }
}

/// The loops that every `Stream` and `Sink` has.
const LOOPS: [&str; 4] = ["send", "writer", "batch", "forward"];

/// All of them, in the order of the tables.
pub const ALL: &[Server] = &[
    Server::raw("raw-tokio").broadcasts(),
    Server::raw("raw-epoll").broadcasts(),
    Server::new("raw-tokio+placed", Program::Raw, "raw-tokio"),
    Server::new("raw-epoll+placed", Program::Raw, "raw-epoll"),
    Server::new("bare-tokio", Program::LightPeer, "raw-tokio"),
    Server::raw("raw-threads").threads(),
    Server::new("echo_tokio", Program::Example("echo_tokio"), "raw-tokio")
        .broadcasts()
        .deflates(&Class::ALL)
        .pings(),
    Server::new("echo_tokio --easy", Program::Example("echo_tokio"), "raw-tokio").args(&["--easy"]),
    Server::new("echo_epoll", Program::Example("echo_epoll"), "raw-epoll").deflates(&Class::ALL).pings(),
    Server::new("echo_std", Program::Example("echo_std"), "raw-threads").threads(),
    Server::new("tungstenite", Program::LightPeer, "raw-threads").threads(),
    Server::peer("sansocket").shapes(&["send", "writer", "batch", "forward", "lent"]),
    Server::peer("sansocket+futures").shapes(&LOOPS),
    Server::peer("tokio-tungstenite").broadcasts().shapes(&LOOPS),
    Server::peer("tokio-tungstenite+batch"),
    Server::peer("fastwebsockets"),
    Server::peer("fastwebsockets+direct"),
    Server::peer("fastwebsockets+batch").broadcasts(),
    Server::peer("tokio-websockets").broadcasts().shapes(&LOOPS),
    Server::peer("tokio-websockets+batch"),
    Server::new("web-socket", Program::LightPeer, "raw-tokio"),
    Server::new("web-socket+batch", Program::LightPeer, "raw-tokio"),
    Server::peer("yawc"),
    Server::peer("yawc+direct").broadcasts().deflates(&Class::ALL),
    Server::peer("yawc+batch").deflates(&Class::ALL),
    Server::peer("wtx").deflates(&[Class::Shared]),
    Server::new("soketto", Program::Soketto, "raw-tokio").deflates(&[Class::Shared]),
    Server::new("soketto+batch", Program::Soketto, "raw-tokio").deflates(&[Class::Shared]),
    Server::peer("sockudo-ws").broadcasts().deflates(&Class::ALL),
    Server::peer("sockudo-ws+feed").deflates(&Class::ALL),
    Server::peer("sockudo-ws+batch").deflates(&Class::ALL),
    Server::peer("sockudo-ws+raw"),
    Server::new("beast", Program::Beast, "raw-epoll").deflates(&Class::ALL).pings(),
];

/// Those that were asked for, and the raw ones beside which they stand.
pub fn select(only: &[String]) -> Result<Vec<&'static Server>, String> {
    for name in only {
        if !ALL.iter().any(|server| server.name == name) {
            return Err(format!("there is no server {name}"));
        }
    }
    let is_asked = |server: &Server| only.is_empty() || only.iter().any(|name| name == server.name);
    let is_limit = |server: &Server| ALL.iter().any(|other| is_asked(other) && other.limit == server.name);
    Ok(ALL.iter().filter(|server| is_asked(server) || is_limit(server)).collect())
}
