//! What was done in a run, in numbers.
//!
//! **Must not know:** what must hold.

/// What a run consisted of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that were acknowledged.
    pub acknowledged: u64,
    /// Waits that said yes.
    pub propagated: u64,
    /// Transactions that were applied, on all nodes together.
    pub applied: u64,
    /// Machines that died.
    pub crashes: u64,
    /// Nodes that joined.
    pub joined: u64,
    /// Nodes that were removed.
    pub removed: u64,
    /// Barriers that were agreed on.
    pub barriers: u64,
    /// Names that were claimed.
    pub claims: u64,
    /// Snapshots that were taken.
    pub snapshots: u64,
    /// Times that a log was trimmed.
    pub trims: u64,
    /// Snapshots of peers that were joined.
    pub joins: u64,
    /// Slots that were mended after damage.
    pub mended: u64,
}
