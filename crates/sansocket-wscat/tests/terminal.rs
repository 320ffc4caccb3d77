//! wscat on a terminal: a pseudo terminal, and an emulator that tells what a user sees.
#![cfg(unix)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty};
use rustix::termios::{LocalModes, tcgetattr};
use sansocket::blocking::WebSocket;
use sansocket::{Event, Message};
use support::{Folder, LIMIT, UNSET, closed_with, echo_server, read_head, serve, serve_tcp};

const ROWS: u16 = 40;
const COLUMNS: u16 = 100;

struct Terminal {
    child: Child,
    pty: Pty,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// The bytes that were written to the terminal.
    raw: Vec<u8>,
    data: Folder,
}

impl Terminal {
    fn start(args: &[&str]) -> Self {
        Self::start_with(args, Folder::new(), "xterm")
    }

    /// `data` is the folder of the history.
    fn start_with(args: &[&str], data: Folder, term: &str) -> Self {
        Self::start_changed(args, data, term, |command| command)
    }

    fn start_changed(
        args: &[&str],
        data: Folder,
        term: &str,
        change: impl FnOnce(Command) -> Command,
    ) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(Size::new(ROWS, COLUMNS)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wscat")).args(args);
        for name in UNSET {
            command = command.env_remove(name);
        }
        command = command.env("TERM", term).env("XDG_DATA_HOME", data.path()).env("HOME", data.path());
        let child = change(command).spawn(pts).unwrap();
        let mut reader = std::fs::File::from(pty.as_fd().try_clone_to_owned().unwrap());
        let (tx, output) = channel();
        // Ends with an error when the process has ended.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = reader.read(&mut bytes) {
                if tx.send(bytes[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        let screen = vt100::Parser::new(ROWS.try_into().unwrap(), COLUMNS.try_into().unwrap(), 0);
        Self { child, pty, output, screen, raw: Vec::new(), data }
    }

    /// Starts with an open connection.
    fn connected(url: &str) -> Self {
        let mut terminal = Self::start(&[url]);
        terminal.expect_line("* connected to ");
        terminal.expect_last("> ");
        terminal
    }

    fn keys(&mut self, keys: &str) {
        self.pty.write_all(keys.as_bytes()).unwrap();
    }

    /// Returns the lines that a user sees, without empty ones.
    fn lines(&self) -> Vec<String> {
        let rows = self.screen.screen().rows(0, COLUMNS);
        rows.map(|row| row.trim_end().to_string()).filter(|row| !row.is_empty()).collect()
    }

    fn wait_for(&mut self, what: &str, holds: impl Fn(&[String]) -> bool) {
        let begun = Instant::now();
        while !holds(&self.lines()) {
            match self.output.recv_timeout(Duration::from_millis(50)) {
                Ok(bytes) => self.take(&bytes),
                Err(_) if begun.elapsed() > LIMIT => panic!("{what:?} does not come: {:#?}", self.lines()),
                Err(_) => {}
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.screen.process(bytes);
    }

    /// Waits for a line that begins so.
    fn expect_line(&mut self, start: &str) {
        self.wait_for(start, |lines| lines.iter().any(|line| line.starts_with(start)));
    }

    /// Waits until the last line, which is the one that is edited, is this.
    fn expect_last(&mut self, line: &str) {
        let line = line.trim_end().to_string();
        self.wait_for(&line.clone(), |lines| lines.last() == Some(&line));
    }

    /// Waits for the end; the exit status. The terminal must be as it was.
    fn end(&mut self) -> i32 {
        let status = support::wait(&mut self.child);
        // The reader ends when the terminal has no user any more.
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_secs(5)) {
            self.take(&bytes);
        }
        let modes = tcgetattr(&self.pty).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "{modes:?}");
        assert!(!self.screen.screen().bracketed_paste());
        status
    }

    fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|other| *other == line).count()
    }
}

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const UP: &str = "\x1b[A";
const LEFT: &str = "\x1b[D";

