//! The slots by key: a sorted map whose neighbours share memory.
//!
//! **Invariants.** It is the map from whole keys to siblings, in the order of the keys' bytes; that
//! keys are kept in groups by their first bytes cannot be observed. No slot is without siblings.
//!
//! **Must not know:** what keys mean, when siblings change.

use std::{collections::BTreeMap, ops::Bound};

use crate::{Sibling, Siblings};

/// Keys that agree in so many bytes are kept together. A key's length and meaning are the
/// application's: this number is about speed and size alone.
const GROUP_BYTES: usize = 29;
/// Longer rests of keys are kept by reference.
const SHORT_BYTES: usize = 22;

/// A key's first bytes; zeros fill up a shorter key. Sorts as the bytes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    bytes: [u8; GROUP_BYTES],
    len: u8,
}

impl Group {
    /// The group of a key, and the rest of the key.
    fn split(key: &[u8]) -> (Self, &[u8]) {
        let (first, rest) = key.split_at(key.len().min(GROUP_BYTES));
        let mut bytes = [0; GROUP_BYTES];
        for (to, from) in bytes.iter_mut().zip(first) {
            *to = *from;
        }
        let len = u8::try_from(first.len()).expect("a group is shorter than 256 bytes");
        (Self { bytes, len }, rest)
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&self.bytes)
    }
}

/// The rest of a key, mostly so short that a reference would take as much room.
#[derive(Clone, Debug)]
enum Rest {
    Short([u8; SHORT_BYTES], u8),
    Long(Box<[u8]>),
}

impl Rest {
    fn new(rest: &[u8]) -> Self {
        let Some(len) = u8::try_from(rest.len()).ok().filter(|_| rest.len() <= SHORT_BYTES) else {
            return Self::Long(rest.into());
        };
        let mut bytes = [0; SHORT_BYTES];
        for (to, from) in bytes.iter_mut().zip(rest) {
            *to = *from;
        }
        Self::Short(bytes, len)
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, len) => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Self::Long(bytes) => bytes,
        }
    }
}

/// The siblings of a slot; nearly every slot has one.
#[derive(Clone, Debug, Default)]
pub(crate) enum Sides<M> {
    #[default]
    None,
    One(Sibling<M>),
    Many(Siblings<M>),
}

impl<M> Sides<M> {
    pub(crate) fn as_slice(&self) -> &[Sibling<M>] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    /// Changes them as a list.
    pub(crate) fn edit(&mut self, edit: impl FnOnce(&mut Siblings<M>)) {
        let mut siblings = match std::mem::take(self) {
            Self::None => Siblings::new(),
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        };
        edit(&mut siblings);
        *self = match siblings.len() {
            0 => Self::None,
            1 => siblings.pop().map_or(Self::None, Self::One),
            _ => Self::Many(siblings),
        };
    }

    /// Takes them all.
    pub(crate) fn clear(&mut self) {
        *self = Self::None;
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }
}

#[derive(Clone, Debug)]
struct Slot<M> {
    rest: Rest,
    sides: Sides<M>,
}

#[derive(Clone, Debug)]
pub(crate) struct Slots<M> {
    /// Each group's slots by the rest of their keys.
    groups: BTreeMap<Group, Vec<Slot<M>>>,
}

impl<M> Default for Slots<M> {
    fn default() -> Self {
        Self { groups: BTreeMap::new() }
    }
}

fn find<M>(slots: &[Slot<M>], rest: &[u8]) -> Result<usize, usize> {
    slots.binary_search_by(|slot| slot.rest.as_bytes().cmp(rest))
}

impl<M> Slots<M> {
    /// The siblings of a key; empty if there is no such slot.
    pub(crate) fn get(&self, key: &[u8]) -> &[Sibling<M>] {
        let (group, rest) = Group::split(key);
        let Some(slots) = self.groups.get(&group) else { return &[] };
        let found = find(slots, rest).ok().and_then(|at| slots.get(at));
        found.map_or(&[], |slot| slot.sides.as_slice())
    }

