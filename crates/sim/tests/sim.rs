//! Whole clusters under every fault: a few seeds, of which the program runs thousands.

use sim::{Counts, Plan, run};

/// Seeds that failed once, one a line.
const SEEDS: &str = include_str!("../seeds");

fn failed_once() -> impl Iterator<Item = u64> {
    let lines = SEEDS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.parse().expect("a line of the file is a seed"))
}

#[test]
fn every_seed_keeps_every_promise() {
    let mut total = Counts::default();
    for seed in (1..=30).chain(failed_once()) {
        let done = run(&Plan::of(seed));
        assert_eq!(done.outcome, Ok(()), "cargo run --release -p sim -- --seed {seed}");
        total.acknowledged += done.counts.acknowledged;
        total.propagated += done.counts.propagated;
        total.crashes += done.counts.crashes;
        total.joined += done.counts.joined;
        total.removed += done.counts.removed;
        total.barriers += done.counts.barriers;
        total.claims += done.counts.claims;
        total.snapshots += done.counts.snapshots;
        total.trims += done.counts.trims;
        total.joins += done.counts.joins;
        total.mended += done.counts.mended;
    }
    let Counts { acknowledged, propagated, applied: _, .. } = total;
    let Counts { crashes, joined, removed, barriers, claims, .. } = total;
    assert!(acknowledged > 400 && propagated > 75, "{total:?}");
    assert!(crashes > 75 && joined > 10 && removed > 3 && barriers > 90, "{total:?}");
    assert!(claims > 300, "{total:?}");
    let Counts { snapshots, trims, joins, mended, .. } = total;
    assert!(snapshots > 200 && trims > 100 && joins > 5 && mended > 5, "{total:?}");
}

#[test]
fn equal_plans_give_equal_runs() {
    for seed in 1_000..1_005 {
        assert_eq!(run(&Plan::of(seed)), run(&Plan::of(seed)));
    }
    assert_ne!(run(&Plan::of(1_000)).trace, run(&Plan::of(1_001)).trace);
}
