//! How much work one decision may take. Documents, resources and context values come from people
//! who do not wish the node well: each match is bounded by `pattern × text`, and the sum of all
//! matches of a decision by this.
//!
//! **Invariants.** What the budget does not cover is [`Truth::Unknown`](crate::truth::Truth), so
//! that it allows nothing and a `Deny` that was not decided counts. Steps are counted, never time:
//! every node refuses the same requests.
//!
//! **Must not know:** what the steps are spent on.

use std::cell::Cell;

use crate::Context;

/// The most steps one decision takes; a step looks at one character of a pattern, a value or a
/// policy's operand. A principal with every quota used up (some 10⁵ characters of policies) stays
/// two orders below it.
pub const DECISION_STEPS_MAX: u64 = 1 << 23;

/// What is left of a decision's steps.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<u64>,
    exhausted: Cell<bool>,
}

impl Budget {
    pub(crate) fn new(steps: u64) -> Self {
        Self { left: Cell::new(steps), exhausted: Cell::new(false) }
    }

    /// Takes `steps`, or says that so many are not left; nothing is given from then on.
    pub(crate) fn spend(&self, steps: usize) -> bool {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        match self.left.get().checked_sub(steps) {
            Some(left) if !self.exhausted.get() => self.left.set(left),
            Some(_) | None => self.exhausted.set(true),
        }
        !self.exhausted.get()
    }

    /// Whether more was asked for than there was.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    #[cfg(test)]
    pub(crate) fn left(&self) -> u64 {
        self.left.get()
    }
}

/// What a pattern or condition is held against: the request's keys, and the decision's budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) context: &'a Context,
    pub(crate) budget: &'a Budget,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_given_and_nothing_after_one_step_too_many() {
        let budget = Budget::new(3);
        assert!(budget.spend(1) && budget.spend(2) && budget.spend(0));
        assert!(!budget.is_exhausted());
        assert!(!budget.spend(1) && budget.is_exhausted() && !budget.spend(0));
        let budget = Budget::new(3);
        assert!(!budget.spend(4));
        assert!(!budget.spend(1), "what was refused once is not given in parts");
    }
}
