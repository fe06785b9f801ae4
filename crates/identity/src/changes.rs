//! Which entities and names changed since a moment, so that what was derived of them can be kept.
//!
//! **Invariants.** A change is never missed; that something changed which did not is possible.
//!
//! **Must not know:** what is derived, what changed.

use std::fmt;

use model::Key;

use crate::{NameKey, entity::Entity};

/// More tell more apart: of a set that rests on 60 of them, a write elsewhere touches one of its in
/// one of 60 cases.
const BUCKETS: usize = 4096;

/// A place among [`Changes`]; several entities and names share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bucket(u16);

/// When each bucket last changed.
#[derive(Clone)]
pub(crate) struct Changes {
    now: u64,
    last: Box<[u64]>,
    /// Everything before is forgotten.
    since: u64,
}

impl Default for Changes {
    fn default() -> Self {
        Self { now: 0, last: vec![0; BUCKETS].into(), since: 0 }
    }
}

/// Blank: how a state came about is not what it is.
impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changes")
    }
}

impl Changes {
    /// That of another state which replaces one with these: nothing that was derived stands.
    pub(crate) fn renewed(&self) -> Self {
        let now = self.now + 1;
        Self { now, since: now, ..Self::default() }
    }

    /// The moment.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Notes that a slot changed. One that is not of an entity nobody reads.
    pub(crate) fn note_slot(&mut self, key: &[u8]) {
        if let Some(entity) = Key::entity_part(key) {
            self.note(bucket(&[entity]));
        }
    }

    /// Notes that who has a name, or what is decided about it, changed.
    pub(crate) fn note_name(&mut self, name: &NameKey) {
        self.note(of_name(name));
    }

    /// Whether any of these changed after a moment.
    pub(crate) fn any_after(&self, moment: u64, buckets: &[Bucket]) -> bool {
        let changed = |bucket: &Bucket| {
            self.last.get(usize::from(bucket.0)).is_none_or(|last| *last > moment)
        };
        moment < self.since || buckets.iter().any(changed)
    }

    fn note(&mut self, bucket: Bucket) {
        self.now += 1;
        if let Some(last) = self.last.get_mut(usize::from(bucket.0)) {
            *last = self.now;
        }
    }
}

/// Where changes of an entity are noted.
pub(crate) fn of_entity(entity: Entity) -> Bucket {
    bucket(&[&Key::entity_prefix(entity.account, entity.id)])
}

/// Where changes of a name are noted.
pub(crate) fn of_name(NameKey { account, kind, fold }: &NameKey) -> Bucket {
    bucket(&[&Key::account_prefix(*account), kind.prefix().as_bytes(), fold.as_bytes()])
}

/// FNV-1a, which spreads well enough what nobody gains by crowding: who makes names that share a
/// bucket makes others derive more often.
fn bucket(parts: &[&[u8]]) -> Bucket {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in parts.iter().copied().flatten() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let folded = (hash ^ (hash >> 32)) % BUCKETS as u64;
    Bucket(u16::try_from(folded).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use model::{Entropy, UniqueId, UniqueIdKind};

    use super::*;

    fn entity(seed: u8) -> Entity {
        let account = "000000000042".parse().unwrap();
        let id = UniqueId::generate(UniqueIdKind::User, &Entropy::new([seed; 32]), "");
        Entity { account, id }
    }

    #[test]
    fn a_change_is_seen_by_what_was_derived_before_it_alone() {
        let mut changes = Changes::default();
        let (one, other) = (entity(1), entity(2));
        let key = |entity: Entity| Key::new(entity.account, entity.id, 7, "x").to_bytes();
        let before = changes.now();
        changes.note_slot(&key(one));
        assert!(changes.any_after(before, &[of_entity(other), of_entity(one)]));
        assert!(!changes.any_after(before, &[of_entity(other)]));
        assert!(!changes.any_after(changes.now(), &[of_entity(one)]));
        changes.note_slot(b"short");
        assert!(!changes.any_after(before, &[of_entity(other)]));
    }

    #[test]
    fn names_are_told_apart_by_account_kind_and_text() {
        let name = |account: &str, kind, fold: &str| NameKey {
            account: account.parse().unwrap(),
            kind,
            fold: fold.into(),
        };
        let bob = name("000000000042", UniqueIdKind::User, "bob");
        let others = [
            name("000000000043", UniqueIdKind::User, "bob"),
            name("000000000042", UniqueIdKind::Group, "bob"),
            name("000000000042", UniqueIdKind::User, "eve"),
        ];
        let mut changes = Changes::default();
        changes.note_name(&bob);
        assert!(changes.any_after(0, &[of_name(&bob)]));
        assert!(!changes.any_after(0, &others.map(|name| of_name(&name))));
    }

    #[test]
    fn nothing_that_was_derived_of_a_replaced_state_stands() {
        let changes = Changes::default();
        let renewed = changes.renewed();
        assert!(renewed.any_after(changes.now(), &[]));
        assert!(!renewed.any_after(renewed.now(), &[]));
    }
}
