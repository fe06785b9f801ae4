//! Who belongs to the cluster and who knows: the control plane as the hosts reach it.
//!
//! **Invariants.** Only who reaches more than half of the voting writers changes anything, and only
//! who reaches such a one hears of it.
//!
//! **Must not know:** the rules; `node::control` has them.

use crdt::dominates;
use identity::Whose;
use node::{Input, Node, NodeState, Role};

use crate::{
    disk::Disk,
    plan::HOSTS_MAX,
    world::{Event, World},
};

impl World {
    pub(crate) fn join(&mut self, role: Role) {
        let Some(leader) = self.leader().filter(|_| self.hosts.len() < HOSTS_MAX) else { return };
        self.counts.joined += 1;
        let id = self.authority.join(role);
        self.add_host(id, role);
        self.tell_control(leader, self.authority.count() - 1);
    }

    pub(crate) fn remove(&mut self, at: usize) {
        let Some(leader) = self.leader().filter(|leader| *leader != at) else { return };
        self.counts.removed += 1;
        self.authority.remove(self.hosts[at].id);
        self.tell_control(leader, self.authority.count() - 1);
    }

    /// A machine is gone for good, unless the control plane would keep its node: what is down for
    /// ever and a member keeps the others from coming to rest.
    pub(crate) fn destroy(&mut self, at: usize) {
        self.remove(at);
        let entry = self.authority.newest().node(self.hosts[at].id);
        if entry.is_some_and(|entry| entry.state == NodeState::Removed) {
            self.crash(at, 0, 1);
            self.hosts[at].retired = true;
            self.hosts[at].disk = Disk::new();
        }
    }

    /// The writer that the control plane's majority would follow: it reaches more than half of the
    /// writers that vote.
    fn leader(&self) -> Option<usize> {
        let newest = self.authority.newest();
        let voters: Vec<usize> = (0..self.hosts.len())
            .filter(|at| newest.writers().any(|entry| entry.node == self.hosts[*at].id))
            .collect();
        voters.iter().copied().find(|leader| {
            let reached = voters.iter().filter(|voter| self.can_talk(*leader, **voter)).count();
            self.hosts[*leader].node.is_some() && reached > voters.len() / 2
        })
    }

    /// What a node has from the control plane: its newest state, and where it stands.
    pub(crate) fn sync(&mut self, at: usize) {
        if self.hosts[at].node.is_none() || self.hosts[at].retired {
            return;
        }
        if let Some(leader) = self.leader().filter(|leader| self.can_talk(*leader, at)) {
            let newest = self.authority.count() - 1;
            let own = self.authority.newest().node(self.hosts[at].id);
            let removed = own.is_some_and(|own| own.state == NodeState::Removed);
            // Raft stops sending to a member that it removes; whether the last entry came is luck.
            if self.hosts[at].version < newest && (!removed || self.rng.percent(10)) {
                self.tell_control(at, newest);
            }
            self.propose_names(at, Whose::Of(self.hosts[at].id));
            if leader == at {
                self.activate(at);
                self.advance_barrier(at);
                if self.rng.percent(30) {
                    self.propose_names(at, Whose::Anybodys);
                }
            }
        }
        self.ask_standing(at);
        self.care_for_log(at);
    }

    /// As the server does, once what it has read is durable. What a node proposes may be late, and
    /// come twice.
    fn propose_names(&mut self, at: usize, whose: Whose) {
        let Some(node) = &self.hosts[at].node else { return };
        if node.applied_lsn() > node.durable_lsn() {
            return;
        }
        let Some(claim) = node.name_proposal(whose) else { return };
        let copies = if self.rng.percent(10) { 2 } else { 1 };
        for _ in 0..copies {
            let late = if self.rng.percent(20) { 5_000 } else { 100 };
            let after_ms = self.rng.below(late);
            self.later(after_ms, Event::Claim(claim.clone()));
        }
    }

    /// As the server does: whom there is no stream with is asked.
    fn ask_standing(&mut self, at: usize) {
        let (id, host) = (self.hosts[at].id, &self.hosts[at]);
        let says_removed = |member: usize| {
            let known =
                host.node.as_ref().and_then(|node| node.control().node(self.hosts[member].id));
            let writer = known.is_some_and(|entry| entry.role == Role::Writer);
            let theirs = self.hosts[member].node.as_ref().and_then(|node| node.control().node(id));
            let removed = theirs.is_some_and(|entry| entry.state == NodeState::Removed);
            writer && removed && !host.streams.contains_key(&member) && self.can_talk(at, member)
        };
        if let Some(by) = (0..self.hosts.len()).find(|member| says_removed(*member)) {
            let by = self.hosts[by].id;
            self.handle(at, Input::Removed { by });
        }
    }

    /// As the server's leader does: who is joining and has caught up becomes active.
    fn activate(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let host = &mut self.hosts[at];
        let clock = host.clock(now_ms);
        let Some(node) = &host.node else { return };
        let status = node.status(clock);
        let joining = status.into_iter().filter(|node| node.entry.state == NodeState::Joining);
        let mut ready = Vec::new();
        for status in joining {
            let id = status.entry.node;
            let target = host.targets.entry(id).or_insert_with(|| node.vector().clone());
            if status.connected && dominates(&status.visible, target) {
                ready.push(id);
            }
        }
        for id in &ready {
            self.authority.activate(*id);
        }
        if !ready.is_empty() {
            self.tell_control(at, self.authority.count() - 1);
        }
    }

    /// As the server's leader does: what all members have is agreed on.
    fn advance_barrier(&mut self, at: usize) {
        let Some(advance) = self.hosts[at].node.as_ref().and_then(Node::barrier_to_propose) else {
            return;
        };
        self.counts.barriers += u64::from(self.authority.advance(advance));
        self.tell_control(at, self.authority.count() - 1);
    }

    pub(crate) fn tell_control(&mut self, at: usize, version: usize) {
        if self.hosts[at].node.is_none() {
            return;
        }
        self.hosts[at].version = version;
        let state = Box::new(self.authority.version(version));
        let writer = self.hosts[at].role == Role::Writer;
        let data_keys = if writer { vec![(1, [3; 32])] } else { Vec::new() };
        self.handle(at, Input::Control { state, data_keys });
    }
}
