//! Heartbeats: who has what, and when to say so.
//!
//! **Invariants.** Nobody but this node knows what this node has: what others say of it is ignored.
//! What a connected peer says of itself counts, even if it is less than before; others are believed
//! about a node only while there is no stream to it.
//! A change that a peer cannot hear of directly is sent at once, then coalesced; a full table goes
//! out when idle too.
//!
//! **Must not know:** what a digest is made of.

use crdt::{dominates, lag};

use crate::{Frame, Heartbeat, NodeId, Progress, Replication};

/// The least time between two heartbeats on a stream.
pub const HEARTBEAT_COALESCE_MS: u64 = 5;
/// The time after which a heartbeat is sent though nothing has changed.
pub const HEARTBEAT_IDLE_MS: u64 = 200;

impl<P> Replication<P> {
    pub(crate) fn heartbeat(&mut self, peer: NodeId, heartbeat: Heartbeat) {
        let Heartbeat { progress, digest, hlc: _ } = heartbeat;
        let own = self.log.applied().get(&self.me);
        if progress.iter().any(|(_, progress)| progress.durable.get(&self.me) > own) {
            self.cut_off = true;
            return self.refuse_peer(
                peer,
                "it tells of transactions of this node that this node does not have: its log was \
                 cut off, and it must join as a new node",
            );
        }
        let mut changed = Vec::new();
        for (node, progress) in progress {
            if node == peer
                && let Some(stream) = self.streams.get_mut(&peer)
            {
                // Not before it is durable there: what waits for its disk is in its memory.
                stream.sender.acknowledge(&progress.durable);
            }
            if node == peer {
                self.peer_went_back(peer, &progress);
            } else if self.is_open(node) {
                continue;
            }
            if node != self.me && self.roster.members.contains_key(&node) {
                let known = self.progress.entry(node).or_default();
                let merged = known.merge(&progress);
                if node == peer {
                    // It may have lost what was in its memory only.
                    known.received.clone_from(&progress.received);
                }
                if merged {
                    self.links.entry(node).or_default().heard_ms = Some(self.now_ms);
                    changed.push(node);
                }
            }
        }
        if let Some(digest) = digest {
            self.peer_digest(peer, digest);
        }
        self.pump(peer);
        if changed.is_empty() {
            return;
        }
        for (to, stream) in &mut self.streams {
            // Who hears of a node directly need not hear of it again from here.
            stream.dirty |=
                changed.iter().any(|node| node != to && !stream.sender.peer_hears(*node));
        }
        self.send_due_heartbeats();
        self.check_waits();
    }

    /// A peer that has less on its disk than it said before has lost data: it is believed, so that
    /// no wait counts on what is gone, and someone must look.
    fn peer_went_back(&mut self, peer: NodeId, progress: &Progress) {
        let link = self.links.entry(peer).or_default();
        let before = link.told_durable.replace(progress.durable.clone());
        let Some(before) = before.filter(|before| !dominates(&progress.durable, before)) else {
            return;
        };
        let lost = lag(&before, &progress.durable);
        if let Some(known) = self.progress.get_mut(&peer) {
            known.clone_from(progress);
        }
        self.alarm(format!(
            "node {peer} has lost {lost} transactions that it had said were on its disk"
        ));
    }

    pub(crate) fn own_progress_changed(&mut self) {
        for stream in self.streams.values_mut() {
            stream.dirty = true;
        }
        self.send_due_heartbeats();
    }

    pub(crate) fn send_due_heartbeats(&mut self) {
        let due = self.streams.iter().filter(|(_, stream)| stream.due_ms() <= self.now_ms);
        for peer in due.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.send_heartbeat(peer);
        }
    }

    pub(crate) fn send_heartbeat(&mut self, peer: NodeId) {
        if !self.is_open(peer) {
            // The `Hello` or the roster that opens it is followed by a heartbeat.
            if let Some(stream) = self.streams.get_mut(&peer) {
                stream.beat_ms = self.now_ms;
                stream.dirty = false;
            }
            return;
        }
        let mut progress: Vec<(NodeId, Progress)> =
            self.progress.iter().map(|(node, progress)| (*node, progress.clone())).collect();
        progress.push((self.me, self.own_progress()));
        let digest = self.digests.newest().cloned();
        let heartbeat = Heartbeat { progress, digest, hlc: self.hlc };
        self.send(peer, Frame::Heartbeat(heartbeat));
        if let Some(stream) = self.streams.get_mut(&peer) {
            stream.beat_ms = self.now_ms;
            stream.dirty = false;
        }
    }
}
