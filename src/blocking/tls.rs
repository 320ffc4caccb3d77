//! TLS over a blocking stream (feature `rustls`).

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::io::{self, IoSlice, Read, Write};

use rustls::{ClientConnection, ConnectionCommon, SideData, StreamOwned};

use super::client_stream::ClientStream;
use super::clock::Clock;
use super::{Error, Transport};
use crate::client::tls::Peer;
use crate::client::{ConnectError, Step};
use crate::engine::{Stream, is_not_ready};

/// Sets TLS up over `stream`, all before `until`. Nothing else is sent before it stands.
pub(super) fn set_up(
    stream: ClientStream,
    peer: Peer,
    step: Step,
    clock: Clock,
    until: Option<Duration>,
) -> Result<ClientStream, Error> {
    let failed = |error| ConnectError::Tls(peer.failed(error));
    let connection = ClientConnection::new(peer.config.clone(), peer.name.clone());
    let connection = connection.map_err(|error| failed(io::Error::other(error)))?;
    let mut stream = clock.bound(StreamOwned::new(connection, Box::new(stream)));
    loop {
        let moved = if stream.transport.is_handshaking() {
            stream.write(&[], until).map(drop)
        } else if stream.wants_flush() {
            stream.flush(until)
        } else {
            return Ok(ClientStream::Tls(Box::new(stream.transport)));
        };
        match moved {
            Err(error) if error.kind() != io::ErrorKind::Interrupted && !is_not_ready(&error) => {
                return Err(failed(error).into());
            }
            _ if until.is_some_and(|until| until <= stream.now()) => {
                return Err(ConnectError::TimedOut { step }.into());
            }
            _ => {}
        }
    }
}

/// TLS of either role, over any transport.
///
/// Each call reads or writes once below TLS and returns to the clock, whether or not that gave any data. After the
/// handshake a write never reads.
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
        match self.flush_within(None)? {
            Some(()) => self.sock.shutdown_write(),
            None => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    fn read_within(&mut self, buf: &mut [u8], timeout: Option<Duration>) -> io::Result<Option<usize>> {
        let mut below = Below { conn: &mut *self.conn, sock: &mut self.sock, timeout };
        if let Some(len) = below.read_plaintext(buf)? {
            return Ok(Some(len));
        }
        if below.conn.is_handshaking() {
            below.shake_hands()?;
        } else {
            below.receive()?;
        }
        below.read_plaintext(buf)
    }

    fn write_within(&mut self, bufs: &[IoSlice<'_>], timeout: Option<Duration>) -> io::Result<Option<usize>> {
        let mut below = Below { conn: &mut *self.conn, sock: &mut self.sock, timeout };
        if below.conn.is_handshaking() {
            return below.shake_hands().map(|()| None);
        }
        let len = below.conn.writer().write_vectored(bufs)?;
        if len > 0 || !below.conn.wants_write() {
            return Ok(Some(len));
        }
        // rustls is full, which is not the end: what it holds leaves first.
        below.send().map(|()| None)
    }

    fn flush_within(&mut self, timeout: Option<Duration>) -> io::Result<Option<()>> {
        Below { conn: &mut *self.conn, sock: &mut self.sock, timeout }.flush()
    }

    fn wants_flush(&self) -> bool {
        self.conn.wants_write() || self.sock.wants_flush()
    }

    fn is_handshaking(&self) -> bool {
        self.conn.is_handshaking() || self.sock.is_handshaking()
    }
}

/// A TLS connection and the stream below it, for a time.
struct Below<'a, S, T> {
    conn: &'a mut ConnectionCommon<S>,
    sock: &'a mut T,
    timeout: Option<Duration>,
}

impl<S: SideData, T: Transport> Below<'_, S, T> {
    /// Returns decrypted bytes, or `None` if there are none yet and more may come.
    fn read_plaintext(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        match self.conn.reader().read(buf) {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One wait of the handshake.
    fn shake_hands(&mut self) -> io::Result<()> {
        if self.conn.wants_write() || self.sock.wants_flush() {
            return self.flush().map(drop);
        }
        let len = self.receive()?;
        if len == Some(0) && self.conn.is_handshaking() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// One read below TLS; its length, `None` if it brought nothing to this layer yet.
    fn receive(&mut self) -> io::Result<Option<usize>> {
        // An error that came behind data stays. rustls tells it again, and then nothing is waited for.
        self.process()?;
        let mut once = Once { sock: self.sock, timeout: self.timeout, moved: false };
        let read = self.conn.read_tls(&mut once);
        if once.moved {
            return Ok(None);
        }
        let len = read?;
        if let Err(error) = self.process() {
            // The peer may be told why, but the first error is the one to report.
            let _ = self.send();
            // What came before the error is delivered first.
            if self.conn.wants_read() {
                return Err(error);
            }
        }
        Ok(Some(len))
    }

    fn process(&mut self) -> io::Result<()> {
        let processed = self.conn.process_new_packets();
        processed.map(drop).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// One write below TLS.
    fn send(&mut self) -> io::Result<()> {
        let mut once = Once { sock: self.sock, timeout: self.timeout, moved: false };
        let wrote = self.conn.write_tls(&mut once);
        if once.moved { Ok(()) } else { wrote.map(drop) }
    }

    /// One write below TLS, and a flush unless that would wait too; `None` if there is more to write.
    fn flush(&mut self) -> io::Result<Option<()>> {
        if self.conn.wants_write() {
            self.send()?;
            if self.conn.wants_write() || self.sock.wants_flush() {
                return Ok(None);
            }
        }
        self.sock.flush_within(self.timeout)
    }
}

/// The stream below TLS, for one call.
struct Once<'a, T> {
    sock: &'a mut T,
    timeout: Option<Duration>,
    /// The stream moved bytes of its own only: it is TLS too.
    moved: bool,
}

impl<T> Once<'_, T> {
    fn moved<R>(&mut self, done: Option<R>) -> io::Result<R> {
        done.ok_or_else(|| {
            self.moved = true;
            io::ErrorKind::Interrupted.into()
        })
    }
}

impl<T: Transport> Read for Once<'_, T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.sock.read_within(buf, self.timeout)?;
        // A stream may claim what it likes, but rustls would panic.
        self.moved(read.map(|len| len.min(buf.len())))
    }
}

impl<T: Transport> Write for Once<'_, T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let wrote = self.sock.write_within(bufs, self.timeout)?;
        match self.moved(wrote)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            len => Ok(len.min(bufs.iter().map(|buf| buf.len()).sum())),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
