//! What nodes say to each other on a stream, in this crate's own types.
//!
//! **Invariants.** The frames of one stream arrive in the order in which they were sent, or the
//! stream is closed; nothing here survives the stream.
//!
//! **Must not know:** how a frame is encoded, what a payload means.

use std::{collections::BTreeSet, sync::Arc};

use crdt::{Dot, VersionVector};

use crate::{NodeId, join};

/// A transaction in transit: its name, its causal past, its bytes as its origin made them, and what
/// the receiving side decoded them to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<P> {
    /// Its name.
    pub dot: Dot,
    /// What must be applied before it.
    pub deps: VersionVector,
    /// Stored and forwarded as they are.
    pub bytes: Arc<[u8]>,
    /// The decoded form.
    pub payload: P,
}

/// One message on a stream. `T` is what a batch consists of: bytes when sent, [`Item`]s when
/// received and decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<T> {
    /// The first frame of each side, and again when the sender's roster changed.
    Hello(Hello),
    /// What the sender of this frame wants to be sent from here on.
    Subscribe(Subscribe),
    /// Transactions in an order that respects causality.
    Batch(Vec<T>),
    /// What is known of everybody's progress.
    Heartbeat(Heartbeat),
    /// The log does not hold what the subscriber lacks; this snapshot does.
    Offer(Snapshot),
    /// A request for a piece of a snapshot.
    Fetch(Fetch),
    /// A piece of a snapshot.
    Piece(Piece),
    /// A request for the slots in which the receiver differs from the sender.
    Compare(Compare),
    /// Slots of the sender's.
    Part(Part),
}

/// A request for slots, in the buckets in which two nodes differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The asking node's bucket sums, encoded.
    pub sums: Arc<[u8]>,
    /// The slots behind this key; from the first one on if there is none.
    pub after: Option<Box<[u8]>>,
}

/// Slots of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the node had applied.
    pub at: VersionVector,
    /// The slots, encoded.
    pub bytes: Arc<[u8]>,
}

/// A snapshot of a node's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The SHA-256 of its bytes, which names it.
    pub hash: [u8; 32],
    /// Its length.
    pub bytes: u64,
}

/// A request for a piece of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Of which.
    pub hash: [u8; 32],
    /// From where.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

/// A piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Of which.
    pub hash: [u8; 32],
    /// From where.
    pub offset: u64,
    /// As many as were asked for; none if the snapshot is gone.
    pub bytes: Arc<[u8]>,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The cluster the sender belongs to.
    pub cluster_id: String,
    /// The sender.
    pub node: NodeId,
    /// The epoch of the roster that the sender has.
    pub epoch: u64,
}

/// A request for all transactions beyond `have` of all origins but `exclude`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// What the subscriber has received.
    pub have: VersionVector,
    /// Origins whose transactions it gets from them directly.
    pub exclude: BTreeSet<NodeId>,
    /// Grows with each `Subscribe` on a stream, so that an older one is never followed.
    pub generation: u64,
}

/// The sender's progress table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// By node, the sender included.
    pub progress: Vec<(NodeId, Progress)>,
    /// The sender's digest at some durable state of it.
    pub digest: Option<Digest>,
    /// The sender's hybrid logical clock, as bits.
    pub hlc: u64,
}

/// What a node has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// In memory: a crash may lose it.
    pub received: VersionVector,
    /// On its disk.
    pub durable: VersionVector,
    /// In every answer it gives from here on.
    pub visible: VersionVector,
    /// The epoch of the roster it had when it had so much.
    pub epoch: u64,
}

impl Progress {
    /// Takes the greater of each; whether that changed anything.
    pub fn merge(&mut self, other: &Self) -> bool {
        let Self { received, durable, visible, epoch } = other;
        let mut changed = *epoch > self.epoch;
        self.epoch = self.epoch.max(*epoch);
        for (mine, theirs) in [
            (&mut self.received, received),
            (&mut self.durable, durable),
            (&mut self.visible, visible),
        ] {
            if !crdt::dominates(mine, theirs) {
                join(mine, theirs);
                changed = true;
            }
        }
        changed
    }
}

/// The digest of a state, and which state that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// What had been applied.
    pub at: VersionVector,
    /// The number of the barrier that it was collected by.
    pub collected: u64,
    /// `crdt::Digest::total` of the state.
    pub total: [u8; 16],
}

impl Digest {
    /// Whether two digests must be equal: the same was applied, and the same forgotten.
    pub(crate) fn is_of_the_state_of(&self, other: &Self) -> bool {
        let Self { at, collected, total: _ } = self;
        (at, collected) == (&other.at, &other.collected)
    }
}
