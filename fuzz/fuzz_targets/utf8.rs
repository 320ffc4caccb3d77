//! The first byte is the size of the pieces, the others are the text. Any cut must agree with the standard library on
//! what is valid, and fail in the very piece that holds the first byte that nothing can mend.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sansocket::utf8::{Validator, validate};

fuzz_target!(|data: &[u8]| {
    let Some((&size, text)) = data.split_first() else { return };
    let expected = std::str::from_utf8(text);
    assert_eq!(validate(text).ok(), expected.ok());

    let size = usize::from(size).max(1);
    let mut validator = Validator::new();
    let mut passed = String::new();
    for (number, piece) in text.chunks(size).enumerate() {
        let seen = std::str::from_utf8(&text[..text.len().min((number + 1) * size)]);
        let hopeless = seen.err().filter(|error| error.error_len().is_some());
        match validator.push(piece) {
            Ok(valid) => {
                assert!(hopeless.is_none(), "piece {number} has a byte that nothing can mend");
                passed.extend(valid.carried);
                passed.push_str(valid.text);
            }
            Err(error) => {
                let hopeless = hopeless.expect("refused what could still become valid");
                assert_eq!(error.valid_up_to, hopeless.valid_up_to() as u64);
                return;
            }
        }
    }
    assert_eq!(validator.finish().is_ok(), expected.is_ok());
    let valid_up_to = expected.map_or_else(|error| error.valid_up_to(), str::len);
    assert_eq!(passed.as_bytes(), &text[..valid_up_to]);
});
