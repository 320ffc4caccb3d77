//! Masking (RFC 6455 §5.3).

/// Masks or unmasks `payload` in place; both are the same operation.
///
/// `offset` is the place of `payload[0]` in the payload of its frame: 0 at the start, more where the payload is
/// masked piece by piece.
///
/// ```
/// use sansocket::frame::apply_mask;
///
/// let mut payload = *b"hello";
/// apply_mask([1, 2, 3, 4], 0, &mut payload[..3]);
/// apply_mask([1, 2, 3, 4], 3, &mut payload[3..]);
/// apply_mask([1, 2, 3, 4], 0, &mut payload);
/// assert_eq!(&payload, b"hello");
/// ```
#[inline(always)]
pub fn apply_mask(key: [u8; 4], offset: usize, payload: &mut [u8]) {
    // RFC 6455 §5.3: "j = i MOD 4; transformed-octet-i = original-octet-i XOR masking-key-octet-j"
    let key = u32::from_be_bytes(key).rotate_left(8 * (offset % 4) as u32).to_be_bytes();
    if payload.len() >= BLOCK_FROM { mask_blocks(key, payload) } else { mask_words(key, payload) }
}

/// From here on whole blocks, which become vector instructions, outrun single words.
const BLOCK_FROM: usize = 256;
const BLOCK: usize = 64;
/// From here on blocks that no boundary of a cache line cuts save more than it costs to reach the first one.
const ALIGN_FROM: usize = 4096;

#[inline(never)]
fn mask_blocks(mut key: [u8; 4], mut payload: &mut [u8]) {
    if payload.len() >= ALIGN_FROM {
        let len = payload.as_ptr().align_offset(BLOCK).min(payload.len());
        let (before, rest) = payload.split_at_mut(len);
        mask_words(key, before);
        key.rotate_left(len % 4);
        payload = rest;
    }
    #[cfg(feature = "simd")]
    if payload.len() >= wide::FROM {
        return wide::mask(key, payload);
    }
    mask_each_block(key, payload);
}

#[inline(always)]
fn mask_each_block(key: [u8; 4], payload: &mut [u8]) {
    let mut pattern = [0; BLOCK];
    for part in pattern.chunks_exact_mut(4) {
        part.copy_from_slice(&key);
    }
    let mut blocks = payload.chunks_exact_mut(BLOCK);
    for block in &mut blocks {
        for (byte, mask) in block.iter_mut().zip(&pattern) {
            *byte ^= mask;
        }
    }
    mask_words(key, blocks.into_remainder());
}

#[inline]
fn mask_words(key: [u8; 4], payload: &mut [u8]) {
    let word = u32::from_ne_bytes(key);
    let pair = u64::from(word) << 32 | u64::from(word);
    let mut pairs = payload.chunks_exact_mut(8);
    for part in &mut pairs {
        if let Some(part) = part.first_chunk_mut() {
            *part = (u64::from_ne_bytes(*part) ^ pair).to_ne_bytes();
        }
    }
    let mut rest = pairs.into_remainder();
    if let Some(part) = rest.first_chunk_mut() {
        *part = (u32::from_ne_bytes(*part) ^ word).to_ne_bytes();
        rest = &mut rest[4..];
    }
    for (byte, mask) in rest.iter_mut().zip(key) {
        *byte ^= mask;
    }
}

/// The same loop for processors with wider vectors than every one of their kind has.
#[cfg(feature = "simd")]
mod wide {
    /// Below, asking which processor this is costs more than it brings.
    pub(super) const FROM: usize = 1024;

    struct Masking<'a>([u8; 4], &'a mut [u8]);

    impl pulp::NullaryFnOnce for Masking<'_> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            super::mask_each_block(self.0, self.1);
        }
    }

    pub(super) fn mask(key: [u8; 4], payload: &mut [u8]) {
        pulp::Arch::new().dispatch(Masking(key, payload));
    }
}

#[cfg(test)]
mod tests {
    use super::apply_mask;

    fn naive(key: [u8; 4], offset: usize, payload: &mut [u8]) {
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[(offset + i) % 4];
        }
    }

    #[test]
    fn agrees_with_the_byte_loop() {
        // conf: MK-05
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for len in
            (0..=70).chain([127, 128, 255, 256, 257, 319, 320, 1000, 1024, 1030, 1100, 4095, 4096, 4200])
        {
            for start in 0..16 {
                for offset in 0..9 {
                    let mut fast: [u8; 4300] = core::array::from_fn(|i| i as u8);
                    let mut slow = fast;
                    apply_mask(key, offset, &mut fast[start..start + len]);
                    naive(key, offset, &mut slow[start..start + len]);
                    assert_eq!(fast, slow, "len {len} start {start} offset {offset}");
                }
            }
        }
    }

    #[test]
    fn a_key_of_zeros_changes_nothing() {
        // conf: MK-08
        let mut payload = *b"payload";
        apply_mask([0; 4], 3, &mut payload);
        assert_eq!(&payload, b"payload");
    }
}