#[test]
fn both_directions_have_their_markers() {
    let (url, server) = echo_server();
    let mut terminal = Terminal::connected(&url);
    terminal.keys("hello\r");
    terminal.expect_line("< hello");
    terminal.keys("/binary 00ff\r");
    terminal.expect_line("< binary, 2 bytes: 00ff");
    terminal.keys("//slash\r");
    terminal.expect_line("< /slash");
    terminal.keys("\r"); // sends nothing
    terminal.keys("/text\r");
    terminal.wait_for("an empty message", |lines| lines.iter().any(|line| line == "<"));
    terminal.keys("/help\r");
    terminal.expect_line("* /close [CODE [REASON]]");
    terminal.keys("/nonsense\r");
    terminal.expect_line("* no such command: /nonsense");
    assert_eq!((terminal.count("> hello"), terminal.count("< hello"), terminal.count("<")), (1, 1, 1));
    terminal.keys("/close\r");
    terminal.expect_line("> close 1000");
    terminal.expect_line("< close 1000");
    terminal.expect_line("* closed: 1000");
    assert_eq!(terminal.end(), 0);
    server.join().unwrap();
}

#[test]
fn a_message_that_arrives_leaves_the_line_that_is_edited_alone() {
    let (send, sends) = channel::<String>();
    let (url, server) = serve(move |mut ws| {
        for text in sends {
            ws.send(text).unwrap();
        }
        let received = ws.recv().unwrap();
        closed_with(ws);
        received
    });
    let mut terminal = Terminal::connected(&url);
    terminal.keys("half");
    terminal.expect_last("> half");
    for number in 0..50 {
        send.send(format!("news {number}")).unwrap();
    }
    // Longer than a row of the terminal.
    send.send("x".repeat(250)).unwrap();
    send.send("last".into()).unwrap();
    drop(send);
    terminal.expect_line("< last");
    terminal.expect_last("> half");
    let lines = terminal.lines();
    let at = lines.iter().position(|line| *line == "< news 49").unwrap();
    assert_eq!(lines[at - 1], "< news 48");
    assert_eq!(lines[at + 1], format!("< {}", "x".repeat(98)));
    assert_eq!(lines[at + 4..], ["< last", "> half"]);
    terminal.keys(" a line\r");
    terminal.keys("/close\r");
    assert_eq!(terminal.end(), 0);
    assert_eq!(server.join().unwrap(), Some("half a line".into()));
}

/// Collects the messages of a client.
fn messages(mut ws: WebSocket<TcpStream>) -> Vec<String> {
    let mut seen = Vec::new();
    while let Ok(Some(message)) = ws.recv() {
        seen.push(message.as_text().unwrap().to_string());
    }
    seen
}

#[test]
fn lines_are_edited_and_remembered() {
    let (url, server) = serve(messages);
    let mut terminal = Terminal::connected(&url);
    for keys in ["helo", LEFT, "l", "\r", "grüßx\x7fe\r", UP, UP, "!\r", " secret\r"] {
        terminal.keys(keys);
    }
    // What is pasted is one message, line ends included.
    terminal.keys("\x1b[200~one\rtwo\x1b[201~\r");
    terminal.keys("/close\r");
    assert_eq!(terminal.end(), 0);
    assert_eq!(server.join().unwrap(), ["hello", "grüße", "hello!", " secret", "one\ntwo"]);

    let history = std::fs::read_to_string(terminal.data.path().join("wscat/history")).unwrap();
    assert!(history.contains("hello!") && !history.contains("secret"), "{history}");
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(terminal.data.path().join("wscat/history")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);

    // The next run goes on with it.
    let (url, server) = serve(messages);
    let mut next = Terminal::start_with(&[&url], terminal.data, "xterm");
    next.expect_last("> ");
    next.keys("\x12ello!\x05?\r"); // Ctrl-R searches, Ctrl-E goes to the end
    next.keys("/close\r");
    assert_eq!(next.end(), 0);
    assert_eq!(server.join().unwrap(), ["hello!?"]);
}

#[test]
fn the_history_can_be_turned_off() {
    let (url, server) = serve(messages);
    let mut terminal = Terminal::start(&[&url, "--no-history"]);
    terminal.expect_last("> ");
    terminal.keys("hello\r");
    terminal.keys("/close\r");
    assert_eq!(terminal.end(), 0);
    assert_eq!(server.join().unwrap(), ["hello"]);
    assert!(!terminal.data.path().join("wscat").exists());
}

