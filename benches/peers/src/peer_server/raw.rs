//! TCP without a protocol: as fast as an echo can be, and the limit for all the others.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net;
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::broadcast::{self, error::TryRecvError};

use crate::{Error, Options, runtime};

/// Of each connection, or of all where they can share one.
const READ_BUFFER: usize = 128 << 10;
const SHARED_READ_BUFFER: usize = 256 << 10;
const LISTENER: Token = Token(usize::MAX);

pub fn tokio(options: &Options) -> Result<(), Error> {
    let room = options.broadcast.then(|| broadcast::Sender::new(1 << 16));
    runtime::serve(options, |stream| {
        let room = room.clone();
        async move {
            match room {
                None => echo(stream).await,
                Some(room) => broadcast(stream, room).await,
            }
        }
    })
}

async fn echo(mut stream: tokio::net::TcpStream) -> Result<(), Error> {
    let mut buffer = vec![0; READ_BUFFER];
    loop {
        let len = stream.read(&mut buffer).await?;
        if len == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..len]).await?;
    }
}

/// All that waits is written at once.
async fn broadcast(
    mut stream: tokio::net::TcpStream,
    room: broadcast::Sender<Arc<[u8]>>,
) -> Result<(), Error> {
    let mut queue = room.subscribe();
    let (mut reader, mut writer) = stream.split();
    let (mut buffer, mut out) = ([0; 16 << 10], Vec::new());
    loop {
        tokio::select! {
            len = reader.read(&mut buffer) => match len? {
                0 => return Ok(()),
                len => _ = room.send(buffer[..len].into()),
            },
            first = queue.recv() => {
                let first = first?;
                match queue.try_recv() {
                    Err(TryRecvError::Empty) => writer.write_all(&first).await?,
                    Err(error) => return Err(error.into()),
                    Ok(second) => {
                        out.clear();
                        out.extend_from_slice(&first);
                        out.extend_from_slice(&second);
                        while let Ok(next) = queue.try_recv() {
                            out.extend_from_slice(&next);
                        }
                        writer.write_all(&out).await?;
                    }
                }
            }
        }
    }
}

pub fn threads(options: &Options) -> Result<(), Error> {
    let listener = net::TcpListener::bind(&options.addr)?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        std::thread::Builder::new().spawn(move || {
            let mut buffer = vec![0; READ_BUFFER];
            while let Ok(len @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..len]).is_err() {
                    return;
                }
            }
        })?;
    }
    Ok(())
}

/// One connection of the event loop.
struct Peer {
    stream: TcpStream,
    /// What the socket has not taken yet; nothing is read while there is some.
    unsent: Vec<u8>,
}

pub fn epoll(options: &Options) -> Result<(), Error> {
    let mut listener = TcpListener::bind(options.addr.parse()?)?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; SHARED_READ_BUFFER];
    let (mut peers, mut ended): (Vec<Option<Peer>>, BTreeSet<usize>) = (Vec::new(), BTreeSet::new());
    loop {
        match poll.poll(&mut events, None) {
            // A tracer came or went.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            let Token(at) = event.token();
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut peers)?;
            } else if options.broadcast {
                let Some(len) = peers[at].as_mut().and_then(|peer| peer.read(&mut buffer)) else { continue };
                for (at, peer) in peers.iter_mut().enumerate() {
                    if peer.as_mut().is_some_and(|peer| !peer.write(&buffer[..len])) {
                        ended.insert(at);
                    }
                }
            } else if peers[at].as_mut().is_some_and(|peer| !peer.echo(&mut buffer)) {
                ended.insert(at);
            }
        }
        while let Some(at) = ended.pop_first() {
            peers[at] = None;
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, peers: &mut Vec<Option<Peer>>) -> Result<(), Error> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        stream.set_nodelay(true)?;
        poll.registry().register(&mut stream, Token(peers.len()), Interest::READABLE | Interest::WRITABLE)?;
        peers.push(Some(Peer { stream, unsent: Vec::new() }));
    }
}

impl Peer {
    /// `false` once the connection has ended.
    fn echo(&mut self, buffer: &mut [u8]) -> bool {
        let waiting = std::mem::take(&mut self.unsent);
        if !self.write(&waiting) {
            return false;
        }
        while self.unsent.is_empty() {
            match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(len) => {
                    if !self.write(&buffer[..len]) {
                        return false;
                    }
                    // A read that did not fill the buffer has emptied the socket.
                    if len < buffer.len() {
                        return true;
                    }
                }
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }

    /// What has come, at most a buffer full, as messages to many are small.
    fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        self.stream.read(buffer).ok().filter(|len| *len > 0)
    }

    /// Keeps what the socket does not take; `false` once the connection has ended.
    fn write(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && self.unsent.is_empty() {
            match self.stream.write(bytes) {
                Ok(len) => bytes = &bytes[len..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        self.unsent.extend_from_slice(bytes);
        true
    }
}
