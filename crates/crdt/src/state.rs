//! The map, how transactions change it, and how two states join.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use crdts::{CmRDT, CvRDT};
use thiserror::Error;

use crate::{
    Digest, Dot, NodeId, Transaction, VersionVector, covers, digest::SlotHasher, dominates,
};

/// One side of a slot: what one transaction wrote and no later one has overwritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling<M> {
    /// The transaction.
    pub dot: Dot,
    /// What the application says of it.
    pub meta: Arc<M>,
    /// The value; `None` is a removal.
    pub value: Option<Arc<[u8]>>,
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
    slots: BTreeMap<Box<[u8]>, Siblings<M>>,
    digest: Digest,
}

impl<M> Default for State<M> {
    fn default() -> Self {
        Self { vector: VersionVector::new(), slots: BTreeMap::new(), digest: Digest::default() }
    }
}

/// The hash of one slot and the bucket it belongs to.
fn slot_hash<M>(key: &[u8], siblings: &Siblings<M>) -> (u8, u128) {
    let mut key_hasher = SlotHasher::new();
    key_hasher.part(key);
    let key_hash = key_hasher.finish();
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
    (key_hash.to_be_bytes()[0], hasher.finish())
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
    pub fn apply(&mut self, transaction: &Transaction<M>) -> Result<(), ApplyError> {
        self.admits(transaction)?;
        let Transaction { dot, deps, meta, writes } = transaction;
        for write in writes {
            let new = Sibling { dot: *dot, meta: Arc::clone(meta), value: write.value.clone() };
            self.change(&write.key, |siblings| {
                siblings.retain(|old| !covers(deps, &old.dot) && old.dot != *dot);
                insert(siblings, new);
            });
        }
        crate::advance(&mut self.vector, *dot);
        Ok(())
    }

    /// Joins another state into this one: a sibling stays if both sides have it, or one has it and
    /// the other's vector does not cover its dot.
    pub fn join(&mut self, other: Self) {
        let other_vector = other.vector;
        let mut others = other.slots;
        let keys: BTreeSet<_> = self.slots.keys().chain(others.keys()).cloned().collect();
        for key in keys {
            let theirs = others.remove(&key).unwrap_or_default();
            let ours = self.vector.clone();
            self.change(&key, |siblings| {
                let known = siblings.iter().map(|sibling| sibling.dot).collect::<Vec<_>>();
                siblings.retain(|sibling| {
                    let both = theirs.iter().any(|other| other.dot == sibling.dot);
                    both || !covers(&other_vector, &sibling.dot)
                });
                siblings.extend(theirs.into_iter().filter(|sibling| {
                    !known.contains(&sibling.dot) && !covers(&ours, &sibling.dot)
                }));
                siblings.sort_by_key(|sibling| (sibling.dot.actor, sibling.dot.counter));
            });
        }
        self.vector.merge(other_vector);
    }

    /// INVARIANT: the only place that touches a slot, so that the digest always follows.
    fn change(&mut self, key: &[u8], edit: impl FnOnce(&mut Siblings<M>)) {
        let Some(siblings) = self.slots.get_mut(key) else {
            let mut siblings = Siblings::new();
            edit(&mut siblings);
            if !siblings.is_empty() {
                let (bucket, hash) = slot_hash(key, &siblings);
                self.digest.add(bucket, hash);
                self.slots.insert(key.into(), siblings);
            }
            return;
        };
        let (bucket, hash) = slot_hash(key, siblings);
        self.digest.subtract(bucket, hash);
        edit(siblings);
        if siblings.is_empty() {
            self.slots.remove(key);
        } else {
            let (bucket, hash) = slot_hash(key, siblings);
            self.digest.add(bucket, hash);
        }
    }

    /// The siblings of a key; empty if it was never written.
    pub fn get(&self, key: &[u8]) -> &[Sibling<M>] {
        self.slots.get(key).map_or(&[], Vec::as_slice)
    }

    /// All slots whose key begins with `prefix`, in order.
    pub fn range<'a>(
        &'a self,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a [Sibling<M>])> + 'a {
        self.slots
            .range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, siblings)| (&**key, siblings.as_slice()))
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
        for (key, siblings) in &self.slots {
            put(key);
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
