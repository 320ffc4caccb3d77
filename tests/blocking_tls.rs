//! Blocking connections over rustls's stream: every deadline holds, however the peer cuts its records, and a full TLS
//! buffer is no dead stream.
#![cfg(feature = "rustls")]

#[path = "blocking_adapter/support.rs"]
mod blocking_support;
mod client_support;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use blocking_support::{SECOND, fill, keys, ms, pattern, tcp, within};
use client_support::tls::Authority;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection, StreamOwned};
use sansocket::blocking::{self, Acceptor, Error, Transport, WebSocket};
use sansocket::handshake::HandshakeLimits;
use sansocket::{CloseCode, Config, Connection, Deadline, Message};

/// What a call may take at most whose limit is well under a second.
const SOON: Duration = Duration::from_secs(5);

type ClientTls<T = TcpStream> = StreamOwned<ClientConnection, T>;
type ServerTls<T = TcpStream> = StreamOwned<ServerConnection, T>;

/// Both ends of TLS over `there` and `here`, set up.
fn tls<A, B>(there: A, here: B) -> (ClientTls<A>, ServerTls<B>)
where
    A: Read + Write + Send + 'static,
    B: Read + Write,
{
    let authority = Authority::new();
    let (mut client, mut server) = unset(&authority, rustls::ALL_VERSIONS, there, here);
    let client = thread::spawn(move || {
        while client.conn.is_handshaking() || client.conn.wants_write() {
            client.conn.complete_io(&mut client.sock).unwrap();
        }
        client
    });
    while server.conn.is_handshaking() || server.conn.wants_write() {
        server.conn.complete_io(&mut server.sock).unwrap();
    }
    (client.join().unwrap(), server)
}

/// Both ends of TLS before the first byte.
fn unset<A: Read + Write, B: Read + Write>(
    authority: &Authority,
    versions: &[&'static rustls::SupportedProtocolVersion],
    there: A,
    here: B,
) -> (ClientTls<A>, ServerTls<B>) {
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(authority.client()), name).unwrap();
    let server = ServerConnection::new(authority.server_with(&["localhost"], versions, false)).unwrap();
    (StreamOwned::new(client, there), StreamOwned::new(server, here))
}

type Encrypt = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;

/// The other end of a connection: it encodes and encrypts, and a test decides when which byte leaves.
struct Peer {
    encrypt: Encrypt,
    frames: Connection,
    tcp: TcpStream,
}

impl Peer {
    /// The record with this message inside.
    fn message(&mut self, message: impl Into<Message<'static>>) -> Vec<u8> {
        let mut frame = Vec::new();
        self.frames.send(message, &mut frame).unwrap();
        (self.encrypt)(&frame)
    }

    /// Writes one byte after each `pause`, from the start of `bytes`, until it is stopped or the other end has gone.
    fn trickle(mut self, mut bytes: Vec<u8>, pause: Duration) -> Dripping {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            while !bytes.is_empty() && stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                if self.tcp.write_all(&bytes[..1]).is_err() {
                    break;
                }
                bytes.remove(0);
            }
            (self, bytes)
        });
        Dripping { stop, thread }
    }
}

struct Dripping {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<(Peer, Vec<u8>)>,
}

impl Dripping {
    /// Ends it, and writes what was left at once.
    fn end(self) -> Peer {
        drop(self.stop);
        let (mut peer, rest) = self.thread.join().unwrap();
        let _ = peer.tcp.write_all(&rest);
        peer
    }
}

