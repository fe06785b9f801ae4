//! The merge laws, over every causal order of small histories.

use std::sync::Arc;

use crdt::{
    ApplyError, Dot, FROZEN_SLOTS_MAX, NodeId, Restore, RestoreError, Sibling, Siblings, State,
    Summary, Transaction, VersionVector, Write, covers, dominates,
};

/// Three nodes that each write one of two keys, some having seen others: every assignment of
/// dependencies among four transactions.
fn histories() -> Vec<Vec<Transaction<()>>> {
    let mut all = Vec::new();
    for mask in 0..64_u32 {
        let mut made: Vec<Transaction<()>> = Vec::new();
        for (index, node) in [1, 2, 3, 1].into_iter().enumerate() {
            let mut deps = VersionVector::new();
            for (earlier, transaction) in made.iter().enumerate() {
                let bit = [0, 0, 1, 3][index] + earlier;
                let own = transaction.dot.actor == NodeId(node);
                if own || (index > 0 && mask & (1 << bit) != 0) {
                    deps.merge_with(transaction);
                }
            }
            let seq = deps.get(&NodeId(node)) + 1;
            let key: &[u8] = if mask & (1 << (index % 3)) == 0 { b"a" } else { b"b" };
            let value = (index != 2).then(|| Arc::from([index as u8]));
            made.push(Transaction {
                dot: Dot::new(NodeId(node), seq),
                deps,
                meta: Arc::new(()),
                writes: vec![Write { key: key.into(), value }],
            });
        }
        all.push(made);
    }
    all
}

trait MergeWith {
    fn merge_with(&mut self, transaction: &Transaction<()>);
}

impl MergeWith for VersionVector {
    fn merge_with(&mut self, transaction: &Transaction<()>) {
        for dot in transaction.deps.iter() {
            crdt::advance(self, Dot::new(*dot.actor, dot.counter));
        }
        crdt::advance(self, transaction.dot);
    }
}

/// Applies what it can of `order`, again and again, until all is applied.
fn deliver(order: &[&Transaction<()>]) -> State<()> {
    let mut state = State::default();
    let mut waiting = order.to_vec();
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|transaction| {
            state.apply(transaction) == Err(ApplyError::Early(transaction.dot))
        });
        assert!(waiting.len() < before, "a history that cannot be applied");
    }
    state
}

fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.len() <= 1 {
        return vec![items.to_vec()];
    }
    (0..items.len())
        .flat_map(|at| {
            let mut rest = items.to_vec();
            let first = rest.remove(at);
            permutations(&rest).into_iter().map(move |mut tail| {
                tail.insert(0, first.clone());
                tail
            })
        })
        .collect()
}

#[test]
fn every_order_of_delivery_gives_the_same_bytes_and_digest() {
    for history in histories() {
        let refs: Vec<_> = history.iter().collect();
        let expected = deliver(&refs);
        for order in permutations(&refs) {
            let state = deliver(&order);
            assert_eq!(state.canonical_bytes(), expected.canonical_bytes());
            assert_eq!(state.digest(), expected.digest());
        }
    }
}

/// All causally closed subsets of a history.
fn cuts(history: &[Transaction<()>]) -> Vec<Vec<&Transaction<()>>> {
    (0..1_u32 << history.len())
        .map(|mask| {
            history
                .iter()
                .enumerate()
                .filter(|(i, _)| mask & (1 << i) != 0)
                .map(|(_, t)| t)
                .collect()
        })
        .filter(|cut: &Vec<&Transaction<()>>| {
            let mut vector = VersionVector::new();
            for transaction in cut {
                vector.merge_with(transaction);
            }
            cut.len() as u64 == crdt::lag(&vector, &VersionVector::new())
        })
        .collect()
}

#[test]
fn joining_two_states_equals_applying_both_logs() {
    for history in histories() {
        let cuts = cuts(&history);
        for left in &cuts {
            for right in &cuts {
                let union: Vec<_> = history
                    .iter()
                    .filter(|t| left.iter().chain(right).any(|other| other.dot == t.dot))
                    .collect();
                let mut joined = deliver(left);
                joined.join(deliver(right));
                let applied = deliver(&union);
                assert_eq!(joined.canonical_bytes(), applied.canonical_bytes());
                assert_eq!(joined.digest(), applied.digest());
                let mut other_way = deliver(right);
                other_way.join(deliver(left));
                assert_eq!(joined.canonical_bytes(), other_way.canonical_bytes());
            }
        }
    }
}

/// The oracle: what a multi-value register of `crdts` holds after the same writes.
#[test]
fn siblings_are_those_of_a_multi_value_register() {
    use crdts::{CmRDT, MVReg, mvreg::Op};
    for history in histories() {
        for key in [b"a", b"b"] {
            let mut register: MVReg<(u32, u64), NodeId> = MVReg::new();
            for transaction in history.iter().filter(|t| &*t.writes[0].key == key) {
                let mut clock = transaction.deps.clone();
                crdt::advance(&mut clock, transaction.dot);
                let val = (transaction.dot.actor.0, transaction.dot.counter);
                register.apply(Op::Put { clock, val });
            }
            let refs: Vec<_> = history.iter().collect();
            let state = deliver(&refs);
            let mut expected = register.read().val;
            expected.sort_unstable();
            let dots: Vec<_> =
                state.get(key).iter().map(|s| (s.dot.actor.0, s.dot.counter)).collect();
            assert_eq!(dots, expected);
        }
    }
}

