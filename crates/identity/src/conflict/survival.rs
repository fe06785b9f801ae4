//! What became of a transaction's writes: in effect, superseded, or contested.
//!
//! **Invariants.** Equal values are one: a write that another wrote again is in effect.
//!
//! **Must not know:** who waits, for whom.

use std::sync::Arc;

use crdt::{Dot, Write};
use model::{AccountId, Key};

use super::{
    ConflictEntity, Side,
    show::{entity, field, side},
    ways::Slot,
};
use crate::{Identity, index::differ};

/// What a transaction wrote, by key.
#[derive(Clone, Debug)]
pub struct Written {
    dot: Dot,
    writes: Vec<(Key, Option<Arc<[u8]>>)>,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// It is what the field says.
    InEffect,
    /// The field says something else.
    Superseded,
    /// The field says something else as well, or the right to write it is doubted.
    Contested,
}

/// A write that is not in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// What became of it.
    pub survival: Survival,
    /// Whose field it is.
    pub entity: ConflictEntity,
    /// Which, in words.
    pub field: String,
    /// Who says something else; nobody if what was written is gone with its entity.
    pub by: Vec<Side>,
}

impl Identity {
    /// What a transaction wrote; `None` if it is not here, or has been stable for long.
    pub fn written(&self, dot: &Dot) -> Option<Written> {
        let writes = self.unsettled_writes(dot)?;
        let writes = writes
            .into_iter()
            .filter_map(|Write { key, value }| Some((Key::from_bytes(&key).ok()?, value)));
        Some(Written { dot: *dot, writes: writes.collect() })
    }

    /// Which of a transaction's writes are not in effect. `None` if it is not an account's.
    pub fn fates(&self, written: &Written, of: Option<AccountId>) -> Option<Vec<Fate>> {
        let foreign = |(key, _): &(Key, _)| of.is_some_and(|account| account != key.account);
        if written.writes.iter().any(foreign) {
            return None;
        }
        let fates = written
            .writes
            .iter()
            .filter_map(|(key, value)| self.fate(key, written.dot, value.as_ref()));
        Some(fates.collect())
    }

    fn fate(&self, key: &Key, dot: Dot, value: Option<&Arc<[u8]>>) -> Option<Fate> {
        let siblings = self.slot(&key.to_bytes());
        let same = siblings.iter().any(|sibling| sibling.value.as_ref() == value);
        let survival = match (same, differ(siblings)) {
            (true, false) => Survival::InEffect,
            // What was removed and is forgotten is removed.
            (false, false) if siblings.is_empty() && value.is_none() => Survival::InEffect,
            (true, true) => Survival::Contested,
            (false, _) => Survival::Superseded,
        };
        if survival == Survival::InEffect {
            return None;
        }
        let slot = Slot::of(key);
        let others = siblings.iter().filter(|sibling| sibling.dot != dot);
        let by = others.filter(|sibling| sibling.value.as_ref() != value);
        Some(Fate {
            survival,
            entity: entity(self, slot.entity),
            field: field(self, &slot),
            by: by.map(|sibling| Side { document: None, ..side(self, &slot, sibling) }).collect(),
        })
    }
}