fn encrypted(conn: &mut rustls::ConnectionCommon<impl rustls::SideData>, plain: &[u8]) -> Vec<u8> {
    conn.set_buffer_limit(None);
    let mut bytes = Vec::new();
    conn.writer().write_all(plain).unwrap();
    while conn.wants_write() {
        conn.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn server_end(config: Config) -> (WebSocket<ServerTls>, Peer) {
    let (there, here) = tcp();
    let (ClientTls { mut conn, sock }, server) = tls(there, here);
    let frames = Connection::client(Config::new(), keys(), Duration::ZERO);
    let encrypt = Box::new(move |plain: &[u8]| encrypted(&mut conn, plain));
    (blocking_support::server(server, config), Peer { encrypt, frames, tcp: sock })
}

fn client_end(config: Config) -> (WebSocket<ClientTls>, Peer) {
    let (there, here) = tcp();
    let (client, ServerTls { mut conn, sock }) = tls(there, here);
    let frames = Connection::server(Config::new(), Duration::ZERO);
    let encrypt = Box::new(move |plain: &[u8]| encrypted(&mut conn, plain));
    (blocking_support::client(client, config), Peer { encrypt, frames, tcp: sock })
}

/// A client behind TLS with a proxy: TLS over TLS.
fn nested_end(config: Config) -> (WebSocket<ClientTls<ClientTls>>, Peer) {
    let (there, here) = tcp();
    let (there, here) = tls(there, here);
    let (client, ServerTls { mut conn, sock }) = tls(there, here);
    let ServerTls { conn: mut outer, sock } = sock;
    let frames = Connection::server(Config::new(), Duration::ZERO);
    let encrypt = Box::new(move |plain: &[u8]| encrypted(&mut outer, &encrypted(&mut conn, plain)));
    (blocking_support::client(client, config), Peer { encrypt, frames, tcp: sock })
}

/// The same in both roles, and in TLS over TLS.
macro_rules! in_each_role {
    ($check:ident, $config:expr) => {{
        let (ws, peer) = server_end($config);
        $check(ws, peer);
        let (ws, peer) = client_end($config);
        $check(ws, peer);
        let (ws, peer) = nested_end($config);
        $check(ws, peer);
    }};
}

#[test]
fn a_client_hello_byte_by_byte_does_not_hold_an_acceptor() {
    let authority = Authority::new();
    let (there, here) = tcp();
    let (mut client, server) = unset(&authority, rustls::ALL_VERSIONS, there, here);
    let mut hello = Vec::new();
    client.conn.write_tls(&mut hello).unwrap();
    let tcp = client.sock.try_clone().unwrap();
    let dripping = thread::spawn(move || {
        for byte in hello {
            if client.sock.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(ms(100));
        }
    });
    let error = within(SOON, move || {
        let limits = HandshakeLimits::default().timeout(ms(400));
        Acceptor::new().limits(limits).accept(server).unwrap_err()
    });
    assert!(matches!(error, Error::Handshake(_)), "{error:?}");
    // The acceptor may have reset it already.
    let _ = tcp.shutdown(Shutdown::Both);
    dripping.join().unwrap();
}

#[test]
fn a_server_hello_byte_by_byte_does_not_hold_a_client_that_brings_its_stream() {
    let authority = Authority::new();
    let (there, here) = tcp();
    let (client, mut server) = unset(&authority, rustls::ALL_VERSIONS, there, here);
    let tcp = server.sock.try_clone().unwrap();
    let dripping = thread::spawn(move || {
        let mut hello = Vec::new();
        while hello.is_empty() {
            server.conn.read_tls(&mut server.sock).unwrap();
            server.conn.process_new_packets().unwrap();
            server.conn.write_tls(&mut hello).unwrap();
        }
        for byte in hello {
            if server.sock.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(ms(50));
        }
    });
    let error = within(SOON, move || {
        let connector = blocking::Connector::new("wss://localhost/").timeout(ms(400));
        connector.connect_over(client).unwrap_err()
    });
    assert_eq!(client_support::timed_out_step::<()>(Err(error)), sansocket::client::Step::Handshake);
    // The client may have reset it already.
    let _ = tcp.shutdown(Shutdown::Both);
    dripping.join().unwrap();
}

#[test]
fn a_record_byte_by_byte_does_not_hold_recv_timeout_and_is_not_lost() {
    fn check<S: Transport + Send + 'static>(mut ws: WebSocket<S>, mut peer: Peer) {
        let message = pattern(1000);
        let record = peer.message(message.clone());
        let dripping = peer.trickle(record, ms(20));
        let mut ws = within(SOON, move || {
            for _ in 0..3 {
                let began = Instant::now();
                assert!(matches!(ws.recv_timeout(ms(200)), Err(Error::TimedOut)));
                assert!(began.elapsed() >= ms(190), "{:?}", began.elapsed());
            }
            ws
        });
        let _peer = dripping.end();
        assert_eq!(ws.recv_timeout(SOON).unwrap(), Some(message.into()));
    }
    in_each_role!(check, Config::new());
}

#[test]
fn a_record_byte_by_byte_is_a_sign_of_life_and_its_end_is_not() {
    fn check<S: Transport + Send + 'static>(mut ws: WebSocket<S>, mut peer: Peer) {
        let message = pattern(1000);
        let record = peer.message(message.clone());
        let dripping = peer.trickle(record, ms(50));
        assert!(matches!(ws.recv_timeout(ms(1200)), Err(Error::TimedOut)), "still open");
        let _peer = dripping.end();
        let began = Instant::now();
        assert_eq!(ws.recv_timeout(SOON).unwrap(), Some(message.into()));
        // Now it says nothing more, not even pongs.
        let error = ws.recv().unwrap_err();
        let timeout = sansocket::Error::Timeout(Deadline::Pong);
        assert!(matches!(error, Error::Connection(error) if error == timeout), "{error:?}");
        assert!(began.elapsed() < 2 * SOON);
    }
    let config = Config::new().ping_interval(ms(300)).pong_timeout(ms(300)).close_timeout(ms(100));
    in_each_role!(check, config.clone());
}

