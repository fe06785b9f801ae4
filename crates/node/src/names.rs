//! What this node tells the control plane about names.
//!
//! **Invariants.** Only a serving writer that has seen all whose names are settled has something to
//! tell. Nothing is settled that a majority of the writers does not have on disk: who lacks
//! something of it could propose nothing until it comes.
//!
//! **Must not know:** what the control plane makes of it, how it is asked.

use crdt::{VersionVector, dominates};
use identity::{Claim, NameKey, NameProposal, Whose};
use wire::{transaction::encode_vector, v1};

use crate::{Node, control::claim_message};

impl Node {
    /// The command to propose, if there is anything to tell. Whoever proposes it waits until
    /// [`Node::applied_lsn`] as read with it is durable.
    pub fn name_proposal(&self, whose: Whose) -> Option<v1::ClaimNames> {
        let settled = &self.control.names().settled;
        if self.may_write().is_err() || !dominates(self.vector(), settled) {
            return None;
        }
        let safe = self.safe();
        let NameProposal { claims, released, settled } =
            self.identity().propose_names(whose, &safe)?;
        let known = |(name, claim): &(NameKey, Claim)| {
            self.control.accounts().contains_key(&name.account)
                && self.control.roster().contains_key(&claim.dot.actor)
        };
        let messages = |claims: Vec<(NameKey, Claim)>| {
            let known = claims.iter().filter(|claim| known(claim));
            known.map(|(name, claim)| claim_message(name, claim)).collect()
        };
        Some(v1::ClaimNames {
            node: self.me.0,
            claims: messages(claims),
            released: messages(released),
            seen: Some(encode_vector(self.vector())),
            settled: Some(encode_vector(&settled)),
        })
    }

    /// What a majority of the writers has on disk, as far as this node knows.
    fn safe(&self) -> VersionVector {
        let vectors: Vec<VersionVector> = self
            .control
            .writers()
            .map(|writer| match writer.node {
                node if node == self.me => self.replication.durable().clone(),
                node => self.replication.peer_status(node).progress.durable,
            })
            .collect();
        let mut safe = VersionVector::new();
        for node in self.vector().dots.keys() {
            let seq = majority(vectors.iter().map(|vector| vector.get(node)).collect());
            if seq > 0 && self.control.roster().contains_key(node) {
                safe.dots.insert(*node, seq);
            }
        }
        safe
    }
}

/// What more than half of these have reached.
fn majority(mut seqs: Vec<u64>) -> u64 {
    seqs.sort_unstable_by(|a, b| b.cmp(a));
    seqs.get(seqs.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_must_have_it() {
        for (seqs, expected) in [
            (vec![], 0),
            (vec![5], 5),
            (vec![5, 3], 3),
            (vec![5, 3, 9], 5),
            (vec![5, 3, 9, 0], 3),
            (vec![5, 0, 0, 9, 7], 5),
        ] {
            assert_eq!(majority(seqs.clone()), expected, "{seqs:?}");
        }
    }
}
