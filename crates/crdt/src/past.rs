//! What was overwritten lately, and what stands again if who overwrote it is doubted.
//!
//! A transaction can turn out to be *doubted*: something concurrent says that it should perhaps not
//! have been. Then what it wrote and what it overwrote both stand, until a later write that is not
//! doubted overwrites them.
//!
//! **Invariants.** A [view](Past::view) depends on the transactions that were applied and on who is
//! doubted, not on the order in which either came. What is settled is forgotten only where no view
//! needs it.
//!
//! **Must not know:** why a transaction is doubted, what a value means.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Dot, NodeId, Sibling, Siblings, VersionVector, covers};

/// A dot that sorts.
pub type Name = (NodeId, u64);

fn name(dot: &Dot) -> Name {
    (dot.actor, dot.counter)
}

/// Who makes another transaction doubted.
#[derive(Debug)]
pub struct Doubter<M> {
    /// Its name.
    pub dot: Dot,
    /// What the application says of it.
    pub meta: Arc<M>,
}

impl<M> Clone for Doubter<M> {
    fn clone(&self) -> Self {
        Self { dot: self.dot, meta: Arc::clone(&self.meta) }
    }
}

/// What a write found where it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// What it wrote, and nothing else.
    Same,
    /// Something else, or something else as well.
    Other,
}

/// The overwritten siblings of each slot, as far as they are needed.
#[derive(Clone, Debug)]
pub struct Past<M> {
    slots: BTreeMap<Box<[u8]>, PastSlot<M>>,
}

/// What is remembered of one slot.
#[derive(Clone, Debug)]
pub struct PastSlot<M> {
    /// What was overwritten.
    pub gone: Vec<Gone<M>>,
    /// The doubted ones of all that wrote here, with who doubts them, by ascending dot.
    pub doubted: BTreeMap<Name, Vec<Doubter<M>>>,
}

/// A sibling that was overwritten.
#[derive(Debug)]
pub struct Gone<M> {
    /// The sibling.
    pub sibling: Sibling<M>,
    /// Whoever had found it and overwrote it.
    pub by: Vec<Overwriter>,
}

impl<M> Clone for Gone<M> {
    fn clone(&self) -> Self {
        Self { sibling: self.sibling.clone(), by: self.by.clone() }
    }
}

/// Who overwrote a sibling that it had found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overwriter {
    /// Its name.
    pub dot: Dot,
    /// It wrote the same again, and had not heard of any doubt: it is worth what that was worth.
    pub relies: bool,
}

impl<M> Default for Past<M> {
    fn default() -> Self {
        Self { slots: BTreeMap::new() }
    }
}

impl<M> Default for PastSlot<M> {
    fn default() -> Self {
        Self { gone: Vec::new(), doubted: BTreeMap::new() }
    }
}

impl<M> Past<M> {
    /// Takes down a write, before it is applied to the slot's `siblings`. Gives what it found, and
    /// whether the slot has a view that has to be looked at again.
    pub fn record(
        &mut self,
        key: &[u8],
        siblings: &[Sibling<M>],
        (dot, deps): (Dot, &VersionVector),
        value: Option<&Arc<[u8]>>,
    ) -> (Found, bool) {
        let mut found = Found::Nothing;
        let mut find = |sibling: &Sibling<M>| {
            let same = sibling.value.as_ref() == value;
            found = match (found, same) {
                (Found::Nothing | Found::Same, true) => Found::Same,
                (Found::Nothing | Found::Same | Found::Other, _) => Found::Other,
            };
            same
        };
        let sees_all = siblings.iter().all(|sibling| covers(deps, &sibling.dot));
        if siblings.is_empty() && !self.slots.contains_key(key) {
            return (found, false);
        }
        let slot = self.slots.entry(key.into()).or_default();
        let mut inherited = Vec::new();
        let PastSlot { gone, doubted } = slot;
        let mut relies = |sibling: &Sibling<M>, same: bool| {
            let doubters = doubted.get(&name(&sibling.dot)).map_or(&[][..], Vec::as_slice);
            let relies = same && !doubters.iter().any(|doubter| covers(deps, &doubter.dot));
            if relies {
                inherited.extend(doubters.iter().cloned());
            }
            relies
        };
        // Who has seen all siblings has seen all that they overwrote, and who overwrote it.
        if !sees_all {
            for Gone { sibling, by } in &mut *gone {
                let seen = covers(deps, &sibling.dot);
                if seen && !by.iter().any(|by| covers(deps, &by.dot)) {
                    let relies = relies(sibling, find(sibling));
                    by.push(Overwriter { dot, relies });
                }
            }
        }
        for sibling in siblings.iter().filter(|sibling| covers(deps, &sibling.dot)) {
            let relies = relies(sibling, find(sibling));
            gone.push(Gone { sibling: sibling.clone(), by: vec![Overwriter { dot, relies }] });
        }
        let viewed = !doubted.is_empty();
        for doubter in inherited {
            slot.doubt(name(&dot), &doubter);
        }
        (found, viewed)
    }

