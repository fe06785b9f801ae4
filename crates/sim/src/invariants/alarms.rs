//! No node cries wolf: of the faults of a plan only damage to a host's state is an alarm.
//!
//! **Must not know:** what alarms there are.

use super::Invariant;
use crate::fact::{Fact, View};

pub(super) struct Alarms;

impl Invariant for Alarms {
    fn name(&self) -> &'static str {
        "no alarm without damage"
    }

    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Alarm { at, what } => {
                let damaged = view.hosts.iter().any(|host| host.damaged);
                let expected = damaged && what.starts_with("divergence");
                if expected { Ok(()) } else { Err(format!("host {at}: {what}")) }
            }
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
