//! The log as replication sees it: which transaction stands where, and the newest records' bytes.
//!
//! **Invariants.** Lsns are dense behind the base and an origin's seqs are dense, in order. The
//! order respects causality. What is durable is a prefix. What the base covers is known and not
//! kept: memory does not grow with history.
//!
//! **Must not know:** where records are kept.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crdt::{Dot, VersionVector, advance, covers};

use crate::{NodeId, join};

/// Records whose bytes are kept in memory for peers that are caught up, at most.
pub const RECENT_ITEMS_MAX: usize = 16_384;
/// Their bytes, at most.
pub const RECENT_BYTES_MAX: usize = 8 << 20;

#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The lsn before the first record that is kept, and what it and all before it cover.
    base_lsn: u64,
    base: VersionVector,
    kept: VecDeque<Record>,
    kept_bytes: u64,
    /// By origin: the lsns of those that are kept.
    lsns: BTreeMap<NodeId, VecDeque<u64>>,
    /// The bytes of the newest records, the last one's last.
    recent: VecDeque<Arc<[u8]>>,
    recent_bytes: usize,
    applied: VersionVector,
    /// Up to which lsn everything is durable, and what that covers.
    durable_lsn: u64,
    durable: VersionVector,
    /// What is applied and not durable.
    pending: VecDeque<(u64, Pending)>,
    /// At start-up: what the snapshot has the effect of.
    restored_lsn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    /// The transaction's; none for a note of this node's own.
    dot: Option<Dot>,
    bytes: usize,
}

#[derive(Debug)]
enum Pending {
    Record(Dot),
    Note,
    Joined(VersionVector),
}

impl Log {
    /// The state was restored from a snapshot of everything up to `lsn`; `first_lsn` is the first
    /// record that is kept. `false` if the log does not go on from there.
    #[must_use]
    pub(crate) fn restore(&mut self, applied: VersionVector, lsn: u64, first_lsn: u64) -> bool {
        self.applied = applied;
        self.restored_lsn = lsn;
        self.base_lsn = first_lsn.saturating_sub(1);
        self.base_lsn <= lsn
    }

    /// Whether the record is its origin's next and nothing it depends on is missing.
    pub(crate) fn admits(&self, dot: &Dot, deps: &VersionVector) -> bool {
        self.applied.get(&dot.actor).checked_add(1) == Some(dot.counter)
            && crdt::dominates(&self.applied, deps)
    }

    /// Whether the next record to be replayed is in the snapshot that was restored.
    pub(crate) fn next_is_restored(&self) -> bool {
        self.applied_lsn() < self.restored_lsn
    }

    /// A record that is in the snapshot; it is kept for those who lack it.
    pub(crate) fn replay_restored(&mut self, dot: Dot, bytes: Arc<[u8]>) {
        self.push(Some(dot), bytes);
    }

    /// An admitted record, read back from disk.
    pub(crate) fn replay(&mut self, dot: Dot, bytes: Arc<[u8]>) {
        self.push(Some(dot), bytes);
        advance(&mut self.applied, dot);
    }

    /// A record, read back from disk, that concerns this node alone.
    pub(crate) fn replay_note(&mut self, bytes: Arc<[u8]>) {
        self.push(None, bytes);
    }

    /// Adds a record that concerns this node alone; its lsn.
    pub(crate) fn note(&mut self, bytes: Arc<[u8]>) -> u64 {
        self.push(None, bytes);
        let lsn = self.applied_lsn();
        self.pending.push_back((lsn, Pending::Note));
        lsn
    }

    /// The next record says that a snapshot was joined: what came before is known, and not kept.
    fn rebase(&mut self) {
        self.base_lsn = self.applied_lsn().saturating_add(1);
        self.kept.clear();
        self.kept_bytes = 0;
        self.lsns.clear();
        self.recent.clear();
        self.recent_bytes = 0;
        self.base.clone_from(&self.applied);
    }

    /// Takes up all that a joined snapshot covers; the lsn of the record that says so.
    pub(crate) fn join(&mut self, vector: &VersionVector) -> u64 {
        join(&mut self.applied, vector);
        self.rebase();
        self.pending.push_back((self.base_lsn, Pending::Joined(self.applied.clone())));
        self.base_lsn
    }

    /// A record, read back from disk, that says that a snapshot was joined; nothing of it is needed
    /// if it is in the snapshot that was restored.
    pub(crate) fn replay_join(&mut self, vector: &VersionVector) {
        join(&mut self.applied, vector);
        self.rebase();
    }

