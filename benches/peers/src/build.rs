//! Builds the servers with the settings that are measured: full optimization over all crates, one codegen unit.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::servers::{Program, Server};

/// The executables.
#[derive(Default)]
pub struct Built {
    pub peer_server: Option<PathBuf>,
    pub soketto: Option<PathBuf>,
    pub examples: HashMap<&'static str, PathBuf>,
    /// `None` if there is no C++ compiler or no Boost.
    pub beast: Option<PathBuf>,
}

/// Builds what these servers need, the library with compression if that is measured. Those that cannot be built here are
/// taken off the list, with a word.
pub fn build(servers: &mut Vec<&'static Server>, deflate: bool) -> io::Result<Built> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut built = Built::default();
    let mut examples = Vec::new();
    for server in servers.iter() {
        match server.program() {
            Program::Example(name) if !examples.contains(&name) => examples.push(name),
            _ => {}
        }
    }
    let mut command = cargo(own, "--release");
    command.args(["--bin", "peer_server"]);
    let has = |program| servers.iter().any(|server| server.program() == program);
    match (has(Program::Peer), has(Program::LightPeer)) {
        (true, _) if servers.iter().all(|server| !server.shapes.is_empty()) => {
            _ = command.args(["--features", "shapes"]);
        }
        (true, _) => _ = command.args(["--features", "peers"]),
        (false, true) => _ = command.args(["--features", "light-peers"]),
        (false, false) => {}
    }
    built.peer_server = executables(command)?.pop();
    if has(Program::Soketto) {
        let mut command = cargo(own, "--release");
        command.args(["--bin", "peer_server", "--features", "soketto", "--target-dir", "target/soketto"]);
        built.soketto = executables(command)?.pop();
    }
    if !examples.is_empty() {
        // The bench profile, so that what is measured is what `cargo bench` measures; it ends up in target/release.
        let mut command = cargo(&own.join("../.."), "--profile=bench");
        command.args(["--package=sansocket", "--features=sansocket/rand,sansocket/tokio,sansocket/simd"]);
        for name in &examples {
            // A package of its own, since its event loop is no dependency of the library. The features are the same.
            let package = if *name == "echo_epoll" { "echo_epoll" } else { "sansocket" };
            match package {
                "sansocket" => command.args(["--example", name]),
                _ => command.args(["--package", package, "--bin", name]),
            };
            if deflate {
                command.arg(format!("--features={package}/deflate"));
            }
        }
        for path in executables(command)? {
            let found = examples.iter().find(|name| path.file_name().is_some_and(|file| file == **name));
            built.examples.extend(found.map(|name| (*name, path)));
        }
    }
    if has(Program::Beast) {
        let directory = built.peer_server.as_ref().and_then(|path| path.parent());
        match beast(&own.join("beast/echo.cpp"), directory.unwrap_or(own)) {
            Ok(path) => built.beast = Some(path),
            Err(reason) => {
                eprintln!("beast is left out: {reason}");
                servers.retain(|server| server.program() != Program::Beast);
            }
        }
    }
    Ok(built)
}

fn cargo(package: &Path, profile: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--locked", profile, "--message-format=json-render-diagnostics"])
        .current_dir(package);
    command
}

/// Runs it; the paths that it tells.
fn executables(mut command: Command) -> io::Result<Vec<PathBuf>> {
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other("the build has failed"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let paths = text.lines().filter_map(|line| line.split_once("\"executable\":\"")?.1.split_once('"'));
    Ok(paths.map(|(path, _)| path.into()).collect())
}

/// The path of the program, or why there is none.
fn beast(source: &Path, directory: &Path) -> Result<PathBuf, String> {
    if !Path::new("/usr/include/boost/beast.hpp").exists() {
        return Err("Boost's headers are not installed (Debian's package libboost-dev)".into());
    }
    let path = directory.join("beast_echo");
    let is_new = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    if is_new(&path) > is_new(source) {
        return Ok(path);
    }
    eprintln!("compiling {} with g++ -O3", source.display());
    let status = Command::new("g++")
        .args(["-std=c++17", "-O3", "-flto", "-DNDEBUG", "-DBOOST_ASIO_DISABLE_THREADS", "-o"])
        .args([&path, source])
        .arg("-pthread")
        .status()
        .map_err(|error| format!("g++: {error}"))?;
    if status.success() { Ok(path) } else { Err(format!("g++: {status}")) }
}
