//! The running digest by which replicas prove that they agree.
//!
//! **Invariants.** It depends on the set of `(key, siblings)` only, not on the order of changes:
//! bucket sums of 128-bit hashes, modulo 2^128. An update costs the slots it touches.

use sha2::{Digest as _, Sha256};

use crate::{
    Sibling,
    state::{bucket, slot_hash},
};

/// Buckets a digest has; a key's bucket is told by its hash.
pub const BUCKETS: usize = 256;

/// The sum of the hashes of all slots, per bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    buckets: Box<[u128; BUCKETS]>,
}

impl Default for Digest {
    fn default() -> Self {
        Self { buckets: Box::new([0; BUCKETS]) }
    }
}

impl Digest {
    /// Adds a slot's hash to its bucket.
    pub(crate) fn add(&mut self, bucket: u8, hash: u128) {
        if let Some(sum) = self.buckets.get_mut(usize::from(bucket)) {
            *sum = sum.wrapping_add(hash);
        }
    }

    /// Takes a slot's hash out of its bucket.
    pub(crate) fn subtract(&mut self, bucket: u8, hash: u128) {
        if let Some(sum) = self.buckets.get_mut(usize::from(bucket)) {
            *sum = sum.wrapping_sub(hash);
        }
    }

    /// Adds a slot, for whoever counts the slots of a state that was copied.
    pub fn count<M>(&mut self, key: &[u8], siblings: &[Sibling<M>]) {
        self.add(bucket(key), slot_hash(key, siblings));
    }

    /// The bucket sums.
    pub fn buckets(&self) -> &[u128; BUCKETS] {
        &self.buckets
    }

    /// A hash of all buckets, for comparison at a glance.
    pub fn total(&self) -> [u8; 16] {
        let mut hasher = Sha256::new();
        for sum in self.buckets.iter() {
            hasher.update(sum.to_be_bytes());
        }
        truncate(&hasher.finalize())
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({:032x})", u128::from_be_bytes(self.total()))
    }
}

/// Hashes framed parts; gives the bucket as well.
pub(crate) struct SlotHasher(Sha256);

impl SlotHasher {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    pub(crate) fn finish(self) -> u128 {
        u128::from_be_bytes(truncate(&self.0.finalize()))
    }
}

fn truncate(hash: &[u8]) -> [u8; 16] {
    hash.first_chunk().copied().expect("SHA-256 gives 32 bytes")
}
