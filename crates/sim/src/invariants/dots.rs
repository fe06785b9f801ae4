//! No dot is ever bound to two transactions, and only what is durable leaves a node.
//!
//! **Must not know:** what a transaction says.

use std::collections::BTreeMap;

use crdt::{NodeId, covers};
use wire::{transaction, v1::frame::Frame as F};

use super::Invariant;
use crate::fact::{Fact, View};

#[derive(Default)]
pub(super) struct Dots {
    left: BTreeMap<(NodeId, u64), Vec<u8>>,
}

impl Invariant for Dots {
    fn name(&self) -> &'static str {
        "no dot names two transactions"
    }

    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Sent { from, frame, .. } => {
                let Some(F::Batch(batch)) = &frame.frame else { return Ok(()) };
                for bytes in &batch.transactions {
                    let decoded = transaction::decode(bytes).map_err(|error| error.to_string())?;
                    let dot = decoded.dot;
                    if !covers(&view.hosts[*from].on_disk, &dot) {
                        return Err(format!("host {from} sent {dot:?} before it was durable"));
                    }
                    let key = (dot.actor, dot.counter);
                    if self.left.entry(key).or_insert_with(|| bytes.clone()) != bytes {
                        return Err(format!("host {from} sent another {dot:?}"));
                    }
                }
                Ok(())
            }
            Fact::Started { .. }
            | Fact::Applied { .. }
            | Fact::Acknowledged { .. }
            | Fact::Delivered { .. }
            | Fact::Handled { .. }
            | Fact::Joins { .. }
            | Fact::WaitEnded { .. }
            | Fact::Alarm { .. }
            | Fact::Healed { .. } => Ok(()),
        }
    }
}
