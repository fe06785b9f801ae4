//! Collection against a state that never forgets, over small histories, every barrier that may be
//! agreed on, and every moment at which a node may come to it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::sync::Arc;

use crdt::{
    Barrier, Dot, Fate, NodeId, Sibling, State, Transaction, VersionVector, Write, advance,
};

const KEYS: [&[u8]; 2] = [b"a", b"b"];

/// A transaction that writes one key, or removes it.
fn transaction(
    (node, seq): (u32, u64),
    deps: &VersionVector,
    key: &[u8],
    value: Option<u8>,
) -> Transaction<()> {
    Transaction {
        dot: Dot::new(NodeId(node), seq),
        deps: deps.clone(),
        meta: Arc::new(()),
        writes: vec![Write { key: key.into(), value: value.map(|byte| Arc::from([byte])) }],
    }
}

fn vector<'a>(transactions: impl IntoIterator<Item = &'a Transaction<()>>) -> VersionVector {
    transactions.into_iter().map(|transaction| transaction.dot).collect()
}

/// A write at one node, then one at each of two others, of which either may have seen the first and
/// the third the second. Two of the three may be removals.
fn histories() -> Vec<Vec<Transaction<()>>> {
    let mut all = Vec::new();
    for mask in 0..64_u32 {
        let bit = |at: u32| mask >> at & 1 == 1;
        let first = transaction((1, 1), &VersionVector::new(), b"a", Some(1));
        let deps = vector([&first].into_iter().filter(|_| bit(0)));
        let second = transaction((2, 1), &deps, KEYS[usize::from(bit(1))], (!bit(2)).then_some(2));
        let mut deps = vector([&first].into_iter().filter(|_| bit(3)));
        if bit(4) {
            advance(&mut deps, second.dot);
            second
                .deps
                .iter()
                .for_each(|dot| advance(&mut deps, Dot::new(*dot.actor, dot.counter)));
        }
        let third = transaction((3, 1), &deps, b"a", (!bit(5)).then_some(3));
        all.push(vec![first, second, third]);
    }
    all
}

/// Every set of transactions that holds what its members depend on.
fn closed(history: &[Transaction<()>]) -> Vec<VersionVector> {
    let subsets = (0..1_u32 << history.len()).map(|mask| {
        history.iter().enumerate().filter(move |(at, _)| mask >> at & 1 == 1).map(|(_, t)| t)
    });
    subsets
        .filter(|set| {
            let has = vector(set.clone());
            set.clone().all(|t| crdt::dominates(&has, &t.deps))
        })
        .map(vector)
        .collect()
}

/// What comes once the barrier is agreed on: from a node that has what is stable and nothing else,
/// and from one that has everything.
fn later(history: &[Transaction<()>], stable: &VersionVector) -> Vec<Vec<Transaction<()>>> {
    let all = vector(history);
    let mut found = Vec::new();
    for key in KEYS {
        for value in [None, Some(4)] {
            let one = transaction((4, 1), stable, key, value);
            let two = transaction((5, 1), &all, b"a", value.map(|byte| byte + 1));
            found.push(vec![one, two]);
        }
    }
    found
}

fn collect(state: &mut State<()>, barrier: &Barrier) -> bool {
    state.collect(barrier, |_| Fate::Forget, |_, _, _| {})
}

/// What a reader makes of a slot: removals that stand alone are nothing.
fn read(siblings: &[Sibling<()>]) -> Vec<(Dot, Option<Arc<[u8]>>)> {
    let is_nothing = siblings.iter().all(|sibling| sibling.value.is_none());
    let siblings = if is_nothing { &[] } else { siblings };
    siblings.iter().map(|sibling| (sibling.dot, sibling.value.clone())).collect()
}

/// Every order of delivery that respects what depends on what, and every place in it to collect.
fn every_run(
    all: &[Transaction<()>],
    barrier: &Barrier,
    state: &State<()>,
    ends: &mut Vec<State<()>>,
) {
    let ready: Vec<_> = all.iter().filter(|t| state.admits(t).is_ok()).collect();
    let mut collected = state.clone();
    if collect(&mut collected, barrier) {
        every_run(all, barrier, &collected, ends);
    }
    if ready.is_empty() && state.collected() > 0 {
        ends.push(state.clone());
    }
    for transaction in ready {
        let mut next = state.clone();
        next.apply(transaction).unwrap();
        every_run(all, barrier, &next, ends);
    }
}

