//! Damage: a host starts with a state that no transaction ever made, whole as it looks.
//!
//! No check of a disk finds that, be it a bug, a bit in memory, or a file that was restored from
//! elsewhere: only that most others hold something else.
//!
//! **Must not know:** how it is found and mended.

use crdt::{Sibling, State};
use node::Role;
use wire::transaction::Meta;

use crate::{
    Violation,
    fact::View,
    plan::Damage,
    rng::Rng,
    world::{Event, World},
};

/// For how long the host is down meanwhile, in milliseconds.
const DOWN_MS: u64 = 10;
/// Slots that are damaged, at most.
const SLOTS_MAX: u64 = 5;

impl World {
    /// Damages the state of one member, if the others can outvote it, and sees everything come
    /// right again.
    pub(crate) fn suffer(&mut self, damage: Damage) -> Result<(), Violation> {
        let Damage { at, random, steps } = damage;
        let view = View { hosts: &self.hosts, control: self.authority.newest() };
        let members: Vec<_> = view.present().map(|(at, _)| at).collect();
        let writers = view.present().filter(|(_, host)| host.role == Role::Writer).count();
        if members.len() < 3 || writers < 2 {
            return Ok(());
        }
        let at = members[at % members.len()];
        self.crash(at, 0, DOWN_MS);
        let host = &mut self.hosts[at];
        let damaged = host.disk.damage(|state| alter(&mut Rng::new(random), state));
        if !damaged {
            return self.heal();
        }
        host.damaged = true;
        self.history.note(self.now_ms, || format!("the state of host {at} is damaged"));
        for (after_ms, step) in steps {
            self.later(after_ms, Event::Step(step));
        }
        self.run_until(self.now_ms + 4_000)?;
        self.heal()?;
        for (other, host) in self.hosts.iter().enumerate() {
            let mended = host.node.as_ref().map_or(0, node::Node::mended_slots);
            self.counts.mended += mended;
            if other != at && mended > 0 {
                let what =
                    format!("host {other} took on {mended} slots, and host {at} was damaged");
                self.violate("nobody but who was damaged is mended", what);
                break;
            }
        }
        Ok(())
    }
}

/// Takes slots away, or gives them another value or none.
fn alter(rng: &mut Rng, state: &mut State<Meta>) {
    let keys: Vec<_> = state.range(&[]).map(|(key, _)| key).collect();
    if keys.is_empty() {
        return;
    }
    for _ in 0..rng.between(1, SLOTS_MAX) {
        let key = keys[rng.index(keys.len())].clone();
        let mut siblings = state.get(&key).to_vec();
        match (rng.below(3), siblings.first_mut()) {
            (0, _) => siblings.clear(),
            (1, Some(Sibling { value: Some(value), .. })) if !value.is_empty() => {
                let mut bytes = value.to_vec();
                let byte = rng.index(bytes.len());
                bytes[byte] ^= 1 << rng.below(8);
                *value = bytes.into();
            }
            (_, Some(Sibling { value, .. })) => *value = None,
            (_, None) => {}
        }
        let at = state.vector().clone();
        state.mend(&at, vec![(key, siblings)], |_, _, _| {});
    }
}
