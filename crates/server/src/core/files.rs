//! The files that the node's effects name: its own snapshots, which peers read, and theirs, which
//! it writes; and what is let go of.
//!
//! **Invariants.** What is written, finished and removed happens in the order in which it was asked
//! for, one after the other. Whoever reads a snapshot reads it to its end, though it is not kept
//! any more.
//!
//! **Must not know:** what the node makes of it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crdt::NodeId;
use identity::Identity;
use node::{Input, Piece, Snapshot};
use store::{Op, SnapshotReader, StoreHandle};
use tokio::task::JoinSet;
use wire::snapshot::{Decoder, Restored};

use crate::snapshots::SnapshotError;

/// What is done one after the other.
pub(super) enum Job {
    Write { snapshot: Snapshot, offset: u64, bytes: Arc<[u8]> },
    Finish { snapshot: Snapshot },
    Keep { hashes: Vec<[u8; 32]> },
    Trim { upto: u64 },
}

/// What came of a job, for the node.
enum Done {
    Read(Input),
    InOrder(Option<Input>),
}

/// The files' work that is under way, and waits.
pub(super) struct Files {
    store: Option<StoreHandle>,
    readers: BTreeMap<(NodeId, u64), SnapshotReader>,
    waiting: VecDeque<Job>,
    busy: bool,
    jobs: JoinSet<Done>,
}

impl Files {
    pub(super) fn new(store: Option<StoreHandle>) -> Self {
        let (readers, waiting) = (BTreeMap::new(), VecDeque::new());
        Self { store, readers, waiting, busy: false, jobs: JoinSet::new() }
    }

    /// What came of something, if that is for the node; `None` if nothing is under way.
    pub(super) async fn next(&mut self) -> Option<Option<Input>> {
        match self.jobs.join_next().await? {
            Ok(Done::Read(input)) => Some(Some(input)),
            Ok(Done::InOrder(input)) => {
                self.busy = false;
                self.start();
                Some(input)
            }
            // A panic ends the process.
            Err(_) => Some(None),
        }
    }

    /// A stream is gone.
    pub(super) fn forget(&mut self, peer: NodeId, session: u64) {
        self.readers.remove(&(peer, session));
    }

    /// Reads a piece for a stream.
    pub(super) fn read(
        &mut self,
        (peer, session): (NodeId, u64),
        hash: [u8; 32],
        offset: u64,
        length: u64,
    ) {
        let key = (peer, session);
        if self.readers.get(&key).is_none_or(|reader| reader.info().hash != hash) {
            let found = self.store.as_ref().and_then(|store| store.snapshot(&hash));
            found.and_then(|reader| self.readers.insert(key, reader));
        }
        let reader = self.readers.get(&key).filter(|reader| reader.info().hash == hash).cloned();
        self.jobs.spawn_blocking(move || {
            let read = reader.map(|reader| read(reader, offset, length));
            let bytes = read.unwrap_or(Ok(Vec::new())).unwrap_or_else(|error| {
                tracing::error!(%error, "a snapshot cannot be read");
                Vec::new()
            });
            let piece = Piece { hash, offset, bytes: bytes.into() };
            Done::Read(Input::SnapshotRead { peer, session, piece })
        });
    }

    /// Does something after all that was asked for before.
    pub(super) fn push(&mut self, job: Job) {
        self.waiting.push_back(job);
        self.start();
    }

    fn start(&mut self) {
        if self.busy {
            return;
        }
        let Some(store) = &self.store else { return };
        let Some(job) = self.waiting.pop_front() else { return };
        let store = store.clone();
        self.busy = true;
        self.jobs.spawn_blocking(move || Done::InOrder(run(&store, job)));
    }
}

fn read(mut reader: SnapshotReader, offset: u64, length: u64) -> Result<Vec<u8>, store::Error> {
    let mut bytes = Vec::new();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    while bytes.len() < length {
        let piece = reader.read(offset.saturating_add(bytes.len() as u64))?;
        if piece.is_empty() {
            break;
        }
        bytes.extend(piece);
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn run(store: &StoreHandle, job: Job) -> Option<Input> {
    match job {
        Job::Write { snapshot: Snapshot { hash, bytes }, offset, bytes: piece } => {
            Some(match store.write_incoming(&hash, bytes, offset, &piece) {
                Ok(upto) => Input::SnapshotWritten { hash, upto },
                Err(error) => failed(hash, &error),
            })
        }
        Job::Finish { snapshot: Snapshot { hash, bytes } } => {
            Some(match finish(store, hash, bytes) {
                Ok(identity) => Input::SnapshotFinished { hash, identity },
                Err(error) => failed(hash, &error),
            })
        }
        Job::Keep { hashes } => {
            if let Err(error) = store.keep_incoming(&hashes) {
                tracing::warn!(%error, "old snapshots of peers are left");
            }
            None
        }
        Job::Trim { upto } => {
            let before = store.first_lsn();
            // A store that fails says so to whoever appends next.
            if let Err(error) = store.submit_and_wait(Op::TrimLog { upto }) {
                tracing::warn!(%error, "the log is not trimmed");
            }
            tracing::debug!(before, first = store.first_lsn(), "the log was trimmed");
            None
        }
    }
}

fn failed(hash: [u8; 32], error: &dyn std::error::Error) -> Input {
    tracing::warn!(%error, "a peer's snapshot is of no use");
    Input::SnapshotFailed { hash, why: error.to_string() }
}

fn finish(store: &StoreHandle, hash: [u8; 32], bytes: u64) -> Result<Box<Identity>, SnapshotError> {
    store.sync_incoming(&hash, bytes)?;
    let mut decoder = Decoder::default();
    store.read_incoming(&hash, |piece| Ok::<_, SnapshotError>(decoder.push(piece)?))?;
    let Restored { state, doubts } = decoder.finish()?;
    Ok(Box::new(Identity::restore(state, doubts).map_err(node::ReplayError::Kept)?))
}
