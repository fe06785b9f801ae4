//! Makes a failing plan small: steps are left out as long as the same invariant is violated.
//!
//! **Must not know:** what a step does.

use crate::{fact::Violation, plan::Plan, run};

/// Runs that shrinking may take.
const RUNS_MAX: usize = 600;

/// The smallest plan found that violates the same invariant, and how.
pub fn shrink(plan: &Plan, violation: &Violation) -> (Plan, Violation) {
    let mut best = (plan.clone(), violation.clone());
    let mut runs = 0;
    let mut size = (plan.steps.len() / 2).max(1);
    loop {
        let mut from = 0;
        let mut shorter = false;
        while from < best.0.steps.len() && runs < RUNS_MAX {
            let mut tried = best.0.clone();
            tried.steps.drain(from..(from + size).min(tried.steps.len()));
            runs += 1;
            match run(&tried).outcome {
                Err(found) if found.invariant == violation.invariant => {
                    best = (tried, found);
                    shorter = true;
                }
                Ok(()) | Err(_) => from += size,
            }
        }
        if runs >= RUNS_MAX || (size == 1 && !shorter) {
            return best;
        }
        size = (size / 2).max(1);
    }
}
