//! Nobody sees an effect without its cause (P7).
//!
//! **Invariants.** Each node applies each transaction once, as its origin's next, after everything
//! that it depends on.
//!
//! **Must not know:** how transactions came.

use std::collections::BTreeMap;

use crdt::{Dot, VersionVector, advance, dominates};

use super::Invariant;
use crate::fact::{Fact, View};

#[derive(Default)]
pub(super) struct Causal {
    applied: BTreeMap<usize, VersionVector>,
    /// What a node was given to join, until it is seen whether it did: it refuses what tells of
    /// nodes that it does not know.
    joining: BTreeMap<usize, VersionVector>,
}

impl Causal {
    fn joined(&mut self, view: View<'_>, at: usize) {
        let Some(covers) = self.joining.remove(&at) else { return };
        let node = view.hosts[at].node.as_ref();
        if node.is_some_and(|node| dominates(node.vector(), &covers)) {
            let applied = self.applied.entry(at).or_default();
            covers.iter().for_each(|dot| advance(applied, Dot::new(*dot.actor, dot.counter)));
        }
    }
}

impl Invariant for Causal {
    fn name(&self) -> &'static str {
        "no effect is seen without its cause"
    }

    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Started { at } => {
                self.joining.remove(at);
                self.applied.insert(*at, view.hosts[*at].on_disk.clone());
            }
            Fact::Applied { at, transaction } => {
                self.joined(view, *at);
                let applied = self.applied.entry(*at).or_default();
                let dot = transaction.dot;
                if applied.get(&dot.actor) + 1 != dot.counter {
                    return Err(format!("host {at} at {applied} applied {dot:?}"));
                }
                if !dominates(applied, &transaction.deps) {
                    let deps = &transaction.deps;
                    return Err(format!("host {at} at {applied} applied what needs {deps}"));
                }
                advance(applied, dot);
            }
            Fact::Joins { at, covers } => drop(self.joining.insert(*at, (*covers).clone())),
            Fact::Handled { at } => self.joined(view, *at),
            Fact::Acknowledged { .. }
            | Fact::Sent { .. }
            | Fact::Delivered { .. }
            | Fact::WaitEnded { .. }
            | Fact::Alarm { .. }
            | Fact::Healed { .. } => {}
        }
        Ok(())
    }
}
