//! What is agreed to be stable is stable: whatever its barrier's cut does not cover depends on all
//! of it, so that nothing concurrent with what is forgotten comes later.
//!
//! **Must not know:** who agreed, what is forgotten.

use crdt::{covers, dominates};

use super::Invariant;
use crate::fact::{Fact, View};

pub(super) struct Stable;

impl Invariant for Stable {
    fn name(&self) -> &'static str {
        "nothing is concurrent with what is stable"
    }

    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Applied { at, transaction } => {
                // Who was removed and has not heard of it goes on for itself.
                if !view.present().any(|(present, _)| present == *at) {
                    return Ok(());
                }
                let barrier = view.control.barrier();
                let dot = transaction.dot;
                if covers(&barrier.cut, &dot) || dominates(&transaction.deps, &barrier.stable) {
                    return Ok(());
                }
                let (deps, stable) = (&transaction.deps, &barrier.stable);
                Err(format!("host {at} applied {dot:?} made at {deps} when {stable} was stable"))
            }
            Fact::Started { .. }
            | Fact::Acknowledged { .. }
            | Fact::Sent { .. }
            | Fact::Delivered { .. }
            | Fact::Handled { .. }
            | Fact::Joins { .. }
            | Fact::WaitEnded { .. }
            | Fact::Alarm { .. }
            | Fact::Healed { .. } => Ok(()),
        }
    }
}
