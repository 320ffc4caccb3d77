//! An interactive client over tokio.

#[path = "wscat/options.rs"]
mod options;

use std::future::{pending, poll_fn};
use std::io::{BufRead, IsTerminal, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use options::{Options, options};

use sansocket::client::{ConnectError, ProxyFailure, Reconnect, ReconnectEvent};
use sansocket::tokio::{ClientStream, Error, HandshakeError, Reconnecting, WebSocket};
use sansocket::{CloseCode, Event, Initiator, Message, State};
use tokio::sync::mpsc;
use tokio::time::interval;

const MAX_QUEUED: usize = 64 << 10;

/// The input ended with something that is no text.
static INPUT_FAILED: AtomicBool = AtomicBool::new(false);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = options().unwrap_or_else(|error| {
        eprintln!("{error}\n\nwscat --help says what it takes");
        std::process::exit(2);
    });
    let code = run(options).await;
    if INPUT_FAILED.load(Ordering::Relaxed) { ExitCode::from(2) } else { code }
}

async fn run(options: Options) -> ExitCode {
    let quiet = options.quiet;
    let mut policy = Reconnect::new().first_delay(Duration::from_secs(1)).observe(move |event| match event {
        ReconnectEvent::Lost { retry_in: Some(_), .. } if !quiet => eprintln!("{event}"),
        _ => {}
    });
    // Who closed, or meant to, wants no other connection.
    let is_done = Arc::new(AtomicBool::new(!options.reconnect));
    let stops = is_done.clone();
    policy = policy.stop_when(move |lost| stops.load(Ordering::Relaxed) || lost.is_final());
    let mut client = Reconnecting::with_connector(policy, options.connector.clone());
    let mut lines = Some(read_lines());
    let mut code = ExitCode::from(1);
    loop {
        match client.connected().await {
            Ok(Some(ws)) => {
                code = talk(ws, &options, &mut lines).await;
                if ws.summary().is_some_and(|summary| summary.initiator == Initiator::Local) {
                    is_done.store(true, Ordering::Relaxed);
                }
            }
            Ok(None) => return code,
            Err(error) => {
                eprintln!("error: {error}");
                show_answer(&error);
                return code;
            }
        }
    }
}

/// Both directions, until the connection ends.
async fn talk(
    ws: &mut WebSocket<ClientStream>,
    options: &Options,
    lines: &mut Option<mpsc::Receiver<String>>,
) -> ExitCode {
    let say = |text: String| {
        if !options.quiet {
            eprintln!("{text}")
        }
    };
    say(format!("connected, subprotocol: {}", ws.subprotocol().unwrap_or("none")));
    // Why it ended is told by whoever asks for the next connection.
    let _ = exchange(ws, options, lines).await;
    let Some(summary) = ws.summary() else { return ExitCode::from(3) };
    say(format!("closed: {summary}"));
    let is_good = summary.clean && matches!(summary.code, CloseCode::NORMAL | CloseCode::NO_STATUS_RECEIVED);
    ExitCode::from(if is_good { 0 } else { 3 })
}

async fn exchange(
    ws: &mut WebSocket<ClientStream>,
    options: &Options,
    lines: &mut Option<mpsc::Receiver<String>>,
) -> Result<(), Error> {
    let mut pings = interval(options.ping.unwrap_or(Duration::from_secs(3600)));
    pings.tick().await; // the first is at once
    loop {
        let is_open = ws.connection().state() == State::Open;
        // Where a server must be heard before it takes more, input waits.
        let is_full = ws.queued() >= MAX_QUEUED;
        tokio::select! {
            heard = hear(ws, is_full) => match heard? {
                Heard::Message if options.once && is_open => ws.start_close(CloseCode::NORMAL, "").await?,
                Heard::End => return Ok(()),
                _ => {}
            },
            line = next_line(lines), if is_open && !is_full => match command(ws, line, options).await {
                Err(Error::Send(error)) => eprintln!("not sent: {error}"),
                done => done?,
            },
            _ = pings.tick(), if is_open && options.ping.is_some() => ws.ping(b"").await?,
        }
    }
}

enum Heard {
    Message,
    Other,
    /// What was queued has left, as far as needed.
    Room,
    End,
}

