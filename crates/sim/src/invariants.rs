//! What must hold in every run; one file each.
//!
//! **Invariants.** An invariant judges by what it saw happen, never by what a node says of itself
//! alone.
//!
//! **Must not know:** which faults there were.

mod acknowledged;
mod alarms;
mod answers;
mod causal;
mod converged;
mod credit;
mod dots;
mod early;
mod fenced;
mod names;
mod stable;
mod waits;

use crate::fact::{Fact, View};

/// Something that must hold.
pub trait Invariant {
    /// What must hold, in a few words.
    fn name(&self) -> &'static str;

    /// Whether it still holds after this.
    ///
    /// # Errors
    /// When it does not: what is wrong.
    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String>;
}

/// All of them, at the beginning of a run.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(acknowledged::Acknowledged::default()),
        Box::new(alarms::Alarms),
        Box::new(answers::Answers),
        Box::new(causal::Causal::default()),
        Box::new(converged::Converged),
        Box::new(credit::Credit::default()),
        Box::new(dots::Dots::default()),
        Box::new(early::Early),
        Box::new(fenced::Fenced),
        Box::new(names::Names::default()),
        Box::new(stable::Stable),
        Box::new(waits::Waits),
    ]
}
