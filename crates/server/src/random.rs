//! The operating system's randomness, where the shell needs it.
//!
//! **Invariants.** Nothing here falls back to anything weaker: without randomness the process ends.
//!
//! **Must not know:** what the bytes are for.

use model::Entropy;
use ring::rand::{SecureRandom as _, SystemRandom};

/// `N` unpredictable bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

/// Entropy for one input of the node.
pub fn entropy() -> Entropy {
    Entropy::new(bytes())
}

/// A version 4 UUID (RFC 9562, section 5.4), as request ids are.
pub fn uuid() -> String {
    format_uuid(bytes())
}

fn format_uuid(bytes: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(bytes);
    let bits = bits & !(0xf << 76) | 4 << 76;
    let bits = bits & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_version_4_and_the_rfcs_variant() {
        assert_eq!(format_uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(format_uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}
