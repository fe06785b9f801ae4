//! Barriers: what all members agree to be stable (DESIGN §3, "Collection").
//!
//! **Invariants.** What is stable grows. A barrier was computed from the words of exactly the
//! members that the log has at its place: a change of the roster voids those under way. Whoever is
//! admitted later makes nothing before it has what is stable.
//!
//! **Must not know:** who has what; who proposes has asked them.

use std::sync::Arc;

use crdt::{Barrier, dominates};
use wire::{
    transaction::{decode_vector, encode_vector},
    v1::{self, ControlRefusal},
};

use super::{Applied, ControlState, NodeState, done};

impl ControlState {
    pub(super) fn advance_barrier(&mut self, command: &v1::AdvanceBarrier) -> Applied {
        let v1::AdvanceBarrier { epoch, stable, cut } = command;
        if *epoch != self.epoch {
            return Err(ControlRefusal::RosterChanged);
        }
        let [stable, cut] = [stable, cut].map(|v| v.as_ref().map(decode_vector));
        let stable = stable.ok_or(ControlRefusal::Malformed)?;
        let cut = cut.ok_or(ControlRefusal::Malformed)?;
        let known = cut.iter().all(|dot| self.roster.contains_key(dot.actor));
        if !known || !dominates(&cut, &stable) {
            return Err(ControlRefusal::Malformed);
        }
        // What a removed node wrote beyond the cut nobody has: nobody can come to have seen it.
        let removed = self.roster.values().filter(|entry| entry.state == NodeState::Removed);
        let removed: Vec<_> = removed.map(|entry| entry.node).collect();
        for node in removed {
            if self.names.settled.get(&node) > cut.get(&node) {
                let settled = &mut Arc::make_mut(&mut self.names).settled.dots;
                settled.remove(&node);
                settled.extend(cut.dots.get_key_value(&node));
            }
        }
        // One that was computed from older words than the newest says nothing new.
        if stable != self.barrier.stable && dominates(&stable, &self.barrier.stable) {
            let number = self.barrier.number.checked_add(1).ok_or(ControlRefusal::Malformed)?;
            self.barrier = Barrier { number, stable, cut };
        }
        done()
    }

    /// The newest barrier; its number is 0 if there was none.
    pub fn barrier(&self) -> &Barrier {
        &self.barrier
    }
}

pub(super) fn to_message(barrier: &Barrier) -> Option<v1::Barrier> {
    let Barrier { number, stable, cut } = barrier;
    (*number > 0).then(|| v1::Barrier {
        number: *number,
        stable: Some(encode_vector(stable)),
        cut: Some(encode_vector(cut)),
    })
}

/// `None` when it contradicts itself.
pub(super) fn from_message(message: Option<&v1::Barrier>) -> Option<Barrier> {
    let Some(v1::Barrier { number, stable, cut }) = message else {
        return Some(Barrier::default());
    };
    let (stable, cut) = (decode_vector(stable.as_ref()?), decode_vector(cut.as_ref()?));
    let barrier = Barrier { number: *number, stable, cut };
    (barrier.number > 0 && dominates(&barrier.cut, &barrier.stable)).then_some(barrier)
}
