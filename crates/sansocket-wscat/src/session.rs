//! An open connection: both directions until its end.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use sansocket::tokio::{ClientStream, Error, WebSocket};
use sansocket::{CloseCode, Event, Initiator, Message, State};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::interval;

use crate::command::{Command, HELP};
use crate::escape::{escaped_bytes, escaped_line};
use crate::exit::Exit;
use crate::input::{Input, Item};
use crate::output::{Mark, Output};
use crate::setup::Options;

/// While so much waits to be sent, no input is taken.
const MAX_QUEUED: usize = 64 << 10;
/// Pings whose pongs are waited for.
const MAX_PINGS: usize = 64;

/// The state that lasts over several connections.
pub struct Session {
    pub options: Options,
    pub output: Arc<Output>,
    pub interrupts: UnboundedReceiver<()>,
    /// `None` after its end.
    pub input: Option<Input>,
    pub has_input_failed: bool,
    has_message: bool,
    /// The user wants no other connection.
    pub is_done: bool,
    pings: VecDeque<(Vec<u8>, Instant)>,
}

/// The reason why the exchange of messages stopped.
enum Stop {
    /// The connection has ended; its summary says how.
    Ended,
    Interrupted,
    /// The standard output cannot be written.
    Output(io::Error),
}

impl From<Error> for Stop {
    fn from(_: Error) -> Self {
        Self::Ended
    }
}

enum Heard {
    Message,
    Other,
    /// Queued output was written, and input can be taken again.
    Room,
    End,
}

impl Session {
    pub fn new(options: Options, output: Arc<Output>, interrupts: UnboundedReceiver<()>) -> Self {
        let is_done = !options.reconnect;
        Self {
            options,
            output,
            interrupts,
            input: None,
            has_input_failed: false,
            has_message: false,
            is_done,
            pings: VecDeque::new(),
        }
    }

