//! The halves of a connection over tokio, in threads of their own: whatever the order in which they, their peer and the
//! wakers run, nobody waits for ever. A thread that nobody wakes any more is a deadlock, which loom reports.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loom::future::block_on;
use loom::sync::Mutex;
use loom::thread::{self, JoinHandle};
use sansocket::tokio::{Group, ReceiveHalf, SendHalf, WebSocket};
use sansocket::{Config, Connection, Message};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Masked with zeros: a message, and a Close frame.
const HI: &[u8] = b"\x81\x82\0\0\0\0Hi";
const CLOSE: &[u8] = b"\x88\x80\0\0\0\0";

/// What travels between a connection and its peer. As sockets do it remembers one task for each direction.
#[derive(Debug, Default)]
struct Wire {
    incoming: Vec<u8>,
    /// Reading finds the end, writing fails.
    ended: bool,
    reader: Option<Waker>,
    outgoing: Vec<u8>,
    room: usize,
    writer: Option<Waker>,
    peer: Option<Waker>,
}

type Shared = Arc<Mutex<Wire>>;

#[derive(Debug)]
struct Stream(Shared);

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = self.0.lock().unwrap();
        if wire.incoming.is_empty() && !wire.ended {
            wire.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        buf.put_slice(&std::mem::take(&mut wire.incoming));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock().unwrap();
        if wire.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let len = bytes.len().min(wire.room - wire.outgoing.len());
        if len == 0 {
            wire.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        wire.outgoing.extend_from_slice(&bytes[..len]);
        let peer = wire.peer.take();
        drop(wire);
        peer.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The other end of the wire.
#[derive(Debug)]
struct Peer(Shared);

impl Peer {
    /// Waits for as many bytes and takes them, as often as the wire is full.
    fn take(&self, len: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while taken.len() < len {
            let (bytes, writer) = block_on(std::future::poll_fn(|context| {
                let mut wire = self.0.lock().unwrap();
                if wire.outgoing.is_empty() {
                    wire.peer = Some(context.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready((std::mem::take(&mut wire.outgoing), wire.writer.take()))
            }));
            taken.extend(bytes);
            writer.into_iter().for_each(Waker::wake);
        }
        taken
    }

    fn give(&self, bytes: &[u8]) {
        let mut wire = self.0.lock().unwrap();
        wire.incoming.extend_from_slice(bytes);
        let reader = wire.reader.take();
        drop(wire);
        reader.into_iter().for_each(Waker::wake);
    }

    fn end(&self) {
        let mut wire = self.0.lock().unwrap();
        wire.ended = true;
        let wakers = [wire.reader.take(), wire.writer.take()];
        drop(wire);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// A server without deadlines on a wire that holds `room` bytes, and queues no more than one message.
fn server(room: usize) -> (WebSocket<Stream>, Peer) {
    let wire: Shared = Arc::new(Mutex::new(Wire { room, ..Wire::default() }));
    let config = Config::new()
        .ping_interval(None)
        .pong_timeout(None)
        .message_timeout(None)
        .write_timeout(None)
        .close_timeout(None)
        .max_queued_output(1);
    let connection = Connection::server(config, Duration::ZERO);
    (WebSocket::over(Stream(wire.clone()), connection), Peer(wire))
}

fn halves(room: usize) -> (ReceiveHalf<Stream>, SendHalf<Stream>, Peer) {
    let (ws, peer) = server(room);
    let (receiver, sender) = ws.split();
    (receiver, sender, peer)
}

/// Tries every order with at most so many preemptions, or as many as `LOOM_MAX_PREEMPTIONS` says.
fn model(preemptions: usize, test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(test);
}

fn receive(mut receiver: ReceiveHalf<Stream>) -> JoinHandle<()> {
    thread::spawn(move || {
        assert_eq!(block_on(receiver.recv()).unwrap(), Some(Message::from("Hi")));
    })
}

fn send(mut sender: SendHalf<Stream>, message: &'static [u8]) -> JoinHandle<()> {
    thread::spawn(move || block_on(sender.send(message)).unwrap())
}

#[test]
fn a_sender_that_waits_for_its_peer_and_a_receiver() {
    model(2, || {
        let (receiver, sender, peer) = halves(3);
        let threads = [receive(receiver), send(sender, b"abcd")];
        assert_eq!(peer.take(6), b"\x82\x04abcd");
        peer.give(HI);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn what_is_only_queued_leaves_while_the_receiver_sleeps() {
    model(3, || {
        let (receiver, sender, peer) = halves(8);
        let receiving = receive(receiver);
        let feeding = thread::spawn(move || sender.try_feed(&b"abcd"[..]).unwrap());
        assert_eq!(peer.take(6), b"\x82\x04abcd");
        peer.give(HI);
        receiving.join().unwrap();
        feeding.join().unwrap();
    });
}

#[test]
fn what_a_sender_feeds_and_does_not_flush_leaves_too() {
    model(3, || {
        let (receiver, mut sender, peer) = halves(8);
        let receiving = receive(receiver);
        let feeding = thread::spawn(move || block_on(sender.feed(&b"abcd"[..])).unwrap());
        assert_eq!(peer.take(6), b"\x82\x04abcd");
        peer.give(HI);
        receiving.join().unwrap();
        feeding.join().unwrap();
    });
}

#[test]
fn two_senders_and_no_receiver() {
    model(3, || {
        let (receiver, sender, peer) = halves(3);
        drop(receiver);
        let threads = [send(sender.clone(), b"a"), send(sender, b"b")];
        let taken = peer.take(6);
        assert!(taken == b"\x82\x01a\x82\x01b" || taken == b"\x82\x01b\x82\x01a", "{taken:?}");
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn two_senders_and_a_receiver() {
    model(1, || {
        let (receiver, sender, peer) = halves(3);
        let threads = [receive(receiver), send(sender.clone(), b"a"), send(sender, b"b")];
        assert_eq!(peer.take(6).len(), 6);
        peer.give(HI);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// The waiting of one sender is given up, as by a timeout, and its half dropped; the other one waits on.
#[test]
fn a_sender_that_gives_up_takes_nobodys_turn() {
    model(2, || {
        let (receiver, sender, peer) = halves(3);
        let mut other = sender.clone();
        let giving_up = thread::spawn(move || {
            let mut future = Box::pin(other.send(&b"a"[..]));
            let mut polled = false;
            block_on(std::future::poll_fn(|context| {
                // Once woken, or done, it goes.
                if std::mem::replace(&mut polled, true) {
                    Poll::Ready(())
                } else {
                    future.as_mut().poll(context).map(drop)
                }
            }));
        });
        let sending = send(sender, b"bc");
        // Whether or not the first message was taken, the second one comes whole.
        let mut taken = peer.take(4);
        while !taken.ends_with(b"\x82\x02bc") && !taken.starts_with(b"\x82\x02bc") {
            taken.extend(peer.take(1));
        }
        giving_up.join().unwrap();
        sending.join().unwrap();
        drop(receiver);
    });
}

#[test]
fn a_receiver_that_goes_leaves_the_sender_its_turn() {
    model(3, || {
        let (mut receiver, sender, peer) = halves(3);
        let sending = send(sender, b"ab");
        let going = thread::spawn(move || {
            let mut context = Context::from_waker(Waker::noop());
            assert!(receiver.poll_recv(&mut context).is_pending());
        });
        assert_eq!(peer.take(4), b"\x82\x02ab");
        sending.join().unwrap();
        going.join().unwrap();
    });
}

#[test]
fn all_hear_of_the_end() {
    model(4, || {
        let (mut receiver, mut sender, peer) = halves(3);
        // Nobody takes these bytes.
        let sending = thread::spawn(move || assert!(block_on(sender.send(&b"abcd"[..])).is_err()));
        let receiving = thread::spawn(move || assert!(block_on(receiver.recv()).is_err()));
        peer.end();
        sending.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn the_answer_to_a_close_leaves_whoever_writes() {
    model(2, || {
        let (mut receiver, sender, peer) = halves(8);
        let receiving = thread::spawn(move || assert_eq!(block_on(receiver.recv()).unwrap(), None));
        let feeding = thread::spawn(move || {
            let _ = sender.try_feed(&b"a"[..]);
        });
        peer.give(CLOSE);
        let mut taken = peer.take(2);
        while taken.starts_with(b"\x82") && taken.len() < 5 {
            taken.extend(peer.take(1));
        }
        assert!(taken.ends_with(b"\x88\x00"), "{taken:?}");
        peer.end();
        receiving.join().unwrap();
        feeding.join().unwrap();
    });
}

#[test]
fn halves_meet_again_whoever_goes() {
    model(4, || {
        let (receiver, sender, _peer) = halves(8);
        let clone = sender.clone();
        let other = thread::spawn(move || drop(clone));
        if let Err((receiver, sender)) = receiver.reunite(sender) {
            other.join().unwrap();
            assert!(receiver.reunite(sender).is_ok());
        }
    });
}

/// `shutdown` needs a timer, which here never goes off.
#[test]
fn a_group_that_shuts_down_reaches_a_sleeping_receiver() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let entered = Arc::new(runtime);
    model(2, move || {
        let _guard = entered.enter();
        let (mut ws, peer) = server(8);
        let group = Group::new();
        ws.join(&group);
        let receiving = thread::spawn(move || assert_eq!(block_on(ws.recv()).unwrap(), None));
        let closing = thread::spawn(move || {
            assert_eq!(block_on(group.shutdown(Duration::from_secs(3600))), 0);
        });
        assert_eq!(peer.take(4), b"\x88\x02\x03\xE9");
        peer.give(CLOSE);
        peer.end();
        receiving.join().unwrap();
        closing.join().unwrap();
    });
}
