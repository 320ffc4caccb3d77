//! Validation, whole and in any cut, agrees with `core::str::from_utf8` and fails no later than it must,
//! without any heap.
//! The first byte is the size of the pieces.

#![no_main]

mod meter;

use libfuzzer_sys::fuzz_target;
use sansocket::utf8::{Validator, validate};

fuzz_target!(|data: &[u8]| {
    let Some((&size, bytes)) = data.split_first() else { return };
    let expected = core::str::from_utf8(bytes);
    match (meter::within(0, || validate(bytes)), expected) {
        (Ok(text), Ok(same)) => assert_eq!(text, same),
        (Err(error), Err(core)) => assert_eq!(error.valid_up_to, core.valid_up_to() as u64),
        (ours, core) => panic!("{ours:?} instead of {core:?}"),
    }
    let mut validator = Validator::new();
    let mut text = String::new();
    let mut end = 0;
    for piece in bytes.chunks(usize::from(size).max(1)) {
        end += piece.len();
        let so_far =
            core::str::from_utf8(&bytes[..end]).map_err(|error| (error.valid_up_to(), error.error_len()));
        match (meter::within(0, || validator.push(piece)), so_far) {
            (Ok(piece), Ok(_) | Err((_, None))) => {
                text.extend(piece.carried);
                text.push_str(piece.text);
            }
            (Err(error), Err((valid, Some(_)))) => {
                assert_eq!(error.valid_up_to, valid as u64);
                return;
            }
            (ours, core) => panic!("{ours:?} instead of {core:?} after {end} bytes"),
        }
    }
    assert_eq!(validator.finish().is_ok(), expected.is_ok());
    let valid = expected.map_or_else(|error| error.valid_up_to(), str::len);
    assert_eq!(text.as_bytes(), &bytes[..valid]);
});
