//! The state machine: its parts, its effects, and the inputs that concern no single stream.
//!
//! **Invariants.** [`Log::applied`] is exactly what was handed over or appended, so that a state
//! which applies every [`Effect::Apply`] at once never refuses one.
//!
//! **Must not know:** what a payload is.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crdt::{Dot, VersionVector};
use thiserror::Error;

use crate::{
    Compare, Digest, DigestState, Frame, Item, NodeId, NodeWait, Outcome, Part, Progress, Roster,
    Snapshot,
    agreement::Digests,
    bootstrap::Bootstrap,
    early::Early,
    gap::Gaps,
    log::Log,
    repair::Repair,
    stream::{Link, Stream},
    wait::Waits,
};

/// The replication of one node.
pub struct Replication<P> {
    pub(crate) me: NodeId,
    pub(crate) cluster_id: String,
    pub(crate) roster: Roster,
    pub(crate) log: Log,
    pub(crate) early: Early<P>,
    pub(crate) streams: BTreeMap<NodeId, Stream>,
    pub(crate) links: BTreeMap<NodeId, Link>,
    /// What the others are known to have; this node's own is told by the log.
    pub(crate) progress: BTreeMap<NodeId, Progress>,
    pub(crate) digests: Digests,
    pub(crate) repair: Repair,
    pub(crate) gaps: Gaps,
    pub(crate) bootstrap: Bootstrap,
    pub(crate) waits: Waits,
    /// What is agreed to be at every member.
    pub(crate) stable: VersionVector,
    pub(crate) hlc: u64,
    pub(crate) now_ms: u64,
    /// A peer has durable transactions of this node that this node lacks.
    pub(crate) cut_off: bool,
    pub(crate) out: Vec<Effect<P>>,
}

/// What is to be done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect<P> {
    /// Apply the transaction to the state, and write it to the log under this lsn.
    Apply {
        /// One greater than the record's before it.
        lsn: u64,
        /// The transaction.
        item: Item<P>,
    },
    /// Send a frame.
    Send {
        /// To whom.
        peer: NodeId,
        /// On which stream.
        session: u64,
        /// What.
        frame: Frame<Arc<[u8]>>,
    },
    /// Read records from the log, from this lsn on, at least one; answer with
    /// [`Replication::log_read`].
    ReadLog {
        /// For whom.
        peer: NodeId,
        /// For which stream.
        session: u64,
        /// The first record.
        from_lsn: u64,
        /// Stop after so many bytes.
        max_bytes: usize,
    },
    /// Read a piece of a snapshot of this node, whole; answer with
    /// [`Replication::snapshot_read`], a stream's in their order. One that a stream has begun to
    /// read stays readable for it.
    ReadSnapshot {
        /// For whom.
        peer: NodeId,
        /// For which stream.
        session: u64,
        /// Which snapshot.
        hash: [u8; 32],
        /// From where.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// Write a piece of a peer's snapshot to disk; answer with
    /// [`Replication::snapshot_written`]. In order, with the next effect.
    WriteSnapshot {
        /// Of which. What is there of another is not needed.
        snapshot: Snapshot,
        /// From where.
        offset: u64,
        /// The piece.
        bytes: Arc<[u8]>,
    },
    /// A peer's snapshot is written: see that it is durable, that its hash is right and that it is
    /// a state; answer with [`Replication::join`] or [`Replication::snapshot_failed`].
    FinishSnapshot {
        /// Which.
        snapshot: Snapshot,
    },
    /// Ask a peer in which slots it differs from this node: send [`Frame::Compare`] with the sums
    /// of the state as it is.
    Compare {
        /// Whom.
        peer: NodeId,
        /// On which stream.
        session: u64,
        /// The slots behind this key; from the first one on if there is none.
        after: Option<Box<[u8]>>,
    },
    /// Send [`Frame::Part`] of the state as it is.
    Answer {
        /// To whom.
        peer: NodeId,
        /// On which stream.
        session: u64,
        /// What is asked for.
        compare: Compare,
    },
    /// Take on the slots of a part in which the state differs; answer with
    /// [`Replication::mended`].
    Mend {
        /// Whose slots they are.
        peer: NodeId,
        /// The slots behind this key were asked for; from the first one on if there is none.
        after: Option<Box<[u8]>>,
        /// The slots.
        part: Part,
    },
    /// Close the stream; it is forgotten here.
    CloseStream {
        /// Whose.
        peer: NodeId,
        /// Which.
        session: u64,
        /// For the log.
        why: String,
    },
    /// Who of a wait's scope is there.
    WaitProgress {
        /// The wait.
        ticket: u64,
        /// Its scope, by node.
        nodes: Vec<NodeWait>,
    },
    /// The wait is over.
    WaitOutcome {
        /// The wait.
        ticket: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// Something that must never happen did; someone must look.
    Alarm {
        /// What.
        what: String,
    },
}

/// A log that cannot be the one this node wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// A record stands before something it depends on, or twice.
    #[error("record {0:?} of the log is out of order")]
    Order(Dot),
    /// The log has more or fewer records than its lsns say.
    #[error("the log does not hold the records that its lsn {0} tells of")]
    LastLsn(u64),
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Whether a stream to it is open.
    pub connected: bool,
    /// When anything was last heard of it, directly or by relay, in milliseconds.
    pub heard_ms: Option<u64>,
    /// What it is known to have.
    pub progress: Progress,
    /// Whether its state was found to be equal to this node's.
    pub digest: DigestState,
}

