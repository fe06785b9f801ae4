//! Waits: has everybody of a scope reached a token?
//!
//! **Invariants.** A node counts as there only by its own word, relayed or not. Members that are
//! joining belong to a scope: none is skipped silently. Whom a wait is about is settled once, by a
//! roster that is no older than any that a connected peer has told of: who is removed later stays
//! in the scope. Every wait ends at its deadline.
//!
//! **Must not know:** what a token looks like, what the transactions are.

use std::collections::BTreeMap;

use crdt::{VersionVector, dominates, lag};

use crate::{Effect, MemberState, NodeId, Replication, Role};

/// Waits at a time, at most.
pub const WAITS_MAX: usize = 10_000;
/// The least time between two reports in which only numbers differ.
const REPORT_MS: u64 = 200;

/// Whom a wait is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every member, replicas and those who are joining included.
    All,
    /// More than half of the writers.
    Quorum,
    /// Every member in a region.
    Region(String),
    /// One node.
    Node(NodeId),
}

/// What a node must have done with the transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has them in memory.
    Received,
    /// They are on its disk.
    Durable,
    /// Every answer of it takes them into account.
    Visible,
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
    settled: Option<Whom>,
    shown: Vec<NodeWait>,
    shown_ms: u64,
}

impl Waits {
    pub(crate) fn first_deadline_ms(&self) -> Option<u64> {
        self.0.values().map(|wait| wait.request.deadline_ms).min()
    }
}

/// Of these nodes so many must be there.
#[derive(Clone, Debug)]
struct Whom {
    nodes: Vec<NodeId>,
    needed: usize,
}

enum Standing {
    There,
    NotYet(Vec<NodeWait>),
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
            Standing::NotYet(nodes) if late => {
                let missing = nodes.into_iter().filter(|node| !node.reached).collect();
                Outcome::TimedOut { missing }
            }
            Standing::NotYet(nodes) => return self.report(ticket, nodes),
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
        let Some(wait) = self.waits.0.get(&ticket) else { return };
        if wait.settled.is_none() {
            let whom = self.whom(&wait.request.scope);
            if let Some(wait) = self.waits.0.get_mut(&ticket) {
                wait.settled = Some(whom);
            }
        }
    }

    /// Who has told of a newer roster than this node's, and its epoch.
    fn newer_roster(&self) -> Option<(NodeId, u64)> {
        let told = self.streams.iter().filter_map(|(peer, stream)| Some((*peer, stream.epoch?)));
        told.filter(|(_, epoch)| *epoch > self.roster.epoch).max_by_key(|(_, epoch)| *epoch)
    }

    fn whom(&self, scope: &Scope) -> Whom {
        let members = self.roster.present();
        match scope {
            Scope::All => {
                let nodes: Vec<_> = members.map(|(node, _)| node).collect();
                Whom { needed: nodes.len(), nodes }
            }
            Scope::Quorum => {
                let writers = members.filter(|(_, member)| member.role == Role::Writer);
                let nodes: Vec<_> = writers.map(|(node, _)| node).collect();
                Whom { needed: nodes.len() / 2 + 1, nodes }
            }
            Scope::Region(region) => {
                let there = members.filter(|(_, member)| member.region == *region);
                let nodes: Vec<_> = there.map(|(node, _)| node).collect();
                Whom { needed: nodes.len(), nodes }
            }
            Scope::Node(node) => {
                let nodes = members.map(|(id, _)| id).filter(|id| id == node).collect();
                Whom { nodes, needed: 1 }
            }
        }
    }

    fn standing(&self, wait: &Wait) -> Standing {
        let request = &wait.request;
        let Some(Whom { nodes, needed }) = &wait.settled else {
            return Standing::NotYet(self.unsettled(request));
        };
        if nodes.is_empty() {
            return Standing::Never(self.nobody(&request.scope));
        }
        let nodes: Vec<_> = nodes.iter().map(|node| self.node_wait(*node, request)).collect();
        let reached = nodes.iter().filter(|node| node.reached).count();
        if reached >= *needed {
            return Standing::There;
        }
        let hopeless: Vec<NodeId> = nodes
            .iter()
            .filter(|node| !node.reached && !self.roster.has(node.node))
            .map(|node| node.node)
            .collect();
        if nodes.len() - hopeless.len() < *needed {
            let names: Vec<String> = hopeless.iter().map(NodeId::to_string).collect();
            let reason =
                format!("removed before it had the change: node {}", names.join(", node "));
            return Standing::Never(reason);
        }
        Standing::NotYet(nodes)
    }

    /// What is told while this node's roster is not the newest: itself, as the one to wait for.
    fn unsettled(&self, request: &WaitRequest) -> Vec<NodeWait> {
        let known = self.whom(&request.scope).nodes;
        let known = known.into_iter().filter(|node| *node != self.me);
        let mut nodes: Vec<_> = known.map(|node| self.node_wait(node, request)).collect();
        let why = self.newer_roster().map_or_else(String::new, |(peer, epoch)| {
            format!(
                "its roster, of epoch {}, is older than node {peer}'s, of epoch {epoch}",
                self.roster.epoch
            )
        });
        nodes.push(NodeWait { node: self.me, reached: false, lag: 0, why });
        nodes
    }

    /// Why a scope has no members.
    fn nobody(&self, scope: &Scope) -> String {
        match scope {
            Scope::All | Scope::Quorum => "this node knows no roster yet".to_owned(),
            Scope::Region(region) => format!("no node is in region `{region}`"),
            Scope::Node(node) if self.roster.members.contains_key(node) => {
                format!("node {node} was removed")
            }
            Scope::Node(node) => format!("there is no node {node}"),
        }
    }

    fn node_wait(&self, node: NodeId, request: &WaitRequest) -> NodeWait {
        let progress = self.progress_of(node);
        let has = match request.stage {
            Stage::Received => progress.received,
            Stage::Durable => progress.durable,
            Stage::Visible => progress.visible,
        };
        if dominates(&has, &request.token) {
            return NodeWait { node, reached: true, lag: 0, why: String::new() };
        }
        let lag = lag(&request.token, &has);
        NodeWait { node, reached: false, lag, why: self.why_behind(node, lag) }
    }

    fn why_behind(&self, node: NodeId, lag: u64) -> String {
        let joining = self
            .roster
            .members
            .get(&node)
            .is_some_and(|member| member.state == MemberState::Joining);
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
        format!("{joining}{link}{lag} transactions behind")
    }
}
