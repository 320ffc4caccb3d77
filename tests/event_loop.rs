//! What the crate offers to event loops on the bare core: `ReadBuffer` and `WriteBuffer`.
#![cfg(feature = "std")]

mod support;

use std::io::{self, Read, Write};

use sansocket::{Error, Event, Message, ReadBuffer, Role, Sink, WriteBuffer};
use support::wire::{self, BINARY};
use support::{NOW, ROLES, Seen, Session, connection};

/// A stream that takes and gives at most `step` bytes at once, and is not ready every other time if it `blocks`.
struct Stream {
    unread: Vec<u8>,
    written: Vec<u8>,
    step: usize,
    blocks: bool,
    calls: usize,
    /// The largest memory that was offered to a read.
    largest_read: usize,
}

impl Stream {
    fn new(unread: &[u8], step: usize, blocks: bool) -> Self {
        Self { unread: unread.into(), written: Vec::new(), step, blocks, calls: 0, largest_read: 0 }
    }

    fn begin(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.calls % 4 {
            1 if self.blocks => Err(io::ErrorKind::WouldBlock.into()),
            3 if self.blocks => Err(io::ErrorKind::Interrupted.into()),
            _ => Ok(()),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.begin()?;
        let len = to.len().min(self.step).min(self.unread.len());
        to[..len].copy_from_slice(&self.unread[..len]);
        self.unread.drain(..len);
        self.largest_read = self.largest_read.max(to.len());
        Ok(len)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begin()?;
        let len = bytes.len().min(self.step);
        self.written.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Echoes everything, as the loop of the guide does; returns the events.
fn drive(role: Role, stream: &mut Stream) -> io::Result<(Vec<Seen>, Result<(), Error>)> {
    let mut connection = connection(role, sansocket::Config::new());
    let (mut out, mut seen, mut failed) = (WriteBuffer::new(), Vec::new(), Ok(()));
    loop {
        out.write_for(&mut connection, NOW, stream)?;
        if !out.is_empty() {
            continue;
        }
        let mut buffer = ReadBuffer::new();
        let mut input = match buffer.read_for(&mut connection, stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            input => input?,
        };
        if input.is_empty() {
            return Ok((seen, failed.and_then(|()| connection.handle_eof())));
        }
        loop {
            match connection.receive(NOW, &mut input, &mut out) {
                Ok(Some(Event::Message(message))) => {
                    seen.push(Seen::message(&message));
                    let _ = if input.is_empty() {
                        out.send_direct(&mut connection, NOW, &message, stream)
                    } else {
                        connection.send(&message, &mut out)
                    };
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    failed = Err(error);
                    break;
                }
            }
        }
        assert!(input.is_empty() || failed.is_err(), "all input is taken");
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 256) as u8).collect()
}

/// Whatever is read straight into a message and written straight from it, the conversation is the same.
#[test]
fn a_loop_echoes_messages_of_any_size_in_any_cut() {
    // conf: FG-07
    for role in ROLES {
        let sizes = [0, 20, 200, 16_384, 70_000, 300_000, 20];
        let fragments = [&pattern(30_000)[..], &pattern(150_000), &pattern(9)];
        let mut bytes: Vec<u8> = sizes.iter().flat_map(|len| wire::binary(role, &pattern(*len))).collect();
        bytes.extend(wire::ping(role, b"between"));
        bytes.extend(wire::fragments(role, BINARY, &fragments));
        bytes.extend(wire::text(role, "the end"));
        let mut expected: Vec<_> = sizes.iter().map(|len| Seen::Binary(pattern(*len))).collect();
        expected.extend([Seen::Binary(fragments.concat()), Seen::text("the end")]);

        for (step, blocks) in [(usize::MAX, false), (100_000, true), (20_000, false), (4093, true)] {
            let mut stream = Stream::new(&bytes, step, blocks);
            let (seen, ended) = drive(role, &mut stream).unwrap();
            assert!(seen == expected, "{role:?} {step}");
            assert_eq!(ended, Err(Error::UnexpectedEof));
            let answers = wire::plain(role, &stream.written);
            assert_eq!(answers.len(), expected.len() + 1, "one of them is the pong");
            let echoes =
                answers.iter().filter(|(first, _)| first & 15 < 3).map(|(_, payload)| payload.clone());
            let payloads = expected.iter().map(|seen| match seen {
                Seen::Binary(payload) => payload.clone(),
                _ => b"the end".to_vec(),
            });
            assert!(echoes.eq(payloads), "{role:?} {step}");
        }
    }
}

/// Only from a peer that has sent much of it: until then a message costs what has arrived.
#[test]
fn the_rest_of_a_large_message_is_read_into_it() {
    for (step, is_direct) in [(16_000, false), (17_000, true)] {
        let mut session = Session::new(Role::Server);
        let mut stream = Stream::new(&wire::binary(Role::Server, &pattern(200_000)), step, false);
        let mut buffer = ReadBuffer::new();
        let mut reads = Vec::new();
        while !stream.unread.is_empty() {
            stream.largest_read = 0;
            let mut input = buffer.read_for(&mut session.connection, &mut stream).unwrap();
            reads.push(stream.largest_read);
            let event = session.connection.receive(NOW, &mut input, &mut session.out).unwrap();
            let is_message = matches!(event, Some(Event::Message(message)) if message.len() == 200_000);
            assert_eq!(is_message, stream.unread.is_empty());
        }
        assert!(reads[0] >= 256 << 10);
        // For what is left at last the buffer will do.
        let between = &reads[1..reads.len() - 1];
        assert!(between.iter().all(|read| (*read < 256 << 10) == is_direct), "{reads:?}");
    }
}

#[test]
fn a_read_buffer_says_whether_the_stream_is_drained_and_keeps_what_is_unread() {
    let mut stream = Stream::new(&pattern(300_000), usize::MAX, false);
    let mut buffer = ReadBuffer::new();
    let len = buffer.read_from(&mut stream).unwrap();
    assert!(len >= 256 << 10 && !buffer.has_drained());
    buffer.consume(len - 3);
    assert_eq!(buffer.read_from(&mut stream).unwrap(), 300_000 - len);
    assert!(buffer.has_drained());
    assert_eq!(buffer.unread(), &pattern(300_000)[len - 3..]);
    assert_eq!(buffer.input().rest().len(), 300_003 - len);
    assert!(buffer.is_empty());
    assert_eq!(buffer.read_from(&mut stream).unwrap(), 0, "the end of the stream");

    // Its owner reads in a way of its own, and never consumes.
    let mut all = 0;
    while !buffer.unfilled().is_empty() {
        let len = buffer.unfilled().len().min(100_000);
        buffer.advance(len);
        all += len;
    }
    assert!(all >= 256 << 10);
    let mut stream = Stream::new(b"more", usize::MAX, false);
    assert_eq!(buffer.read_from(&mut stream).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    assert_eq!(buffer.unread().len(), all);
}

#[test]
fn what_follows_another_protocol_is_the_input_of_the_connection() {
    let bytes = [wire::text(Role::Server, "one"), wire::text(Role::Server, "two")].concat();
    let (mut session, mut buffer) = (Session::new(Role::Server), ReadBuffer::new());
    buffer.read_from(&mut Stream::new(&[b"head", &bytes[..]].concat(), usize::MAX, false)).unwrap();
    buffer.consume(4);
    let mut input = buffer.input();
    for text in ["one", "two"] {
        let event = session.connection.receive(NOW, &mut input, &mut session.out).unwrap();
        assert_eq!(event, Some(Event::Message(Message::from(text))));
    }
}

#[test]
fn a_write_buffer_keeps_what_the_stream_does_not_take() {
    let all = pattern(50_000);
    for step in [700, 2999, 7777] {
        let (mut out, mut stream) = (WriteBuffer::new(), Stream::new(b"", step, true));
        let mut written = 0;
        for piece in all.chunks(3001) {
            out.push(piece);
            assert_eq!(out.last_mut(2), &piece[piece.len() - 2..]);
            written += out.write_to(&mut stream).unwrap();
            assert_eq!(written, stream.written.len());
        }
        while !out.is_empty() {
            written += out.write_to(&mut stream).unwrap();
        }
        assert_eq!(written, stream.written.len());
        assert!(stream.written == all);
    }
    let mut out = WriteBuffer::new();
    out.push(b"one by one");
    out.consume(4);
    assert_eq!((out.queued(), out.len()), (&b"by one"[..], 6));
    out.consume(7);
    assert!(out.is_empty());
}

struct Deaf;

impl Write for Deaf {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stream_that_takes_nothing_is_an_error_that_comes_with_the_next_write() {
    let (mut out, mut session) = (WriteBuffer::new(), Session::new(Role::Server));
    let message = Message::from(pattern(20_000));
    out.send_direct(&mut session.connection, NOW, &message, &mut Deaf).unwrap();
    assert_eq!(out.len(), 20_004);
    assert_eq!(out.write_to(&mut Deaf).unwrap_err().kind(), io::ErrorKind::WriteZero);
    assert_eq!(out.len(), 20_004);
}

/// Values that no transport would bring.
#[test]
fn any_count_is_taken_for_what_the_buffers_hold() {
    let mut buffer = ReadBuffer::new();
    buffer.advance(usize::MAX);
    assert!(buffer.is_empty());
    buffer.consume(usize::MAX);
    let room = buffer.unfilled().len();
    buffer.advance(usize::MAX);
    assert_eq!(buffer.unread().len(), room);
    buffer.advance(usize::MAX);
    assert_eq!((buffer.unread().len(), buffer.read_from(&mut &b"more"[..]).is_err()), (room, false));
    buffer.consume(room - 1);
    buffer.release();
    buffer.advance(usize::MAX);
    buffer.consume(usize::MAX);
    assert!(buffer.is_empty());
    let mut out = WriteBuffer::new();
    out.consume(usize::MAX);
    out.push(b"one");
    out.consume(1);
    out.consume(usize::MAX);
    assert!(out.is_empty());
}
