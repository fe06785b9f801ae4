//! Waits: has everybody of a scope reached a token?
//!
//! **Invariants.** A node counts as there only by its own word, relayed or not. Members that are
//! joining belong to a scope: none is skipped silently. Every wait ends at its deadline.
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
    shown: Vec<NodeWait>,
    shown_ms: u64,
}

impl Waits {
    pub(crate) fn first_deadline_ms(&self) -> Option<u64> {
        self.0.values().map(|wait| wait.request.deadline_ms).min()
    }
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
        self.waits.0.insert(ticket, Wait { request, shown: Vec::new(), shown_ms: now_ms });
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
        let Some(wait) = self.waits.0.get(&ticket) else { return };
        let late = self.now_ms >= wait.request.deadline_ms;
        let outcome = match self.standing(&wait.request) {
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

    fn standing(&self, request: &WaitRequest) -> Standing {
        let members = self.roster.present();
        let (nodes, needed): (Vec<NodeId>, usize) = match &request.scope {
            Scope::All => {
                let nodes: Vec<_> = members.map(|(node, _)| node).collect();
                (nodes.clone(), nodes.len())
            }
            Scope::Quorum => {
                let writers = members.filter(|(_, member)| member.role == Role::Writer);
                let nodes: Vec<_> = writers.map(|(node, _)| node).collect();
                (nodes.clone(), nodes.len() / 2 + 1)
            }
            Scope::Region(region) => {
                let there = members.filter(|(_, member)| member.region == *region);
                let nodes: Vec<_> = there.map(|(node, _)| node).collect();
                (nodes.clone(), nodes.len())
            }
            Scope::Node(node) => (members.map(|(id, _)| id).filter(|id| id == node).collect(), 1),
        };
        if nodes.is_empty() {
            return Standing::Never(match &request.scope {
                Scope::All | Scope::Quorum => "this node knows no roster yet".to_owned(),
                Scope::Region(region) => format!("no node is in region `{region}`"),
                Scope::Node(node) if self.roster.members.contains_key(node) => {
                    format!("node {node} was removed")
                }
                Scope::Node(node) => format!("there is no node {node}"),
            });
        }
        let nodes: Vec<_> = nodes.into_iter().map(|node| self.node_wait(node, request)).collect();
        let reached = nodes.iter().filter(|node| node.reached).count();
        if reached >= needed { Standing::There } else { Standing::NotYet(nodes) }
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
