//! Copies of payloads, and where in a page the kernel copies fastest.

use alloc::vec::Vec;

use bytes::{BufMut, Bytes};

use super::recycled;

/// How much is copied in one go: whole cache lines, and less than any C library gives to `rep movsb`. That instruction is slow
/// where the destination lies 1 to 31 bytes further on in its page than the source: 4 KiB take 6 µs instead of 50 ns, and 57 ns
/// in pieces.
const PIECE: usize = 1984;

/// How much more memory is needed to begin in the middle of a page, in bytes.
pub(crate) const PAGE: usize = 4096;

/// How far the middle of a page is from `address`, in bytes: there a read goes fastest.
///
/// The kernel copies with `rep movsb`, mostly from the start of a page or shortly after it. Memory that an allocator has just got
/// from the system begins 16 bytes further on in its page, where that is slow: a read of 64 KiB takes 41 µs there and 8 µs to
/// the middle of a page.
#[inline]
pub(crate) fn offset_to_mid_page(address: *const u8) -> usize {
    (PAGE / 2).wrapping_sub(address.addr()) % PAGE
}

/// Appends `bytes` to a vector or to a buffer that grows.
#[inline]
pub(crate) fn append(to: &mut impl BufMut, bytes: &[u8]) {
    if bytes.len() <= PIECE { to.put_slice(bytes) } else { append_pieces(to, bytes) }
}

#[inline(never)]
fn append_pieces(to: &mut impl BufMut, bytes: &[u8]) {
    bytes.chunks(PIECE).for_each(|piece| to.put_slice(piece));
}

/// Copies `bytes` to the start of `target`, as many as fit.
pub(crate) fn overwrite(target: &mut [u8], bytes: &[u8]) {
    for (target, piece) in target.chunks_mut(PIECE).zip(bytes.chunks(PIECE)) {
        let len = piece.len().min(target.len());
        target[..len].copy_from_slice(&piece[..len]);
    }
}

/// The same bytes in memory of their own.
pub(crate) fn owned(bytes: &[u8]) -> Bytes {
    if bytes.len() <= PIECE {
        return Bytes::copy_from_slice(bytes);
    }
    let len = bytes.len();
    let mut copy = recycled::take(len).unwrap_or_else(|| Vec::with_capacity(len));
    let (over, behind) = bytes.split_at(len.min(copy.len()));
    overwrite(&mut copy, over);
    append(&mut copy, behind);
    recycled::share(copy, 0..len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_any_length_are_whole() {
        let bytes: Vec<u8> = (0..3 * PIECE + 2).map(|i| i as u8).collect();
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1, bytes.len()] {
            let mut copy = alloc::vec![7; 3];
            append(&mut copy, &bytes[..len]);
            assert_eq!((&copy[..3], &copy[3..]), (&[7; 3][..], &bytes[..len]));
            assert_eq!(owned(&bytes[..len]), bytes[..len]);
            let mut place = alloc::vec![7; len + 3];
            overwrite(&mut place, &bytes[..len]);
            assert_eq!((&place[..len], &place[len..]), (&bytes[..len], &[7; 3][..]));
            overwrite(&mut place[..len / 2], &bytes[1..]);
            assert_eq!((&place[..len / 2], &place[len..]), (&bytes[1..][..len / 2], &[7; 3][..]));
        }
    }
}
