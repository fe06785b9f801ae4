//! Runs seeds, and shrinks the plans of those that fail.
//!
//! `cargo run --release -p sim -- --seeds 10000 --json` runs many; `-- --seed N` runs one and shows
//! what was violated, with the shortest plan that was found to violate it.
//!
//! **Must not know:** what is simulated.

use std::{
    io::Write as _,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clap::Parser;
use serde::Serialize;
use sim::{Counts, History, Plan, Violation, run, run_told, shrink};

/// Simulates clusters, each told by a seed.
#[derive(Debug, Parser)]
struct Arguments {
    /// Runs this seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Runs so many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many run at a time.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Reports as JSON.
    #[arg(long)]
    json: bool,
}

/// What came of all seeds.
#[derive(Debug, Default, Serialize)]
struct Report {
    seeds: u64,
    violations: Vec<Failure>,
    simulated_hours: f64,
    wall_seconds: f64,
    simulated_hours_per_wall_hour: f64,
    acknowledged_writes: u64,
    applied_transactions: u64,
    waits_propagated: u64,
    crashes: u64,
    joined: u64,
    removed: u64,
    barriers: u64,
    claims: u64,
    snapshots: u64,
    trims: u64,
    joins: u64,
    mended: u64,
}

#[derive(Debug, Serialize)]
struct Failure {
    seed: u64,
    invariant: &'static str,
    what: String,
    replay: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[expect(clippy::disallowed_methods, reason = "the speed of the simulation is measured")]
    let begun = Instant::now();
    let (from, count) = arguments.seed.map_or((arguments.from, arguments.seeds), |seed| (seed, 1));
    let (total, elapsed_ms) = run_all(from, count, arguments.jobs.max(1));
    let mut report = total;
    let hour = 3_600.0;
    report.simulated_hours = elapsed_ms as f64 / 1_000.0 / hour;
    report.wall_seconds = begun.elapsed().as_secs_f64();
    report.simulated_hours_per_wall_hour = report.simulated_hours * hour / report.wall_seconds;
    report.violations.sort_by_key(|failure| failure.seed);
    let mut text = if arguments.json {
        serde_json::to_string_pretty(&report).unwrap_or_else(|error| error.to_string())
    } else {
        words(&report)
    };
    if let (false, Some(first)) = (arguments.json, report.violations.first()) {
        text.push_str(&shrunk(first.seed));
    }
    text.push('\n');
    // Nobody reads it: then nobody is told.
    let _closed = std::io::stdout().write_all(text.as_bytes());
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs `count` seeds from `from` on; what they came to, and how long they were in their own time.
fn run_all(from: u64, count: u64, jobs: u64) -> (Report, u64) {
    let next = AtomicU64::new(from);
    let total = Mutex::new((Report { seeds: count, ..Report::default() }, 0));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from.saturating_add(count) {
                        return;
                    }
                    let done = run(&Plan::of(seed));
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.1 += done.elapsed_ms;
                    add(&mut total.0, seed, &done.outcome, &done.counts);
                }
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn add(report: &mut Report, seed: u64, outcome: &Result<(), Violation>, counts: &Counts) {
    let Counts { acknowledged, propagated, applied, crashes, joined, removed, .. } = counts;
    let Counts { barriers, claims, snapshots, trims, joins, mended, .. } = counts;
    report.acknowledged_writes += acknowledged;
    report.applied_transactions += applied;
    report.waits_propagated += propagated;
    report.crashes += crashes;
    report.joined += joined;
    report.removed += removed;
    report.barriers += barriers;
    report.claims += claims;
    report.snapshots += snapshots;
    report.trims += trims;
    report.joins += joins;
    report.mended += mended;
    if let Err(violation) = outcome {
        report.violations.push(Failure {
            seed,
            invariant: violation.invariant,
            what: violation.what.clone(),
            replay: format!("cargo run --release -p sim -- --seed {seed}"),
        });
    }
}

fn words(report: &Report) -> String {
    let Report { seeds, violations, simulated_hours, wall_seconds, .. } = report;
    let mut text = format!(
        "{seeds} seeds, {} violations, {simulated_hours:.1} simulated hours in {wall_seconds:.0} s",
        violations.len()
    );
    for Failure { seed: _, invariant, what, replay } in violations {
        text.push_str(&format!("\n`{invariant}` is violated: {what}\n  {replay}"));
    }
    text
}

/// The shortest plan of a failing seed, and what happens in it.
fn shrunk(seed: u64) -> String {
    let plan = Plan::of(seed);
    match run(&plan).outcome {
        Ok(()) => String::new(),
        Err(violation) => {
            let (plan, violation) = shrink(&plan, &violation);
            let (_, history) = run_told(&plan, History::listening());
            let happened = history.into_lines().join("\n");
            format!(
                "\n\nThe shortest plan that was found:\n{plan}\n\
                 What happens at last:\n{happened}\n{violation}"
            )
        }
    }
}
