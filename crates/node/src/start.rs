//! How a node starts: from a snapshot, if there is one, and the log behind it.
//!
//! **Invariants.** A node that started holds what it held: every record is in its state once, those
//! that say that a peer's snapshot was joined included. A log that cannot be this node's stops it.
//!
//! **Must not know:** files.

use std::sync::Arc;

use crdt::Part;
use identity::Identity;
use replication::Snapshot;
use thiserror::Error;
use wire::{
    repair::decode_mend,
    snapshot::Restored,
    transaction::{self, Meta},
};

use crate::Node;

/// A log record that cannot be this node's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// It is no transaction.
    #[error("record {0} of the log: {1}")]
    Decode(u64, transaction::DecodeError),
    /// It stands in the wrong place, or the log ends in the wrong place.
    #[error(transparent)]
    Order(#[from] replication::ReplayError),
    /// What a snapshot holds is malformed.
    #[error(transparent)]
    Kept(#[from] identity::KeptError),
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

    /// A record of the log that says that a snapshot was joined, at its place among those that are
    /// replayed. `load` gives what the snapshot holds; it is asked only if that is needed.
    ///
    /// # Errors
    /// Those of `load`; the node must not start.
    pub fn replay_join<E: From<ReplayError>>(
        &mut self,
        hash: [u8; 32],
        load: impl FnOnce() -> Result<Restored, E>,
    ) -> Result<(), E> {
        if self.replication.next_is_restored() {
            self.replication.replay_join(&crdt::VersionVector::new());
        } else {
            let Restored { state, doubts } = load()?;
            self.replication.replay_join(state.vector());
            self.identity.join(state, doubts).map_err(ReplayError::Kept)?;
        }
        self.joins.push((self.applied_lsn(), hash));
        Ok(())
    }

    /// Asks peers for less of a snapshot at a time.
    pub fn set_fetch_bytes(&mut self, bytes: u64) {
        self.replication.set_fetch_bytes(bytes);
    }

    /// At start-up: so much of a peer's snapshot is on the disk.
    pub fn set_partial(&mut self, snapshot: Snapshot, written: u64) {
        self.replication.set_partial(snapshot, written);
    }

    /// Whether a peer's snapshot was joined by a record of the log that is kept.
    pub fn has_joined(&self, hash: [u8; 32]) -> bool {
        self.joins.iter().any(|(_, joined)| *joined == hash)
    }

    /// Whether a peer's snapshot was joined behind an lsn, or slots of a peer's were taken on: no
    /// snapshot of this node's own has that yet.
    pub fn joined_behind(&self, lsn: u64) -> bool {
        let joined = self.joins.iter().any(|(joined, _)| *joined > lsn);
        joined || self.replication.mended_lsn() > lsn
    }

    /// A record of the log at start-up: each, in order, before [`Self::started`].
    ///
    /// # Errors
    /// When it cannot be a record of this log; the node must not start.
    pub fn replay(&mut self, bytes: Arc<[u8]>) -> Result<(), ReplayError> {
        if let Some(part) = decode_mend(&bytes) {
            self.replay_mend(part, bytes);
            return Ok(());
        }
        let position = self.replication.applied_lsn().saturating_add(1);
        let transaction =
            transaction::decode(&bytes).map_err(|error| ReplayError::Decode(position, error))?;
        let dot = transaction.dot;
        let is_restored = self.replication.next_is_restored();
        self.replication.replay(dot, &transaction.deps, bytes)?;
        if !is_restored {
            let applied = self.identity.apply(&transaction);
            applied.map_err(|_| replication::ReplayError::Order(dot))?;
        }
        // What is in the log was believed before.
        self.hlc = self.hlc.observe(transaction.meta.hlc, transaction.meta.hlc.ms());
        Ok(())
    }

    /// A record that says that slots of a peer's were taken on.
    fn replay_mend(&mut self, part: Part<Meta>, bytes: Arc<[u8]>) {
        let is_restored = self.replication.next_is_restored();
        self.replication.replay_mend(bytes);
        if !is_restored {
            let _not_news_any_more = self.identity.mend(&part.at, part.slots);
            self.taint();
        }
    }

    /// All records were replayed; the last one's lsn, 0 if there is none.
    ///
    /// # Errors
    /// When there were more.
    pub fn started(&mut self, last_lsn: u64) -> Result<(), ReplayError> {
        self.replication.started(last_lsn)?;
        self.probe_digest();
        Ok(())
    }
}
