//! A state put together from its slots, as [`State::summary`] and [`State::range`] gave them.
//!
//! **Invariants.** What is restored is a state that can be: slots in order, each with siblings, in
//! order, that the version vector covers; and it has the digest that the summary names.
//!
//! **Must not know:** where the slots come from.

use thiserror::Error;

use crate::{Siblings, State, Summary, state::can_stand};

/// Slots that are no state, or not the one that was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// A key does not sort behind the one before it.
    #[error("the slots of a state are out of order")]
    Order,
    /// Siblings are missing, out of order, or not covered by the version vector.
    #[error("a slot has siblings that it cannot have")]
    Siblings,
    /// The whole has another digest.
    #[error("a state has another digest than it was named by")]
    Digest,
}

/// A state that is being restored.
#[derive(Debug)]
pub struct Restore<M> {
    state: State<M>,
    summary: Summary,
    last: Option<Box<[u8]>>,
}

impl<M> Restore<M> {
    /// Begins.
    pub fn new(summary: Summary) -> Self {
        Self { state: State::empty_at(&summary), summary, last: None }
    }

    /// The next slot, in the order of the keys.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn slot(&mut self, key: &[u8], siblings: Siblings<M>) -> Result<(), RestoreError> {
        if self.last.as_deref().is_some_and(|last| key <= last) {
            return Err(RestoreError::Order);
        }
        if siblings.is_empty() || !can_stand(&siblings, &self.summary.vector) {
            return Err(RestoreError::Siblings);
        }
        self.state.put_back(key, siblings);
        self.last = Some(key.into());
        Ok(())
    }

    /// The whole.
    ///
    /// # Errors
    /// When it is not the state that was named.
    pub fn finish(self) -> Result<State<M>, RestoreError> {
        let whole = self.state.summary() == self.summary;
        if whole { Ok(self.state) } else { Err(RestoreError::Digest) }
    }
}
