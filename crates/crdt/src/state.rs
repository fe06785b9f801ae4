//! The map, how transactions change it, and how two states join.

use std::{collections::BTreeSet, sync::Arc};

use crdts::{CmRDT, CvRDT};
use thiserror::Error;

use crate::{
    Barrier, Digest, Dot, Fate, NodeId, Transaction, VersionVector, covers,
    digest::SlotHasher,
    dominates,
    frozen::{Frozen, Slot},
    slots::{Sides, Slots},
};

/// One side of a slot: what one transaction wrote and no later one has overwritten.
#[derive(Debug, PartialEq, Eq)]
pub struct Sibling<M> {
    /// The transaction.
    pub dot: Dot,
    /// What the application says of it.
    pub meta: Arc<M>,
    /// The value; `None` is a removal.
    pub value: Option<Arc<[u8]>>,
}

impl<M> Clone for Sibling<M> {
    fn clone(&self) -> Self {
        Self { dot: self.dot, meta: Arc::clone(&self.meta), value: self.value.clone() }
    }
}

/// All sides of a slot, by ascending dot; more than one if they are concurrent. Never empty.
pub type Siblings<M> = Vec<Sibling<M>>;

/// Why a transaction cannot be applied here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// It was applied before.
    #[error("transaction {0:?} was applied before")]
    Duplicate(Dot),
    /// Something that it depends on is missing.
    #[error("transaction {0:?} came before what it depends on")]
    Early(Dot),
}

/// The replicated state.
#[derive(Clone, Debug)]
pub struct State<M> {
    vector: VersionVector,
    slots: Slots<M>,
    digest: Digest,
    /// The keys of the slots that say nothing but that something was removed.
    removed: BTreeSet<Box<[u8]>>,
    /// The number of the last barrier that was collected by, 0 for none.
    collected: u64,
    /// The state as it was at some moment, while somebody copies that.
    frozen: Option<Frozen<M>>,
}

/// What names a state, besides its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What has been applied.
    pub vector: VersionVector,
    /// The number of the last barrier that it was collected by, 0 for none.
    pub collected: u64,
    /// `Digest::total` of the slots.
    pub digest: [u8; 16],
}

impl<M> Default for State<M> {
    fn default() -> Self {
        Self {
            vector: VersionVector::new(),
            slots: Slots::default(),
            digest: Digest::default(),
            removed: BTreeSet::new(),
            collected: 0,
            frozen: None,
        }
    }
}

/// Whether a slot is about to change, or has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// As it was.
    Before,
    /// As it is.
    After,
}

/// The bucket of the digest that a key belongs to.
pub(crate) fn bucket(key: &[u8]) -> u8 {
    let mut hasher = SlotHasher::new();
    hasher.part(key);
    hasher.finish().to_be_bytes()[0]
}

/// The hash of one slot.
pub(crate) fn slot_hash<M>(key: &[u8], siblings: &[Sibling<M>]) -> u128 {
    let mut hasher = SlotHasher::new();
    hasher.part(key);
    for Sibling { dot, meta: _, value } in siblings {
        hasher.number(u64::from(dot.actor.0));
        hasher.number(dot.counter);
        match value {
            Some(value) => hasher.part(value),
            None => hasher.number(u64::MAX),
        }
    }
    hasher.finish()
}

/// Whether siblings can stand in a slot, where so much was applied.
pub(crate) fn can_stand<M>(siblings: &[Sibling<M>], at: &VersionVector) -> bool {
    let dots = siblings.iter().map(|sibling| (sibling.dot.actor, sibling.dot.counter));
    dots.is_sorted_by(|a, b| a < b)
        && siblings.iter().all(|one| one.dot.counter > 0 && covers(at, &one.dot))
}

/// Whether a slot says nothing but that something was removed.
fn is_removed<M>(siblings: &[Sibling<M>]) -> bool {
    siblings.iter().all(|sibling| sibling.value.is_none())
}

