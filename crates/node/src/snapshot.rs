//! Snapshots: a node starts from one, and its state is copied into one.
//!
//! **Invariants.** What is copied is the state at one lsn, whatever is applied meanwhile. Whoever
//! keeps the copy waits until that lsn is durable: it then holds nothing else.
//!
//! **Must not know:** files.

use crdt::{Slot, Summary};
use identity::Identity;
use wire::{snapshot::Restored, transaction::Meta, v1};

use crate::{Node, ReplayError};

/// What is kept of a state that is being copied, besides its slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    /// The lsn of the state.
    pub lsn: u64,
    /// What names it.
    pub summary: Summary,
    /// What goes with it of the transactions that are not stable.
    pub doubts: v1::Doubts,
}

impl Node {
    /// The state of a snapshot, which has the effect of every record up to `lsn`; before any
    /// record is replayed, of which `first_lsn` is the first that is kept.
    ///
    /// # Errors
    /// When the log does not go on from the snapshot; the node must not start.
    pub fn restore(
        &mut self,
        restored: Restored,
        lsn: u64,
        first_lsn: u64,
    ) -> Result<(), ReplayError> {
        let Restored { state, doubts } = restored;
        self.replication.restore(state.vector().clone(), lsn, first_lsn)?;
        for (_, siblings) in state.range(&[]) {
            for sibling in siblings {
                // What is in a snapshot was believed before.
                self.hlc = self.hlc.observe(sibling.meta.hlc, sibling.meta.hlc.ms());
            }
        }
        self.identity = Identity::restore(state, doubts)?;
        Ok(())
    }

    pub(crate) fn freeze(&mut self) {
        self.identity.freeze();
        let summary = self.identity.state().summary();
        self.frozen =
            Some(Frozen { lsn: self.applied_lsn(), summary, doubts: self.identity.keep() });
    }

    pub(crate) fn thaw(&mut self) {
        self.identity.thaw();
        self.frozen = None;
    }

    /// The state that is being copied; `None` if none is: nobody asked, or too much has changed
    /// since.
    pub fn frozen(&self) -> Option<&Frozen> {
        self.identity.state().frozen().and(self.frozen.as_ref())
    }

    /// Of the state that is being copied, at most `slots_max` slots behind `after`; none at the
    /// end.
    pub fn frozen_slots(&self, after: Option<&[u8]>, slots_max: usize) -> Option<Vec<Slot<Meta>>> {
        self.identity.state().frozen_slots(after, slots_max)
    }

    /// How many bytes of records stand behind an lsn.
    pub fn bytes_behind(&self, lsn: u64) -> u64 {
        self.replication.bytes_behind(lsn)
    }
}
