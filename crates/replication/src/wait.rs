//! Waits: has everybody of a scope reached a token?
//!
//! **Rules for a roster that changes.** A wait is *settled* by the first roster that is no older
//! than any that a connected peer has told of: from then on it is about that roster's nodes. It
//! says yes only at such a roster, too, and only if the scope holds for both, the one that it was
//! settled by and the newest. Therefore
//! - who is *removed* during a wait stays in it: it counts if it is known to have been there; if
//!   the scope cannot be had without it the wait ends, as one that cannot be;
//! - who *joins* during a wait, or begins to serve, belongs to it from then on;
//! - a quorum is one of the writers that were asked for, and one of those that there are.
//!
//! **Invariants.** A node counts as there only by its own word, relayed or not. None is skipped
//! silently. Every wait ends at its deadline.
//!
//! **Must not know:** what a token looks like, what the transactions are.

use std::collections::{BTreeMap, BTreeSet};

use crdt::{VersionVector, dominates, lag};

use crate::{Effect, MemberState, NodeId, Progress, Replication, Scope, scope::Group};

/// Waits at a time, at most.
pub const WAITS_MAX: usize = 10_000;
/// The least time between two reports in which only numbers differ.
const REPORT_MS: u64 = 200;

/// What a node must have done with the transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has them in memory.
    Received,
    /// They are on its disk.
    Durable,
    /// Every answer of it takes them into account.
    Visible,
    /// All members agree that every one of them has them on its disk, and had them before it made
    /// whatever comes.
    Stable,
}

/// A wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitRequest {
    /// What must be reached.
    pub token: VersionVector,
    /// By whom.
    pub scope: Scope,
    /// How far.
    pub stage: Stage,
    /// When to give up, in milliseconds.
    pub deadline_ms: u64,
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of the scope are there.
    Propagated,
    /// The deadline passed.
    TimedOut {
        /// Who is not there, and why.
        missing: Vec<NodeWait>,
    },
    /// It cannot be.
    Unsatisfiable {
        /// Why.
        reason: String,
    },
}

/// One node of a wait's scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeWait {
    /// The node.
    pub node: NodeId,
    /// Whether it is there.
    pub reached: bool,
    /// How many transactions it is not known to have at the stage.
    pub lag: u64,
    /// Why it is not there; empty if it is.
    pub why: String,
}

#[derive(Debug, Default)]
pub(crate) struct Waits(BTreeMap<u64, Wait>);

#[derive(Debug)]
struct Wait {
    request: WaitRequest,
    /// Whom it is about, once this node's roster was seen to be the newest.
    settled: Option<Settled>,
    shown: Vec<NodeWait>,
    shown_ms: u64,
}

impl Waits {
    pub(crate) fn first_deadline_ms(&self) -> Option<u64> {
        self.0.values().map(|wait| wait.request.deadline_ms).min()
    }
}

#[derive(Debug)]
enum Settled {
    /// Nobody, or not everybody who was named, was a member.
    Never(String),
    Groups {
        /// Of the roster that settled it.
        first: Vec<Group>,
        /// Of the newest roster, which is of this epoch.
        newest: Vec<Group>,
        epoch: u64,
    },
}

enum Standing {
    There,
    NotYet {
        /// All of the scope.
        nodes: Vec<NodeWait>,
        /// Those who could still make it so.
        missing: Vec<NodeWait>,
    },
    Never(String),
}

impl<P> Replication<P> {
    /// Begins a wait; [`Effect::WaitOutcome`] ends it. A ticket in use is replaced.
    pub fn wait(&mut self, now_ms: u64, ticket: u64, request: WaitRequest) -> Vec<Effect<P>> {
        self.now_ms = now_ms;
        if self.waits.0.len() >= WAITS_MAX && !self.waits.0.contains_key(&ticket) {
            let reason = format!("{WAITS_MAX} waits are under way at this node");
            let outcome = Outcome::Unsatisfiable { reason };
            self.out.push(Effect::WaitOutcome { ticket, outcome });
            return self.take();
        }
        self.waits
            .0
            .insert(ticket, Wait { request, settled: None, shown: Vec::new(), shown_ms: now_ms });
        self.check_wait(ticket);
        self.take()
    }

