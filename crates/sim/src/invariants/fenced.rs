//! Who was told that it is removed or cut off makes no more transactions (P1, §9): their names may
//! be bound already.
//!
//! **Must not know:** how a node came to know.

use super::Invariant;
use crate::fact::{Fact, View};

pub(super) struct Fenced;

impl Invariant for Fenced {
    fn name(&self) -> &'static str {
        "a fenced node writes nothing"
    }

    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Applied { at, transaction } => {
                let host = &view.hosts[*at];
                if host.retired && transaction.dot.actor == host.id {
                    return Err(format!("host {at} made {:?}", transaction.dot));
                }
                Ok(())
            }
            Fact::Started { at } if view.hosts[*at].retired => {
                Err(format!("host {at} started again"))
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
