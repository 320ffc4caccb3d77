//! TCP without a protocol: as fast as an echo can be, and the limit for all the others.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Token};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::sync::broadcast::{self, error::TryRecvError};

use crate::{Error, Options, runtime};

/// All connections of an event loop share one buffer, so that an idle one costs none.
const SHARED_READ_BUFFER: usize = 256 << 10;
const PAGE: usize = 4096;
/// Of a thread that serves one connection.
const READ_BUFFER: usize = 64 << 10;
const LISTENER: Token = Token(usize::MAX);

/// The middle of a page of memory with a page to choose from, for `+placed`; else its start.
///
/// The kernel copies with `rep movsb`, which on AMD's Zen 3 takes up to five times as long to a place that lies up to 31 bytes
/// further on in its page than what is copied. What was sent mostly lies at the start of a page, a large `Vec` 16 bytes behind one.
fn place<'a>(buffer: &'a mut [u8], variant: &str) -> &'a mut [u8] {
    let place = if variant == "placed" { (PAGE / 2).wrapping_sub(buffer.as_ptr().addr()) % PAGE } else { 0 };
    &mut buffer[place..][..SHARED_READ_BUFFER]
}

/// Makes the read buffer of all connections.
pub fn share_buffer(variant: &str) {
    SHARED.set(place(vec![0; SHARED_READ_BUFFER + PAGE].leak(), variant));
}

pub fn tokio(variant: &str, options: &Options) -> Result<(), Error> {
    share_buffer(variant);
    let room = options.broadcast.then(|| broadcast::Sender::new(1 << 16));
    runtime::serve(options, |stream| {
        let room = room.clone();
        async move {
            match room {
                None => echo(stream, 0, |_, end| 0..end).await,
                // In a box, as a task keeps room for its largest future.
                Some(room) => Box::pin(broadcast(stream, room)).await,
            }
        }
    })
}

thread_local! {
    /// The read buffer of all connections.
    static SHARED: RefCell<&'static mut [u8]> = const { RefCell::new(&mut []) };
}

/// Reads to `buffer[start..]` of the shared buffer, and writes what `answer` makes of it up to an end.
pub async fn echo(
    mut stream: tokio::net::TcpStream,
    start: usize,
    mut answer: impl FnMut(&mut [u8], usize) -> Range<usize>,
) -> Result<(), Error> {
    while let Some(unsent) =
        poll_fn(|cx| SHARED.with_borrow_mut(|buffer| poll_echo(&mut stream, cx, buffer, start, &mut answer)))
            .await?
    {
        if !unsent.is_empty() {
            stream.write_all(&unsent).await?;
        }
    }
    Ok(())
}

/// Reads and writes once; what the socket did not take is returned, nothing at the end of the stream.
fn poll_echo(
    stream: &mut tokio::net::TcpStream,
    cx: &mut Context,
    buffer: &mut [u8],
    start: usize,
    answer: impl FnOnce(&mut [u8], usize) -> Range<usize>,
) -> Poll<io::Result<Option<Vec<u8>>>> {
    let mut received = ReadBuf::new(&mut buffer[start..]);
    ready!(Pin::new(&mut *stream).poll_read(cx, &mut received))?;
    if received.filled().is_empty() {
        return Poll::Ready(Ok(None));
    }
    let end = start + received.filled().len();
    let place = answer(buffer, end);
    let answer = &buffer[place];
    let sent = match stream.try_write(answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        written => written?,
    };
    Poll::Ready(Ok(Some(answer[sent..].to_vec())))
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

pub fn epoll(variant: &str, options: &Options) -> Result<(), Error> {
    let mut listener = TcpListener::bind(options.addr.parse()?)?;
    let mut poll = mio::Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; SHARED_READ_BUFFER + PAGE];
    let buffer = place(&mut buffer, variant);
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
                let Some(len) = peers[at].as_mut().and_then(|peer| peer.read(buffer)) else { continue };
                for (at, peer) in peers.iter_mut().enumerate() {
                    if peer.as_mut().is_some_and(|peer| !peer.write(&buffer[..len])) {
                        ended.insert(at);
                    }
                }
            } else if peers[at].as_mut().is_some_and(|peer| !peer.echo(buffer)) {
                ended.insert(at);
            }
        }
        while let Some(at) = ended.pop_first() {
            peers[at] = None;
        }
    }
}

fn accept(listener: &TcpListener, poll: &mio::Poll, peers: &mut Vec<Option<Peer>>) -> Result<(), Error> {
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
