//! Barriers: what all members agree to be stable, so that it need not be remembered.
//!
//! A removal is kept as a sibling, for a concurrent write to find. It is needed no more once
//! nothing concurrent can come: when every member has what it covers, and everything that was made
//! before every member had it is here.
//!
//! **Must not know:** how the members agree.

use crate::VersionVector;

/// What is stable, by agreement of all members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Barrier {
    /// Grows with each barrier; 0 for none.
    pub number: u64,
    /// What every member has: any transaction that `cut` does not cover depends on all of it.
    pub stable: VersionVector,
    /// What any member had. Whoever has all of it has everything that is concurrent with what is
    /// stable.
    pub cut: VersionVector,
}

/// What the application makes of a slot that says, stably, that something was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It means something that it was there.
    Keep,
    /// It can be as if it had never been.
    Forget,
    /// So can all that is stable of the slots whose keys begin so, whatever they hold.
    ForgetAll {
        /// The keys' beginning; the slot's own is one of them.
        prefix: Box<[u8]>,
    },
}