    /// What a slot held for who had applied just `deps`, as far as it is not settled that nobody
    /// comes any more who did.
    pub fn seen<'a>(
        &'a self,
        key: &[u8],
        siblings: &'a [Sibling<M>],
        deps: &'a VersionVector,
    ) -> impl Iterator<Item = &'a Sibling<M>> + use<'a, M> {
        let gone = self.slots.get(key).map_or(&[][..], |slot| slot.gone.as_slice());
        let was_there = |gone: &&Gone<M>| !gone.by.iter().any(|by| covers(deps, &by.dot));
        let gone = gone.iter().filter(was_there).map(|gone| &gone.sibling);
        gone.chain(siblings).filter(|sibling| covers(deps, &sibling.dot))
    }

    /// A transaction that wrote a slot is doubted; so is whoever wrote the same again, relying on
    /// it. Whether that is news.
    pub fn doubt(&mut self, key: &[u8], dot: &Dot, doubter: &Doubter<M>) -> bool {
        self.slots.entry(key.into()).or_default().doubt(name(dot), doubter)
    }

    /// What was overwritten in a slot.
    pub fn gone(&self, key: &[u8]) -> impl Iterator<Item = &Sibling<M>> + use<'_, M> {
        let gone = self.slots.get(key).map_or(&[][..], |slot| slot.gone.as_slice());
        gone.iter().map(|gone| &gone.sibling)
    }

    /// Who doubts what a transaction wrote in a slot, by ascending dot.
    pub fn doubters(&self, key: &[u8], dot: &Dot) -> &[Doubter<M>] {
        let doubted = self.slots.get(key).map(|slot| &slot.doubted);
        doubted.and_then(|doubted| doubted.get(&name(dot))).map_or(&[], Vec::as_slice)
    }

    /// What stands in a slot, if any of those who wrote it is doubted: siblings that nobody who is
    /// beyond doubt overwrote. If only the doubted wrote it, it may be as if nobody had: that is a
    /// removal by the first doubter.
    pub fn view(&self, key: &[u8], siblings: &[Sibling<M>]) -> Option<Siblings<M>> {
        let slot = self.slots.get(key).filter(|slot| !slot.doubted.is_empty())?;
        let gone = slot.gone(|_| true);
        let standing = slot.gone.iter().filter(|g| !gone.contains(&name(&g.sibling.dot)));
        let mut view: Siblings<M> = standing.map(|g| g.sibling.clone()).collect();
        view.extend(siblings.iter().cloned());
        if view.iter().all(|sibling| slot.doubted.contains_key(&name(&sibling.dot))) {
            let doubters = slot.doubted.values().flatten();
            let first = doubters.min_by_key(|doubter| name(&doubter.dot));
            view.extend(first.map(|Doubter { dot, meta }| Sibling {
                dot: *dot,
                meta: Arc::clone(meta),
                value: None,
            }));
        }
        view.sort_by_key(|sibling| name(&sibling.dot));
        Some(view)
    }

    /// Forgets what no view needs any more once all of `stable` is settled: nobody who wrote that
    /// can come to be doubted. Gives the slots that have no view any more.
    pub fn settle<'a>(
        &mut self,
        stable: &VersionVector,
        siblings: impl Fn(&[u8]) -> &'a [Sibling<M>],
    ) -> Vec<Box<[u8]>>
    where
        M: 'a,
    {
        let mut resolved = Vec::new();
        self.slots.retain(|key, slot| {
            let viewed = !slot.doubted.is_empty();
            slot.settle(stable, siblings(key));
            if viewed && slot.doubted.is_empty() {
                resolved.push(key.clone());
            }
            !slot.gone.is_empty() || !slot.doubted.is_empty()
        });
        resolved
    }

    /// What is remembered, by key.
    pub fn slots(&self) -> impl Iterator<Item = (&[u8], &PastSlot<M>)> {
        self.slots.iter().map(|(key, slot)| (&**key, slot))
    }

    /// Remembers what another state remembers of a slot, as well.
    pub fn join_slot(&mut self, key: &[u8], other: PastSlot<M>) {
        let slot = self.slots.entry(key.into()).or_default();
        let PastSlot { gone, doubted } = other;
        for Gone { sibling, by } in gone {
            match slot.gone.iter_mut().find(|known| known.sibling.dot == sibling.dot) {
                Some(known) => {
                    let new = by.into_iter().filter(|by| known.by.iter().all(|k| k.dot != by.dot));
                    known.by.extend(new.collect::<Vec<_>>());
                }
                None => slot.gone.push(Gone { sibling, by }),
            }
        }
        // Once all overwriters are known, who relies on a doubted one is found.
        for (dot, doubters) in doubted {
            for doubter in doubters {
                slot.doubt(dot, &doubter);
            }
        }
        let known: Vec<_> = slot.doubted.iter().map(|(dot, by)| (*dot, by.clone())).collect();
        for (dot, doubters) in known {
            doubters.iter().for_each(|doubter| slot.pass_on(dot, doubter));
        }
    }

    /// Forgets all of a slot.
    pub fn forget(&mut self, key: &[u8]) {
        self.slots.remove(key);
    }

    /// How many overwritten siblings are remembered.
    pub fn len(&self) -> usize {
        self.slots.values().map(|slot| slot.gone.len()).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

impl<M> PastSlot<M> {
    /// Whoever relies on a doubted one is doubted with it.
    fn pass_on(&mut self, dot: Name, doubter: &Doubter<M>) {
        let gone = self.gone.iter().filter(|gone| name(&gone.sibling.dot) == dot);
        let by = gone.flat_map(|gone| &gone.by).filter(|by| by.relies);
        let names: Vec<Name> = by.map(|by| name(&by.dot)).collect();
        for name in names {
            self.doubt(name, doubter);
        }
    }

    fn doubt(&mut self, dot: Name, doubter: &Doubter<M>) -> bool {
        let mut news = false;
        let mut names = vec![dot];
        while let Some(dot) = names.pop() {
            let doubters = self.doubted.entry(dot).or_default();
            let by = name(&doubter.dot);
            let Err(at) = doubters.binary_search_by_key(&by, |doubter| name(&doubter.dot)) else {
                continue;
            };
            doubters.insert(at, doubter.clone());
            news = true;
            let gone = self.gone.iter().filter(|gone| name(&gone.sibling.dot) == dot);
            let by = gone.flat_map(|gone| &gone.by).filter(|by| by.relies);
            names.extend(by.map(|by| name(&by.dot)));
        }
        news
    }

    /// Those of the overwritten whom somebody beyond doubt, and `counts`, overwrote, directly or
    /// through others.
    fn gone(&self, counts: impl Fn(&Name) -> bool) -> Vec<Name> {
        let mut gone: Vec<Name> = Vec::new();
        // Who overwrites comes after whom it overwrites, but not always in this list.
        loop {
            let before = gone.len();
            for Gone { sibling, by } in &self.gone {
                let is_gone = by.iter().map(|by| name(&by.dot)).any(|by| {
                    let beyond_doubt = !self.doubted.contains_key(&by) && counts(&by);
                    beyond_doubt || gone.contains(&by)
                });
                if is_gone && !gone.contains(&name(&sibling.dot)) {
                    gone.push(name(&sibling.dot));
                }
            }
            if gone.len() == before {
                return gone;
            }
        }
    }

    fn settle(&mut self, stable: &VersionVector, siblings: &[Sibling<M>]) {
        let is_stable = |(node, seq): &Name| stable.get(node) >= *seq;
        let gone = if self.doubted.is_empty() {
            let by = |by: &Overwriter| is_stable(&name(&by.dot));
            self.gone.retain(|gone| !gone.by.iter().any(by));
            return;
        } else {
            self.gone(is_stable)
        };
        self.gone.retain(|g| !gone.contains(&name(&g.sibling.dot)));
        let mut left = self.gone.iter().map(|gone| &gone.sibling).chain(siblings);
        let left: Vec<Name> = left.by_ref().map(|sibling| name(&sibling.dot)).collect();
        self.doubted.retain(|dot, _| left.contains(dot));
    }
}