#[test]
fn when_a_node_collects_makes_no_difference_and_nothing_that_is_read_changes() {
    let mut forgotten = 0;
    for history in histories() {
        for stable in closed(&history) {
            let barrier = Barrier { number: 1, stable: stable.clone(), cut: vector(&history) };
            for later in later(&history, &stable) {
                let all: Vec<_> = history.iter().chain(&later).cloned().collect();
                let mut oracle = State::default();
                all.iter().for_each(|transaction| oracle.apply(transaction).unwrap());
                let mut ends = Vec::new();
                every_run(&all, &barrier, &State::default(), &mut ends);
                for end in &ends {
                    assert_eq!(end.canonical_bytes(), ends[0].canonical_bytes());
                    assert_eq!(end.digest(), ends[0].digest());
                    for key in KEYS {
                        assert_eq!(read(end.get(key)), read(oracle.get(key)));
                    }
                }
                forgotten += u32::from(ends[0].digest() != oracle.digest());
            }
        }
    }
    assert!(forgotten > 50, "{forgotten} histories had something to forget");
}

#[test]
fn a_state_that_has_collected_joins_one_that_has_not() {
    for history in histories() {
        for stable in closed(&history) {
            let barrier = Barrier { number: 1, stable: stable.clone(), cut: vector(&history) };
            for later in later(&history, &stable) {
                let mut oracle = State::default();
                history.iter().chain(&later).for_each(|t| oracle.apply(t).unwrap());
                collect(&mut oracle, &barrier);
                // One has collected and lacks the last; the other has the last and has not.
                let (mut one, mut two) = (State::default(), State::default());
                history.iter().chain(&later[..1]).for_each(|t| one.apply(t).unwrap());
                collect(&mut one, &barrier);
                history.iter().chain(&later[1..]).for_each(|t| two.apply(t).unwrap());
                let mut other_way = two.clone();
                other_way.join(one.clone());
                one.join(two);
                for joined in [one, other_way] {
                    assert_eq!(joined.canonical_bytes(), oracle.canonical_bytes());
                    assert_eq!(joined.digest(), oracle.digest());
                    assert_eq!(joined.collected(), 1);
                }
            }
        }
    }
}

#[test]
fn nothing_is_forgotten_before_all_that_is_concurrent_is_here_nor_twice() {
    let none = VersionVector::new();
    let removal = transaction((1, 1), &none, b"a", None);
    let concurrent = transaction((2, 1), &none, b"a", Some(2));
    let barrier =
        Barrier { number: 1, stable: vector([&removal]), cut: vector([&removal, &concurrent]) };
    let mut state = State::default();
    state.apply(&removal).unwrap();
    let before = state.canonical_bytes();
    assert!(!collect(&mut state, &barrier));
    assert_eq!(state.canonical_bytes(), before);
    state.apply(&concurrent).unwrap();
    assert!(collect(&mut state, &barrier));
    assert_eq!(state.get(b"a").len(), 2, "a contest is never forgotten");
    assert!(!collect(&mut state, &barrier));
}

#[test]
fn what_is_forgotten_with_a_removal_is_what_is_stable_under_its_prefix() {
    let none = VersionVector::new();
    let mut state = State::default();
    let head = transaction((1, 1), &none, b"a", None);
    let under = transaction((1, 2), &vector([&head]), b"ab", Some(1));
    let beside = transaction((1, 3), &vector([&under]), b"b", Some(1));
    let late = transaction((1, 4), &vector([&beside]), b"ac", Some(1));
    let kept = transaction((1, 5), &vector([&late]), b"c", None);
    let all = [head, under, beside, late, kept];
    all.iter().for_each(|transaction| state.apply(transaction).unwrap());
    let mut seen = Vec::new();
    let barrier = Barrier { number: 3, stable: vector(&all[..3]), cut: vector(&all) };
    let fate = |key: &[u8]| match key {
        b"a" => Fate::ForgetAll { prefix: (*b"a").into() },
        _ => Fate::Keep,
    };
    assert!(state.collect(&barrier, fate, |moment, key, _| seen.push((moment, key.to_vec()))));
    let left: Vec<_> = state.range(&[]).map(|(key, _)| key.to_vec()).collect();
    assert_eq!(left, [b"ac".to_vec(), b"b".to_vec(), b"c".to_vec()]);
    let before = crdt::Moment::Before;
    assert_eq!(seen, [(before, b"a".to_vec()), (before, b"ab".to_vec())]);
}
