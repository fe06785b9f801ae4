//! No node cries wolf: none of the faults of a plan damages anything, so that none is an alarm.
//!
//! **Must not know:** what alarms there are.

use super::Invariant;
use crate::fact::{Fact, View};

pub(super) struct Alarms;

impl Invariant for Alarms {
    fn name(&self) -> &'static str {
        "no alarm without damage"
    }

    fn see(&mut self, _view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Alarm { at, what } => Err(format!("host {at}: {what}")),
            Fact::Started { .. }
            | Fact::Applied { .. }
            | Fact::Acknowledged { .. }
            | Fact::Sent { .. }
            | Fact::Delivered { .. }
            | Fact::Handled { .. }
            | Fact::Joins { .. }
            | Fact::WaitEnded { .. }
            | Fact::Healed { .. } => Ok(()),
        }
    }
}
