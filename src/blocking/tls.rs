//! TLS over a blocking stream (feature `rustls`).

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::io::{self, Read, Write};

use rustls::{ClientConnection, ConnectionCommon, SideData, StreamOwned};

use super::client_stream::ClientStream;
use super::clock::Clock;
use super::{Error, Transport};
use crate::client::tls::Peer;
use crate::client::{ConnectError, Step};
use crate::stream::is_not_now;

/// Sets TLS up over `stream`, all before `until`. Nothing else is sent before it stands.
pub(super) fn set_up(
    mut stream: ClientStream,
    peer: Peer,
    step: Step,
    clock: Clock,
    until: Option<Duration>,
) -> Result<ClientStream, Error> {
    let failed = |error| ConnectError::Tls(peer.failed(error));
    let connection = ClientConnection::new(peer.config.clone(), peer.name.clone());
    let mut connection = connection.map_err(|error| failed(io::Error::other(error)))?;
    while connection.is_handshaking() {
        let mut timed = Timed { stream: &mut stream, clock, until };
        match connection.complete_io(&mut timed) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(ConnectError::TimedOut { step }.into());
            }
            Err(error) => return Err(failed(error).into()),
        }
    }
    Ok(ClientStream::Tls(Box::new(StreamOwned::new(connection, Box::new(stream)))))
}

/// TLS of either role, over any transport.
impl<C, S, T> Transport for StreamOwned<C, T>
where
    C: DerefMut + Deref<Target = ConnectionCommon<S>>,
    S: SideData,
    T: Transport,
{
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.sock.set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.sock.set_write_timeout(timeout)
    }

    /// Says that nothing more comes, inside TLS (RFC 8446 §6.1) and below it.
    fn shutdown_write(&mut self) -> io::Result<()> {
        // It does so once, however often it is asked.
        self.conn.send_close_notify();
        while self.conn.wants_write() {
            self.conn.write_tls(&mut self.sock)?;
        }
        self.sock.flush()?;
        self.sock.shutdown_write()
    }
}

/// Each read and write ends in time, however many they are.
struct Timed<'a> {
    stream: &'a mut ClientStream,
    clock: Clock,
    until: Option<Duration>,
}

impl Timed<'_> {
    /// How long one call may wait.
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = |until| self.clock.left(until).ok_or_else(|| io::ErrorKind::TimedOut.into());
        self.until.map(left).transpose()
    }
}

/// A stream that has waited says so in one of two ways.
fn waited(error: io::Error) -> io::Error {
    if is_not_now(&error) { io::ErrorKind::TimedOut.into() } else { error }
}

impl Read for Timed<'_> {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(place).map_err(waited)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes).map_err(waited)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.flush().map_err(waited)
    }
}