#[test]
fn pings_are_shown_in_both_directions() {
    let (url, server) = serve(|mut ws| {
        let mut pings = Vec::new();
        while let Ok(Some(event)) = ws.recv_event() {
            if let Event::Ping(payload) = event {
                pings.push(payload.to_vec());
                ws.ping(b"of the server").unwrap();
            }
        }
        pings
    });
    let mut terminal = Terminal::connected(&url);
    terminal.keys("/ping are you there\r");
    terminal.expect_line("< pong \"are you there\" after ");
    terminal.expect_line("< ping \"of the server\"");
    terminal.keys(&format!("/ping {}\r", "x".repeat(126)));
    terminal.expect_line("* not sent: ");
    terminal.keys("/ping\r");
    terminal.expect_line("< pong \"\" after ");
    terminal.keys("/close\r");
    assert_eq!(terminal.end(), 0);
    assert_eq!(server.join().unwrap(), [&b"are you there"[..], b""]);
}

#[test]
fn close_takes_a_code_and_a_reason() {
    let (url, server) = serve(closed_with);
    let mut terminal = Terminal::connected(&url);
    terminal.keys("/close 999\r");
    terminal.expect_line("* not sent: close code 999");
    terminal.keys("/close 4000 see you\r");
    terminal.expect_line("> close 4000 \"see you\"");
    terminal.expect_line("* closed: 4000");
    assert_eq!(terminal.end(), 0);
    assert_eq!(server.join().unwrap(), (4000, "see you".into()));
}

#[test]
fn what_a_peer_sends_cannot_drive_the_terminal() {
    let (url, server) = serve(|mut ws| {
        ws.send("\x1b[2J\x1b]0;title\x07\u{202e}evil\u{9b}1m\r< fake").unwrap();
        ws.send("first\n* closed: fake\n\tindented").unwrap();
        ws.ping(b"\x1b[31m\n").unwrap();
        ws.send(Message::from("done")).unwrap();
        support::close(ws, 4000, "\x1b[2J\u{202e}");
    });
    let mut terminal = Terminal::start(&[&url, "--no-color"]);
    terminal.expect_line("* closed: ");
    assert_eq!(terminal.end(), 40);
    let lines = terminal.lines();
    let expected = [
        "< \\x1b[2J\\x1b]0;title\\x07\\u{202e}evil\\u{9b}1m\\r< fake",
        "< first",
        "  * closed: fake",
        "        indented",
        "< ping \"\\x1b[31m\\n\"",
        "< done",
        "< close 4000 \"\\x1b[2J\\u{202e}\"",
    ];
    let at = lines.iter().position(|line| line == expected[0]).unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!(lines[at..at + expected.len()], expected);
    let raw = String::from_utf8_lossy(&terminal.raw);
    assert!(!raw.contains('\u{202e}') && !raw.contains("\x1b[31m") && !raw.contains('\x07'), "{raw:?}");
    server.join().unwrap();
}

