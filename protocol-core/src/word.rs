//! Eight bytes of a text at a time, in a register: where short texts end, without a branch for each byte.
//!
//! What is found is the high bit of the first such byte, the lowest being first, and perhaps of bytes after it.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// Bytes that are `byte`.
#[inline(always)] // a few instructions of a loop
pub(crate) const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
}

/// Bytes that are less than `limit`, which is at most 0x80.
#[inline(always)] // as `equal`
pub(crate) const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGH
}

/// Where the first byte is of those that were found, and some were.
#[inline(always)] // as `equal`
pub(crate) const fn first(found: u64) -> usize {
    found.trailing_zeros() as usize / 8
}
