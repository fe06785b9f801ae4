//! The sending half of a stream: a cursor in the log, and a window of unacknowledged bytes.
//!
//! **Invariants.** Only durable records are sent, in log order, each once a subscription. At most
//! [`WINDOW_BYTES_MAX`] and at most [`WINDOW_BATCHES_MAX`] batches, each plus one read, are
//! unacknowledged, so a slow peer costs no memory: the cursor waits, and what has left the recent
//! records meanwhile is read from disk.
//!
//! **Must not know:** other streams.

use std::{collections::VecDeque, sync::Arc};

use crdt::{Dot, VersionVector, covers};

use crate::{Snapshot, Subscribe, join, log::Log};

/// Transactions in a batch, at most.
pub const BATCH_ITEMS_MAX: usize = 128;
/// Bytes in a batch after which no more are added; a single transaction may be longer.
pub const BATCH_BYTES_MAX: usize = 64 << 10;
/// Bytes that are sent and not known to be on the peer's disk, after which sending pauses.
pub const WINDOW_BYTES_MAX: usize = 4 << 20;
/// Batches likewise. Writes come one by one, and one by one they would fill a slow peer's queue.
pub const WINDOW_BATCHES_MAX: usize = 192;
/// Bytes asked of the log in one read.
pub const READ_BYTES_MAX: usize = 256 << 10;

#[derive(Debug, Default)]
pub(crate) struct Sender {
    wanted: Option<Subscribe>,
    /// The lsn that is looked at next.
    cursor: u64,
    window: Window,
    read: Read,
    /// What the peer is known to have on its disk.
    durable: VersionVector,
    /// The snapshot that was offered for this subscription.
    offered: Option<Snapshot>,
}

/// What is sent and not known to be on the peer's disk.
#[derive(Debug, Default)]
struct Window {
    sent: VecDeque<Sent>,
    bytes: usize,
    batches: usize,
}

#[derive(Debug)]
struct Sent {
    dot: Dot,
    bytes: usize,
    ends_batch: bool,
}

impl Window {
    fn is_full(&self) -> bool {
        self.bytes >= WINDOW_BYTES_MAX || self.batches >= WINDOW_BATCHES_MAX
    }

    fn push(&mut self, dot: Dot, bytes: usize) {
        self.bytes += bytes;
        self.sent.push_back(Sent { dot, bytes, ends_batch: false });
    }

    /// What was pushed last is its batch's last.
    fn end_batch(&mut self) {
        if let Some(last) = self.sent.back_mut() {
            last.ends_batch = true;
            self.batches += 1;
        }
    }

    fn acknowledge(&mut self, durable: &VersionVector) {
        while let Some(Sent { dot, bytes, ends_batch }) = self.sent.front() {
            if !covers(durable, dot) {
                break;
            }
            self.bytes -= bytes;
            self.batches -= usize::from(*ends_batch);
            self.sent.pop_front();
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Read {
    #[default]
    None,
    /// Asked for the subscription of this generation.
    Asked(u64),
    /// The log gave nothing useful: asked again at the next tick.
    Failed,
}

/// What a sender does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Send(Vec<Arc<[u8]>>),
    ReadFrom {
        lsn: u64,
    },
    /// The peer lacks what the log does not hold.
    Offer,
    Rest,
}

impl Sender {
    /// Whether the peer gets a node's transactions, and so its progress, from that node itself.
    pub(crate) fn peer_hears(&self, node: crate::NodeId) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.exclude.contains(&node))
    }

    pub(crate) fn subscribe(&mut self, subscribe: Subscribe, log: &Log) {
        let known = self.wanted.as_ref().map_or(0, |wanted| wanted.generation);
        if subscribe.generation <= known {
            return;
        }
        self.cursor = log.rewind(&subscribe.have, &subscribe.exclude);
        if log.lacks_base(&subscribe.have, &subscribe.exclude) {
            self.cursor = 0;
        }
        self.offered = None;
        self.window = Window::default();
        self.wanted = Some(subscribe);
    }

    /// The peer has these on its disk.
    pub(crate) fn acknowledge(&mut self, durable: &VersionVector) {
        self.durable.clone_from(durable);
        self.window.acknowledge(durable);
    }

    pub(crate) fn retry_read(&mut self) {
        if self.read == Read::Failed {
            self.read = Read::None;
        }
    }

    /// Whether a snapshot was not offered for this subscription before.
    pub(crate) fn offers(&mut self, snapshot: Snapshot) -> bool {
        self.offered.replace(snapshot) != Some(snapshot)
    }

    /// Whether what comes next is not kept in the log any more.
    fn is_behind(&self, wanted: &Subscribe, log: &Log) -> bool {
        if self.cursor > log.base_lsn() {
            return false;
        }
        let mut have = wanted.have.clone();
        join(&mut have, &self.durable);
        log.lacks_base(&have, &wanted.exclude)
    }

    pub(crate) fn step(&mut self, log: &Log) -> Step {
        let Some(wanted) = &self.wanted else { return Step::Rest };
        if self.is_behind(wanted, log) {
            return Step::Offer;
        }
        if self.window.is_full() {
            return Step::Rest;
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_ITEMS_MAX && bytes < BATCH_BYTES_MAX {
            let next = log.next_wanted(self.cursor, &wanted.have, &wanted.exclude);
            let Some((lsn, dot)) = next else {
                self.cursor = self.cursor.max(log.durable_lsn().saturating_add(1));
                break;
            };
            self.cursor = lsn;
            let Some(record) = log.recent(lsn) else { break };
            bytes += record.len();
            batch.push(Arc::clone(record));
            self.window.push(dot, record.len());
            self.cursor = lsn.saturating_add(1);
        }
        if !batch.is_empty() {
            self.window.end_batch();
            return Step::Send(batch);
        }
        if self.cursor > log.durable_lsn() || self.read != Read::None {
            return Step::Rest;
        }
        self.read = Read::Asked(wanted.generation);
        Step::ReadFrom { lsn: self.cursor }
    }

    /// Records that the log gave, by lsn, ascending; the batches to send. What the cursor has moved
    /// away from meanwhile is dropped.
    pub(crate) fn records(
        &mut self,
        records: Vec<(u64, Arc<[u8]>)>,
        log: &Log,
    ) -> Vec<Vec<Arc<[u8]>>> {
        let from = self.cursor;
        let mut batches: Vec<Vec<Arc<[u8]>>> = Vec::new();
        let mut room = 0;
        let Some(wanted) = &self.wanted else { return batches };
        if self.is_behind(wanted, log) {
            self.read = Read::None;
            return batches;
        }
        let stale = self.read != Read::Asked(wanted.generation);
        self.read = Read::Failed;
        for (lsn, record) in records {
            let next = log.next_wanted(self.cursor, &wanted.have, &wanted.exclude);
            let Some((next, dot)) = next else { break };
            if lsn < next {
                continue;
            }
            if lsn > next {
                break;
            }
            if room == 0 || batches.last().is_none_or(|batch| batch.len() >= BATCH_ITEMS_MAX) {
                if !batches.is_empty() {
                    self.window.end_batch();
                }
                batches.push(Vec::new());
                room = BATCH_BYTES_MAX;
            }
            room = room.saturating_sub(record.len());
            self.window.push(dot, record.len());
            if let Some(batch) = batches.last_mut() {
                batch.push(record);
            }
            self.cursor = lsn.saturating_add(1);
        }
        if !batches.is_empty() {
            self.window.end_batch();
        }
        if stale || self.cursor != from {
            self.read = Read::None;
        }
        batches
    }
}