    /// Everything was read back from disk; the last record's lsn is `last_lsn`.
    ///
    /// # Errors
    /// The first record that does not follow, or none if the log does not end there.
    pub(crate) fn started(&mut self, last_lsn: u64) -> Result<(), Option<Dot>> {
        if self.applied_lsn() != last_lsn || last_lsn < self.restored_lsn {
            return Err(None);
        }
        self.base.clone_from(&self.applied);
        for (origin, lsns) in &self.lsns {
            let seq = self.base.get(origin).checked_sub(lsns.len() as u64).ok_or(None)?;
            match seq {
                0 => drop(self.base.dots.remove(origin)),
                _ => drop(self.base.dots.insert(*origin, seq)),
            }
        }
        let mut seen = self.base.clone();
        for dot in self.kept.iter().filter_map(|record| record.dot) {
            if seen.get(&dot.actor).checked_add(1) != Some(dot.counter) {
                return Err(Some(dot));
            }
            advance(&mut seen, dot);
        }
        self.durable_lsn = last_lsn;
        self.durable.clone_from(&self.applied);
        Ok(())
    }

    /// Adds an admitted record; its lsn.
    pub(crate) fn append(&mut self, dot: Dot, bytes: Arc<[u8]>) -> u64 {
        self.push(Some(dot), bytes);
        advance(&mut self.applied, dot);
        let lsn = self.applied_lsn();
        self.pending.push_back((lsn, Pending::Record(dot)));
        lsn
    }

    fn push(&mut self, dot: Option<Dot>, bytes: Arc<[u8]>) {
        self.kept.push_back(Record { dot, bytes: bytes.len() });
        self.kept_bytes += bytes.len() as u64;
        let lsn = self.applied_lsn();
        if let Some(dot) = dot {
            self.lsns.entry(dot.actor).or_default().push_back(lsn);
        }
        self.recent_bytes += bytes.len();
        self.recent.push_back(bytes);
        while self.recent.len() > RECENT_ITEMS_MAX || self.recent_bytes > RECENT_BYTES_MAX {
            self.forget_oldest_bytes();
        }
    }

    fn forget_oldest_bytes(&mut self) {
        if let Some(oldest) = self.recent.pop_front() {
            self.recent_bytes -= oldest.len();
        }
    }

    /// Everything up to `lsn` is durable; whether that is news.
    pub(crate) fn persisted(&mut self, lsn: u64) -> bool {
        let before = self.durable_lsn;
        while let Some((next, _)) = self.pending.front()
            && *next <= lsn
            && let Some((next, pending)) = self.pending.pop_front()
        {
            match pending {
                Pending::Record(dot) => advance(&mut self.durable, dot),
                Pending::Note => {}
                Pending::Joined(vector) => join(&mut self.durable, &vector),
            }
            self.durable_lsn = next;
        }
        self.durable_lsn > before
    }

    /// Forgets where the durable records up to `lsn` stand: they are not kept any more.
    pub(crate) fn trim(&mut self, lsn: u64) {
        while self.base_lsn < lsn.min(self.durable_lsn)
            && let Some(Record { dot, bytes }) = self.kept.pop_front()
        {
            self.kept_bytes -= bytes as u64;
            self.base_lsn += 1;
            if let Some(dot) = dot {
                advance(&mut self.base, dot);
                if let Some(lsns) = self.lsns.get_mut(&dot.actor) {
                    lsns.pop_front();
                }
            }
            if self.recent.len() > self.kept.len() {
                self.forget_oldest_bytes();
            }
        }
    }

    pub(crate) fn applied(&self) -> &VersionVector {
        &self.applied
    }

    pub(crate) fn durable(&self) -> &VersionVector {
        &self.durable
    }

    pub(crate) fn applied_lsn(&self) -> u64 {
        self.base_lsn + self.kept.len() as u64
    }

    pub(crate) fn durable_lsn(&self) -> u64 {
        self.durable_lsn
    }

    /// The lsn before the first record that is kept.
    pub(crate) fn base_lsn(&self) -> u64 {
        self.base_lsn
    }

    /// The bytes of all records that are kept.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }

    /// The bytes of the records that are kept behind an lsn.
    pub(crate) fn bytes_behind(&self, lsn: u64) -> u64 {
        let from = lsn.saturating_sub(self.base_lsn);
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(self.kept.len());
        self.kept.range(from..).map(|record| record.bytes as u64).sum()
    }