    /// Nobody wants to know any more.
    pub fn cancel_wait(&mut self, ticket: u64) {
        self.waits.0.remove(&ticket);
    }

    pub(crate) fn check_waits(&mut self) {
        for ticket in self.waits.0.keys().copied().collect::<Vec<_>>() {
            self.check_wait(ticket);
        }
    }

    fn check_wait(&mut self, ticket: u64) {
        self.settle(ticket);
        let Some(wait) = self.waits.0.get(&ticket) else { return };
        let late = self.now_ms >= wait.request.deadline_ms;
        let outcome = match self.standing(wait) {
            Standing::There => Outcome::Propagated,
            Standing::Never(reason) => Outcome::Unsatisfiable { reason },
            Standing::NotYet { missing, .. } if late => Outcome::TimedOut { missing },
            Standing::NotYet { nodes, .. } => return self.report(ticket, nodes),
        };
        self.waits.0.remove(&ticket);
        self.out.push(Effect::WaitOutcome { ticket, outcome });
    }

    fn report(&mut self, ticket: u64, nodes: Vec<NodeWait>) {
        let now_ms = self.now_ms;
        let Some(wait) = self.waits.0.get_mut(&ticket) else { return };
        let who = |nodes: &[NodeWait]| -> Vec<(NodeId, bool)> {
            nodes.iter().map(|node| (node.node, node.reached)).collect()
        };
        let due = now_ms.saturating_sub(wait.shown_ms) >= REPORT_MS && wait.shown != nodes;
        if due || who(&wait.shown) != who(&nodes) {
            wait.shown.clone_from(&nodes);
            wait.shown_ms = now_ms;
            self.out.push(Effect::WaitProgress { ticket, nodes });
        }
    }

    /// Settles whom a wait is about, unless a peer has told of a newer roster than this node's: a
    /// member that this node does not know yet must not be left out.
    fn settle(&mut self, ticket: u64) {
        if self.newer_roster().is_some() {
            return;
        }
        let (roster, waits) = (&self.roster, &mut self.waits.0);
        let Some(Wait { request, settled, .. }) = waits.get_mut(&ticket) else { return };
        match settled {
            None => {
                *settled = Some(match request.scope.nobody(roster) {
                    Some(reason) => Settled::Never(reason),
                    None => {
                        let first = request.scope.groups(roster);
                        Settled::Groups { newest: first.clone(), first, epoch: roster.epoch }
                    }
                });
            }
            Some(Settled::Groups { newest, epoch, .. }) if *epoch != roster.epoch => {
                *newest = request.scope.groups(roster);
                *epoch = roster.epoch;
            }
            Some(Settled::Groups { .. } | Settled::Never(_)) => {}
        }
    }

    /// Who has told of a newer roster than this node's, and its epoch.
    fn newer_roster(&self) -> Option<(NodeId, u64)> {
        let told = self.streams.iter().filter_map(|(peer, stream)| Some((*peer, stream.epoch?)));
        told.filter(|(_, epoch)| *epoch > self.roster.epoch).max_by_key(|(_, epoch)| *epoch)
    }