#[test]
fn duplicates_and_early_transactions_change_nothing() {
    let history = histories().pop().unwrap();
    let mut state = State::default();
    let last = history.last().unwrap();
    assert_eq!(state.apply(last), Err(ApplyError::Early(last.dot)));
    state.apply(&history[0]).unwrap();
    let bytes = state.canonical_bytes();
    assert_eq!(state.apply(&history[0]), Err(ApplyError::Duplicate(history[0].dot)));
    assert_eq!(state.canonical_bytes(), bytes);
    assert!(covers(state.vector(), &history[0].dot) && !dominates(state.vector(), &last.deps));
}

#[test]
fn a_transaction_is_early_until_what_other_nodes_did_before_it_is_there() {
    let transaction = |node: u32, deps: &[u32]| Transaction {
        dot: crdt::Dot::new(crdt::NodeId(node), 1),
        deps: deps.iter().map(|node| crdt::Dot::new(crdt::NodeId(*node), 1)).collect(),
        meta: std::sync::Arc::new(()),
        writes: Vec::new(),
    };
    let (cause, effect) = (transaction(1, &[]), transaction(2, &[1]));
    let mut state = State::default();
    assert_eq!(state.apply(&effect), Err(crdt::ApplyError::Early(effect.dot)));
    assert_eq!(state.apply(&cause), Ok(()));
    assert_eq!(state.apply(&effect), Ok(()));
}

type Slots = Vec<(Box<[u8]>, Siblings<()>)>;

fn restore(summary: Summary, slots: &Slots) -> Result<State<()>, RestoreError> {
    let mut restore = Restore::new(summary);
    slots.iter().try_for_each(|(key, siblings)| restore.slot(key, siblings.clone()))?;
    restore.finish()
}

fn slots(state: &State<()>) -> Slots {
    state.range(&[]).map(|(key, siblings)| (key, siblings.to_vec())).collect()
}

#[test]
fn a_state_is_restored_from_its_slots_and_nothing_else_is() {
    for history in histories() {
        let state = deliver(&history.iter().collect::<Vec<_>>());
        let (summary, slots) = (state.summary(), slots(&state));
        let restored = restore(summary.clone(), &slots).unwrap();
        assert_eq!(restored.canonical_bytes(), state.canonical_bytes());
        assert_eq!(restored.digest(), state.digest());
        let cut = slots[1..].to_vec();
        assert_eq!(restore(summary.clone(), &cut).unwrap_err(), RestoreError::Digest);
        let doubled = [slots.clone(), slots.clone()].concat();
        assert_eq!(restore(summary.clone(), &doubled).unwrap_err(), RestoreError::Order);
        let other = Summary { collected: 7, ..summary.clone() };
        assert_eq!(restore(other, &slots).unwrap().collected(), 7);
        let unseen = Summary { vector: VersionVector::new(), ..summary.clone() };
        assert_eq!(restore(unseen, &slots).unwrap_err(), RestoreError::Siblings);
        let mut wrong = slots.clone();
        wrong[0].1 = [wrong[0].1.clone(), wrong[0].1.clone()].concat();
        assert_eq!(restore(summary.clone(), &wrong).unwrap_err(), RestoreError::Siblings);
        wrong[0].1.clear();
        assert_eq!(restore(summary, &wrong).unwrap_err(), RestoreError::Siblings);
    }
}

#[test]
fn what_is_frozen_stays_however_the_state_changes() {
    for history in histories() {
        for at in 0..history.len() {
            for copied in 0..4 {
                let (before, after) = history.split_at(at);
                let mut state = deliver(&before.iter().collect::<Vec<_>>());
                let expected = (state.summary(), slots(&state));
                state.freeze();
                let (mut found, mut last) = (Slots::new(), None);
                let mut changes = after.iter().skip(copied);
                after.iter().take(copied).for_each(|t| state.apply(t).unwrap());
                loop {
                    let piece = state.frozen_slots(last.as_deref(), 1).unwrap();
                    let Some((key, _)) = piece.last() else { break };
                    last = Some(key.clone());
                    state.copied(key);
                    found.extend(piece);
                    changes.next().into_iter().for_each(|t| state.apply(t).unwrap());
                }
                assert_eq!((state.frozen().unwrap().clone(), found), expected);
                changes.for_each(|t| state.apply(t).unwrap());
                state.thaw();
                assert!(state.frozen().is_none() && state.frozen_slots(None, 9).is_none());
            }
        }
    }
}

#[test]
fn a_freeze_ends_once_too_much_changed_meanwhile() {
    let write = |number: usize| Write { key: number.to_be_bytes().into(), value: None };
    let mut state = State::default();
    state.freeze();
    let mut deps = VersionVector::new();
    for (seq, range) in [(1, 0..FROZEN_SLOTS_MAX), (2, 0..FROZEN_SLOTS_MAX + 1)] {
        assert!(state.frozen().is_some());
        let dot = Dot::new(NodeId(1), seq);
        let writes = range.map(write).collect();
        let meta = Arc::new(());
        state.apply(&Transaction { dot, deps: deps.clone(), meta, writes }).unwrap();
        crdt::advance(&mut deps, dot);
    }
    assert!(state.frozen().is_none());
    let sibling = Sibling { dot: Dot::new(NodeId(1), 2), meta: Arc::new(()), value: None };
    assert_eq!(state.get(&0_usize.to_be_bytes()), [sibling]);
}