    /// The first lsn up to which the records that are kept have at least so many bytes; the base's
    /// for none.
    pub(crate) fn lsn_behind_bytes(&self, bytes: u64) -> u64 {
        let mut left = bytes;
        let records = self.kept.iter().take_while(|record| {
            let goes = left > 0;
            left = left.saturating_sub(record.bytes as u64);
            goes
        });
        self.base_lsn + records.count() as u64
    }

    /// The greatest lsn, at most `lsn_max`, up to which all are covered.
    pub(crate) fn covered_lsn(&self, by: &VersionVector, lsn_max: u64) -> u64 {
        let lsns = self.base_lsn.saturating_add(1)..=lsn_max;
        let covered = lsns
            .zip(&self.kept)
            .take_while(|(_, record)| record.dot.is_none_or(|dot| covers(by, &dot)));
        covered.last().map_or(self.base_lsn, |(lsn, _)| lsn)
    }

    /// Whether some of what the base covers, of origins that are not excluded, is missing from
    /// `have`: it is not to be had from this log.
    pub(crate) fn lacks_base(&self, have: &VersionVector, exclude: &BTreeSet<NodeId>) -> bool {
        let mut base = self.base.dots.iter().filter(|(origin, _)| !exclude.contains(origin));
        base.any(|(origin, seq)| have.get(origin) < *seq)
    }

    /// The first lsn that may hold what a subscriber lacks, of what is kept.
    pub(crate) fn rewind(&self, have: &VersionVector, exclude: &BTreeSet<NodeId>) -> u64 {
        let lacking = self.lsns.iter().filter(|(origin, _)| !exclude.contains(origin));
        let first = lacking.filter_map(|(origin, lsns)| {
            let known = have.get(origin).saturating_sub(self.base.get(origin));
            lsns.get(usize::try_from(known).ok()?).copied()
        });
        first.min().unwrap_or(self.applied_lsn().saturating_add(1))
    }

    /// From `from` on, the first durable record that a subscriber lacks, of what is kept.
    pub(crate) fn next_wanted(
        &self,
        from: u64,
        have: &VersionVector,
        exclude: &BTreeSet<NodeId>,
    ) -> Option<(u64, Dot)> {
        let from = from.max(self.base_lsn.saturating_add(1));
        let skipped = usize::try_from(from - self.base_lsn - 1).ok()?;
        (from..=self.durable_lsn)
            .zip(self.kept.iter().skip(skipped))
            .filter_map(|(lsn, record)| Some((lsn, record.dot?)))
            .find(|(_, dot)| !exclude.contains(&dot.actor) && !covers(have, dot))
    }