    /// Exchanges messages until the connection ends. `Break` means that wscat must end immediately.
    pub async fn talk(&mut self, ws: &mut WebSocket<ClientStream>) -> ControlFlow<Exit, Exit> {
        self.pings.clear();
        self.introduce(ws);
        match self.exchange(ws).await {
            Err(Stop::Interrupted) => return ControlFlow::Break(Exit::Interrupted),
            // The reader of the output is gone, so nobody needs further messages.
            Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ControlFlow::Break(Exit::Done);
            }
            Err(Stop::Output(error)) => {
                self.output.complain(&format!("output: {error}"));
                return ControlFlow::Break(Exit::Other);
            }
            Ok(()) | Err(Stop::Ended) => {}
        }
        let Some(summary) = ws.summary() else { return ControlFlow::Continue(Exit::Lost) };
        // A user who closed the connection does not want another one.
        self.is_done |= summary.initiator == Initiator::Local;
        self.output.say(Mark::State, &format!("closed: {}", escaped_line(&summary.to_string())));
        ControlFlow::Continue(Exit::of_summary(&summary))
    }

    fn introduce(&self, ws: &WebSocket<ClientStream>) {
        let output = &self.output;
        if output.is_verbose {
            if let Ok(address) = ws.stream().tcp().peer_addr() {
                output.detail(Mark::State, &format!("TCP to {address}"));
            }
            if let Some(tls) = ws.stream().tls() {
                let version = tls.protocol_version().map(|version| format!("{version:?}"));
                let suite = tls.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
                let parts = [version, suite].map(Option::unwrap_or_default);
                output.detail(Mark::State, &parts.join(", "));
            }
            if let Some(head) = ws.response() {
                output.head(head);
            }
        }
        let subprotocol = ws.subprotocol().unwrap_or("none");
        if output.has_editor() {
            let server = &self.options.server;
            let help = "Ctrl-C closes, /help lists commands";
            output.say(Mark::State, &format!("connected to {server}, subprotocol: {subprotocol}; {help}"));
        } else {
            output.say(Mark::State, &format!("connected, subprotocol: {subprotocol}"));
        }
    }

    async fn exchange(&mut self, ws: &mut WebSocket<ClientStream>) -> Result<(), Stop> {
        let mut pings = interval(self.options.ping.unwrap_or(Duration::from_secs(3600)));
        pings.tick().await; // the first is immediate
        loop {
            let is_open = ws.connection().state() == State::Open;
            // A server may read no more before its own messages are read, so input waits until the queue is short.
            let is_full = ws.queued() >= MAX_QUEUED;
            let wants_messages = !(self.options.once && self.has_message);
            let Self { input, interrupts, output, pings: sent, .. } = self;
            tokio::select! {
                heard = hear(ws, is_full, |event| show(output, sent, event, wants_messages)) => match heard? {
                    Heard::Message => {
                        self.has_message = true;
                        if self.options.once && is_open {
                            self.close(ws, CloseCode::NORMAL, "").await?;
                        }
                    }
                    Heard::End => return Ok(()),
                    Heard::Other | Heard::Room => {}
                },
                // A terminal is read while the connection closes too, to tell the user that nothing is sent any more.
                item = next(input), if !is_full && (is_open || output.has_editor()) => self.take(ws, item).await?,
                _ = pings.tick(), if is_open && self.options.ping.is_some() => self.ping(ws, b"").await?,
                Some(()) = interrupts.recv() => self.interrupt(ws).await?,
            }
        }
    }

    /// Carries out one piece of input.
    async fn take(&mut self, ws: &mut WebSocket<ClientStream>, item: Item) -> Result<(), Stop> {
        let is_open = ws.connection().state() == State::Open;
        let line = match item {
            Item::Line(line) if line.is_empty() && self.output.has_editor() => return Ok(()),
            Item::Line(line) => line,
            Item::Bytes(bytes) => return self.feed(ws, bytes).await,
            Item::Failed(error) => {
                self.output.complain(&format!("input: {error}"));
                self.has_input_failed = true;
                return self.end_of_input(ws, is_open).await;
            }
            Item::End => return self.end_of_input(ws, is_open).await,
        };
        match Command::parse(line, self.options.commands, self.options.binary) {
            Command::Text(text) => self.feed(ws, text).await,
            Command::Binary(bytes) => self.feed(ws, bytes).await,
            Command::Ping(text) => self.ping(ws, text.as_bytes()).await,
            Command::Pong(text) => self.pong(ws, text.as_bytes()).await,
            Command::Close(code, reason) => self.close(ws, code, &reason).await,
            Command::Help => {
                for line in HELP.lines() {
                    self.output.complain(line);
                }
                Ok(())
            }
            Command::Wrong(error) => {
                self.output.complain(&error);
                Ok(())
            }
        }
    }

    async fn end_of_input(&mut self, ws: &mut WebSocket<ClientStream>, is_open: bool) -> Result<(), Stop> {
        if !self.output.has_editor() || self.has_input_failed {
            self.input = None;
        }
        if !is_open || self.options.keep_open {
            return Ok(());
        }
        self.close(ws, CloseCode::NORMAL, "").await
    }

    async fn feed(
        &mut self,
        ws: &mut WebSocket<ClientStream>,
        message: impl Into<Message<'static>>,
    ) -> Result<(), Stop> {
        match self.or_interrupt(ws.feed(message)).await {
            Some(fed) => self.complain_if_refused(&fed),
            None => return self.interrupt(ws).await,
        }
        Ok(())
    }

    async fn ping(&mut self, ws: &mut WebSocket<ClientStream>, payload: &[u8]) -> Result<(), Stop> {
        let Some(sent) = self.or_interrupt(ws.ping(payload)).await else { return self.interrupt(ws).await };
        if sent.is_ok() {
            self.pings.truncate(MAX_PINGS - 1);
            self.pings.push_front((payload.to_vec(), Instant::now()));
        }
        self.complain_if_refused(&sent);
        Ok(())
    }

    async fn pong(&mut self, ws: &mut WebSocket<ClientStream>, payload: &[u8]) -> Result<(), Stop> {
        let Some(sent) = self.or_interrupt(ws.pong(payload)).await else { return self.interrupt(ws).await };
        self.complain_if_refused(&sent);
        Ok(())
    }

    /// Begins to close. Ctrl-C while the Close frame cannot leave ends at once.
    async fn close(
        &mut self,
        ws: &mut WebSocket<ClientStream>,
        code: CloseCode,
        reason: &str,
    ) -> Result<(), Stop> {
        let closed = self.or_interrupt(ws.start_close(code, reason)).await.ok_or(Stop::Interrupted)?;
        if closed.is_ok() && self.output.has_editor() {
            self.output.say(Mark::Sent, &format!("close {code}{}", quoted(reason)));
        }
        self.complain_if_refused(&closed);
        Ok(())
    }

    /// The first Ctrl-C closes, the next one ends.
    async fn interrupt(&mut self, ws: &mut WebSocket<ClientStream>) -> Result<(), Stop> {
        if ws.connection().state() != State::Open {
            return Err(Stop::Interrupted);
        }
        self.is_done = true;
        self.close(ws, CloseCode::NORMAL, "").await
    }

    /// Waits for `sent`, but only until Ctrl-C (`None`): a peer may take no data.
    async fn or_interrupt<T>(&mut self, sent: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            sent = sent => Some(sent),
            Some(()) = self.interrupts.recv() => None,
        }
    }

    /// Any error but a refusal is the end of the connection, which the next receive tells.
    fn complain_if_refused(&self, sent: &Result<(), Error>) {
        if let Err(Error::Send(error)) = sent {
            self.output.complain(&format!("not sent: {error}"));
        }
    }
}