#[test]
fn a_record_byte_by_byte_does_not_hold_a_close() {
    fn check<S: Transport + Send + 'static>(mut ws: WebSocket<S>, mut peer: Peer) {
        let record = peer.message(pattern(1000));
        let dripping = peer.trickle(record, ms(20));
        let error = within(SOON, move || ws.close(CloseCode::NORMAL, "").unwrap_err());
        let timeout = sansocket::Error::Timeout(Deadline::Close);
        assert!(matches!(error, Error::Connection(error) if error == timeout), "{error:?}");
        dripping.end();
    }
    in_each_role!(check, Config::new().close_timeout(ms(300)));
}

/// After a message was received there are deadlines of the connection besides that of the write.
#[test]
fn a_peer_that_does_not_read_does_not_hold_a_send() {
    fn check<S: Transport + Send + 'static>(mut ws: WebSocket<S>, mut peer: Peer) {
        let record = peer.message("go");
        peer.tcp.write_all(&record).unwrap();
        let error = within(3 * SOON, move || {
            assert_eq!(ws.recv().unwrap(), Some("go".into()));
            ws.send(vec![0; 30 << 20]).unwrap_err()
        });
        let timeout = sansocket::Error::Timeout(Deadline::Write);
        assert!(matches!(error, Error::Connection(error) if error == timeout), "{error:?}");
        drop(peer);
    }
    let config = Config::new().write_timeout(ms(500)).close_timeout(ms(200));
    in_each_role!(check, config.clone());
    in_each_role!(check, config.clone().ping_interval(None));
}

/// A byte of what TLS holds leaves now and then: all of it would take five minutes.
#[test]
fn output_that_leaves_byte_by_byte_below_tls_holds_no_recv_timeout_and_no_close() {
    let (there, here) = tcp();
    let (peer, server) = tls(there, Thin { io: here, is_thin: false });
    let config = Config::new().write_timeout(2 * SOON).close_timeout(ms(300));
    let mut ws = blocking_support::server(server, config);
    ws.transport_mut().sock.is_thin = true;
    let error = within(SOON, move || {
        ws.feed(pattern(60_000)).unwrap();
        let end = ws.recv_timeout(ms(100));
        assert!(matches!(end, Err(Error::TimedOut)), "{end:?}");
        ws.close(CloseCode::NORMAL, "").unwrap_err()
    });
    let timeout = sansocket::Error::Timeout(Deadline::Close);
    assert!(matches!(error, Error::Connection(error) if error == timeout), "{error:?}");
    drop(peer);
}

/// Takes one byte of each write, after a while.
struct Thin {
    io: TcpStream,
    is_thin: bool,
}

impl Read for Thin {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        self.io.read(place)
    }
}

impl Write for Thin {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_thin {
            return self.io.write(bytes);
        }
        thread::sleep(ms(5));
        self.io.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.io.flush()
    }
}

impl Transport for Thin {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.io.set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.io.set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.io.shutdown(Shutdown::Write)
    }
}

