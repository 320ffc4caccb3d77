//! Helpers that the tests share: wscat as a process, and servers on loopback. Everything ends within `LIMIT`.
#![allow(dead_code, unreachable_pub)]

pub mod tls;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sansocket::CloseCode;
use sansocket::blocking::{self, Transport, WebSocket};

/// Generous, for machines under load.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Variables that are unset, so that proxies and colors of the machine do not change a test.
pub const UNSET: [&str; 9] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "NO_COLOR",
];

pub fn wscat(args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wscat"));
    for name in UNSET {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The outcome of a run.
#[derive(Debug)]
pub struct Outcome {
    pub status: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Outcome {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// A run whose input stays open until it is dropped or taken.
pub struct Running {
    pub child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    pub fn start(args: &[impl AsRef<OsStr>]) -> Self {
        let mut child = wscat(args).spawn().unwrap();
        let stdout = child.stdout.take().map(read_all);
        let stderr = child.stderr.take().map(read_all);
        Self { child, stdout, stderr }
    }

    pub fn write(&mut self, input: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(input).unwrap();
    }

    /// Waits for the end, without ending the input.
    pub fn wait(&mut self) -> Outcome {
        let status = wait(&mut self.child);
        let collected = |thread: Option<JoinHandle<Vec<u8>>>| thread.map(|thread| thread.join().unwrap());
        Outcome {
            status,
            stdout: collected(self.stdout.take()).unwrap_or_default(),
            stderr: String::from_utf8(collected(self.stderr.take()).unwrap_or_default()).unwrap(),
        }
    }
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).unwrap();
        all
    })
}

/// The exit status; a signal is shown as its negative number.
pub fn wait(child: &mut Child) -> i32 {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            #[cfg(unix)]
            if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
                return -signal;
            }
            return status.code().unwrap();
        }
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("wscat does not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs wscat with this input, which ends then.
pub fn run(args: &[impl AsRef<OsStr>], input: &[u8]) -> Outcome {
    let mut running = Running::start(args);
    // A run that ends early reads nothing.
    let _ = running.child.stdin.take().unwrap().write_all(input);
    running.wait()
}

/// A server of the crate that takes one connection; its URL.
pub fn serve<R: Send + 'static>(
    act: impl FnOnce(WebSocket<TcpStream>) -> R + Send + 'static,
) -> (String, JoinHandle<R>) {
    serve_tcp(move |stream| act(blocking::accept(stream).unwrap()))
}

/// A server that takes one connection and speaks by itself; its `ws:` URL.
pub fn serve_tcp<R: Send + 'static>(
    act: impl FnOnce(TcpStream) -> R + Send + 'static,
) -> (String, JoinHandle<R>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        act(stream)
    });
    (url, server)
}

pub fn echo_server() -> (String, JoinHandle<()>) {
    serve(echo)
}

/// Echoes until the end.
pub fn echo<S: Transport>(mut ws: WebSocket<S>) {
    while let Ok(Some((message, mut tx))) = ws.recv_ref() {
        tx.feed(&message).unwrap();
    }
}

/// Waits for the end and returns the code and the reason of the peer's Close frame.
pub fn closed_with<S: Transport>(mut ws: WebSocket<S>) -> (u16, String) {
    while let Ok(Some(_)) = ws.recv() {}
    let summary = ws.summary().unwrap();
    (summary.code.get(), summary.reason.as_str().into())
}

pub fn close<S: Transport>(mut ws: WebSocket<S>, code: u16, reason: &str) {
    let _ = ws.close(CloseCode::new(code), reason);
}

/// Reads a request up to and with the blank line.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A folder that goes with its value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wscat-test-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file; its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().into()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
