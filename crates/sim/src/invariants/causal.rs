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
}

impl Invariant for Causal {
    fn name(&self) -> &'static str {
        "no effect is seen without its cause"
    }

    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Started { at } => {
                self.applied.insert(*at, view.hosts[*at].on_disk.clone());
            }
            Fact::Applied { at, transaction } => {
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
            Fact::Joins { at, covers } => {
                let applied = self.applied.entry(*at).or_default();
                covers.iter().for_each(|dot| advance(applied, Dot::new(*dot.actor, dot.counter)));
            }
            Fact::Acknowledged { .. }
            | Fact::Sent { .. }
            | Fact::Delivered { .. }
            | Fact::Handled { .. }
            | Fact::WaitEnded { .. }
            | Fact::Alarm { .. }
            | Fact::Healed { .. } => {}
        }
        Ok(())
    }
}
