//! The clients: one thread, one event loop, nothing copied or computed per message.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::compressed::{Class, Replies};
use crate::wire::{self, Script};

/// After how long without any progress a server is taken to have stalled.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The first of so many windows is compared byte by byte, of the others the length.
const COMPARED: u64 = 16;
const READ_BUFFER: usize = 256 << 10;

/// When to stop sending; what is under way then is waited for.
#[derive(Clone, Copy)]
pub enum Stop {
    After(Duration),
    /// After so many windows on each connection.
    Windows(u64),
}

/// How a connection begins.
#[derive(Clone, Copy)]
pub enum Opening {
    /// With nothing: the server is raw.
    None,
    Plain,
    /// The server has to agree to compression.
    Deflate(Class),
}

/// How long each window took, in nanoseconds.
pub type Latencies = Vec<u64>;

pub struct Clients {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    buffer: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    /// How much of the window that is under way has left, and how much of its reply has come.
    sent: usize,
    received: usize,
    windows: u64,
    began: Instant,
    /// What has come of compressed messages.
    replies: Replies,
}

impl Clients {
    /// Connects one after the other.
    pub fn connect(addr: SocketAddr, count: usize, opening: Opening) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut clients = Vec::with_capacity(count);
        for at in 0..count {
            let stream = open(addr, opening)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
            let began = Instant::now();
            clients.push(Client {
                stream,
                sent: 0,
                received: 0,
                windows: 0,
                began,
                replies: Replies::default(),
            });
        }
        Ok(Self { poll, events: Events::with_capacity(1024), clients, buffer: vec![0; READ_BUFFER] })
    }

    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// How many bytes of compressed messages have come so far, headers included.
    pub fn compressed_bytes(&self) -> u64 {
        self.clients.iter().map(|client| client.replies.bytes).sum()
    }

    /// Has these connections send the script's window again and again, each as soon as its last one was answered in
    /// full. Returns how many messages came back.
    pub fn echo(
        &mut self,
        who: Range<usize>,
        script: &Script,
        stop: Stop,
        mut latencies: Option<&mut Latencies>,
    ) -> io::Result<u64> {
        let (began, mut finished, mut busy) = (Instant::now(), 0, who.len());
        for client in &mut self.clients[who.clone()] {
            client.windows = 0;
            client.begin(began);
            client.write(script)?;
        }
        while busy > 0 {
            wait(&mut self.poll, &mut self.events)?;
            for event in &self.events {
                let at = event.token().0;
                if !who.contains(&at) {
                    continue;
                }
                let client = &mut self.clients[at];
                client.write(script)?;
                if !event.is_readable() || !client.read(script, &mut self.buffer)? {
                    continue;
                }
                let now = Instant::now();
                client.windows += 1;
                finished += 1;
                if let Some(latencies) = &mut latencies {
                    latencies.push((now - client.began).as_nanos() as u64);
                }
                let again = match stop {
                    Stop::After(time) => now - began < time,
                    Stop::Windows(most) => client.windows < most,
                };
                if again {
                    client.begin(now);
                    client.write(script)?;
                } else {
                    busy -= 1;
                }
            }
        }
        Ok(finished * script.messages as u64)
    }

    /// Has the first connection send a window, waits until all have got it, and so on. Returns the number of messages
    /// that arrived, at all of them together.
    pub fn fan_out(&mut self, script: &Script, time: Duration) -> io::Result<u64> {
        let (began, mut windows) = (Instant::now(), 0);
        while began.elapsed() < time {
            let now = Instant::now();
            for client in &mut self.clients {
                client.begin(now);
                client.windows = windows;
            }
            // Only the first one sends.
            for client in &mut self.clients[1..] {
                client.sent = script.sent.len();
            }
            self.clients[0].write(script)?;
            let mut missing = self.clients.len();
            while missing > 0 {
                wait(&mut self.poll, &mut self.events)?;
                for event in &self.events {
                    let client = &mut self.clients[event.token().0];
                    client.write(script)?;
                    if event.is_readable() && client.read(script, &mut self.buffer)? {
                        missing -= 1;
                    }
                }
            }
            windows += 1;
        }
        Ok(windows * (script.messages * self.clients.len()) as u64)
    }
}

