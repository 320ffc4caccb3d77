//! A client that does nothing wrong while somebody else attacks: what it sends must come back in order and soon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sansocket::blocking::{ClientStream, Connector, Error, WebSocket};
use sansocket::{Config, Message};

/// How often it sends.
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) struct Witness {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Duration, String>>,
}

impl Witness {
    /// Opens a connection, and sends messages on it until [`stop`](Self::stop). The server must echo them; one that takes
    /// longer than `most` is not waited for.
    pub(crate) fn start(url: &str, most: Duration) -> Result<Self, String> {
        let config = Config::new().ping_interval(None);
        let mut ws = Connector::new(url).config(config).connect().map_err(|error| error.to_string())?;
        // The connection is open on the server's side too once the first answer is here.
        echo(&mut ws, "0", most)?;
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let over = over.clone();
            move || {
                let mut worst = Duration::ZERO;
                let mut number = 0_u64;
                while !over.load(Ordering::Relaxed) {
                    number += 1;
                    worst = worst.max(echo(&mut ws, &number.to_string(), most)?);
                    thread::sleep(PAUSE);
                }
                Ok(worst)
            }
        });
        Ok(Self { over, thread })
    }

    /// The longest time that an answer took, or why there was none.
    pub(crate) fn stop(self) -> Result<Duration, String> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| Err("the witness panicked".into()))
    }
}

/// Sends a message and waits for the same message; returns how long that took.
fn echo(ws: &mut WebSocket<ClientStream>, message: &str, most: Duration) -> Result<Duration, String> {
    let began = Instant::now();
    ws.send(message).map_err(|error| format!("a healthy connection broke: {error}"))?;
    match ws.recv_timeout(most) {
        Ok(Some(Message::Text(text))) if *text == *message => Ok(began.elapsed()),
        Ok(Some(other)) => Err(format!("a healthy connection got {other:?} instead of {message:?}")),
        Ok(None) => Err("a healthy connection was closed".into()),
        Err(Error::TimedOut) => Err(format!("a healthy connection got no answer in {most:?}")),
        Err(error) => Err(format!("a healthy connection broke: {error}")),
    }
}
