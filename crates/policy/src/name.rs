//! Names as numbers, to look them up by.
//!
//! **Invariants.** A name has the same number on every node. Names that share one are told apart by
//! whoever looks them up.
//!
//! **Must not know:** what is named.

pub(crate) const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The number of a name.
pub(crate) fn hash(name: &[u8]) -> u32 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    let mut number = name.len() as u64;
    let mut rest = name;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        number = mix(number, u64::from_le_bytes(*word));
        rest = after;
    }
    // The last eight bytes once more take less than those that are left one by one.
    let last = match name.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(0, |last, byte| last << 8 | u64::from(*byte)),
    };
    (mix(number, last) >> 32) as u32
}