impl<P> Replication<P> {
    /// A node with an empty log and no roster.
    pub fn new(me: NodeId, cluster_id: String) -> Self {
        Self {
            me,
            cluster_id,
            roster: Roster::default(),
            log: Log::default(),
            early: Early::new(),
            streams: BTreeMap::new(),
            links: BTreeMap::new(),
            progress: BTreeMap::new(),
            digests: Digests::default(),
            repair: Repair::default(),
            gaps: Gaps::default(),
            bootstrap: Bootstrap::default(),
            waits: Waits::default(),
            stable: VersionVector::new(),
            hlc: 0,
            now_ms: 0,
            cut_off: false,
            out: Vec::new(),
        }
    }

    /// The state at start-up is that of a snapshot, which has the effect of every record up to
    /// `lsn`; before any record is replayed. `first_lsn` is the first that is kept.
    ///
    /// # Errors
    /// When the log does not go on from the snapshot.
    pub fn restore(
        &mut self,
        applied: VersionVector,
        lsn: u64,
        first_lsn: u64,
    ) -> Result<(), ReplayError> {
        let goes_on = self.log.restore(applied, lsn, first_lsn);
        if goes_on { Ok(()) } else { Err(ReplayError::LastLsn(lsn)) }
    }

    /// Whether the next record that is replayed is in the snapshot, so that the state has it.
    pub fn next_is_restored(&self) -> bool {
        self.log.next_is_restored()
    }

    /// A record of the log at start-up; in order, before [`Self::started`].
    ///
    /// # Errors
    /// When it cannot stand here.
    pub fn replay(
        &mut self,
        dot: Dot,
        deps: &VersionVector,
        bytes: Arc<[u8]>,
    ) -> Result<(), ReplayError> {
        if self.log.next_is_restored() {
            self.log.replay_restored(dot, bytes);
        } else if self.log.admits(&dot, deps) {
            self.log.replay(dot, bytes);
        } else {
            return Err(ReplayError::Order(dot));
        }
        Ok(())
    }

    /// A record of the log at start-up that says that a snapshot which covers `vector` was joined;
    /// in order, before [`Self::started`].
    pub fn replay_join(&mut self, vector: &VersionVector) {
        self.log.replay_join(vector);
    }

    /// All records were replayed; the last one's lsn is `last_lsn`, 0 if there is none.
    ///
    /// # Errors
    /// When there were more or fewer, or one does not follow.
    pub fn started(&mut self, last_lsn: u64) -> Result<(), ReplayError> {
        let order = |dot: Option<_>| dot.map_or(ReplayError::LastLsn(last_lsn), ReplayError::Order);
        self.log.started(last_lsn).map_err(order)
    }

