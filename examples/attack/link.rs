//! A raw connection: bytes are sent as they are, and what comes back is read just well enough to tell what it was.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) authority: String,
    pub(crate) path: String,
    /// How long an attack lasts at the most.
    pub(crate) most: Duration,
}

/// Of what a server that takes nothing more is thought to have stopped for good.
const STUCK: Duration = Duration::from_secs(2);

impl Target {
    /// A request that opens a connection, with these lines besides, without the empty line at its end.
    pub(crate) fn request(&self, more: &str) -> String {
        let Self { path, authority, .. } = self;
        format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}"
        )
    }

    /// Whether a new connection opens and its ping is answered.
    pub(crate) fn answers(&self) -> bool {
        for _ in 0..5 {
            if let Ok(mut link) = self.open("") {
                link.send(&frame(0x89, b"alive?"));
                if link.wait_for(Duration::from_secs(2), |heard| heard.pongs > 0) {
                    return true;
                }
            }
            thread::sleep(Duration::from_millis(100));
        }
        false
    }

    /// A connection on which nothing was said.
    pub(crate) fn connect(&self) -> io::Result<Link> {
        let stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(3))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(STUCK))?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let reader = thread::spawn({
            let (stream, heard) = (stream.try_clone()?, heard.clone());
            move || listen(stream, &heard)
        });
        Ok(Link {
            stream,
            heard,
            reader: Some(reader),
            sent: 0,
            until: Instant::now() + self.most,
            stuck: false,
        })
    }

    /// An open connection.
    pub(crate) fn open(&self, more: &str) -> io::Result<Link> {
        let mut link = self.connect()?;
        link.send(format!("{}\r\n", self.request(more)).as_bytes());
        link.wait_for(Duration::from_secs(3), |heard| heard.status.is_some());
        let status = link.heard().status;
        if status == Some(101) { Ok(link) } else { Err(io::Error::other(format!("no 101 but {status:?}"))) }
    }
}

/// What came back so far.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) status: Option<u16>,
    /// Heads of HTTP responses.
    pub(crate) responses: usize,
    pub(crate) deflate: bool,
    pub(crate) messages: usize,
    pub(crate) pongs: usize,
    pub(crate) closes: Vec<u16>,
    pub(crate) over: bool,
    rest: Vec<u8>,
    /// How much of it is read already.
    at: usize,
    /// What is still to come of a payload.
    skip: u64,
    /// While it is set nothing is read.
    pub(crate) deaf: bool,
}

pub(crate) struct Link {
    stream: TcpStream,
    heard: Arc<Mutex<Heard>>,
    reader: Option<JoinHandle<()>>,
    /// How many bytes the system took.
    pub(crate) sent: u64,
    pub(crate) until: Instant,
    /// Whether the server took nothing for a while.
    pub(crate) stuck: bool,
}

impl Link {
    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends as much as is taken; `false` once it makes no sense to go on.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        let mut at = 0;
        while at < bytes.len() {
            if Instant::now() > self.until {
                return false;
            }
            match self.stream.write(&bytes[at..]) {
                Ok(taken) => {
                    at += taken;
                    self.sent += taken as u64;
                }
                Err(error) => {
                    self.stuck = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                    return false;
                }
            }
        }
        true
    }

    /// Until something holds, the connection is over or the time has passed.
    pub(crate) fn wait_for(&self, most: Duration, holds: impl Fn(&Heard) -> bool) -> bool {
        let until = (Instant::now() + most).min(self.until);
        loop {
            let heard = self.heard();
            if holds(&heard) {
                return true;
            }
            if heard.over || Instant::now() > until {
                return false;
            }
            drop(heard);
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the end, and says what came back.
    pub(crate) fn outcome(self, most: Duration) -> String {
        self.wait_for(most, |heard| heard.over);
        let heard = self.heard();
        let mut said = Vec::new();
        match heard.status {
            None if heard.over => said.push("dropped without an answer".into()),
            None => said.push("no answer".into()),
            Some(101) => {}
            Some(status) => said.push(format!("HTTP {status}")),
        }
        if heard.responses > 1 {
            said.push(format!("{} RESPONSES", heard.responses));
        }
        said.extend(heard.closes.iter().map(|code| format!("Close {code}")));
        if heard.messages > 0 {
            said.push(format!("{} messages", heard.messages));
        }
        if heard.pongs > 0 {
            said.push(format!("{} pongs", heard.pongs));
        }
        if self.stuck {
            said.push("reads no more".into());
        }
        if heard.status == Some(101) && !self.stuck && heard.closes.is_empty() {
            said.push(if heard.over { "dropped" } else { "open" }.into());
        }
        if self.sent > 100_000 {
            said.push(format!("after {:.1} MiB", self.sent as f64 / f64::from(1 << 20)));
        }
        said.join(", ")
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.heard().deaf = false;
        _ = self.stream.shutdown(Shutdown::Both);
        _ = self.reader.take().map(JoinHandle::join);
    }
}

fn listen(mut stream: TcpStream, heard: &Mutex<Heard>) {
    let lock = || heard.lock().unwrap_or_else(PoisonError::into_inner);
    let mut place = vec![0; 64 << 10];
    loop {
        if lock().deaf {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        match stream.read(&mut place) {
            Ok(len) if len > 0 => lock().take(&place[..len]),
            _ => break,
        }
    }
    lock().over = true;
}

impl Heard {
    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while self.step() {}
        self.rest.drain(..core::mem::take(&mut self.at));
        // Whoever answers without end is not listened to.
        self.rest.truncate(1 << 20);
    }

    fn step(&mut self) -> bool {
        let unread = self.rest.len() - self.at;
        if self.skip > 0 {
            let len = unread.min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.at += len;
            self.skip -= len as u64;
            return len > 0;
        }
        if self.status != Some(101) { self.head() } else { self.frame() }
    }

    fn head(&mut self) -> bool {
        let rest = &self.rest[self.at..];
        let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&rest[..end]).to_ascii_lowercase();
        if let Some(at) = head.find("http/1.1 ") {
            self.responses += 1;
            let status = head[at + 9..].get(..3).and_then(|digits| digits.parse().ok());
            self.status = self.status.or(status);
            self.deflate |= head.contains("permessage-deflate");
        }
        self.at += end + 4;
        true
    }

    fn frame(&mut self) -> bool {
        let rest = &self.rest[self.at..];
        let &[first, second, ..] = rest else { return false };
        let extended = [0, 2, 8][usize::from((second & 0x7F).saturating_sub(125))];
        let Some(length) = rest.get(2..2 + extended) else { return false };
        let len = match extended {
            0 => u64::from(second & 0x7F),
            _ => length.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
        };
        let start = 2 + extended;
        match (first & 0x0F, rest.get(start..start + 2)) {
            (8, None) if len >= 2 => return false,
            (8, Some(&[high, low])) if len >= 2 => self.closes.push(u16::from_be_bytes([high, low])),
            (8, _) => self.closes.push(1005),
            (0xA, _) => self.pongs += 1,
            (0..=2, _) => self.messages += usize::from(first & 0x80 != 0),
            _ => {}
        }
        self.at += start;
        self.skip = len;
        true
    }
}

/// A masked frame; the key is zero, so that the payload is what it is.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

/// The header of a masked frame of any length.
pub(crate) fn header(first: u8, len: u64) -> Vec<u8> {
    let mut frame = vec![first];
    match len {
        0..=125 => frame.push(0x80 | len as u8),
        126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend(len.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame
}
