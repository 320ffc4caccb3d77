//! Attacks on the adapter for blocking streams, over a peer that is played in memory.

extern crate alloc;

use alloc::rc::Rc;
use core::cell::RefCell;
use core::time::Duration;
use std::io::{self, Read, Write};

use sansocket::blocking::{Acceptor, Error, HandshakeError, Transport, WebSocket};
use sansocket::handshake::Response;
use sansocket::{Config, Connection, Deadline};

use crate::http::{Lines, ParsedResponse};
use crate::meter::{assert_linear, cost};
use crate::support::wire::{self, BINARY, FIN, Length, TEXT};
use sansocket::Role::Server;

/// Gives `incoming` in pieces of `step`, over and over if it is endless, and takes `takes` bytes at most.
#[derive(Debug)]
struct Peer {
    incoming: Vec<u8>,
    endless: Option<Vec<u8>>,
    at: usize,
    step: usize,
    takes: usize,
    sent: Rc<RefCell<Vec<u8>>>,
    reads: usize,
}

impl Peer {
    fn new(incoming: Vec<u8>, step: usize) -> Self {
        Self { incoming, endless: None, at: 0, step, takes: usize::MAX, sent: Rc::default(), reads: 0 }
    }
}

impl Read for Peer {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        if self.at == self.incoming.len() {
            match &self.endless {
                Some(more) => {
                    self.incoming.clone_from(more);
                    self.at = 0;
                }
                None => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
        let rest = &self.incoming[self.at..];
        let len = place.len().min(self.step).min(rest.len());
        place[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

impl Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = self.sent.borrow_mut();
        let len = bytes.len().min(self.takes - sent.len().min(self.takes));
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        sent.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Peer {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn server(peer: Peer, config: Config) -> WebSocket<Peer> {
    WebSocket::over(peer, Connection::server(config, Duration::ZERO))
}

/// A thread lends the buffer of a read; it is there from the first one on.
fn warm_up() {
    _ = server(Peer::new(wire::text(Server, "x"), 1000), Config::new()).recv();
}

// conf: SQ-24
#[test]
fn cve_2023_43669_an_endless_head_ends_the_handshake() {
    for step in [1, 7, 4096] {
        let mut peer = Peer::new(Lines::request().bytes()[..60].to_vec(), step);
        peer.endless = Some(b"X-Filler: filler\r\n".to_vec());
        let (refused, cost) = cost(|| Acceptor::new().accept(peer).unwrap_err());
        let Error::Handshake(error) = refused else { panic!("{refused:?}") };
        let HandshakeError::Refused(refused) = *error else { panic!("{error:?}") };
        assert_eq!(refused.error().status(), 431);
        assert!(cost.peak <= 160 << 10, "{cost:?}");
    }
}

// conf: SQ-22 SQ-27
#[test]
fn cve_2026_69243_and_cve_2026_2833_what_is_behind_a_refused_request_is_not_answered() {
    let smuggled = Lines::request().first("GET /admin HTTP/1.1").bytes();
    for line in ["Content-Length: 40", "Transfer-Encoding: chunked"] {
        let bytes = [Lines::request().add(line).bytes(), smuggled.clone()].concat();
        for step in [1, 4096] {
            let peer = Peer::new(bytes.clone(), step);
            let sent = peer.sent.clone();
            Acceptor::new().accept(peer).unwrap_err();
            let response = ParsedResponse::parse(&sent.borrow());
            assert_eq!((response.status, response.all("connection")), (400, vec!["close"]));
            response.check_refusal();
        }
    }
    let bytes = [Lines::request().bytes(), smuggled].concat();
    let peer = Peer::new(bytes, 4096);
    let sent = peer.sent.clone();
    let pending = Acceptor::new().read_request(peer).unwrap();
    assert!(sent.borrow().is_empty(), "an answer before the decision");
    pending.reject(&Response::new(403)).unwrap();
    let response = ParsedResponse::parse(&sent.borrow());
    assert_eq!(response.status, 403);
    response.check_refusal();
}

// conf: LM-04
#[test]
fn cve_2022_35922_an_announced_length_takes_no_memory() {
    warm_up();
    let header = wire::header(Server, FIN | BINARY, Length::Long((1 << 63) - 1));
    let peer = Peer::new([header, vec![7; 100]].concat(), 10);
    let mut ws = server(peer, Config::new().max_message_size(usize::MAX));
    let (result, cost) = cost(|| ws.recv());
    assert!(matches!(result, Err(Error::WouldBlock)));
    assert!(cost.peak <= 66 << 10, "{cost:?}");
}

/// `ws` of Rust queued answers for a peer that reads none, without a limit.
// conf: LM-06
#[test]
fn cve_2020_35896_output_that_nobody_takes_is_limited() {
    warm_up();
    const LIMIT: usize = 100 << 10;
    for frame in [wire::binary(Server, &[7; 1000]), wire::ping(Server, &[7; 125])] {
        let mut peer = Peer::new(Vec::new(), 64 << 10);
        peer.endless = Some(frame.repeat(64));
        peer.takes = 10;
        let timeout = Duration::from_millis(200);
        let mut ws = server(peer, Config::new().max_queued_output(LIMIT).write_timeout(timeout));
        let (queued, cost) = cost(|| {
            let mut most = 0;
            for _ in 0..100_000 {
                match ws.recv_ref() {
                    Ok(Some((message, mut tx))) => match tx.feed(&message) {
                        Ok(()) | Err(Error::WouldBlock) => {}
                        Err(Error::Connection(sansocket::Error::Timeout(Deadline::Write))) => break,
                        Err(error) => panic!("{error:?}"),
                    },
                    Ok(None) => panic!("closed"),
                    Err(Error::WouldBlock) => {}
                    // Pings are read for as long as their answers wait.
                    Err(Error::Connection(sansocket::Error::Timeout(Deadline::Write))) => break,
                    Err(error) => panic!("{error:?}"),
                }
                most = most.max(ws.queued());
            }
            most
        });
        // One message more than the limit, and some answers to pings.
        assert!(queued <= LIMIT + 1004 + 4096, "{queued}");
        assert!(cost.peak <= 4 * LIMIT as isize, "{cost:?}");
        assert!(ws.transport().reads > 0);
    }
}

/// libsoup went on reading while there was anything to read and looked at it afterwards: a peer that never stops kept it
/// busy, and its memory grew.
// conf: FL-02 FL-05
#[test]
fn cve_2024_52532_what_is_read_is_judged_before_more_is_read() {
    let message = wire::binary(Server, &[7; 1000]);
    let long = wire::header(Server, FIN | BINARY, Length::Long((16 << 20) + 1));
    for (first, goes_on, code) in [
        (wire::frame(Server, 0xC1, b""), vec![0xFF; 4096], 1002),
        (long, vec![7; 4096], 1009),
        (wire::frame(Server, FIN | TEXT, b"\xFF"), message.clone(), 1007),
        (wire::close(Server, 1000, ""), message.clone(), 1000),
    ] {
        for step in [1, 100, 64 << 10] {
            let mut peer = Peer::new([&message[..], &first].concat(), step);
            peer.endless = Some(goes_on.clone());
            let sent = peer.sent.clone();
            let mut ws = server(peer, Config::new().close_timeout(Duration::from_millis(100)));
            let ((message, end), cost) = cost(|| (ws.recv(), ws.recv()));
            assert!(message.unwrap().is_some());
            assert!(end.is_err() || code == 1000, "{end:?}");
            // Said at once, though the peer never stopped; then the rest is read until the deadline and thrown away.
            assert!(wire::plain(Server, &sent.borrow())[0].1.starts_with(&u16::to_be_bytes(code)));
            assert!(cost.peak <= 160 << 10, "{cost:?} in steps of {step}");
        }
    }
    // A peer that never stops and breaks no rule: each message comes when it is there.
    let mut peer = Peer::new(message.clone(), 64 << 10);
    peer.endless = Some(message.repeat(100));
    let mut ws = server(peer, Config::new());
    for _ in 0..10_000 {
        assert!(ws.recv().unwrap().is_some());
    }
    assert!(ws.transport().reads < 11_000, "{}", ws.transport().reads);
}

// conf: LM-07
#[test]
fn one_byte_at_a_time_costs_one_read_each() {
    assert_linear("bytes over a stream", 10_000, |count| {
        let frame = wire::frame(Server, FIN | TEXT, &vec![b'x'; count]);
        let len = frame.len();
        let mut ws = server(Peer::new(frame, 1), Config::new());
        assert!(ws.recv().unwrap().is_some());
        assert!(ws.transport().reads <= len + 2, "{}", ws.transport().reads);
    });
}
