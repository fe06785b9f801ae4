//! Many nodes, one seed: a cluster of real [`node::Node`]s in a simulated world.
//!
//! A seed gives a [`Plan`]: calls of clients, crashes, cuts, broken, doubled and delayed streams,
//! clocks that are set, slow disks, nodes that join and are removed. The plan is carried out event
//! by event; then every fault is over, and everything must come right; and again, after damage to
//! one host's state. The [`invariants`] are told what happens. A plan that violates one is shrunk.
//!
//! **Invariants.** Equal plans give equal runs, on every machine.
//!
//! **Must not know:** sockets, disks, clocks, threads.
//!
//! Start reading at [`run`].

mod authority;
mod counts;
mod damage;
mod disk;
pub mod fact;
pub mod history;
pub mod host;
pub mod invariants;
pub mod load;
mod membership;
mod network;
pub mod plan;
pub mod rng;
mod shrink;
mod snapshots;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use counts::Counts;
pub use fact::Violation;
pub use history::History;
pub use plan::Plan;
pub use shrink::shrink;
pub use world::World;

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whether everything held.
    pub outcome: Result<(), Violation>,
    /// Milliseconds of the cluster's own time.
    pub elapsed_ms: u64,
    /// What was done.
    pub counts: Counts,
    /// Equal for equal runs.
    pub trace: u64,
}

/// Carries a plan out. A panic is a violation, too.
pub fn run(plan: &Plan) -> Run {
    run_told(plan, History::default()).0
}

/// As [`run`]; what happened is told to `history`.
pub fn run_told(plan: &Plan, history: History) -> (Run, History) {
    let mut world = World::new(plan);
    world.history = history;
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|_panic| {
        let what = "see above".to_owned();
        Err(Violation { invariant: "nothing panics", what, at_ms: world.elapsed_ms() })
    });
    let (elapsed_ms, counts, trace) = (world.elapsed_ms(), world.counts, world.trace());
    (Run { outcome, elapsed_ms, counts, trace }, world.history)
}
