//! A machine's disk: the log as far as it is kept, snapshots, and what came in of peers'.
//!
//! **Invariants.** A crash takes any part of the end of a peer's snapshot that is coming in, until
//! it was synced; nothing else that is here. Damage is done by plan alone.
//!
//! **Must not know:** what the node makes of it.

use std::{collections::BTreeMap, sync::Arc};

use crdt::{Dot, State, VersionVector, advance};
use node::{Node, ReplayError, Snapshot};
use wire::{repair, snapshot, transaction};

/// Bytes of a snapshot that are asked for at a time: snapshots are small here.
const FETCH_BYTES: u64 = 4_000;
/// Snapshots that are kept.
const KEPT: usize = 2;

/// A snapshot of the node's own.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) lsn: u64,
    pub(crate) hash: [u8; 32],
    pub(crate) bytes: Arc<[u8]>,
}

impl Kept {
    pub(crate) fn name(&self) -> Snapshot {
        Snapshot { hash: self.hash, bytes: self.bytes.len() as u64 }
    }
}

#[derive(Debug)]
struct Incoming {
    total: u64,
    bytes: Vec<u8>,
    synced: bool,
}

/// A disk.
#[derive(Debug)]
pub struct Disk {
    first_lsn: u64,
    records: Vec<Arc<[u8]>>,
    /// The newest last.
    kept: Vec<Kept>,
    incoming: BTreeMap<[u8; 32], Incoming>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let (records, kept, incoming) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { first_lsn: 1, records, kept, incoming }
    }

    pub(crate) fn first_lsn(&self) -> u64 {
        self.first_lsn
    }

    pub(crate) fn last_lsn(&self) -> u64 {
        self.first_lsn + self.records.len() as u64 - 1
    }

    /// The newest snapshot.
    pub(crate) fn newest(&self) -> Option<&Kept> {
        self.kept.last()
    }

    /// Up to where all snapshots have the log's effect, once there are enough of them.
    pub(crate) fn in_all(&self) -> u64 {
        if self.kept.len() < KEPT { 0 } else { self.kept.first().map_or(0, |kept| kept.lsn) }
    }

    /// Takes a record; what it covers is added.
    pub(crate) fn push(&mut self, record: Arc<[u8]>, covered: &mut VersionVector) {
        if let Some(hash) = snapshot::decode_join(&record) {
            let vector = self.joined(&hash).state.vector().clone();
            vector.dots.iter().for_each(|(node, seq)| advance(covered, Dot::new(*node, *seq)));
        } else if repair::decode_mend(&record).is_none() {
            advance(covered, transaction::decode(&record).expect("a node wrote it").dot);
        }
        self.records.push(record);
    }

    /// The records from this one on; none if it is not kept.
    pub(crate) fn read(&self, from_lsn: u64) -> &[Arc<[u8]>] {
        let skipped = from_lsn.checked_sub(self.first_lsn);
        let skipped = skipped.and_then(|skipped| usize::try_from(skipped).ok());
        skipped.and_then(|skipped| self.records.get(skipped..)).unwrap_or_default()
    }

    /// Removes records that all snapshots have. `false` if one of them has not.
    pub(crate) fn trim(&mut self, upto: u64) -> bool {
        let count = (upto + 1).saturating_sub(self.first_lsn).min(self.records.len() as u64);
        self.records.drain(..usize::try_from(count).unwrap_or_default());
        self.first_lsn += count;
        upto <= self.in_all()
    }

    pub(crate) fn keep(&mut self, kept: Kept) {
        self.kept.retain(|known| known.lsn != kept.lsn);
        self.kept.push(kept);
        if self.kept.len() > KEPT {
            self.kept.remove(0);
        }
    }

    /// Makes another state of the newest snapshot, whole in itself; whether there is one.
    pub(crate) fn damage(&mut self, damage: impl FnOnce(&mut State<transaction::Meta>)) -> bool {
        let Some(Kept { bytes, .. }) = self.kept.last_mut() else { return false };
        let mut restored = snapshot::decode(bytes).expect("a node wrote it");
        damage(&mut restored.state);
        *bytes = snapshot::encode(&restored.state, &restored.doubts).into();
        true
    }

    /// A piece of a snapshot; empty if it is not kept any more.
    pub(crate) fn piece(&self, hash: &[u8; 32], offset: u64, length: u64) -> Arc<[u8]> {
        let kept = self.kept.iter().find(|kept| kept.hash == *hash);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = usize::try_from(offset + length).unwrap_or(usize::MAX);
        kept.and_then(|kept| kept.bytes.get(start..end)).unwrap_or_default().into()
    }

    /// Writes a piece of a peer's snapshot; how much of it is there then.
    pub(crate) fn write(&mut self, snapshot: Snapshot, offset: u64, piece: &[u8]) -> u64 {
        let Snapshot { hash, bytes: total } = snapshot;
        let new = || Incoming { total, bytes: Vec::new(), synced: false };
        let incoming = self.incoming.entry(hash).or_insert_with(new);
        incoming.bytes.truncate(usize::try_from(offset).unwrap_or(usize::MAX));
        incoming.bytes.extend(piece);
        incoming.bytes.len() as u64
    }

    /// Makes a peer's snapshot durable, and reads it; `None` if it is not whole.
    pub(crate) fn finish(&mut self, hash: &[u8; 32]) -> Option<snapshot::Restored> {
        let incoming = self.incoming.get_mut(hash)?;
        let restored = snapshot::decode(&incoming.bytes).ok()?;
        incoming.synced = true;
        (incoming.bytes.len() as u64 == incoming.total).then_some(restored)
    }

    pub(crate) fn keep_fetched(&mut self, hashes: &[[u8; 32]]) {
        self.incoming.retain(|hash, _| hashes.contains(hash));
    }

    /// The machine dies.
    pub(crate) fn crash(&mut self, keep: u64) {
        for incoming in self.incoming.values_mut().filter(|incoming| !incoming.synced) {
            let kept = keep % (incoming.bytes.len() as u64 + 1);
            incoming.bytes.truncate(usize::try_from(kept).unwrap_or_default());
        }
    }

    /// What a peer's snapshot covers that was read before.
    pub(crate) fn covers(&self, hash: &[u8; 32]) -> VersionVector {
        self.joined(hash).state.vector().clone()
    }

    fn joined(&self, hash: &[u8; 32]) -> snapshot::Restored {
        let incoming = self.incoming.get(hash).filter(|incoming| incoming.synced);
        let bytes = &incoming.expect("what a record names is durable").bytes;
        snapshot::decode(bytes).expect("it was read before")
    }

    /// Brings a new node to what the disk holds.
    pub(crate) fn replay(&self, node: &mut Node) -> Result<(), ReplayError> {
        if let Some(Kept { lsn, bytes, .. }) = self.newest() {
            let restored = snapshot::decode(bytes).expect("a node wrote it");
            node.restore(restored, *lsn, self.first_lsn)?;
        }
        for record in &self.records {
            match snapshot::decode_join(record) {
                Some(hash) => {
                    node.replay_join(hash, || Ok::<_, ReplayError>(self.joined(&hash)))?
                }
                None => node.replay(Arc::clone(record))?,
            }
        }
        node.started(self.last_lsn())?;
        node.set_fetch_bytes(FETCH_BYTES);
        let begun = self.incoming.iter().find(|(hash, _)| !node.has_joined(**hash));
        if let Some((hash, Incoming { total, bytes, .. })) = begun {
            let snapshot = Snapshot { hash: *hash, bytes: *total };
            node.set_partial(snapshot, bytes.len() as u64);
        }
        Ok(())
    }
}
