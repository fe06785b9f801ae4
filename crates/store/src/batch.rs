//! What is asked of the committer, and what it answers.
//!
//! **Invariants.** A batch is committed whole or not at all, in the order of its operations.
//!
//! **Must not know:** sled, how it is stored.

use std::sync::Arc;

use crate::Error;

/// Bytes of one transaction, Raft entry or named value.
pub const RECORD_BYTES_MAX: usize = 16 << 20;
/// Bytes of the name of a value.
pub const META_NAME_BYTES_MAX: usize = 64;
/// Records that one `TrimLog` removes; what is left goes with the next.
pub const TRIM_RECORDS_MAX: u64 = 4096;

/// A transaction: its number in this node's log (dense from 1) and its bytes.
pub type LogRecord = (u64, Arc<[u8]>);

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Appends transactions. The first follows the last in the log, and so on: a gap or a number
    /// used twice is refused and poisons the store, for it would bind a number to two things.
    Append(Vec<LogRecord>),
    /// Removes transactions up to this one, at most `TRIM_RECORDS_MAX` at a time: the caller looks
    /// at `first_lsn` and repeats. The last one may go too; the next number stays the same. What is
    /// not in all snapshots that are kept stays.
    TrimLog {
        /// The last to remove.
        upto: u64,
    },
    /// Appends Raft entries. They follow the last one; into an empty log, anything goes.
    RaftAppend(Vec<(u64, Vec<u8>)>),
    /// Removes Raft entries from this one on.
    RaftTruncate {
        /// The first to remove.
        from: u64,
    },
    /// Removes Raft entries up to this one.
    RaftPurge {
        /// The last to remove.
        upto: u64,
    },
    /// Sets a named value: the vote, the last purged id, the committed id, a snapshot.
    RaftMeta {
        /// Its name.
        name: String,
        /// Its bytes.
        value: Vec<u8>,
    },
}

/// Changes that are committed together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order.
    pub ops: Vec<Op>,
}

impl From<Op> for Batch {
    fn from(op: Op) -> Self {
        Self { ops: vec![op] }
    }
}

impl From<Vec<Op>> for Batch {
    fn from(ops: Vec<Op>) -> Self {
        Self { ops }
    }
}

/// A batch is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The commit that has it. Batches that were waiting together share one.
    pub commit: u64,
    /// The last transaction in the log after that commit.
    pub last_lsn: u64,
}

/// Called once, on the committer's thread (or on the submitter's for a refusal): it must neither
/// block nor wait for another commit.
pub type Done = Box<dyn FnOnce(Result<Committed, Error>) + Send>;

impl Batch {
    /// The batch's bytes, if none of its records is over its limit.
    pub(crate) fn measure(&self) -> Result<usize, Error> {
        let record = |found: usize| {
            let max = RECORD_BYTES_MAX;
            if found > max {
                Err(Error::TooLarge { what: "record", found, max })
            } else {
                Ok(found)
            }
        };
        let mut bytes = 0;
        for op in &self.ops {
            match op {
                Op::Append(records) => {
                    for (_, value) in records {
                        bytes += record(value.len())?;
                    }
                }
                Op::RaftAppend(entries) => {
                    for (_, value) in entries {
                        bytes += record(value.len())?;
                    }
                }
                Op::RaftMeta { name, value } => {
                    let (found, max) = (name.len(), META_NAME_BYTES_MAX);
                    if found > max {
                        return Err(Error::TooLarge { what: "name", found, max });
                    }
                    bytes += record(value.len())?;
                }
                Op::TrimLog { .. } | Op::RaftTruncate { .. } | Op::RaftPurge { .. } => {}
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_names_are_refused_one_past_their_limit() {
        let value = |bytes| Batch::from(Op::Append(vec![(1, vec![0; bytes].into())]));
        assert_eq!(value(RECORD_BYTES_MAX).measure().unwrap(), RECORD_BYTES_MAX);
        assert!(matches!(value(RECORD_BYTES_MAX + 1).measure(), Err(Error::TooLarge { .. })));
        let entry = |bytes| Batch::from(Op::RaftAppend(vec![(1, vec![0; bytes])]));
        assert!(entry(RECORD_BYTES_MAX).measure().is_ok());
        assert!(matches!(entry(RECORD_BYTES_MAX + 1).measure(), Err(Error::TooLarge { .. })));
        let named = |name, bytes| {
            Batch::from(Op::RaftMeta { name: "n".repeat(name), value: vec![0; bytes] })
        };
        assert!(named(META_NAME_BYTES_MAX, RECORD_BYTES_MAX).measure().is_ok());
        assert!(matches!(named(META_NAME_BYTES_MAX + 1, 0).measure(), Err(Error::TooLarge { .. })));
        assert!(matches!(named(1, RECORD_BYTES_MAX + 1).measure(), Err(Error::TooLarge { .. })));
    }
}