/// Shows the next event. With a full queue it ends as soon as that has room again: whatever wakes it may have made some.
async fn hear(ws: &mut WebSocket<ClientStream>, is_full: bool) -> Result<Heard, Error> {
    poll_fn(|context| {
        // All state is in the connection: a new future goes on where the last one was.
        let heard = pin!(ws.recv_event()).poll(context).map_ok(|event| match event {
            None => Heard::End,
            Some(event) => {
                show(&event);
                if matches!(event, Event::Message(_)) { Heard::Message } else { Heard::Other }
            }
        });
        if heard.is_pending() && is_full && ws.queued() < MAX_QUEUED {
            return Poll::Ready(Ok(Heard::Room));
        }
        heard
    })
    .await
}

/// `None` once, at the end of the input.
async fn next_line(lines: &mut Option<mpsc::Receiver<String>>) -> Option<String> {
    let Some(input) = lines else { return pending().await };
    let line = input.recv().await;
    if line.is_none() {
        *lines = None;
    }
    line
}

/// A thread reads the input, as that cannot be given up in the middle; it ends with the process.
fn read_lines() -> mpsc::Receiver<String> {
    let (tx, rx) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let failed = |error: &std::io::Error| {
                eprintln!("input: {error}");
                INPUT_FAILED.store(true, Ordering::Relaxed);
            };
            let Ok(line) = line.inspect_err(failed) else { break };
            if tx.blocking_send(line).is_err() {
                break;
            }
        }
    });
    rx
}

/// Carries out one line of the input; `None` is its end.
async fn command(
    ws: &mut WebSocket<ClientStream>,
    line: Option<String>,
    options: &Options,
) -> Result<(), Error> {
    let Some(line) = line else {
        return if options.keep_open { Ok(()) } else { ws.start_close(CloseCode::NORMAL, "").await };
    };
    let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
    match word {
        _ if !options.commands => return ws.feed(&line).await,
        "/ping" => return ws.ping(rest.as_bytes()).await,
        "/binary" => match from_hex(rest) {
            Some(bytes) => return ws.feed(bytes).await,
            None => eprintln!("no hex digits in pairs: {rest}"),
        },
        "/close" => {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            match code.parse::<u16>() {
                Ok(code) => return ws.start_close(code.into(), reason).await,
                Err(_) if rest.is_empty() => return ws.start_close(CloseCode::NORMAL, "").await,
                Err(_) => eprintln!("no close code: {code}"),
            }
        }
        _ => match line.strip_prefix('/') {
            None => return ws.feed(&line).await,
            Some(text) if text.starts_with('/') => return ws.feed(text).await,
            Some(_) => eprintln!("unknown command {word}, see --help"),
        },
    }
    Ok(())
}

fn show(event: &Event<'_>) {
    let shown = match event {
        Event::Message(Message::Text(text)) => writeln!(std::io::stdout(), "{}", printable(text)),
        Event::Message(Message::Binary(bytes)) => writeln!(std::io::stdout(), "{}", hex(bytes)),
        Event::Ping(payload) => writeln!(std::io::stderr(), "ping \"{}\"", payload.escape_ascii()),
        Event::Pong(payload) => writeln!(std::io::stderr(), "pong \"{}\"", payload.escape_ascii()),
        Event::Close(_) => Ok(()),
        other => writeln!(std::io::stderr(), "{other:?}"),
    };
    if shown.is_err() {
        // The reader of a pipe is gone: nobody is left to receive for.
        std::process::exit(0);
    }
}

/// What a server or a proxy said instead of opening the connection.
fn show_answer(error: &Error) {
    let refusal = match error {
        Error::Handshake(error) => match &**error {
            HandshakeError::Refusal(refusal) => refusal,
            _ => return,
        },
        Error::Connect(error) => match &**error {
            ConnectError::Proxy { failure: ProxyFailure::Refused(refusal), .. } => refusal,
            ConnectError::Redirect(error) => error.refusal(),
            _ => return,
        },
        _ => return,
    };
    let head = refusal.head();
    eprintln!("HTTP {} {}", head.status(), head.reason().escape_ascii());
    for (name, value) in head.headers() {
        eprintln!("{name}: {}", value.escape_ascii());
    }
    eprintln!("\n{}", printable(&String::from_utf8_lossy(refusal.body())));
}

/// A terminal obeys control characters, which is not for a peer to use.
fn printable(text: &str) -> String {
    let is_terminal = std::io::stdout().is_terminal();
    let is_safe = |c: char| !is_terminal || !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().map(|c| if is_safe(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<u32>>>()?;
    let pairs = digits.chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    pairs.collect()
}
