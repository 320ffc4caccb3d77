//! Everything that wscat shows: above the edited line of a terminal, or on the standard output and error.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use rustyline::ExternalPrinter;
use sansocket::Message;
use sansocket::handshake::ResponseHead;

use crate::args::Args;
use crate::data::Encoding;
use crate::escape::{escaped, escaped_bytes, escaped_line};

pub type Printer = Box<dyn ExternalPrinter + Send>;

/// The subject of a line on the terminal.
#[derive(Clone, Copy)]
pub enum Mark {
    Sent,
    Received,
    State,
}

impl Mark {
    const fn sign(self) -> char {
        match self {
            Self::Sent => '>',
            Self::Received => '<',
            Self::State => '*',
        }
    }

    const fn color(self) -> &'static str {
        match self {
            Self::Sent => "\x1b[32m",
            Self::Received => "\x1b[36m",
            Self::State => "\x1b[33m",
        }
    }
}

pub struct Output {
    /// Prints above the line that is edited; `None` while there is no editor.
    editor: Mutex<Option<Printer>>,
    binary: Encoding,
    has_color: bool,
    is_terminal: bool,
    pub is_quiet: bool,
    pub is_verbose: bool,
}

impl Output {
    pub fn new(args: &Args) -> Result<Self, String> {
        let binary = args.binary_out.or(args.binary).unwrap_or(Encoding::Hex);
        let is_terminal = io::stdout().is_terminal();
        if binary == Encoding::Raw && is_terminal {
            return Err("raw output would disturb the terminal: send it to a file or a pipe, or use \
                        --binary-out=hex"
                .into());
        }
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Ok(Self {
            editor: Mutex::new(None),
            binary,
            has_color: !(args.no_color || no_color),
            is_terminal,
            is_quiet: args.quiet,
            is_verbose: args.verbose,
        })
    }

    pub fn set_editor(&self, printer: Option<Printer>) {
        *self.editor.lock().unwrap_or_else(PoisonError::into_inner) = printer;
    }

    pub fn has_editor(&self) -> bool {
        self.editor.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Shows a message of the peer.
    ///
    /// # Errors
    ///
    /// The standard output cannot be written; `BrokenPipe` if its reader is gone.
    pub fn message(&self, message: &Message<'_>) -> io::Result<()> {
        if self.has_editor() {
            self.print(Mark::Received, &self.shown(message));
            return Ok(());
        }
        let mut out = io::stdout().lock();
        match message {
            Message::Text(text) if self.is_terminal => writeln!(out, "{}", escaped(text, ""))?,
            Message::Text(text) => writeln!(out, "{}", text.as_str())?,
            Message::Binary(bytes) if self.binary == Encoding::Raw => out.write_all(bytes)?,
            Message::Binary(bytes) => writeln!(out, "{}", self.binary.encode(bytes))?,
        }
        out.flush()
    }

    fn shown(&self, message: &Message<'_>) -> String {
        match message {
            Message::Text(text) => escaped(text, "  "),
            Message::Binary(bytes) => {
                format!("binary, {} bytes: {}", bytes.len(), self.binary.encode(bytes))
            }
        }
    }

    /// Says something about the connection or its control frames, unless wscat is to be quiet.
    pub fn say(&self, mark: Mark, text: &str) {
        if self.is_quiet {
            return;
        }
        if self.has_editor() {
            self.print(mark, text);
        } else {
            log(text);
        }
    }

    /// Says what is wrong.
    pub fn complain(&self, text: &str) {
        if self.has_editor() {
            self.print(Mark::State, text);
        } else {
            log(text);
        }
    }

    /// Shows a line of an HTTP head or the like, if wscat is to be verbose.
    pub fn detail(&self, mark: Mark, line: &str) {
        if !self.is_verbose {
            return;
        }
        if self.has_editor() {
            self.print(mark, &escaped_line(line));
        } else {
            log(&format!("{} {}", mark.sign(), escaped_line(line)));
        }
    }

    /// Shows the head of a response, if wscat is to be verbose.
    pub fn head(&self, head: &ResponseHead) {
        if !self.is_verbose {
            return;
        }
        let reason = escaped_bytes(head.reason());
        self.detail(Mark::Received, &format!("HTTP/1.1 {} {reason}", head.status()));
        for (name, value) in head.headers() {
            self.detail(Mark::Received, &format!("{name}: {}", escaped_bytes(value)));
        }
        self.detail(Mark::Received, "");
    }

    fn print(&self, mark: Mark, text: &str) {
        let (color, reset) = if self.has_color { (mark.color(), "\x1b[0m") } else { ("", "") };
        self.print_raw(format!("{color}{}{reset} {text}\n", mark.sign()));
    }

    /// Waits until the editor has taken everything that was printed before.
    pub fn settle(&self) {
        // The channel to the editor holds one string: when it takes another, the last one has left it. One line up and
        // one down changes nothing where it is still shown.
        self.print_raw("\x1b[A\n".into());
    }

    fn print_raw(&self, text: String) {
        let mut editor = self.editor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(printer) = editor.as_mut() {
            // A terminal that is gone ends the editor, which says so.
            let _ = printer.print(text);
        }
    }
}

/// Writes a line to the standard error, in one piece, so that nothing gets between it and its end.
fn log(text: &str) {
    // Nobody is left to be told that this fails.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
