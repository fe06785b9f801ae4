//! What the task needs of the store.
//!
//! **Invariants.** Records are appended in the order they are given.
//!
//! **Must not know:** what a record says.

use store::{Done, Error, LogRecord, Op, StoreHandle};

/// The node's log on its disk.
pub trait Journal: Send + Sync + 'static {
    /// Appends records; `done` is told once they are durable, or why they never will be. Never
    /// blocks.
    fn append(&self, records: Vec<LogRecord>, done: Done);

    /// Records from this lsn on: at most `records_max`, and no further one after `bytes_max`.
    /// Blocks.
    ///
    /// # Errors
    /// When the store cannot give them.
    fn read(
        &self,
        from_lsn: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, Error>;

    /// The store with its snapshots; none where only the log is of interest.
    fn store(&self) -> Option<StoreHandle> {
        None
    }
}

impl Journal for StoreHandle {
    fn append(&self, records: Vec<LogRecord>, done: Done) {
        self.submit(Op::Append(records), done);
    }

    fn read(
        &self,
        from_lsn: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, Error> {
        self.read_log(from_lsn, records_max, bytes_max)
    }

    fn store(&self) -> Option<StoreHandle> {
        Some(self.clone())
    }
}