/// Adds a transaction's sibling to a slot; those that `deps` covers go.
fn put<M>(sides: &mut Sides<M>, deps: &VersionVector, new: Sibling<M>) {
    let dot = new.dot;
    let goes = |old: &Sibling<M>| covers(deps, &old.dot) || old.dot == dot;
    if sides.as_slice().iter().all(goes) {
        *sides = Sides::One(new);
        return;
    }
    sides.edit(|siblings| {
        siblings.retain(|old| !goes(old));
        insert(siblings, new);
    });
}

/// Adds a sibling where its dot belongs. Nearly every slot has one for ever, so no room is made for
/// more until they come.
fn insert<M>(siblings: &mut Siblings<M>, new: Sibling<M>) {
    let order = |sibling: &Sibling<M>| (sibling.dot.actor, sibling.dot.counter);
    let at = siblings.partition_point(|sibling| order(sibling) < order(&new));
    siblings.reserve_exact(1);
    siblings.insert(at, new);
}

impl<M> State<M> {
    /// What has been applied.
    pub fn vector(&self) -> &VersionVector {
        &self.vector
    }

    /// The digest of the whole map.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What names this state. Together with all slots ([`Self::range`]) it is the whole of it: what
    /// else a state holds follows from them.
    pub fn summary(&self) -> Summary {
        let Self { vector, slots: _, digest, removed: _, collected, frozen: _ } = self;
        Summary { vector: vector.clone(), collected: *collected, digest: digest.total() }
    }

    /// Whether a transaction can be applied: it is its origin's next and nothing it depends on is
    /// missing.
    pub fn admits(&self, transaction: &Transaction<M>) -> Result<(), ApplyError> {
        let Transaction { dot, deps, .. } = transaction;
        let applied = self.vector.get(&dot.actor);
        if dot.counter <= applied {
            return Err(ApplyError::Duplicate(*dot));
        }
        if dot.counter - 1 != applied || !dominates(&self.vector, deps) {
            return Err(ApplyError::Early(*dot));
        }
        Ok(())
    }

    /// Applies a transaction: for each write, the siblings that `deps` covers are overwritten, the
    /// others stay, the new one is added.
    ///
    /// # Errors
    /// As [`Self::admits`]; nothing changes then.
    pub fn apply(&mut self, transaction: &Transaction<M>) -> Result<(), ApplyError> {
        self.apply_observed(transaction, |_, _, _| {})
    }

    /// As [`Self::apply`]; `observe` sees each slot that changes before and after, unless it does
    /// not exist then.
    ///
    /// # Errors
    /// As [`Self::admits`]; nothing changes then.
    pub fn apply_observed(
        &mut self,
        transaction: &Transaction<M>,
        mut observe: impl FnMut(Moment, &[u8], &[Sibling<M>]),
    ) -> Result<(), ApplyError> {
        self.admits(transaction)?;
        let Transaction { dot, deps, meta, writes } = transaction;
        for write in writes {
            let new = Sibling { dot: *dot, meta: Arc::clone(meta), value: write.value.clone() };
            self.change(&write.key, &mut observe, |sides| put(sides, deps, new));
        }
        crate::advance(&mut self.vector, *dot);
        Ok(())
    }

    /// Joins another state into this one: a sibling stays if both sides have it, or one has it and
    /// the other's vector does not cover its dot.
    pub fn join(&mut self, other: Self) {
        self.join_observed(other, |_, _, _| {});
    }

