//! Repair of one replica by another while both go on: what was damaged is found, what was not is
//! left alone, and the two are equal byte for byte again.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{collections::BTreeSet, sync::Arc};

use crdt::{
    BUCKETS, Buckets, Dot, NodeId, Part, PartError, PartLimits, Sibling, Siblings, State,
    Transaction, VersionVector, Write, sums_from_bytes,
};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn key(number: u64) -> Box<[u8]> {
    [&b"key "[..], &number.to_be_bytes()].concat().into()
}

/// A transaction of one of two nodes, which do not always know of each other.
fn next(random: &mut Random, known: &mut [VersionVector; 2], keys: u64) -> Transaction<()> {
    let at = usize::from(random.below(2) == 1);
    if random.below(3) == 0 {
        let other = known[1 - at].clone();
        other
            .iter()
            .for_each(|dot| crdt::advance(&mut known[at], Dot::new(*dot.actor, dot.counter)));
    }
    let deps = known[at].clone();
    let dot = deps.inc(NodeId(u32::try_from(at).unwrap() + 1));
    crdt::advance(&mut known[at], dot);
    let value = (random.below(5) > 0).then(|| Arc::from(random.0.to_be_bytes()));
    let write = Write { key: key(random.below(keys)), value };
    Transaction { dot, deps, meta: Arc::new(()), writes: vec![write] }
}

/// Makes something of a slot that no transaction made of it: another value, nothing, or a slot that
/// is not there.
fn damage(random: &mut Random, state: &mut State<()>, number: u64) {
    let at = state.vector().clone();
    let mut siblings: Siblings<()> = state.get(&key(number)).to_vec();
    match (random.below(4), siblings.first_mut()) {
        (0, Some(first)) => first.value = Some(Arc::from(*b"damaged")),
        (1, Some(_)) => drop(siblings.pop()),
        (2, Some(first)) => first.dot.counter += 1 << 40,
        (_, Some(_)) => siblings.clear(),
        (_, None) => {
            let dot = Dot::new(NodeId(1), 1);
            siblings.push(Sibling { dot, meta: Arc::new(()), value: None });
        }
    }
    state.mend(&at, vec![(key(number), siblings)], |_, _, _| {});
}

fn part(sound: &State<()>, after: Option<&[u8]>, damaged: &State<()>) -> Part<()> {
    let sums = sums_from_bytes(&damaged.digest().to_bytes()).unwrap();
    sound.part(after, &sums, PartLimits { slots: 7, bytes: 60 })
}

#[test]
fn what_differs_is_found_and_mended_while_both_go_on() {
    for seed in 1..=300 {
        let mut random = Random(seed);
        let mut known = [VersionVector::new(), VersionVector::new()];
        let (mut sound, mut damaged) = (State::default(), State::default());
        for _ in 0..60 {
            let transaction = next(&mut random, &mut known, 40);
            sound.apply(&transaction).unwrap();
            damaged.apply(&transaction).unwrap();
        }
        let broken: BTreeSet<_> = (0..random.below(6)).map(|_| random.below(50)).collect();
        broken.iter().for_each(|number| damage(&mut random, &mut damaged, *number));
        let really: BTreeSet<_> =
            (0..50).map(key).filter(|key| sound.get(key) != damaged.get(key)).collect();
        let mut mended = BTreeSet::new();
        for round in 0..3 {
            let mut after: Option<Box<[u8]>> = None;
            loop {
                let mut behind = Vec::new();
                if round < 2 {
                    for _ in 0..random.below(4) {
                        let transaction = next(&mut random, &mut known, 40);
                        sound.apply(&transaction).unwrap();
                        behind.push(transaction);
                    }
                }
                let part = part(&sound, after.as_deref(), &damaged);
                if let Some(transaction) = behind.first() {
                    assert_eq!(damaged.differences(&part), Err(PartError::Ahead));
                    assert!(!crdt::covers(damaged.vector(), &transaction.dot));
                }
                behind.iter().for_each(|transaction| damaged.apply(transaction).unwrap());
                if round < 2 && random.below(2) == 0 {
                    // It is ahead of the part.
                    let transaction = next(&mut random, &mut known, 40);
                    sound.apply(&transaction).unwrap();
                    damaged.apply(&transaction).unwrap();
                }
                let differences = damaged.differences(&part).unwrap();
                assert!(round < 2 || differences.skipped == 0);
                mended.extend(differences.slots.iter().map(|(key, _)| key.clone()));
                damaged.mend(&part.at, differences.slots, |_, _, _| {});
                match part.upto {
                    Some(upto) => after = Some(upto),
                    None => break,
                }
            }
        }
        assert!(mended.is_subset(&really), "seed {seed}: a sound slot was touched");
        assert_eq!(damaged.canonical_bytes(), sound.canonical_bytes(), "seed {seed}");
        assert_eq!(damaged.digest(), sound.digest(), "seed {seed}");
    }
}

#[test]
fn a_part_that_is_none_is_refused() {
    let mut random = Random(5);
    let mut known = [VersionVector::new(), VersionVector::new()];
    let mut sound = State::default();
    for _ in 0..60 {
        sound.apply(&next(&mut random, &mut known, 40)).unwrap();
    }
    let none = [0; BUCKETS];
    let limits = PartLimits { slots: 5, bytes: 1 << 20 };
    let whole = sound.part(Some(&key(3)), &none, limits);
    assert!(sound.differences(&whole).unwrap().slots.is_empty());
    assert!(whole.slots.len() > 2 && whole.upto.is_some());
    let refused = |change: &dyn Fn(&mut Part<()>)| {
        let mut part = whole.clone();
        change(&mut part);
        assert_eq!(sound.differences(&part), Err(PartError::Malformed));
    };
    refused(&|part| part.slots.reverse());
    refused(&|part| part.slots.first_mut().unwrap().1.clear());
    refused(&|part| part.slots.first_mut().unwrap().1.first_mut().unwrap().dot.counter = 0);
    refused(&|part| part.slots.first_mut().unwrap().1.first_mut().unwrap().dot.counter = 999);
    refused(&|part| part.after.clone_from(&part.upto));
    refused(&|part| part.upto.clone_from(&part.after));
    refused(&|part| part.buckets = Buckets::default());
    let collected = Part { collected: 1, ..whole.clone() };
    assert_eq!(sound.differences(&collected), Err(PartError::Collected));
}

#[test]
fn buckets_are_told_apart_by_their_sums() {
    let (ours, mut theirs) = ([7; BUCKETS], [7; BUCKETS]);
    assert_eq!(Buckets::differing(&ours, &theirs), Buckets::default());
    theirs[0] = 1;
    theirs[10] = 1;
    theirs[255] = 1;
    let mut bits = [0; 32];
    (bits[0], bits[1], bits[31]) = (0b1000_0000, 0b0010_0000, 1);
    assert_eq!(Buckets::differing(&ours, &theirs), Buckets::from_bits(bits));
    assert_eq!(sums_from_bytes(&[0; 16 * BUCKETS - 1]), None);
    assert_eq!(sums_from_bytes(&[0; 16 * BUCKETS + 16]), None);
}
