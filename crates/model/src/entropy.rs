//! Randomness as a value.

use std::fmt;

use sha2::{Digest, Sha256};

/// 32 unpredictable bytes that one input brings along; everything random in its handling (ids,
/// secrets, nonces) is derived from them, so that a recorded input replays exactly.
#[derive(Clone)]
pub struct Entropy([u8; 32]);

impl Entropy {
    /// Wraps bytes that the caller drew from the operating system (or, in tests, from a seed).
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Fills `out` with the stream named `label`: SHA-256 in counter mode. Different labels give
    /// independent streams; the same label gives the same bytes.
    pub fn fill(&self, label: &str, out: &mut [u8]) {
        for (counter, chunk) in (0_u32..).zip(out.chunks_mut(32)) {
            let mut hasher = Sha256::new();
            hasher.update(self.0);
            hasher.update(counter.to_be_bytes());
            hasher.update(label.as_bytes());
            let block = hasher.finalize();
            for (to, from) in chunk.iter_mut().zip(block) {
                *to = from;
            }
        }
    }

    /// Text of `N` characters drawn evenly from `alphabet`, whose length must divide 256.
    pub fn text(&self, label: &str, alphabet: &[u8], length: usize) -> String {
        assert!(!alphabet.is_empty() && 256 % alphabet.len() == 0, "a biased alphabet");
        let mut bytes = vec![0; length];
        self.fill(label, &mut bytes);
        bytes
            .iter()
            .filter_map(|byte| alphabet.get(usize::from(*byte) % alphabet.len()))
            .map(|byte| char::from(*byte))
            .collect()
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}