    /// The newest roster.
    pub fn set_roster(&mut self, now_ms: u64, roster: Roster) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        if self.roster != roster {
            self.roster = roster;
            self.roster_changed();
            self.count_votes();
            self.check_waits();
        }
        self.take()
    }

    /// What the control plane agreed to be at every member.
    pub fn set_stable(&mut self, now_ms: u64, stable: &VersionVector) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        if self.stable != *stable {
            self.stable.clone_from(stable);
            self.check_waits();
        }
        self.take()
    }

    /// Appends this node's own next transaction, which its state has applied; its lsn.
    ///
    /// # Panics
    /// When the transaction is not the next: its maker read another state.
    pub fn append(&mut self, dot: Dot, deps: &VersionVector, bytes: Arc<[u8]>) -> u64 {
        assert!(
            dot.actor == self.me && self.log.admits(&dot, deps),
            "a node's own transaction is made from its own state"
        );
        self.log.append(dot, bytes)
    }

    /// Everything up to `lsn` is durable: it may leave, and be claimed.
    pub fn persisted(&mut self, now_ms: u64, lsn: u64) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        if self.log.persisted(lsn) {
            self.pump_all();
            self.own_progress_changed();
            self.check_waits();
        }
        self.take()
    }

    /// Time has passed: heartbeats, silent streams, gaps, deadlines.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        self.close_silent_streams();
        self.check_gaps();
        for stream in self.streams.values_mut() {
            stream.sender.retry_read();
        }
        self.fetch_on();
        self.repair_on();
        self.pump_all();
        self.send_due_heartbeats();
        self.check_waits();
        self.take()
    }

    /// When [`Self::tick`] is next needed, in milliseconds; `None` when nothing is pending.
    pub fn next_wakeup_ms(&self) -> Option<u64> {
        let beats = self.streams.values().map(Stream::due_ms);
        beats.chain(self.waits.first_deadline_ms()).min()
    }

    /// The hybrid logical clock that heartbeats carry, as bits.
    pub fn set_hlc(&mut self, hlc: u64) {
        self.hlc = hlc;
    }

    /// The digest of this node's own state when that state was, or has become, durable.
    pub fn note_digest(&mut self, digest: Digest) -> Vec<Effect<P>> {
        self.own_digest(digest);
        self.take()
    }

    /// What has been applied.
    pub fn applied(&self) -> &VersionVector {
        self.log.applied()
    }

    /// What is durable here.
    pub fn durable(&self) -> &VersionVector {
        self.log.durable()
    }

    /// The lsn of the last record, durable or not.
    pub fn applied_lsn(&self) -> u64 {
        self.log.applied_lsn()
    }

    /// The lsn up to which records are durable.
    pub fn durable_lsn(&self) -> u64 {
        self.log.durable_lsn()
    }

    /// The bytes of the records behind an lsn.
    pub fn bytes_behind(&self, lsn: u64) -> u64 {
        self.log.bytes_behind(lsn)
    }

    /// Whether a peer was seen to have transactions of this node that this node lacks. Such a node
    /// must make no more: it would bind their names again.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// How many transactions are kept that came before what they depend on, and their bytes.
    pub fn early_held(&self) -> (usize, usize) {
        self.early.held()
    }

    /// What is known of a node; of this node itself too.
    pub fn peer_status(&self, node: NodeId) -> PeerStatus {
        let link = self.links.get(&node);
        PeerStatus {
            connected: node == self.me || self.is_open(node),
            heard_ms: link.and_then(|link| link.heard_ms),
            progress: self.progress_of(node),
            digest: if node == self.me { DigestState::Equal } else { self.digests.state(node) },
        }
    }

    /// What a node is known to have.
    pub fn progress_of(&self, node: NodeId) -> Progress {
        if node == self.me {
            self.own_progress()
        } else {
            self.progress.get(&node).cloned().unwrap_or_default()
        }
    }

    /// INVARIANT: a seq of this node's own that is not durable is claimed by nobody: a crash would
    /// bind it to another transaction.
    pub(crate) fn own_progress(&self) -> Progress {
        let durable = self.log.durable().clone();
        let applied = self.log.applied().iter().map(|dot| Dot::new(*dot.actor, dot.counter));
        let mut received: VersionVector = applied.filter(|dot| dot.actor != self.me).collect();
        crate::join(&mut received, &durable);
        Progress { received, visible: durable.clone(), durable, epoch: self.roster.epoch }
    }

    pub(crate) fn alarm(&mut self, what: String) {
        self.out.push(Effect::Alarm { what });
    }

    pub(crate) fn take(&mut self) -> Vec<Effect<P>> {
        std::mem::take(&mut self.out)
    }
}

impl<P> fmt::Debug for Replication<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replication")
            .field("me", &self.me)
            .field("applied", self.log.applied())
            .field("durable", self.log.durable())
            .field("streams", &self.streams.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