    fn standing(&self, wait: &Wait) -> Standing {
        let request = &wait.request;
        let (first, newest) = match &wait.settled {
            Some(Settled::Never(reason)) => return Standing::Never(reason.clone()),
            Some(Settled::Groups { first, newest, .. }) if self.newer_roster().is_none() => {
                (first, newest)
            }
            Some(Settled::Groups { .. }) | None => return self.unsettled(request),
        };
        let everybody: BTreeSet<NodeId> =
            first.iter().chain(newest).flat_map(|group| group.nodes.iter().copied()).collect();
        let nodes: Vec<_> = everybody.iter().map(|node| self.node_wait(*node, request)).collect();
        let reached: BTreeSet<NodeId> =
            nodes.iter().filter(|node| node.reached).map(|node| node.node).collect();
        let mut awaited = BTreeSet::<NodeId>::new();
        for Group { nodes, needed } in first.iter().chain(newest) {
            let there = nodes.iter().filter(|node| reached.contains(node)).count();
            if there >= *needed {
                continue;
            }
            let absent = || nodes.iter().filter(|node| !reached.contains(node));
            let gone: Vec<_> = absent().filter(|node| !self.roster.has(**node)).collect();
            if nodes.len() - gone.len() < *needed {
                let names: Vec<String> = gone.iter().map(|node| format!("node {node}")).collect();
                let reason = format!("removed before it had the change: {}", names.join(", "));
                return Standing::Never(reason);
            }
            awaited.extend(absent());
        }
        if awaited.is_empty() {
            return Standing::There;
        }
        let missing = nodes.iter().filter(|node| awaited.contains(&node.node)).cloned().collect();
        Standing::NotYet { nodes, missing }
    }

    /// What is told while this node's roster is not the newest: itself, as the one to wait for.
    fn unsettled(&self, request: &WaitRequest) -> Standing {
        let groups = request.scope.groups(&self.roster);
        let known: BTreeSet<NodeId> = groups.into_iter().flat_map(|group| group.nodes).collect();
        let known = known.into_iter().filter(|node| *node != self.me);
        let mut nodes: Vec<_> = known.map(|node| self.node_wait(node, request)).collect();
        let why = self.newer_roster().map_or_else(String::new, |(peer, epoch)| {
            format!(
                "its roster, of epoch {}, is older than node {peer}'s, of epoch {epoch}",
                self.roster.epoch
            )
        });
        nodes.push(NodeWait { node: self.me, reached: false, lag: 0, why });
        let missing = nodes.iter().filter(|node| !node.reached).cloned().collect();
        Standing::NotYet { nodes, missing }
    }

    fn node_wait(&self, node: NodeId, request: &WaitRequest) -> NodeWait {
        let Progress { received, durable, visible, epoch: _ } = self.progress_of(node);
        let (has, agreed) = match request.stage {
            Stage::Received => (received, true),
            Stage::Durable => (durable, true),
            Stage::Visible => (visible, true),
            Stage::Stable => (durable, dominates(&self.stable, &request.token)),
        };
        if agreed && dominates(&has, &request.token) {
            return NodeWait { node, reached: true, lag: 0, why: String::new() };
        }
        let lag = lag(&request.token, &has);
        let mut why = match lag {
            0 => "not agreed to be at every member".to_owned(),
            _ => self.why_behind(node, lag),
        };
        if request.scope == Scope::Regions
            && let Some(member) = self.roster.members.get(&node)
        {
            why = format!("of region `{}`, {why}", member.region);
        }
        NodeWait { node, reached: false, lag, why }
    }

    fn why_behind(&self, node: NodeId, lag: u64) -> String {
        let joining = self
            .roster
            .members
            .get(&node)
            .is_some_and(|member| member.state == MemberState::Joining);
        let removed = self.roster.members.contains_key(&node) && !self.roster.has(node);
        let link = if node == self.me || self.is_open(node) {
            String::new()
        } else {
            match self.links.get(&node).and_then(|link| link.down_since_ms) {
                Some(since) => {
                    format!("not connected since {} ms, ", self.now_ms.saturating_sub(since))
                }
                None => "not connected since this node started, ".to_owned(),
            }
        };
        let joining = if joining { "joining, " } else { "" };
        let removed = if removed { "removed, " } else { "" };
        format!("{joining}{removed}{link}{lag} transactions behind")
    }
}
