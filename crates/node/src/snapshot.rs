//! Snapshots: a node starts from one, and its state is copied into one.
//!
//! **Invariants.** What is copied is the state at one lsn, whatever is applied meanwhile. Whoever
//! keeps the copy waits until that lsn is durable: it then holds nothing else.
//!
//! **Must not know:** files.

use std::sync::Arc;

use crdt::{Slot, Summary};
use identity::Identity;
use model::Timestamp;
use replication::Snapshot;
use wire::{
    snapshot::encode_join,
    transaction::{Meta, Transaction},
    v1,
};

use crate::{Effect, Node};

/// Records of the log that are let go of at a time.
const TRIM_RECORDS_MAX: u64 = 4096;

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
    /// How much of a peer's snapshot is here, and how much there is, while one is fetched.
    pub fn fetch_progress(&self) -> Option<(u64, u64)> {
        self.replication.fetch_progress()
    }

    /// Joins what a peer's snapshot holds. The log says so in a record of its own, which names the
    /// snapshot: it is durable once that record is.
    pub(crate) fn join(
        &mut self,
        now: Timestamp,
        hash: [u8; 32],
        other: Identity,
    ) -> (Option<Effect>, Vec<replication::Effect<Transaction>>) {
        let lsn = self.replication.join(now.ms(), hash, other.state().vector());
        let persist = lsn.map(|lsn| {
            self.thaw();
            if self.identity.state().vector().is_empty() {
                self.identity = other.in_place_of(&self.identity);
                let names = Arc::clone(self.control.names());
                self.conflicts.extend(self.identity.set_names(names));
            } else {
                let (state, kept) = other.into_kept();
                let joined = self.identity.join(state, kept);
                joined.expect("what an identity keeps is what it restores");
            }
            self.joins.push((lsn, hash));
            Effect::Persist { lsn, bytes: encode_join(&hash) }
        });
        (persist, self.replication.after_join(now.ms()))
    }

    /// What is kept on the disk changed, or may: offers the newest snapshot to who needs one, and
    /// lets go of what nobody needs.
    pub(crate) fn snapshots(
        &mut self,
        now: Timestamp,
        (newest, lsn): (Snapshot, u64),
        in_all: u64,
        first_lsn: u64,
        log_bytes_max: u64,
    ) -> Vec<Effect> {
        let effects = self.replication.set_snapshot(now.ms(), newest, lsn);
        let mut out = self.perform(now, effects);
        let base = self.replication.trim(in_all, log_bytes_max, TRIM_RECORDS_MAX);
        let upto = base.min(in_all).min(first_lsn.saturating_add(TRIM_RECORDS_MAX));
        if upto >= first_lsn {
            out.push(Effect::TrimLog { upto });
        }
        self.joins.retain(|(lsn, _)| *lsn >= first_lsn);
        let joined = self.joins.iter().map(|(_, hash)| *hash);
        let fetched = self.replication.fetched().map(|snapshot| snapshot.hash);
        out.push(Effect::KeepFetched { hashes: joined.chain(fetched).collect() });
        out
    }

    pub(crate) fn freeze(&mut self) {
        self.identity.freeze();
        let summary = self.identity.state().summary();
        self.frozen =
            Some(Frozen { lsn: self.applied_lsn(), summary, doubts: self.identity.keep() });
        self.freezes += 1;
    }

    pub(crate) fn thaw(&mut self) {
        self.identity.thaw();
        self.frozen = None;
    }

    /// How often it was frozen: who asks for it knows by this that it was done, and is not shown an
    /// earlier one.
    pub fn freezes(&self) -> u64 {
        self.freezes
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
