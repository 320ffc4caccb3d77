//! The decoder finds, in any cut, the frames and the fault that a naive whole-buffer decoder finds.
//! Decoding takes no heap, and each call takes bytes. The first byte is the role, the second the sizes of the pieces.

#![no_main]

#[path = "../../tests/support/cuts.rs"]
mod cuts;
mod meter;
#[path = "../../tests/support/oracle.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;
use sansocket::Role;
use sansocket::frame::Decoder;

fuzz_target!(|data: &[u8]| {
    let [role, sizes, bytes @ ..] = data else { return };
    let role = if role & 1 == 0 { Role::Server } else { Role::Client };
    let sizes = [usize::from(sizes >> 4) + 1, usize::from(sizes & 15) + 1];
    cuts::decode(role, bytes, &sizes);
    cuts::decode(role, bytes, &[bytes.len().max(1)]);
    decode_for_nothing(role, bytes, sizes[0]);
});

fn decode_for_nothing(role: Role, bytes: &[u8], size: usize) {
    let mut decoder = Decoder::new(role);
    let mut bytes = bytes.to_vec();
    for part in bytes.chunks_mut(size) {
        let mut taken = 0;
        while taken < part.len() {
            match meter::within(0, || decoder.decode(&mut part[taken..])) {
                Ok(Some(piece)) => {
                    assert!(piece.payload.end > 0, "a call that took nothing");
                    taken += piece.payload.end;
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}
