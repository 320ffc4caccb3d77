//! Streams that lie about what they did.

use std::io::{self, Read, Write};

use sansocket::Config;
use sansocket::blocking::{Acceptor, Error, Untimed};

use crate::support::server;

/// Claims to have read and written more than it was given room or bytes for.
#[derive(Debug)]
struct Boasting(usize);

impl Read for Boasting {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        Ok(place.len().saturating_add(self.0))
    }
}

impl Write for Boasting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len().saturating_add(self.0))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn streams_that_claim_too_much_are_not_believed() {
    for more in [1, usize::MAX] {
        let stream = || Untimed(Boasting(more));
        assert!(matches!(Acceptor::new().accept(stream()), Err(Error::Handshake(_))));
        #[cfg(feature = "rand")]
        {
            let connector = sansocket::blocking::Connector::new("ws://host/");
            assert!(matches!(connector.connect_over(stream()), Err(Error::Handshake(_))));
        }
        let mut ws = server(stream(), Config::new());
        ws.send(vec![7; 100_000]).unwrap();
        assert!(matches!(ws.recv(), Err(Error::Connection(_))), "zeros are no frames of a client");
    }
}