impl Client {
    fn begin(&mut self, now: Instant) {
        (self.sent, self.received, self.began) = (0, 0, now);
        self.replies.begin();
    }

    /// Writes what the socket takes.
    fn write(&mut self, script: &Script) -> io::Result<()> {
        while self.sent < script.sent.len() {
            match self.stream.write(&script.sent[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what there is; `true` once the whole reply has come.
    fn read(&mut self, script: &Script, buffer: &mut [u8]) -> io::Result<bool> {
        let before = self.received;
        let is_compared = self.windows.is_multiple_of(COMPARED);
        loop {
            let len = match self.stream.read(buffer) {
                Ok(0) => return Err(io::Error::other("closed the connection")),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let end = self.received + len;
            if script.plain.is_some() {
                self.replies.take(&buffer[..len], script.messages, is_compared)?;
            } else if end > script.reply.len() {
                return Err(io::Error::other("answered more than it was asked"));
            } else if is_compared && script.reply[self.received..end] != buffer[..len] {
                return Err(io::Error::other("answered something else than it was asked"));
            }
            self.received = end;
            // A read that did not fill the buffer has emptied the socket.
            if len < buffer.len() {
                break;
            }
        }
        let Some(plain) = &script.plain else {
            return Ok(before < self.received && self.received == script.reply.len());
        };
        let is_whole = before < self.received && self.replies.messages == script.messages;
        if is_whole && is_compared {
            plain.check(&self.replies)?;
        }
        Ok(is_whole)
    }
}

fn wait(poll: &mut Poll, events: &mut Events) -> io::Result<()> {
    loop {
        match poll.poll(events, Some(PATIENCE)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(()) if events.is_empty() => {
                return Err(stalled());
            }
            Ok(()) => return Ok(()),
        }
    }
}

pub fn stalled() -> io::Error {
    io::Error::other("stalled: no answer for ten seconds")
}

/// A connection whose opening handshake, if it has one, has succeeded.
pub fn open(addr: SocketAddr, opening: Opening) -> io::Result<std::net::TcpStream> {
    let mut stream = std::net::TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let request = match opening {
        Opening::None => None,
        Opening::Plain => Some(wire::REQUEST.to_vec()),
        Opening::Deflate(class) => Some(class.request()),
    };
    if let Some(request) = request {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&request)?;
        let (mut response, mut buffer) = (Vec::new(), [0; 4096]);
        let accepted = loop {
            match stream.read(&mut buffer)? {
                0 => break false,
                len => response.extend(&buffer[..len]),
            }
            if let Some(accepted) = wire::is_accepted(&response) {
                break accepted;
            }
        };
        if !accepted {
            return Err(io::Error::other("refused the opening handshake"));
        }
        if let Opening::Deflate(class) = opening
            && !class.is_agreed(&response)
        {
            return Err(io::Error::other("did not agree to this compression"));
        }
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::wire::Kind;

    /// A script that a raw server is to echo, and what became of it when the server did `change` the bytes.
    fn echoed_with(change: impl Fn(&mut Vec<u8>) + Send + 'static) -> Result<u64, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let script = Script::echo(true, Kind::MultiByte, 1000, 3);
        let len = script.sent.len();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = vec![0; len];
            while stream.read_exact(&mut bytes).is_ok() {
                let mut bytes = bytes.clone();
                change(&mut bytes);
                let _ = stream.write_all(&bytes);
                if bytes.is_empty() {
                    return;
                }
            }
        });
        let mut clients = Clients::connect(addr, 1, Opening::None).unwrap();
        let echoed = clients.echo(0..1, &script, Stop::Windows(40), None).map_err(|error| error.to_string());
        drop(clients);
        server.join().unwrap();
        echoed
    }

    #[test]
    fn right_answers_count() {
        assert_eq!(echoed_with(|_| {}), Ok(120));
    }

    #[test]
    fn wrong_answers_are_errors() {
        assert_eq!(
            echoed_with(|bytes| bytes[2000] ^= 1),
            Err("answered something else than it was asked".into())
        );
        assert_eq!(echoed_with(|bytes| bytes.push(0)), Err("answered more than it was asked".into()));
        assert_eq!(echoed_with(Vec::clear), Err("closed the connection".into()));
    }
}
