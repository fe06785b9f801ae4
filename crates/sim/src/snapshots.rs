//! Snapshots: hosts take them, trim their logs, and give them to who needs them.
//!
//! **Invariants.** What decides when is what was done, and the run's seed: no die is cast.
//!
//! **Must not know:** what must hold.

use identity::Identity;
use node::{Effect, Frozen, Input, Piece};
use wire::snapshot::Encoder;

use crate::{
    disk::Kept,
    world::{Event, World},
};

/// Records after which a snapshot is taken.
const EVERY_RECORDS: u64 = 2;
/// What reading or writing a file takes, in milliseconds.
const FILE_MS: u64 = 1;
/// How many slots are copied at a time.
const SLOTS: usize = 3;

impl World {
    /// As the server's part that takes snapshots.
    pub(crate) fn care_for_log(&mut self, at: usize) {
        let Some(node) = &self.hosts[at].node else { return };
        let disk = &self.hosts[at].disk;
        let newest = disk.newest().map_or(0, |kept| kept.lsn);
        let grown = disk.last_lsn() - newest;
        match node.frozen() {
            Some(frozen) if frozen.lsn <= disk.last_lsn() => self.copy(at, &frozen.clone()),
            Some(_) => {}
            None => {
                let due = grown >= EVERY_RECORDS || grown > 0 && node.joined_behind(newest);
                if due && !node.is_mending() {
                    self.handle(at, Input::Freeze);
                }
            }
        }
        let disk = &self.hosts[at].disk;
        let Some(kept) = disk.newest() else { return };
        let (newest, in_all, first_lsn) =
            ((kept.name(), kept.lsn), disk.in_all(), disk.first_lsn());
        let log_bytes_max = self.log_bytes_max;
        self.handle(at, Input::Snapshots { newest, in_all, first_lsn, log_bytes_max });
    }

    /// Whatever happened since the state was frozen.
    fn copy(&mut self, at: usize, frozen: &Frozen) {
        let Frozen { lsn, summary, doubts } = frozen;
        let (mut bytes, mut after) = (Vec::new(), None::<Box<[u8]>>);
        let mut encoder = Encoder::new(summary, &mut bytes);
        while let Some(node) = &self.hosts[at].node
            && let Some(slots) = node.frozen_slots(after.as_deref(), SLOTS)
            && let Some((last, _)) = slots.last()
        {
            slots.iter().for_each(|(key, siblings)| encoder.slot(key, siblings, &mut bytes));
            after = Some(last.clone());
        }
        encoder.doubts(doubts, &mut bytes);
        encoder.finish(&mut bytes);
        self.handle(at, Input::Thaw);
        self.counts.snapshots += 1;
        // Names need not be hashes here: that they are checked is the store's business.
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&self.counts.snapshots.to_be_bytes());
        self.hosts[at].disk.keep(Kept { lsn: *lsn, hash, bytes: bytes.into() });
    }

    /// Carries out what concerns files.
    pub(crate) fn perform_later(&mut self, at: usize, effect: Effect) {
        let run = self.hosts[at].run;
        self.later(FILE_MS, Event::File { at, run, effect: Box::new(effect) });
    }

    pub(crate) fn file(&mut self, at: usize, effect: Effect) {
        let disk = &mut self.hosts[at].disk;
        if let Effect::ReadSnapshot { peer, session, hash, offset, length } = effect {
            let piece = Piece { hash, offset, bytes: disk.piece(&hash, offset, length) };
            self.handle(at, Input::SnapshotRead { peer, session, piece });
        } else if let Effect::WriteSnapshot { snapshot, offset, bytes } = effect {
            let upto = disk.write(snapshot, offset, &bytes);
            self.handle(at, Input::SnapshotWritten { hash: snapshot.hash, upto });
        } else if let Effect::FinishSnapshot { snapshot } = effect {
            self.finish(at, snapshot.hash);
        } else if let Effect::KeepFetched { hashes } = effect {
            disk.keep_fetched(&hashes);
        } else if let Effect::TrimLog { upto } = effect {
            self.counts.trims += 1;
            if !disk.trim(upto) {
                let what = format!("host {at} trims up to {upto}");
                self.violate("what is in no snapshot stays in the log", what);
            }
        }
    }

    fn finish(&mut self, at: usize, hash: [u8; 32]) {
        let restored = self.hosts[at].disk.finish(&hash);
        let identity = restored.and_then(|restored| {
            Identity::restore(restored.state, restored.doubts).ok().map(Box::new)
        });
        let Some(identity) = identity else {
            return self.violate("a whole snapshot is a state", format!("host {at}"));
        };
        let before = self.hosts[at].node.as_ref().map_or(0, node::Node::applied_lsn);
        self.handle(at, Input::SnapshotFinished { hash, identity });
        let joined = |node: &node::Node| node.joined_behind(before);
        self.counts.joins += u64::from(self.hosts[at].node.as_ref().is_some_and(joined));
    }
}
