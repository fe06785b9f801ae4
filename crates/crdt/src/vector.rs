//! Nodes and version vectors.

use std::fmt;

use crate::{Dot, VersionVector};

/// A node, as the control plane numbered it; never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Raises the vector to cover `dot`.
pub fn advance(vector: &mut VersionVector, dot: Dot) {
    crdts::CmRDT::apply(vector, dot);
}

/// Whether the vector covers a dot.
pub fn covers(vector: &VersionVector, dot: &Dot) -> bool {
    vector.get(&dot.actor) >= dot.counter
}

/// Whether `big` covers all that `small` covers.
pub fn dominates(big: &VersionVector, small: &VersionVector) -> bool {
    small.dots.iter().all(|(node, seq)| big.get(node) >= *seq)
}

/// How many transactions of `target` are missing from `have`.
pub fn lag(target: &VersionVector, have: &VersionVector) -> u64 {
    let missing = target.dots.iter().map(|(node, seq)| seq.saturating_sub(have.get(node)));
    missing.fold(0, u64::saturating_add)
}

/// The least of each node's seqs: what all of `vectors` cover. Empty for none.
pub fn meet<'a>(vectors: impl IntoIterator<Item = &'a VersionVector>) -> VersionVector {
    let mut vectors = vectors.into_iter();
    let mut least = vectors.next().cloned().unwrap_or_default();
    for vector in vectors {
        least.glb(vector);
    }
    least
}
