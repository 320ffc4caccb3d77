//! The clients of a server that pings: very many connections, which all answer pings, and messages in a steady pace on some
//! of them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::load::{self, Latencies, Opening, PATIENCE};
use crate::wire::{self, Script};

/// How long all connections together may take to open.
const OPENING: Duration = Duration::from_secs(60);
/// After how many that were opened, or asked at once, the others are looked after.
const AT_A_TIME: usize = 64;
/// Few, so that an answer is not looked at late because many pings came before it.
const EVENTS: usize = 128;
const READ_BUFFER: usize = 4 << 10;

/// First bytes of frames.
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
const CLOSE: u8 = 0x88;

pub struct Crowd {
    poll: Poll,
    events: Events,
    members: Vec<Member>,
    /// One message, and its answer.
    script: Script,
    /// Looks again and again instead of sleeping until something comes, so that the pace is exact.
    spins: bool,
    tally: Tally,
}

/// What has come since a talk began.
#[derive(Clone, Default)]
pub struct Tally {
    pub pings: u64,
    /// Whole ones that the sockets took.
    pub pongs: u64,
    /// Of the connection that got the fewest.
    pub fewest_pings: u64,
    /// How long the messages that were answered took.
    pub latencies: Latencies,
    pub elapsed: Duration,
    /// Connections that the server ended, since they were opened.
    pub dropped: usize,
}

struct Member {
    stream: TcpStream,
    is_open: bool,
    /// The beginning of a frame whose end has not come.
    received: Vec<u8>,
    /// What the socket has not taken.
    unsent: Vec<u8>,
    /// Since when a message is under way.
    asked: Option<Instant>,
    pings: u64,
}

impl Crowd {
    /// Connects one after the other, and looks after those that are there already.
    pub fn connect(
        addr: SocketAddr,
        count: usize,
        opening: Opening,
        script: Script,
        spins: bool,
    ) -> io::Result<Self> {
        let mut crowd = Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            members: Vec::with_capacity(count),
            script,
            spins,
            tally: Tally::default(),
        };
        let began = Instant::now();
        for at in 0..count {
            let stream = load::open(addr, opening)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            crowd.poll.registry().register(&mut stream, Token(at), interest)?;
            crowd.members.push(Member::new(stream));
            if at % AT_A_TIME == 0 {
                crowd.turn(Duration::ZERO)?;
            }
            if began.elapsed() > OPENING {
                return Err(io::Error::other(format!("took {at} connections only in a minute")));
            }
        }
        Ok(crowd)
    }

    /// For so long, each of the first `talkers` sends a message once in a `cycle`, in turns at even distances; all answer
    /// pings. Who waits for an answer still is passed over.
    pub fn talk(&mut self, time: Duration, cycle: Duration, talkers: usize) -> io::Result<Tally> {
        self.tally = Tally { dropped: self.tally.dropped, ..Tally::default() };
        for member in &mut self.members {
            member.pings = 0;
        }
        let distance = cycle / talkers as u32;
        let (began, mut asked) = (Instant::now(), 0);
        loop {
            let now = began.elapsed();
            let due = |asked: usize| distance * asked as u32;
            for _ in 0..AT_A_TIME {
                if due(asked) <= now {
                    self.ask(asked % talkers)?;
                    asked += 1;
                }
            }
            if now >= time {
                break;
            }
            let wait = if self.spins { Duration::ZERO } else { due(asked).min(time).saturating_sub(now) };
            self.turn(wait)?;
        }
        self.wait_for_answers()?;
        let fewest_pings = self.members.iter().map(|member| member.pings).min().unwrap_or(0);
        Ok(Tally { fewest_pings, elapsed: began.elapsed(), ..self.tally.clone() })
    }

    /// Has every connection send a message and get the answer. Returns how many were dropped, since they were opened.
    pub fn ask_all(&mut self) -> io::Result<usize> {
        for at in 0..self.members.len() {
            self.ask(at)?;
            if at % AT_A_TIME == 0 {
                self.wait_for_answers()?;
            }
        }
        self.wait_for_answers()?;
        Ok(self.tally.dropped)
    }

    fn ask(&mut self, at: usize) -> io::Result<()> {
        let member = &mut self.members[at];
        match member.asked {
            _ if !member.is_open => {}
            Some(since) if since.elapsed() > PATIENCE => return Err(load::stalled()),
            Some(_) => {}
            None => {
                member.asked = Some(Instant::now());
                if !member.send(&self.script.sent) {
                    member.end(&mut self.tally);
                }
            }
        }
        Ok(())
    }

    /// Until no message and no pong is under way.
    fn wait_for_answers(&mut self) -> io::Result<()> {
        let began = Instant::now();
        let is_busy = |member: &Member| member.asked.is_some() || !member.unsent.is_empty();
        while self.members.iter().any(is_busy) {
            if began.elapsed() > PATIENCE {
                return Err(load::stalled());
            }
            self.turn(if self.spins { Duration::ZERO } else { Duration::from_millis(1) })?;
        }
        Ok(())
    }

    /// Does what the sockets allow, after such a wait at most.
    fn turn(&mut self, wait: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &self.events {
            let member = &mut self.members[event.token().0];
            if member.is_open && !member.go_on(event, &self.script, &mut self.tally)? {
                member.end(&mut self.tally);
            }
        }
        Ok(())
    }
}

