//! Repair: where two replicas of one state differ, and how one takes on what the other holds.
//!
//! A replica whose digest differs from that of most others tells one of them its bucket sums. It
//! gets the other's slots of the buckets that differ, part by part along the keys, each part as of
//! one version vector.
//!
//! **Invariants.** Replicas change while they are compared. A slot none of whose siblings was
//! applied behind the part's version vector was not written since, so that it must be what the part
//! says; any other is left for another round. Nothing is taken that the receiver has not applied.
//!
//! **Must not know:** whose replica is right, how parts travel.

use thiserror::Error;

use crate::{
    BUCKETS, Digest, Moment, Sibling, Siblings, Slot, State, VersionVector, covers, dominates,
    state::{bucket, can_stand},
};

/// Some of a digest's buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buckets([u8; BUCKETS / 8]);

impl Buckets {
    /// From their bits.
    pub fn from_bits(bits: [u8; BUCKETS / 8]) -> Self {
        Self(bits)
    }

    /// As bits.
    pub fn bits(&self) -> &[u8; BUCKETS / 8] {
        &self.0
    }

    /// Those in which two digests differ.
    pub fn differing(ours: &[u128; BUCKETS], theirs: &[u128; BUCKETS]) -> Self {
        let mut bits = [0; BUCKETS / 8];
        for (byte, (ours, theirs)) in bits.iter_mut().zip(ours.chunks(8).zip(theirs.chunks(8))) {
            let differ = ours.iter().zip(theirs).map(|(ours, theirs)| u8::from(ours != theirs));
            *byte = differ.fold(0, |bits, bit| bits << 1 | bit);
        }
        Self(bits)
    }

    fn contains(&self, bucket: u8) -> bool {
        let byte = self.0.get(usize::from(bucket / 8)).copied().unwrap_or_default();
        byte >> (7 - bucket % 8) & 1 == 1
    }
}

/// A replica's slots of some buckets, in a range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<M> {
    /// What the replica had applied.
    pub at: VersionVector,
    /// The number of the barrier that it was collected by.
    pub collected: u64,
    /// The range begins behind this key; at the first one if there is none.
    pub after: Option<Box<[u8]>>,
    /// The range ends with this key; with the last one if there is none.
    pub upto: Option<Box<[u8]>>,
    /// The buckets.
    pub buckets: Buckets,
    /// All slots of these buckets in the range, in order.
    pub slots: Vec<Slot<M>>,
}

/// How a replica differs from a part of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences<M> {
    /// The slots that differ, as the part has them; without siblings if it has none.
    pub slots: Vec<Slot<M>>,
    /// Slots that were written since, and could not be compared.
    pub skipped: usize,
}

/// Why a replica cannot be compared with a part of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PartError {
    /// Not everything that the part has was applied here.
    #[error("it is ahead")]
    Ahead,
    /// They were collected by different barriers.
    #[error("it was collected by another barrier")]
    Collected,
    /// It is no part of a state.
    #[error("its slots are not those of a state")]
    Malformed,
}

/// How much of a state goes into one part, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLimits {
    /// Slots that are looked at, of whatever bucket.
    pub slots: usize,
    /// Bytes of keys and values, but for the last slot's.
    pub bytes: usize,
}

fn size_of<M>(key: &[u8], siblings: &[Sibling<M>]) -> usize {
    let values = siblings.iter().filter_map(|sibling| sibling.value.as_ref());
    key.len() + values.map(|value| value.len()).sum::<usize>()
}

impl<M> Part<M> {
    fn has(&self, key: &[u8]) -> bool {
        self.after.as_deref().is_none_or(|after| after < key)
            && self.upto.as_deref().is_none_or(|upto| key <= upto)
            && self.buckets.contains(bucket(key))
    }

    fn is_well_formed(&self) -> bool {
        let ordered = self.slots.is_sorted_by(|(a, _), (b, _)| a < b);
        ordered
            && self.slots.iter().all(|(key, siblings)| {
                self.has(key) && !siblings.is_empty() && can_stand(siblings, &self.at)
            })
    }
}

