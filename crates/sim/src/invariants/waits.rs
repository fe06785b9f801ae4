//! A wait never lies, and always ends (P5).
//!
//! **Invariants.** Judged are those nodes of the scope that the asked node knew when it was asked
//! and has not heard to be removed: it may have settled on more, never on fewer.
//!
//! **Must not know:** how a node learns what others have.

use crdt::{NodeId, dominates};
use node::{NodeState, Role, Scope, Stage, WaitOutcome};

use super::Invariant;
use crate::fact::{Fact, View, Wait};

pub(super) struct Waits;

impl Invariant for Waits {
    fn name(&self) -> &'static str {
        "a wait does not lie"
    }

    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::WaitEnded { wait, clock_ms, outcome } => match outcome {
                WaitOutcome::Propagated => propagated(view, wait),
                WaitOutcome::TimedOut { missing } => {
                    if *clock_ms < wait.deadline_ms {
                        return Err(format!("{wait:?} was given up too soon"));
                    }
                    if missing.is_empty() || missing.iter().any(|node| node.reached) {
                        return Err(format!("{wait:?} ended without saying who is missing"));
                    }
                    Ok(())
                }
                WaitOutcome::Unsatisfiable { .. } => Ok(()),
            },
            Fact::Healed { waits } if *waits > 0 => Err(format!("{waits} waits have not ended")),
            Fact::Healed { .. }
            | Fact::Started { .. }
            | Fact::Applied { .. }
            | Fact::Acknowledged { .. }
            | Fact::Sent { .. }
            | Fact::Delivered { .. }
            | Fact::Handled { .. }
            | Fact::Alarm { .. } => Ok(()),
        }
    }
}

fn propagated(view: View<'_>, wait: &Wait) -> Result<(), String> {
    let Some(node) = &view.hosts[wait.at].node else { return Ok(()) };
    let still =
        |id: NodeId| node.control().node(id).is_some_and(|entry| entry.state != NodeState::Removed);
    let members: Vec<_> = wait.control.present().filter(|entry| still(entry.node)).collect();
    let nodes: Vec<NodeId> = members
        .iter()
        .filter(|entry| match &wait.scope {
            Scope::All => true,
            Scope::Quorum => entry.role == Role::Writer,
            Scope::Region(region) => entry.region == *region,
            Scope::Node(node) => entry.node == *node,
        })
        .map(|entry| entry.node)
        .collect();
    let missing: Vec<NodeId> =
        nodes.iter().copied().filter(|node| !is_there(view, *node, wait)).collect();
    let allowed = match wait.scope {
        // Of a roster that changed meanwhile it is not known how many were needed.
        Scope::Quorum if node.control().epoch() != wait.control.epoch() => nodes.len(),
        Scope::Quorum => nodes.len() - (nodes.len() / 2 + 1),
        Scope::All | Scope::Region(_) | Scope::Node(_) => 0,
    };
    if missing.len() > allowed {
        return Err(format!("{wait:?} said yes for {missing:?}"));
    }
    Ok(())
}

fn is_there(view: View<'_>, node: NodeId, wait: &Wait) -> bool {
    let Some(host) = view.hosts.iter().find(|host| host.id == node) else { return false };
    match wait.stage {
        // A crash may have lost since what was in memory only.
        Stage::Received => dominates(&host.received, &wait.token),
        Stage::Durable => dominates(&host.on_disk, &wait.token),
        Stage::Visible => {
            let answers = host.node.as_ref().map_or(&host.on_disk, |node| node.vector());
            dominates(&host.on_disk, &wait.token) && dominates(answers, &wait.token)
        }
    }
}
