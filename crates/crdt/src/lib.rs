//! The one replicated data type: a map from keys to siblings, changed by transactions.
//!
//! Dots, version vectors and the traits `CmRDT`/`CvRDT` are those of the crate `crdts`; its
//! container types do not fit (add-wins, removals without dots, encodings in no order).
//!
//! **Invariants.**
//! - A transaction is applied whole, once, and only after everything in its `deps`.
//! - What overwrites is the causal context `deps`, never a list of observed dots.
//! - Applying two logs and joining the two states give the same bytes.
//! - What is forgotten, nothing that can still come is concurrent with.
//! - The digest equals the sum over all slots, whatever the order in which they came to be.
//!
//! **Must not know:** what keys and values mean, who sends them, where they are kept.
//!
//! Start reading at [`State::apply`].

mod barrier;
mod digest;
mod frozen;
mod hlc;
mod past;
mod repair;
mod restore;
mod slots;
mod state;
mod transaction;
mod vector;

pub use barrier::{Barrier, Fate};
pub use digest::{BUCKETS, Digest};
pub use frozen::{FROZEN_SLOTS_MAX, Slot};
pub use hlc::Hlc;
pub use past::{Doubter, Found, Gone, Name, Overwriter, Past, PastSlot};
pub use repair::{Buckets, Differences, Part, PartError, PartLimits, sums_from_bytes};
pub use restore::{Restore, RestoreError};
pub use state::{ApplyError, Moment, Sibling, Siblings, State, Summary};
pub use transaction::{Transaction, Write};
pub use vector::{NodeId, advance, covers, dominates, lag, meet};

/// `(node, seq)`; a node's seqs are dense from 1.
pub type Dot = crdts::Dot<NodeId>;
/// The greatest seq per node that is covered.
pub type VersionVector = crdts::VClock<NodeId>;
