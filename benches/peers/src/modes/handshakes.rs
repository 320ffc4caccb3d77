//! Connections that open, say goodbye and end.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::Run;
use crate::figures::{Figures, grouped};
use crate::wire;

const AT_A_TIME: usize = 16;

pub fn run(run: &Run) -> io::Result<bool> {
    let columns = ["CPU ns per connection".to_string()];
    let (mut cpu, mut rate) = (Figures::default(), Figures::default());
    let most = if run.options.quick { 100 } else { 4000 };
    run.take_turns(
        "handshakes",
        run.options.rounds,
        &columns,
        |_, _| true,
        &mut cpu,
        |server, at| {
            let running = server.start(run.built, run.cores, &[])?;
            connections(running.addr, server.is_raw(), most / 10)?;
            thread::sleep(Duration::from_millis(20));
            let mut wall = Duration::ZERO;
            // Threads that have ended are in the coarser figure only.
            let used = || if server.threads { running.cpu_ns_of_all() } else { Ok(running.usage()?.cpu_ns) };
            let before = used()?;
            let began = Instant::now();
            connections(running.addr, server.is_raw(), most)?;
            wall += began.elapsed();
            thread::sleep(Duration::from_millis(20));
            let each = (used()? - before) as f64 / most as f64;
            rate.add(server.name, at, Ok(most as f64 / wall.as_secs_f64()));
            Ok((each, format!("{} ns", grouped(each, 0))))
        },
    );
    let title = format!(
        "Handshakes: connect, upgrade, close, disconnect, {AT_A_TIME} at a time; server's CPU ns per connection, median \
         (least–most) and **ratio to raw**"
    );
    let all_right = run.print(&title, &columns, &cpu, 0, true);
    run.print("Handshakes per second", &["connections per second".to_string()], &rate, 0, false);
    Ok(all_right)
}

/// How far a connection is.
struct Peer {
    stream: TcpStream,
    said: Vec<u8>,
    sent: usize,
    heard: Vec<u8>,
    is_closing: bool,
}

/// Opens and ends `count` connections, some at a time. To a raw server they send the request and read it back.
fn connections(addr: SocketAddr, raw: bool, count: usize) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(64);
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let (mut left, mut open) = (count, 0);
    for at in 0..AT_A_TIME.min(count) {
        peers.push(Some(Peer::connect(addr, &poll, at)?));
        (left, open) = (left - 1, open + 1);
    }
    while open > 0 {
        poll.poll(&mut events, Some(Duration::from_secs(10)))?;
        if events.is_empty() {
            return Err(io::Error::other("stalled: no answer for ten seconds"));
        }
        for event in &events {
            let at = event.token().0;
            let Some(peer) = &mut peers[at] else { continue };
            if peer.go_on(raw)? {
                peers[at] = None;
                if left > 0 {
                    left -= 1;
                    peers[at] = Some(Peer::connect(addr, &poll, at)?);
                } else {
                    open -= 1;
                }
            }
        }
    }
    Ok(())
}

impl Peer {
    fn connect(addr: SocketAddr, poll: &Poll, at: usize) -> io::Result<Self> {
        let mut stream = TcpStream::connect(addr)?;
        poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, said: wire::REQUEST.to_vec(), sent: 0, heard: Vec::new(), is_closing: false })
    }

    /// Does what is possible; `true` once the connection has ended well.
    fn go_on(&mut self, raw: bool) -> io::Result<bool> {
        loop {
            while self.sent < self.said.len() {
                match self.stream.write(&self.said[self.sent..]) {
                    Ok(len) => self.sent += len,
                    Err(error) if would_block(&error) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            let mut buffer = [0; 2048];
            let len = match self.stream.read(&mut buffer) {
                Ok(len) => len,
                Err(error) if would_block(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            if len == 0 {
                return Err(io::Error::other("closed the connection"));
            }
            self.heard.extend(&buffer[..len]);
            if raw {
                if self.heard == self.said {
                    return Ok(true);
                }
            } else if self.is_closing {
                // A Close frame, whatever it says; who gets it first ends the connection.
                return match self.heard[0] {
                    0x88 => Ok(true),
                    _ => Err(io::Error::other("did not answer the Close frame")),
                };
            } else if let Some(accepted) = wire::is_accepted(&self.heard) {
                if !accepted {
                    return Err(io::Error::other("refused the opening handshake"));
                }
                (self.said, self.sent, self.is_closing) = (wire::CLOSE.to_vec(), 0, true);
                self.heard.clear();
            }
        }
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}
