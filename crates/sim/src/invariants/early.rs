//! What comes before what it depends on is kept within bounds.
//!
//! **Must not know:** why it came early.

use replication::{EARLY_BYTES_MAX, EARLY_ITEMS_MAX};

use super::Invariant;
use crate::fact::{Fact, View};

pub(super) struct Early;

impl Invariant for Early {
    fn name(&self) -> &'static str {
        "early transactions are bounded"
    }

    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Handled { at } => {
                let held = view.hosts[*at].node.as_ref().map(node::Node::early_held);
                let (items, bytes) = held.unwrap_or_default();
                if items > EARLY_ITEMS_MAX || bytes > EARLY_BYTES_MAX {
                    return Err(format!("host {at} keeps {items} of {bytes} bytes"));
                }
                Ok(())
            }
            Fact::Started { .. }
            | Fact::Applied { .. }
            | Fact::Acknowledged { .. }
            | Fact::Sent { .. }
            | Fact::Delivered { .. }
            | Fact::Joins { .. }
            | Fact::WaitEnded { .. }
            | Fact::Alarm { .. }
            | Fact::Healed { .. } => Ok(()),
        }
    }
}