impl Member {
    const fn new(stream: TcpStream) -> Self {
        Self { stream, is_open: true, received: Vec::new(), unsent: Vec::new(), asked: None, pings: 0 }
    }

    fn end(&mut self, tally: &mut Tally) {
        self.is_open = false;
        self.asked = None;
        self.unsent.clear();
        tally.dropped += 1;
    }

    /// `false` once the server has ended the connection.
    fn go_on(&mut self, event: &Event, script: &Script, tally: &mut Tally) -> io::Result<bool> {
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            if !self.send(&unsent) {
                return Ok(false);
            }
        }
        let mut buffer = [0; READ_BUFFER];
        while event.is_readable() {
            let len = match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Ok(error.kind() == ErrorKind::WouldBlock),
            };
            let is_alive = if self.received.is_empty() {
                self.take(&buffer[..len], script, tally)?
            } else {
                let mut received = std::mem::take(&mut self.received);
                received.extend(&buffer[..len]);
                self.take(&received, script, tally)?
            };
            if !is_alive {
                return Ok(false);
            }
            // A read that did not fill the buffer has emptied the socket; the end of the stream is behind that.
            if len < buffer.len() && !event.is_read_closed() {
                break;
            }
        }
        Ok(true)
    }

    /// Takes frames and keeps the beginning of one; `false` if one of them ends the connection.
    fn take(&mut self, mut bytes: &[u8], script: &Script, tally: &mut Tally) -> io::Result<bool> {
        while let Some(&first) = bytes.first() {
            match first {
                PING => {
                    let Some(payload) = bytes.get(1).and_then(|len| bytes.get(2..2 + usize::from(*len)))
                    else {
                        break;
                    };
                    self.pings += 1;
                    tally.pings += 1;
                    let mut pong = Vec::with_capacity(6 + payload.len());
                    wire::put_masked(&mut pong, PONG, payload, tally.pings as usize);
                    if !self.send(&pong) {
                        return Ok(false);
                    }
                    tally.pongs += 1;
                    bytes = &bytes[2 + payload.len()..];
                }
                CLOSE => return Ok(false),
                _ if script.reply.starts_with(bytes) && bytes.len() < script.reply.len() => break,
                _ if bytes.starts_with(&script.reply) => {
                    let Some(asked) = self.asked.take() else {
                        return Err(io::Error::other("answered more than it was asked"));
                    };
                    tally.latencies.push(asked.elapsed().as_nanos() as u64);
                    bytes = &bytes[script.reply.len()..];
                }
                _ => return Err(io::Error::other("answered something else than it was asked")),
            }
        }
        self.received.extend(bytes);
        Ok(true)
    }

    /// Keeps what the socket does not take; `false` once the connection has ended.
    fn send(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && self.unsent.is_empty() {
            match self.stream.write(bytes) {
                Ok(len) => bytes = &bytes[len..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        self.unsent.extend(bytes);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::{self, TcpListener};
    use std::thread;

    use super::*;
    use crate::wire::Kind;

    const COUNT: usize = 3;
    const PAYLOAD: &[u8] = b"ping";

    /// Sends pings, the last one in two pieces, then answers with what `answer` makes of a message, until it makes nothing or
    /// the client has left.
    fn serve(mut stream: net::TcpStream, answer: impl Fn(&[u8]) -> Option<Vec<u8>>) -> io::Result<()> {
        let ping = [&[PING, PAYLOAD.len() as u8], PAYLOAD].concat();
        let pings = [&ping[..], &ping, &ping, &ping].concat();
        let (now, mut later) = pings.split_at(pings.len() - 3);
        stream.write_all(now)?;
        loop {
            let mut header = [0; 6];
            stream.read_exact(&mut header)?;
            stream.write_all(std::mem::take(&mut later))?;
            let mut payload = vec![0; usize::from(header[1] & 0x7F)];
            stream.read_exact(&mut payload)?;
            let key = header[2..].iter().cycle();
            let payload: Vec<u8> = payload.iter().zip(key).map(|(byte, key)| byte ^ key).collect();
            if header[0] == PONG {
                assert_eq!(payload, PAYLOAD);
                continue;
            }
            let Some(answer) = answer(&payload) else { return Ok(()) };
            stream.write_all(&[&[header[0], answer.len() as u8], &answer[..]].concat())?;
        }
    }

    fn echo(payload: &[u8]) -> Option<Vec<u8>> {
        Some(payload.to_vec())
    }

    /// What becomes of connections of which the second has such answers.
    fn talk_with(
        answer: fn(&[u8]) -> Option<Vec<u8>>,
        then: impl FnOnce(&mut Crowd, Tally),
    ) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let threads: Vec<_> = (0..COUNT)
                .map(|at| {
                    let (stream, _) = listener.accept().unwrap();
                    thread::spawn(move || serve(stream, if at == 1 { answer } else { echo }))
                })
                .collect();
            threads.into_iter().for_each(|thread| _ = thread.join().unwrap());
        });
        let script = Script::echo(false, Kind::Binary, 20, 1);
        let mut crowd = Crowd::connect(addr, COUNT, Opening::None, script, false).unwrap();
        let tally = crowd.talk(Duration::from_millis(30), Duration::from_millis(3), COUNT);
        let said = tally.map(|tally| then(&mut crowd, tally)).map_err(|error| error.to_string());
        drop(crowd);
        server.join().unwrap();
        said
    }

    #[test]
    fn all_are_pinged_and_answer() {
        let said = talk_with(echo, |crowd, tally| {
            assert_eq!((tally.pings, tally.pongs, tally.fewest_pings, tally.dropped), (12, 12, 4, 0));
            assert!(tally.latencies.len() >= COUNT);
            assert_eq!(crowd.ask_all().unwrap(), 0);
        });
        assert_eq!(said, Ok(()));
    }

    #[test]
    fn dropped_connections_are_counted() {
        let said = talk_with(
            |_| None,
            |crowd, tally| {
                assert_eq!(tally.dropped, 1);
                assert_eq!(crowd.ask_all().unwrap(), 1);
            },
        );
        assert_eq!(said, Ok(()));
    }

    #[test]
    fn wrong_answers_are_errors() {
        let said = talk_with(|_| Some(b"something else".to_vec()), |_, _| {});
        assert_eq!(said, Err("answered something else than it was asked".into()));
    }
}
