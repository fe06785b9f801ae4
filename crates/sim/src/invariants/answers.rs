//! Once every fault is over, all members answer alike, and as they would after a restart (P3): what
//! is derived from the state, names and reverse edges, does not depend on the order in which it
//! came, nor on what was forgotten since.
//!
//! **Must not know:** what the answers say.

use node::Node;

use super::Invariant;
use crate::{
    fact::{Fact, View},
    load,
};

pub(super) struct Answers;

impl Invariant for Answers {
    fn name(&self) -> &'static str {
        "members answer alike"
    }

    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Healed { .. } => healed(view),
            Fact::Started { .. }
            | Fact::Applied { .. }
            | Fact::Acknowledged { .. }
            | Fact::Sent { .. }
            | Fact::Delivered { .. }
            | Fact::Handled { .. }
            | Fact::Joins { .. }
            | Fact::WaitEnded { .. }
            | Fact::Alarm { .. } => Ok(()),
        }
    }
}

fn healed(view: View<'_>) -> Result<(), String> {
    let mut first: Option<(usize, Vec<String>)> = None;
    for (at, host) in view.present() {
        let Some(node) = &host.node else { return Err(format!("host {at} is down")) };
        let ours = answers(node);
        let restarted = host.restarted(node.control());
        let replayed = restarted.map_err(|error| format!("host {at}: {error}"))?;
        same(&format!("host {at} after a restart"), &ours, &answers(&replayed))?;
        match &first {
            None => first = Some((at, ours)),
            Some((other, theirs)) => same(&format!("hosts {at} and {other}"), &ours, theirs)?,
        }
    }
    Ok(())
}

fn answers(node: &Node) -> Vec<String> {
    load::questions().iter().map(|question| load::answer(node.identity(), question)).collect()
}

fn same(who: &str, ours: &[String], theirs: &[String]) -> Result<(), String> {
    match ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs) {
        None => Ok(()),
        Some((ours, theirs)) => Err(format!("{who}: {ours} and {theirs}")),
    }
}