#[test]
fn ctrl_c_and_ctrl_d_close() {
    for (keys, typed) in [(CTRL_C, ""), (CTRL_C, "half a line"), (CTRL_D, "")] {
        let (url, server) = serve(closed_with);
        let mut terminal = Terminal::connected(&url);
        terminal.keys(typed);
        terminal.expect_last(&format!("> {typed}"));
        terminal.keys(keys);
        terminal.expect_line("* closed: 1000");
        assert_eq!(terminal.end(), 0);
        assert_eq!(server.join().unwrap(), (1000, String::new()));
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let (url, server) = serve(|ws| {
        // Answers no Close frame.
        let mut stream = ws.into_parts().transport;
        while stream.read(&mut [0; 100]).unwrap_or(0) > 0 {}
    });
    let mut terminal = Terminal::connected(&url);
    terminal.keys(CTRL_C);
    terminal.expect_line("> close 1000");
    terminal.keys("too late\r");
    terminal.expect_line("* not sent: ");
    let begun = Instant::now();
    terminal.keys(CTRL_C);
    assert_eq!(terminal.end(), 130);
    assert!(begun.elapsed() < Duration::from_secs(9), "not the timeout of closing");
    server.join().unwrap();
}

#[test]
fn ctrl_c_before_the_connection_is_open_ends_with_130() {
    let (ready, is_ready) = channel();
    let (url, server) = serve_tcp(move |mut stream| {
        read_head(&mut stream);
        ready.send(()).unwrap();
        stream.read(&mut [0]).unwrap_or(0)
    });
    let mut terminal = Terminal::start(&[&url]);
    is_ready.recv_timeout(LIMIT).unwrap();
    terminal.keys(CTRL_C);
    assert_eq!(terminal.end(), 130);
    server.join().unwrap();
}

#[test]
fn the_end_of_the_connection_ends_the_editor() {
    let (go, goes) = channel();
    let (url, server) = serve(move |mut ws| {
        goes.recv().unwrap();
        ws.send("the last words").unwrap();
        support::close(ws, 1011, "broken");
    });
    let mut terminal = Terminal::connected(&url);
    terminal.keys("half a line");
    terminal.expect_last("> half a line");
    go.send(()).unwrap();
    assert_eq!(terminal.end(), 21);
    terminal.expect_line("< the last words");
    terminal.expect_line("* closed: 1011 (internal error) \"broken\"");
    server.join().unwrap();
}

#[test]
fn nothing_that_was_received_is_missing_at_the_end() {
    for _ in 0..5 {
        let (url, server) = serve(|mut ws| {
            for number in 0..30 {
                ws.send(format!("message {number}")).unwrap();
            }
            support::close(ws, 1000, "");
        });
        let mut terminal = Terminal::start(&[&url]);
        assert_eq!(terminal.end(), 0);
        let lines = terminal.lines();
        for number in 0..30 {
            assert_eq!(terminal.count(&format!("< message {number}")), 1, "{lines:#?}");
        }
        assert_eq!(lines.iter().filter(|line| line.starts_with("* closed: 1000")).count(), 1, "{lines:#?}");
        server.join().unwrap();
    }
}

#[test]
fn a_terminal_that_can_do_nothing_still_takes_lines() {
    let (url, server) = echo_server();
    let mut terminal = Terminal::start_with(&[&url], Folder::new(), "dumb");
    terminal.expect_line("connected, subprotocol: none");
    terminal.keys("hello\r");
    terminal.wait_for("the echo", |lines| lines.iter().filter(|line| *line == "hello").count() == 2);
    terminal.keys("/close\r");
    assert_eq!(terminal.end(), 0);
    server.join().unwrap();
}

#[test]
fn a_pipe_to_a_terminal_is_escaped_and_has_no_markers() {
    let (url, server) = echo_server();
    let piped = |command: Command| command.stdin(Stdio::piped());
    let mut terminal = Terminal::start_changed(&[&url, "-q"], Folder::new(), "xterm", piped);
    let mut stdin = terminal.child.stdin.take().unwrap();
    stdin.write_all("\x1b[31mred\u{202e}\n/ping\n".as_bytes()).unwrap();
    drop(stdin);
    assert_eq!(terminal.end(), 0);
    assert_eq!(terminal.lines(), ["\\x1b[31mred\\u{202e}", "/ping"]);
    server.join().unwrap();

    let mut terminal = Terminal::start_changed(&["ws://a/", "--binary=raw"], Folder::new(), "xterm", piped);
    assert_eq!(terminal.end(), 2);
    assert!(terminal.lines()[0].starts_with("error: raw output"), "{:?}", terminal.lines());
}

#[test]
fn a_terminal_whose_output_goes_to_a_file_takes_commands() {
    let (url, server) = serve(closed_with);
    let piped = |command: Command| command.stdout(Stdio::piped());
    let mut terminal = Terminal::start_changed(&[&url], Folder::new(), "xterm", piped);
    terminal.expect_line("connected, subprotocol: none");
    terminal.keys("/close 4000 bye\r");
    assert_eq!(terminal.end(), 0);
    assert_eq!(server.join().unwrap(), (4000, "bye".into()));
}

#[test]
fn a_resize_keeps_the_line() {
    let (url, server) = serve(messages);
    let mut terminal = Terminal::connected(&url);
    terminal.keys("before");
    terminal.expect_last("> before");
    terminal.pty.resize(Size::new(20, 60)).unwrap();
    terminal.keys(" and after\r");
    terminal.keys("/close\r");
    assert_eq!(terminal.end(), 0);
    assert_eq!(server.join().unwrap(), ["before and after"]);
}
