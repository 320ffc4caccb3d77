//! A WebSocket client for the command line.
//!
//! `args` is the command line and `setup` what becomes of it, with `tls` for certificates; `session` runs an open connection,
//! which takes lines from `editor` or `input`, read by `command`, and shows everything through `output`.

mod args;
mod command;
mod data;
mod editor;
mod escape;
mod exit;
mod input;
mod output;
mod session;
mod setup;
mod signals;
mod tls;

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use sansocket::client::{ConnectError, ProxyFailure, Reconnect, ReconnectEvent};
use sansocket::handshake::Refusal;
use sansocket::tokio::{Error, HandshakeError, Reconnecting};
use tokio::sync::mpsc::{self, UnboundedSender};

use args::Args;
use data::Encoding;
use editor::Editor;
use escape::{escaped, escaped_bytes, escaped_line};
use exit::Exit;
use input::Input;
use output::{Mark, Output};
use session::Session;
use setup::Options;

fn main() -> ExitCode {
    let args = Args::parse();
    let checked = Options::new(&args).and_then(|options| Ok((options, Output::new(&args)?)));
    let (options, output) = match checked {
        Ok(checked) => checked,
        Err(error) => {
            eprintln!("error: {}\n\nwscat --help says what it takes", escaped_line(&error));
            return Exit::Usage.into();
        }
    };
    let output = Arc::new(output);
    let (interrupt, interrupts) = mpsc::unbounded_channel();
    let runtime = signals::watch(interrupt.clone(), output.clone())
        .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Other.into();
        }
    };
    let session = Session::new(options, output, interrupts);
    let exit = runtime.block_on(run(session, interrupt));
    // A name that is still being resolved is not waited for.
    runtime.shutdown_background();
    exit.into()
}

/// Connects, talks, and connects again as long as that is wanted.
async fn run(mut session: Session, interrupt: UnboundedSender<()>) -> Exit {
    let output = session.output.clone();
    for line in session.options.request_head.lines() {
        output.detail(Mark::Sent, line);
    }
    let is_done = Arc::new(AtomicBool::new(session.is_done));
    let is_reported = Arc::new(AtomicBool::new(false));
    let policy = policy(&output, is_done.clone(), is_reported.clone());
    let mut client = Reconnecting::with_connector(policy, session.options.connector.clone());
    let (mut has_input, mut editor) = (false, None);
    let mut exit = Exit::Other;
    loop {
        let connected = tokio::select! {
            connected = client.connected() => connected,
            Some(()) = session.interrupts.recv() => {
                exit = Exit::Interrupted;
                break;
            }
        };
        match connected {
            Ok(Some(ws)) => {
                if !has_input {
                    editor = open_input(&mut session, &interrupt);
                    has_input = true;
                }
                match session.talk(ws).await {
                    ControlFlow::Continue(ended) => exit = ended,
                    ControlFlow::Break(ended) => {
                        exit = ended;
                        break;
                    }
                }
                is_done.store(session.is_done, Ordering::Relaxed);
                is_reported.store(true, Ordering::Relaxed);
            }
            Ok(None) => break,
            Err(_) if is_reported.load(Ordering::Relaxed) => break,
            Err(error) => {
                output.complain(&format!("error: {}", escaped_line(&error.to_string())));
                show_answer(&output, &error);
                exit = Exit::of_opening(&error);
                break;
            }
        }
    }
    if let Some(editor) = editor {
        output.settle();
        editor.stop();
        output.set_editor(None);
    }
    if session.has_input_failed { Exit::Usage } else { exit }
}

/// Returns the policy for reconnecting. Each attempt resets `is_reported`, since its error has not been shown yet.
fn policy(output: &Arc<Output>, is_done: Arc<AtomicBool>, is_reported: Arc<AtomicBool>) -> Reconnect {
    let output = output.clone();
    Reconnect::new()
        .first_delay(Duration::from_secs(1))
        .stop_when(move |lost| is_done.load(Ordering::Relaxed) || lost.is_final())
        .observe(move |event| match event {
            ReconnectEvent::Connecting { .. } => is_reported.store(false, Ordering::Relaxed),
            ReconnectEvent::Lost { retry_in: Some(_), .. } => {
                output.say(Mark::State, &escaped_line(&event.to_string()));
            }
            _ => {}
        })
}

/// Begins to read the input, with an editor if it is a terminal and the output too.
fn open_input(session: &mut Session, interrupt: &UnboundedSender<()>) -> Option<Editor> {
    let options = &session.options;
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if is_terminal && options.binary != Some(Encoding::Raw) {
        let (items, input) = mpsc::unbounded_channel();
        // A terminal that can do too little is read as a pipe is.
        if let Ok((editor, printer)) = editor::start(options.history.clone(), items, interrupt.clone()) {
            session.output.set_editor(Some(printer));
            session.input = Some(Input::Editor(input));
            return Some(editor);
        }
    }
    session.input = Some(input::read(options.binary));
    None
}

/// Shows what a server or a proxy said instead of opening the connection.
fn show_answer(output: &Output, error: &Error) {
    let Some(refusal) = refusal(error) else { return };
    let head = refusal.head();
    output.complain(&format!("HTTP {} {}", head.status(), escaped_bytes(head.reason())));
    for (name, value) in head.headers() {
        output.complain(&format!("{name}: {}", escaped_bytes(value)));
    }
    if !refusal.body().is_empty() {
        output.complain(&format!("\n{}", escaped(&String::from_utf8_lossy(refusal.body()), "")));
    }
}

fn refusal(error: &Error) -> Option<&Refusal> {
    match error {
        Error::Handshake(error) => match &**error {
            HandshakeError::Refusal(refusal) => Some(refusal),
            _ => None,
        },
        Error::Connect(error) => match &**error {
            ConnectError::Proxy { failure: ProxyFailure::Refused(refusal), .. } => Some(refusal),
            ConnectError::Redirect(error) => Some(error.refusal()),
            _ => None,
        },
        _ => None,
    }
}
