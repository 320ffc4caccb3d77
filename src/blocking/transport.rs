//! The streams that a blocking connection runs over.

use alloc::boxed::Box;
use core::time::Duration;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};

/// A byte stream whose waits can be bounded and whose two directions end separately.
///
/// Deadlines need the bounds, a clean close needs the half-close. TCP, Unix sockets, the in-memory
/// [`Pipe`](super::Pipe) and, with the feature `rustls`, TLS over one of these have them; anything else goes into [`Untimed`], which says what it loses.
///
/// A stream may be non-blocking: then every call that cannot go on returns
/// [`Error::WouldBlock`](super::Error::WouldBlock), loses nothing and goes on when called again.
///
/// # Streams that wait more than once
///
/// The connection sets a timeout and then makes one call. A socket waits once per call, so that the call ends in time. A
/// stream that waits several times, such as TLS that reads a record in pieces, exceeds every deadline of the connection as
/// long as each wait is short enough. For such a stream override [`read_within`](Self::read_within),
/// [`write_within`](Self::write_within) and [`flush_within`](Self::flush_within). This crate does so for rustls's
/// `StreamOwned` (feature `rustls`). A TLS stream of another library that does not is bounded per wait only: a peer that
/// sends a record byte by byte can hold a call for as long as the record lasts.
pub trait Transport: Read + Write {
    /// Bounds the following reads; `None` lets them wait for ever. Never called with a zero duration.
    ///
    /// # Errors
    ///
    /// Those of the stream; the connection reports them as its own.
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// Bounds the following writes; `None` lets them wait for ever. Never called with a zero duration.
    ///
    /// # Errors
    ///
    /// Those of the stream; the connection reports them as its own.
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// Ends the direction to the peer; what the peer still sends can be read.
    ///
    /// It waits once at most, with the write timeout that is set. `Interrupted`: some bytes left that go before the end; it
    /// is called again. After `WouldBlock` or `TimedOut` it is called again later.
    ///
    /// # Errors
    ///
    /// Those of the stream. The connection then ends without waiting for the peer's end of the stream, because the
    /// peer may be waiting for this one.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Reads, and returns after `timeout` at the latest.
    ///
    /// The connection calls this instead of [`read`](Read::read). Before, it has set a read timeout of at most `timeout`,
    /// so that a call that waits once ends in time: the default calls `read`. A call that waits again must add up its
    /// waits, or return `None` after the first.
    ///
    /// `None`: bytes arrived, but no data yet, such as a part of a TLS record. The connection takes that as a sign of
    /// life of the peer, checks its deadlines and calls again.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Read::read). `WouldBlock`, `TimedOut` and `Interrupted` end the wait and not the connection.
    fn read_within(&mut self, buf: &mut [u8], timeout: Option<Duration>) -> io::Result<Option<usize>> {
        let _ = timeout;
        self.read(buf).map(Some)
    }

    /// Writes from the start of `bufs`, and returns after `timeout` at the latest.
    ///
    /// The connection calls this instead of [`write`](Write::write), with a write timeout of at most `timeout` set.
    ///
    /// `None`: the stream made progress with bytes that it had taken before, and takes no more yet. The connection
    /// checks its deadlines and calls again. Zero bytes, on the other hand, mean that the stream takes nothing any more.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Write::write). `WouldBlock`, `TimedOut` and `Interrupted` end the wait and not the connection.
    fn write_within(&mut self, bufs: &[IoSlice<'_>], timeout: Option<Duration>) -> io::Result<Option<usize>> {
        let _ = timeout;
        match bufs {
            [only] => self.write(only),
            _ => self.write_vectored(bufs),
        }
        .map(Some)
    }

    /// Flushes, and returns after `timeout` at the latest.
    ///
    /// The connection calls this instead of [`flush`](Write::flush); where [`wants_flush`](Self::wants_flush) says that
    /// there is something to write, a write timeout of at most `timeout` is set.
    ///
    /// `None`: some of the bytes have left, but not all. The connection checks its deadlines and calls again.
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Write::flush). `WouldBlock`, `TimedOut` and `Interrupted` end the wait and not the connection.
    fn flush_within(&mut self, timeout: Option<Duration>) -> io::Result<Option<()>> {
        let _ = timeout;
        self.flush().map(Some)
    }

    /// Whether the stream holds bytes that wait to be written, such as an answer that TLS gives by itself. The
    /// connection flushes them before it reads again. Default `false`; the connection flushes after its own writes anyway.
    fn wants_flush(&self) -> bool {
        false
    }

    /// Whether the stream is still in a handshake of its own, during which a read may have to write and a write to read.
    /// Both timeouts are set then, whatever is called. Default `false`.
    fn is_handshaking(&self) -> bool {
        false
    }
}

impl Transport for TcpStream {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_read_timeout(self, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_write_timeout(self, timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

#[cfg(unix)]
impl Transport for std::os::unix::net::UnixStream {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_read_timeout(self, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_write_timeout(self, timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Passes every call on to what a pointer points to.
macro_rules! forward_through {
    ($pointer:ty) => {
        impl<T: Transport + ?Sized> Transport for $pointer {
            fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                (**self).set_read_timeout(timeout)
            }

            fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                (**self).set_write_timeout(timeout)
            }

            fn shutdown_write(&mut self) -> io::Result<()> {
                (**self).shutdown_write()
            }

            fn read_within(
                &mut self,
                buf: &mut [u8],
                timeout: Option<Duration>,
            ) -> io::Result<Option<usize>> {
                (**self).read_within(buf, timeout)
            }

            fn write_within(
                &mut self,
                bufs: &[IoSlice<'_>],
                timeout: Option<Duration>,
            ) -> io::Result<Option<usize>> {
                (**self).write_within(bufs, timeout)
            }

            fn flush_within(&mut self, timeout: Option<Duration>) -> io::Result<Option<()>> {
                (**self).flush_within(timeout)
            }

            fn wants_flush(&self) -> bool {
                (**self).wants_flush()
            }

            fn is_handshaking(&self) -> bool {
                (**self).is_handshaking()
            }
        }
    };
}

forward_through!(&mut T);
forward_through!(Box<T>);

/// Any `Read + Write` as a [`Transport`], without bounds on its waits and without a half-close.
///
/// What is lost: a read that waits is not interrupted by a deadline, so that keepalive pings are sent and silent
/// peers found only when bytes arrive or the stream's own timeout ends the read (`WouldBlock` or `TimedOut`);
/// `recv_timeout` waits as long as the stream does; a write that is stuck is not given up; and closing cannot
/// shut down the write side, so that a server or a connection that failed ends right after its Close frame, and the
/// peer sees the end of the stream only when this value is dropped. Everything else holds: the Close frame goes
/// out, limits and rules apply.
///
/// A stream with timeouts of its own that makes several waits out of one call, as TLS streams do, holds a call for the
/// sum of these waits.
#[derive(Debug)]
pub struct Untimed<T>(pub T);

impl<T: Read> Read for Untimed<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<T: Write> Write for Untimed<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<T: Read + Write> Transport for Untimed<T> {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
