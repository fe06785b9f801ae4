//! No acknowledged write is lost (P1).
//!
//! **Invariants.** What a client was told is on the disk of who told it, then and for ever, and in
//! the end at every member. What only a removed node had is exempt from the last.
//!
//! **Must not know:** what was written.

use crdt::{VersionVector, dominates};

use super::Invariant;
use crate::fact::{Fact, View};

#[derive(Default)]
pub(super) struct Acknowledged {
    told: Vec<(usize, VersionVector)>,
}

impl Invariant for Acknowledged {
    fn name(&self) -> &'static str {
        "no acknowledged write is lost"
    }

    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Acknowledged { at, covers } => {
                if !dominates(&view.hosts[*at].on_disk, covers) {
                    return Err(format!("host {at} told of {covers} before it was on its disk"));
                }
                self.told.push((*at, (*covers).clone()));
            }
            Fact::Started { at } => {
                let host = &view.hosts[*at];
                let vector = host.node.as_ref().map(|node| node.vector().clone());
                let vector = vector.unwrap_or_default();
                let lost =
                    self.told.iter().find(|(by, told)| by == at && !dominates(&vector, told));
                if let Some((_, told)) = lost {
                    return Err(format!("host {at} came back without {told}"));
                }
            }
            Fact::Healed { .. } => return self.at_the_end(view),
            Fact::Applied { .. }
            | Fact::Sent { .. }
            | Fact::Delivered { .. }
            | Fact::Handled { .. }
            | Fact::Joins { .. }
            | Fact::WaitEnded { .. }
            | Fact::Alarm { .. } => {}
        }
        Ok(())
    }
}

impl Acknowledged {
    fn at_the_end(&self, view: View<'_>) -> Result<(), String> {
        let present: Vec<usize> = view.present().map(|(at, _)| at).collect();
        let told = self.told.iter().filter(|(by, _)| present.contains(by));
        let mut all = told.map(|(by, told)| (*by, told)).collect::<Vec<_>>();
        all.extend(view.present().map(|(at, host)| (at, &host.on_disk)));
        for (at, host) in view.present() {
            let vector = host.node.as_ref().map(|node| node.vector().clone()).unwrap_or_default();
            if let Some((by, told)) = all.iter().find(|(_, told)| !dominates(&vector, told)) {
                return Err(format!("host {at} lacks some of {told}, which host {by} told of"));
            }
        }
        Ok(())
    }
}
