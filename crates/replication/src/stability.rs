//! What every member has, for the control plane to agree on.
//!
//! **Invariants.** Each member's word counts only if it was given under this node's roster: a
//! member that has heard of a removal takes nothing more from who was removed, and one that has not
//! heard of it may.
//!
//! **Must not know:** what is done with what is stable.

use crdt::VersionVector;

use crate::{Replication, join};

/// What can be agreed to be stable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stability {
    /// The roster whose members were asked.
    pub epoch: u64,
    /// What each of them has on its disk: none of them makes anything again without having seen it.
    pub stable: VersionVector,
    /// What any of them had in memory: everything that was made without having seen all that is
    /// stable.
    pub cut: VersionVector,
}

impl<P> Replication<P> {
    /// What all members have; `None` while some member has not spoken under this node's roster.
    pub fn stability(&self) -> Option<Stability> {
        let epoch = self.roster.epoch;
        let (mut durable, mut cut) = (Vec::new(), VersionVector::new());
        for (node, _) in self.roster.present() {
            let progress = self.progress_of(node);
            if progress.epoch < epoch {
                return None;
            }
            join(&mut cut, &progress.received);
            join(&mut cut, &progress.durable);
            durable.push(progress.durable);
        }
        let stable = crdt::meet(&durable);
        Some(Stability { epoch, stable, cut })
    }
}
