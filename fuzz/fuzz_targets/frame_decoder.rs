//! The lowest bit of the first byte is the role, the other bits the size of the pieces; what follows is received. Whole
//! and in pieces it must give the same frames, the same payloads and the same error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sansocket::frame::{Decoder, FrameHeader};
use sansocket::{ProtocolError, Role};

fuzz_target!(|data: &[u8]| {
    let Some((&first, bytes)) = data.split_first() else { return };
    let role = if first & 1 == 0 { Role::Server } else { Role::Client };
    let whole = receive(role, bytes, bytes.len().max(1));
    let cut = receive(role, bytes, usize::from(first >> 1).max(1));
    assert_eq!(whole, cut);
});

#[derive(Debug, Default, PartialEq)]
struct Received {
    /// Each frame with the payload that came of it, and whether it is complete.
    frames: Vec<(FrameHeader, Vec<u8>, bool)>,
    error: Option<ProtocolError>,
}

fn receive(role: Role, bytes: &[u8], size: usize) -> Received {
    let mut received = Received::default();
    let mut decoder = Decoder::new(role);
    for piece in bytes.chunks(size) {
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            match decoder.decode(input) {
                Ok(Some(found)) => {
                    if found.first {
                        received.frames.push((found.header, Vec::new(), false));
                    }
                    let (header, payload, complete) =
                        received.frames.last_mut().expect("a frame has a first piece");
                    assert_eq!(*header, found.header);
                    payload.extend_from_slice(&input[found.payload.clone()]);
                    *complete = found.last;
                    assert_eq!(found.last, decoder.remaining() == 0);
                    input = &mut input[found.payload.end..];
                }
                Ok(None) => break,
                Err(error) => {
                    received.error = Some(error);
                    return received;
                }
            }
        }
    }
    received
}