/// What can be read is for the next receive.
#[test]
fn a_write_that_is_stuck_does_not_read() {
    let (there, here) = tcp();
    let (mut peer, server) = tls(there, Full { io: here, is_full: false, reads: 0 });
    peer.write_all(&pattern(100)).unwrap();
    let config = Config::new().write_timeout(ms(400)).close_timeout(ms(100));
    let mut ws = blocking_support::server(server, config);
    let reads = ws.transport().sock.reads;
    let ws = within(3 * SOON, move || {
        assert!(matches!(ws.send(vec![0; 30 << 20]), Err(Error::Connection(_))));
        ws
    });
    assert_eq!(ws.transport().sock.reads, reads);
}

/// `rounds` messages each way; each end sends as much as it can before it receives one.
fn exchange<A: Transport, B: Transport>(one: &mut WebSocket<A>, other: &mut WebSocket<B>, rounds: usize) {
    fn turn<S: Transport>(ws: &mut WebSocket<S>, message: &[u8], counts: &mut (usize, usize), rounds: usize) {
        while counts.0 < rounds {
            match ws.feed(message) {
                Ok(()) => counts.0 += 1,
                Err(Error::WouldBlock) => break,
                Err(error) => panic!("{error:?}"),
            }
        }
        match ws.recv() {
            Ok(Some(received)) => {
                assert_eq!(received, Message::from(message));
                counts.1 += 1;
            }
            Err(Error::WouldBlock) => {}
            other => panic!("{other:?}"),
        }
    }
    let message = pattern(80 << 10);
    let (mut first, mut second) = ((0, 0), (0, 0));
    let began = Instant::now();
    while first.1 < rounds || second.1 < rounds {
        assert!(began.elapsed() < 60 * SECOND, "no end: {first:?} {second:?}");
        turn(one, &message, &mut first, rounds);
        turn(other, &message, &mut second, rounds);
    }
}

#[test]
fn a_full_tls_buffer_is_not_the_end_of_a_stream_that_does_not_block() {
    let (there, here) = tcp();
    let (client, server) = tls(there, here);
    client.sock.set_nonblocking(true).unwrap();
    server.sock.set_nonblocking(true).unwrap();
    let mut client = blocking_support::client(client, Config::new());
    let mut server = blocking_support::server(server, Config::new());
    let queued = fill(&mut client, &pattern(80 << 10));
    assert!(queued > 1);
    assert!(matches!(client.flush(), Err(Error::WouldBlock)));
    for _ in 0..queued {
        let mut take = || {
            let _ = client.flush();
            server.recv()
        };
        assert!(blocking_support::again(&mut take).unwrap().is_some());
    }
    exchange(&mut client, &mut server, 400);
}

#[test]
fn a_full_tls_buffer_is_not_the_end_of_a_stream_that_blocks() {
    fn check<S: Transport + Send + 'static>(mut ws: WebSocket<S>, mut peer: Peer) {
        // It talks but does not read, until it is told to.
        let (record, more) = (peer.message("talk"), peer.message("talk"));
        peer.tcp.write_all(&record).unwrap();
        let (mut taken, mut stuck) = (0, 0);
        let message = pattern(80 << 10);
        assert_eq!(ws.recv().unwrap(), Some("talk".into()));
        while stuck < 5 {
            assert!(taken < 1000, "the stream takes everything");
            if ws.queued() == 0 {
                ws.feed(&message[..]).unwrap_or_else(|error| panic!("after {taken}: {error:?}"));
                taken += 1;
            }
            match ws.recv_timeout(ms(20)) {
                Err(Error::TimedOut) => stuck = if ws.queued() > 0 { stuck + 1 } else { 0 },
                other => panic!("after {taken}: {other:?}"),
            }
        }
        peer.tcp.write_all(&more).unwrap();
        assert_eq!(ws.recv_timeout(SOON).unwrap(), Some("talk".into()), "received while output is stuck");
        let mut tcp = peer.tcp.try_clone().unwrap();
        let drain = thread::spawn(move || io::copy(&mut tcp, &mut io::sink()));
        ws.flush().unwrap();
        assert_eq!(ws.queued(), 0);
        drop(ws);
        assert!(drain.join().unwrap().unwrap() > taken * message.len() as u64);
    }
    in_each_role!(check, Config::new());
}

/// A stream that takes nothing any more.
struct Full<T> {
    io: T,
    is_full: bool,
    reads: usize,
}

impl<T: Read> Read for Full<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        self.io.read(buf)
    }
}

impl<T: Write> Write for Full<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.is_full { Ok(0) } else { self.io.write(buf) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.io.flush()
    }
}

