//! Which bytes may stand where in a head, and how far a run of them goes (RFC 9110 §5, RFC 9112 §3).

/// `tchar` of RFC 9110 §5.6.2.
const TOKEN: u8 = 1;
/// Visible ASCII without the `#` of a fragment.
const TARGET: u8 = 2;
/// The alphabet of base64.
const BASE64: u8 = 4;

/// The classes of each byte: one look instead of a chain of comparisons.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = classes_of(byte as u8);
        byte += 1;
    }
    classes
};

const fn classes_of(byte: u8) -> u8 {
    let alphanumeric = byte.is_ascii_alphanumeric();
    let token = alphanumeric
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
    let target = byte.is_ascii_graphic() && byte != b'#';
    let base64 = alphanumeric || matches!(byte, b'+' | b'/');
    (if token { TOKEN } else { 0 }) | (if target { TARGET } else { 0 }) | (if base64 { BASE64 } else { 0 })
}

const fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// `tchar` of RFC 9110 §5.6.2: what names, methods, subprotocols and extensions are made of.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// What a request target holds: visible ASCII, but no fragment.
pub(super) const fn is_target_byte(byte: u8) -> bool {
    is(byte, TARGET)
}

/// What a header value holds: visible ASCII, blanks and the bytes beyond ASCII that old senders use.
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// Whether all are of the alphabet of base64.
pub(super) fn are_base64(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| is(*byte, BASE64))
}

/// How many bytes at the front are of a token.
pub(super) fn token_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(bytes.len())
}

/// How many bytes at the front are of a target.
pub(super) fn target_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_target_byte(*byte)).unwrap_or(bytes.len())
}

/// How many bytes at the front are of a value: eight at a time, as cookies are long.
pub(super) fn value_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    while let Some(eight) = bytes.get(len..).and_then(|rest| rest.first_chunk()) {
        let controls = controls(u64::from_le_bytes(*eight));
        if controls == 0 {
            len += 8;
            continue;
        }
        len += controls.trailing_zeros() as usize / 8;
        if bytes[len] != b'\t' {
            return len;
        }
        len += 1;
    }
    let rest = bytes.get(len..).unwrap_or_default();
    len + rest.iter().position(|byte| !is_value_byte(*byte)).unwrap_or(rest.len())
}

/// The highest bits of those of eight bytes that are below a blank or DEL. A borrow can run into those above the lowest such
/// byte, never into those below it: only the lowest bit is certain.
const fn controls(eight: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let below_blank = eight.wrapping_sub(ONES * 0x20) & !eight;
    let del = eight ^ (ONES * 0x7f);
    let del = del.wrapping_sub(ONES) & !del;
    (below_blank | del) & (ONES * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_at_the_first_byte_that_it_cannot_hold_wherever_that_is() {
        // Miri takes its time.
        let step = if cfg!(miri) { 31 } else { 1 };
        for byte in (0..=u8::MAX).step_by(step) {
            for (before, len) in [(b'a', 24), (0xff, 24), (b'\t', 19), (b' ', 9)] {
                for at in 0..len {
                    let mut bytes = alloc::vec![before; len];
                    bytes[at] = byte;
                    let expected = if is_value_byte(byte) { len } else { at };
                    assert_eq!(value_len(&bytes), expected, "{byte:#04x} at {at} of {len}");
                    bytes[len - 1] = b'\r';
                    let expected =
                        if is_value_byte(byte) && at < len - 1 { len - 1 } else { expected.min(len - 1) };
                    assert_eq!(value_len(&bytes), expected, "{byte:#04x} at {at} of {len}, then CR");
                }
            }
        }
    }

    #[test]
    fn classes_are_those_of_the_grammar() {
        for byte in 0..=u8::MAX {
            let separator = b"\"(),/:;<=>?@[\\]{}".contains(&byte);
            assert_eq!(is_token_byte(byte), byte.is_ascii_graphic() && !separator, "{byte:#04x}");
            assert_eq!(is_target_byte(byte), byte.is_ascii_graphic() && byte != b'#', "{byte:#04x}");
        }
    }
}
