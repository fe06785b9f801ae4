//! A node's disk: the log of replicated transactions, and Raft's log and values, in one sled.
//!
//! `Store` opens and verifies a data directory and owns the committer thread; `StoreHandle` submits
//! to it and reads. A directory holds sled's files, LOCK (held while open), MANIFEST, MARK and the
//! snapshots.
//!
//! **Invariants.** What was acknowledged is on the disk, in the log or in a snapshot, and a store
//! that lacks any of it, as far as its high-water marks tell, does not open. A number is never
//! bound to two transactions. After a failure nothing is acknowledged any more.
//!
//! **Must not know:** what a transaction or a Raft entry means, any other node, any runtime.

mod batch;
mod committer;
mod engine;
mod error;
mod frame;
mod incoming;
mod manifest;
mod plan;
mod queue;
mod snapshot;
mod store;
mod verify;

pub use batch::{
    Batch, Committed, Done, LogRecord, META_NAME_BYTES_MAX, Op, RECORD_BYTES_MAX, TRIM_RECORDS_MAX,
};
pub use engine::FREE_BYTES_MIN;
pub use error::Error;
pub use incoming::Incoming;
pub use manifest::{CLUSTER_ID_CHARACTERS_MAX, StoreIdentity};
pub use queue::QUEUE_MAX;
pub use snapshot::{
    PIECE_BYTES, SNAPSHOTS_KEPT, SnapshotHash, SnapshotInfo, SnapshotReader, SnapshotWriter,
};
pub use store::{Stats, Store, StoreHandle};
