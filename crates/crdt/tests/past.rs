//! What stands when somebody is doubted, against its definition, over every causal order of small
//! histories of one slot, every moment at which the doubt arises, and with and without settling.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{collections::BTreeSet, sync::Arc};

use crdt::{
    Dot, Doubter, NodeId, Past, Sibling, State, Transaction, VersionVector, Write, advance, covers,
};

const KEY: &[u8] = b"k";
/// Who doubts. Nobody has it but who heard of it.
const DOUBTER: NodeId = NodeId(9);

type Value = Option<Arc<[u8]>>;
/// A dot as a number of the node, and a value.
type Shown = Vec<(u32, Value)>;

/// Four nodes write once each: every assignment of what each had seen of those before it, of who
/// writes what another wrote, and of whether the last two had heard of the doubter.
fn histories() -> Vec<Vec<Transaction<()>>> {
    let mut all = Vec::new();
    for mask in 0..1_u32 << 11 {
        let bit = |at: usize| mask >> at & 1 == 1;
        let mut made: Vec<Transaction<()>> = Vec::new();
        for at in 0..4 {
            let mut deps = VersionVector::new();
            for (earlier, transaction) in made.iter().enumerate() {
                if bit([0, 0, 1, 3][at] + earlier) {
                    advance(&mut deps, transaction.dot);
                    for dot in transaction.deps.iter() {
                        advance(&mut deps, Dot::new(*dot.actor, dot.counter));
                    }
                }
            }
            if at >= 2 && bit(6 + at - 2) {
                advance(&mut deps, Dot::new(DOUBTER, 1));
            }
            let value = match at {
                0 => Some(0),
                1 => (!bit(8)).then_some(0),
                2 => Some(u8::from(bit(9))),
                _ => bit(10).then_some(0),
            };
            made.push(Transaction {
                dot: Dot::new(NodeId(at as u32 + 1), 1),
                deps,
                meta: Arc::new(()),
                writes: vec![Write { key: KEY.into(), value: value.map(|v| Arc::from([v])) }],
            });
        }
        all.push(made);
    }
    all
}

fn doubter() -> Doubter<()> {
    Doubter { dot: Dot::new(DOUBTER, 1), meta: Arc::new(()) }
}

/// The definition: `first` is doubted, and whoever wrote again what a doubted one had written that
/// it saw, unless it had heard. What nobody else overwrote stands, and nothing if all are doubted.
fn defined(history: &[Transaction<()>], first: usize) -> Shown {
    let value = |t: &Transaction<()>| t.writes[0].value.clone();
    let saw = |late: &Transaction<()>, early: &Transaction<()>| {
        let between = |other: &&Transaction<()>| {
            covers(&other.deps, &early.dot) && covers(&late.deps, &other.dot)
        };
        covers(&late.deps, &early.dot) && !history.iter().any(|other| between(&other))
    };
    let mut doubted = BTreeSet::from([first]);
    for (at, late) in history.iter().enumerate() {
        let relies = history.iter().enumerate().any(|(early, transaction)| {
            doubted.contains(&early)
                && saw(late, transaction)
                && value(late) == value(transaction)
                && !covers(&late.deps, &doubter().dot)
        });
        if relies {
            doubted.insert(at);
        }
    }
    let sure = || history.iter().enumerate().filter(|(at, _)| !doubted.contains(at));
    let standing = history.iter().filter(|t| !sure().any(|(_, s)| covers(&s.deps, &t.dot)));
    let mut shown: Shown = standing.map(|t| (t.dot.actor.0, value(t))).collect();
    if sure().next().is_none() {
        shown.push((DOUBTER.0, None));
    }
    shown
}

fn show(siblings: &[Sibling<()>]) -> Shown {
    siblings.iter().map(|sibling| (sibling.dot.actor.0, sibling.value.clone())).collect()
}

#[derive(Clone)]
struct Replica {
    state: State<()>,
    past: Past<()>,
    heard: bool,
}

impl Replica {
    fn new() -> Self {
        Self { state: State::default(), past: Past::default(), heard: false }
    }

    fn apply(&mut self, transaction: &Transaction<()>) {
        let value = transaction.writes[0].value.as_ref();
        let at = (transaction.dot, &transaction.deps);
        self.past.record(KEY, self.state.get(KEY), at, value);
        self.state.apply(transaction).unwrap();
    }

    /// The doubter comes, as a transaction of its own.
    fn hear(&mut self) {
        let doubter = Transaction {
            dot: doubter().dot,
            deps: VersionVector::new(),
            meta: Arc::new(()),
            writes: Vec::new(),
        };
        self.state.apply(&doubter).unwrap();
        self.heard = true;
    }

    fn view(&self) -> Shown {
        let siblings = self.state.get(KEY);
        show(&self.past.view(KEY, siblings).unwrap_or_else(|| siblings.to_vec()))
    }
}

/// Every order in which all can come to a replica. The doubt is told once both are there.
fn every_run(
    history: &[Transaction<()>],
    first: usize,
    replica: &Replica,
    ends: &mut Vec<Replica>,
) {
    let mut ended = replica.heard;
    for transaction in history {
        if replica.state.admits(transaction).is_ok() {
            ended = false;
            let mut next = replica.clone();
            next.apply(transaction);
            if next.heard && transaction.dot == history[first].dot {
                next.past.doubt(KEY, &transaction.dot, &doubter());
            }
            every_run(history, first, &next, ends);
        }
    }
    if !replica.heard {
        let mut next = replica.clone();
        next.hear();
        let dot = history[first].dot;
        if covers(next.state.vector(), &dot) {
            next.past.doubt(KEY, &dot, &doubter());
        }
        every_run(history, first, &next, ends);
    }
    if ended {
        ends.push(replica.clone());
    }
}

#[test]
fn what_stands_is_what_the_definition_says_in_whatever_order_it_came() {
    let mut restored = 0;
    for history in histories() {
        // Whom somebody doubts has not heard of it.
        let first = (0..2).find(|at| !covers(&history[*at].deps, &doubter().dot)).unwrap();
        for first in [first, 1] {
            let expected = defined(&history, first);
            let mut ends = Vec::new();
            every_run(&history, first, &Replica::new(), &mut ends);
            for end in &ends {
                assert_eq!(end.view(), expected, "{history:?}, of whom {first} is doubted");
            }
            restored += usize::from(expected.len() > ends[0].state.get(KEY).len());
        }
    }
    assert!(restored > 300, "{restored} histories in which something stood again");
}

#[test]
fn what_is_settled_is_not_missed() {
    for history in histories() {
        let mut replica = Replica::new();
        history[..2].iter().for_each(|transaction| replica.apply(transaction));
        replica.hear();
        replica.past.doubt(KEY, &history[1].dot, &doubter());
        let all = replica.state.vector().clone();
        // Whatever comes once all that is settled has seen it.
        let mut later = history[2].clone();
        later.deps = all.clone();
        let mut oracle = replica.clone();
        let state = replica.state.clone();
        replica.past.settle(&all, |key| state.get(key));
        assert_eq!(replica.view(), oracle.view());
        for replica in [&mut replica, &mut oracle] {
            replica.apply(&later);
        }
        assert_eq!(replica.view(), oracle.view());
        let all = replica.state.vector().clone();
        let state = replica.state.clone();
        replica.past.settle(&all, |key| state.get(key));
        assert!(replica.past.is_empty(), "nobody is doubted whom a later write overwrote");
        assert_eq!(replica.view(), oracle.view());
    }
}
