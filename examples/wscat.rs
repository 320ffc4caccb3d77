//! An interactive client over tokio.

use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use sansocket::tokio::{ClientStream, Connector, Error, HandshakeError, WebSocket};
use sansocket::{CloseCode, Event, Message, State};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};

const HELP: &str = "\
usage: wscat URL [-H 'Name: value']... [-s SUBPROTOCOL]... [--ping SECONDS]

Sends each line of the standard input as a text message and prints what it receives, binary messages as hex; all else
goes to the standard error. -H adds a header, -s offers a subprotocol, --ping sends a ping again and again. Commands:
  /ping [TEXT]            sends a ping
  /binary HEX             sends a binary message
  /close [CODE [REASON]]  closes, with 1000 by default; so does the end of the input (ctrl-D)
  //TEXT                  sends a text that begins with a slash
Exits with 0 after a clean close.";

const MAX_QUEUED: usize = 64 << 10;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (connector, ping) = options().unwrap_or_else(|error| {
        eprintln!("{error}\n\n{HELP}");
        std::process::exit(2);
    });
    let ended = match connector.connect().await {
        Ok(mut ws) => {
            let ended = talk(&mut ws, ping).await;
            if let Some(summary) = ws.summary() {
                eprintln!("closed: {summary}");
            }
            ended
        }
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        eprintln!("error: {error}");
        if let Error::Handshake(handshake) = &error {
            show_refusal(handshake);
        }
        std::process::exit(1);
    }
}

fn options() -> Result<(Connector, Option<Duration>), String> {
    let (mut url, mut headers, mut subprotocols, mut ping) = (None, Vec::new(), Vec::new(), None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} takes a value"));
        match arg.as_str() {
            "--help" | "-h" => {
                println!("{HELP}");
                std::process::exit(0);
            }
            "-H" => headers.push(value()?),
            "-s" => subprotocols.push(value()?),
            "--ping" => {
                let seconds =
                    value()?.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                ping = Some(seconds.filter(|period| !period.is_zero()).ok_or("--ping takes seconds")?);
            }
            other if other.starts_with('-') => return Err(format!("unknown option {other}")),
            _ => url = Some(arg),
        }
    }
    let mut connector = Connector::new(url.ok_or("the URL is missing")?);
    for header in &headers {
        let (name, value) =
            header.split_once(':').ok_or_else(|| format!("no header `Name: value`: {header}"))?;
        connector = connector.header(name, value.trim());
    }
    for name in &subprotocols {
        connector = connector.subprotocol(name);
    }
    Ok((connector, ping))
}

async fn talk(ws: &mut WebSocket<ClientStream>, ping: Option<Duration>) -> Result<(), Error> {
    eprintln!("connected, subprotocol: {}", ws.subprotocol().unwrap_or("none"));
    let mut lines = read_lines();
    let mut pings = interval(ping.unwrap_or(Duration::from_secs(3600)));
    pings.tick().await; // the first is at once
    loop {
        let is_open = ws.connection().state() == State::Open;
        // Where a server must be heard before it takes more, input waits.
        let is_full = ws.queued() >= MAX_QUEUED;
        tokio::select! {
            event = ws.recv_event() => match event? {
                Some(event) => show(&event),
                None => return Ok(()),
            },
            line = lines.recv(), if is_open && !is_full => match command(ws, line).await {
                Err(Error::Send(error)) => eprintln!("not sent: {error}"),
                done => done?,
            },
            _ = pings.tick(), if is_open && ping.is_some() => ws.ping(b"").await?,
            () = sleep(Duration::from_millis(5)), if is_full => {} // looks again
        }
    }
}

/// A thread reads the input, as that cannot be given up in the middle; it ends with the process.
fn read_lines() -> mpsc::Receiver<String> {
    let (tx, rx) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line.inspect_err(|error| eprintln!("input: {error}")) else { break };
            if tx.blocking_send(line).is_err() {
                break;
            }
        }
    });
    rx
}

/// Carries out one line of the input; `None` is its end.
async fn command(ws: &mut WebSocket<ClientStream>, line: Option<String>) -> Result<(), Error> {
    let Some(line) = line else { return ws.start_close(CloseCode::NORMAL, "").await };
    let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
    match word {
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
    match event {
        Event::Message(Message::Text(text)) => println!("{}", printable(text)),
        Event::Message(Message::Binary(bytes)) => println!("{}", hex(bytes)),
        Event::Ping(payload) => eprintln!("ping \"{}\"", payload.escape_ascii()),
        Event::Pong(payload) => eprintln!("pong \"{}\"", payload.escape_ascii()),
        Event::Close(frame) => eprintln!("close frame: {} \"{}\"", frame.code, frame.reason.escape_debug()),
        other => eprintln!("{other:?}"),
    }
}

fn show_refusal(error: &HandshakeError) {
    let HandshakeError::Refusal(refusal) = error else { return };
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
