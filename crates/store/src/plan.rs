//! One commit in the making: the operations of all batches in it, turned into changed keys.
//!
//! **Invariants.** The state record in the result vouches for every other record, as `verify`
//! checks. An operation sees what the operations before it did. A refused operation is the
//! caller's bug or damage, and ends the commit.
//!
//! **Must not know:** threads, files.

use std::{collections::BTreeMap, ops::Range};

use crate::{
    Batch, Error, Op, TRIM_RECORDS_MAX,
    engine::{Engine, broken},
    frame::{self, ChainHash, HEADER_BYTES, Space, State, Stem},
};

/// A commit in the making.
pub(crate) struct Plan<'a> {
    engine: &'a Engine,
    state: State,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    trim_upto_max: u64,
}

impl<'a> Plan<'a> {
    /// A commit that follows the one that left this state. Nothing behind `trim_upto_max` is
    /// trimmed: it is in no snapshot yet.
    pub(crate) fn new(engine: &'a Engine, state: State, trim_upto_max: u64) -> Self {
        Self { engine, state, changes: BTreeMap::new(), trim_upto_max }
    }

    /// Adds a batch.
    pub(crate) fn add(&mut self, batch: &Batch) -> Result<(), Error> {
        for op in &batch.ops {
            match op {
                Op::Append(records) => {
                    for (lsn, bytes) in records {
                        self.append(*lsn, bytes)?;
                    }
                }
                Op::TrimLog { upto } => self.trim(*upto)?,
                Op::RaftAppend(entries) => {
                    for (index, bytes) in entries {
                        self.raft_append(*index, bytes)?;
                    }
                }
                Op::RaftTruncate { from } => self.raft_truncate(*from)?,
                Op::RaftPurge { upto } => self.raft_purge(*upto)?,
                Op::RaftMeta { name, value } => self.raft_meta(name, value)?,
            }
        }
        Ok(())
    }

    /// The changes, and the state they leave.
    pub(crate) fn finish(mut self) -> Result<(sled::Batch, State), Error> {
        for (key, new) in &self.changes {
            match Space::of(key) {
                Some(Space::RaftLog | Space::RaftMeta) => {}
                Some(Space::State | Space::Transactions) | None => continue,
            }
            let mut digest = self.state.raft_digest;
            if let Some(old) = self.engine.get(key)? {
                digest = digest.wrapping_sub(frame::digest_of(key, &old));
            }
            if let Some(new) = new {
                digest = digest.wrapping_add(frame::digest_of(key, new));
            }
            self.state.raft_digest = digest;
        }
        self.state.commit += 1;
        let mut batch = sled::Batch::default();
        for (key, value) in self.changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        batch.insert(State::key(), self.state.to_bytes());
        Ok((batch, self.state))
    }

    fn append(&mut self, lsn: u64, bytes: &[u8]) -> Result<(), Error> {
        let expected = next(self.state.last_lsn);
        if lsn != expected {
            return Err(Error::NotNext { log: "transaction", expected, found: lsn });
        }
        let hash = frame::chain(&self.state.hash, bytes);
        self.put(&Stem::number(Space::Transactions, lsn), &[&hash, bytes]);
        self.state.last_lsn = lsn;
        self.state.hash = hash;
        Ok(())
    }

    fn trim(&mut self, upto: u64) -> Result<(), Error> {
        let first = self.state.first_lsn;
        let most = first.saturating_add(TRIM_RECORDS_MAX - 1);
        let upto = upto.min(self.trim_upto_max).min(self.state.last_lsn).min(most);
        if upto < first {
            return Ok(());
        }
        self.state.base = self.chained_hash(upto)?;
        self.state.first_lsn = next(upto);
        self.remove(number_range(Space::Transactions, first..next(upto)))
    }

    fn chained_hash(&self, lsn: u64) -> Result<ChainHash, Error> {
        let stem = Stem::number(Space::Transactions, lsn);
        let missing = || broken(&stem, &frame::FrameError::Length);
        let key = stem.part(0);
        let frame = match self.changes.get(&key) {
            Some(value) => value.clone().ok_or_else(missing)?,
            None => self.engine.get(&key)?.ok_or_else(missing)?.to_vec(),
        };
        let body = frame.get(HEADER_BYTES..).ok_or_else(missing)?;
        Ok(frame::split_transaction(body).map_err(|error| broken(&stem, &error))?.0)
    }

    fn raft_append(&mut self, index: u64, bytes: &[u8]) -> Result<(), Error> {
        let raft = &mut self.state.raft;
        let expected = if raft.is_empty() { index } else { raft.end };
        if index != expected || index == u64::MAX {
            return Err(Error::NotNext { log: "raft", expected, found: index });
        }
        let start = if raft.is_empty() { index } else { raft.start };
        *raft = start..index + 1;
        self.put(&Stem::number(Space::RaftLog, index), &[bytes]);
        Ok(())
    }

    fn raft_truncate(&mut self, from: u64) -> Result<(), Error> {
        let raft = self.state.raft.clone();
        let from = from.clamp(raft.start, raft.end);
        self.state.raft = raft.start..from;
        self.remove(number_range(Space::RaftLog, from..raft.end))
    }

    fn raft_purge(&mut self, upto: u64) -> Result<(), Error> {
        let raft = self.state.raft.clone();
        let start = upto.saturating_add(1).clamp(raft.start, raft.end);
        self.state.raft = start..raft.end;
        self.remove(number_range(Space::RaftLog, raft.start..start))
    }

    fn raft_meta(&mut self, name: &str, value: &[u8]) -> Result<(), Error> {
        let stem = Stem::name(name);
        self.remove(stem.parts())?;
        self.put(&stem, &[value]);
        Ok(())
    }

    fn put(&mut self, stem: &Stem, body: &[&[u8]]) {
        self.changes.extend(frame::seal(stem, body).into_iter().map(|(k, v)| (k, Some(v))));
    }

    fn remove(&mut self, range: Range<Vec<u8>>) -> Result<(), Error> {
        if range.is_empty() {
            return Ok(());
        }
        self.changes.range_mut(range.clone()).for_each(|(_, value)| *value = None);
        let stored = self.engine.keys(range)?;
        self.changes.extend(stored.into_iter().map(|key| (key.to_vec(), None)));
        Ok(())
    }
}

/// The number after one in use. Numbers are dense from 1, so the last is out of reach.
fn next(lsn: u64) -> u64 {
    lsn.saturating_add(1)
}

/// The keys of the records with these numbers.
pub(crate) fn number_range(space: Space, numbers: Range<u64>) -> Range<Vec<u8>> {
    let key = |number| Stem::number(space, number).part(0);
    key(numbers.start)..key(numbers.end)
}
