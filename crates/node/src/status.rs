//! What a node knows of the others.
//!
//! **Must not know:** who asks.

use crdt::{NodeId, VersionVector};
use model::Timestamp;
use replication::DigestState;

use crate::{Node, Role, control::RosterEntry};

/// A member as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its entry.
    pub entry: RosterEntry,
    /// Whether a stream to it is open.
    pub connected: bool,
    /// What it is known to answer from.
    pub visible: VersionVector,
    /// What is known to be on its disk.
    pub durable: VersionVector,
    /// Milliseconds since anything was heard of it, directly or by relay; since this node's start
    /// if nothing was.
    pub heard_ms: u64,
    /// Durable transactions of this node that it is not known to answer from.
    pub lag: u64,
    /// Whether its state was found equal to this node's.
    pub digest: DigestState,
}

impl Node {
    /// All members that ever were, by id.
    pub fn status(&self, now: Timestamp) -> Vec<NodeStatus> {
        let status = |entry: &RosterEntry| {
            let peer = self.replication.peer_status(entry.node);
            NodeStatus {
                entry: entry.clone(),
                connected: peer.connected,
                lag: crdt::lag(self.replication.durable(), &peer.progress.visible),
                visible: peer.progress.visible,
                durable: peer.progress.durable,
                heard_ms: self.heard_ms(entry.node, now),
                digest: peer.digest,
            }
        };
        self.control.roster().values().map(status).collect()
    }

    /// Whether this node has all that it knows any writer to have, and hears of each of them: what
    /// it does not find then, no writer wrote, but for what was written since they last told.
    pub fn is_level(&self) -> bool {
        let own = self.replication.durable();
        self.control.writers().filter(|entry| entry.node != self.me).all(|entry| {
            let peer = self.replication.peer_status(entry.node);
            let told = own.is_empty() || !peer.progress.durable.is_empty();
            peer.connected && told && crdt::dominates(own, &peer.progress.durable)
        })
    }

    /// Milliseconds since this node last heard of each writer; the greatest. 0 at a writer alone.
    pub fn staleness_ms(&self, now: Timestamp) -> u64 {
        let writers = self.control.writers().filter(|entry| entry.node != self.me);
        let heard = writers.map(|entry| self.heard_ms(entry.node, now));
        let unknown = self.control.cluster_id().is_empty() || self.role == Role::Replica;
        let floor = if unknown && self.control.writers().next().is_none() {
            self.since_start_ms(now)
        } else {
            0
        };
        heard.max().unwrap_or(floor)
    }

    fn heard_ms(&self, node: NodeId, now: Timestamp) -> u64 {
        if node == self.me {
            return 0;
        }
        match self.replication.peer_status(node).heard_ms {
            Some(heard) => now.since_ms(Timestamp::from_ms(heard)),
            None => self.since_start_ms(now),
        }
    }

    fn since_start_ms(&self, now: Timestamp) -> u64 {
        self.first_input.map_or(0, |first| now.since_ms(first))
    }
}
