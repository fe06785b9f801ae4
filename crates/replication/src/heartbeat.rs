//! Heartbeats: who has what, whether states agree, and when to say so.
//!
//! **Invariants.** Nobody but this node knows what this node has: what others say of it is ignored.
//! What a connected peer says of itself counts, even if it is less than before; others are believed
//! about a node only while there is no stream to it.
//! A change that a peer cannot hear of directly is sent at once, then coalesced; a full table goes
//! out when idle too.
//!
//! **Must not know:** what a digest is made of.

use std::collections::{BTreeMap, VecDeque};

use crdt::{dominates, lag};

use crate::{Digest, Effect, Frame, Heartbeat, NodeId, Progress, Replication};

/// The least time between two heartbeats on a stream.
pub const HEARTBEAT_COALESCE_MS: u64 = 5;
/// The time after which a heartbeat is sent though nothing has changed.
pub const HEARTBEAT_IDLE_MS: u64 = 200;
/// How many of this node's own digests are kept for peers that are a little behind.
const DIGESTS_KEPT: usize = 8;

/// Whether two nodes that have the same hold the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestState {
    /// They were never seen at the same version vector.
    #[default]
    Unknown,
    /// When last at the same version vector they had equal states.
    Equal,
    /// When last at the same version vector their states differed.
    Different,
}

#[derive(Debug, Default)]
pub(crate) struct Digests {
    own: VecDeque<Digest>,
    peers: BTreeMap<NodeId, (Digest, DigestState)>,
    states: BTreeMap<NodeId, DigestState>,
}

impl Digests {
    pub(crate) fn state(&self, node: NodeId) -> DigestState {
        self.states.get(&node).copied().unwrap_or_default()
    }
}

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
        let digest = self.digests.own.back().cloned();
        let heartbeat = Heartbeat { progress, digest, hlc: self.hlc };
        self.send(peer, Frame::Heartbeat(heartbeat));
        if let Some(stream) = self.streams.get_mut(&peer) {
            stream.beat_ms = self.now_ms;
            stream.dirty = false;
        }
    }

    pub(crate) fn own_digest(&mut self, digest: Digest) {
        if self.digests.own.back() == Some(&digest) {
            return;
        }
        if self.digests.own.len() >= DIGESTS_KEPT {
            self.digests.own.pop_front();
        }
        self.digests.own.push_back(digest);
        for peer in self.digests.peers.keys().copied().collect::<Vec<_>>() {
            self.compare_digests(peer);
        }
    }

    fn peer_digest(&mut self, peer: NodeId, digest: Digest) {
        let known = self.digests.peers.get(&peer);
        if known.is_none_or(|(known, _)| *known != digest) {
            self.digests.peers.insert(peer, (digest, DigestState::Unknown));
            self.compare_digests(peer);
        }
    }

    fn compare_digests(&mut self, peer: NodeId) {
        let Digests { own, peers, states } = &mut self.digests;
        let Some((theirs, verdict)) = peers.get_mut(&peer) else { return };
        let Some(ours) = own.iter().rev().find(|ours| ours.is_of_the_state_of(theirs)) else {
            return;
        };
        let found =
            if ours.total == theirs.total { DigestState::Equal } else { DigestState::Different };
        if std::mem::replace(verdict, found) == found {
            return;
        }
        let before = states.insert(peer, found);
        if found == DigestState::Different && before != Some(found) {
            let what = format!("divergence: node {peer} holds another state at {}", theirs.at);
            self.out.push(Effect::Alarm { what });
        }
    }
}
