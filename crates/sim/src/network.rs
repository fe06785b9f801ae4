//! Streams between hosts: who dials whom, what is under way, and what is cut.
//!
//! **Invariants.** What is sent on a stream arrives in order or not at all, as on the real one, but
//! for batches that a plan doubles or delays. What is under way when a direction is cut arrives
//! after it is mended, if its stream still lives.
//!
//! **Must not know:** what frames say, but for which of them are batches.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crdt::NodeId;
use node::{Input, NodeState, Role};
use wire::v1;

use crate::{
    fact::Fact,
    world::{Event, World},
};

/// How long a host takes to notice that a peer that cannot be heard has hung up.
const UNHEARD_MS: u64 = 20_000;

/// One direction between two hosts.
#[derive(Default)]
struct Way {
    /// When each frame arrives, and on which stream.
    under_way: VecDeque<(u64, u64, v1::Frame)>,
    cut: bool,
    double: bool,
    delay_ms: Option<u64>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Network {
    ways: BTreeMap<(usize, usize), Way>,
    sessions: u64,
}

impl Network {
    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.ways.get(&(from, to)).is_some_and(|way| way.cut)
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.ways.entry((from, to)).or_default().cut = true;
    }

    pub(crate) fn double(&mut self, from: usize, to: usize) {
        self.ways.entry((from, to)).or_default().double = true;
    }

    pub(crate) fn delay(&mut self, from: usize, to: usize, by_ms: u64) {
        self.ways.entry((from, to)).or_default().delay_ms = Some(by_ms);
    }
}

impl World {
    /// No cut is left; what was under way arrives.
    pub(crate) fn mend(&mut self) {
        let mut mended = BTreeSet::new();
        for (pair, way) in &mut self.network.ways {
            if std::mem::take(&mut way.cut) {
                mended.insert(*pair);
            }
        }
        for (from, to) in mended {
            self.later(1, Event::Deliver { from, to });
        }
    }

    /// Opens the streams that a host has to dial, as far as it can: of two writers the lower
    /// dials, a replica dials writers.
    pub(crate) fn dial(&mut self, at: usize) {
        let host = &self.hosts[at];
        let Some(node) = host.node.as_ref().filter(|node| node.fenced().is_none()) else { return };
        let writers = node.control().present().filter(|entry| entry.role == Role::Writer);
        let mine = writers.filter(|entry| match host.role {
            Role::Writer => host.id < entry.node,
            Role::Replica => host.id != entry.node,
        });
        let wanted: Vec<usize> = mine.map(|entry| index(entry.node)).collect();
        for peer in wanted {
            if peer >= self.hosts.len() || self.hosts[at].streams.contains_key(&peer) {
                continue;
            }
            let theirs = self.hosts[peer].node.as_ref().map(node::Node::control);
            let known = theirs.and_then(|control| control.node(self.hosts[at].id));
            let taken = known.is_some_and(|entry| entry.state != NodeState::Removed);
            if taken && self.can_talk(at, peer) {
                self.connect(at, peer);
            }
        }
    }

    fn connect(&mut self, dialer: usize, taker: usize) {
        self.network.sessions += 1;
        let session = self.network.sessions;
        let opens = || format!("host {dialer} opens stream {session} to host {taker}");
        self.history.note(self.now_ms, opens);
        for (at, peer) in [(taker, dialer), (dialer, taker)] {
            self.hosts[at].streams.insert(peer, session);
        }
        for (at, peer) in [(taker, dialer), (dialer, taker)] {
            let peer = self.hosts[peer].id;
            self.handle(at, Input::PeerUp { peer, session });
        }
    }

    pub(crate) fn send(&mut self, from: usize, peer: NodeId, session: u64, frame: v1::Frame) {
        let to = index(peer);
        self.tell(&Fact::Sent { from, to, session, frame: &frame });
        if self.hosts[from].streams.get(&to) != Some(&session) {
            return;
        }
        let way = self.network.ways.entry((from, to)).or_default();
        if matches!(frame.frame, Some(v1::frame::Frame::Batch(_))) {
            if let Some(by_ms) = way.delay_ms.take() {
                return self.later(by_ms, Event::Late { from, to, session, frame });
            }
            if std::mem::take(&mut way.double) {
                self.post(from, to, session, frame.clone());
            }
        }
        self.post(from, to, session, frame);
    }

    /// Puts a frame on its way.
    pub(crate) fn post(&mut self, from: usize, to: usize, session: u64, frame: v1::Frame) {
        let (least, most) = self.setting.delay_ms;
        let arrives_ms = self.now_ms + self.rng.between(least, most);
        let way = self.network.ways.entry((from, to)).or_default();
        let before_ms = way.under_way.back().map_or(0, |(arrives_ms, ..)| *arrives_ms);
        let arrives_ms = arrives_ms.max(before_ms);
        way.under_way.push_back((arrives_ms, session, frame));
        self.later(arrives_ms - self.now_ms, Event::Deliver { from, to });
    }

    pub(crate) fn deliver(&mut self, from: usize, to: usize) {
        loop {
            let now_ms = self.now_ms;
            let way = self.network.ways.entry((from, to)).or_default();
            let due = way.under_way.front().is_some_and(|(arrives_ms, ..)| *arrives_ms <= now_ms);
            if way.cut || !due {
                return;
            }
            let Some((_, session, frame)) = way.under_way.pop_front() else { return };
            if self.hosts[to].streams.get(&from) != Some(&session) {
                continue;
            }
            self.tell(&Fact::Delivered { from, to, session, frame: &frame });
            let peer = self.hosts[from].id;
            self.handle(to, Input::PeerFrame { peer, session, frame });
        }
    }

    /// A host's end of a stream is closed; the other end hears of it.
    pub(crate) fn close(&mut self, at: usize, peer: NodeId, session: u64) {
        let peer = index(peer);
        if self.hosts[at].streams.get(&peer) == Some(&session) {
            let closes = || format!("host {at} closes stream {session} to host {peer}");
            self.history.note(self.now_ms, closes);
            self.hosts[at].streams.remove(&peer);
            self.hang_up(at, peer, session);
        }
    }

    /// The host at the other end is told, once it can hear it.
    pub(crate) fn hang_up(&mut self, at: usize, peer: usize, session: u64) {
        let unheard_ms = if self.network.is_cut(at, peer) { UNHEARD_MS } else { 0 };
        let after_ms = unheard_ms + self.rng.between(1, self.setting.delay_ms.1.max(1));
        self.later(after_ms, Event::Down { at: peer, peer: at, session });
    }

    pub(crate) fn down(&mut self, at: usize, peer: usize, session: u64) {
        if self.hosts[at].streams.get(&peer) == Some(&session) {
            let loses = || format!("host {at} loses stream {session} to host {peer}");
            self.history.note(self.now_ms, loses);
            self.hosts[at].streams.remove(&peer);
            let peer = self.hosts[peer].id;
            self.handle(at, Input::PeerDown { peer, session });
        }
    }

    /// The stream between two hosts breaks: what is under way is lost.
    pub(crate) fn break_stream(&mut self, a: usize, b: usize) {
        let Some(session) = self.hosts[a].streams.get(&b).copied() else { return };
        for (from, to) in [(a, b), (b, a)] {
            let way = self.network.ways.entry((from, to)).or_default();
            way.under_way.retain(|(_, of, _)| *of != session);
            let after_ms = self.rng.between(1, 500);
            self.later(after_ms, Event::Down { at: to, peer: from, session });
        }
    }
}

/// Ids are given one after the other, and so are hosts.
fn index(node: NodeId) -> usize {
    (node.0 as usize).saturating_sub(1)
}