/// A reason in quotes behind a space, or nothing.
fn quoted(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" \"{}\"", escaped_line(reason)) }
}

/// Never ready after the end of the input.
async fn next(input: &mut Option<Input>) -> Item {
    match input {
        Some(input) => input.next().await,
        None => pending().await,
    }
}

/// Takes the next event. With a full queue it ends as soon as that has room again: whatever wakes it may have made some.
async fn hear(
    ws: &mut WebSocket<ClientStream>,
    is_full: bool,
    mut show: impl FnMut(&Event<'_>) -> io::Result<Heard>,
) -> Result<Heard, Stop> {
    poll_fn(|context| {
        // All state is in the connection: a new future goes on where the last one was.
        let heard = match pin!(ws.recv_event()).poll(context) {
            Poll::Pending => None,
            Poll::Ready(Err(error)) => Some(Err(error.into())),
            Poll::Ready(Ok(None)) => Some(Ok(Heard::End)),
            Poll::Ready(Ok(Some(event))) => Some(show(&event).map_err(Stop::Output)),
        };
        match heard {
            Some(heard) => Poll::Ready(heard),
            None if is_full && ws.queued() < MAX_QUEUED => Poll::Ready(Ok(Heard::Room)),
            None => Poll::Pending,
        }
    })
    .await
}

/// Shows an event; messages only if `wants_messages`.
fn show(
    output: &Output,
    sent: &mut VecDeque<(Vec<u8>, Instant)>,
    event: &Event<'_>,
    wants_messages: bool,
) -> io::Result<Heard> {
    match event {
        Event::Message(message) => {
            if wants_messages {
                output.message(message)?;
            }
            return Ok(Heard::Message);
        }
        Event::Ping(payload) => output.say(Mark::Received, &format!("ping \"{}\"", escaped_bytes(payload))),
        Event::Pong(payload) => match sent.iter().rposition(|(other, _)| other[..] == payload[..]) {
            Some(at) => {
                // A pong answers all pings before it too (RFC 6455 §5.5.3).
                let time = sent[at].1.elapsed();
                sent.truncate(at);
                output.say(Mark::Received, &format!("pong \"{}\" after {time:.1?}", escaped_bytes(payload)));
            }
            // It answers a ping of the library, which sends one after silence, or nobody's.
            None if output.is_verbose => {
                output.say(Mark::Received, &format!("pong \"{}\"", escaped_bytes(payload)));
            }
            None => {}
        },
        Event::Close(frame) if output.has_editor() => {
            output.say(Mark::Received, &format!("close {}{}", frame.code, quoted(&frame.reason)));
        }
        _ => {}
    }
    Ok(Heard::Other)
}
