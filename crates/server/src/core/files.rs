//! The files that the node's effects name: its own snapshots, which peers read, and theirs, which
//! it writes; and what is let go of.
//!
//! **Invariants.** What is written, finished and removed happens in the order in which it was asked
//! for, one after the other. Whoever reads a snapshot reads it to its end, though it is not kept
//! any more, and gets its pieces in the order in which it asked for them.
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

/// What one stream reads.
#[derive(Default)]
struct Reading {
    reader: Option<SnapshotReader>,
    waiting: VecDeque<Ask>,
    busy: bool,
}

/// A piece of a snapshot.
#[derive(Clone, Copy)]
struct Ask {
    hash: [u8; 32],
    offset: u64,
    length: u64,
}

/// What came of a job, for the node.
enum Done {
    Read((NodeId, u64), Input),
    InOrder(Option<Input>),
}

/// The files' work that is under way, and waits.
pub(super) struct Files {
    store: Option<StoreHandle>,
    readings: BTreeMap<(NodeId, u64), Reading>,
    waiting: VecDeque<Job>,
    busy: bool,
    jobs: JoinSet<Done>,
}

impl Files {
    pub(super) fn new(store: Option<StoreHandle>) -> Self {
        let (readings, waiting) = (BTreeMap::new(), VecDeque::new());
        Self { store, readings, waiting, busy: false, jobs: JoinSet::new() }
    }

    /// What came of something, if that is for the node; `None` if nothing is under way.
    pub(super) async fn next(&mut self) -> Option<Option<Input>> {
        match self.jobs.join_next().await? {
            Ok(Done::Read(stream, input)) => {
                if let Some(reading) = self.readings.get_mut(&stream) {
                    reading.busy = false;
                }
                self.read_next(stream);
                Some(Some(input))
            }
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
        self.readings.remove(&(peer, session));
    }

    /// Reads a piece for a stream, after what that asked for before: a receiver takes pieces in
    /// their order only.
    pub(super) fn read(&mut self, stream: (NodeId, u64), hash: [u8; 32], offset: u64, length: u64) {
        let reading = self.readings.entry(stream).or_default();
        reading.waiting.push_back(Ask { hash, offset, length });
        self.read_next(stream);
    }

    fn read_next(&mut self, stream: (NodeId, u64)) {
        let Some(reading) = self.readings.get_mut(&stream).filter(|reading| !reading.busy) else {
            return;
        };
        let Some(Ask { hash, offset, length }) = reading.waiting.pop_front() else { return };
        let is_it = |reader: &SnapshotReader| reader.info().hash == hash;
        if !reading.reader.as_ref().is_some_and(is_it)
            && let Some(found) = self.store.as_ref().and_then(|store| store.snapshot(&hash))
        {
            reading.reader = Some(found);
        }
        let reader = reading.reader.clone().filter(is_it);
        reading.busy = true;
        let (peer, session) = stream;
        self.jobs.spawn_blocking(move || {
            let read = reader.map(|reader| read(reader, offset, length));
            let bytes = read.unwrap_or(Ok(Vec::new())).unwrap_or_else(|error| {
                tracing::error!(%error, "a snapshot cannot be read");
                Vec::new()
            });
            let piece = Piece { hash, offset, bytes: bytes.into() };
            Done::Read(stream, Input::SnapshotRead { peer, session, piece })
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

#[cfg(test)]
mod tests {
    use store::{Store, StoreIdentity};

    use super::*;

    const BYTES: usize = 2 << 20;

    #[tokio::test]
    async fn a_stream_gets_pieces_in_the_order_in_which_it_asked_for_them() {
        let directory = tempfile::tempdir().unwrap();
        let identity = StoreIdentity { cluster_id: "c".to_owned(), node_id: 1 };
        let store = Store::create(&directory.path().join("store"), identity).unwrap();
        let mut writer = store.begin_snapshot(0).unwrap();
        writer.write(&vec![7; BYTES]).unwrap();
        let info = store.commit_snapshot(writer).unwrap();
        let mut files = Files::new(Some(store.handle()));
        // The first takes longer than all others.
        let lengths = std::iter::once(info.bytes).chain([1; 50]);
        let asked: Vec<_> = (0..).zip(lengths).collect();
        for stream in [(NodeId(2), 1), (NodeId(3), 2)] {
            for (offset, length) in &asked {
                files.read(stream, info.hash, *offset, *length);
            }
        }
        files.read((NodeId(2), 1), [0; 32], 9, 1);
        let mut got: BTreeMap<NodeId, Vec<(u64, usize)>> = BTreeMap::new();
        while let Some(input) = files.next().await {
            let Some(Input::SnapshotRead { peer, piece, .. }) = input else { continue };
            got.entry(peer).or_default().push((piece.offset, piece.bytes.len()));
        }
        let due = |(offset, length): &(u64, u64)| (*offset, usize::try_from(*length).unwrap());
        let mut due: Vec<_> = asked.iter().map(due).collect();
        assert_eq!(got[&NodeId(3)], due);
        due.push((9, 0));
        assert_eq!(got[&NodeId(2)], due, "of what is not kept there are no bytes");
    }
}
