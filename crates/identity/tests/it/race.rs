//! No race widens access (DESIGN §4): what a merge allows, every order of its operations allows.
//!
//! Random histories of three nodes, run by the commands themselves, are merged, and
//! [`identity::check`] answers for each principal and action, `authenticate_key` for each key,
//! `AssumeRole` for each user and role. `serial.rs` then runs the same operations on one node in
//! every order that respects what each had seen.
//!
//! Every order is a strong claim. What is left out of it: calls are about the entity that they
//! named where they were made, whatever an order has called it since (`plan.rs`, `world.rs`); an
//! order does not count that refuses a call for a limit, for a name whose holder the merge does not
//! leave it, or for whom a trust policy names (`serial.rs`). Half of the histories have calls by
//! users whose right to them others change meanwhile; an order that has no right for a call refuses
//! it.
//!
//! `WRIT_RACES=N` runs the histories of the first N seeds; `./test` runs 50,000 of a release
//! build. A failing history is made small and printed as a line for `testdata/races.txt`, whose
//! histories run first.

mod answers;
mod kept;
mod plan;
mod serial;
mod world;

use std::{collections::BTreeSet, io::Write as _};

use answers::Subjects;
use identity::Identity;
use plan::Plan;
use world::World;

const KNOWN: &str = include_str!("../../testdata/races.txt");
/// Histories of a run that asks for no other number.
const HISTORIES: u64 = 500;
/// Failures that one thread makes small.
const FAILURES_MAX: usize = 8;

/// What came of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Came {
    /// Operations that were accepted.
    operations: u64,
    /// Questions that the merge allows.
    allowed: u64,
    /// Those of them that some order refuses.
    widened: u64,
    /// Questions that the merge refuses and every order allows.
    stricter: u64,
    /// Questions that the merge allows only once the control plane has decided about names.
    decided: u64,
    /// Questions that the last writer's word, were it law, allows and some order refuses.
    last_writer_widened: u64,
}

impl Came {
    fn add(&mut self, other: Self) {
        let Self { operations, allowed, widened, stricter, decided, last_writer_widened } = other;
        self.operations += operations;
        self.allowed += allowed;
        self.widened += widened;
        self.stricter += stricter;
        self.decided += decided;
        self.last_writer_widened += last_writer_widened;
    }
}

/// Runs a history, merges it, and compares with every order.
fn run(world: &World, plan: &Plan) -> (Came, String) {
    let race = world.race(plan);
    let subjects = Subjects::of(&race);
    let answers = |identity: &Identity| subjects.answers(world, identity, subjects.all());
    let merged = answers(&race.merged);
    assert_eq!(answers(&race.collected), merged, "what is forgotten is not missed: {plan}");
    let serial = serial::every_order(world, &race, &subjects, &BTreeSet::new());
    let mut widened = merged & !serial.by_all;
    let mut decided = 0;
    if let Some((identity, holders)) = race.decided() {
        let more = answers(&identity);
        // What is decided is an order of the calls that gave the names.
        let serial = serial::every_order(world, &race, &subjects, &holders);
        widened |= more & !serial.by_all;
        decided = u64::from((more & !merged).count_ones());
    }
    let came = Came {
        operations: race.operations.len() as u64,
        allowed: u64::from(merged.count_ones()),
        widened: u64::from(widened.count_ones()),
        stricter: u64::from((serial.by_all & !merged).count_ones()),
        decided,
        last_writer_widened: u64::from((answers(&race.last_writer) & !serial.by_all).count_ones()),
    };
    let said = match widened {
        0 => String::new(),
        _ => format!("allows {}\n  not after: {}", subjects.name(widened), serial.example(widened)),
    };
    (came, said)
}

/// The smallest part of a failing history that fails.
fn shrink(world: &World, plan: &Plan) -> Plan {
    let mut best = plan.clone();
    let mut at = 0;
    while at < best.len() {
        let tried = best.without(at);
        if run(world, &tried).0.widened > 0 {
            best = tried;
            at = 0;
        } else {
            at += 1;
        }
    }
    best
}

/// A line to replay, if a history widened.
fn failure(world: &World, plan: &Plan) -> Option<String> {
    let small = shrink(world, plan);
    let (came, said) = run(world, &small);
    (came.widened > 0).then(|| format!("{small}\n  {said}"))
}

/// Runs seeds on all cores. Gives the sums, and what failed.
fn sweep(seeds: u64) -> (Came, Vec<String>) {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let work = |worker: usize| {
        let world = World::new();
        let (mut sum, mut failures) = (Came::default(), Vec::new());
        for seed in (worker as u64..seeds).step_by(workers) {
            let plan = Plan::random(seed);
            let (came, _) = run(&world, &plan);
            sum.add(came);
            if came.widened > 0 && failures.len() < FAILURES_MAX {
                failures.extend(failure(&world, &plan));
            }
        }
        (sum, failures)
    };
    let (mut sum, mut failures) = (Came::default(), Vec::new());
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..workers).map(|at| scope.spawn(move || work(at))).collect();
        for worker in started {
            match worker.join() {
                Ok((part, failed)) => {
                    sum.add(part);
                    failures.extend(failed);
                }
                Err(panicked) => std::panic::resume_unwind(panicked),
            }
        }
    });
    (sum, failures)
}

#[test]
fn histories_that_once_widened_do_not() {
    let world = World::new();
    let lines = KNOWN.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in lines {
        let plan: Plan = line.parse().unwrap();
        assert_eq!(plan.to_string(), line);
        assert_eq!(failure(&world, &plan), None);
    }
}

#[test]
fn policies_that_were_prepared_decide_as_the_state_does_while_they_stand() {
    let world = World::new();
    let mut sum = kept::Came::default();
    let histories = HISTORIES / 2;
    for seed in 0..histories {
        sum.add(kept::run(&world, &Plan::random(seed), seed as usize % 3));
    }
    // Most changes are of others' policies, and some are seen.
    assert!(sum.stood > 2 * sum.fell, "{sum:?}");
    assert!(sum.changed > histories / 2, "{sum:?}");
}

#[test]
fn what_a_merge_allows_every_order_allows() {
    let seeds = std::env::var("WRIT_RACES").map_or(HISTORIES, |text| text.parse().unwrap());
    let (came, failures) = sweep(seeds);
    writeln!(std::io::stderr().lock(), "{seeds} histories: {came:?}").unwrap();
    let failures = failures.join("\n");
    assert_eq!(came.widened, 0, "as lines of testdata/races.txt:\n{failures}");
    // The histories race: another rule would widen access in them.
    assert!(came.last_writer_widened > seeds / 50, "{came:?}");
    assert!(came.allowed > seeds, "{came:?}");
    assert!(came.decided > seeds / 200, "{came:?}");
}
