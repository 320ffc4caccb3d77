//! The decoder finds, in any cut, the frames and the fault that a naive whole-buffer decoder finds.
//! The first byte is the role, the second the sizes of the pieces.

#![no_main]

#[path = "../../tests/support/cuts.rs"]
mod cuts;
#[path = "../../tests/support/oracle.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;
use sansocket::Role;

fuzz_target!(|data: &[u8]| {
    let [role, sizes, bytes @ ..] = data else { return };
    let role = if role & 1 == 0 { Role::Server } else { Role::Client };
    let sizes = [usize::from(sizes >> 4) + 1, usize::from(sizes & 15) + 1];
    cuts::decode(role, bytes, &sizes);
    cuts::decode(role, bytes, &[bytes.len().max(1)]);
});
