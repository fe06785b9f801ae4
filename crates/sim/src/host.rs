//! A machine: a real node, its disk, its clock.
//!
//! **Invariants.** What was not flushed when the host died is not there afterwards, but for what
//! the crash says was kept: a prefix. The clock is the server's: it follows the wall clock forwards
//! only, and starts anew with the process.
//!
//! **Must not know:** the other hosts.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crdt::{NodeId, VersionVector};
use model::Timestamp;
use node::{ControlState, Input, Node, ReplayError, Role};

use crate::{disk::Disk, plan::DAY_MS};

/// What a right wall clock says when the simulation begins, in milliseconds.
const EPOCH_MS: u64 = 20_000 * DAY_MS;

/// The cluster's id.
pub(crate) const CLUSTER: &str = "sim";

/// A machine.
pub struct Host {
    /// Its node's id.
    pub id: NodeId,
    /// Its node's role.
    pub role: Role,
    /// The node; `None` while the machine is down.
    pub node: Option<Node>,
    /// Everything that is flushed.
    pub disk: Disk,
    /// What that covers.
    pub on_disk: VersionVector,
    /// Everything that ever was in its memory.
    pub received: VersionVector,
    /// Whether it may never start again: its node said so.
    pub retired: bool,
    /// Whether its state was damaged once.
    pub damaged: bool,
    pub(crate) unsynced: VecDeque<Arc<[u8]>>,
    /// How many of the unsynced the flush under way is for.
    pub(crate) flushing: usize,
    /// Answers that wait for their lsn, and what they cover.
    pub(crate) held: Vec<(u64, VersionVector)>,
    /// The open streams' sessions, by peer.
    pub(crate) streams: BTreeMap<usize, u64>,
    /// The version of the control state that the node has.
    pub(crate) version: usize,
    /// Counts starts: what was to happen to an earlier one does not.
    pub(crate) run: u64,
    pub(crate) wake_ms: Option<u64>,
    pub(crate) slow_until_ms: u64,
    /// What the joining nodes that this one leads must reach.
    pub(crate) targets: BTreeMap<NodeId, VersionVector>,
    ahead_ms: u64,
    shown_ms: u64,
    shown_at_ms: u64,
}

impl Host {
    pub(crate) fn new(id: NodeId, role: Role, ahead_ms: u64) -> Self {
        Self {
            id,
            role,
            node: None,
            disk: Disk::new(),
            on_disk: VersionVector::new(),
            received: VersionVector::new(),
            retired: false,
            damaged: false,
            unsynced: VecDeque::new(),
            flushing: 0,
            held: Vec::new(),
            streams: BTreeMap::new(),
            version: 0,
            run: 0,
            wake_ms: None,
            slow_until_ms: 0,
            targets: BTreeMap::new(),
            ahead_ms,
            shown_ms: 0,
            shown_at_ms: 0,
        }
    }

    /// What the node would be if it started from its disk.
    ///
    /// # Errors
    /// When its disk is not a log.
    pub fn replayed(&self) -> Result<Node, ReplayError> {
        let mut node = Node::new(self.id, CLUSTER.to_owned(), self.role);
        self.disk.replay(&mut node)?;
        Ok(node)
    }

    /// As [`Self::replayed`], once it has heard of a control state.
    ///
    /// # Errors
    /// When its disk is not a log.
    pub fn restarted(&self, control: &ControlState) -> Result<Node, ReplayError> {
        let mut node = self.replayed()?;
        let state = Box::new(control.to_message());
        // What it would do then concerns nobody.
        let _effects =
            node.handle(Timestamp::default(), Input::Control { state, data_keys: Vec::new() });
        Ok(node)
    }

    pub(crate) fn start(&mut self, now_ms: u64) -> Result<(), ReplayError> {
        self.node = Some(self.replayed()?);
        self.run += 1;
        self.shown_ms = self.wall_ms(now_ms);
        self.shown_at_ms = now_ms;
        Ok(())
    }

    /// The machine dies; of what was not flushed, a prefix of `keep` records (modulo) is kept.
    pub(crate) fn crash(&mut self, keep: u64) {
        let kept = usize::try_from(keep % (self.unsynced.len() as u64 + 1)).unwrap_or_default();
        self.flush(kept);
        self.disk.crash(keep);
        self.node = None;
        self.unsynced.clear();
        self.held.clear();
        self.streams.clear();
        self.targets.clear();
        self.flushing = 0;
        self.wake_ms = None;
    }

    /// The first so many unsynced records are on the disk from here on.
    pub(crate) fn flush(&mut self, count: usize) {
        for bytes in self.unsynced.drain(..count.min(self.unsynced.len())) {
            self.disk.push(bytes, &mut self.on_disk);
        }
    }

    /// What this host's process takes for the time.
    pub(crate) fn clock(&mut self, now_ms: u64) -> Timestamp {
        let steady_ms = self.shown_ms + (now_ms - self.shown_at_ms);
        self.shown_ms = steady_ms.max(self.wall_ms(now_ms));
        self.shown_at_ms = now_ms;
        Timestamp::from_ms(self.shown_ms)
    }

    pub(crate) fn set_clock(&mut self, ahead_ms: u64) {
        self.ahead_ms = ahead_ms;
    }

    fn wall_ms(&self, now_ms: u64) -> u64 {
        EPOCH_MS + now_ms + self.ahead_ms
    }
}