    /// As [`Self::join`]; `observe` sees each slot that changes before and after, unless it does
    /// not exist then.
    pub fn join_observed(
        &mut self,
        other: Self,
        mut observe: impl FnMut(Moment, &[u8], &[Sibling<M>]),
    ) {
        let same = |ours: &[Sibling<M>], theirs: &[Sibling<M>]| {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| a.dot == b.dot)
        };
        let theirs = other.slots.range(&[]);
        let differ = theirs.filter(|(key, theirs)| !same(self.slots.get(key), theirs));
        let mut keys: Vec<_> = differ.map(|(key, _)| key).collect();
        let gone = |ours: &[Sibling<M>]| ours.iter().any(|one| covers(&other.vector, &one.dot));
        let lost = self.slots.range(&[]).filter(|(_, ours)| gone(ours));
        keys.extend(lost.map(|(key, _)| key).filter(|key| other.slots.get(key).is_empty()));
        let ours = self.vector.clone();
        for key in keys {
            let theirs = other.slots.get(&key);
            self.change(&key, &mut observe, |sides| {
                sides.edit(|siblings| {
                    let known = siblings.iter().map(|sibling| sibling.dot).collect::<Vec<_>>();
                    siblings.retain(|sibling| {
                        let both = theirs.iter().any(|other| other.dot == sibling.dot);
                        both || !covers(&other.vector, &sibling.dot)
                    });
                    let new = theirs.iter().filter(|sibling| {
                        !known.contains(&sibling.dot) && !covers(&ours, &sibling.dot)
                    });
                    siblings.extend(new.cloned());
                    siblings.sort_by_key(|sibling| (sibling.dot.actor, sibling.dot.counter));
                });
            });
        }
        self.vector.merge(other.vector);
        // What either has forgotten is gone from both: its dot is covered, its sibling missing.
        self.collected = self.collected.max(other.collected);
    }

    /// The number of the last barrier that this state was collected by, 0 for none. States that
    /// have applied the same are equal only if this is.
    pub fn collected(&self) -> u64 {
        self.collected
    }

    /// Whether [`Self::collect`] would do anything by this barrier.
    pub fn is_due(&self, barrier: &Barrier) -> bool {
        let Barrier { number, stable: _, cut } = barrier;
        *number > self.collected && dominates(&self.vector, cut)
    }

    /// Forgets the removals that a barrier says nothing concurrent can come to any more, and what
    /// the application lets go with them. `fate` is asked about each slot that holds nothing but
    /// such removals; `observe` sees what is forgotten. `false`, and nothing changes, if the state
    /// was collected by this barrier before or lacks some of what the barrier's cut covers.
    ///
    /// INVARIANT: it makes no difference whether a transaction that the cut does not cover is
    /// applied before or after this: such a one depends on all that is forgotten.
    pub fn collect(
        &mut self,
        barrier: &Barrier,
        fate: impl Fn(&[u8]) -> Fate,
        mut observe: impl FnMut(Moment, &[u8], &[Sibling<M>]),
    ) -> bool {
        if !self.is_due(barrier) {
            return false;
        }
        let Barrier { number, stable, cut: _ } = barrier;
        self.collected = *number;
        let is_stable = |siblings: &[Sibling<M>]| siblings.iter().all(|s| covers(stable, &s.dot));
        let removed: Vec<_> =
            self.removed.iter().filter(|key| is_stable(self.slots.get(key))).cloned().collect();
        for key in removed {
            match fate(&key) {
                Fate::Keep => {}
                Fate::Forget => self.change(&key, &mut observe, Sides::clear),
                Fate::ForgetAll { prefix } => {
                    let all = self.slots.range(&prefix);
                    let stable = all.filter(|(_, siblings)| is_stable(siblings));
                    for key in stable.map(|(key, _)| key).collect::<Vec<_>>() {
                        self.change(&key, &mut observe, Sides::clear);
                    }
                }
            }
        }
        true
    }

    /// INVARIANT: the only place that touches a slot, so that the digest, the list of removed slots
    /// and what is frozen always follow. `observe` sees the slot before and after, unless it does
    /// not exist then.
    fn change(
        &mut self,
        key: &[u8],
        observe: &mut impl FnMut(Moment, &[u8], &[Sibling<M>]),
        change: impl FnOnce(&mut Sides<M>),
    ) {
        let Self { slots, digest, removed, frozen, .. } = self;
        let bucket = bucket(key);
        slots.update(key, |sides| {
            Frozen::save(frozen, key, sides.as_slice());
            let mut was_removed = false;
            if let siblings @ [_, ..] = sides.as_slice() {
                was_removed = is_removed(siblings);
                digest.subtract(bucket, slot_hash(key, siblings));
                observe(Moment::Before, key, siblings);
            }
            change(sides);
            let mut is_removed_now = false;
            if let siblings @ [_, ..] = sides.as_slice() {
                is_removed_now = is_removed(siblings);
                digest.add(bucket, slot_hash(key, siblings));
                observe(Moment::After, key, siblings);
            }
            match (was_removed, is_removed_now) {
                (false, true) => drop(removed.insert(key.into())),
                (true, false) => drop(removed.remove(key)),
                (false, false) | (true, true) => {}
            }
        });
    }

    /// Keeps the state as it is for [`Self::frozen_slots`], however it changes meanwhile, until
    /// [`Self::thaw`]. An earlier freeze ends.
    pub fn freeze(&mut self) {
        self.frozen = Some(Frozen::new(self.summary()));
    }

    /// What was frozen; `None` if nothing is: more changed meanwhile than is remembered.
    pub fn frozen(&self) -> Option<&Summary> {
        self.frozen.as_ref().map(Frozen::summary)
    }

    /// Of what is frozen, in the order of their keys, at most `slots_max` slots behind `after`;
    /// fewer only at the end. `None` if nothing is frozen.
    pub fn frozen_slots(&self, after: Option<&[u8]>, slots_max: usize) -> Option<Vec<Slot<M>>> {
        let frozen = self.frozen.as_ref()?;
        Some(frozen.slots(self.slots.after(after), after, slots_max))
    }

    /// Slots up to this key were copied: they need not be kept as they were any more.
    pub fn copied(&mut self, upto: &[u8]) {
        if let Some(frozen) = &mut self.frozen {
            frozen.copied(upto);
        }
    }

    /// Nothing is frozen any more.
    pub fn thaw(&mut self) {
        self.frozen = None;
    }

    /// Puts back a slot of a state that is being restored.
    pub(crate) fn put_back(&mut self, key: &[u8], siblings: Siblings<M>) {
        self.replace(key, siblings, &mut |_, _, _| {});
    }

    /// Gives a slot other siblings, or none.
    pub(crate) fn replace(
        &mut self,
        key: &[u8],
        siblings: Siblings<M>,
        observe: &mut impl FnMut(Moment, &[u8], &[Sibling<M>]),
    ) {
        self.change(key, observe, |sides| sides.edit(|all| *all = siblings));
    }

    /// All slots whose key sorts behind `after`, in order.
    pub(crate) fn slots_after(
        &self,
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = (Box<[u8]>, &[Sibling<M>])> {
        self.slots.after(after)
    }

    /// An empty state that says it has applied all that a summary says.
    pub(crate) fn empty_at(summary: &Summary) -> Self {
        let Summary { vector, collected, digest: _ } = summary;
        Self { vector: vector.clone(), collected: *collected, ..Self::default() }
    }

    /// The siblings of a key; empty if it was never written.
    pub fn get(&self, key: &[u8]) -> &[Sibling<M>] {
        self.slots.get(key)
    }

    /// All slots whose key begins with `prefix`, in order.
    pub fn range(&self, prefix: &[u8]) -> impl Iterator<Item = (Box<[u8]>, &[Sibling<M>])> {
        self.slots.range(prefix)
    }

    /// The state as bytes that are equal if and only if vectors, keys, dots and values are.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |part: &[u8]| {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        };
        for (NodeId(node), seq) in &self.vector.dots {
            put(&node.to_be_bytes());
            put(&seq.to_be_bytes());
        }
        for (key, siblings) in self.slots.range(&[]) {
            put(&key);
            for Sibling { dot, meta: _, value } in siblings {
                put(&dot.actor.0.to_be_bytes());
                put(&dot.counter.to_be_bytes());
                put(if value.is_some() { b"+" } else { b"-" });
                put(value.as_deref().unwrap_or_default());
            }
        }
        bytes
    }
}

impl<M> CmRDT for State<M> {
    type Op = Transaction<M>;
    type Validation = ApplyError;

    fn validate_op(&self, op: &Self::Op) -> Result<(), ApplyError> {
        self.admits(op)
    }

    /// Applies what [`State::admits`]; ignores the rest, as re-delivery must be harmless.
    fn apply(&mut self, op: Self::Op) {
        let _refused = Self::apply(self, &op);
    }
}

impl<M> CvRDT for State<M> {
    type Validation = std::convert::Infallible;

    fn validate_merge(&self, _other: &Self) -> Result<(), Self::Validation> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.join(other);
    }
}
