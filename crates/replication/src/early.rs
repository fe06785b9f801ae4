//! Transactions that came before something they depend on.
//!
//! **Invariants.** Bounded in number and bytes; what does not fit is dropped and asked for again.
//!
//! **Must not know:** where the missing ones are to be had.

use std::collections::BTreeMap;

use crdt::{Dot, VersionVector, advance, covers};

use crate::{Item, NodeId, join, log::Log};

/// Early transactions that are kept, at most.
pub const EARLY_ITEMS_MAX: usize = 4_096;
/// Their bytes, at most.
pub const EARLY_BYTES_MAX: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct Early<P> {
    items: BTreeMap<(NodeId, u64), Item<P>>,
    bytes: usize,
}

/// What became of an early transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Held,
    /// No room.
    Dropped,
    /// Another transaction of the same name is kept: one of them is forged.
    Conflict,
}

impl<P> Early<P> {
    pub(crate) fn new() -> Self {
        Self { items: BTreeMap::new(), bytes: 0 }
    }

    pub(crate) fn keep(&mut self, item: Item<P>) -> Kept {
        let key = (item.dot.actor, item.dot.counter);
        if let Some(known) = self.items.get(&key) {
            return if known.bytes == item.bytes { Kept::Held } else { Kept::Conflict };
        }
        let bytes = self.bytes + item.bytes.len();
        if self.items.len() >= EARLY_ITEMS_MAX || bytes > EARLY_BYTES_MAX {
            return Kept::Dropped;
        }
        self.bytes = bytes;
        self.items.insert(key, item);
        Kept::Held
    }

    /// Takes out one that the log admits by now, and forgets those that the log has.
    pub(crate) fn take_admitted(&mut self, log: &Log) -> Option<Item<P>> {
        let mut from = (NodeId(0), 0);
        while let Some((key, item)) = self.items.range(from..).next() {
            let key = *key;
            if covers(log.applied(), &item.dot) {
                self.remove(key);
            } else if log.admits(&item.dot, &item.deps) {
                return self.remove(key);
            } else {
                // Only an origin's first can be its next.
                from = (NodeId(key.0.0.checked_add(1)?), 0);
            }
        }
        None
    }

    fn remove(&mut self, key: (NodeId, u64)) -> Option<Item<P>> {
        let item = self.items.remove(&key)?;
        self.bytes -= item.bytes.len();
        Some(item)
    }

    /// Forgets those of origins that are not `kept`.
    pub(crate) fn keep_of(&mut self, kept: impl Fn(NodeId) -> bool) {
        let gone: Vec<_> = self.items.keys().filter(|(node, _)| !kept(*node)).copied().collect();
        for key in gone {
            self.remove(key);
        }
    }

    /// All that the early ones are and depend on.
    pub(crate) fn reach(&self) -> VersionVector {
        let mut reach = VersionVector::new();
        for item in self.items.values() {
            join(&mut reach, &item.deps);
            advance(&mut reach, item.dot);
        }
        reach
    }

    /// How many there are, and their bytes.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.items.len(), self.bytes)
    }

    /// Whether there is room for a good many again.
    pub(crate) fn has_room(&self) -> bool {
        self.items.len() <= EARLY_ITEMS_MAX / 2 && self.bytes <= EARLY_BYTES_MAX / 2
    }

    /// The early transaction of this name.
    pub(crate) fn get(&self, dot: &Dot) -> Option<&Item<P>> {
        self.items.get(&(dot.actor, dot.counter))
    }
}