impl<T: Transport> Transport for Full<T> {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.io.set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.io.set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.io.shutdown_write()
    }
}

#[test]
fn a_stream_that_takes_nothing_ends_the_connection_above_tls() {
    let (there, here) = tcp();
    let (mut client, server) = tls(Full { io: there, is_full: false, reads: 0 }, here);
    client.sock.is_full = true;
    let (shut, sent, closed) = within(SOON, move || {
        let shut = client.shutdown_write().unwrap_err();
        client.conn.writer().write_all(b"more").unwrap();
        let mut ws = blocking_support::client(client, Config::new());
        (shut, ws.send("more").unwrap_err(), ws.close(CloseCode::NORMAL, "").unwrap_err())
    });
    assert_eq!(shut.kind(), io::ErrorKind::WriteZero);
    for error in [sent, closed] {
        assert!(matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::WriteZero), "{error:?}");
    }
    drop(server);
}

#[test]
fn both_ends_set_tls_up_with_their_first_bytes() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (there, here) = tcp();
        let (client, server) = unset(&Authority::new(), &[version], there, here);
        let serving = thread::spawn(move || client_support::echo(server).unwrap());
        let connector = blocking::Connector::new("wss://localhost/");
        hello!(connector.connect_over(client).unwrap());
        serving.join().unwrap();

        // Without an opening handshake above it.
        let (there, here) = tcp();
        let (client, server) = unset(&Authority::new(), &[version], there, here);
        let serving = thread::spawn(move || {
            let mut ws = blocking_support::server(server, Config::new());
            while let Some(message) = ws.recv().unwrap() {
                ws.send(message).unwrap();
            }
        });
        hello!(blocking_support::client(client, Config::new()));
        serving.join().unwrap();
    }
}

#[test]
fn streams_that_do_not_block_set_tls_up_too() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (there, here) = tcp();
        there.set_nonblocking(true).unwrap();
        here.set_nonblocking(true).unwrap();
        let (client, server) = unset(&Authority::new(), &[version], there, here);
        let mut asking = blocking::Connector::new("wss://localhost/").begin(client).unwrap();
        let mut opening = Acceptor::new().begin(server);
        let (mut client, mut server) = (None, None);
        let began = Instant::now();
        while client.is_none() {
            assert!(began.elapsed() < SOON, "never open");
            if server.is_none() {
                match opening.proceed() {
                    Ok(request) => server = Some(request.accept(&Default::default()).unwrap()),
                    Err(error) => assert!(error.is_temporary(), "{error:?}"),
                }
            }
            if let Some(server) = &mut server {
                let _ = server.flush();
            }
            match asking.proceed() {
                Ok(ws) => client = Some(ws),
                Err(error) => assert!(error.is_temporary(), "{error:?}"),
            }
        }
        exchange(&mut client.unwrap(), &mut server.unwrap(), 5);
    }
}

#[test]
fn what_came_before_a_bad_record_is_received() {
    fn check<S: Transport + Send + 'static>(mut ws: WebSocket<S>, mut peer: Peer) {
        let mut bytes = peer.message("good");
        let mut bad = peer.message("bad");
        *bad.last_mut().unwrap() ^= 1;
        bytes.append(&mut bad);
        peer.tcp.write_all(&bytes).unwrap();
        assert_eq!(ws.recv().unwrap(), Some("good".into()));
        let error = within(SOON, move || ws.recv().unwrap_err());
        assert!(
            matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::InvalidData),
            "{error:?}"
        );
    }
    in_each_role!(check, Config::new());
}

#[test]
fn a_connection_closes_cleanly_over_tls_over_tls() {
    let (there, here) = tcp();
    let (there, here) = tls(there, here);
    let (client, server) = tls(there, here);
    let serving = thread::spawn(move || {
        let mut ws = blocking_support::server(server, Config::new());
        while let Some(message) = ws.recv().unwrap() {
            ws.send(message).unwrap();
        }
    });
    let began = Instant::now();
    let mut ws = blocking_support::client(client, Config::new());
    let message = pattern(1 << 20);
    ws.send(&message[..]).unwrap();
    assert_eq!(ws.recv().unwrap(), Some(message.into()));
    ws.close(CloseCode::NORMAL, "").unwrap();
    serving.join().unwrap();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}
