//! Raft's log and vote in the store.
//!
//! **Invariants.** Votes and entries are durable before openraft is told so. Writes are made one
//! after the other. The last purged id is written in the batch that removes the entries: whatever a
//! crash leaves, the log has no hole.
//!
//! **Must not know:** what an entry carries.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, Range, RangeBounds},
};

use openraft::{
    ErrorSubject, ErrorVerb, LogState, OptionalSend, RaftLogReader, Vote,
    storage::{LogFlushed, RaftLogStorage},
};
use store::{Op, StoreHandle};

use super::{
    codec,
    disk::{Disk, set},
    types::{Entry, LogId, RaftId, StorageError, TypeConfig},
};

const VOTE: &str = "vote";
const PURGED: &str = "purged";
const COMMITTED: &str = "committed";
/// How many entries a replication task reads at a time.
const READ_ENTRIES_MAX: u64 = 64;

/// The log store; clones read the same log.
#[derive(Clone)]
pub(crate) struct LogStore {
    disk: Disk,
}

impl LogStore {
    pub(crate) fn new(store: StoreHandle) -> Self {
        Self { disk: Disk::new(store) }
    }
}

fn failed(
    subject: ErrorSubject<RaftId>,
    verb: ErrorVerb,
) -> impl FnOnce(io::Error) -> StorageError {
    move |error| StorageError::from_io_error(subject, verb, error)
}

fn bounds(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let entries = self.disk.entries(bounds(&range)).await;
        entries.map_err(failed(ErrorSubject::Logs, ErrorVerb::Read))
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        self.try_get_log_entries(start..end.min(start.saturating_add(READ_ENTRIES_MAX))).await
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let purged: io::Result<Option<LogId>> = self.disk.value(PURGED).await;
        let last_purged_log_id = purged.map_err(failed(ErrorSubject::Logs, ErrorVerb::Read))?;
        let last = match self.disk.last_index() {
            None => None,
            Some(index) => self.try_get_log_entries(index..=index).await?.pop(),
        };
        let last_log_id = last.map(|entry| entry.log_id).or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<RaftId>) -> Result<(), StorageError> {
        let written = match set(VOTE, vote) {
            Ok(op) => self.disk.commit(vec![op]).await,
            Err(error) => Err(error),
        };
        written.map_err(failed(ErrorSubject::Vote, ErrorVerb::Write))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<RaftId>>, StorageError> {
        let vote = self.disk.value(VOTE).await;
        vote.map_err(failed(ErrorSubject::Vote, ErrorVerb::Read))
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        // Not waited for: what is lost only means that less is applied before the leader is heard.
        let op = set(COMMITTED, &committed);
        self.disk.commit_some_time(op.map_err(failed(ErrorSubject::Store, ErrorVerb::Write))?);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let committed: io::Result<Option<Option<LogId>>> = self.disk.value(COMMITTED).await;
        let committed = committed.map_err(failed(ErrorSubject::Store, ErrorVerb::Read))?;
        Ok(committed.flatten())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let encoded: Result<Vec<_>, _> = entries
            .into_iter()
            .map(|entry| codec::encode(&entry).map(|bytes| (entry.log_id.index, bytes)))
            .collect();
        let encoded = encoded
            .map_err(io::Error::other)
            .map_err(failed(ErrorSubject::Logs, ErrorVerb::Write))?;
        // openraft 0.9 waits for the callback before it does anything else, so that nothing is lost
        // by being durable (and readable) before this returns.
        match self.disk.commit(vec![Op::RaftAppend(encoded)]).await {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            Err(error) => {
                callback.log_io_completed(Err(io::Error::new(error.kind(), error.to_string())));
                Err(failed(ErrorSubject::Logs, ErrorVerb::Write)(error))
            }
        }
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let removed = self.disk.commit(vec![Op::RaftTruncate { from: log_id.index }]).await;
        removed.map_err(failed(ErrorSubject::Log(log_id), ErrorVerb::Delete))
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let removed = match set(PURGED, &log_id) {
            Ok(op) => self.disk.commit(vec![op, Op::RaftPurge { upto: log_id.index }]).await,
            Err(error) => Err(error),
        };
        removed.map_err(failed(ErrorSubject::Log(log_id), ErrorVerb::Delete))
    }
}
