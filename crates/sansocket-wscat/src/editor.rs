//! The line editor of the terminal. It has a thread of its own, which reads keys and prints what others give it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustyline::error::ReadlineError;
use rustyline::history::{DefaultHistory, History};
use rustyline::{Config, DefaultEditor};
use tokio::sync::mpsc::UnboundedSender;

use crate::input::Item;
use crate::output::Printer;

const PROMPT: &str = "> ";
const MAX_HISTORY: usize = 1000;

/// An editor that runs.
pub struct Editor {
    thread: JoinHandle<()>,
    is_stopping: Arc<AtomicBool>,
}

/// Starts the editor; the error is that the terminal can show none.
pub fn start(
    history: Option<PathBuf>,
    items: UnboundedSender<Item>,
    interrupts: UnboundedSender<()>,
) -> rustyline::Result<(Editor, Printer)> {
    // Lines that begin with a space are not remembered.
    let config = Config::builder().max_history_size(MAX_HISTORY)?.history_ignore_space(true).build();
    let memory = DefaultHistory::with_config(&config);
    let mut editor = DefaultEditor::with_history(config, memory)?;
    let printer = editor.create_external_printer()?;
    let is_stopping = Arc::new(AtomicBool::new(false));
    let stops = is_stopping.clone();
    let thread = thread::spawn(move || read_lines(editor, history, &items, &interrupts, &stops));
    Ok((Editor { thread, is_stopping }, Box::new(printer)))
}

fn read_lines(
    mut editor: DefaultEditor,
    history: Option<PathBuf>,
    items: &UnboundedSender<Item>,
    interrupts: &UnboundedSender<()>,
    is_stopping: &AtomicBool,
) {
    if let Some(path) = &history {
        if let Some(folder) = path.parent() {
            let _ = fs::create_dir_all(folder);
        }
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    loop {
        let item = match editor.readline(PROMPT) {
            Ok(line) => {
                remember(&mut editor, history.as_ref(), &line);
                Item::Line(line)
            }
            Err(ReadlineError::Interrupted) if is_stopping.load(Ordering::SeqCst) => return,
            Err(ReadlineError::Interrupted) => {
                let _ = interrupts.send(());
                continue;
            }
            Err(ReadlineError::Eof) => {
                // A terminal that is gone says so again and again.
                thread::sleep(Duration::from_millis(100));
                Item::End
            }
            Err(error) => {
                let _ = items.send(Item::Failed(error.to_string()));
                return;
            }
        };
        if items.send(item).is_err() || is_stopping.load(Ordering::SeqCst) {
            return;
        }
    }
}

/// Saves each line at once, as wscat may be killed.
fn remember(editor: &mut DefaultEditor, file: Option<&PathBuf>, line: &str) {
    if !line.trim().is_empty()
        && editor.add_history_entry(line).unwrap_or(false)
        && let Some(file) = file
    {
        // A folder that cannot be written is no reason to disturb the user.
        let _ = editor.history_mut().append(file);
    }
}

impl Editor {
    /// Ends the editor, which gives the terminal back as it was.
    ///
    /// An editor that waits for a key takes SIGINT for Ctrl-C; while it is not waiting, the handler of
    /// [`signals`](crate::signals) takes it.
    #[cfg(unix)]
    pub fn stop(self) {
        use rustix::process::{Signal, getpid, kill_process};

        self.is_stopping.store(true, Ordering::SeqCst);
        for _ in 0..40 {
            if self.thread.is_finished() {
                return;
            }
            let _ = kill_process(getpid(), Signal::INT);
            thread::sleep(Duration::from_millis(25));
        }
    }

    /// Nothing wakes an editor that waits for a key; the shell sets the terminal up anew.
    #[cfg(not(unix))]
    pub fn stop(self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        drop(self.thread);
    }
}
