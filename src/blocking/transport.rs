//! The streams that a blocking connection runs over.

use alloc::boxed::Box;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

/// A byte stream whose waits can be bounded and whose two directions end separately.
///
/// Deadlines need the bounds, a clean close needs the half-close. TCP, Unix sockets, the in-memory
/// [`Pipe`](super::Pipe) and, with the feature `rustls`, TLS over one of these have them; anything else goes into [`Untimed`], which says what it loses.
///
/// A stream may be non-blocking: then every call that cannot go on returns
/// [`Error::WouldBlock`](super::Error::WouldBlock), loses nothing and goes on when called again.
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
    /// # Errors
    ///
    /// Those of the stream. The connection then ends without waiting for the peer's end of the stream, because the
    /// peer may be waiting for this one.
    fn shutdown_write(&mut self) -> io::Result<()>;
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

impl<T: Transport + ?Sized> Transport for &mut T {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        (**self).shutdown_write()
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        (**self).shutdown_write()
    }
}

/// Any `Read + Write` as a [`Transport`], without bounds on its waits and without a half-close.
///
/// What is lost: a read that waits is not interrupted by a deadline, so that keepalive pings are sent and silent
/// peers found only when bytes arrive or the stream's own timeout ends the read (`WouldBlock` or `TimedOut`);
/// `recv_timeout` waits as long as the stream does; a write that is stuck is not given up; and closing cannot
/// shut down the write side, so that a server or a connection that failed ends right after its Close frame, and the
/// peer sees the end of the stream only when this value is dropped. Everything else holds: the Close frame goes
/// out, limits and rules apply.
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

    fn write_vectored(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
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
