//! A simulated host: a node and its disk.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crdt::{VersionVector, advance};
use node::{Node, Snapshot};
use wire::{snapshot, transaction};

use super::{id, role};

pub(super) struct Host {
    pub(super) node: Node,
    pub(super) disk: Vec<Arc<[u8]>>,
    /// The lsn of the first record on the disk.
    pub(super) first_lsn: u64,
    /// The newest last.
    pub(super) snapshots: Vec<Kept>,
    /// Peers' snapshots, as far as they are here.
    pub(super) incoming: BTreeMap<[u8; 32], Incoming>,
    /// A peer's snapshot that is whole and is to be read.
    pub(super) finishing: Option<[u8; 32]>,
    pub(super) on_disk: VersionVector,
    pub(super) unsynced: VecDeque<Arc<[u8]>>,
    /// Replies that wait for their lsn, with what their token covers.
    pub(super) held: Vec<(u64, VersionVector)>,
    pub(super) downs: VecDeque<(usize, u64)>,
    pub(super) ahead_ms: u64,
}

pub(super) struct Kept {
    pub(super) lsn: u64,
    pub(super) hash: [u8; 32],
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Incoming {
    pub(super) total: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) synced: bool,
}

/// What is asked for at a time: snapshots here are small.
const FETCH_BYTES: u64 = 3_000;

impl Host {
    /// What the node is after a restart.
    pub(super) fn restarted(&self, at: usize) -> Node {
        let mut node = Node::new(id(at), "sim".into(), role(at));
        if let Some(Kept { lsn, bytes, .. }) = self.snapshots.last() {
            node.restore(snapshot::decode(bytes).unwrap(), *lsn, self.first_lsn).unwrap();
        }
        for record in &self.disk {
            match snapshot::decode_join(record) {
                None => node.replay(record.clone()).unwrap(),
                Some(hash) => {
                    let load = || Ok::<_, node::ReplayError>(self.joined(&hash));
                    node.replay_join(hash, load).unwrap();
                }
            }
        }
        node.started(self.last_lsn()).unwrap();
        node.set_fetch_bytes(FETCH_BYTES);
        let begun = self.incoming.iter().find(|(hash, _)| !node.has_joined(**hash));
        if let Some((hash, Incoming { total, bytes, .. })) = begun {
            let snapshot = Snapshot { hash: *hash, bytes: *total };
            node.set_partial(snapshot, bytes.len() as u64);
        }
        node
    }

    pub(super) fn last_lsn(&self) -> u64 {
        self.first_lsn + self.disk.len() as u64 - 1
    }

    pub(super) fn newest_lsn(&self) -> u64 {
        self.snapshots.last().map_or(0, |kept| kept.lsn)
    }

    pub(super) fn joined(&self, hash: &[u8; 32]) -> snapshot::Restored {
        let Incoming { bytes, synced, .. } = &self.incoming[hash];
        assert!(synced, "what the log names is durable");
        snapshot::decode(bytes).unwrap()
    }

    /// What a record covers.
    pub(super) fn cover(&mut self, record: &[u8]) {
        match snapshot::decode_join(record) {
            None => advance(&mut self.on_disk, transaction::decode(record).unwrap().dot),
            Some(hash) => {
                for (node, seq) in &self.joined(&hash).state.vector().dots {
                    advance(&mut self.on_disk, crdt::Dot::new(*node, *seq));
                }
            }
        }
    }
}
