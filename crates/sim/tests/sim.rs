//! Whole clusters under every fault: a few seeds, of which the program runs thousands.

use sim::{Counts, Plan, run};

/// Seeds that failed once. A seed's plan changes with the plans; what it showed is told beside it.
const FAILED_ONCE: &[u64] = &[];

#[test]
fn every_seed_keeps_every_promise() {
    let mut total = Counts::default();
    for seed in (1..=40).chain(FAILED_ONCE.iter().copied()) {
        let done = run(&Plan::of(seed));
        assert_eq!(done.outcome, Ok(()), "cargo run --release -p sim -- --seed {seed}");
        total.acknowledged += done.counts.acknowledged;
        total.propagated += done.counts.propagated;
        total.crashes += done.counts.crashes;
        total.joined += done.counts.joined;
        total.removed += done.counts.removed;
    }
    let Counts { acknowledged, propagated, applied: _, crashes, joined, removed } = total;
    assert!(acknowledged > 500 && propagated > 100, "{total:?}");
    assert!(crashes > 100 && joined > 15 && removed > 5, "{total:?}");
}

#[test]
fn equal_plans_give_equal_runs() {
    for seed in 1_000..1_005 {
        assert_eq!(run(&Plan::of(seed)), run(&Plan::of(seed)));
    }
    assert_ne!(run(&Plan::of(1_000)).trace, run(&Plan::of(1_001)).trace);
}