/// Whether siblings are those that the digest takes for equal.
fn are_equal<M>(ours: &[Sibling<M>], theirs: &[Sibling<M>]) -> bool {
    let parts = |sibling: &Sibling<M>| (sibling.dot, sibling.value.clone());
    ours.iter().map(parts).eq(theirs.iter().map(parts))
}

impl<M> State<M> {
    /// The slots behind `after`, of those buckets in which this state differs from the digest with
    /// the given sums.
    pub fn part(
        &self,
        after: Option<&[u8]>,
        sums: &[u128; BUCKETS],
        limits: PartLimits,
    ) -> Part<M> {
        let buckets = Buckets::differing(self.digest().buckets(), sums);
        let (mut slots, mut upto, mut bytes) = (Vec::new(), None, 0);
        for (seen, (key, siblings)) in self.slots_after(after).enumerate() {
            if seen >= limits.slots || bytes >= limits.bytes {
                break;
            }
            if buckets.contains(bucket(&key)) {
                bytes += size_of(&key, siblings);
                slots.push((key.clone(), siblings.to_vec()));
            }
            upto = Some(key);
        }
        let is_last = self.slots_after(upto.as_deref().or(after)).next().is_none();
        Part {
            at: self.vector().clone(),
            collected: self.collected(),
            after: after.map(Into::into),
            upto: upto.filter(|_| !is_last),
            buckets,
            slots,
        }
    }

    /// Where this state differs from a part of another replica.
    ///
    /// # Errors
    /// When they cannot be compared.
    pub fn differences(&self, part: &Part<M>) -> Result<Differences<M>, PartError> {
        if !part.is_well_formed() {
            return Err(PartError::Malformed);
        }
        if !dominates(self.vector(), &part.at) {
            return Err(PartError::Ahead);
        }
        if self.collected() != part.collected {
            return Err(PartError::Collected);
        }
        let ours = self.slots_after(part.after.as_deref());
        let in_range =
            ours.take_while(|(key, _)| part.upto.as_ref().is_none_or(|upto| key <= upto));
        let surplus = in_range.filter(|(key, _)| {
            part.has(key) && part.slots.binary_search_by(|(other, _)| other.cmp(key)).is_err()
        });
        let surplus = surplus.map(|(key, _)| (key, Siblings::new()));
        let mut differences = Differences { slots: Vec::new(), skipped: 0 };
        for (key, theirs) in surplus.chain(part.slots.iter().cloned()) {
            let ours = self.get(&key);
            if self.is_newer(ours, &part.at) {
                differences.skipped += 1;
            } else if !are_equal(ours, &theirs) {
                differences.slots.push((key, theirs));
            }
        }
        Ok(differences)
    }

    /// Whether one of the siblings was written here behind `at`. A dot that was not applied at all
    /// says nothing of the kind.
    fn is_newer(&self, siblings: &[Sibling<M>], at: &VersionVector) -> bool {
        let mut dots = siblings.iter().map(|sibling| &sibling.dot);
        dots.any(|dot| covers(self.vector(), dot) && !covers(at, dot))
    }

    /// Takes on slots as another replica had them when it had applied `at`: all that were not
    /// written since. `observe` sees each before and after, unless it does not exist then.
    pub fn mend(
        &mut self,
        at: &VersionVector,
        slots: Vec<Slot<M>>,
        mut observe: impl FnMut(Moment, &[u8], &[Sibling<M>]),
    ) {
        for (key, theirs) in slots {
            if !self.is_newer(self.get(&key), at) {
                self.replace(&key, theirs, &mut observe);
            }
        }
    }
}

impl Digest {
    /// The bucket sums as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.buckets().iter().flat_map(|sum| sum.to_be_bytes()).collect()
    }
}

/// Bucket sums from bytes; `None` if there are fewer or more.
pub fn sums_from_bytes(bytes: &[u8]) -> Option<Box<[u128; BUCKETS]>> {
    let (sums, rest) = bytes.as_chunks();
    let sums: Vec<u128> = sums.iter().map(|sum| u128::from_be_bytes(*sum)).collect();
    if rest.is_empty() { sums.into_boxed_slice().try_into().ok() } else { None }
}