    /// A record's bytes, if it is a recent one.
    pub(crate) fn recent(&self, lsn: u64) -> Option<&Arc<[u8]>> {
        let oldest = self.applied_lsn() - self.recent.len() as u64 + 1;
        self.recent.get(usize::try_from(lsn.checked_sub(oldest)?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(node: u32, seq: u64) -> Dot {
        Dot::new(NodeId(node), seq)
    }

    fn vector(dots: &[(u32, u64)]) -> VersionVector {
        dots.iter().map(|(node, seq)| dot(*node, *seq)).collect()
    }

    /// Nodes 1 and 2 in turn, all durable.
    fn filled(count: u64) -> Log {
        let mut log = Log::default();
        for number in 0..count {
            let node = u32::try_from(number % 2).unwrap() + 1;
            log.append(dot(node, number / 2 + 1), [0; 10].into());
        }
        assert!(log.persisted(count));
        log
    }

    #[test]
    fn what_is_trimmed_is_known_and_not_kept() {
        let mut log = filled(10);
        log.trim(5);
        assert_eq!((log.base_lsn(), log.applied_lsn(), log.durable_lsn()), (5, 10, 10));
        assert_eq!(
            (&log.base, log.applied()),
            (&vector(&[(1, 3), (2, 2)]), &vector(&[(1, 5), (2, 5)]))
        );
        let none = BTreeSet::new();
        assert!(log.lacks_base(&vector(&[(1, 2), (2, 5)]), &none));
        assert!(!log.lacks_base(&vector(&[(1, 2), (2, 5)]), &[NodeId(1)].into()));
        assert!(!log.lacks_base(&vector(&[(1, 3), (2, 2)]), &none));
        assert_eq!(log.rewind(&vector(&[(1, 3), (2, 2)]), &none), 6);
        assert_eq!(log.rewind(&vector(&[(1, 4), (2, 4)]), &none), 9);
        assert_eq!(log.rewind(&vector(&[(1, 5), (2, 5)]), &none), 11);
        let have = vector(&[(1, 4), (2, 2)]);
        assert_eq!(log.next_wanted(1, &have, &none), Some((6, dot(2, 3))));
        assert_eq!(log.next_wanted(7, &have, &none), Some((8, dot(2, 4))));
        assert!(log.recent(5).is_none() && log.recent(6).is_some() && log.recent(10).is_some());
        assert_eq!(log.kept_bytes(), 50);
        assert_eq!((log.bytes_behind(0), log.bytes_behind(8), log.bytes_behind(10)), (50, 20, 0));
        log.trim(100);
        assert_eq!((log.base_lsn(), log.applied_lsn()), (10, 10));
        assert_eq!(log.append(dot(1, 6), [1; 3].into()), 11);
        log.trim(100);
        assert_eq!(log.base_lsn(), 10, "what is not durable stays");
    }

    #[test]
    fn what_is_covered_by_all_ends_where_one_is_not() {
        let mut log = filled(10);
        log.trim(2);
        assert_eq!(log.covered_lsn(&vector(&[(1, 5), (2, 2)]), 9), 5);
        assert_eq!(log.covered_lsn(&vector(&[(1, 5), (2, 2)]), 4), 4);
        assert_eq!(log.covered_lsn(&vector(&[(1, 5), (2, 5)]), 9), 9);
        assert_eq!(log.covered_lsn(&vector(&[(1, 5), (2, 5)]), 99), 10);
        assert_eq!(log.covered_lsn(&vector(&[]), 9), 2);
    }

    #[test]
    fn a_note_has_an_lsn_and_is_nobody_s_transaction() {
        let mut log = filled(4);
        assert_eq!(log.note([2; 7].into()), 5);
        assert_eq!(log.append(dot(1, 3), [0; 10].into()), 6);
        assert_eq!((log.durable_lsn(), log.bytes_behind(4)), (4, 17));
        assert!(log.persisted(5) && log.persisted(6));
        let none = BTreeSet::new();
        let have = vector(&[(1, 2), (2, 2)]);
        assert_eq!(log.next_wanted(5, &have, &none), Some((6, dot(1, 3))));
        assert_eq!(log.rewind(&have, &none), 6);
        assert_eq!(log.covered_lsn(&have, 9), 5);
        log.trim(5);
        assert_eq!((log.base_lsn(), &log.base), (5, &have));
        assert!(log.recent(6).is_some());

        let mut again = Log::default();
        assert!(again.restore(have.clone(), 4, 4));
        again.replay_restored(dot(2, 2), [0; 10].into());
        assert!(!again.next_is_restored());
        again.replay_note([2; 7].into());
        again.replay(dot(1, 3), [0; 10].into());
        again.started(6).unwrap();
        assert_eq!((again.base_lsn(), again.durable()), (3, log.durable()));
        assert_eq!(again.base, vector(&[(1, 2), (2, 1)]));
    }

    #[test]
    fn a_log_starts_from_a_snapshot_and_its_tail() {
        let records = [dot(1, 1), dot(2, 1), dot(1, 2), dot(2, 2), dot(1, 3)];
        for snapshot in 2..=4_u64 {
            for first in 1..=snapshot + 1 {
                let at = usize::try_from(snapshot).unwrap();
                let applied = records[..at].iter().copied().collect();
                let mut log = Log::default();
                assert!(log.restore(applied, snapshot, first));
                for record in &records[usize::try_from(first).unwrap() - 1..] {
                    if log.next_is_restored() {
                        log.replay_restored(*record, [0; 4].into());
                    } else {
                        assert!(log.admits(record, &vector(&[])));
                        log.replay(*record, [0; 4].into());
                    }
                }
                log.started(5).unwrap();
                assert_eq!((log.base_lsn(), log.durable_lsn()), (first - 1, 5));
                let base = records[..usize::try_from(first).unwrap() - 1].iter().copied();
                assert_eq!(
                    (&log.base, log.durable()),
                    (&base.collect(), &vector(&[(1, 3), (2, 2)]))
                );
            }
        }
        let mut log = Log::default();
        assert!(!log.restore(vector(&[(1, 1)]), 1, 3), "a hole behind the snapshot");
        let mut log = Log::default();
        assert!(log.restore(vector(&[(1, 3)]), 3, 3));
        log.replay_restored(dot(1, 2), [0; 4].into());
        assert_eq!(log.started(3), Err(Some(dot(1, 2))));
        let mut log = Log::default();
        assert!(log.restore(vector(&[(1, 3)]), 3, 3));
        assert_eq!(log.started(2), Err(None));
    }
}
