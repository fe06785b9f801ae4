//! A state as it was at one moment, to be copied piece by piece while it goes on changing.
//!
//! **Invariants.** Slots that change are kept as they were, once, until they were copied. What is
//! kept is bounded: who changes more than that meanwhile ends the freeze, and the copy begins anew.
//!
//! **Must not know:** who copies, into what.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use crate::{Sibling, Siblings, Summary};

/// Slots that are kept as they were, at most.
pub const FROZEN_SLOTS_MAX: usize = 1 << 18;

/// A slot with its whole key.
pub type Slot<M> = (Box<[u8]>, Siblings<M>);

#[derive(Clone, Debug)]
pub(crate) struct Frozen<M> {
    summary: Summary,
    copied: Option<Box<[u8]>>,
    /// The slots that changed since, as they were; empty if they were not there.
    before: BTreeMap<Box<[u8]>, Siblings<M>>,
}

impl<M> Frozen<M> {
    pub(crate) fn new(summary: Summary) -> Self {
        Self { summary, copied: None, before: BTreeMap::new() }
    }

    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// A slot is about to change.
    pub(crate) fn save(this: &mut Option<Self>, key: &[u8], siblings: &[Sibling<M>]) {
        let Some(Self { summary: _, copied, before }) = this else { return };
        if copied.as_deref().is_some_and(|copied| key <= copied) || before.contains_key(key) {
            return;
        }
        before.insert(key.into(), siblings.to_vec());
        if before.len() > FROZEN_SLOTS_MAX {
            *this = None;
        }
    }

    pub(crate) fn copied(&mut self, upto: &[u8]) {
        while let Some(first) = self.before.first_entry().filter(|first| **first.key() <= *upto) {
            first.remove();
        }
        self.copied = Some(upto.into());
    }

    /// Of the slots as they are behind `after`, and as they were, at most `slots_max`.
    pub(crate) fn slots<'a>(
        &'a self,
        now: impl Iterator<Item = (Box<[u8]>, &'a [Sibling<M>])>,
        after: Option<&[u8]>,
        slots_max: usize,
    ) -> Vec<Slot<M>>
    where
        M: 'a,
    {
        let unchanged = now.filter(|(key, _)| !self.before.contains_key(key));
        let mut unchanged = unchanged.map(|(key, siblings)| (key, siblings.to_vec())).peekable();
        let from = after.map_or(Unbounded, Excluded);
        let before = self.before.range::<[u8], _>((from, Unbounded));
        let existed = before.filter(|(_, siblings)| !siblings.is_empty());
        let mut existed = existed.map(|(key, siblings)| (key.clone(), siblings.clone())).peekable();
        let next = || match (unchanged.peek(), existed.peek()) {
            (Some((key, _)), Some((other, _))) if key < other => unchanged.next(),
            (Some(_), None) => unchanged.next(),
            (Some(_) | None, Some(_)) => existed.next(),
            (None, None) => None,
        };
        std::iter::from_fn(next).take(slots_max).collect()
    }
}
