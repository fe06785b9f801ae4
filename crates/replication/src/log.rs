//! The log as replication sees it: which transaction stands where, and the newest records' bytes.
//!
//! **Invariants.** Positions are dense from 0 and an origin's seqs are dense from 1, in order. The
//! order respects causality. What is durable is a prefix.
//!
//! **Must not know:** where records are kept.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crdt::{Dot, VersionVector, advance, covers};

use crate::NodeId;

/// Records whose bytes are kept in memory for peers that are caught up, at most.
pub const RECENT_ITEMS_MAX: usize = 16_384;
/// Their bytes, at most.
pub const RECENT_BYTES_MAX: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct Log {
    /// The lsn of position 0.
    first_lsn: u64,
    dots: Vec<Dot>,
    /// By origin and seq - 1: the position.
    positions: BTreeMap<NodeId, Vec<usize>>,
    /// The bytes of the newest records, the last one's last.
    recent: VecDeque<Arc<[u8]>>,
    recent_bytes: usize,
    applied: VersionVector,
    /// How many records are durable, and what they cover.
    durable_count: usize,
    durable: VersionVector,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            first_lsn: 1,
            dots: Vec::new(),
            positions: BTreeMap::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            applied: VersionVector::new(),
            durable_count: 0,
            durable: VersionVector::new(),
        }
    }

    /// Whether the record is its origin's next and nothing it depends on is missing.
    pub(crate) fn admits(&self, dot: &Dot, deps: &VersionVector) -> bool {
        self.applied.get(&dot.actor).checked_add(1) == Some(dot.counter)
            && crdt::dominates(&self.applied, deps)
    }

    /// Adds an admitted record; its lsn.
    pub(crate) fn append(&mut self, dot: Dot, bytes: Arc<[u8]>) -> u64 {
        let position = self.dots.len();
        self.dots.push(dot);
        self.positions.entry(dot.actor).or_default().push(position);
        advance(&mut self.applied, dot);
        self.recent_bytes += bytes.len();
        self.recent.push_back(bytes);
        while self.recent.len() > RECENT_ITEMS_MAX || self.recent_bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.recent_bytes -= oldest.len();
        }
        self.lsn(position)
    }

    /// Everything was read back from disk; the last record's lsn is `last_lsn`. `false` if so many
    /// records cannot end there.
    #[must_use]
    pub(crate) fn started(&mut self, last_lsn: u64) -> bool {
        let count = self.dots.len() as u64;
        let Some(before) = last_lsn.checked_sub(count) else { return false };
        self.first_lsn = before.saturating_add(1);
        self.persisted(last_lsn);
        true
    }

    /// Everything up to `lsn` is durable; whether that is news.
    pub(crate) fn persisted(&mut self, lsn: u64) -> bool {
        let count =
            (lsn.saturating_add(1).saturating_sub(self.first_lsn) as usize).min(self.dots.len());
        let news = count > self.durable_count;
        for dot in self.dots.get(self.durable_count..count).unwrap_or_default() {
            advance(&mut self.durable, *dot);
        }
        self.durable_count = self.durable_count.max(count);
        news
    }

    pub(crate) fn applied(&self) -> &VersionVector {
        &self.applied
    }

    pub(crate) fn durable(&self) -> &VersionVector {
        &self.durable
    }

    pub(crate) fn lsn(&self, position: usize) -> u64 {
        self.first_lsn + position as u64
    }

    /// The position of an lsn that this log holds.
    pub(crate) fn position(&self, lsn: u64) -> Option<usize> {
        let position = lsn.checked_sub(self.first_lsn)? as usize;
        (position < self.dots.len()).then_some(position)
    }

    pub(crate) fn applied_lsn(&self) -> u64 {
        self.first_lsn + self.dots.len() as u64 - 1
    }

    pub(crate) fn durable_lsn(&self) -> u64 {
        self.first_lsn + self.durable_count as u64 - 1
    }

    /// The first position that may hold what a subscriber lacks.
    pub(crate) fn rewind(&self, have: &VersionVector, exclude: &BTreeSet<NodeId>) -> usize {
        let lacking = self.positions.iter().filter(|(origin, _)| !exclude.contains(origin));
        let first = lacking.filter_map(|(origin, positions)| {
            positions.get(usize::try_from(have.get(origin)).ok()?).copied()
        });
        first.min().unwrap_or(self.dots.len())
    }

    /// From `from` on, the first durable record that a subscriber lacks.
    pub(crate) fn next_wanted(
        &self,
        from: usize,
        have: &VersionVector,
        exclude: &BTreeSet<NodeId>,
    ) -> Option<(usize, Dot)> {
        let durable = self.dots.get(from..self.durable_count)?;
        (from..)
            .zip(durable)
            .find(|(_, dot)| !exclude.contains(&dot.actor) && !covers(have, dot))
            .map(|(position, dot)| (position, *dot))
    }

    pub(crate) fn durable_count(&self) -> usize {
        self.durable_count
    }

    /// A record's bytes, if it is a recent one.
    pub(crate) fn recent(&self, position: usize) -> Option<&Arc<[u8]>> {
        let oldest = self.dots.len() - self.recent.len();
        self.recent.get(position.checked_sub(oldest)?)
    }
}
