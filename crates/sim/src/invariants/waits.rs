//! A wait never lies, and always ends (P5).
//!
//! **Invariants.** Judged is a yes by two rosters: the asked node's when it was asked, less those
//! of whom it has heard since that they were removed, and its newest. It may have waited for more,
//! never for fewer.
//!
//! **Must not know:** how a node learns what others have.

use std::collections::BTreeSet;

use crdt::{NodeId, dominates};
use node::{NodeState, Role, RosterEntry, Scope, Stage, WaitOutcome};

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
            | Fact::Joins { .. }
            | Fact::Alarm { .. } => Ok(()),
        }
    }
}

fn propagated(view: View<'_>, wait: &Wait) -> Result<(), String> {
    let Some(node) = &view.hosts[wait.at].node else { return Ok(()) };
    let newest = node.control();
    let still = |id: NodeId| newest.node(id).is_some_and(|entry| entry.state != NodeState::Removed);
    let changed = newest.epoch() != wait.control.epoch();
    for control in [&wait.control, newest] {
        let members: Vec<_> = control.present().filter(|entry| still(entry.node)).collect();
        if let Some(missing) = missing(view, wait, &members, changed && control != newest) {
            return Err(format!("{wait:?} said yes for {missing:?}"));
        }
    }
    Ok(())
}

/// Who of these members should have been there, if enough were not. If some were removed meanwhile
/// it is not known how many were needed of a quorum, or who it was in a region.
fn missing(
    view: View<'_>,
    wait: &Wait,
    members: &[&RosterEntry],
    in_part: bool,
) -> Option<Vec<NodeId>> {
    let of = |wanted: &dyn Fn(&RosterEntry) -> bool| -> Vec<NodeId> {
        members.iter().filter(|entry| wanted(entry)).map(|entry| entry.node).collect()
    };
    let absent = |nodes: Vec<NodeId>| -> Vec<NodeId> {
        nodes.into_iter().filter(|node| !is_there(view, *node, wait)).collect()
    };
    let serving = |entry: &RosterEntry| entry.state == NodeState::Active;
    let all = |nodes| Some(absent(nodes)).filter(|missing| !missing.is_empty());
    match &wait.scope {
        Scope::All => all(of(&|_| true)),
        Scope::Serving => all(of(&serving)),
        Scope::Region(region) => all(of(&|entry| entry.region == *region)),
        Scope::Nodes(nodes) => all(of(&|entry| nodes.contains(&entry.node))),
        Scope::Quorum => {
            let writers = of(&|entry| entry.role == Role::Writer);
            let allowed =
                if in_part { writers.len() } else { writers.len() - (writers.len() / 2 + 1) };
            Some(absent(writers)).filter(|missing| missing.len() > allowed)
        }
        Scope::Regions if in_part => None,
        Scope::Regions => {
            let regions: BTreeSet<_> = members.iter().map(|entry| &entry.region).collect();
            regions.into_iter().find_map(|region| {
                let here = of(&|entry| entry.region == *region && serving(entry));
                let here =
                    if here.is_empty() { of(&|entry| entry.region == *region) } else { here };
                let there = here.iter().any(|node| is_there(view, *node, wait));
                (!there).then_some(here)
            })
        }
    }
}

fn is_there(view: View<'_>, node: NodeId, wait: &Wait) -> bool {
    let Some(host) = view.hosts.iter().find(|host| host.id == node) else { return false };
    match wait.stage {
        // A crash may have lost since what was in memory only.
        Stage::Received => dominates(&host.received, &wait.token),
        Stage::Durable => dominates(&host.on_disk, &wait.token),
        Stage::Stable => {
            let agreed = dominates(&view.control.barrier().stable, &wait.token);
            agreed && dominates(&host.on_disk, &wait.token)
        }
        Stage::Visible => {
            let answers = host.node.as_ref().map_or(&host.on_disk, |node| node.vector());
            dominates(&host.on_disk, &wait.token) && dominates(answers, &wait.token)
        }
    }
}