    /// Changes the siblings of a slot, which comes to be or ceases to be with them.
    pub(crate) fn update(&mut self, key: &[u8], update: impl FnOnce(&mut Sides<M>)) {
        let (group, rest) = Group::split(key);
        let slots = self.groups.entry(group).or_default();
        match find(slots, rest) {
            Ok(at) => {
                if let Some(slot) = slots.get_mut(at) {
                    update(&mut slot.sides);
                    if slot.sides.is_empty() {
                        slots.remove(at);
                    }
                }
            }
            Err(at) => {
                let mut sides = Sides::None;
                update(&mut sides);
                if !sides.is_empty() {
                    slots.insert(at, Slot { rest: Rest::new(rest), sides });
                }
            }
        }
        if slots.is_empty() {
            self.groups.remove(&group);
        }
    }

    /// All slots whose key sorts behind `after`, in order.
    pub(crate) fn after(
        &self,
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = (Box<[u8]>, &[Sibling<M>])> {
        let (first, rest) = after.map(Group::split).map_or((None, &[][..]), |(g, r)| (Some(g), r));
        let rest: Box<[u8]> = rest.into();
        let from = first.map_or(Bound::Unbounded, Bound::Included);
        self.groups
            .range((from, Bound::Unbounded))
            .flat_map(move |(group, slots)| {
                let is_first = first == Some(*group);
                let skipped = slots.partition_point(|s| is_first && s.rest.as_bytes() <= &*rest);
                slots.get(skipped..).unwrap_or_default().iter().map(move |slot| (group, slot))
            })
            .map(|(group, slot)| {
                let key = [group.as_bytes(), slot.rest.as_bytes()].concat();
                (key.into(), slot.sides.as_slice())
            })
    }

    /// All slots whose key begins with `prefix`, in order.
    pub(crate) fn range(&self, prefix: &[u8]) -> impl Iterator<Item = (Box<[u8]>, &[Sibling<M>])> {
        let (first, rest) = Group::split(prefix);
        let rest: Box<[u8]> = rest.into();
        self.groups
            .range(first..)
            .take_while(move |(group, _)| group.as_bytes().starts_with(first.as_bytes()))
            .flat_map(|(group, slots)| slots.iter().map(move |slot| (group, slot)))
            .filter(move |(_, slot)| slot.rest.as_bytes().starts_with(&rest))
            .map(|(group, slot)| {
                let key = [group.as_bytes(), slot.rest.as_bytes()].concat();
                (key.into(), slot.sides.as_slice())
            })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Dot, NodeId};

    fn sibling(seq: u64) -> Sibling<()> {
        Sibling { dot: Dot::new(NodeId(1), seq), meta: Arc::new(()), value: None }
    }

    /// Keys around the lengths at which something changes, some of them ending in zeros.
    fn keys() -> Vec<Vec<u8>> {
        let lengths = [0, 1, 2, 28, 29, 30, 31, 50, 51, 52, 60];
        let fill = |length: usize, last: u8| {
            let mut key = vec![7; length];
            if let Some(end) = key.last_mut() {
                *end = last;
            }
            key
        };
        lengths.iter().flat_map(|length| [0, 1, 7, 255].map(|last| fill(*length, last))).collect()
    }

    #[test]
    fn it_is_a_sorted_map_of_whole_keys() {
        let keys = keys();
        let mut slots = Slots::default();
        let mut map = BTreeMap::new();
        for (seq, key) in (1..).zip(keys.iter().rev().chain(&keys).step_by(3).chain(&keys)) {
            slots.update(key, |sides| sides.edit(|siblings| siblings.push(sibling(seq))));
            map.entry(key.clone()).or_insert_with(Vec::new).push(sibling(seq));
        }
        for key in keys.iter().step_by(5) {
            slots.update(key, |sides| sides.edit(Vec::clear));
            map.remove(key);
        }
        for prefix in &keys {
            assert_eq!(slots.get(prefix), map.get(prefix).map_or(&[][..], Vec::as_slice));
            let of_map = map.iter().filter(|(key, _)| key.starts_with(prefix));
            assert!(
                slots.range(prefix).eq(of_map.map(|(key, s)| (key[..].into(), s.as_slice()))),
                "{prefix:?}"
            );
            let behind = map.iter().filter(|(key, _)| *key > prefix);
            let after = slots.after(Some(prefix));
            assert!(after.eq(behind.map(|(key, s)| (key[..].into(), s.as_slice()))), "{prefix:?}");
        }
        assert!(slots.after(None).eq(slots.range(&[])));
        for key in &keys {
            slots.update(key, |sides| sides.edit(Vec::clear));
        }
        assert!(slots.groups.is_empty(), "nothing is left of a slot");
    }
}
