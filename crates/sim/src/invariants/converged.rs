//! Once every fault is over, all members hold the same bytes, and know it (P3).
//!
//! **Must not know:** how they came to.

use model::Timestamp;
use node::DigestState;

use super::Invariant;
use crate::fact::{Fact, View};

pub(super) struct Converged;

impl Invariant for Converged {
    fn name(&self) -> &'static str {
        "members converge"
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
    let mut first: Option<(usize, Vec<u8>)> = None;
    for (at, host) in view.present() {
        let Some(node) = &host.node else { return Err(format!("host {at} is down")) };
        if !node.serves() {
            return Err(format!("host {at} does not serve: {:?}", node.fenced()));
        }
        if *node.vector() != host.on_disk {
            return Err(format!("host {at} has {} on its disk", host.on_disk));
        }
        let state = node.identity().state();
        let bytes = state.canonical_bytes();
        let restarted = host.restarted(node.control());
        let replayed = restarted.map_err(|error| format!("host {at}: {error}"))?;
        if replayed.identity().state().canonical_bytes() != bytes {
            return Err(format!("host {at} would be another after a restart"));
        }
        if replayed.identity().state().digest() != state.digest() {
            return Err(format!("host {at} would have another digest after a restart"));
        }
        match &first {
            None => first = Some((at, bytes)),
            Some((other, theirs)) if *theirs != bytes => {
                let has = |at: usize| view.hosts[at].on_disk.clone();
                let (ours, theirs) = (has(at), has(*other));
                return Err(format!("host {at} at {ours} and host {other} at {theirs} differ"));
            }
            Some(_) => {}
        }
        agrees(view, at)?;
    }
    Ok(())
}

/// Nobody takes another's state for different, and who has a stream with another has found theirs
/// to be equal, unless there is none.
fn agrees(view: View<'_>, at: usize) -> Result<(), String> {
    let Some(node) = &view.hosts[at].node else { return Ok(()) };
    for (other, host) in view.present().filter(|(other, _)| *other != at) {
        let Some(peer) = node
            .status(Timestamp::default())
            .into_iter()
            .find(|status| status.entry.node == host.id)
        else {
            return Err(format!("host {at} does not know host {other}"));
        };
        let compared = node.vector().is_empty() || peer.digest != DigestState::Unknown;
        let silent = peer.connected && !compared;
        if peer.digest == DigestState::Different || silent {
            return Err(format!("host {at} finds the state of host {other} {:?}", peer.digest));
        }
    }
    Ok(())
}
